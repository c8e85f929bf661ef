"""Scaling schemes: the divisor k in W = base / k."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from varsim import synonyms
from varsim.errors import InputError, quoted, shortened
from varsim.parsing import real


@dataclass(frozen=True, slots=True)
class Scale:
    """A scaling scheme.

    Attributes:
        formula: k as a formula of D (fan-in), n (fan-out) and g (gain).
        k_squared: Called as ``k_squared(D, n, g)``; returns k². It is exact where k is not:
            (√512)² is not 512 in floating point.
        source: The publication or library it is from, or empty.
        gain: The default gain; None if the scheme has no gain.
    """

    formula: str
    k_squared: Callable[[int, int, float], float]
    source: str = ""
    gain: float | None = None


SCALES: dict[str, Scale] = {
    "none": Scale("1", lambda D, n, g: 1.0),
    "linear": Scale("D", lambda D, n, g: float(D) ** 2),
    "sqrt": Scale("√D", lambda D, n, g: float(D)),
    "lecun": Scale(
        "√D / g", lambda D, n, g: D / g**2, "LeCun, Bottou, Orr & Müller (1998), eq. 16", gain=1.0
    ),
    "xavier": Scale(
        "√((D+n)/2) / g", lambda D, n, g: (D + n) / 2 / g**2, "Glorot & Bengio (2010), eq. 12", 1.0
    ),
    "he": Scale("√D / g", lambda D, n, g: D / g**2, "He et al. (2015), eq. 10", math.sqrt(2)),
    "he-fan-out": Scale(
        "√n / g", lambda D, n, g: n / g**2, "He et al. (2015), eq. 14", math.sqrt(2)
    ),
    "geometric": Scale(
        "(D n)^¼ / g",
        lambda D, n, g: math.sqrt(D * n) / g**2,
        "the geometric mean of the two fans",
        1.0,
    ),
    "torch-linear": Scale(
        "√(3D)", lambda D, n, g: 3.0 * D, "the default weight of torch.nn.Linear, uniform on ±1/√D"
    ),
}
"""Every named scheme; numbers and ``D^p`` are schemes as well: see :func:`find_scale`."""

TAKE_A_GAIN = "leave it out, or take a scheme that has one: " + ", ".join(
    name for name, scale in SCALES.items() if scale.gain is not None
)
"""The remedy for a gain with a scheme that has none."""

ALIASES = {"glorot": "xavier", "kaiming": "he", "kaiming-fan-out": "he-fan-out"}
"""Other names of schemes."""

_FORMULAS = {"d": "linear", "sqrt(d)": "sqrt", "√d": "sqrt", "√(d)": "sqrt"}
_POWER = re.compile(r"d(?:\^|\*\*)(?:\(([^()\s]+)\)|([^()\s]+))", re.IGNORECASE)
_RECIPROCAL = re.compile(r"1(?:\.0?)?/([0-9.]*[1-9][0-9.]*)")
_INVERSE = re.compile(r"1(?:\.0?)?/(.*(?:d|√|sqrt).*)|.*/\(?(?:√|sqrt\()?d\b.*")


def canonical_name(name: str) -> str:
    """Return the canonical name of a scheme, a part of the key of random streams.

    Raises:
        KeyError: The name is unknown.
        InputError: A number is not finite, a constant is not above 0, or k is given inverted.

    >>> canonical_name("glorot"), canonical_name("D^1/2"), canonical_name("sqrt(D)")
    ('xavier', 'D^0.5', 'sqrt')
    """
    return _parsed(name)[0]


def one_spelling(name: str) -> str:
    """Return the one spelling of a scheme; an alias stays an alias.

    Raises:
        KeyError, InputError: As for :func:`canonical_name`.

    >>> one_spelling(" GLOROT"), one_spelling("d**1/2"), one_spelling("1e3")
    ('glorot', 'D^0.5', '1000')
    """
    plain = _plain(name)
    return plain if plain in ALIASES else _parsed(name)[0].removesuffix(".0")


def find_scale(name: str) -> Scale:
    """Return the scheme of a name: one of the table, an alias, ``D^p``, or a number.

    Raises:
        KeyError, InputError: As for :func:`canonical_name`.

    >>> find_scale("D^0.25").k_squared(16, 16, 1.0)
    4.0
    """
    return _parsed(name)[1]


def multiplier(name: str) -> float | None:
    """Return by how much a scheme multiplies W, if it is a number below 1; else None.

    >>> multiplier("0.02"), multiplier("he")
    (50.0, None)
    """
    canonical = canonical_name(name)
    if canonical[0].isalpha() or not 0.0 < float(canonical) < 1.0:
        return None
    return 1.0 / float(canonical)


def _plain(name: str) -> str:
    return name.strip().lower().replace("_", "-")


@lru_cache(maxsize=4096)
def _parsed(name: str) -> tuple[str, Scale]:
    name = name.strip()
    plain = _plain(name)
    formula = "".join(plain.split()).replace("fan-in", "d")
    meant = synonyms.SCALES.get(plain) or synonyms.SCALES.get(formula)
    if meant is not None:
        raise InputError(
            f"scale {quoted(name)} is neither a scheme, nor a number, nor D^p; {meant}"
        )
    plain = ALIASES.get(plain, _FORMULAS.get(formula, plain))
    if plain in SCALES:
        return plain, SCALES[plain]
    if (inverse := _INVERSE.fullmatch(formula)) is not None:
        _refuse_inverse(name, inverse[1] or "")
    if (divisor := _RECIPROCAL.fullmatch(formula)) is not None:
        raise InputError(
            f"scale is the divisor k in W = base / k, and k = {shortened(name)} multiplies W; "
            f"write {divisor[1]} to divide W by it, or {real(name):.15g} to multiply W by "
            f"{divisor[1]}"
        )
    power = _POWER.fullmatch(name)
    try:
        number = real((power[1] or power[2]) if power else name) + 0.0  # no -0.0
    except InputError:
        raise KeyError(name) from None
    if not math.isfinite(number) or (number <= 0 and not power):
        raise InputError(
            f"scale is {shortened(name)}; give a finite number above 0, a scheme, or D^p"
        )
    if power:
        return f"D^{number}", Scale(f"D^{number:g}", lambda D, n, g: _power(D, 2 * number))
    return str(number), Scale(f"{number:g}", lambda D, n, g: _power(number, 2))


def _refuse_inverse(name: str, divisor: str) -> None:
    try:
        known = one_spelling(divisor)
        hint = f"write {known if known[0].isalpha() else divisor}"
    except (KeyError, InputError):
        hint = f"write k, or one of {', '.join([*SCALES, *ALIASES])}"
    raise InputError(
        f"scale is the divisor k in W = base / k, and {quoted(name)} is its inverse; {hint}"
    )


def deviation(std: float | str, dim: int, n: int) -> float:
    """Return a standard deviation of entries of W: a number itself, or 1/k of a scheme.

    Raises:
        InputError: It is neither.

    >>> deviation("lecun", 64, 8), deviation(0.02, 64, 8)
    (0.125, 0.02)
    """
    if isinstance(std, str):
        try:
            scale = find_scale(std)
        except KeyError:
            raise InputError(
                f"std {quoted(std)} is not a scheme; give a number, or a scheme like 'he'"
            ) from None
        return 1.0 / math.sqrt(scale.k_squared(dim, n, scale.gain or 1.0))
    if isinstance(std, bool) or not isinstance(std, int | float) or not 1e-30 <= std <= 1e30:
        raise InputError(f"std is {std!r}; give a number above 0, or a scheme like 'he'")
    return float(std)


def _power(base: float, exponent: float) -> float:
    try:
        return float(base**exponent)
    except OverflowError:
        return math.inf
