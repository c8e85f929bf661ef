"""Sampling to a precision: it is reached, at little more than it takes, and intervals cover."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.rows import record_of
from tests.tiers import share
from varsim import Experiment, Result, conclude, measure, simulate, stream
from varsim.compute import threads
from varsim.layer.question import MIN_BLOCKS
from varsim.layer.study import LayerStudy, planned_blocks
from varsim.layer.theory import predict
from varsim.layer.totals import Block, Totals
from varsim.statistics.moments import Moments

CASES: list[dict[str, Any]] = [
    {"dim": 512, "precision": 0.05},
    {"dim": 1, "precision": 0.01},
    {"dim": 512, "precision": 0.001},
    {
        "dim": 16,
        "precision": 0.002,
        "x_dist": "exponential",
        "w_dist": "laplace",
        "design": "paired",
    },
    {"dim": 64, "precision": 0.003, "design": "fixed-x", "w_dist": "uniform"},
    {"dim": 100_000, "precision": 0.1},
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_precision_is_met_and_not_much_more(case: dict[str, Any]) -> None:
    """The error ends below the target, from 64 blocks or more, and at under twice the samples."""
    result = simulate(Experiment(scale="sqrt", **case))
    assert result.met
    assert result.blocks >= MIN_BLOCKS
    assert case["precision"] / math.sqrt(2) < result.relative_error <= case["precision"]
    assert not [caveat for caveat in result.caveats if caveat.id == "precision-unmet"]


def test_what_is_constant_is_met_at_once() -> None:
    """Two coins at D = 1 measure a constant, and an x of zeros nothing at all."""
    coins = Experiment(dim=1, scale="1", x_dist="rademacher", w_dist="rademacher", precision=0.001)
    constant = simulate(coins)
    assert constant.blocks == MIN_BLOCKS
    assert record_of(constant.schema.row_of(record_of(constant))) == record_of(constant)
    zeros = (
        Experiment(
            dim=1, scale="1", x_dist="rectified", design="fixed-x", precision=0.1, seed=seed
        )
        for seed in range(20)
    )  # fmt: skip
    nothing = next(result for result in map(simulate, zeros) if result.empirical == 0.0)
    assert nothing.met
    assert nothing.agrees


def test_going_on_is_as_not_having_stopped() -> None:
    """Time that is up anywhere, and a second run from there, give the same totals to the byte.

    Also between a first check that was too early and the next one.
    """
    experiment = Experiment(
        dim=1, scale="sqrt", precision=0.2, x_dist="exponential", w_dist="exponential", seed=613
    )
    blocks = partial(stream, experiment, map)
    checks = [totals.blocks for totals in measure(experiment, blocks)]
    *_, whole = measure(experiment, blocks)
    assert len(checks) == 4
    for stop_at in (MIN_BLOCKS, checks[1] - 1, checks[1] + 1, checks[2] + 100, checks[3] - 1):
        passed = sum(check < stop_at for check in checks[1:])  # where time is not asked for
        asked = iter([*[False] * (stop_at - MIN_BLOCKS - passed), True])
        *_, part = measure(experiment, blocks, time_is_up=asked.__next__)
        assert part.blocks == stop_at < whole.blocks
        *_, together = measure(experiment, blocks, part)
        assert together == whole


def test_time_is_no_reason_for_fewer_blocks_than_an_error_bar_needs() -> None:
    """A row without time still has 64 blocks, and says what it would need."""
    experiment = Experiment(dim=512, scale="sqrt", precision=0.0005)
    *_, totals = measure(experiment, partial(stream, experiment, map), time_is_up=lambda: True)
    assert totals.blocks == MIN_BLOCKS
    assert_unmet(conclude(experiment, totals))


def test_a_bound_on_samples_is_kept_and_the_row_says_so() -> None:
    """Never more samples than allowed; what was reached and what it takes are named."""
    for most in (64, 1000, 123_456):
        result = simulate(Experiment(dim=512, scale="sqrt", precision=0.0005, max_samples=most))
        assert 0.6 * most < result.samples <= most
        assert_unmet(result)


def assert_unmet(result: Result) -> None:
    """It says so in a caveat whose advice is about right."""
    assert not result.met
    (message,) = (c.message for c in result.caveats if c.id == "precision-unmet")
    reached, asked, needed = re.findall(r"([\d.,e-]+)(?:%| samples)", message)
    assert float(reached) == pytest.approx(100 * result.relative_error, rel=0.01)
    assert float(asked) == 100 * (result.precision or 0)
    growth = (result.relative_error / (result.precision or 1)) ** 2
    assert float(needed.replace(",", "")) == pytest.approx(result.samples * growth, rel=0.05)


def test_a_precision_that_was_met_by_chance_says_that_it_was_interrupted() -> None:
    """Before its check, where it had not been decided; after it, nothing is said."""
    study = LayerStudy(Experiment(dim=8, scale="sqrt", precision=0.02))
    whole = simulate(study.question)
    (row,) = study.rows(whole.totals.with_check(whole.blocks + 9))
    assert row.met
    assert [c.id for c in row.caveats] == ["interrupted"]
    assert f"before the check of its precision at {whole.blocks + 9:,}" in row.caveats[0].message
    assert whole.caveats == ()


def test_theory_sets_the_first_check_and_the_measurement_the_later_ones() -> None:
    """At twice the error there are four times the blocks, and a margin; at the bound, none."""
    experiment = Experiment(dim=512, scale="sqrt", precision=0.01)
    first = planned_blocks(experiment)
    assert LayerStudy(experiment).next_check(Totals()) == first
    assert LayerStudy(experiment).next_check(totals_of(10, 0.5)) == first
    expected = predict(experiment).block_error2 / 0.01**2
    assert 1.15 * expected < first < 1.3 * expected
    assert LayerStudy(experiment).next_check(totals_of(first, 0.009)) is None
    second = LayerStudy(experiment).next_check(totals_of(first, 0.02))
    assert second is not None
    assert 4 * first < second < 6 * first
    near = LayerStudy(experiment).next_check(totals_of(first, 0.010001))
    assert near is not None
    assert 1.09 * first < near < 1.5 * first
    bounded = replace(experiment, max_samples=130 * experiment.block.outputs + 1)
    assert bounded.blocks == 130
    assert LayerStudy(bounded).next_check(totals_of(first, 0.02)) == bounded.blocks
    assert LayerStudy(bounded).next_check(totals_of(bounded.blocks, 0.02)) is None


def totals_of(blocks: int, relative_error: float) -> Totals:
    """Totals of blocks whose variances alternate so that the error is as given."""
    step = relative_error * math.sqrt(blocks - 1)
    return Totals.of(
        Block(Moments(100, 0.0, 1.0 + (step if index % 2 else -step))) for index in range(blocks)
    )


def test_a_finer_precision_goes_on_in_the_same_stream() -> None:
    """The finest ones share a size of blocks, and one size has one stream."""
    rough, fine = (Experiment(dim=512, scale="sqrt", precision=p) for p in (3e-4, 1e-4))
    assert rough.key == fine.key
    assert rough.block == fine.block
    assert next(stream(rough)) == next(stream(fine))
    rougher = Experiment(dim=512, scale="sqrt", precision=0.01)
    assert rougher.key == fine.key
    assert rougher.block.outputs < fine.block.outputs
    assert rougher.block_family != fine.block_family == rough.block_family
    assert replace(rough, max_samples=10**9).key == rough.key
    assert next(stream(rougher)).moments.mean != next(stream(fine)).moments.mean


def test_blocks_grow_with_the_precision_by_powers_of_four() -> None:
    """So that it takes 64 to 400 of them for normal entries, until they are the largest."""
    sizes = []
    for precision in (0.5, 0.2, 0.05, 0.02, 0.01, 0.005, 0.001, 7e-4):
        experiment = Experiment(dim=4096, scale="sqrt", precision=precision)
        sizes.append(experiment.block.outputs)
        assert 64 <= planned_blocks(experiment) <= 400
    assert all(b / a in (1, 4, 16) for a, b in pairwise(sizes)), sizes


def test_double_precision_goes_finer_than_single() -> None:
    """What float32 rounding does not allow is offered to float64."""
    assert Experiment(dim=512, scale="sqrt", precision=5e-6, dtype="float64").precision == 5e-6


SEEDS = {0.05: share(400), 0.01: share(400), 0.002: share(200)}


def covers(experiment: Experiment, rule: Any = measure) -> bool:
    """Whether the 95 % interval after stopping holds the truth."""
    with threads(1) as mapper:
        *_, totals = rule(experiment, partial(stream, experiment, mapper))
    result = conclude(experiment, totals)
    return bool(result.ci_low <= 1.0 <= result.ci_high)


@pytest.mark.parametrize("precision", SEEDS)
def test_intervals_cover_after_stopping(precision: float) -> None:
    """95 % of them: within 4 binomial deviations, which a right rule misses once in 16,000."""
    seeds = SEEDS[precision]
    experiments = (
        Experiment(dim=16, scale="sqrt", precision=precision, seed=seed) for seed in range(seeds)
    )
    covered = sum(map(covers, experiments))
    assert abs(covered - 0.95 * seeds) < 4 * math.sqrt(seeds * 0.95 * 0.05)


@pytest.mark.slow
def test_stopping_at_the_first_lucky_error_is_noticed() -> None:
    """Checking after every block from the third on, for some fifteen, covers less than allowed."""

    def eager(experiment: Experiment, blocks_at: Any) -> list[Totals]:
        totals = Totals()
        for block in blocks_at(range(experiment.blocks)):
            totals = totals.plus(block)
            if totals.blocks > 2 and totals.std_error < 0.2 * totals.variance:
                break
        return [totals]

    seeds = SEEDS[0.05]
    experiments = (
        Experiment(dim=16, scale="sqrt", precision=0.05, seed=seed) for seed in range(seeds)
    )
    covered = sum(covers(experiment, eager) for experiment in experiments)
    assert 0.95 * seeds - covered > 4 * math.sqrt(seeds * 0.95 * 0.05)
