"""Statistics: running totals, Student's t, estimates, and verdicts that share one rate."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import combinations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from varsim import InputError
from varsim.layer.totals import Block, Totals
from varsim.statistics import Estimate, check_probability, holm, judge, student
from varsim.statistics.moments import Bins, Moments
from varsim.statistics.student import quantile, two_sided_p

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


@pytest.mark.parametrize("t", [0.5, 2.0, 4.5])
@pytest.mark.parametrize("dof", [10_002, 1_000_000])
def test_p_keeps_its_digits_with_many_degrees_of_freedom(t: float, dof: int) -> None:
    """Differences of log Γ would leave nine digits."""
    with mpmath.workdps(40):
        x = dof / (dof + mpmath.mpf(t) ** 2)
        exact = mpmath.betainc(mpmath.mpf(dof) / 2, 0.5, 0, x, regularized=True)
        assert abs(two_sided_p(t, dof) / exact - 1) < 1e-11


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


@settings(deadline=None)
@given(
    st.sampled_from([0.001, 0.5, 0.9, 0.95, 0.99, 0.999999]) | st.floats(0.01, 0.9999),
    st.sampled_from([1, 2, 3, 63, 1023]) | st.floats(1.0, 300.0),
)
def test_a_quantile_is_where_plain_bisection_ends(confidence: float, dof: float) -> None:
    """To the last bit, so that the files of other versions keep their bytes."""
    low, high = 0.0, 1.0
    while two_sided_p(high, dof) > 1.0 - confidence:
        low, high = high, 2 * high
    middle = (low + high) / 2
    while high - low > 4e-16 * high and middle not in (low, high):
        is_below = two_sided_p(middle, dof) > 1.0 - confidence
        low, high = (middle, high) if is_below else (low, middle)
        middle = (low + high) / 2
    assert quantile(confidence, dof) == middle


ALPHAS = [1e-9, 1e-4, 0.004, 0.01, 0.02, 0.04, 0.1, 0.5]


@dataclass(frozen=True)
class Row:
    """What a verdict can be passed on."""

    estimates: tuple[Estimate, ...]
    agrees: bool | None = None
    alpha: float | None = None
    tests: int | None = None

    def judged(self, *, agrees: bool | None, alpha: float | None, tests: int | None) -> Row:
        return replace(self, agrees=agrees, alpha=alpha, tests=tests)


def with_p(p: float, dof: float = 63) -> Estimate:
    """An estimate with that p-value, whose error is measured as it is expected."""
    t = float(stats.t.isf(p / 2, dof))
    return Estimate(value=1.0 + 0.1 * t, std_error=0.1, dof=dof, claim=1.0, expected_error=0.1)


def test_an_estimate_is_compared_with_its_claim() -> None:
    """Ratio, z, p and interval are those of Student's t with its degrees of freedom."""
    estimate = Estimate(value=3.3, std_error=0.1, dof=29, claim=3.0)
    t = stats.t(29)
    assert estimate.ratio == pytest.approx(1.1)
    assert estimate.relative_error == pytest.approx(0.1 / 3.3)
    assert estimate.z == pytest.approx(3.0)
    assert estimate.p == pytest.approx(2 * t.sf(3.0))
    low, high = stats.t.interval(0.9, 29, loc=3.3, scale=0.1)
    assert estimate.half_width(0.9) == pytest.approx(0.1 * t.isf(0.05))
    assert estimate.interval(0.9) == pytest.approx((low, high))
    assert estimate.ratio_interval(0.9) == pytest.approx((low / 3.0, high / 3.0))


def test_an_allowance_is_taken_off_before_z_and_p() -> None:
    """Only what lies beyond the relative allowance counts, on either side of the claim."""
    for value in (2.4, 3.6):
        beyond = Estimate(value=value, std_error=0.1, dof=63, claim=3.0, slack=0.1)
        assert beyond.p == pytest.approx(2 * stats.t.sf(3.0, 63))
        assert beyond.joint_p == beyond.p
        assert beyond.z == pytest.approx(3.0 if value > 3 else -3.0)
        within = Estimate(value=value, std_error=0.1, dof=63, claim=3.0, slack=0.2)
        assert (within.z, within.p, within.joint_p) == (0.0, 1.0, 1.0)


