"""The command ``varsim``: options, streams and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

# NumPy and what needs it are imported where they are used: help and completion start without.
from varsim.cli.help import GroupedCommand, GroupedOption
from varsim.cli.params import Count, Name, Names, Number, Numbers, Scales, Seed, WholeNumbers
from varsim.cli.publish import Publisher, say_error
from varsim.designs import DESIGNS
from varsim.distributions import DISTRIBUTIONS
from varsim.experiment import FLOAT_TYPES, InputError
from varsim.report.formats import FORMATS, SUFFIXES
from varsim.scales import ALIASES, SCALES

DONE, FAILED, MISUSED, DISAGREED, INTERRUPTED = 0, 1, 2, 3, 130

_EXAMPLES = [
    ("varsim", "The question's three experiments: k = 1, D and √D at D = 512."),
    ("varsim --dim 512 --scale sqrt --explain", "One experiment, and why it comes out so."),
    ("varsim -d 64:4096:x2 -s none,sqrt,xavier -f markdown", "A sweep, ready to paste."),
    ("varsim -d 512 -s he -x rectified --check || echo wrong", "A test in a shell script."),
]

_EPILOG = (
    "Lists and ranges: 64,512  a:b  a:b:step  16:4096:x2 (factor 2)  1:100:log7 (7 log-spaced); "
    "ends are included, options repeat, and a sweep is every combination. "
    "Any option can come from the environment: VARSIM_SAMPLES=1e7. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a verdict disagrees (with --check), "
    "130 interrupted."
)


def _swept(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    return click.option(*flags, cls=GroupedOption, group=group, multiple=True, **kwargs)


def _option(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    return click.option(*flags, cls=GroupedOption, group=group, **kwargs)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from varsim.cli.version import version_text

        click.echo(version_text())
        ctx.exit()


_WHAT, _ENTRIES = "What is multiplied (these sweep)", "Entries of x and W (these sweep)"
_HOW, _OUT = "How it is sampled", "What comes out"


@click.command(
    "varsim",
    cls=GroupedCommand,
    examples=_EXAMPLES,
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "VARSIM", "help_option_names": ["-h", "--help"]},
)
@_swept("-d", "--dim", type=WholeNumbers(), group=_WHAT, metavar="D",
        help="Length of x, fan-in of W.  [default: 512]")  # fmt: skip
@_swept("-s", "--scale", type=Scales([*SCALES, *ALIASES]), group=_WHAT, metavar="SCHEME",
        help="What W is divided by: "
        + ", ".join(f"{name} = {scale.formula}" for name, scale in SCALES.items())
        + ", a number, or D^p.  "
        + ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
        + ".  [default: none,linear,sqrt]")  # fmt: skip
@_swept("--fan-out", type=WholeNumbers(), group=_WHAT, metavar="N",
        help="Fan-out n, for the schemes that use it.  [default: D]")  # fmt: skip
@_swept("-g", "--gain", type=Numbers(), group=_WHAT, metavar="G",
        help="Gain g of the schemes that have one: a number or a fraction like 5/3.  "
        "[default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@_swept("--design", type=Names(DESIGNS), group=_WHAT, metavar="DESIGN",
        help="; ".join(f"{name}: {d.summary}" for name, d in DESIGNS.items()) + ".")  # fmt: skip
@_swept("-x", "--x-dist", type=Names(DISTRIBUTIONS), group=_ENTRIES, metavar="DIST",
        help="; ".join(f"{name}: {d.summary}" for name, d in DISTRIBUTIONS.items())
        + ".  [default: normal]")  # fmt: skip
@_swept("-w", "--w-dist", type=Names(n for n, d in DISTRIBUTIONS.items() if d.for_weights),
        group=_ENTRIES, metavar="DIST",
        help="The same for W, without rectified.  [default: normal]")  # fmt: skip
@_swept("--x-mean", type=Numbers(), group=_ENTRIES, metavar="M",
        help="Mean of the entries of x.  [default: 0]")  # fmt: skip
@_swept("--x-std", type=Numbers(), group=_ENTRIES, metavar="S",
        help="Standard deviation of the entries of x.  [default: 1]")  # fmt: skip
@_swept("--w-mean", type=Numbers(), group=_ENTRIES, metavar="M",
        help="Mean of the entries of W before the division.  [default: 0]")  # fmt: skip
@_swept("--w-std", type=Numbers(), group=_ENTRIES, metavar="S",
        help="Standard deviation of W's entries before the division.  [default: 1]")  # fmt: skip
@_option("-n", "--samples", type=Count(), default=1_000_000, group=_HOW, metavar="N",
         help="Outputs of x @ W a row, at least.  [default: 1,000,000]")  # fmt: skip
@_option("--seed", type=Seed(), default=0, show_default=True, group=_HOW, metavar="SEED",
         help="Root of the random streams; random draws one and shows it.")  # fmt: skip
@_option("--dtype", type=Name(list(FLOAT_TYPES)), default="float32", show_default=True, group=_HOW,
         metavar="TYPE", help="float32 or float64, for x, W and the product.")  # fmt: skip
@_option("-j", "--workers", type=Count(), group=_HOW, metavar="N",
         help="Threads: they change the time, not the numbers.  [default: one a CPU]")  # fmt: skip
@_option("--confidence", type=Number(), default=0.95, show_default=True, group=_HOW, metavar="P",
         help="Level of every row's interval.")  # fmt: skip
@_option("--alpha", type=Number(), default=0.001, show_default=True, group=_HOW, metavar="P",
         help="False-alarm rate that all verdicts of the table share (Holm).")  # fmt: skip
@_option("-f", "--format", type=Name(list(FORMATS)), default="table",
         show_default=True, group=_OUT, metavar="FORMAT",
         help=f"{', '.join(FORMATS)}; to stdout.")  # fmt: skip
@_swept("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), group=_OUT,
        metavar="FILE",
        help=f"Also write FILE in the format of its suffix: {' '.join(SUFFIXES)}; "
        "repeats.")  # fmt: skip
@_option("--check", is_flag=True, group=_OUT, help="Exit with 3 if a verdict disagrees.")
@_option("--explain", is_flag=True, group=_OUT, help="Say why, with this run's own numbers.")
@_option("--dry-run", is_flag=True, group=_OUT, help="Show what would run, its cost and its error.")
@_option("-q", "--quiet", is_flag=True, group=_OUT,
         help="No progress, caveats or summary on stderr.")  # fmt: skip
@_option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
         allow_from_autoenv=False, group="Help",
         help="Show the versions that the numbers depend on.")  # fmt: skip
def varsim(check: bool, dry_run: bool, **options: Any) -> int:
    """Compare the variance of x @ W with theory.

    Samples x and W with W divided by k, multiplies them, and prints the measured variance of the
    outputs beside D/k², with an error bar and a verdict.
    """
    from varsim.cli.run import expand, run
    from varsim.inference import check_probability, check_workers

    publisher = Publisher(
        options["format"],
        options["output"],
        explain=options["explain"],
        quiet=options["quiet"],
    )
    workers = check_workers(options["workers"])
    confidence = check_probability("confidence", options["confidence"])
    alpha = check_probability("alpha", options["alpha"])
    experiments, notes = expand(_swept_values(options), _fixed_values(options))
    for note in [*notes, *publisher.obstacles()]:
        publisher.say(f"Note: {note}")
    if dry_run:
        from varsim.report.plan import plan_sheet

        return _exit_code(publisher.write(plan_sheet(experiments, workers)))
    finished = run(
        experiments,
        workers=workers,
        confidence=confidence,
        alpha=alpha,
        quiet=options["quiet"],
    )
    written = publisher.report(experiments, finished)
    if finished.failure is not None:
        say_error(finished.failure)
        return FAILED
    if finished.interrupted:
        return INTERRUPTED
    if written and check and not all(result.agrees for result in finished.results):
        return DISAGREED
    return _exit_code(written)


def _exit_code(written: bool) -> int:
    return DONE if written else FAILED


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
        "design": ("design", ["crossed"]),
        "gain": ("gain", [None]),
        "scale": ("scale", ["none", "linear", "sqrt"]),
    }
    return {
        field: list(chain.from_iterable(options[option])) or default
        for field, (option, default) in defaults.items()
    }


def _fixed_values(options: dict[str, Any]) -> dict[str, Any]:
    return {name: options[name] for name in ("samples", "seed", "dtype")}


def main() -> None:
    """Run the command and exit with its code; no mistake of a user ends in a traceback."""
    try:
        code = varsim.main(prog_name="varsim", standalone_mode=False)
    except click.ClickException as error:
        message = error.format_message()
        if "extra argument" in message:
            message += "; options take lists, like --dim 64,512: see varsim --help"
        say_error(message)
        code = MISUSED
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
