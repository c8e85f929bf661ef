"""Options: the types of their values, and those that commands share."""

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES
from varsim.cli.help import GroupedOption
from varsim.compute import lazy
from varsim.parsing import (
    InputError,
    contained,
    expand,
    is_range,
    items,
    nearest,
    number,
    split_calls,
)
from varsim.report.formats import FORMATS, SUFFIXES

gains, builtin = lazy("varsim.activations.gains"), lazy("varsim.initializers.theory")

Names = Callable[[], Iterable[str]]

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:[0-9]{1,5}")
_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)"
_TIME = re.compile(f"(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m)?(?:{_AMOUNT}s?)?")


class Parsed(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 only
    """A value that a function reads from its text; a ValueError of it is a sentence."""

    def __init__(self, name: str, read: Callable[[str], Any], known: Names = tuple) -> None:
        """Take the name in a usage line, the function, and names that the shell completes."""
        self.name, self._read, self._known = name, read, known

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value, or fail with the sentence."""
        try:
            return self._read(str(value))
        except (ValueError, OverflowError) as error:
            self.fail(str(error), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Complete the last item of a list."""
        before, comma, start = incomplete.rpartition(",")
        return [
            CompletionItem(before + comma + name)
            for name in self._known()
            if name.startswith(start)
        ]


class Name(click.Choice[str]):
    """One name of several, with the nearest known one named for a slip of the finger."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the sentence for an unknown name."""
        return f"{value!r} is unknown; {nearest(str(value), self.choices)}"


def listed(
    name: str,
    values: Callable[[str], Sequence[Any]] = lambda item: [item],
    known: Names = tuple,
    split: Callable[[str], list[str]] = items,
) -> Parsed:
    """Return the type of a comma-separated list; ``values`` says what one item stands for."""
    return Parsed(name, lambda text: [v for item in split(text) for v in values(item)], known)


def whole_number(value: Fraction) -> int:
    """Return a whole number as an int, or raise an InputError."""
    if value.denominator != 1:
        raise InputError(f"{float(value):g} is not a whole number; give one like 512 or 1e3")
    return int(value)


def share(text: str) -> float:
    """Return a share: 0.001 for ``0.1%``, ``1/1000`` or ``0.001``."""
    value = number(text.strip().removesuffix("%"))
    return float(value / 100 if text.strip().endswith("%") else value)


def duration(text: str) -> float:
    """Return a time in seconds, of seconds or numbers with a unit each, like ``1h30m``."""
    parts = _TIME.fullmatch(text.strip().lower())
    amounts = zip(parts.groups(), (86400, 3600, 60, 1), strict=True) if parts else ()
    seconds = sum(float(amount) * unit for amount, unit in amounts if amount)
    if not seconds > 0:
        raise InputError(f"{text!r} is not a time; write one like 90, 90s, 5m or 1h30m")
    return seconds


def _numbers(item: str) -> list[float]:
    return [float(value) for value in expand(item)]


def _gains(item: str) -> list[float]:
    if not item[:1].isalpha():
        return _numbers(item)
    with contained():
        return [gains.gain(item)]


def _scales(item: str) -> list[str]:
    if not is_range(item):
        return [item]
    return [str(v) if v.denominator == 1 else repr(float(v)) for v in expand(item)]


def _scheduler(text: str) -> str:
    address = text.strip()
    if address != "local" and not _ADDRESS.fullmatch(address):
        raise InputError(
            f"{text!r} is not the address of a scheduler; give local, or one like "
            "tcp://localhost:8786"
        )
    return address


def _seed(text: str) -> int:
    if text.lower() == "random":
        return secrets.randbits(32)  # short enough to be typed again
    try:
        return whole_number(number(text))
    except InputError as error:
        raise InputError(f"{error.reason}; give a whole number, or random") from None


COUNT = Parsed("count", lambda text: whole_number(number(text)))
NUMBER = Parsed("number", lambda text: float(number(text)))
SHARE = Parsed("share", share)
DURATION = Parsed("duration", duration)
SCHEDULER = Parsed("scheduler", _scheduler)
SEED = Parsed("seed", _seed)

WHOLE_NUMBERS = listed(
    "whole numbers", lambda item: [whole_number(value) for value in expand(item, whole=True)]
)
NUMBERS = listed("numbers", _numbers)
GAINS = listed("gains", _gains)
RESIDUALS = listed("residuals", lambda item: ["gpt2"] if item.lower() == "gpt2" else _numbers(item))
INITS = listed("initializers", known=lambda: builtin.INITIALIZERS, split=split_calls)
SCHEMES = listed("schemes", _scales, lambda: [*SCALES, *ALIASES])


def names(known: Iterable[str]) -> Parsed:
    """Return the type of a list of names; whether they are known is for the question to say."""
    known = tuple(known)
    return listed("names", known=lambda: known)


HOW, OUT = "How it is sampled", "What comes out"


def option(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option in a group of the help."""
    return click.option(*flags, cls=GroupedOption, group=group, **kwargs)


def swept(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option that may be repeated."""
    return option(*flags, group=group, multiple=True, **kwargs)


def all_of(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return several options as one decorator, in their order."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


# These have a help text of their own in every command.
scale = partial(swept, "-s", "--scale", type=SCHEMES, metavar="SCHEME")
gain = partial(swept, "-g", "--gain", type=GAINS, metavar="G")
init = partial(swept, "-i", "--init", type=INITS, metavar="NAME")
x_dist = partial(swept, "-x", "--x-dist", type=names(DISTRIBUTIONS), metavar="DIST")
w_dist = partial(
    swept, "-w", "--w-dist", metavar="DIST",
    type=names(name for name, known in DISTRIBUTIONS.items() if known.for_weights),
)  # fmt: skip
precision = partial(option, "-p", "--precision", type=SHARE, group=HOW, metavar="P")
histogram = partial(option, "--histogram", is_flag=True, group=OUT)

seed = option(
    "--seed", type=SEED, default=0, show_default=True, group=HOW, metavar="SEED",
    help="Root of the random streams; random draws one and shows it.",
)  # fmt: skip

dtype = option(
    "--dtype", type=Name(list(FLOAT_TYPES)), default="float32", show_default=True, group=HOW,
    metavar="TYPE", help="float32 or float64, for all that is drawn and multiplied.",
)  # fmt: skip

workers = option(
    "-j", "--workers", type=COUNT, group=HOW, metavar="N",
    help="Threads: they change the time, not the numbers.  [default: one per CPU]",
)  # fmt: skip

scheduler = option(
    "--scheduler", type=SCHEDULER, group=HOW, metavar="ADDRESS",
    help="Compute on the Dask cluster at this address, such as tcp://host:8786, or on processes "
    "of this machine with local; the numbers are the same.",
)  # fmt: skip

confidence = option(
    "--confidence", type=NUMBER, default=0.95, show_default=True, group=HOW, metavar="P",
    help="Level of every interval.",
)  # fmt: skip

alpha = option(
    "--alpha", type=NUMBER, default=0.001, show_default=True, group="How it is judged",
    metavar="P", help="False-alarm rate that all verdicts of the table share (Holm).",
)  # fmt: skip

resume = option(
    "--resume", is_flag=True, group=OUT,
    help="Add rows to the --output file (.jsonl or .csv) as they are done, and run only what is "
    "missing there.",
)  # fmt: skip

check = option("--check", is_flag=True, group=OUT, help="Exit with 3 if a verdict disagrees.")

formats = option(
    "-f", "--format", type=Name(list(FORMATS)), default="table", show_default=True, group=OUT,
    metavar="FORMAT", help=f"{', '.join(FORMATS)}; to stdout.",
)  # fmt: skip

outputs = swept(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), group=OUT, metavar="FILE",
    help=f"Also write FILE in the format of its suffix: {' '.join(SUFFIXES)}; repeats.",
)  # fmt: skip

quiet = option(
    "-q", "--quiet", is_flag=True, group=OUT, help="No progress, caveats or summary on stderr."
)

measuring = all_of(seed, dtype, workers, scheduler, confidence, alpha, formats, outputs, resume)
"""What all commands that measure have in common."""
