"""The gamma distribution: tail probabilities and quantiles, for any shape.

Half of a χ² variable with ν degrees of freedom has the shape ν/2. Both tails keep their *relative*
precision: about 1e-13 for shapes below 1000, and 1e-7 above.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

NORMAL = NormalDist()
"""The standard normal distribution."""

# From this shape on, the continued fractions need more terms than the expansion.
_LARGE = 1000.0

_TERMS, _TINY = 1000, 1e-300

_STEPS, _END = 100, 1e-12


def tail(shape: float, x: float, *, upper: bool) -> float:
    """Return P(G >= x), or P(G <= x), for G of the gamma distribution with scale 1.

    Abramowitz & Stegun (1964), 6.5.31 and 6.5.29; Temme (1979) with the first coefficient of
    his expansion, for large shapes.

    >>> round(tail(0.5, 3.841459 / 2, upper=True), 6)
    0.05
    """
    if x <= 0.0:
        return 1.0 if upper else 0.0
    if shape < _LARGE:
        right = x > shape + 1.0
        part = _fraction(shape, x) if right else _series(shape, x)
        near = _front(shape, x) * part
        return near if right == upper else 1.0 - near
    eta, first = _deviation(x / shape - 1.0)
    sign = 1.0 if upper else -1.0
    correction = math.exp(-0.5 * shape * eta**2) / math.sqrt(2.0 * math.pi * shape) * first
    return 0.5 * math.erfc(sign * eta * math.sqrt(0.5 * shape)) + sign * correction


@lru_cache(maxsize=4096)
def quantile(shape: float, probability: float, *, upper: bool) -> float:
    """Return x with P(G >= x), or P(G <= x), equal to a probability.

    Newton's method on log P, which is concave, from Wilson & Hilferty (1931).

    >>> round(2 * quantile(0.5, 0.05, upper=True), 6)
    3.841459
    """
    sign = 1.0 if upper else -1.0
    z = -sign * NORMAL.inv_cdf(probability)
    x = shape * (1.0 - 1.0 / (9.0 * shape) + z / math.sqrt(9.0 * shape)) ** 3
    if not x > 0.0:  # far to the left, where P is about x^a / Γ(a + 1)
        below = 1.0 - probability if upper else probability
        x = math.exp((math.log(below) + math.lgamma(shape + 1.0)) / shape)
    if x == 0.0:  # the quantile is below the least float
        return 0.0
    for _ in range(_STEPS):
        p, front = tail(shape, x, upper=upper), _front(shape, x)
        if not (p > 0.0 and front > 0.0):  # an underflow
            x = math.sqrt(x * shape)
            continue
        step = sign * p / front * math.log(p / probability)  # of log x
        x *= math.exp(max(-1.0, min(1.0, step)))
        if abs(step) < _END:
            break
    return x


def _front(shape: float, x: float) -> float:
    """Return x^a e^-x / Γ(a): x times the density."""
    if shape < _LARGE:
        return math.exp(shape * math.log(x) - x - math.lgamma(shape))
    exponent = -0.5 * shape * _deviation(x / shape - 1.0)[0] ** 2 - 1.0 / (12.0 * shape)
    return math.sqrt(shape / (2.0 * math.pi)) * math.exp(exponent)


def _deviation(mu: float) -> tuple[float, float]:
    """Return Temme's η, with η²/2 = μ - log(1 + μ), and his c₀ = 1/μ - 1/η."""
    if abs(mu) < 1e-3:  # the differences cancel
        eta = mu * (1.0 - mu / 3.0 + 7.0 * mu**2 / 36.0 - 73.0 * mu**3 / 540.0)
        return eta, -1.0 / 3.0 + eta / 12.0 - 2.0 * eta**2 / 135.0
    eta = math.copysign(math.sqrt(2.0 * (mu - math.log1p(mu))), mu)
    return eta, 1.0 / mu - 1.0 / eta


def _series(shape: float, x: float) -> float:
    term = total = 1.0 / shape
    for n in range(1, _TERMS):
        term *= x / (shape + n)
        total += term
        if term < 1e-17 * total:
            break
    return total


def _fraction(shape: float, x: float) -> float:
    """Return the continued fraction of the upper tail, by Lentz's method (1976)."""
    b = x + 1.0 - shape
    c, d = 1.0 / _TINY, 1.0 / b
    value = d
    for n in range(1, _TERMS):
        a = n * (shape - n)
        b += 2.0
        d = 1.0 / (a * d + b or _TINY)
        c = b + a / c or _TINY
        value *= c * d
        if abs(c * d - 1.0) < 1e-16:
            break
    return value