def test_without_a_claim_nothing_is_compared() -> None:
    """A measurement that nothing is known of has its interval, and no ratio, z or p."""
    estimate = Estimate(value=2.0, std_error=0.1, dof=63)
    assert (estimate.ratio, estimate.z, estimate.p, estimate.joint_p) == (None,) * 4
    assert estimate.ratio_interval(0.95) is None
    assert estimate.interval(0.95)[0] < 2.0 < estimate.interval(0.95)[1]


def test_a_claim_of_zero_has_no_ratio() -> None:
    """Nothing is divided by 0, and the difference is still in standard errors."""
    estimate = Estimate(value=0.2, std_error=0.1, dof=63, claim=0.0)
    assert (estimate.ratio, estimate.ratio_interval(0.95)) == (None, None)
    assert estimate.z == pytest.approx(2.0)


def test_what_does_not_vary_agrees_with_its_own_value_only() -> None:
    """Without any error there is no z or p, and the joint p-value is 1 or 0."""
    for claim, joint in ((2.0, 1.0), (2.0 + 1e-15, 0.0)):
        estimate = Estimate(value=2.0, std_error=0.0, dof=63, claim=claim)
        assert (estimate.z, estimate.p, estimate.joint_p) == (None, None, joint)


def test_the_joint_p_value_is_the_larger_of_two() -> None:
    """By the measured and by the expected error, each with its own degrees of freedom."""

    def joint(measured: float, expected: float, expected_dof: float | None = None) -> float:
        estimate = Estimate(
            value=1.3, std_error=measured, dof=9, claim=1.0, expected_error=expected,
            expected_dof=expected_dof,
        )  # fmt: skip
        assert estimate.joint_p is not None
        return estimate.joint_p

    few, many = stats.t(9), stats.t(1000)
    assert joint(0.1, 0.05) == joint(0.05, 0.1) == pytest.approx(2 * few.sf(3.0))
    assert joint(0.1, 0.1, 1000) == pytest.approx(2 * few.sf(3.0))
    assert joint(0.1, 0.15, 1000) == pytest.approx(2 * many.sf(2.0))
    assert joint(0.1, 0.0, 1000) == pytest.approx(2 * few.sf(3.0))
    assert joint(0.0, 0.1, 1000) == pytest.approx(2 * many.sf(3.0))


@settings(deadline=None)
@given(
    st.floats(0.0, 12.0), st.tuples(st.floats(0.0, 3.0), st.floats(0.0, 3.0)),
    st.floats(2.0, 1e4), st.sampled_from([None, 1e3]), st.sampled_from([1e-6, 1e-3, 0.05, 0.4]),
)  # fmt: skip
def test_a_joint_p_up_to_a_limit_is_exact_where_it_is_below(
    value: float, errors: tuple[float, float], dof: float, other: float | None, limit: float
) -> None:
    """Above the limit it may be anything above it; so a verdict takes few p-values."""
    anywhere = Estimate(
        value=value, std_error=errors[0], dof=dof, claim=1.0, expected_error=errors[1],
        expected_dof=other,
    )  # fmt: skip
    near = replace(anywhere, value=1.0 + errors[0] * quantile(1.0 - 0.9 * limit, dof))
    for estimate in (anywhere, near):
        exact, bounded = estimate.joint_p, estimate.joint_p_up_to(limit)
        assert exact is not None
        assert bounded == exact or (bounded is not None and min(bounded, exact) > limit)


def test_a_p_value_plainly_above_a_limit_is_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A verdict on many rows that agree takes no tail of Student's t."""
    monkeypatch.setattr(student, "two_sided_p", None)
    estimate = Estimate(value=1.1, std_error=0.1, dof=63, claim=1.0)
    assert judge([Row((estimate,))] * 3)[2].agrees is True


def test_the_verdict_takes_the_larger_of_two_p_values() -> None:
    """By the measured and by the expected error; either alone is no reason to disagree."""
    limit = float(stats.t.isf(0.0005, 63))
    for measured, expected, verdict in ((0.99, 0.99, True), (1.01, 1.01, False),
                                        (1.01, 0.99, True), (0.99, 1.01, True)):  # fmt: skip
        estimate = Estimate(
            value=1.0 + limit, std_error=1.0 / measured, dof=63, claim=1.0,
            expected_error=1.0 / expected,
        )  # fmt: skip
        assert judge([Row((estimate,))], alpha=0.001)[0].agrees is verdict


