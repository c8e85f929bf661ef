"""Settings: names, readers of their values, and sweeps.

Every setting is defined once, here. The options of the command line and the arguments of the
Python interface follow from it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import (
    TYPE_CHECKING,
    NamedTuple,
    Protocol,
    SupportsFloat,
    SupportsIndex,
    TypeAlias,
    TypedDict,
    TypeVar,
    runtime_checkable,
)

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.designs import DESIGNS
from varsim.catalog.distributions import ALIASES as OTHER_DISTRIBUTIONS
from varsim.catalog.distributions import FOR_WEIGHTS, SUMMARIES
from varsim.catalog.norms import NORMS
from varsim.catalog.scales import ALIASES as OTHER_SCALES
from varsim.catalog.scales import SCALES, TAKE_A_GAIN, find_scale, one_spelling
from varsim.compute import lazy
from varsim.errors import InputError, nearest, quoted
from varsim.parsing import MAX_VALUES, expand, is_range, items, number, split_calls

if TYPE_CHECKING:
    import secrets

    from varsim import activations, initializers
    from varsim.activations import gains
    from varsim.initializers import documented
else:
    initializers = lazy("varsim.initializers")
    gains, activations = lazy("varsim.activations.gains"), lazy("varsim.activations")
    documented, secrets = lazy("varsim.initializers.documented"), lazy("secrets")

Names: TypeAlias = Callable[[], Iterable[str]]

MAX_BARE_PRECISION = 0.01
"""Above it a precision needs its sign %: 0.1 is typed for 0.1% more often than for 10%."""

_FEW = 3

_AMOUNT = r"([0-9]{1,9}(?:\.[0-9]{0,9})?)"
_TIME = re.compile(f"(?:{_AMOUNT}d)?(?:{_AMOUNT}h)?(?:{_AMOUNT}m(?:in)?)?(?:{_AMOUNT}(?:s|sec)?)?")


# --- readers: text to values


class Reader(NamedTuple):
    """Reads the values of a setting.

    Attributes:
        name: The values, in a word or two.
        read: Returns the values of a text; raises a ValueError with a sentence.
        known: Returns names for completion in a shell.
    """

    name: str
    read: Callable[[str], Sequence[object]]
    known: Names = tuple


def one(name: str, read: Callable[[str], object], known: Names = tuple) -> Reader:
    """Return the reader of a single value."""
    return Reader(name, lambda text: [read(text)], known)


def listed(
    name: str,
    values: Callable[[str], Sequence[object]] = lambda item: [item],
    known: Names = tuple,
    split: Callable[[str], list[str]] = items,
) -> Reader:
    """Return the reader of a comma-separated list; ``values`` are those of one item."""
    return Reader(name, lambda text: [v for item in split(text) for v in values(item)], known)


def names(known: Iterable[str]) -> Reader:
    """Return the reader of a list of names; the question refuses unknown ones."""
    known = tuple(known)
    return listed("names", known=lambda: known)


def _distributions(known: Iterable[str]) -> Reader:
    """Return the reader of a list of distributions, with their aliases."""
    known = [*known, *(alias for alias, name in OTHER_DISTRIBUTIONS.items() if name in known)]
    return listed("distributions", known=lambda: known, split=split_calls)


def known_name(text: str, known: Iterable[str], aliases: Mapping[str, str] | None = None) -> str:
    """Return one of several names, in any capitals.

    Args:
        text: The name, or an alias.
        known: The names.
        aliases: Other words, in small letters, and the names that they stand for.

    Raises:
        InputError: It is unknown.

    >>> known_name("Float64", ["float32", "float64"])
    'float64'
    """
    known = list(known)
    name = (aliases or {}).get(text.lower(), text).casefold()
    for each in known:
        if each.casefold() == name:
            return each
    hint = f"take {' or '.join(known)}" if len(known) <= _FEW else nearest(text, known)
    raise InputError(f"{quoted(text)} is unknown; {hint}")


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
    """Return a time in seconds, of seconds or numbers with a unit each, like ``1h30m``.

    >>> duration("1h30m")
    5400.0
    """
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
    return [gains.gain(item)]


def _residuals(item: str) -> Sequence[object]:
    return ["gpt2"] if item.lower() == "gpt2" else _numbers(item)


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


def _seeds(item: str) -> list[int]:
    if item.lower() == "random":
        return [secrets.randbits(32)]  # short enough to be typed again
    try:
        return [whole_number(value) for value in expand(item, whole=True)]
    except InputError as error:
        raise InputError(f"{error.reason}; give a whole number, or random") from None


def _spatial(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 3 or not all(p.isdecimal() and 0 < len(p) < 7 for p in parts):
        raise InputError(f"{quoted(text)} is no size; write one to three numbers, like 12x12")
    return tuple(map(int, parts))


def _shape(text: str) -> tuple[int, ...]:
    parts = text.lower().split("x")
    if not 1 <= len(parts) <= 8 or not all(p.isdecimal() and 0 < len(p) < 10 for p in parts):
        raise InputError(f"{quoted(text)} is no shape; write the batch first, as in 16x3x32x32")
    return tuple(map(int, parts))


def _band(text: str) -> tuple[float, float]:
    parts = text.split(":")
    if len(parts) != 2:
        raise InputError(f"{quoted(text)} is no band; write two variances, like 0.1:10")
    low, high = (float(number(part)) for part in parts)
    return low, high


def activation_names() -> list[str]:
    """Return the names of activations, with their aliases."""
    return [*activations.ACTIVATIONS, *activations.ALIASES]


def gain_names() -> list[str]:
    """Return the names that a gain can be given by."""
    return [*activation_names(), *(f"torch:{name}" for name in gains.TORCH)]


def initializer_names() -> list[str]:
    """Return the names of initializers, installed or not."""
    return list(documented.names())


TEXT = one("text", str)
COUNT = one("count", lambda text: whole_number(number(text)))
NUMBER = one("number", lambda text: float(number(text)))
SHARE = one("share", share)
DURATION = one("duration", duration)
SPATIAL = one("sizes", _spatial)
SHAPE = one("shape", _shape)
BAND = one("band", _band)

WHOLE_NUMBERS = listed(
    "whole numbers", lambda item: [whole_number(value) for value in expand(item, whole=True)]
)
NUMBERS = listed("numbers", _numbers)


# --- settings


class Setting(NamedTuple):
    """A setting of a question or of a run.

    Attributes:
        name: Its name in Python; an option has dashes in place of underscores.
        reader: Reads its values.
        default: Its values in a sweep by default; None if it does not sweep.
        description: Its help, where commands share it.
    """

    name: str
    reader: Reader = TEXT
    default: Sequence[object] | None = None
    description: str = ""


_X_DIST = Setting("x_dist", _distributions(SUMMARIES), ["normal"])
_W_DIST = Setting("w_dist", _distributions(FOR_WEIGHTS), [None])
_INIT = Setting("init", listed("initializers", known=initializer_names, split=split_calls), [None])
_GAIN = Setting("gain", listed("gains", _gains, gain_names), [None])
_SCALE = Setting(
    "scale",
    listed("schemes", _scales, lambda: [*SCALES, *OTHER_SCALES]),
    ["none", "linear", "sqrt"],
)
_PRECISION = Setting("precision", one("precision", precision_share))
_SEED = Setting(
    "seed",
    listed("seeds", _seeds, lambda: ["random"]),
    [0],
    "Root of the random streams; several, such as 1:3, give a row each, which varsim merge pools; "
    "random draws one and shows it.",
)
_DTYPE = Setting(
    "dtype",
    one("type", lambda text: known_name(text, FLOAT_TYPES), lambda: FLOAT_TYPES),
    description="float32 or float64, for all that is drawn and multiplied.",
)


def _by_name(*settings: Setting) -> Mapping[str, Setting]:
    return {setting.name: setting for setting in settings}


LAYER = _by_name(
    Setting("dim", WHOLE_NUMBERS, [512]),
    Setting("fan_out", WHOLE_NUMBERS, [None]),
    _X_DIST,
    _W_DIST,
    Setting("x_mean", NUMBERS, [0.0]),
    Setting("x_std", NUMBERS, [1.0]),
    Setting("w_mean", NUMBERS, [None]),
    Setting("w_std", NUMBERS, [None]),
    _INIT,
    Setting("design", names(DESIGNS), ["crossed"]),
    _GAIN,
    _SCALE,
    Setting("samples", COUNT),
    _PRECISION,
    Setting("max_samples", COUNT),
    _SEED,
    _DTYPE,
)
"""The settings of one layer; of those that sweep, the last varies fastest."""

STACK = _by_name(
    Setting("width", WHOLE_NUMBERS, [512]),
    Setting("depth", WHOLE_NUMBERS, [20]),
    Setting("activation", listed("activations", _activations, activation_names), ["tanh"]),
    _X_DIST,
    _W_DIST,
    Setting("bias_std", NUMBERS, [0.0]),
    Setting("norm", names(NORMS), ["none"]),
    Setting("residual", listed("residuals", _residuals, lambda: ["gpt2"]), [None]),
    _GAIN,
    _INIT,
    _SCALE._replace(default=["xavier"]),
    Setting("correlation", listed("shares", _shares), [0.0]),
    Setting("widths", WHOLE_NUMBERS),
    Setting("batch", COUNT),
    Setting("networks", COUNT),
    _PRECISION,
    Setting("backward"),
    _SEED,
    _DTYPE,
)
"""The settings of a deep stack; of those that sweep, the last varies fastest."""

CHECK = _by_name(LAYER["dim"], LAYER["fan_out"], Setting("draws", COUNT), _SEED, _DTYPE)
"""The settings of a check of initializers, beside their names."""

MODEL = _by_name(
    Setting("input", SHAPE),
    Setting("tokens", COUNT),
    Setting("depth", COUNT),
    Setting("inits", COUNT),
    _PRECISION,
    Setting("between", BAND),
    _SEED,
    _DTYPE,
)
"""The settings of a model, beside its function; the seed sweeps."""

TOLERANCE = _by_name(
    Setting("entries", WHOLE_NUMBERS, [2500]),
    Setting("dist", _W_DIST.reader, ["normal", "uniform", "truncated", "laplace"]),
    LAYER["dim"],
    LAYER["fan_out"],
    Setting("rows", WHOLE_NUMBERS, [1]),
    _X_DIST,
    _W_DIST._replace(default=["normal"]),
    Setting("false_failure", SHARE),
    Setting("power", SHARE),
    Setting("sees", listed("shares", lambda item: [share(item)]), [0.5, 0.226, 0.05, 0.01]),
)
"""The settings of a tolerance: of independent entries, or of outputs x @ W."""

RUN = _by_name(
    Setting(
        "workers",
        COUNT,
        description="Threads or processes: they change the time, not the numbers.  "
        "[default: one per CPU]",
    ),
    Setting("confidence", SHARE, description="Level of every interval."),
    Setting(
        "alpha",
        SHARE,
        description="False-alarm rate that all verdicts of the table share (Holm).",
    ),
    Setting("histogram"),
)
"""The settings of a run, whatever is measured."""


_WHOLE = (COUNT, WHOLE_NUMBERS, _SEED.reader)
"""The readers of whole numbers."""


# --- settings of the Python interface

Wholes: TypeAlias = SupportsIndex | float | str | Iterable[SupportsIndex | float | str] | None
"""Whole numbers, such as 1e4: one, several, or a text such as ``"16:4096:x2"``; None for the
default."""

Reals: TypeAlias = SupportsFloat | str | Iterable[SupportsFloat | str] | None
"""Numbers: one, several, or a text such as ``"5/3"``; None for the default."""

Texts: TypeAlias = str | Iterable[str | None] | None
"""Names: one, several, or a text such as ``"he,xavier"``; None for the default."""


class _SharedSettings(TypedDict, total=False):
    scale: Reals
    gain: Reals
    x_dist: Texts
    w_dist: Texts
    init: Texts
    precision: Reals
    seed: Wholes
    dtype: Texts


class LayerSettings(_SharedSettings, total=False):
    """The settings of one layer, as arguments of a function."""

    dim: Wholes
    fan_out: Wholes
    x_mean: Reals
    x_std: Reals
    w_mean: Reals
    w_std: Reals
    design: Texts
    samples: Wholes
    max_samples: Wholes


class StackSettings(_SharedSettings, total=False):
    """The settings of a deep stack, as arguments of a function."""

    width: Wholes
    depth: Wholes
    widths: Wholes
    activation: Texts
    bias_std: Reals
    norm: Texts
    residual: Reals
    correlation: Reals
    batch: Wholes
    networks: Wholes
    backward: bool | None


@runtime_checkable
class _Array(Protocol):
    """An array or a scalar of NumPy or of another library."""

    def tolist(self) -> object:
        """Return it as numbers and lists of Python."""


def read_settings(
    settings: Mapping[str, Setting], given: Mapping[str, object]
) -> dict[str, list[object]]:
    """Return the values of settings that are given by name; None is the default.

    Raises:
        InputError: A name is unknown, or a text cannot be read.

    >>> read_settings(LAYER, {"dim": "16:64:x2", "gain": ["5/3", 1], "seed": None})
    {'dim': [16, 32, 64], 'gain': [1.6666666666666667, 1]}
    """
    for name in given:
        if name not in settings:
            raise InputError(f"setting {name!r} is unknown; {nearest(name, [*settings, *RUN])}")
    return {
        name: _values(settings[name], value) for name, value in given.items() if value is not None
    }


def _values(setting: Setting, value: object) -> list[object]:
    if isinstance(value, str):
        try:
            return list(setting.reader.read(value))
        except (ValueError, OverflowError) as error:
            raise InputError(f"{setting.name}: {error}") from None
    value = value.tolist() if isinstance(value, _Array) else value
    if not isinstance(value, Iterable):
        if isinstance(value, float) and value.is_integer() and setting.reader in _WHOLE:
            return [int(value)]
        return [value]
    values: list[object] = []
    for each in islice(value, MAX_VALUES + 1):
        values += _values(setting, each)
    if not values:
        raise InputError(f"{setting.name} has no values; give one, or leave it out")
    return values


# --- sweeps


class _Question(Protocol):
    @property
    def key(self) -> str:
        """The identity of a question, without its seed."""


Q = TypeVar("Q", bound=_Question)


def questions(
    settings: Mapping[str, Setting],
    swept: Mapping[str, Sequence[object]],
    fixed: Mapping[str, object],
    build: Callable[..., Q],
) -> tuple[list[Q], list[str]]:
    """Return every combination of the swept values as a question, the last setting fastest.

    A gain is left out if the scheme has none, and a repeated question runs once. Notes say so.

    Args:
        settings: All settings; ``scale`` and ``gain`` are among them.
        swept: Values of settings that sweep; without any, a setting has its default ones.
        fixed: The values of other settings.
        build: Returns the question of one combination.

    Raises:
        InputError: There are too many combinations, or a value is not allowed.
    """
    sweep = {
        setting.name: swept.get(setting.name) or setting.default
        for setting in settings.values()
        if setting.default is not None
    }
    count = math.prod(map(len, sweep.values()))
    if count > MAX_VALUES:
        raise InputError(
            f"the sweep has {count:,} rows, and {MAX_VALUES:,} are allowed; take fewer values"
        )
    asked: dict[tuple[str, object], Q] = {}
    repeated, gainless = 0, set()
    for combination in itertools.product(*sweep.values()):
        values = dict(zip(sweep, combination, strict=True))
        scale = str(values["scale"])
        if values["gain"] is not None and not _takes_gain(scale):
            gainless.add(scale)
            values["gain"] = None
        if not (swept.get("dim") or swept.get("fan_out")) and "dim" in values:
            values |= _sizes_of_module(values["init"])
        question = build(**values, **fixed)
        identity = question.key, values["seed"]
        repeated += identity in asked and scale not in gainless
        asked.setdefault(identity, question)
    without = ", ".join(sorted(gainless))
    if gainless.issuperset(map(str, sweep["scale"])):
        raise InputError(f"gain does not apply to scale {without}; {TAKE_A_GAIN}")
    notes = []
    if repeated:
        rows = "rows are" if repeated > 1 else "row is"
        notes += [f"Note: {repeated} {rows} in the sweep more than once and will run only once."]
    if gainless:
        notes += [f"Note: The gain does not apply to scale {without}, which runs without it."]
    return list(asked.values()), notes


def _sizes_of_module(init: object) -> dict[str, object]:
    """Return the sizes of W if it is the weight of a module; else none."""
    weight = None if init is None else initializers.find(str(init))
    if not isinstance(weight, initializers.ModuleWeight):
        return {}
    if initializers.share(weight.piece.masks[0]) != 1.0:
        raise InputError(
            f"an output of {weight.text} sums over some of its taps only; run: varsim init "
            f"{quoted(str(weight.call))}"
        )
    return {"dim": weight.piece.dim, "fan_out": weight.piece.columns}


def _takes_gain(scale: str) -> bool:
    try:
        return find_scale(scale).gain is not None
    except (KeyError, ValueError):
        return True  # for the question to refuse


def one_stack(widths: Sequence[object]) -> dict[str, list[object]]:
    """Return the widths of the input and of every layer as ``width`` and ``depth`` of a sweep."""
    return {"width": [tuple(widths)], "depth": [len(widths) - 1]}
