"""The command ``varsim``: options, streams and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES

# NumPy and what needs it are imported where they are used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DISAGREED, DONE, FAILED, INTERRUPTED, MISUSED, UNMET
from varsim.cli.help import Program
from varsim.cli.options import HOW, OUT, option, swept
from varsim.cli.own import check_initializers, load_initializers, using
from varsim.cli.publish import Publisher, say_error
from varsim.cli.types import (
    Count,
    Duration,
    GainValues,
    Initializers,
    Names,
    Numbers,
    Scales,
    Share,
    WholeNumbers,
)
from varsim.layer.experiment import Experiment, Result
from varsim.parsing import InputError

if TYPE_CHECKING:
    from varsim.cli.run import Run
    from varsim.layer.inference import Start
    from varsim.storage.ledger import Ledger

_EXAMPLES = [
    ("varsim", "The question's three experiments: k = 1, D and √D at D = 512."),
    ("varsim --dim 512 --scale sqrt --explain", "One experiment, and why it comes out so."),
    ("varsim -d 64:4096:x2 -s none,sqrt,xavier -f markdown", "A sweep, ready to paste."),
    ("varsim -d 512 -s he -x rectified --check || echo wrong", "A test in a shell script."),
    (
        "varsim -d 64:4096:x2 --precision 0.1% -o sweep.jsonl --resume",
        "A long sweep: every row is kept, and the same command goes on.",
    ),
]

_EPILOG = (
    "Lists and ranges: 64,512  a:b  a:b:step  16:4096:x2 (factor 2)  1:100:log7 (7 log-spaced); "
    "ends are included, options repeat, and a sweep is every combination. "
    "Any option can come from the environment: VARSIM_SAMPLES=1e7. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a verdict disagrees (with --check), "
    "4 a precision was not met, 130 interrupted."
)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from varsim.cli.version import version_text

        click.echo(version_text())
        ctx.exit()


_WHAT, _ENTRIES = "What is multiplied (these sweep)", "Entries of x and W (these sweep)"
_LOADERS = {
    "plot": ("varsim.cli.plot", "Draw results of varsim as a figure."),
    "compare": ("varsim.cli.compare", "Compare two files of results, pair by pair."),
    "layers": ("varsim.cli.layers", "Follow signals and gradients through a deep stack."),
    "gains": ("varsim.cli.gains", "Print the gains of activations."),
    "init": ("varsim.cli.init", "Print what initializers claim, and what they do."),
    "help": ("varsim.cli.guide", "Explain a topic, such as sweeps, formats or statistics."),
}


@click.group(
    "varsim",
    cls=Program,
    loaders=_LOADERS,
    examples=_EXAMPLES,
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "VARSIM", "help_option_names": ["-h", "--help"]},
)
@swept("-d", "--dim", type=WholeNumbers(), group=_WHAT, metavar="D",
        help="Length of x, fan-in of W.  [default: 512]")  # fmt: skip
@swept("-s", "--scale", type=Scales([*SCALES, *ALIASES]), group=_WHAT, metavar="SCHEME",
        help="What W is divided by: "
        + ", ".join(f"{name} = {scale.formula}" for name, scale in SCALES.items())
        + ", a number, or D^p.  "
        + ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
        + ".  [default: none,linear,sqrt]")  # fmt: skip
@swept("--fan-out", type=WholeNumbers(), group=_WHAT, metavar="N",
        help="Fan-out n, for the schemes that use it.  [default: D]")  # fmt: skip
@swept("-g", "--gain", type=GainValues(), group=_WHAT, metavar="G",
        help="Gain g of the schemes that have one: a number, a fraction like 5/3, an activation "
        "like gelu for its own (see varsim gains), or torch:tanh for torch's.  "
        "[default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@swept("-i", "--init", type=Initializers(), group=_WHAT, metavar="NAME",
        help="Take W from an initializer, as it is, and hold it to the scheme: orthogonal, sparse, "
        "truncated_normal, trunc_normal; torch.nn.init.*, torch.nn.Linear, jax.nn.initializers.*, "
        "keras.initializers.*, as installed; or module:function for your own f(rng, shape). "
        "With arguments like 'name(gain=1.5)'.")  # fmt: skip
@swept("--design", type=Names(DESIGNS), group=_WHAT, metavar="DESIGN",
        help="; ".join(f"{name}: {d.summary}" for name, d in DESIGNS.items()) + ".")  # fmt: skip
@swept("-x", "--x-dist", type=Names(DISTRIBUTIONS), group=_ENTRIES, metavar="DIST",
        help="; ".join(f"{name}: {d.summary}" for name, d in DISTRIBUTIONS.items())
        + ".  [default: normal]")  # fmt: skip
@swept("-w", "--w-dist", type=Names(n for n, d in DISTRIBUTIONS.items() if d.for_weights),
        group=_ENTRIES, metavar="DIST",
        help="The same for W, without rectified.  [default: normal]")  # fmt: skip
@swept("--x-mean", type=Numbers(), group=_ENTRIES, metavar="M",
        help="Mean of the entries of x.  [default: 0]")  # fmt: skip
@swept("--x-std", type=Numbers(), group=_ENTRIES, metavar="S",
        help="Standard deviation of the entries of x.  [default: 1]")  # fmt: skip
@swept("--w-mean", type=Numbers(), group=_ENTRIES, metavar="M",
        help="Mean of the entries of W before the division.  [default: 0]")  # fmt: skip
@swept("--w-std", type=Numbers(), group=_ENTRIES, metavar="S",
        help="Standard deviation of W's entries before the division.  [default: 1]")  # fmt: skip
@option("-n", "--samples", type=Count(), group=HOW, metavar="N",
        help="Outputs of x @ W a row, at least.  [default: 1,000,000]")  # fmt: skip
@option("-p", "--precision", type=Share(), group=HOW, metavar="P",
        help="Instead of samples: sample every row to this relative standard error, 0.1% or "
        "0.001.")  # fmt: skip
@option("--max-samples", type=Count(), group=HOW, metavar="N",
        help="With --precision: end a row at so many outputs.")  # fmt: skip
@option("--max-time", type=Duration(), group=HOW, metavar="TIME",
        help="With --precision: end a row after 90s, 5m or 1h30m, but not before the 64 blocks "
        "of an error bar.")  # fmt: skip
@common.seed
@common.dtype
@common.workers
@common.scheduler
@common.confidence
@common.alpha
@common.formats
@common.outputs
@option("--resume", is_flag=True, group=OUT,
        help="Add each row to the --output file (.jsonl or .csv) as it is done, and run only "
        "what is missing there.")  # fmt: skip
@option("--histogram", is_flag=True, group=OUT,
        help="Count the outputs of every row, for machine formats and varsim plot.")  # fmt: skip
@common.check
@option("--plot", is_flag=True, group=OUT,
        help="Draw the rows as text: variances with theory, ratios with intervals.")  # fmt: skip
@option("--explain", is_flag=True, group=OUT, help="Say why, with this run's own numbers.")
@option("--dry-run", is_flag=True, group=OUT, help="Show what would run, its cost and its error.")
@common.quiet
@option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
         allow_from_autoenv=False, group="Help",
         help="Show the versions that the numbers depend on.")  # fmt: skip
@click.pass_context
def varsim(ctx: click.Context, /, **options: Any) -> int:
    """Compare the variance of x @ W with theory.

    Samples x and W with W divided by k, multiplies them, and prints the measured variance of the
    outputs beside D/k², with an error bar and a verdict.
    """
    if ctx.invoked_subcommand is not None:
        return DONE
    from varsim.cli.run import Terms, ending_signals_as_interrupt, expand, mappers, run
    from varsim.layer.inference import Start, check_probability, check_workers

    workers = check_workers(options["workers"])
    terms = Terms(
        confidence=check_probability("confidence", options["confidence"]),
        alpha=check_probability("alpha", options["alpha"]),
        max_seconds=_max_seconds(options),
        histogram=options["histogram"],
        quiet=options["quiet"],
    )
    experiments, notes = expand(_swept_values(options), _fixed_values(options), Experiment)
    load_initializers(experiments)
    kept, outputs = _kept_output(options)
    publisher = Publisher(
        options["format"], outputs, explain=options["explain"], quiet=options["quiet"],
        plot=options["plot"],
    )  # fmt: skip
    for note in [*notes, *publisher.obstacles()]:
        publisher.say(f"Note: {note}")
    if options["dry_run"] and (kept is None or not kept.exists()):
        return _planned(publisher, experiments, workers)
    with nullcontext() if kept is None else _opened(kept) as ledger:
        starts = [
            Start(e) if ledger is None else ledger.start(e, histogram=terms.histogram)
            for e in experiments
        ]
        for remark in [] if ledger is None else _remarks(ledger, starts):
            publisher.say(remark)
        if options["dry_run"]:
            left = [start.experiment for start in starts if start.done is None]
            return _planned(publisher, left, workers)
        with ending_signals_as_interrupt():
            check_initializers(start.experiment for start in starts if start.done is None)
            with using(e.init for e in experiments):
                finished = run(starts, terms, mappers(options["scheduler"], workers), ledger)
            written = publisher.report(experiments, finished, ledger)
    if finished.failure is not None:
        say_error(finished.failure)
    return _exit_code(experiments, finished, written=written, check=options["check"])


def _opened(path: Path) -> Ledger:
    from varsim.cli.keep import opened  # a run without --resume starts without it

    return opened(path)


def _remarks(ledger: Ledger, starts: Sequence[Start]) -> Iterator[str]:
    from varsim.cli.keep import remarks

    return remarks(ledger, starts)


def _planned(publisher: Publisher, experiments: Sequence[Experiment], workers: int) -> int:
    from varsim.report.plan import plan_sheet

    if not experiments:
        publisher.say("Nothing is left to run.")
        return DONE
    return DONE if publisher.write(plan_sheet(experiments, workers)) else FAILED


def _exit_code(
    experiments: Sequence[Experiment], finished: Run, *, written: bool, check: bool
) -> int:
    if finished.failure is not None:
        return FAILED
    if finished.interrupted:
        return INTERRUPTED
    if not written:
        return FAILED
    if check and not all(result.agrees for result in finished.results):
        return DISAGREED
    return DONE if all(map(_is_met, experiments, finished.results)) else UNMET


def _is_met(experiment: Experiment, result: Result) -> bool:
    return experiment.precision is None or result.relative_error <= experiment.precision


def _max_seconds(options: dict[str, Any]) -> float | None:
    seconds: float | None = options["max_time"]
    if seconds is not None and options["precision"] is None:
        raise InputError("--max-time bounds a --precision; give one, or leave it out")
    return seconds


def _kept_output(options: dict[str, Any]) -> tuple[Path | None, list[Path]]:
    """Return the output that rows are added to one by one, if any, and the others.

    Raises:
        InputError: There is not exactly one that can be.
    """
    outputs = list(options["output"])
    if not options["resume"]:
        return None, outputs
    from varsim.storage.ledger import SUITABLE

    suitable = [output for output in outputs if output.suffix.lower() in SUITABLE]
    if len(suitable) != 1:
        raise InputError(
            f"--resume goes on with one --output that ends in {' or '.join(SUITABLE)}, and there "
            f"are {len(suitable)}; give one"
        )
    outputs.remove(suitable[0])
    if any(os.path.realpath(output) == os.path.realpath(suitable[0]) for output in outputs):
        raise InputError(f"output {str(suitable[0])!r} is given twice; give it once")
    return suitable[0], outputs


def _swept_values(options: dict[str, Any]) -> dict[str, Sequence[Any]]:
    """Return the values of every swept field of an experiment, in the order of the table."""
    defaults: dict[str, tuple[str, list[Any]]] = {
        "dim": ("dim", [512]),
        "fan_out": ("fan_out", [None]),
        "x": ("x_dist", ["normal"]),
        "w": ("w_dist", ["normal"]),
        "x_mean": ("x_mean", [0.0]),
        "x_std": ("x_std", [1.0]),
        "w_mean": ("w_mean", [0.0]),
        "w_std": ("w_std", [1.0]),
        "init": ("init", [None]),
        "design": ("design", ["crossed"]),
        "gain": ("gain", [None]),
        "scale": ("scale", ["none", "linear", "sqrt"]),
    }
    return {
        field: list(chain.from_iterable(options[option])) or default
        for field, (option, default) in defaults.items()
    }


def _fixed_values(options: dict[str, Any]) -> dict[str, Any]:
    return {
        name: options[name] for name in ("samples", "precision", "max_samples", "seed", "dtype")
    }


def main() -> None:
    """Run the command and exit with its code; no mistake of a user ends in a traceback."""
    try:
        code = varsim.main(prog_name="varsim", standalone_mode=False)
    except click.ClickException as error:
        message = error.format_message()
        if "extra argument" in message:
            message += "; options take lists, like --dim 64,512: see varsim --help"
        say_error(message)
        code = error.exit_code
    except InputError as error:
        say_error(str(error))
        code = MISUSED
    except OSError as error:  # help and version; what publishes results handles its own
        say_error(f"stdout could not be written: {error.strerror}; send it elsewhere")
        os._exit(FAILED)  # a last flush would fail again
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    if code == INTERRUPTED:
        # A thread may be deep in a block, and Python would wait for it. All was flushed before.
        os._exit(code)
    sys.exit(code)
