"""The program ``varsim``: its commands, and its exit codes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from os import _exit as leave
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import layer
from varsim.cli.options import option
from varsim.cli.signals import INTERRUPTED, signals
from varsim.cli.streams import DONE, FAILED, MISUSED, is_in_notebook, say, say_error
from varsim.cli.usage import Program, unknown_variables
from varsim.compute import lazy, out_of_resources
from varsim.errors import InputError, quoted, shortened
from varsim.settings import LAYER

if TYPE_CHECKING:
    from varsim.cli import compare, gains, init, merge, model, plot, stack, tolerance
    from varsim.cli import help as help_
    from varsim.compute import provenance, streams
else:
    compare, gains = lazy("varsim.cli.compare"), lazy("varsim.cli.gains")
    help_ = lazy("varsim.cli.help")
    init, merge = lazy("varsim.cli.init"), lazy("varsim.cli.merge")
    plot, stack = lazy("varsim.cli.plot"), lazy("varsim.cli.stack")
    model, tolerance = lazy("varsim.cli.model"), lazy("varsim.cli.tolerance")
    streams, provenance = lazy("varsim.compute.streams"), lazy("varsim.compute.provenance")

_EXAMPLES = [
    ("varsim", "Three experiments: k = 1, D and √D at D = 512."),
    ("varsim --dim 512 --scale sqrt --explain", "One experiment, with an explanation."),
    ("varsim -d 64:4096:x2 -s none,sqrt,xavier -f markdown", "A sweep, ready to paste."),
    ("varsim -d 512 -s he -x rectified --check || echo wrong", "A test in a shell script."),
    ("varsim layers -a relu -s xavier,he --depth 50", "A deep stack, layer by layer."),
    (
        "varsim -d 64:4096:x2 --precision 0.1% -o sweep.jsonl --resume",
        "A long sweep: finished rows are on disk, and the same command continues it.",
    ),
]

_EPILOG = (
    "Lists and ranges: 64,512  a:b  a:b:step  16:4096:x2 (factor 2)  1:100:log7 (7 log-spaced); "
    "ends are included, options may be repeated, and a sweep runs every combination. "
    "Numbers: 512, 1e3, 10k, 1M, 5/3, 2^9, sqrt(2); shares also as 95%. "
    "Any option can come from the environment: VARSIM_SAMPLES=1e7 for varsim itself, VARSIM_SEED=7 "
    "for all commands that have the option, and VARSIM_LAYERS_SEED=7 for varsim layers alone. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a verdict disagrees or a variance is "
    "outside its band (with --check), 4 a precision was not met, 130 interrupted."
)


def _show_version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        click.echo(provenance.version_text(streams.BIT_GENERATOR.__name__))
        ctx.exit()


_COMPLETION = "_VARSIM_COMPLETE"

# What click's own sentences show in full; a path is rarely longer.
_LONG_WORD = re.compile(r"\S{200,}")


def _subcommands() -> dict[str, Callable[[], click.Command]]:
    """Return a loader of each command, in the order of the help."""
    return {
        "plot": lambda: plot.command,
        "compare": lambda: compare.command,
        "merge": lambda: merge.command,
        "layers": lambda: stack.command,
        "gains": lambda: gains.command,
        "init": lambda: init.command,
        "model": lambda: model.command,
        "tolerance": lambda: tolerance.command,
        "help": lambda: help_.command,
    }


@click.group(
    "varsim",
    cls=Program,
    subcommands=_subcommands(),
    invoke_without_command=True,
    subcommand_metavar="[COMMAND ...]",
    examples=_EXAMPLES,
    essential=("dim", "scale", "samples", "precision", "explain", "output"),
    epilog=_EPILOG,
    context_settings={"auto_envvar_prefix": "VARSIM"},
)
@layer.options
@option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
         allow_from_autoenv=False, group="Help",
         help="Show the versions that the numbers depend on.")  # fmt: skip
@click.pass_context
def varsim(ctx: click.Context, /, **given: Any) -> int:
    """Compare the variance of x @ W with theory.

    Samples x and W, divides W by k, and multiplies them. Prints the measured variance of the
    outputs beside D/k², with an error bar and a verdict.
    """
    if ctx.invoked_subcommand is not None:
        return DONE
    return layer.measure_layer(layer.LayerOptions.of(given, LAYER))


def _with_its_variable(message: str) -> str:
    """Return a sentence on a wrong value, with the variable of the environment that has it."""
    for name, value in os.environ.items():
        setting = name.rpartition("_")[2].lower()
        if name.startswith("VARSIM_") and (
            quoted(value) in message or f"{setting} is {value};" in message
        ):
            return f"{message.rstrip('.')}; it is from the variable {name}"
    return message


def _sentence_on(error: OSError) -> str:
    """Return the sentence for an error of the system that no command has handled."""
    if error.filename is not None:
        return f"{quoted(error.filename)} cannot be used: {error.strerror}"
    if isinstance(error, FileNotFoundError):  # of a relative path
        return "the current folder was deleted; change to another one"
    return f"stdout could not be written: {error.strerror}; send it elsewhere"


def _check_completion() -> None:
    """Refuse a variable of completion that is not as a shell sets it."""
    value = os.environ.get(_COMPLETION)
    if not value:
        return
    from click.shell_completion import get_completion_class  # a run needs none

    shell, _, step = value.partition("_")
    words, word = os.environ.get("COMP_WORDS"), os.environ.get("COMP_CWORD", "")
    is_asked = step == "complete" and words is not None and (shell == "fish" or word.isdecimal())
    if get_completion_class(shell) is None or not (step == "source" or is_asked):
        raise InputError(
            f"the variable {_COMPLETION} is {quoted(value)}, but not as a shell's completion sets "
            "it; give bash_source, zsh_source or fish_source, or unset it"
        )


def main() -> None:
    """Run the command and exit with its code; no mistake of a user ends in a traceback."""
    if is_in_notebook():  # it shows escape codes, and every frame of an animation
        os.environ["TERM"] = "dumb"
    try:
        with signals:
            _check_completion()
            code = varsim.main(prog_name="varsim", standalone_mode=False)
            for note in unknown_variables(varsim):  # after the checks: an error is the only output
                say(note)
    except click.ClickException as error:
        message = _LONG_WORD.sub(lambda match: shortened(match[0]), error.format_message())
        if "extra argument" in message:
            problem, _, given = message.partition("(")
            message = f"{problem}({shortened(given.removesuffix(')'))})"
            message += "; options take lists, like --dim 64,512: see varsim --help"
        say_error(_with_its_variable(message))
        code = error.exit_code
    except InputError as error:
        say_error(_with_its_variable(str(error)))
        code = MISUSED
    except MemoryError as error:
        say_error(out_of_resources(error))
        code = FAILED
    except OSError as error:  # of help and version; what publishes results handles its own
        say_error(_sentence_on(error))
        leave(FAILED)  # a last flush would fail again
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    except RuntimeError:  # Python's, where a signal arrives while a class is made
        if not signals.received:
            raise
        code = INTERRUPTED
    if code == INTERRUPTED:
        # A thread may be deep in a block, and Python would wait for it. All was flushed before.
        leave(code)
    sys.exit(code)
