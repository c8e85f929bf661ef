"""Student's t against SciPy and against the exact finite sums of Abramowitz & Stegun."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from varsim.statistics.student import quantile, two_sided_p

DOFS = [2, 2.5, 29, 30, 31, 63, 63.7, 64, 125.99, 999, 100_000]
"""Welch's degrees of freedom are not whole."""


def finite_sum(t: float, dof: int) -> float:
    """A(t | dof) = P(|T| <= t): A&S 26.7.3 for odd and 26.7.4 for even degrees of freedom."""
    theta = math.atan(t / math.sqrt(dof))
    if dof % 2 == 0:
        term = total = 1.0
        for j in range(1, dof // 2):
            term *= (2 * j - 1) / (2 * j) * math.cos(theta) ** 2
            total += term
        return math.sin(theta) * total
    term = total = math.cos(theta)
    for j in range(1, (dof - 1) // 2):
        term *= 2 * j / (2 * j + 1) * math.cos(theta) ** 2
        total += term
    return 2 / math.pi * (theta + (math.sin(theta) * total if dof > 1 else 0.0))


@pytest.mark.parametrize("dof", [29, 30, 63, 64])
@pytest.mark.parametrize("t", [0.01, 0.5, 1.96, 4.0])
def test_p_is_the_exact_finite_sum(t: float, dof: int) -> None:
    """To rounding level, for odd and even degrees of freedom."""
    assert two_sided_p(t, dof) == pytest.approx(1 - finite_sum(t, dof), abs=1e-13)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("t", [0.0, 1e-8, 0.3, 1.0, 2.0, 3.5, 8.0, 40.0, 1e4])
def test_p_is_scipys_far_into_the_tails(t: float, dof: float) -> None:
    """Relative precision, where 1 - CDF would have none left."""
    assert two_sided_p(t, dof) == pytest.approx(2 * stats.t.sf(t, dof), rel=1e-8)
    assert two_sided_p(-t, dof) == two_sided_p(t, dof)


@pytest.mark.parametrize("dof", DOFS)
@pytest.mark.parametrize("confidence", [1e-6, 0.5, 0.9, 0.95, 0.999, 1 - 1e-9])
def test_quantile_is_scipys(confidence: float, dof: float) -> None:
    """The half-width of an interval in standard errors."""
    expected = stats.t.isf((1 - confidence) / 2, dof)
    assert quantile(confidence, dof) == pytest.approx(expected, rel=1e-6)
