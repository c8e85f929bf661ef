"""The command ``varsim init``: what initializers claim, and what they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import click

# What needs NumPy is imported where it is used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DISAGREED, DONE, FAILED, INTERRUPTED
from varsim.cli.help import GroupedCommand
from varsim.cli.options import HOW, option, swept
from varsim.cli.publish import Publisher, say_error
from varsim.cli.types import Count, WholeNumbers
from varsim.compute import Mapper, R, T
from varsim.layer.experiment import Experiment
from varsim.parsing import InputError, split_calls

if TYPE_CHECKING:
    from varsim.cli.terminal import Watch
    from varsim.layer.check import Surveyed

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
    from varsim.cli.user_code import running
    from varsim.layer.check import MIN_DRAWS, judge
    from varsim.layer.inference import check_probability, check_workers
    from varsim.report.survey import survey_sheet

    check_probability("confidence", options["confidence"])
    check_probability("alpha", options["alpha"])
    options["workers"] = check_workers(options["workers"])
    if not MIN_DRAWS <= options["draws"] <= 10**6:
        raise InputError(f"draws is {options['draws']:,}; give a number from {MIN_DRAWS} to 1e6")
    publisher = Publisher(
        options["format"], options["output"], explain=False, quiet=options["quiet"]
    )
    for note in publisher.obstacles():
        publisher.say(f"Note: {note}")
    with ending_signals_as_interrupt():
        names = _named(options["names"])
        if not names:
            publisher.say(_found())
        done = _Done(strict=bool(names))
        with running(names):
            _survey(done, _asked(done, names, options), options)
        rows = judge(done.rows, options["alpha"])
        sheet = survey_sheet(rows, done.remarks) if rows else None
        written = True if sheet is None else publisher.write(sheet)
    for sentence in [] if sheet is None else sheet.caveats:
        publisher.say(f"Caveat: {sentence}")
    if done.left_out:
        publisher.say(f"Left out: {'; '.join(done.left_out.values())}.")
    if done.failure is not None:
        say_error(done.failure)
    if done.interrupted:
        return INTERRUPTED
    if done.failure is not None or not written:
        return FAILED
    return DISAGREED if options["check"] and any(r.agrees is False for r in rows) else DONE


@dataclass
class _Done:
    """What a run gave: the rows that are done, why others are left out, and how it ended.

    Attributes:
        strict: Whether an initializer that cannot be used is an error, and not left out.
        rows: Those that are done, without verdicts.
        left_out: A clause on each initializer that cannot be used, by its name.
        failure: A sentence on what ended it before its end, or None.
        interrupted: Whether a person did.
        remarks: A sentence on rows that were not done, if there are any.
    """

    strict: bool
    rows: list[Surveyed] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    failure: str | None = None
    interrupted: bool = False
    remarks: Sequence[str] = ()

    def leave_out(self, name: str, error: InputError) -> None:
        """Take note that an initializer cannot be used, or raise the error."""
        if self.strict:
            raise error
        reason, _, advice = str(error).rpartition(";")
        self.left_out.setdefault(name, reason or advice)


def _named(texts: Sequence[str]) -> list[str]:
    return list(chain.from_iterable(map(split_calls, texts)))


def _found() -> str:
    """Return a sentence on which frameworks there are; none of them is loaded for it."""
    from varsim.compute.provenance import FRAMEWORKS, frameworks

    there = frameworks()
    found = ", ".join(f"{name} {version}" for name, version in there.items()) or "no framework"
    missing = ", ".join(name for name in FRAMEWORKS if name not in there)
    return f"Found: {found}{missing and f'; not installed: {missing}'}."


def _asked(done: _Done, names: Sequence[str], options: dict[str, Any]) -> list[Experiment]:
    """Return what is asked of every initializer that is named, or of all, at every shape.

    Raises:
        InputError: A shape is not allowed, or what is named cannot be used.
    """
    from varsim.initializers import installed, unloadable
    from varsim.layer.check import question
    from varsim.layer.sampling import check_initializer

    dims = list(chain.from_iterable(options["dim"])) or [512]
    fan_outs = list(chain.from_iterable(options["fan_out"])) or [None]
    shapes = [(dim, fan_out or dim) for dim, fan_out in product(dims, fan_outs)]
    fixed = {"seed": options["seed"], "dtype": options["dtype"]}
    for shape in shapes:
        question("trunc_normal", *shape, **fixed)  # which takes any shape that is allowed
    if not names:
        names = list(installed())
        done.left_out |= {
            name: f"{name} cannot be loaded ({why})" for name, why in unloadable().items()
        }
    asked: dict[str, Experiment] = {}
    for shape, name in product(shapes, names):
        try:
            experiment = question(name, *shape, **fixed)
            if done.strict:
                check_initializer(experiment)
        except InputError as error:
            done.leave_out(name, error)
        else:
            asked.setdefault(experiment.key, experiment)
    return list(asked.values())


def _survey(done: _Done, asked: Sequence[Experiment], options: dict[str, Any]) -> None:
    """Survey one after the other; whatever ends it, the rows that are done are kept."""
    from varsim.cli.run import mappers
    from varsim.cli.terminal import Watch

    work, count = options["draws"] * sum(e.dim * e.n for e in asked), 0
    try:
        with (
            mappers(None, options["workers"]) as mapper,
            Watch(work, rows=len(asked), quiet=options["quiet"]) as watch,
        ):
            for experiment in asked:
                _add(done, experiment, options, _watched(mapper, watch, experiment))
                watch.next_row()
                count += 1
    except KeyboardInterrupt:
        done.interrupted = True
    except InputError as error:
        done.failure = str(error)
    except (MemoryError, RuntimeError) as error:
        done.failure = f"the machine gave out ({error or 'no memory'}); take fewer workers"
    if count < len(asked):
        how = "Interrupted" if done.interrupted else "Ended early"
        done.remarks = [f"{how}: {count} of {len(asked)} initializers were done."]


def _add(done: _Done, experiment: Experiment, options: dict[str, Any], mapper: Mapper) -> None:
    """Add the row of an initializer, or the reason why it has none."""
    from varsim.layer.check import survey
    from varsim.layer.sampling import check_initializer

    try:
        if not done.strict:
            check_initializer(experiment)
        done.rows.append(survey(experiment, options["draws"], options["confidence"], mapper))
    except InputError as error:
        done.leave_out(str(experiment.init), error)


def _watched(mapper: Mapper, watch: Watch, experiment: Experiment) -> Mapper:
    """Return a mapper that shows a person each draw that is done."""

    def watched(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        return watch.over(mapper(function, items), experiment.dim * experiment.n)

    return watched
