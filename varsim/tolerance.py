"""Tolerances of tests: limits of a mean of squares under a claim, and the power of a test.

The mean of N squares w² of independent entries with E w = 0 and E w² = v, over v, has the mean 1,
the variance (κ - 1) / N and the skewness γ / √N with

    σ² = κ - 1,  γ = (E w⁶ / v³ - 3κ + 2) / σ³.

Its law is taken as that of a shifted gamma variable with these three moments, Pearson's type III:
exactly χ²_N / N for normal entries, where γ = 2σ. For lighter tails, γ < 2σ, its limits are too
wide. For heavier ones the left limit is that of γ = 2σ, which is too wide as well, and the right
limit allows for one large entry: see :meth:`Squares.upper`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from varsim.catalog.designs import BlockShape
from varsim.catalog.distributions import ONE_HOT, find_distribution
from varsim.errors import InputError
from varsim.layer.question import Experiment
from varsim.layer.theory import block_error2
from varsim.statistics.gamma import NORMAL, quantile

POWER = 0.999
"""The probability at which a test sees an error."""

MAX_COUNT = 10**15

LEAST_PROBABILITY = 1e-100
"""The least probability that is computed."""

_LIGHTEST, _HEAVIEST = 1.0, 1e6

# The largest kurtosis of the named distributions of W with all moments.
_LARGEST_NAMED = 9.0

# The share of a tail's probability that is left to a single large entry.
_SHARE_OF_ONE = 0.04

# The highest moment in a bound on a single entry.
_HIGHEST = 60

# The share of false failures that is left to the estimate of the kurtosis.
_SHARE_OF_ESTIMATE = 0.1

_LEAST_ERROR, _LARGEST_ERROR = 1e-6, 10.0

LogMoment = Callable[[int], float]
"""log(E w^j / (E w²)^(j/2)) for even j."""


class Squares(NamedTuple):
    """The law of the mean square of one unit, an entry or a block, over its expectation.

    Attributes:
        sigma: Its standard deviation.
        left: Its skewness, for the limit below.
        right: Its skewness, for the limit above.
        log_moment: Moments of an entry with tails heavier than a normal one's; else None.
        factors: Laws of entries in a block with such tails, and their numbers.
    """

    sigma: float
    left: float
    right: float
    log_moment: LogMoment | None = None
    factors: tuple[tuple[Squares, int], ...] = ()

    def lower(self, count: int, probability: float) -> float:
        """Return the limit below which a mean of ``count`` units has a probability."""
        return _pearson(self.sigma, self.left, count, probability, upper=False)

    def upper(self, count: int, probability: float) -> float:
        """Return the limit above which a mean of ``count`` units has at most a probability p.

        In small samples of heavy tails a single entry decides. By Markov's inequality no entry
        has N P(|w| > c) > q for c^j = N E|w|^j / q, with any j. An entry of c adds c² / N.
        """
        if self.log_moment is None:
            limit = _pearson(self.sigma, self.right, count, probability, upper=True)
            of_factors = (each.upper(size * count, probability) for each, size in self.factors)
            return max([limit, *of_factors])
        others = probability * (1.0 - _SHARE_OF_ONE)
        limit = _pearson(self.sigma, self.right, count, others, upper=True)
        log_odds = math.log(count / (probability * _SHARE_OF_ONE))
        log_c = min((log_odds + self.log_moment(j)) / j for j in range(4, _HIGHEST + 1, 2))
        return max(limit, 1.0 + math.exp(2.0 * log_c) / count)

    def limits(self, count: int, false_failure: float) -> tuple[float, float]:
        """Return the limits of a test with equal tails, over the expectation.

        >>> low, high = of_kurtosis(3.0).limits(2500, 1e-6)
        >>> round(low, 4), round(high, 4)
        (0.8677, 1.1445)
        """
        half = 0.5 * false_failure
        return max(0.0, self.lower(count, half)), self.upper(count, half)

    def probability(self, count: int, ratio: float) -> float:
        """Return the least rate of false failures of a test that fails at a ratio, or a bound.

        It is not below :data:`LEAST_PROBABILITY`.
        """
        if not self.sigma:
            return LEAST_PROBABILITY if ratio != 1.0 else 1.0
        low, high = math.log(LEAST_PROBABILITY), 0.0
        for _ in range(40):
            middle = 0.5 * (low + high)
            below, above = self.limits(count, math.exp(middle))
            low, high = (low, middle) if not below <= ratio <= above else (middle, high)
        return math.exp(high)

    def needed(self, error: float, false_failure: float, power: float = POWER) -> int:
        """Return the number of units from which on a test sees a relative error.

        Args:
            error: The error of the variance; a positive one either way, a negative one as it is.
            false_failure: The rate of false failures of the test.
            power: The probability that it fails.

        Raises:
            InputError: The error is not allowed, or needs more than :data:`MAX_COUNT`.
        """
        if not -1.0 < error <= _LARGEST_ERROR or abs(error) < _LEAST_ERROR:
            raise InputError(
                f"an error of {100 * error:g}% is not allowed; give one up to "
                f"{100 * _LARGEST_ERROR:g}%, such as 5% for either way, or -5% for a variance that "
                "is too small"
            )

        def sees(count: int) -> bool:
            low, high = self.limits(count, false_failure)
            excess = error < 0.0 or (1.0 + error) * self.lower(count, 1.0 - power) > high
            return excess and (1.0 - abs(error)) * self.upper(count, 1.0 - power) < low

        if not self.sigma:
            return 1
        reach = NORMAL.inv_cdf(power) - NORMAL.inv_cdf(0.5 * false_failure)
        least, most = 0, max(1, int((0.5 * reach * self.sigma / error) ** 2))
        while not sees(most):
            least, most = most, 2 * most
            if most > MAX_COUNT:
                raise InputError(
                    f"an error of {100 * error:g}% needs more than {MAX_COUNT:,} entries; give a "
                    "larger one"
                )
        while most - least > 1:
            middle = (least + most) // 2
            least, most = (least, middle) if sees(middle) else (middle, most)
        return most


def _pearson(
    sigma: float, skewness: float, count: int, probability: float, *, upper: bool
) -> float:
    """Return a quantile of a mean of units with Pearson's type III law."""
    if sigma == 0.0:
        return 1.0
    if skewness < 0.0:
        return 2.0 - _pearson(sigma, -skewness, count, probability, upper=not upper)
    if skewness < 1e-6:
        z = NORMAL.inv_cdf(probability)
        return 1.0 + (-z if upper else z) * sigma / math.sqrt(count)
    shape = 4.0 * count / skewness**2
    above = quantile(shape, probability, upper=upper) / shape - 1.0
    return 1.0 + sigma * math.sqrt(shape / count) * above


