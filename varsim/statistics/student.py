"""Student's t distribution: tail probabilities and quantiles.

Through the regularised incomplete beta function, whose continued fraction keeps its *relative*
precision far into the tails, where 1 - CDF would be rounding noise.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_EPSILON = 1e-16


def two_sided_p(t: float, dof: float) -> float:
    """Return P(|T| >= |t|) for T Student-t with ``dof`` degrees of freedom, whole or not.

    P = I_x(dof/2, 1/2) with x = dof / (dof + t^2): Abramowitz & Stegun (1964), 26.7.1 and 26.5.

    >>> round(two_sided_p(2.0, 63), 6)
    0.049816
    """
    x = dof / (dof + t * t)
    # 1 - x, computed without cancellation.
    complement = t * t / (dof + t * t)
    a, b = dof / 2, 0.5
    if x < (a + 1) / (a + b + 2):
        return _incomplete_beta(x, complement, a, b)
    return 1.0 - _incomplete_beta(complement, x, b, a)


@lru_cache
def quantile(confidence: float, dof: float) -> float:
    """Return t with P(|T| <= t) = ``confidence``: the half-width of an interval in standard errors.

    >>> round(quantile(0.95, 63), 6)
    1.998341
    """
    tail = 1.0 - confidence
    low, high = 0.0, 1.0
    while two_sided_p(high, dof) > tail:
        low, high = high, 2 * high
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if two_sided_p(middle, dof) > tail:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _incomplete_beta(x: float, complement: float, a: float, b: float) -> float:
    """I_x(a, b) for x below (a+1)/(a+b+2): A&S 26.5.8 by Lentz's method (1976)."""
    if x == 0.0:
        return 0.0
    log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    log_front += a * math.log(x) + b * math.log(complement)
    return math.exp(log_front) / (a * _continued_fraction(x, a, b))


def _continued_fraction(x: float, a: float, b: float) -> float:
    value, numerator, denominator = 1.0, 1.0, 0.0
    for i in range(1, 100_000):
        m = i // 2
        if i % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        denominator = 1.0 / ((1.0 + step * denominator) or _TINY)
        numerator = (1.0 + step / numerator) or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1.0) < _EPSILON:
            break
    return value
