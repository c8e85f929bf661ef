"""Distributions of the entries of x and W: their exact moments.

Each base distribution has mean 0 and variance 1, except ``rectified``, the output of a ReLU. An
experiment's entries are ``mean + std * base``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Distribution:
    """The exact moments of a base distribution b.

    Attributes:
        summary: A short description.
        mean: E b.
        variance: E (b - mean)².
        skewness: E (b - mean)³ / variance^1.5.
        kurtosis: E (b - mean)⁴ / variance²; 3 for the normal distribution.
        even_moment: Returns E b^j for even j.
        for_weights: Whether it is allowed for entries of W.
    """

    summary: str
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    even_moment: Callable[[int], float]
    for_weights: bool = True


def truncated_moments(bound: float) -> tuple[float, float]:
    """Return variance and kurtosis of a standard normal truncated at ±bound.

    Johnson, Kotz & Balakrishnan (1994), section 13.10. The error is at most 1e-7 for bounds of at
    least 0.01.
    """
    inside = math.erf(bound / math.sqrt(2.0))
    density = math.exp(-bound * bound / 2.0) / math.sqrt(2.0 * math.pi)
    variance = 1.0 - 2.0 * bound * density / inside
    fourth = 3.0 * variance - 2.0 * bound**3 * density / inside
    return variance, fourth / variance**2


def _normal_moment(j: int) -> float:
    return float(math.prod(range(j - 1, 0, -2)))


def _truncated_moment(j: int) -> float:
    variance, density = truncated_moments(2)[0], math.exp(-2) / math.sqrt(2 * math.pi)
    inside, moment = math.erf(2 / math.sqrt(2)), 1.0
    for k in range(2, j + 1, 2):
        moment = (k - 1) * moment - 2**k * density / inside
    return float(moment / variance ** (j / 2))


def _exponential_moment(j: int) -> float:
    return float(sum((-1) ** k * math.perm(j, j - k) for k in range(j + 1)))


def _rectified() -> Distribution:
    """max(z, 0) of a standard normal z, with E b^j = E|z|^j / 2."""
    m1, m2, m3, m4 = 1 / math.sqrt(2 * math.pi), 0.5, math.sqrt(2 / math.pi), 1.5
    variance = m2 - m1**2
    return Distribution(
        "ReLU of a standard normal, not standardised: E x² = ½",
        mean=m1,
        variance=variance,
        skewness=(m3 - 3 * m1 * m2 + 2 * m1**3) / variance**1.5,
        kurtosis=(m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / variance**2,
        even_moment=lambda j: _normal_moment(j) / (1 if j == 0 else 2),
        for_weights=False,
    )


DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Distribution("Gaussian", 0, 1, 0, 3, _normal_moment),
    "uniform": Distribution("on ±√3", 0, 1, 0, 1.8, lambda j: 3.0 ** (j / 2) / (j + 1)),
    "truncated": Distribution(
        "normal kept within ±2σ, rescaled", 0, 1, 0, truncated_moments(2)[1], _truncated_moment
    ),
    "rademacher": Distribution("±1", 0, 1, 0, 1, lambda _: 1.0),
    "laplace": Distribution(
        "two-sided exponential", 0, 1, 0, 6, lambda j: math.factorial(j) / 2 ** (j / 2)
    ),
    "exponential": Distribution("less 1, skewed", 0, 1, 2, 9, _exponential_moment),
    "rectified": _rectified(),
}
"""Every distribution by name; tests hold its sampler to these moments."""

ALIASES = {"gaussian": "normal", "relu": "rectified"}
"""Other names of distributions."""
