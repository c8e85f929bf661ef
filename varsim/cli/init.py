"""The command ``varsim init``: what initializers claim, and what they do."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import click

# What needs NumPy is imported where it is used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DISAGREED, DONE, FAILED, INTERRUPTED
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, option, swept
from varsim.cli.params import Count, WholeNumbers
from varsim.cli.publish import Publisher, say_error
from varsim.experiment import Experiment, InputError

if TYPE_CHECKING:
    from varsim.survey import Surveyed

_EXAMPLES = [
    ("varsim init --dim 512 --fan-out 256", "Every initializer of every installed framework."),
    ("varsim init torch.nn.init.xavier_normal_ keras.initializers.HeNormal", "Some of them."),
    ("varsim init mypackage.layers:init --format json", "One of your own."),
]

_WHAT = "What is asked"


@click.command("init", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("names", nargs=-1, metavar="[NAME ...]")
@swept("-d", "--dim", type=WholeNumbers(), group=_WHAT, metavar="D",
       help="Fan-in: rows of W; takes lists and ranges.  [default: 512]")  # fmt: skip
@swept("--fan-out", type=WholeNumbers(), group=_WHAT, metavar="N",
       help="Fan-out: columns of W.  [default: D]")  # fmt: skip
@option("--draws", type=Count(), default=64, show_default=True, group=HOW, metavar="N",
        help="Independent W an initializer: the replicates of every error bar.")  # fmt: skip
@common.seed
@common.dtype
@common.workers
@common.confidence
@common.alpha
@common.formats
@common.outputs
@common.check
@common.quiet
def init(**options: Any) -> int:
    """Print what initializers claim and what they do.

    For every initializer of the installed frameworks, or for those that are named as for --init:
    the documented E w², the entries' kurtosis, and the variances of x @ W and of g @ Wᵀ.
    """
    from varsim.cli.run import ending_signals_as_interrupt
    from varsim.inference import check_probability, check_workers
    from varsim.report.survey import survey_sheet
    from varsim.survey import MIN_DRAWS, judge

    check_probability("confidence", options["confidence"])
    check_probability("alpha", options["alpha"])
    check_workers(options["workers"])
    if not MIN_DRAWS <= options["draws"] <= 10**6:
        raise InputError(f"draws is {options['draws']:,}; give a number from {MIN_DRAWS} to 1e6")
    publisher = Publisher(
        options["format"], options["output"], explain=False, quiet=options["quiet"]
    )
    for note in publisher.obstacles():
        publisher.say(f"Note: {note}")
    with ending_signals_as_interrupt():
        asked, left_out = _asked(options)
        rows, failure, interrupted = _surveyed(asked, options)
        rows = judge(rows, options["alpha"])
        remarks = [f"Ended early: {len(rows)} of {len(asked)} rows were done."]
        sheet = survey_sheet(rows, remarks if len(rows) < len(asked) else ()) if rows else None
        written = True if sheet is None else publisher.write(sheet)
    for sentence in [] if sheet is None else sheet.caveats:
        publisher.say(f"Caveat: {sentence}")
    for sentence in left_out:
        publisher.say(f"Left out: {sentence}.")
    if failure is not None:
        say_error(failure)
    if interrupted:
        return INTERRUPTED
    if failure is not None or not written:
        return FAILED
    return DISAGREED if options["check"] and any(r.agrees is False for r in rows) else DONE


def _asked(options: dict[str, Any]) -> tuple[list[Experiment], list[str]]:
    """Return what is to be surveyed, and sentences on what cannot be.

    Raises:
        InputError: What is named cannot be used.
    """
    from varsim.calls import split
    from varsim.cli.own import using
    from varsim.provenance import frameworks
    from varsim.sampling import check_initializer
    from varsim.survey import question
    from varsim.weights.catalogue import installed

    try:
        named = list(chain.from_iterable(map(split, options["names"])))
    except ValueError as error:
        raise InputError(str(error)) from None
    dims = list(chain.from_iterable(options["dim"])) or [512]
    fan_outs = list(chain.from_iterable(options["fan_out"])) or [None]
    asked: dict[str, Experiment] = {}
    left_out: dict[str, None] = {}
    with using(named):
        names = named or list(installed())
        for framework in () if named else frameworks():
            if not any(name.startswith(f"{framework}.") for name in names):
                left_out[f"{framework} is installed, but cannot be loaded"] = None
        for dim, fan_out, name in product(dims, fan_outs, names):
            try:
                experiment = question(name, dim, fan_out or dim, options["seed"], options["dtype"])
                check_initializer(experiment)
            except InputError as error:
                if named or "allowed" in str(error):
                    raise
                left_out[str(error).rpartition(";")[0]] = None
            else:
                asked.setdefault(experiment.key, experiment)
    return list(asked.values()), list(left_out)


def _surveyed(
    asked: Sequence[Experiment], options: dict[str, Any]
) -> tuple[list[Surveyed], str | None, bool]:
    """Return the rows that are done, a sentence on what ended them, and whether a person did."""
    from varsim.cli.own import using
    from varsim.cli.run import mappers
    from varsim.cli.screen import Watch
    from varsim.inference import check_workers
    from varsim.survey import survey

    rows: list[Surveyed] = []
    workers = check_workers(options["workers"])
    work = sum(experiment.dim * experiment.n for experiment in asked)
    try:
        with (
            using(experiment.init for experiment in asked),
            mappers(None, workers) as mapper,
            Watch(work, rows=len(asked), quiet=options["quiet"]) as watch,
        ):
            for experiment in asked:
                row = survey(experiment, options["draws"], options["confidence"], mapper)
                rows.extend(watch.over([row], experiment.dim * experiment.n))
                watch.next_row()
    except KeyboardInterrupt:
        return rows, None, True
    except InputError as error:
        return rows, str(error), False
    except (MemoryError, RuntimeError) as error:
        failure = f"the machine gave out ({error or 'no memory'}); take fewer workers"
        return rows, failure, False
    return rows, None, False
