"""Tolerances: their false failures by exact laws, by sampling, and what a test sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from tests.program import here, rows
from varsim import Experiment, InputError, tolerance
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.catalog.samplers import SAMPLERS
from varsim.tolerance import of_distribution, of_kurtosis, of_outputs

NAMES = ["normal", "uniform", "truncated", "laplace"]

CUT = stats.truncnorm(-2, 2)

LAWS = {
    "normal": stats.norm(),
    "uniform": stats.uniform(-math.sqrt(3), 2 * math.sqrt(3)),
    "truncated": stats.truncnorm(-2, 2, scale=1 / CUT.std()),
    "laplace": stats.laplace(scale=math.sqrt(0.5)),
    "exponential": stats.expon(loc=-1),
}
"""Distributions of entries with mean 0 and variance 1, by SciPy."""


def exact_tails(name: str, count: int) -> tuple[NDArray[np.float64], ...]:
    """Points, and the probabilities that a mean of squares is at most and at least each.

    The law of one square is spread over a grid of step h so that its mean is exact, and its
    variance larger by at most h²/4. Its power of N is taken by Fourier transform.
    """
    sigma = math.sqrt(DISTRIBUTIONS[name].kurtosis - 1)
    step = 0.02 * sigma
    reach = max(400.0, 28 * sigma * math.sqrt(count)) * (1 if count > 200 else 3)
    size = 2 ** math.ceil(math.log2(reach / step))
    edges = np.sqrt(step * np.arange(2 * size + 2))
    nodes, weights = np.polynomial.legendre.leggauss(4)
    half = np.diff(edges)[:, np.newaxis] / 2
    w = edges[:-1, np.newaxis] + half * (1 + nodes)
    below = (LAWS[name].cdf(w) - LAWS[name].cdf(-w)) * 2 * w
    integral = np.concatenate([[0.0, 0.0], np.cumsum((below * half) @ weights)])
    one = np.diff(integral, 2) / step
    folded = one[:size] + one[size : 2 * size]
    law = np.fft.irfft(np.fft.rfft(folded) ** count, size)
    points = step * np.arange(size)
    points = points - size * step * np.round((points - count) / (size * step))
    order = np.argsort(points)
    law = law[order]
    return points[order] / count, np.cumsum(law), np.cumsum(law[::-1])[::-1]


def false_failures(name: str, count: int, limits: tuple[float, float]) -> float:
    points, below, above = exact_tails(name, count)
    low, high = limits
    return float(np.interp(low, points, below) + np.interp(high, points, above))


@pytest.mark.parametrize("count", [1, 2, 50, 2500, 10**6])
@pytest.mark.parametrize("rate", [0.01, 1e-6, 1e-9])
def test_limits_of_normal_entries_are_those_of_chi_square(count: int, rate: float) -> None:
    """Two-sided, with equal tails."""
    low, high = of_kurtosis(3.0).limits(count, rate)
    assert low == pytest.approx(stats.chi2.ppf(rate / 2, count) / count, rel=1e-7)
    assert high == pytest.approx(stats.chi2.isf(rate / 2, count) / count, rel=1e-7)
    assert of_distribution("normal").limits(count, rate) == pytest.approx((low, high), rel=1e-9)


@pytest.mark.parametrize("rate", [0.01, 1e-6])
@pytest.mark.parametrize("name", ["uniform", "truncated", "laplace", "exponential"])
def test_false_failures_are_at_most_as_promised(name: str, rate: float) -> None:
    """By the exact laws of sums, from 10 entries on; and half of them at least for many."""
    for count in (10, 100, 1000, 10000):
        share = false_failures(name, count, of_distribution(name).limits(count, rate))
        assert share <= 1.01 * rate, count
    assert share >= 0.5 * rate


def test_naive_tolerances_fail_too_often() -> None:
    """A normal one for Laplace entries; a symmetric one, though less; and 2.4 deviations."""
    count, z = 2500, stats.norm.isf(5e-7)
    for_normal = of_distribution("normal").limits(count, 1e-6)
    assert false_failures("laplace", count, for_normal) > 1000e-6
    reach = z * math.sqrt(2 / count)
    assert false_failures("normal", count, (1 - reach, 1 + reach)) > 1.5e-6
    reach = 2.4 * math.sqrt(2 / count)
    assert false_failures("normal", count, (1 - reach, 1 + reach)) > 1 / 65


def test_the_kurtosis_alone_gives_the_law_of_a_named_family() -> None:
    """Coins, uniform, normal and Laplace entries have the moments of their kurtosis."""
    for name in ("uniform", "normal", "laplace"):
        named, plain = of_distribution(name), of_kurtosis(DISTRIBUTIONS[name].kurtosis)
        assert plain[:3] == pytest.approx(named[:3], rel=1e-6)
        assert plain.limits(100, 1e-6) == pytest.approx(named.limits(100, 1e-6), rel=1e-6)
    assert of_kurtosis(1.0).limits(10, 1e-6) == (1.0, 1.0)
    assert of_distribution("rademacher").limits(10, 1e-6) == (1.0, 1.0)
    assert of_kurtosis(1.5).right == pytest.approx(0.0, abs=1e-9)  # the arcsine distribution


def test_a_law_with_negative_skewness_is_mirrored() -> None:
    """Of ±√(5/4) and 0, with 4/5 nonzero entries: their number is binomial."""
    count, rate = 2000, 1e-4
    low, high = of_kurtosis(1.25).limits(count, rate)
    law = stats.binom(count, 0.8)
    share = law.cdf(math.ceil(low * 0.8 * count) - 1) + law.sf(math.floor(high * 0.8 * count))
    assert 0.5 * rate < share < 1.2 * rate


@pytest.mark.parametrize("name", NAMES)
def test_the_deviation_of_an_estimated_kurtosis_is_that_of_samples(name: str) -> None:
    """τ/√N, within 6 standard errors of a variance by its own spread."""
    count, replicates = 20000, 400
    w = np.empty(replicates * count)
    SAMPLERS[name](np.random.default_rng(1), w)
    squares = w.reshape(replicates, count) ** 2
    estimates = (squares**2).mean(axis=1) / squares.mean(axis=1) ** 2
    deviations2 = count * (estimates - estimates.mean()) ** 2
    error = deviations2.std() / math.sqrt(replicates)
    tau2 = tolerance._tau(DISTRIBUTIONS[name].kurtosis) ** 2
    # A truncated normal has not quite the moments of the family with its kurtosis.
    assert abs(deviations2.mean() - tau2) < 6 * error + (0.2 * tau2 if name == "truncated" else 0)


def test_an_estimated_kurtosis_has_a_limit_that_nears_it() -> None:
    """From above, with the number of entries; few entries could be of any named distribution."""
    limits = [tolerance.kurtosis_and_rest(3.0, count, 1e-6)[0] for count in (100, 2500, 10**6)]
    assert limits[0] == 9.0
    assert 3.0 < limits[2] < 3.03 < limits[1] < 4.0
    assert tolerance.kurtosis_and_rest(12.0, 100, 1e-6)[0] == 12.0


@pytest.mark.parametrize("error", [0.5, 0.2, -0.5, -0.2])
@pytest.mark.parametrize("name", NAMES)
def test_a_test_sees_what_it_promises_to_see(name: str, error: float) -> None:
    """With power 0.9 and 2,000 replicates, down to 5 standard errors below it, or 3.4 %.

    And with no more entries than that takes.
    """
    squares, rate, replicates = of_distribution(name), 0.001, 2000
    count = squares.needed(error, rate, 0.9)
    w = np.empty(replicates * count)
    SAMPLERS[name](np.random.default_rng(2), w)
    means = (w.reshape(replicates, count) ** 2).mean(axis=1)
    low, high = squares.limits(count, rate)
    for factor in {1 + error, 1 - abs(error)}:
        share = np.mean((factor * means < low) | (factor * means > high))
        assert share > 0.9 - 0.034
        if error < 0 and name != "laplace":  # whose limit below is too wide
            assert share < 0.9 + 0.06


@pytest.mark.parametrize(
    ("dim", "fan_out", "rows_of_x", "x", "w"),
    [(64, 64, 1, "normal", "normal"), (64, 64, 64, "normal", "normal"),
     (64, 16, 64, "uniform", "laplace"), (32, 64, 4, "laplace", "uniform"),
     (64, 64, 32, "rectified", "normal"), (16, 1, 256, "rectified", "uniform")],
)  # fmt: skip
def test_tolerances_of_outputs_hold(dim: int, fan_out: int, rows_of_x: int, x: str, w: str) -> None:
    """At 1 % false failures, of 2,000 draws: at most 5 standard errors above, or 1.1 %."""
    draws, rng = 2000, np.random.default_rng(3)
    xs, ws = np.empty(draws * rows_of_x * dim), np.empty(draws * dim * fan_out)
    SAMPLERS[x](rng, xs)
    SAMPLERS[w](rng, ws)
    y = xs.reshape(draws, rows_of_x, dim) @ ws.reshape(draws, dim, fan_out)
    base = DISTRIBUTIONS[x]
    ratios = (y**2).mean(axis=(1, 2)) / (dim * (base.variance + base.mean**2))
    question = Experiment(dim=dim, fan_out=fan_out, scale="none", x_dist=x, w_dist=w)
    squares = of_outputs(question, rows_of_x)
    low, high = squares.limits(1, 0.01)
    assert np.mean((ratios < low) | (ratios > high)) < 0.01 + 5 * math.sqrt(0.01 / draws)
    reach = stats.norm.isf(0.005) * math.sqrt(2 / (rows_of_x * fan_out))  # as if independent
    assert np.mean(abs(ratios - 1) > reach) > 0.05


def test_the_command_has_the_numbers_of_the_laws() -> None:
    """Of each combination of entries and distributions, and of both signs of an error."""
    args = ["tolerance", "-n", "100,2500", "--dist", "gaussian,uniform", "--sees", "50%,-50%"]
    shown = rows(*args, "--false-failure", "0.0001%")
    assert [(row["entries"], row["dist"]) for row in shown] == [
        (100, "normal"), (100, "uniform"), (2500, "normal"), (2500, "uniform")
    ]  # fmt: skip
    assert (shown[2]["low"], shown[2]["high"]) == of_distribution("normal").limits(2500, 1e-6)
    assert shown[2]["tolerance"] == shown[2]["high"] - 1
    assert (shown[2]["sees_50%"], shown[2]["sees_-50%"]) == (754, 282)


def test_the_command_asks_for_outputs_with_a_dim() -> None:
    """The variance of a block is that of theory; fan-out is D by default."""
    (row,) = rows("tolerance", "-d", "64", "--rows", "64")
    assert (row["dim"], row["fan_out"], row["x_dist"]) == (64, 64, "normal")
    expected = (2 + 6 / 64 + 4 * 63 / 64) / 64**2
    assert row["relative_error"] == pytest.approx(math.sqrt(expected))


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ("--dim 8 --entries 9", "--entries is for entries, and --dim for outputs"),
        ("--rows 3", "--rows is for outputs of x @ W; add --dim"),
        ("--dist student-t(5)", "student-t(5) has too few moments"),
        ("--dim 8 -x onehot", "onehot has entries that depend on each other"),
        ("--dist rectified", "'rectified' is a distribution of x only"),
        ("--entries 0", "entries is 0; give a whole number from 1"),
        ("--dim 8 --rows 0", "rows is 0; give a whole number from 1"),
        ("--sees 0%", "an error of 0% is not allowed"),
        ("--sees -100%", "an error of -100% is not allowed"),
        ("--sees 1e-6 --dist exponential", "needs more than 1,000,000,000,000,000 entries"),
        ("--power 1", "power is 1.0; give a number between 0 and 1"),
    ],
)
def test_a_mistake_is_one_sentence(args: str, sentence: str) -> None:
    """With exit code 2, and nothing on stdout."""
    done = here("tolerance", *args.split())
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert sentence in done.stderr


def test_a_kurtosis_has_limits() -> None:
    """None is below 1."""
    with pytest.raises(InputError, match=r"kurtosis is 0\.9; give a number from 1"):
        tolerance.check_kurtosis(0.9)


def test_factors_with_heavy_tails_widen_the_tolerance_of_outputs() -> None:
    """One large entry of x can decide, as for entries alone."""
    question = Experiment(dim=16, fan_out=256, scale="none", x_dist="laplace", w_dist="rademacher")
    of_entries = of_distribution("laplace").limits(16, 1e-6)
    assert of_outputs(question, 1).limits(1, 1e-6)[1] >= of_entries[1]
