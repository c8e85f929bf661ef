"""Options: the types of their values, and those that commands share."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import partial, reduce
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from varsim.catalog import FLOAT_TYPES, distributions
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.scales import ALIASES, SCALES, one_spelling
from varsim.cli.help import GroupedOption
from varsim.compute import lazy
from varsim.errors import InputError, nearest, quoted
from varsim.parsing import expand, is_range, items, number, split_calls
from varsim.report.formats import FORMATS, SUFFIXES
from varsim.usercode import stdout_to_stderr

gains, activations = lazy("varsim.activations.gains"), lazy("varsim.activations")
documented, secrets = lazy("varsim.initializers.documented"), lazy("secrets")

Names = Callable[[], Iterable[str]]

FIGURE_SUFFIXES = (".svg", ".png", ".pdf")
"""What figures are written as."""

MAX_BARE_PRECISION = 0.01
"""Above it a precision needs its sign %: 0.1 is typed for 0.1% more often than for 10%."""

_FEW = 3

_SHORT_FORMATS = {suffix.removeprefix("."): name for suffix, name in SUFFIXES.items()}

_ADDRESS = re.compile(r"(tcp|tls|ucx|ws|wss)://[^/\s]+:[0-9]{1,5}")
_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)"
_TIME = re.compile(f"(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m(?:in)?)?(?:{_AMOUNT}(?:s|sec)?)?")


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
        return completed(self._known)(ctx, param, incomplete)


def completed(
    known: Names,
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """Return what completes the last name of a list, as click asks for it."""

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, start = incomplete.rpartition(",")
        names = (name for name in known() if name.startswith(start))
        return [CompletionItem(before + comma + name) for name in names]

    return complete


class Name(click.Choice[str]):
    """One name of several, with the nearest known one named for a slip of the finger."""

    def __init__(self, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> None:
        """Take the names, in any capitals, and others that stand for one of them."""
        super().__init__(list(known), case_sensitive=False)
        self._aliases = aliases or {}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the name, or fail with a sentence."""
        return super().convert(self._aliases.get(str(value).lower(), value), param, ctx)

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Return the sentence for an unknown name."""
        is_short = len(self.choices) <= _FEW
        hint = f"take {' or '.join(self.choices)}" if is_short else nearest(value, self.choices)
        return f"{quoted(value)} is unknown; {hint}"


class File(click.Path):
    """A file to write; one of some suffixes is refused, with what to do instead."""

    def __init__(self, refused: Sequence[str] = (), advice: str = "") -> None:
        """Take the suffixes, and the advice, where ``{stem}`` is the file's name without it."""
        super().__init__(dir_okay=False, path_type=Path)
        self._refused, self._advice = refused, advice

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path, or fail with a sentence."""
        if not str(value):
            self.fail("the name is empty; give a file, such as results.csv", param, ctx)
        path = Path(value)
        if path.suffix.lower() in self._refused:
            advice = self._advice.format(stem=path.stem, file=path.name)
            self.fail(
                f"{quoted(value)} is a figure, and this command draws none; {advice}", param, ctx
            )
        return super().convert(value, param, ctx)


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
    text = text.strip()
    value = number(text.removesuffix("%"))
    if 1 < value < 100 and not text.endswith("%"):
        raise InputError(f"{quoted(text)} is above 1; write {text}%, or a share below 1")
    return float(value / 100 if text.endswith("%") else value)


def precision_share(text: str) -> float:
    """Return a share of a precision, which needs the sign % above 1 %."""
    text = text.strip()
    value = share(text)
    if MAX_BARE_PRECISION < value < 1 and not text.endswith("%"):
        raise InputError(
            f"{quoted(text)} is {100 * value:g}%, which is rarely meant; write {100 * value:g}%, "
            f"or {value:g}% for {value / 100:g}"
        )
    return value


def duration(text: str) -> float:
    """Return a time in seconds, of seconds or numbers with a unit each, like ``1h30m``."""
    parts = _TIME.fullmatch(text.strip().lower())
    amounts = zip(parts.groups(), (86400, 3600, 60, 1), strict=True) if parts else ()
    seconds = sum(float(amount) * unit for amount, unit in amounts if amount)
    if not seconds > 0:
        raise InputError(f"{quoted(text)} is not a time; write one like 90, 90s, 5m or 1h30m")
    return seconds


def _numbers(item: str) -> list[float]:
    return [float(value) for value in expand(item)]


def _shares(item: str) -> list[float]:
    return [share(item)] if item.endswith("%") else _numbers(item)


def _gains(item: str) -> list[float]:
    try:
        return _numbers(item)
    except InputError:
        if not item[:1].isalpha():
            raise
    with stdout_to_stderr():
        return [gains.gain(item)]


def _scales(item: str) -> list[str]:
    if is_range(item):
        return [str(v) if v.denominator == 1 else repr(float(v)) for v in expand(item)]
    try:
        return [one_spelling(item)]
    except (KeyError, InputError):
        return [item]  # for the question to refuse


def _activations(item: str) -> list[str]:
    try:
        name = activations.canonical_name(item)
    except InputError:
        return [item]  # for the question to refuse
    typed = item.lower()
    return [typed if activations.ALIASES.get(typed) == name else name]


def _activation_names() -> list[str]:
    return [*activations.ACTIVATIONS, *activations.ALIASES]


def _gain_names() -> list[str]:
    return [*_activation_names(), *(f"torch:{name}" for name in gains.TORCH)]


def _scheduler(text: str) -> str:
    address = text.strip()
    if address != "local" and not _ADDRESS.fullmatch(address):
        raise InputError(
            f"{quoted(text)} is not the address of a scheduler; give local, or one like "
            "tcp://localhost:8786"
        )
    return address


def _seed(text: str) -> int:
    if text.lower() == "random":
        return int(secrets.randbits(32))  # short enough to be typed again
    try:
        return whole_number(number(text))
    except InputError as error:
        raise InputError(f"{error.reason}; give a whole number, or random") from None


def _init_names() -> list[str]:
    return list(documented.names())


COUNT = Parsed("count", lambda text: whole_number(number(text)))
NUMBER = Parsed("number", lambda text: float(number(text)))
SHARE = Parsed("share", share)
PRECISION = Parsed("precision", precision_share)
DURATION = Parsed("duration", duration)
SCHEDULER = Parsed("scheduler", _scheduler, lambda: ["local"])
SEED = Parsed("seed", _seed, lambda: ["random"])

WHOLE_NUMBERS = listed(
    "whole numbers", lambda item: [whole_number(value) for value in expand(item, whole=True)]
)
NUMBERS = listed("numbers", _numbers)
SHARES = listed("shares", _shares)
GAINS = listed("gains", _gains, _gain_names)
RESIDUALS = listed(
    "residuals",
    lambda item: ["gpt2"] if item.lower() == "gpt2" else _numbers(item),
    lambda: ["gpt2"],
)
INITS = listed("initializers", known=_init_names, split=split_calls)
SCHEMES = listed("schemes", _scales, lambda: [*SCALES, *ALIASES])
ACTIVATIONS = listed("activations", _activations, _activation_names)

complete_activation = completed(_activation_names)
complete_init = completed(_init_names)


def names(known: Iterable[str]) -> Parsed:
    """Return the type of a list of names; whether they are known is for the question to say."""
    known = tuple(known)
    return listed("names", known=lambda: known)


HOW, OUT = "How it is sampled", "What comes out"


def option(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option in a group of the help."""
    return click.option(*flags, cls=GroupedOption, group=group, **kwargs)