@given(st.lists(st.sampled_from(ALPHAS), max_size=6), st.sampled_from([0.0013, 0.017, 0.055, 0.31]))
def test_holm_is_the_closed_bonferroni_test(p_values: list[float], alpha: float) -> None:
    """A row disagrees when every set of rows with it has some p <= alpha / size: closed testing."""
    judged = judge([Row((with_p(p),)) for p in p_values], alpha)
    significant = holm(p_values, alpha)
    rows = range(len(p_values))
    for row in rows:
        sets = [s for size in rows for s in combinations(rows, size + 1) if row in s]
        rejected = all(min(p_values[i] for i in s) <= alpha / len(s) for s in sets)
        assert significant[row] is rejected
        assert judged[row].agrees is not rejected
        assert judged[row].alpha == alpha


def test_verdicts_share_one_false_alarm_rate() -> None:
    """P = 0.0004 is an alarm alone, and none among a hundred."""
    assert not judge([Row((with_p(0.0004),))])[0].agrees
    assert all(row.agrees for row in judge([Row((with_p(p),)) for p in [0.0004] + [0.5] * 99]))


def test_a_row_agrees_where_all_of_its_estimates_do() -> None:
    """One of two that is off is enough to disagree, and both count among the shared tests."""
    right, wrong, unclaimed = with_p(0.5), with_p(1e-9), Estimate(value=1.0, std_error=1.0, dof=9)
    rows = [Row((right, right)), Row((right, wrong)), Row((wrong, unclaimed)), Row((unclaimed,)),
            Row(())]  # fmt: skip
    assert [row.agrees for row in judge(rows)] == [True, False, False, None, None]
    close = with_p(0.0007)
    assert judge([Row((close,))])[0].agrees is False
    assert judge([Row((close, right))])[0].agrees is True
    assert judge([Row((close, unclaimed))])[0].agrees is False


POWERS = [
    (0.01, 63, 0.0, 1e-3),
    (0.05, 63, 0.02, 1e-5),
    (0.03, 999, 0.0, 0.05),
    (0.04, 15, 0.1, 1e-3),
]


def share_shown(
    deviation: float, error: float, dof: int, slack: float, significance: float
) -> float:
    """The share of 4,000 estimates of a true value 1 + deviation that a test of 1 shows."""
    rng, true, shown = np.random.default_rng(7), 1.0 + deviation, 0
    noise, spread = rng.standard_normal(4000), np.sqrt(rng.chisquare(dof, 4000) / dof)
    for z, s in zip(noise.tolist(), spread.tolist(), strict=True):
        estimate = Estimate(
            value=true * (1.0 + error * z), std_error=true * error * s, dof=dof, claim=1.0,
            slack=slack, expected_error=error,
        )  # fmt: skip
        p = estimate.joint_p
        shown += p is not None and p <= significance
    return shown / 4000


@pytest.mark.parametrize(("error", "dof", "slack", "significance"), POWERS)
def test_the_detectable_deviation_is_shown_nine_times_in_ten(
    error: float, dof: int, slack: float, significance: float
) -> None:
    """Or a little more often; half of it is not. Four standard errors are 0.019."""
    estimate = Estimate(
        value=1.0, std_error=error, dof=dof, claim=1.0, slack=slack, expected_error=error
    )
    least = estimate.detectable(significance)
    assert least is not None
    assert 0.9 - 0.019 < share_shown(least, error, dof, slack, significance) < 0.94
    assert share_shown(-least, error, dof, slack, significance) > 0.9 - 0.019
    assert share_shown(least / 2, error, dof, slack, significance) < 0.5


def test_a_deviation_that_no_test_could_show_has_no_number() -> None:
    """An error of a third lets an excess of any size pass; without errors, only the slack does."""
    rough = Estimate(value=1.0, std_error=0.3, dof=9, claim=1.0)
    assert rough.detectable(1e-3) is None
    assert Estimate(value=1.0, std_error=0.3, dof=9).detectable(0.5) is None
    assert Estimate(value=1.0, std_error=0.0, dof=9, claim=1.0, slack=0.1).detectable(0.5) == 0.1


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 95.0, math.nan])
def test_a_probability_is_between_0_and_1(value: float) -> None:
    """Anything else is refused in one sentence that names it."""
    with pytest.raises(InputError, match=r"^alpha is [^\n]{20,160}$"):
        check_probability("alpha", value)
    assert check_probability("alpha", 0.001) == 0.001
