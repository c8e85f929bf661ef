"""The gamma distribution: both tails and both quantiles, for any shape."""

from __future__ import annotations

import mpmath
import pytest
from scipy import special

from varsim.statistics.gamma import quantile, tail

PROBABILITIES = [0.999, 0.5, 0.01, 5e-7, 1e-12, 1e-100]


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [0.05, 0.5, 1.0, 12.5, 300.0, 999.0, 1001.0, 5000.0])
def test_quantiles_have_their_probability(shape: float, upper: bool) -> None:
    """By SciPy, to 1e-11 below a shape of 1,000 and to 2e-6 from there on."""
    exact = special.gammaincc if upper else special.gammainc
    for probability in PROBABILITIES[: 6 if upper or shape >= 0.5 else 5]:
        x = quantile(shape, probability, upper=upper)
        bound = 1e-11 if shape < 1000 else 2e-6
        assert exact(shape, x) == pytest.approx(probability, rel=bound)


@pytest.mark.parametrize("shape", [1e5, 1e8])
def test_tails_of_large_shapes_are_those_of_an_integral(shape: float) -> None:
    """By 30 digits of the density, to 1e-7, where SciPy has no digit left."""
    with mpmath.workdps(30):
        for z in (-6.0, -1.0, 0.001, 1.0, 6.0):
            x = shape + z * shape**0.5
            ends = [x, x + 2 * z * shape**0.5, x + 40 * (1 if z > 0 else -1) * shape**0.5]
            front = mpmath.loggamma(shape)

            def density(t: mpmath.mpf, front: mpmath.mpf = front) -> mpmath.mpf:
                return mpmath.exp((shape - 1) * mpmath.log(t) - t - front)

            exact = float(abs(mpmath.quad(density, ends)))
            assert tail(shape, x, upper=z > 0) == pytest.approx(exact, rel=1e-7)


@pytest.mark.parametrize("shape", [1e10, 1e14])
def test_the_largest_shapes_are_normal_with_skewness(shape: float) -> None:
    """By the expansion of Cornish & Fisher (1938)."""
    for z in (3.0, 4.9):
        probability = float(special.ndtr(-z))
        for sign in (1, -1):
            x = quantile(shape, probability, upper=sign > 0)
            expected = sign * z + (z * z - 1) / 3 / shape**0.5
            assert (x - shape) / shape**0.5 == pytest.approx(expected, abs=3e-7 * z)