def _of_moments(log_moment: LogMoment) -> Squares:
    kurtosis, sixth = math.exp(log_moment(4)), math.exp(log_moment(6))
    sigma = math.sqrt(max(0.0, kurtosis - 1.0))
    if sigma < 1e-6:
        return Squares(0.0, 0.0, 0.0)
    skewness, normal = (sixth - 3.0 * kurtosis + 2.0) / sigma**3, 2.0 * sigma
    if math.isclose(skewness, normal, rel_tol=1e-9):
        return Squares(sigma, normal, normal)
    heavy = log_moment if skewness > normal else None
    return Squares(sigma, min(skewness, normal), skewness, heavy)


@lru_cache(maxsize=4096)
def of_distribution(name: str) -> Squares:
    """Return the law of the squares of entries with a named distribution.

    Raises:
        InputError: It lacks moments, or its entries depend on each other.
    """
    return _of_moments(_named_moments(name))


def of_entries(dist: str) -> tuple[str, Squares]:
    """Return the canonical name of a distribution of W, and the law of the squares of its entries.

    Raises:
        InputError: It is unknown, or lacks moments.
    """
    name = str(Experiment(dim=1, scale="none", w_dist=dist).w_dist)
    return name, of_distribution(name)


def _named_moments(name: str) -> LogMoment:
    if name == ONE_HOT or not find_distribution(name).has_all_moments:
        why = "entries that depend on each other" if name == ONE_HOT else "too few moments"
        raise InputError(f"{name} has {why}, and no tolerance follows; take another distribution")
    moment = find_distribution(name).even_moment
    return lambda j: math.log(moment(j)) - 0.5 * j * math.log(moment(2))


def check_kurtosis(value: float) -> float:
    """Return a kurtosis.

    Raises:
        InputError: It is not allowed.
    """
    if not _LIGHTEST <= value <= _HEAVIEST:
        raise InputError(
            f"kurtosis is {value:g}; give a number from {_LIGHTEST:g} to {_HEAVIEST:g}, such as 3 "
            "for normal entries or 1.8 for uniform ones"
        )
    return value


@lru_cache(maxsize=4096)
def of_kurtosis(kurtosis: float) -> Squares:
    """Return the law of the squares of entries with a kurtosis.

    Further moments are those of the symmetric beta distribution (Pearson's type II) up to 3, and
    of the exponential power distribution from 3 on: Johnson, Kotz & Balakrishnan (1995), sections
    24.6 and 25.2. Two values ±1, uniform, normal and Laplace entries are among them.
    """
    return _of_moments(_moments_of(kurtosis))


