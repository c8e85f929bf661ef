"""Running totals and histograms against the plain formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim.statistics.moments import Bins, Block, Moments, Totals

FINITE = st.floats(-1e3, 1e3, allow_subnormal=False)
PAIRS = st.lists(st.tuples(FINITE, FINITE.map(abs)), min_size=3, max_size=40)


def blocks_of(pairs: list[tuple[float, float]]) -> list[Block]:
    return [Block(Moments(10, mean, variance)) for mean, variance in pairs]


@given(PAIRS, st.sampled_from([0.0, 1e6]))
def test_totals_are_the_plain_central_sums(pairs: list[tuple[float, float]], shift: float) -> None:
    """One by one as all at once, in exact arithmetic, also far from zero."""
    pairs = [(mean + shift, variance) for mean, variance in pairs]
    totals = Totals.of(blocks_of(pairs))
    means, variances = ([Fraction(v) for v in column] for column in zip(*pairs, strict=True))
    mean, within = sum(means) / len(means), sum(variances) / len(variances)
    m, v = [x - mean for x in means], [x - within for x in variances]
    # What rounding leaves of sums whose terms are so large.
    spread = max(1e-3, *map(abs, map(float, m)), *map(abs, map(float, v)))
    slack = 1e-9 * (1 + shift / spread) * len(pairs)
    expected = {
        "m2": sum(a * a for a in m), "m3": sum(a**3 for a in m), "m4": sum(a**4 for a in m),
        "v2": sum(b * b for b in v), "mv": sum(a * b for a, b in zip(m, v, strict=True)),
        "mmv": sum(a * a * b for a, b in zip(m, v, strict=True)),
    }  # fmt: skip
    order = {"m2": 2, "m3": 3, "m4": 4, "v2": 2, "mv": 2, "mmv": 3}
    for name, value in expected.items():
        found = getattr(totals, name)
        assert math.isclose(found, float(value), abs_tol=slack * spread ** order[name]), name
    assert totals.mean == pytest.approx(float(mean))
    assert totals.within == pytest.approx(float(within))


@given(PAIRS)
def test_the_error_is_the_jackknife_s(pairs: list[tuple[float, float]]) -> None:
    """Leaving out one block at a time and computing the variance anew, as in the textbook."""
    totals = Totals.of(blocks_of(pairs))
    count = len(pairs)
    left_out = [exact_variance(pairs[:i] + pairs[i + 1 :]) for i in range(count)]
    mean = sum(left_out) / count
    jackknife = Fraction(count - 1, count) * sum((each - mean) ** 2 for each in left_out)
    means = [Fraction(m) for m, _ in pairs]
    centre = sum(means) / count
    between = sum((each - centre) ** 2 for each in means) / (count - 1)
    expected = math.sqrt(jackknife + 2 * (between / count) ** 2)
    assert totals.variance == pytest.approx(float(exact_variance(pairs)), rel=1e-9, abs=1e-9)
    assert totals.std_error == pytest.approx(expected, rel=1e-6, abs=1e-5)


def exact_variance(pairs: list[tuple[float, float]]) -> Fraction:
    """Mean variance within blocks plus the variance of their means."""
    means, variances = ([Fraction(v) for v in column] for column in zip(*pairs, strict=True))
    centre = sum(means, Fraction()) / len(means)
    between = sum(((each - centre) ** 2 for each in means), Fraction()) / (len(means) - 1)
    return sum(variances, Fraction()) / len(variances) + between


def test_histograms_count_everything_once() -> None:
    """NumPy's histogram between the ends, and the rest beyond them; blocks add up."""
    values = np.random.default_rng(1).standard_normal((3, 1000)).astype(np.float32)
    bins = Bins(-2.0, 0.125, 32)
    edges = bins.low + bins.width * np.arange(bins.number + 1)
    total = Totals.of(Block(Moments.of(row), counts=bins.counts(row)) for row in values)
    assert total.counts is not None
    assert sum(total.counts) == values.size
    assert list(total.counts[1:-1]) == np.histogram(values.astype(float), edges)[0].tolist()
    assert total.counts[0] == (values < -2.0).sum()
    assert total.counts[-1] == (values >= 2.0).sum()
