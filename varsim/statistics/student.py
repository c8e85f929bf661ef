"""Student's t distribution: tail probabilities and quantiles.

They use the regularised incomplete beta function. Its continued fraction keeps its *relative*
precision far into the tails, where 1 - CDF would be rounding noise.
"""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300

# Steps per part of the continued fraction, and number of parts.
_PART, _PARTS = 32, 3125

# Above it differences of logarithms of Γ lose digits; below it the last bits stay as they are.
_LARGE = 5000.0

_NEWTON_STEPS, _NEWTON_END = 12, 5e-8


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


@lru_cache(maxsize=4096)
def quantile(confidence: float, dof: float) -> float:
    """Return t with P(|T| <= t) = ``confidence``: the half-width of an interval in standard errors.

    >>> round(quantile(0.95, 63), 6)
    1.998341
    """
    tail = 1.0 - confidence
    near, error = _near(tail, dof)

    def is_below(t: float) -> bool:
        """Return whether t is below the quantile; P decides within the error."""
        return t < near if abs(t - near) > error else two_sided_p(t, dof) > tail

    low, high = 0.0, 1.0
    while is_below(high):
        low, high = high, 2 * high
    while high - low > 4e-16 * high:
        middle = (low + high) / 2
        if middle in (low, high):
            break
        if is_below(middle):
            low = middle
        else:
            high = middle
    return (low + high) / 2


@lru_cache(maxsize=4096)
def rough_quantile(confidence: float, dof: float) -> float:
    """Return :func:`quantile` without its last digits, in a fraction of its time."""
    return _near(1.0 - confidence, dof)[0] or quantile(confidence, dof)


def _near(tail: float, dof: float) -> tuple[float, float]:
    """Return t with P(|T| >= t) = ``tail``, and its rounding error.

    Newton's method on log P, from the expansion in 1 / dof: Abramowitz & Stegun (1964), 26.7.5,
    and 26.2.23 for the normal distribution.
    """
    root = math.sqrt(-2 * math.log(tail / 2))
    under = 1 + 1.432788 * root + 0.189269 * root**2 + 0.001308 * root**3
    z = root - (2.515517 + 0.802853 * root + 0.010328 * root**2) / under
    t = z + (z**3 + z) / (4 * dof) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * dof**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * dof**3)
    for _ in range(_NEWTON_STEPS):
        p, density = two_sided_p(t, dof), 2 * _density(t, dof)
        if not (p > 0.0 and density > 0.0):
            break
        step = p * math.log(p / tail) / density
        t += step
        if not 0.0 < t < math.inf:
            break
        if abs(step) < _NEWTON_END * t:
            return t, _rounding(dof) * tail / density
    return 0.0, math.inf


def _density(t: float, dof: float) -> float:
    log_beta = _log_half_beta(dof / 2)
    return math.exp(-log_beta - (dof + 1) / 2 * math.log1p(t * t / dof)) / math.sqrt(dof)


def _rounding(dof: float) -> float:
    """Return the largest relative rounding error of P, that of its logarithms, with a margin."""
    return 3e-15 * (10.0 + abs(math.lgamma(dof / 2)))


def _incomplete_beta(x: float, complement: float, a: float, b: float) -> float:
    """I_x(a, b) for x below (a+1)/(a+b+2): A&S 26.5.8 by Lentz's method (1976)."""
    if x == 0.0:
        return 0.0
    if max(a, b) < _LARGE:
        log_front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
        log_front += a * math.log(x) + b * math.log(complement)
    elif a > b:
        log_front = -_log_half_beta(a) + a * _log(x, complement) + b * math.log(complement)
    else:
        log_front = -_log_half_beta(b) + a * math.log(x) + b * _log(complement, x)
    return math.exp(log_front) / (a * _continued_fraction(x, a, b))


def _log(x: float, complement: float) -> float:
    """Return log x, given 1 - x, to full precision near 1."""
    return math.log1p(-complement) if complement < 0.5 else math.log(x)


def _log_half_beta(a: float) -> float:
    """Return log B(a, 1/2), for a large a without cancellation.

    The expansion of Γ(a + 1/2) / Γ(a): Tricomi & Erdélyi (1951), eq. 1, as a logarithm.
    """
    if a < _LARGE:
        return math.lgamma(a) + math.lgamma(0.5) - math.lgamma(a + 0.5)
    return math.lgamma(0.5) - 0.5 * math.log(a) + 1.0 / (8.0 * a) - 1.0 / (192.0 * a**3)


def _continued_fraction(x: float, a: float, b: float) -> float:
    value, numerator, denominator = 1.0, 1.0, 0.0
    for part in range(_PARTS):
        for over, under in _steps(a, b, part):
            step = over * x / under
            denominator = 1.0 / ((1.0 + step * denominator) or _TINY)
            numerator = (1.0 + step / numerator) or _TINY
            factor = numerator * denominator
            value *= factor
            if factor == 1.0:
                return value
    return value


@lru_cache(maxsize=16)
def _steps(a: float, b: float, part: int) -> list[tuple[float, float]]:
    """Return one part of the continued fraction's steps: ratios (over, under), to multiply by x."""
    steps = []
    for i in range(max(1, part * _PART), (part + 1) * _PART):
        m = i // 2
        if i % 2:
            steps.append((-(a + m) * (a + b + m), (a + 2 * m) * (a + 2 * m + 1)))
        else:
            steps.append((m * (b - m), (a + 2 * m - 1) * (a + 2 * m)))
    return steps
