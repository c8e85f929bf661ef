"""The grammar of sweeps: ``64,512``, ``a:b``, ``a:b:step``, ``16:4096:x2``, ``a:b:log7``.

Ends are inclusive. Arithmetic is exact (decimals are fractions), so ``0.1:1:0.1`` has ten values
and the last one is 1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from fractions import Fraction

MAX_VALUES = 100_000
"""The most values one option, and the most experiments one sweep, may have."""

_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_NUMBER = re.compile(
    rf"[+-]?({_DIGITS}(\.({_DIGITS})?)?|\.{_DIGITS})(e[+-]?[0-9]{{1,3}})?", re.IGNORECASE
)
_LARGEST = 10**300
_MOST_BITS = 2**17
_LOG = re.compile(r"log(\d{1,9})", re.IGNORECASE)


def number(text: str) -> Fraction:
    """Return a decimal number or a fraction, exactly.

    Raises:
        ValueError: The text is neither.

    >>> number("5/3"), number("1e-1")
    (Fraction(5, 3), Fraction(1, 10))
    """
    parts = text.strip().split("/")
    # The pattern bounds the exponent: Fraction("1e999999999") would take all memory.
    if len(parts) > 2 or not all(_NUMBER.fullmatch(part.strip()) for part in parts):
        raise ValueError(f"{text.strip()!r} is not a number; write one like 512 or 1e3")
    try:
        value = Fraction(parts[0].strip())
        value = value / Fraction(parts[1].strip()) if len(parts) == 2 else value
    except ZeroDivisionError:
        raise ValueError(f"{text.strip()!r} divides by zero; give another number") from None
    if value and not 1 <= abs(value) * _LARGEST <= _LARGEST**2:
        raise ValueError(f"{text.strip()!r} is beyond 1e-300 to 1e300; give a milder number")
    return value


def items(text: str) -> list[str]:
    """Split a list at its commas.

    Raises:
        ValueError: An item is empty.

    >>> items("64, 512")
    ['64', '512']
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError(f"{text!r} has an empty item; write a list like 64,512 without gaps")
    return parts


def is_range(item: str) -> bool:
    """Tell whether an item of a list stands for several numbers."""
    return ":" in item


def expand(item: str, *, whole: bool = False) -> list[Fraction]:
    """Return the numbers an item stands for.

    Args:
        item: A number or a range.
        whole: Round the values of a ``log`` range to whole numbers.

    Raises:
        ValueError: The range is malformed, empty, or has over MAX_VALUES values.

    >>> [int(v) for v in expand("16:256:x4")]
    [16, 64, 256]
    >>> [float(v) for v in expand("0:1:0.25")]
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if not is_range(item):
        return [number(item)]
    first, last, step = (*map(str.strip, item.split(":")), "1", "")[:3]
    log, times = _LOG.fullmatch(step), step[:1] in ("x", "X")
    try:
        if item.count(":") > 2:
            raise ValueError("it has more than three parts")
        start, stop = number(first), number(last)
        stride = Fraction(0) if log else number(step[1:] if times else step)
    except ValueError as error:
        reason = str(error).partition(";")[0]
        raise ValueError(
            f"{item!r} is no range: {reason}; write a:b, a:b:step, a:b:x2 or a:b:log7"
        ) from None
    if log:
        return _logarithmic(item, start, stop, int(log[1]), whole)
    return (_geometric if times else _linear)(item, start, stop, stride)


def _linear(item: str, start: Fraction, stop: Fraction, step: Fraction) -> list[Fraction]:
    if step == 0:
        raise ValueError(f"{item!r} has a step of 0; give a step that leads from start to end")
    if (stop - start) / step < 0:
        raise ValueError(
            f"{item!r} is empty: its step leads away from its end; swap the ends or the step's sign"
        )
    count = (stop - start) // step + 1
    _check_count(item, count)
    return [start + i * step for i in range(count)]


def _geometric(item: str, start: Fraction, stop: Fraction, factor: Fraction) -> list[Fraction]:
    if start <= 0 or stop <= 0:
        raise ValueError(f"{item!r} multiplies, so both of its ends must be above 0")
    if factor <= 0 or factor == 1:
        raise ValueError(f"{item!r} multiplies by {factor}; give a factor above 0 that is not 1")
    if (factor > 1) != (stop > start) and start != stop:
        raise ValueError(
            f"{item!r} is empty: its factor leads away from its end; swap the ends or invert it"
        )
    values, value = [], start
    while value <= stop if factor > 1 else value >= stop:
        values.append(value)
        _check_count(item, len(values))
        value *= factor
        # Exact powers grow by digits each step, and would take hours long before they are many.
        if value.denominator.bit_length() > _MOST_BITS:
            raise ValueError(f"{item!r} needs too many digits; take a larger or a rounder factor")
    return values


def _logarithmic(
    item: str, start: Fraction, stop: Fraction, count: int, whole: bool
) -> list[Fraction]:
    if start <= 0 or stop <= 0:
        raise ValueError(f"{item!r} is log-spaced, so both of its ends must be above 0")
    if count < 2:
        raise ValueError(f"{item!r} has {count} value(s); a log range has at least 2: its ends")
    _check_count(item, count)
    low, high = math.log(start), math.log(stop)
    exponents = (low + (high - low) * i / (count - 1) for i in range(1, count - 1))
    # Twelve digits: 1:1000:log4 has 10 and 100, not 9.999999999999998.
    inner = [Fraction(f"{math.exp(exponent):.12g}") for exponent in exponents]
    return [start, *(Fraction(round(v)) if whole else v for v in inner), stop]


def _check_count(item: str, count: int, most: int = MAX_VALUES) -> None:
    if count > most:
        raise ValueError(f"{item!r} has more than {most:,} values; take larger steps")


class InputError(ValueError):
    """What was asked cannot be done: a sentence of what was given, what is allowed, what to do."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest known name, or all of them where none is near.

    >>> nearest("sqr", ["sqrt", "none"])
    'did you mean sqrt?'
    """
    import difflib  # only a mistake needs it, and start-up time is a feature

    known = list(known)
    close = difflib.get_close_matches(name.lower(), known, n=1)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
