"""The command ``varsim``: its options, its commands, and how it ends."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

import click

from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import ALIASES as OTHER_NAMES
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli import commands, guide
from varsim.cli import options as common
from varsim.cli.help import Program
from varsim.cli.options import HOW, OUT, option, swept
from varsim.cli.publish import DONE, FAILED, INTERRUPTED, MISUSED, say_error
from varsim.compute import lazy, out_of_resources
from varsim.errors import InputError, shortened

run, streams = lazy("varsim.cli.run"), lazy("varsim.compute.streams")
result = lazy("varsim.layer.result")
provenance = lazy("varsim.compute.provenance")

_EXAMPLES = [
    ("varsim", "The question's three experiments: k = 1, D and √D at D = 512."),
    ("varsim --dim 512 --scale sqrt --explain", "One experiment, and why it comes out so."),
    ("varsim -d 64:4096:x2 -s none,sqrt,xavier -f markdown", "A sweep, ready to paste."),
    ("varsim -d 512 -s he -x rectified --check || echo wrong", "A test in a shell script."),
    ("varsim layers -a relu -s xavier,he --depth 50", "A deep stack, layer by layer."),
    (
        "varsim -d 64:4096:x2 --precision 0.1% -o sweep.jsonl --resume",
        "A long sweep: every row is kept, and the same command continues it.",
    ),
]

_EPILOG = (
    "Lists and ranges: 64,512  a:b  a:b:step  16:4096:x2 (factor 2)  1:100:log7 (7 log-spaced); "
    "ends are included, options repeat, and a sweep is every combination. "
    "Numbers: 512, 1e3, 10k, 1M, 5/3, 2^9, sqrt(2); shares also as 95%. "
    "Any option can come from the environment: VARSIM_SAMPLES=1e7 for varsim itself, VARSIM_SEED=7 "
    "for all commands that have the option, and VARSIM_LAYERS_SEED=7 for varsim layers alone. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a verdict disagrees (with --check), "
    "4 a precision was not met, 130 interrupted."
)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(provenance.version_text(streams.BIT_GENERATOR.__name__))
        ctx.exit()


# What click's own sentences show in full; a path is rarely longer.
_LONG_WORD = re.compile(r"\S{200,}")

_WHAT, _ENTRIES = "What is multiplied (these sweep)", "Entries of x and W (these sweep)"


@click.group(
    "varsim",
    cls=Program,
    commands=[
        commands.plot,
        commands.compare,
        commands.merge,
        commands.layers,
        commands.gains,
        commands.init,
        guide.help,
    ],
    invoke_without_command=True,
    subcommand_metavar="[COMMAND ...]",
    examples=_EXAMPLES,
    essential=("dim", "scale", "samples", "precision", "explain", "output"),
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "VARSIM"},
)
@swept("-d", "--dim", type=common.WHOLE_NUMBERS, group=_WHAT, metavar="D",
        help="Length of x, fan-in of W.  [default: 512]")  # fmt: skip
@common.scale(group=_WHAT,
        help="What W is divided by: "
        + ", ".join(f"{name} = {scale.formula}" for name, scale in SCALES.items())
        + ", a number, or D^p; D and sqrt(D) work too.  "
        + ", ".join(f"{alias} is {name}" for alias, name in ALIASES.items())
        + ".  [default: none,linear,sqrt]")  # fmt: skip
@swept("--fan-out", type=common.WHOLE_NUMBERS, group=_WHAT, metavar="N",
        help="Fan-out n, for the schemes that use it.  [default: D]")  # fmt: skip
@common.gain(group=_WHAT,
        help="Gain g of the schemes that have one: a number, a fraction like 5/3, an activation "
        "like gelu for its own (see varsim gains), or torch:tanh for torch's.  "
        "[default: √2 for he and he-fan-out, else 1]")  # fmt: skip
@common.init(group=_WHAT,
        help="Take W from an initializer, undivided, and compare it with the scheme: orthogonal, "
        "sparse, truncated_normal, trunc_normal; torch.nn.init.*, torch.nn.Linear, "
        "jax.nn.initializers.*, keras.initializers.*, as installed; or module:function for your "
        "own f(rng, shape). With arguments like 'name(gain=1.5)'.")  # fmt: skip
@swept("--design", type=common.names(DESIGNS), group=_WHAT, metavar="DESIGN",
        help="; ".join(f"{name}: {d.summary}" for name, d in DESIGNS.items()) + ".")  # fmt: skip
@common.x_dist(group=_ENTRIES,
        help="; ".join(f"{name}: {d.summary}" for name, d in DISTRIBUTIONS.items())
        + ".  "
        + ", ".join(f"{alias} is {name}" for alias, name in OTHER_NAMES.items())
        + ".  [default: normal]")  # fmt: skip
@common.w_dist(group=_ENTRIES, help="The same for W, without rectified.  [default: normal]")
@swept("--x-mean", type=common.NUMBERS, group=_ENTRIES, metavar="M",
        help="Mean of the entries of x.  [default: 0]")  # fmt: skip
@swept("--x-std", type=common.NUMBERS, group=_ENTRIES, metavar="S",
        help="Standard deviation of the entries of x.  [default: 1]")  # fmt: skip
@swept("--w-mean", type=common.NUMBERS, group=_ENTRIES, metavar="M",
        help="Mean of the entries of W before the division.  [default: 0]")  # fmt: skip
@swept("--w-std", type=common.NUMBERS, group=_ENTRIES, metavar="S",
        help="Standard deviation of W's entries before the division.  [default: 1]")  # fmt: skip
@option("-n", "--samples", type=common.COUNT, group=HOW, metavar="N",
        help="Minimum number of outputs of x @ W per row.  [default: as many as give a relative "
        "standard error of 0.1% for crossed, 1,000,000 for others]")  # fmt: skip
@common.precision(
        help="Instead of samples: sample every row to this relative standard error, 0.1% or "
        "0.001; above 1% with its sign.")  # fmt: skip
@option("--max-samples", type=common.COUNT, group=HOW, metavar="N",
        help="With --precision: cap each row at N outputs.")  # fmt: skip
@option("--max-time", type=common.DURATION, group=HOW, metavar="TIME",
        help="With --precision: cap each row at 90s, 5m or 1h30m, never below its first 64 "
        "blocks.")  # fmt: skip
@common.measuring
@common.view(lambda: result.RESULTS.names)
@common.histogram(
        help="Count the outputs of every row, for machine formats and varsim plot.")  # fmt: skip
@common.check(help="Exit with 3 if a verdict disagrees.")
@option("--plot", is_flag=True, group=OUT,
        help="Draw the rows as text: variances with theory, ratios with intervals.")  # fmt: skip
@common.explain
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
    return int(run.results(options))


def main() -> None:
    """Run the command and exit with its code; no mistake of a user ends in a traceback."""
    try:
        code = varsim.main(prog_name="varsim", standalone_mode=False)
    except click.ClickException as error:
        message = _LONG_WORD.sub(lambda match: shortened(match[0]), error.format_message())
        if "extra argument" in message:
            problem, _, given = message.partition("(")
            message = f"{problem}({shortened(given.removesuffix(')'))})"
            message += "; options take lists, like --dim 64,512: see varsim --help"
        say_error(message)
        code = error.exit_code
    except InputError as error:
        say_error(str(error))
        code = MISUSED
    except MemoryError as error:
        say_error(out_of_resources(error))
        code = FAILED
    except OSError as error:  # help and version; what publishes results handles its own
        say_error(f"stdout could not be written: {error.strerror}; send it elsewhere")
        os._exit(FAILED)  # a last flush would fail again
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    if code == INTERRUPTED:
        # A thread may be deep in a block, and Python would wait for it. All was flushed before.
        os._exit(code)
    sys.exit(code)
