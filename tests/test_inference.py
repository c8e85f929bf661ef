"""Intervals and verdicts."""

from __future__ import annotations

import re
from dataclasses import fields, replace
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from varsim import Experiment, InputError, Result, infer, judge, simulate, stream
from varsim.layer.theory import predict

SCHEMA = (
    "schema varsim seed design dim fan_out scale k gain x w dtype blocks samples theory empirical "
    "std_error ci_low ci_high ratio z p agrees conditional_theory effective_samples caveats "
    "x_mean x_std w_mean w_std confidence expected_std_error alpha "
    "key samples_asked precision max_samples totals histogram init init_package init_theory"
)


@pytest.fixture(scope="module")
def result() -> Result:
    return simulate(Experiment(dim=64, scale="sqrt", samples=64_000))


def test_the_schema_is_fixed() -> None:
    """Names and order are what scripts rely on; a change raises the schema's number."""
    assert [field.name for field in fields(Result)] == SCHEMA.split()
    assert Result.__dataclass_fields__["schema"].default == 3


def with_p(result: Result, p_values: list[float]) -> list[Result]:
    """Rows with these p-values, from errors that are measured as they are expected."""
    dof, error = result.blocks - 1, result.std_error
    return [
        replace(result, p=p, z=float(stats.t.isf(p / 2, dof)), expected_std_error=error)
        for p in p_values
    ]


@given(
    st.lists(st.sampled_from([1e-9, 1e-4, 0.004, 0.01, 0.02, 0.04, 0.1, 0.5]), max_size=6),
    st.sampled_from([0.0013, 0.017, 0.055, 0.31]),
)
def test_holm_is_the_closed_bonferroni_test(
    result: Result, p_values: list[float], alpha: float
) -> None:
    """A row disagrees when every set of rows with it has some p <= alpha / size: closed testing."""
    judged = judge(with_p(result, p_values), alpha)
    rows = range(len(p_values))
    for row in rows:
        sets = [s for size in rows for s in combinations(rows, size + 1) if row in s]
        rejected = all(min(p_values[i] for i in s) <= alpha / len(s) for s in sets)
        assert judged[row].agrees is not rejected


def test_verdicts_share_one_false_alarm_rate(result: Result) -> None:
    """P = 0.0004 is an alarm alone, and none among a hundred."""
    assert not judge(with_p(result, [0.0004]))[0].agrees
    assert all(row.agrees for row in judge(with_p(result, [0.0004] + [0.5] * 99)))


def test_a_wrong_theory_disagrees(result: Result) -> None:
    """The verdict is not a decoration."""
    blocks = list(stream(Experiment(dim=64, scale="sqrt", samples=64_000)))
    wrong = infer(Experiment(dim=64, scale="7.5", samples=64_000), blocks)
    assert result.agrees
    assert not judge([wrong])[0].agrees


def test_a_result_is_consistent(result: Result) -> None:
    """Ratio, z and interval are made of the same numbers."""
    assert result.ratio == result.empirical / result.theory
    assert result.z == pytest.approx((result.empirical - result.theory) / result.std_error)
    assert (result.ci_low + result.ci_high) / 2 == pytest.approx(result.empirical)
    assert (result.ci_high - result.ci_low) / 2 == pytest.approx(1.99834 * result.std_error)
    assert (
        result.samples
        == result.blocks * Experiment(dim=64, scale="sqrt", samples=64_000).block.outputs
    )


@pytest.mark.parametrize("confidence", [0.5, 0.8, 0.95, 0.999])
def test_p_and_interval_are_scipys(confidence: float) -> None:
    """Student t with one degree of freedom fewer than blocks, at the level that was asked for."""
    result = simulate(Experiment(dim=64, scale="sqrt", samples=6400), confidence=confidence)
    assert result.z is not None
    t = stats.t(result.blocks - 1)
    assert result.p == pytest.approx(2 * t.sf(abs(result.z)))
    half_width = t.isf((1 - confidence) / 2) * result.std_error
    assert result.ci_low == pytest.approx(result.empirical - half_width)
    assert result.ci_high == pytest.approx(result.empirical + half_width)
    assert result.confidence == confidence


def test_the_verdict_takes_the_larger_of_two_p_values(result: Result) -> None:
    """By the measured and by the expected error; either alone is no reason to disagree."""
    error, limit = result.std_error, float(stats.t.isf(0.0005, result.blocks - 1))
    for measured, expected, verdict in ((0.99, 0.99, True), (1.01, 1.01, False),
                                        (1.01, 0.99, True), (0.99, 1.01, True)):  # fmt: skip
        z = measured * limit
        row = replace(
            result,
            z=z,
            p=2 * float(stats.t.sf(z, result.blocks - 1)),
            expected_std_error=error * measured / expected,
        )
        assert judge([row], alpha=0.001)[0].agrees is verdict


def test_the_expected_error_is_that_of_theory(result: Result) -> None:
    """What theory predicts, with nothing but rounding added."""
    expected = predict(Experiment(dim=64, scale="sqrt", samples=64_000))
    relative = expected.relative_error(result.blocks)
    assert result.expected_std_error == pytest.approx(relative * result.theory, rel=1e-6)
    double = simulate(Experiment(dim=1, scale="1", x="rademacher", w="rademacher", dtype="float64"))
    assert 0 < double.std_error < 1e-5
    assert 0 < double.expected_std_error < 1e-14