shared = partial(option, shared=True)
"""An option that several commands have; one environment variable, without a command, is for all."""


def swept(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option that may be repeated."""
    return option(*flags, group=group, multiple=True, **kwargs)


def all_of(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return several options as one decorator, in their order."""
    return lambda command: reduce(lambda done, option: option(done), reversed(options), command)


# What follows as a partial has a help text of its own in every command.
scale = partial(swept, "-s", "--scale", type=SCHEMES, metavar="SCHEME")
gain = partial(swept, "-g", "--gain", type=GAINS, metavar="G")
init = partial(swept, "-i", "--init", type=INITS, metavar="NAME")
x_dist = partial(
    swept, "-x", "--x-dist", type=names([*DISTRIBUTIONS, *distributions.ALIASES]), metavar="DIST"
)
w_dist = partial(
    swept, "-w", "--w-dist", metavar="DIST",
    type=names(
        name
        for name in [*DISTRIBUTIONS, *distributions.ALIASES]
        if DISTRIBUTIONS[distributions.ALIASES.get(name, name)].for_weights
    ),
)  # fmt: skip
precision = partial(shared, "-p", "--precision", type=PRECISION, group=HOW, metavar="P")
histogram = partial(shared, "--histogram", is_flag=True, group=OUT)

seed = shared(
    "--seed", type=SEED, default=0, show_default=True, group=HOW, metavar="SEED",
    help="Root of the random streams; random draws one and shows it.",
)  # fmt: skip

dtype = shared(
    "--dtype", type=Name(FLOAT_TYPES), default="float32", show_default=True, group=HOW,
    metavar="TYPE", help="float32 or float64, for all that is drawn and multiplied.",
)  # fmt: skip

workers = shared(
    "-j", "--workers", type=COUNT, group=HOW, metavar="N",
    help="Threads or processes: they change the time, not the numbers.  [default: one per CPU]",
)  # fmt: skip

scheduler = shared(
    "--scheduler", type=SCHEDULER, group=HOW, metavar="ADDRESS",
    help="Compute on the Dask cluster at this address, such as tcp://host:8786, or on processes "
    "of this machine with local; the numbers are the same.",
)  # fmt: skip

confidence = shared(
    "--confidence", type=SHARE, default=0.95, show_default=True, group=HOW, metavar="P",
    help="Level of every interval.",
)  # fmt: skip

alpha = shared(
    "--alpha", type=SHARE, default=0.001, show_default=True, group="How it is judged",
    metavar="P", help="False-alarm rate that all verdicts of the table share (Holm).",
)  # fmt: skip

resume = shared(
    "--resume", is_flag=True, group=OUT,
    help="Add rows to the --output file (.jsonl or .csv) as they are done, and run only what is "
    "missing there.",
)  # fmt: skip

explain = shared("--explain", is_flag=True, group=OUT, help="Say why, with this run's own numbers.")
check = partial(shared, "--check", is_flag=True, group=OUT)

formats = shared(
    "-f", "--format", type=Name(FORMATS, _SHORT_FORMATS), default="table", show_default=True,
    group=OUT, metavar="FORMAT", help=f"{', '.join(FORMATS)}; to stdout.",
)  # fmt: skip

_WRITTEN = f"Also write FILE in the format of its suffix: {' '.join(SUFFIXES)}; repeats."


def _outputs(advice: str) -> Callable[[Any], Any]:
    return shared(
        "-o", "--output", type=File(FIGURE_SUFFIXES, advice), multiple=True, group=OUT,
        metavar="FILE", help=_WRITTEN,
    )  # fmt: skip


outputs = _outputs(f"give one of {', '.join(SUFFIXES)}")

quiet = shared(
    "-q", "--quiet", is_flag=True, group=OUT, help="No progress, caveats or summary on stderr."
)


def view(known: Names = tuple) -> Callable[[Any], Any]:
    """Return the options that say what is shown; the shell completes the known names."""
    return all_of(
        shared(
            "--columns", multiple=True, type=listed("columns", known=known), group=OUT,
            metavar="LIST",
            help="Show these fields, in this order, such as scale,ratio: see varsim help formats.",
        ),
        shared(
            "--sort", type=Parsed("column", str.strip, known), group=OUT, metavar="COLUMN",
            help="Sort the rows by this field; -COLUMN sorts from the largest down.",
        ),
    )  # fmt: skip


measuring = all_of(
    seed, dtype, workers, scheduler, confidence, alpha, formats,
    _outputs("write -o {stem}.jsonl, and then run: varsim plot {stem}.jsonl -o {file}"), resume,
)  # fmt: skip
"""What all commands that measure have in common."""
