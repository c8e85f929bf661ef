"""Results: the row of one layer, its interval, its verdict and its caveats."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import pytest
from scipy import stats

from varsim import Experiment, InputError, Result, infer, judge, simulate, stream
from varsim.fields import NUMBER
from varsim.layer.result import RESULTS
from varsim.layer.theory import predict

SCHEMA = (
    "schema kind dim scale k gain fan_out design init x_dist x_mean x_std w_dist w_mean w_std "
    "dtype seed samples_asked precision max_samples blocks samples theory conditional_theory "
    "init_theory empirical std_error expected_std_error ci_low ci_high std ratio z p "
    "effective_samples totals histogram agrees caveats confidence alpha detectable key pooled "
    "init_package varsim checksum"
)


@pytest.fixture(scope="module")
def result() -> Result:
    return simulate(Experiment(dim=64, scale="sqrt", samples=64_000))


def test_the_schema_is_fixed() -> None:
    """Scripts rely on names and order; a change of what is stored raises the number."""
    assert RESULTS.names == SCHEMA.split()
    assert NUMBER == 1


def test_a_record_has_the_fields_in_order_and_is_read_back(result: Result) -> None:
    """What is written holds every field, and the row that is read from it writes the same."""
    record = json.loads(json.dumps(RESULTS.record(result)))
    assert list(record) == SCHEMA.split()
    assert (record["schema"], record["kind"]) == (1, "layer")
    read = RESULTS.row_of(record)
    assert json.loads(json.dumps(RESULTS.record(read))) == record
    assert (read.totals, read.key) == (result.totals, result.key)


@pytest.mark.parametrize(
    "change",
    [
        {"dim": 65}, {"scale": "he"}, {"seed": 1}, {"samples_asked": 64_001}, {"confidence": 1.0},
        {"confidence": 0.9}, {"agrees": False}, {"alpha": 0.01}, {"pooled": [1]}, {"pooled": 1},
        {"totals": {}}, {"varsim": "0.9"}, {"checksum": "crc32:00000000"}, {"checksum": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_that_was_changed_is_refused(result: Result, change: dict[str, object]) -> None:
    """Another setting, another verdict, other totals: the checksum is that of all of them."""
    record = json.loads(json.dumps(RESULTS.record(result)))
    with pytest.raises(InputError, match=r"^[^\n]{20,200}$"):
        RESULTS.row_of({**record, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"empirical": 1.5}, {"std_error": 1e-6}, {"z": 0.0}, {"ratio": None}, {"theory": 2.0},
        {"key": "0" * 32}, {"samples": 1}, {"blocks": 63}, {"caveats": "none"}, {"more": 1},
    ],
    ids=str,
)  # fmt: skip
def test_what_follows_from_a_record_is_computed_again(
    result: Result, change: dict[str, object]
) -> None:
    """Whatever a file says of it: the row has what its totals and its settings give."""
    record = json.loads(json.dumps(RESULTS.record(result)))
    read = RESULTS.row_of({**record, **change})
    assert json.loads(json.dumps(RESULTS.record(read))) == record


def test_a_row_has_its_fields_and_the_settings_of_its_question(result: Result) -> None:
    """Every field is an attribute, every setting too, and nothing else is made up."""
    for name in SCHEMA.split()[2:-1]:
        assert getattr(result, name) == RESULTS.by_name[name].get(result)
    assert (result.dim, result.scale, result.x_dist, result.fan_out) == (64, "sqrt", "normal", 64)
    with pytest.raises(AttributeError, match="no attribute 'variance'"):
        _ = result.variance  # type: ignore[attr-defined]


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


def test_the_expected_error_is_that_of_theory(result: Result) -> None:
    """What theory predicts, with nothing but rounding added."""
    expected = predict(Experiment(dim=64, scale="sqrt", samples=64_000))
    relative = expected.relative_error(result.blocks)
    assert result.expected_std_error == pytest.approx(relative * result.theory, rel=1e-6)
    double = simulate(
        Experiment(dim=1, scale="1", x_dist="rademacher", w_dist="rademacher", dtype="float64")
    )
    assert 0 < double.std_error < 1e-5
    assert 0 < double.expected_std_error < 1e-14


def test_effective_samples_of_fixed_x_are_its_outputs() -> None:
    """Given x, outputs are independent, however heavy the tails."""
    for seed in range(5):
        result = simulate(
            Experiment(
                dim=3,
                scale="1",
                x_dist="exponential",
                w_dist="laplace",
                design="fixed-x",
                seed=seed,
            )
        )
        assert result.effective_samples == pytest.approx(result.samples, rel=0.6)


def test_the_caveat_of_fixed_x_says_how_unusual_x_is() -> None:
    """Against the average of ||x||², also where x has a mean and W has one."""
    result = simulate(
        Experiment(
            dim=64, scale="none", x_dist="rectified", w_mean=3.0, design="fixed-x", samples=6400
        )
    )
    assert result.conditional_theory is not None
    (caveat,) = (caveat for caveat in result.caveats if caveat.id == "fixed-x")
    assert f"{result.conditional_theory / 32:.4g} times the average" in caveat.message


def test_the_advice_of_few_samples_is_enough_and_not_too_much() -> None:
    """Taking it brings the expected error to 5 %, and a third of it does not."""
    for few in (
        Experiment(dim=16, scale="1", samples=64, x_dist="exponential", w_dist="exponential"),
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
            Experiment(
                dim=1, scale="1", x_dist="rectified", design="fixed-x", samples=640, seed=seed
            )
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
                    dim=1, scale="3", x_dist="rademacher", w_dist="rademacher", seed=seed,
                    dtype=dtype, samples=64_000,
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
            Experiment(
                dim=1, scale="1", x_dist="exponential", w_dist="exponential", samples=64, seed=seed
            ),
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


def test_a_weak_verdict_says_so() -> None:
    """1,600 samples could miss 20 %; 64,000 could not miss 5 %."""
    weak, strong = (
        simulate(Experiment(dim=64, scale="sqrt", samples=samples)) for samples in (1_600, 64_000)
    )
    assert [caveat.id for caveat in weak.caveats] == ["weak-verdict"]
    assert strong.caveats == ()
    assert weak.detectable is not None
    assert strong.detectable is not None
    assert weak.detectable > 0.2
    assert strong.detectable < 0.05


def test_what_a_row_would_show_does_not_depend_on_other_rows() -> None:
    """The caption has what it would show in this table, where more tests share alpha."""
    experiment = Experiment(dim=64, scale="sqrt", samples=64_000)
    (alone,), several = judge([simulate(experiment)]), judge([simulate(experiment)] * 20)
    assert alone.detectable == several[0].detectable == alone.least_deviation()
    assert several[0].tests == 20
    shared = several[0].least_deviation(20)
    assert shared is not None
    assert alone.detectable is not None
    assert shared > 1.1 * alone.detectable


def test_the_standard_deviation_is_the_root(result: Result) -> None:
    """With the error of a root, half of the relative one."""
    assert result.std == math.sqrt(result.empirical)
    assert result.estimate.root.relative_error == pytest.approx(result.relative_error / 2)


@pytest.mark.parametrize("settings", [
    {"dim": 4}, {"dim": 300}, {"dim": 9, "design": "fixed-x", "x_mean": 2.0},
    {"dim": 30, "x_dist": "laplace", "w_mean": 1.0}, {"dim": 8, "init": "orthogonal"},
])  # fmt: skip
def test_the_samples_that_are_advised_are_the_fewest_round_ones(settings: dict[str, Any]) -> None:
    """With as many, the expected error is at most 5%; with the next fewer, it is above."""
    few = simulate(Experiment(**settings, scale="sqrt", samples=64))
    (message,) = (caveat.message for caveat in few.caveats if caveat.id == "few-samples")
    advised = int(message.split("take ")[1].split()[0].replace(",", ""))
    fewer = advised * 2 // 5 if str(advised)[0] == "5" else advised // 2
    for samples, is_enough in ((advised, True), (fewer, False)):
        asked = replace(few.question, samples=samples)
        assert (predict(asked).relative_error(asked.blocks) <= 0.05) is is_enough


@pytest.mark.parametrize("mistake", [{"workers": 0}, {"workers": 1.5}, {"confidence": 1.0},
                                     {"confidence": 95}, {"alpha": 0.0}])  # fmt: skip
def test_a_mistake_is_one_sentence(mistake: dict[str, float]) -> None:
    """Nothing is sampled for it."""
    with pytest.raises(InputError, match=r"^[^\n]{20,160}$"):
        simulate(Experiment(dim=64, scale="sqrt"), **mistake)  # type: ignore[arg-type]


def test_a_number_below_1_multiplies_w() -> None:
    """The caveat has the other reading; a scheme with a small k has none."""
    row = simulate(Experiment(dim=8, scale="0.02", samples=640))
    (message,) = (caveat.message for caveat in row.caveats if caveat.id == "small-divisor")
    assert message == ("k = 0.02 multiplies W by 50; for W × 0.02 write --scale none --w-std 0.02")
    for scale in ("D^-0.5", "2", "he"):
        row = simulate(Experiment(dim=1, scale=scale, samples=640))
        assert "small-divisor" not in [caveat.id for caveat in row.caveats]
