"""Numbers for people: rounded to their error, or to a few significant digits."""

from __future__ import annotations

import math
import re
from fractions import Fraction

# Magnitudes outside this range are written with an exponent.
_PLAIN_FROM, _PLAIN_BELOW = 1e-4, 1e7

# Largest denominator of a fraction that is shown, and relative rounding of a setting.
_DENOMINATOR, _ROUNDING = 64, 5e-16

# Relative errors below this are rounding, finer than any allowed precision.
_EXACT = 1e-7


def significant(value: float, digits: int = 6) -> str:
    """Return a number to some significant digits, without trailing zeros.

    >>> significant(512.0), significant(1 / 512), significant(262144), significant(2e-9)
    ('512', '0.00195312', '262144', '2e-09')
    """
    if _PLAIN_FROM <= abs(value) < _PLAIN_BELOW and abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def exact(value: float) -> str:
    """Return a setting as what it is: a decimal number, a fraction, or a root; else rounded.

    >>> exact(0.02), exact(5 / 3), exact(math.sqrt(512)), exact(math.pi)
    ('0.02', '5/3', '√512', '3.14159')
    """
    text = significant(value)
    if math.isclose(float(text), value, rel_tol=_ROUNDING) or not math.isfinite(value):
        return text
    fraction = Fraction(value).limit_denominator(_DENOMINATOR)
    if math.isclose(fraction, value, rel_tol=_ROUNDING):
        return str(fraction)
    square = round(value * value)
    if value > 0.0 and math.isclose(math.sqrt(square), value, rel_tol=_ROUNDING):
        return f"√{square}"
    return text


def error_digits(error: float) -> tuple[float, int]:
    """Return an error as written, and its number of decimals.

    The rule of the Particle Data Group: two digits if the first three are 100-354, one from
    355 to 949, and 950-999 becomes 1000 with two digits. PDG, Review of Particle Physics (2024),
    Introduction, section 5.3. A negative number of decimals counts places before the point.
    """
    exponent = math.floor(math.log10(error))
    leading = round(error / 10.0 ** (exponent - 2))
    if leading >= 950:
        return 10.0 ** (exponent + 1), -exponent
    return error, 1 - exponent if leading <= 354 else -exponent


def short(value: float) -> str:
    """Return a number to four significant digits."""
    return significant(value, 4)


def percent(share: float) -> str:
    """Return a share in percent, to two significant digits.

    >>> percent(0.00534), percent(0.2), percent(12.34)
    ('0.53%', '20%', '1234%')
    """
    return f"{significant(100 * share, 2)}%"


def time_in_words(seconds: float) -> str:
    """Return a time to two significant digits, in its largest unit of at least 1.

    >>> time_in_words(0.314), time_in_words(90), time_in_words(1e4), time_in_words(1e6)
    ('0.31 s', '1.5 min', '2.8 h', '12 d')
    """
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{significant(seconds / size, 2)} {unit}"
    return f"{significant(seconds, 2)} s"


def needs_exponent(value: float) -> bool:
    """Return whether a number is too large or too small to be written without an exponent."""
    return value != 0.0 and not _PLAIN_FROM <= abs(value) < _PLAIN_BELOW


def with_error(value: float, error: float, *, power: int | None = None) -> str:
    """Return ``value ± error``, both rounded to the digits of the error.

    A value that is exact up to rounding has six significant digits.

    Args:
        value: The value.
        error: Its error.
        power: The exponent of 10 of both, 0 for none; by default that of the value, if it needs
            one.

    >>> with_error(511.2345, 1.834), with_error(1.95312e-06, 6.5e-09), with_error(262144.0, 412.0)
    ('511.2 ± 1.8', '(1.953 ± 0.007)e-06', '262100 ± 400')
    >>> with_error(62.015873015873133, 9e-15), with_error(0.00998, 0.00004, power=-2)
    ('62.0159', '(0.998 ± 0.004)e-02')
    """
    largest = max(abs(value), error)
    if power is None:
        power = power_of(largest) if needs_exponent(largest) else 0
    if _is_exact(value, error):
        return significant(value)
    shown = _fixed(_shifted(value, power), _shifted(error, power))
    return f"({shown})e{power:+03d}" if power else shown


def beside(value: float, measured: float, error: float, *, power: int = 0) -> str:
    """Return a number with the digits and the exponent of the measurement beside it.

    At least three significant digits and all digits before the point remain; four, if it is more
    than ten times the measurement, whose error says nothing on it. Padding zeros are dropped, so
    that an exact number looks exact.

    >>> beside(1 / 512, 0.00196, 7e-6), beside(1.0, 0.998, 0.004), beside(512.0, 511.2, 1.8)
    ('0.001953', '1', '512')
    >>> beside(1 / 2048, 4.8e-4, 3.4e-5, power=-4)
    '4.88e-04'
    """
    if value == 0.0:
        return "0"
    if power and not 0.01 <= abs(_shifted(value, power)) < 1000.0:
        power = power_of(value)
    shown = _shifted(value, power)
    if _is_exact(measured, error):
        decimals = 5 - power_of(shown)
    elif abs(value) > 10 * abs(measured):
        decimals = 3 - power_of(shown)
    else:
        decimals = max(error_digits(_shifted(error, power))[1], 2 - power_of(shown))
    text = f"{shown:.{max(0, decimals)}f}"
    if "." in text and math.isclose(float(text), shown, rel_tol=1e-12):
        text = text.rstrip("0").rstrip(".")
    return f"{text}e{power:+03d}" if power else text


def power_of(value: float) -> int:
    """Return the exponent of 10 of a number other than 0, after rounding to ten digits.

    >>> power_of(512.0), power_of(-1 / 512), power_of(1.0 - 1e-15)
    (2, -3, 0)
    """
    return int(f"{value:.9e}".partition("e")[2])


def rounded(value: float, error: float) -> str:
    """Return the value alone, rounded to the digits of its error.

    >>> rounded(0.99837, 0.0036)
    '0.998'
    """
    return significant(value) if _is_exact(value, error) else _places(value, error_digits(error)[1])


def power_of_ten(text: str) -> tuple[str, int | None]:
    """Return a number in the notation of this module without its power of ten, and this power.

    >>> power_of_ten("(1.953 ± 0.007)e-06"), power_of_ten("512.2 ± 1.7")
    (('(1.953 ± 0.007)', -6), ('512.2 ± 1.7', None))
    """
    match = re.fullmatch(r"(.*\d\)?)e([+-]\d+)", text)
    return (match[1], int(match[2])) if match else (text, None)


def with_minus(text: str) -> str:
    """Return a number with a minus sign in place of a hyphen; other text is unchanged.

    >>> with_minus("-0.92"), with_minus("half-stable")
    ('−0.92', 'half-stable')
    """
    return re.sub(r"^(\(?)-(?=\d)", "\\1−", text)


def _shifted(value: float, power: int) -> float:
    """Return a value over a power of 10, which itself may be below the range of floats."""
    first = min(0, power + 300)
    return value / 10.0**first / 10.0 ** (power - first)


def _is_exact(value: float, error: float) -> bool:
    return not error > _EXACT * abs(value)


def _fixed(value: float, error: float) -> str:
    error, decimals = error_digits(error)
    return f"{_places(value, decimals)} ± {_places(error, decimals)}"


def _places(value: float, decimals: int) -> str:
    return f"{round(value, decimals):.{max(0, decimals)}f}"