def test_effective_samples_of_fixed_x_are_its_outputs() -> None:
    """Given x, outputs are independent, however heavy the tails."""
    for seed in range(5):
        result = simulate(
            Experiment(dim=3, scale="1", x="exponential", w="laplace", design="fixed-x", seed=seed)
        )
        assert result.effective_samples == pytest.approx(result.samples, rel=0.6)


def test_the_caveat_of_fixed_x_says_how_unusual_x_is() -> None:
    """Against the average of ||x||², also where x has a mean and W has one."""
    result = simulate(
        Experiment(dim=64, scale="none", x="rectified", w_mean=3.0, design="fixed-x", samples=6400)
    )
    assert result.conditional_theory is not None
    (caveat,) = (caveat for caveat in result.caveats if caveat.id == "fixed-x")
    assert f"{result.conditional_theory / 32:.4g} times the average" in caveat.message


def test_the_advice_of_few_samples_is_enough_and_not_too_much() -> None:
    """Taking it brings the expected error to 5 %, and a third of it does not."""
    for few in (
        Experiment(dim=16, scale="1", samples=64, x="exponential", w="exponential"),
        Experiment(dim=64, scale="1", samples=64),
        Experiment(dim=1, scale="1", samples=64),
    ):
        (caveat,) = simulate(few).caveats
        advised = int(re.search(r"take ([\d,]+) samples", caveat.message)[1].replace(",", ""))  # type: ignore[index]
        enough, less = replace(few, samples=advised), replace(few, samples=advised // 3)
        assert predict(enough).relative_error(enough.blocks) <= 0.05
        assert predict(less).relative_error(less.blocks) > 0.05


def test_effective_samples_of_paired_draws_are_the_samples() -> None:
    """Every pair counts as one, within the error of an error bar; a shared draw counts less."""
    paired, crossed = (
        simulate(Experiment(dim=64, scale="sqrt", samples=64_000, design=design))
        for design in ("paired", "crossed")
    )
    assert paired.effective_samples == pytest.approx(64_000, rel=0.6)
    assert crossed.effective_samples is not None
    assert crossed.effective_samples < 40_000


def test_fixed_x_is_held_to_its_own_x() -> None:
    """Its verdict is about ||x||²σw²/k², and a caveat says how unusual this x is."""
    result = simulate(Experiment(dim=4, scale="sqrt", design="fixed-x", samples=1_000_000))
    assert result.conditional_theory is not None
    assert result.agrees
    assert result.ratio == result.empirical / result.conditional_theory
    assert abs(result.empirical - result.theory) > 10 * result.std_error
    assert [caveat.id for caveat in result.caveats] == ["fixed-x"]


def test_an_x_of_zeros_is_no_error() -> None:
    """ReLU makes one x in two zero at D = 1: the outputs are all 0, and no number is made up."""
    for seed in range(20):
        result = simulate(
            Experiment(dim=1, scale="1", x="rectified", design="fixed-x", samples=640, seed=seed)
        )
        if result.empirical == 0.0:
            break
    assert (result.ratio, result.z, result.p, result.agrees) == (None, None, None, True)


def test_constant_squares_are_measured_exactly() -> None:
    """Two coins at D = 1: y² is 1, and neither rounding nor a vanishing error bar is an alarm."""
    for seed in range(50):
        for dtype in ("float32", "float64"):
            result = simulate(
                Experiment(
                    dim=1, scale="3", x="rademacher", w="rademacher", seed=seed, dtype=dtype,
                    samples=64_000,
                ),
                workers=1,
            )  # fmt: skip
            assert result.agrees
            assert result.empirical == pytest.approx(1 / 9, rel=1e-3)


def test_few_and_heavy_tailed_samples_do_not_cry_wolf() -> None:
    """64 products of exponentials: by the measured error alone, every fifth table was an alarm.

    At most 3 of 200 here, which a rate of 0.001 exceeds with p = 7e-5; and the check can fail.
    """
    results = [
        simulate(
            Experiment(dim=1, scale="1", x="exponential", w="exponential", samples=64, seed=seed),
            workers=1,
        )
        for seed in range(200)
    ]
    assert sum(not result.agrees for result in results) <= 3
    assert sum(result.p is not None and result.p < 0.001 for result in results) > 20


def test_few_samples_are_said_to_be_few() -> None:
    """An error bar from 64 outputs is rough, and the row says so."""
    few = simulate(Experiment(dim=64, scale="sqrt", samples=64))
    assert "few-samples" in [caveat.id for caveat in few.caveats]


@pytest.mark.parametrize("mistake", [{"workers": 0}, {"workers": 1.5}, {"confidence": 1.0},
                                     {"confidence": 95}, {"alpha": 0.0}])  # fmt: skip
def test_a_mistake_is_one_sentence(mistake: dict[str, float]) -> None:
    """Nothing is sampled for it."""
    with pytest.raises(InputError, match=r"^[^\n]{20,160}$"):
        simulate(Experiment(dim=64, scale="sqrt"), **mistake)  # type: ignore[arg-type]