def _moments_of(kurtosis: float) -> LogMoment:
    if kurtosis <= 3.0:
        return partial(_beta_moment, kurtosis)
    low, high = 0.05, 2.0
    for _ in range(50):
        middle = 0.5 * (low + high)
        too_heavy = _power_moment(middle, 4) > math.log(kurtosis)
        low, high = (middle, high) if too_heavy else (low, middle)
    return partial(_power_moment, high)


def _beta_moment(kurtosis: float, j: int) -> float:
    """Moments of the density (1 - w²)^(b-1) on ±1, with 1 + 2b = 2κ / (3 - κ).

    E w^j = Π (2i + 1) / (1 + 2b + 2i) for i = 0 to j/2 - 1, so that κ = 3 (1 + 2b) / (3 + 2b).
    """
    inverse = (3.0 - kurtosis) / (2.0 * kurtosis)
    return math.fsum(math.log((2 * i + 1) / (1.0 + 2 * i * inverse)) for i in range(j // 2))


def _power_moment(beta: float, j: int) -> float:
    """Moments of the density exp(-|w|^β): E |w|^j = Γ((j + 1) / β) / Γ(1 / β)."""
    first, third = math.lgamma(1.0 / beta), math.lgamma(3.0 / beta)
    return math.lgamma((j + 1) / beta) - first - 0.5 * j * (third - first)


def kurtosis_and_rest(kurtosis: float, count: int, false_failure: float) -> tuple[float, float]:
    """Return an upper limit of a kurtosis that is an estimate, and the rest of false failures.

    An estimate κ̂ = N Σ w⁴ / (Σ w²)² has the variance τ² / N to first order, with

        τ² = m₈ - 4κ m₆ + (4κ + 2) κ² - 3κ²,  m_j = E w^j / (E w²)^(j/2).

    1/κ̂ is nearly normal, with the deviation τ / (κ² √N); with heavy tails it has a shorter tail on
    the side of small κ̂. The limit is the largest κ that does not make κ̂ too small at a tenth of
    the rate of false failures: one more probability in the sum that bounds them. The limit is at
    most 9, the largest kurtosis of the named distributions with all moments, or κ̂ itself.

    Args:
        kurtosis: κ̂.
        count: Number of entries.
        false_failure: The rate of false failures of the test.
    """
    z = -NORMAL.inv_cdf(_SHARE_OF_ESTIMATE * false_failure) / math.sqrt(count)
    rest = (1.0 - _SHARE_OF_ESTIMATE) * false_failure

    def is_possible(at: float) -> bool:
        return 1.0 / at + z * _tau(at) / at**2 >= 1.0 / kurtosis

    if kurtosis >= _LARGEST_NAMED or is_possible(_LARGEST_NAMED):
        return max(kurtosis, _LARGEST_NAMED), rest
    low, high = kurtosis, _LARGEST_NAMED
    for _ in range(20):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_possible(middle) else (low, middle)
    return high, rest


def _tau(kurtosis: float) -> float:
    log_moment = _moments_of(kurtosis)
    sixth, eighth = math.exp(log_moment(6)), math.exp(log_moment(8))
    square = eighth - 4 * kurtosis * sixth + (4 * kurtosis + 2) * kurtosis**2 - 3 * kurtosis**2
    return math.sqrt(max(0.0, square))


def of_outputs(question: Experiment, rows: int) -> Squares:
    """Return the law of the mean square of one draw of X @ W, of ``rows`` x and a whole W.

    Its variance is exact: :func:`varsim.layer.theory.block_error2`. To first order it is a product
    of independent factors: mean squares of x and of W, and that of normal outputs given both. A
    product of factors with variances a and skewnesses s √a has the skewness s' √A with A = Σ a and

        s' = 3 + Σ (s - 3) a² / A²,

    between the least of s and 3, and the largest. Normal factors have s = 2. Each limit takes the
    wider one. A mean of x with the share p = (E x)² / E x² adds p (Σ w)² / D per column, a term
    with the share b of the variance, and so at most b² 2 / p to s'.

    Raises:
        InputError: A distribution lacks moments.
    """
    x, w = (of_distribution(name) for name in (question.x_dist, str(question.w_dist)))
    sigma = math.sqrt(max(0.0, block_error2(question, BlockShape(1, rows, question.n))))
    if not sigma:
        return Squares(0.0, 0.0, 0.0)
    skews = [2.0, *(each.right / each.sigma for each in (x, w) if each.sigma)]
    base = find_distribution(question.x_dist)
    p = base.mean**2 / (base.mean**2 + base.variance)
    of_mean = 8.0 * p**3 / (question.n * sigma**2) ** 2  # b = 2p² / (n σ²)
    sizes = ((x, question.dim * rows), (w, question.dim * question.n))
    factors = tuple((each, size) for each, size in sizes if each.log_moment is not None)
    right = max(3.0, *skews) + of_mean
    return Squares(sigma, min(skews) * sigma, right * sigma, factors=factors)
