"""Distributions of the entries of x and W: their exact moments.

Each base distribution has mean 0 and variance 1, except those whose values are meant as they are:
``rectified``, the output of a ReLU, and ``bernoulli(p)`` and ``onehot``, of 0 and 1. An
experiment's entries are ``mean + std * base``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from varsim.errors import InputError, quoted
from varsim.parsing import name_and_number, parse_call


@dataclass(frozen=True, slots=True)
class Distribution:
    """The exact moments of a base distribution b.

    Attributes:
        summary: A short description.
        mean: E b.
        variance: E (b - mean)².
        skewness: E (b - mean)³ / variance^1.5.
        kurtosis: E (b - mean)⁴ / variance²; 3 for the normal distribution.
        even_moment: Returns E b^j for even j; infinity if there is none.
        for_weights: Whether it is allowed for entries of W.
        has_all_moments: Whether every moment is finite.
    """

    summary: str
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    even_moment: Callable[[int], float]
    for_weights: bool = True
    has_all_moments: bool = True


@dataclass(frozen=True, slots=True)
class Family:
    """Distributions that have a parameter, written like ``bernoulli(0.1)``.

    Attributes:
        summary: A short description.
        parameter: The parameter and its limits, for a sentence.
        allows: Whether a parameter is within the limits.
        member: Returns the distribution of a parameter.
        example: A member, for a sentence.
        for_weights: Whether it is allowed for entries of W.
    """

    summary: str
    parameter: str
    allows: Callable[[float], bool]
    member: Callable[[float], Distribution]
    example: str
    for_weights: bool


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


def _bernoulli(p: float) -> Distribution:
    """1 with probability p, else 0: E b^j = p."""
    variance = p * (1 - p)
    return Distribution(
        f"1 with probability {p:g}, else 0",
        mean=p,
        variance=variance,
        skewness=(1 - 2 * p) / math.sqrt(variance),
        kurtosis=(1 - 3 * variance) / variance,
        even_moment=lambda j: p if j else 1.0,
        for_weights=False,
    )


def _student_t(dof: float) -> Distribution:
    """Student's t over its deviation: Johnson, Kotz & Balakrishnan (1995), eq. 28.7.

    With ν degrees of freedom E b^j = (ν - 2)^(j/2) Π (2i - 1)/(ν - 2i), i = 1 to j/2, for j < ν.
    """

    def even_moment(j: int) -> float:
        if j >= dof:
            return math.inf
        return math.prod((2 * i - 1) * (dof - 2) / (dof - 2 * i) for i in range(1, j // 2 + 1))

    summary = f"Student's t with {dof:g} degrees of freedom, rescaled"
    return Distribution(summary, 0, 1, 0, 3 + 6 / (dof - 4), even_moment, has_all_moments=False)


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

FAMILIES: dict[str, Family] = {
    "bernoulli": Family(
        "1 with probability p in bernoulli(p), else 0, not standardised: E x² = p",
        "a probability from 0.000001 to 0.999999",
        lambda p: 1e-6 <= p <= 0.999999,
        _bernoulli,
        "bernoulli(0.1), or rademacher for ±1",
        for_weights=False,
    ),
    "student-t": Family(
        "heavy tails, with n degrees of freedom in student-t(n), rescaled",
        "degrees of freedom above 4, where a fourth moment exists, and so an error bar",
        lambda dof: dof > 4,
        _student_t,
        "student-t(5)",
        for_weights=True,
    ),
}
"""Every family by name; tests hold its sampler to the moments of its members."""

ONE_HOT = "onehot"
"""The name of the distribution of x whose rows have a 1 at one place, and 0 at all others."""

SUMMARIES: dict[str, str] = {
    **{name: known.summary for name, known in DISTRIBUTIONS.items()},
    **{name: family.summary for name, family in FAMILIES.items()},
    ONE_HOT: "one 1 per row of x, and 0 elsewhere: x @ W looks up a row of W, as an embedding does",
}
"""A short description of every name."""

FOR_WEIGHTS = [
    *(name for name, known in DISTRIBUTIONS.items() if known.for_weights),
    *(name for name, family in FAMILIES.items() if family.for_weights),
]
"""The names that are allowed for entries of W."""

ALIASES = {"gaussian": "normal", "relu": "rectified", "one-hot": ONE_HOT}
"""Other names of distributions."""


def with_parameter(name: str, text: str) -> str:
    """Return the canonical spelling of a distribution, a part of the key of random streams.

    Args:
        name: A name in :data:`SUMMARIES`.
        text: The name or an alias, with its parameter if it has one.

    Raises:
        InputError: The parameter is not allowed.

    >>> with_parameter("bernoulli", "Bernoulli( 1/10 )"), with_parameter("normal", "gaussian")
    ('bernoulli(0.1)', 'normal')
    """
    family = FAMILIES.get(name)
    if family is None:
        if "(" in text:
            raise InputError(
                f"{quoted(text)} has a parameter, and only {', '.join(FAMILIES)} take one; leave "
                "it out"
            )
        return name
    value = parse_call(text).parameter
    if value is None or not family.allows(value):
        raise InputError(
            f"{quoted(text)} is not allowed: {name} takes {family.parameter}; write one like "
            f"{family.example}"
        )
    return f"{name}({repr(value).removesuffix('.0')})"


@lru_cache(maxsize=4096)
def find_distribution(name: str) -> Distribution:
    """Return the distribution of independent entries with a canonical name.

    >>> find_distribution("student-t(6)").kurtosis
    6.0
    """
    if name in DISTRIBUTIONS:
        return DISTRIBUTIONS[name]
    family, parameter = name_and_number(name)
    return FAMILIES[family].member(parameter)
