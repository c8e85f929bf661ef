"""Numbers for people: rounded to their error, or to a few significant digits."""

from __future__ import annotations

import math

# Magnitudes outside are written with an exponent.
_PLAIN_FROM, _PLAIN_BELOW = 1e-3, 1e7

# A relative error below is that of rounding, finer than any precision that can be asked for.
_EXACT = 1e-7


def significant(value: float, digits: int = 6) -> str:
    """Return a number to some significant digits, without trailing zeros.

    >>> significant(512.0), significant(1 / 512), significant(262144), significant(2e-9)
    ('512', '0.00195312', '262144', '2e-09')
    """
    if _PLAIN_FROM <= abs(value) < _PLAIN_BELOW and abs(value) >= 10**digits:
        return f"{value:.0f}"
    return f"{value:.{digits}g}"


def error_digits(error: float) -> tuple[float, int]:
    """Return an error as it is to be written, and its number of decimals.

    By the rule of the Particle Data Group: two digits where the first three are 100-354, one from
    355 to 949, and 950-999 becomes 1000 and keeps two. PDG, Review of Particle Physics (2024),
    Introduction, section 5.3. Negative numbers of decimals are places before the point.
    """
    exponent = math.floor(math.log10(error))
    leading = round(error / 10.0 ** (exponent - 2))
    if leading >= 950:
        return 10.0 ** (exponent + 1), -exponent
    return error, 1 - exponent if leading <= 354 else -exponent


def short(value: float) -> str:
    """Return a number to four significant digits."""
    return significant(value, 4)


def with_error(value: float, error: float) -> str:
    """Return ``value ± error``, both rounded to the digits that the error leaves.

    A value that is exact, but for rounding, is :func:`significant`.

    >>> with_error(511.2345, 1.834), with_error(1.95312e-06, 6.5e-09), with_error(262144.0, 412.0)
    ('511.2 ± 1.8', '(1.953 ± 0.007)e-06', '262100 ± 400')
    >>> with_error(62.015873015873133, 9e-15)
    '62.0159'
    """
    if _is_exact(value, error):
        return significant(value)
    magnitude = max(abs(value), error)
    if _PLAIN_FROM <= magnitude < _PLAIN_BELOW:
        return _fixed(value, error)
    exponent = math.floor(math.log10(magnitude))
    # In two steps: 10**exponent is 0 for the smallest floats.
    first = min(0, exponent + 300)
    value, error = (each / 10.0**first / 10.0 ** (exponent - first) for each in (value, error))
    return f"({_fixed(value, error)})e{exponent:+03d}"


def rounded(value: float, error: float) -> str:
    """Return the value alone, rounded to the digits that its error leaves.

    >>> rounded(0.99837, 0.0036)
    '0.998'
    """
    return significant(value) if _is_exact(value, error) else _places(value, error_digits(error)[1])


def _is_exact(value: float, error: float) -> bool:
    return not error > _EXACT * abs(value)


def _fixed(value: float, error: float) -> str:
    error, decimals = error_digits(error)
    return f"{_places(value, decimals)} ± {_places(error, decimals)}"


def _places(value: float, decimals: int) -> str:
    return f"{round(value, decimals):.{max(0, decimals)}f}"
