"""Comparison: which rows of two files go together, errors, verdicts, and the command."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import subprocess
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.random import default_rng
from scipy import stats

from tests.program import VARSIM, environment, here, on_terminal, parse, run
from varsim import (
    Experiment,
    InitializerCheck,
    Result,
    __version__,
    conclude,
    infer,
    judge,
    layers,
    simulate,
    stream,
)
from varsim.catalog import FLOAT_TYPES
from varsim.check.kind import CHECK
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.check.totals import CheckTotals
from varsim.cli.program import varsim as program
from varsim.comparison import Comparison, Matching, Pair, by_ratio, compare, match
from varsim.comparison.merging import merge, repeat
from varsim.compute.streams import generator
from varsim.layer import sampling
from varsim.layer.kind import LAYER, results_table
from varsim.layer.study import LayerStudy
from varsim.layer.totals import Totals
from varsim.report.comparison import Names, comparison_table, summary
from varsim.report.formats import FORMATS, SUFFIXES
from varsim.runner import ResumePoint, RunOptions
from varsim.runner import run as run_studies
from varsim.stack.kind import STACK
from varsim.stack.question import Network
from varsim.stack.result import LayerResult
from varsim.stack.study import StackStudy
from varsim.statistics import Estimate, holm, student
from varsim.table import Table


def measured(**settings: Any) -> Result:
    """One row: D = 16 and 6,400 outputs unless said otherwise."""
    experiment = Experiment(**{"dim": 16, "scale": "sqrt", "samples": 6400, **settings})
    return infer(experiment, stream(experiment))


def compared(a: Result, b: Result, alpha: float = 0.001) -> Comparison[Result]:
    return compare(paired(Pair(a, b)), alpha)[0]


def paired(*pairs: Pair[Result]) -> Matching[Result]:
    return Matching(LAYER, list(pairs), [], [])


def write(path: Path, rows: Sequence[Any]) -> Path:
    """A file as varsim writes it."""
    table = Table([], [], list(map(rows[0].schema.record, rows)))
    path.write_text(FORMATS[SUFFIXES[path.suffix]](table), encoding="utf-8")
    return path


def varsim(*args: object) -> int:
    """Run the command in this process; its exit code."""
    return int(program.main(list(map(str, args)), standalone_mode=False))


# --- the rule for many p-values


@given(
    st.lists(st.floats(0, 1) | st.sampled_from([1e-9, 0.01, 0.02, 0.05]), max_size=6),
    st.sampled_from([0.0013, 0.017, 0.05, 0.31]),
)
def test_holm_is_the_closed_bonferroni_test(p_values: list[float], alpha: float) -> None:
    """A p-value is significant when in every set of them some p is at most alpha / size."""
    rows = range(len(p_values))
    for row, significant in enumerate(holm(p_values, alpha)):
        sets = [s for size in rows for s in combinations(rows, size + 1) if row in s]
        assert significant is all(min(p_values[i] for i in s) <= alpha / len(s) for s in sets)


# --- the statistics of a pair


@pytest.fixture(scope="module")
def true_pairs() -> list[Pair[Result]]:
    """Pairs of rows that measure the same, with seeds of their own and unequal samples."""
    few = partial(measured, dim=4, design="paired")
    return [
        Pair(few(samples=12_800, seed=2 * i), few(samples=3200, seed=2 * i + 1)) for i in range(600)
    ]


def alarms(p_values: Sequence[float]) -> int:
    return sum(p < 0.05 for p in p_values)


def test_false_alarms_are_as_rare_as_they_are_said_to_be(true_pairs: list[Pair[Result]]) -> None:
    """Of 600 true pairs judged alone at 5 %, no more differ than a binomial passes once in 1e6.

    Nor fewer than it passes once in 1e6: the test is not asleep.
    """
    found = alarms([c.p for c in map(compared, *zip(*true_pairs, strict=True)) if c.p is not None])
    assert found <= stats.binom.isf(1e-6, len(true_pairs), 0.05)
    assert found >= stats.binom.ppf(1e-6, len(true_pairs), 0.05)


def test_an_error_of_one_file_alone_would_cry_wolf(true_pairs: list[Pair[Result]]) -> None:
    """The calibration notices a naive error bar: the first file's, as if the second were exact."""
    naive = [
        student.two_sided_p((b.empirical - a.empirical) / a.std_error, a.blocks - 1)
        for a, b in true_pairs
    ]
    assert alarms(naive) > stats.binom.isf(1e-6, len(true_pairs), 0.05)


def test_all_pairs_of_a_table_share_one_rate(true_pairs: list[Pair[Result]]) -> None:
    """600 true pairs agree at 0.001 together, though some would differ alone at 1 %."""
    assert {c.verdict for c in compare(paired(*true_pairs), 0.001)} == {"agrees"}
    assert any(compared(*pair, alpha=0.01).verdict == "differs" for pair in true_pairs)


def test_few_and_heavy_tailed_samples_do_not_cry_wolf() -> None:
    """64 products of exponentials against 6,400: at most 3 of 200, as a rate of 0.001 allows.

    It is exceeded with a chance of 7e-5; by the measured error alone it is, by far.
    """
    wild = partial(measured, dim=1, scale="1", x_dist="exponential", w_dist="exponential")
    known = wild(samples=640_000, seed=1000)
    results = [compared(wild(samples=64, seed=seed), known) for seed in range(200)]
    assert sum(c.verdict == "differs" for c in results) <= 3
    alone = [student.two_sided_p(d.z, d.dof) for c in results if (d := c.difference) and d.z]
    assert sum(p < 0.001 for p in alone) > 20


@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_a_k_that_is_one_percent_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, design: str
) -> None:
    """With other seeds and with the same one, also where every x has its own variance."""
    settings = {"dim": 64, "design": design, "samples": 1_000_000}
    right = measured(**settings)
    monkeypatch.setattr(Experiment, "k", property(lambda self: 1.01 * math.sqrt(self.k_squared)))
    for seed in (0, 1):
        found = compared(right, measured(**settings, seed=seed))
        assert found.verdict == "differs"
        assert found.difference is not None
        assert found.difference.value == pytest.approx(-0.02, abs=0.01)


@dataclass(frozen=True, kw_only=True, repr=False)
class StandIn(Result):
    """A row of any estimate, whatever its blocks."""

    given: Estimate

    @cached_property
    def estimate(self) -> Estimate:
        return self.given


def standing_in(*, seed: int = 0, **estimate: Any) -> Result:
    asked = Experiment(dim=16, scale="sqrt", samples=6400, seed=seed)
    return StandIn(question=asked, totals=Totals(blocks=64), given=Estimate(**estimate))


def test_a_pair_is_welch_s_test() -> None:
    """Student t with Welch's degrees of freedom, as SciPy has it, for unequal blocks and errors."""
    a = standing_in(value=1.0, std_error=0.02, expected_error=0.02, dof=63)
    for blocks, ratio, shift in ((64, 1.0, 0.01), (500, 3.0, -0.05), (4000, 0.1, 0.03)):
        error = ratio * 0.02
        b = standing_in(
            value=1.0 + shift, std_error=error, expected_error=error, dof=blocks - 1, seed=1
        )
        ours = compared(a, b)
        theirs = stats.ttest_ind_from_stats(
            1.0 + shift, error * math.sqrt(blocks), blocks, 1.0, 0.02 * 8, 64, equal_var=False
        )
        assert ours.difference is not None
        assert ours.difference.z == pytest.approx(theirs.statistic)
        assert ours.p == pytest.approx(theirs.pvalue, rel=1e-8)
        assert ours.std_error == pytest.approx(math.hypot(0.02, error))
        half_width = stats.t.isf(0.025, ours.difference.dof) * ours.std_error
        assert ours.difference.half_width(0.95) == pytest.approx(half_width)


def test_the_verdict_takes_the_larger_of_two_p_values() -> None:
    """By the measured and by the expected errors; either alone is no reason to differ."""
    base = standing_in(value=1.0, std_error=0.01, expected_error=0.01, dof=63)
    for measured_error, expected_error, verdict in (
        (0.01, 0.01, "differs"), (0.1, 0.01, "agrees"), (0.01, 0.1, "agrees")
    ):  # fmt: skip
        b = standing_in(
            value=1.1, std_error=measured_error, expected_error=expected_error, dof=63, seed=1
        )
        assert compared(base, b).verdict == verdict


def test_fixed_x_is_compared_by_its_ratio_to_theory_given_x() -> None:
    """Two x have two variances, far beyond their errors, and both are right."""
    a, b = (measured(dim=4, design="fixed-x", samples=64_000, seed=seed) for seed in (0, 1))
    assert abs(a.empirical - b.empirical) > 20 * math.hypot(a.std_error, b.std_error)
    found = compared(a, b)
    assert found.a is not None
    assert found.b is not None
    assert (found.verdict, by_ratio(LAYER, found.pair)) == ("agrees", True)
    assert (found.a.value, found.b.value) == (a.ratio, b.ratio)


def test_an_x_of_zeros_divides_nothing_by_zero() -> None:
    """ReLU makes one x in two zero at D = 1: such rows agree, and with others there is nothing."""
    rows = [measured(dim=1, x_dist="rectified", design="fixed-x", seed=seed) for seed in range(12)]
    zeros = [row for row in rows if row.empirical == 0.0]
    (first, second, *_), other = zeros, next(row for row in rows if row.empirical)
    assert compared(first, first).verdict == "identical"
    both = compared(first, second)
    assert both.difference is not None
    assert (both.verdict, both.difference.value, both.p) == ("agrees", 0.0, None)
    assert (both.std_error, both.difference.z) == (None, None)
    for mixed in (compared(first, other), compared(other, first)):
        assert (mixed.verdict, mixed.difference, mixed.p) == ("not compared", None, None)
    zero, unknown = comparison_table(
        [both, compared(first, other)], match(LAYER, [], []), Names("a", "b")
    ).records
    assert (zero["difference"], zero["z"], zero["p"], zero["ci_low"]) == (0.0, None, None, None)
    assert (unknown["difference"], unknown["z"], unknown["p"]) == (None, None, None)
    table = comparison_table(
        compare(paired(Pair(first, other))), match(LAYER, [], []), Names("a", "b")
    )
    for text in FORMATS.values():
        assert "not compared" in text(table)


def test_constant_squares_agree_whatever_the_seed_and_dtype() -> None:
    """Two coins at D = 1: y² is 1 / k², and a vanishing error bar is no alarm."""
    coins = partial(measured, dim=1, scale="3", x_dist="rademacher", w_dist="rademacher")
    first = coins()
    for seed in range(1, 20):
        for dtype in FLOAT_TYPES:
            assert compared(first, coins(seed=seed, dtype=dtype)).verdict == "agrees"


# --- the same draws


def test_the_same_row_is_identical() -> None:
    """To the last bit of its totals, whether or not its outputs were counted."""
    for settings in ({}, {"design": "fixed-x"}, {"samples": None, "precision": 0.05}):
        row = measured(**settings) if "precision" not in settings else _precise(0.05)
        again = replace(row, totals=replace(row.totals, counts=(1, 2, 3)))
        found = compared(row, again)
        assert found.difference is not None
        assert (found.verdict, found.difference.value, found.p) == ("identical", 0.0, None)


def _precise(precision: float) -> Result:
    experiment = Experiment(dim=16, scale="sqrt", precision=precision)
    return infer(experiment, stream(experiment, indices=range(80)))


def noisy(monkeypatch: pytest.MonkeyPatch, size: float) -> None:
    """Let every output be off by a relative error of that size."""
    original: Callable[..., None] = sampling._add_products
    rng = default_rng(0)

    def rounded_otherwise(y: Any, x: Any, w: Any, length: int) -> None:
        original(y, x, w, length)
        y *= 1 + size * rng.standard_normal(y.shape)

    monkeypatch.setattr(sampling, "_add_products", rounded_otherwise)


@pytest.mark.parametrize("dtype", FLOAT_TYPES)
@pytest.mark.parametrize(
    "settings",
    [{}, {"design": "fixed-x"}, {"x_mean": 5.0, "w_mean": 5.0}, {"x_dist": "rademacher", "dim": 1}],
    ids=str,
)
def test_what_is_rounded_otherwise_agrees(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], dtype: str
) -> None:
    """Outputs that differ by an epsilon are not identical, with a difference of that order."""
    before = measured(**settings, dtype=dtype)
    noisy(monkeypatch, float(np.finfo(dtype).eps))
    after = measured(**settings, dtype=dtype)
    found = compared(before, after)
    assert (found.verdict, found.identical, found.pair.same_streams) == ("agrees", False, True)
    assert found.difference is not None
    assert abs(found.difference.value) <= 16 * FLOAT_TYPES[dtype].rounding * before.empirical


def test_more_than_rounding_is_not_identical(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of 0.1 % an output is within the statistical errors, and yet it is seen."""
    before = measured()
    noisy(monkeypatch, 1e-3)
    found = compared(before, measured())
    assert (found.verdict, found.identical, found.pair.same_streams) == ("agrees", False, True)


@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_new_streams_agree_within_errors_and_are_said_to_be_new(
    monkeypatch: pytest.MonkeyPatch, design: str
) -> None:
    """As when NumPy changes a generator: not identical, not an alarm, and not passed over."""
    before = [measured(seed=seed, design=design) for seed in range(20)]
    monkeypatch.setattr(sampling, "generator", lambda key, seed, *i: generator(key, seed + 99, *i))
    after = [measured(seed=seed, design=design) for seed in range(20)]
    matching = match(LAYER, before, after)
    found = compare(matching)
    assert {(c.verdict, c.identical, c.pair.same_streams) for c in found} == {
        ("agrees", False, True)
    }
    table = comparison_table(found, matching, Names("a", "b"))
    assert table.caveats[0].startswith("20 pairs of the same seed and samples are not identical")
    assert "and 17 more" in table.caveats[0]


def test_a_redrawn_pair_of_many_measures_is_named_once() -> None:
    """A layer has a signal, a correlation and a gradient, and is one pair."""
    study = StackStudy(Network(widths=(4, 4, 4), networks=20, activation="relu"))
    rows = study.rows(study.empty().plus(*study.sample(range(20))))
    redrawn = replace(STACK, same_totals=lambda a, b: False)
    matching = match(redrawn, rows, rows)
    found = compare(matching)
    assert len(found) > len(rows) == 2
    caveat = comparison_table(found, matching, Names("a", "b")).caveats[0]
    assert caveat.startswith("2 pairs of the same seed and samples are not identical")
    assert caveat.count("layer") == caveat.count("layers 1 to 2") == 1


def test_another_blas_kernel_agrees(tmp_path: Path) -> None:
    """That of an older CPU, where this BLAS lets itself be told; nothing differs elsewhere."""
    files = [tmp_path / "new.jsonl", tmp_path / "old.jsonl"]
    for file, kernel in zip(files, ({}, {"OPENBLAS_CORETYPE": "Prescott"}), strict=True):
        assert run("-n", "6400", "-q", "-o", str(file), **kernel).returncode == 0
    done = run("compare", *map(str, files), "-f", "json")
    verdicts = {row["verdict"] for row in json.loads(done.stdout)}
    assert verdicts in ({"agrees"}, {"identical"})


def test_more_blocks_of_one_stream_are_no_alarm() -> None:
    """Two precisions of one seed share their first blocks; the error used is then too wide."""
    experiment = Experiment(dim=16, scale="sqrt", precision=0.05)
    for few in (70, 100, 250):
        a, b = (infer(experiment, stream(experiment, indices=range(n))) for n in (few, 300))
        found = compared(a, b)
        assert (found.verdict, found.pair.same_streams) == ("agrees", False)
        assert found.pair.shares_draws


# --- which rows go together


ROWS = [
    measured(**settings, seed=seed)
    for settings in (
        {},
        {"samples": 640},
        {"scale": "he"},
        {"x_dist": "laplace"},
        {"dtype": "float64"},
    )
    for seed in (0, 1)
]


def seeds_of(pairs: Sequence[Pair[Result]]) -> list[tuple[int, int]]:
    return [(a.seed, b.seed) for a, b in pairs]


@given(st.lists(st.sampled_from(ROWS), max_size=8), st.lists(st.sampled_from(ROWS), max_size=8))
def test_every_row_is_used_once_and_none_is_left_that_has_a_partner(
    a: list[Result], b: list[Result]
) -> None:
    """Pairs and remainders are the two files, and the remainders have nothing in common."""
    matching = match(LAYER, a, b)
    ours, theirs = [pair.a for pair in matching.pairs], [pair.b for pair in matching.pairs]
    assert sorted(map(id, [*ours, *matching.only_a])) == sorted(map(id, a))
    assert sorted(map(id, [*theirs, *matching.only_b])) == sorted(map(id, b))
    quantities = [
        {(row.scale, row.x_dist) for row in rows} for rows in (matching.only_a, matching.only_b)
    ]
    assert not quantities[0] & quantities[1]
    assert all((p.a.scale, p.a.x_dist) == (p.b.scale, p.b.x_dist) for p in matching.pairs)


@given(st.permutations(ROWS))
def test_the_same_rows_in_any_order_find_themselves(shuffled: list[Result]) -> None:
    """Equal streams go first, so a file and its sorted copy are identical."""
    assert {c.verdict for c in compare(match(LAYER, ROWS, shuffled))} == {"identical"}


def test_samples_and_seed_do_not_keep_rows_apart() -> None:
    """What was measured counts, not how much of it."""
    assert seeds_of(match(LAYER, [measured(seed=3)], [measured(seed=4, samples=640)]).pairs) == [
        (3, 4)
    ]
    assert len(match(LAYER, [measured()], [_precise(0.05)]).pairs) == 1


def test_among_many_the_same_seed_goes_first_and_the_rest_in_order() -> None:
    """Seeds 1, 2, 3 against 9, 3, 8, 1: the two that are in both, then 2 with 9; 8 is left."""
    a = [measured(seed=seed) for seed in (1, 2, 3)]
    b = [measured(seed=seed, samples=640) for seed in (9, 3, 8, 1)]
    matching = match(LAYER, a, b)
    assert seeds_of(matching.pairs) == [(1, 1), (2, 9), (3, 3)]
    assert [row.seed for row in matching.only_b] == [8]


def test_of_one_seed_the_same_number_of_blocks_goes_first() -> None:
    """Rows of two precisions, in another order, are still identical."""
    experiment = Experiment(dim=16, scale="sqrt", precision=0.05)
    rows = [infer(experiment, stream(experiment, indices=range(n))) for n in (70, 100)]
    assert {c.verdict for c in compare(match(LAYER, rows, rows[::-1]))} == {"identical"}


@pytest.mark.parametrize(
    "change",
    [{"dim": 17}, {"scale": "none"}, {"fan_out": 3}, {"x_dist": "uniform"}, {"w_dist": "uniform"},
     {"x_mean": 0.5}, {"x_std": 2.0}, {"w_mean": 0.5}, {"w_std": 2.0}, {"design": "paired"}],
    ids=str,
)  # fmt: skip
def test_every_setting_keeps_rows_apart(change: dict[str, Any]) -> None:
    """Other settings are another quantity."""
    assert not match(LAYER, [measured()], [measured(**change)]).pairs


def test_a_gain_keeps_rows_apart_and_a_spelling_does_not() -> None:
    """Glorot is xavier, and its gain of 1 need not be said."""
    spelled = measured(scale="glorot", gain=1.0, fan_out=16)
    assert (
        compared(*match(LAYER, [measured(scale="xavier")], [spelled]).pairs[0]).verdict
        == "identical"
    )
    assert not match(LAYER, [measured(scale="he")], [measured(scale="he", gain=1.0)]).pairs


def test_two_dtypes_go_together_when_nothing_else_is_left_and_it_is_said() -> None:
    """A float64 file beside a float32 one; but like goes with like where it can."""
    single, double = measured(), measured(dtype="float64")
    matching = match(LAYER, [single], [double])
    table = comparison_table(compare(matching), matching, Names("a", "b"))
    assert table.caveats == ["1 pair has different dtypes: D = 16, scale sqrt."]
    assert "float32" in table.caption[0]
    assert "float64" in table.caption[1]
    both = match(LAYER, [single, double], [double, single]).pairs
    assert [a.dtype == b.dtype for a, b in both] == [True, True]
    other_seed = match(LAYER, [single], [double, measured(seed=1)])
    assert other_seed.pairs[0].b.dtype == "float32"


# --- stacks and initializers


def stack(**settings: Any) -> list[LayerResult]:
    """The layers of a small stack."""
    asked = {"widths": (8, 8, 8), "activation": "relu", "scale": "he", "networks": 16, "batch": 4}
    return layers(Network(**{**asked, **settings}))


def check(
    name: str = "trunc_normal(std=0.1)", *, draws: int = 16, **settings: Any
) -> InitializerCheck:
    """One initializer, checked with a few W."""
    asked = question(name, **{"dim": 8, "fan_out": 4, **settings})
    (row,) = run_studies(
        [ResumePoint(CheckStudy(asked, draws))], RunOptions(), nullcontext(map)
    ).rows
    return row


def test_layers_are_compared_one_by_one_forward_and_backward() -> None:
    """Layers of one seed are identical, of another they agree, and of a wrong variance differ."""
    first, again, other = stack(), stack(), stack(seed=1, networks=32)
    measures = [(layer, name) for layer in (1, 2) for name in ("Var[h]", "Var[∂h]")]
    for rows, verdict in ((again, "identical"), (other, "agrees")):
        found = compare(match(STACK, first, rows[::-1]))
        assert [(c.pair.a.layer, c.measure) for c in found] == measures
        assert [c.pair.b.layer for c in found] == [1, 1, 2, 2]
        assert {c.verdict for c in found} == {verdict}
    totals = other[1].totals
    wrong = replace(other[1], totals=totals._replace(square=3 * totals.square))
    found = compare(match(STACK, first, [other[0], wrong]))
    assert [c.verdict for c in found] == ["agrees", "agrees", "differs", "agrees"]


def test_gradients_that_one_file_lacks_are_not_compared() -> None:
    """The signals are."""
    found = compare(match(STACK, stack(), stack(backward=False)))
    assert [c.verdict for c in found] == ["agrees", "not compared"] * 2


def test_initializers_are_compared_forward_and_backward() -> None:
    """Rows of one seed are identical, of another they agree, and a wrong variance differs."""
    first, other = check(), check(seed=1, draws=64)
    for row, verdict in ((check(), "identical"), (other, "agrees")):
        found = compare(match(CHECK, [first], [row]))
        assert [(c.measure, c.verdict) for c in found] == [("x@W", verdict), ("g@Wᵀ", verdict)]
    wrong = replace(other, totals=scaled_forward(other.totals, 4.0))
    found = compare(match(CHECK, [first], [wrong]))
    assert [c.verdict for c in found] == ["differs", "agrees"]


@pytest.mark.parametrize(
    "change",
    [{"widths": (8, 8)}, {"widths": (8, 9, 8)}, {"activation": "tanh"}, {"scale": "xavier"},
     {"gain": 1.0}, {"bias_std": 0.1}, {"norm": "rms"}, {"residual": 1.0}, {"batch": 5},
     {"x_dist": "laplace"}, {"w_dist": "uniform"}, {"init": "orthogonal"}],
    ids=str,
)  # fmt: skip
def test_every_setting_keeps_stacks_apart(change: dict[str, Any]) -> None:
    """Rows of another stack have no partner, and a dtype, a seed or more networks keep them."""
    assert not match(STACK, stack(), stack(**change)).pairs
    same = match(STACK, stack(), stack(seed=1, networks=8, dtype="float64")).pairs
    assert [(pair.a.layer, pair.b.layer) for pair in same] == [(1, 1), (2, 2)]


@pytest.mark.parametrize("change", [{"dim": 9}, {"fan_out": 5}, {"name": "orthogonal"}], ids=str)
def test_every_setting_keeps_initializers_apart(change: dict[str, Any]) -> None:
    """Another initializer or shape is another quantity."""
    assert not match(CHECK, [check()], [check(**change)]).pairs


def scaled_forward(totals: CheckTotals, factor: float) -> CheckTotals:
    forward = totals.forward
    return replace(totals, forward=replace(forward, within=factor * forward.within))


def test_stacks_and_initializers_that_are_rounded_otherwise_agree() -> None:
    """Means that differ by an epsilon or by a thousandth are not identical."""
    layer, row = stack()[1], check()
    for factor in (1 + 2**-23, 1 + 1e-3):
        square = factor * layer.totals.square
        nudged = replace(layer, totals=layer.totals._replace(square=square))
        of_layers = compare(Matching(STACK, [Pair(layer, nudged)], [], []))
        assert {(c.verdict, c.identical) for c in of_layers} == {("agrees", False)}
        other = replace(row, totals=scaled_forward(row.totals, factor))
        of_checks = compare(Matching(CHECK, [Pair(row, other)], [], []))
        assert {(c.verdict, c.identical) for c in of_checks} == {("agrees", False)}
        assert layer.totals != nudged.totals
        assert row.totals != other.totals


# --- the command


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files: one run as .jsonl, .csv and .json, another seed, another experiment, a wrong k."""
    place = tmp_path_factory.mktemp("files")
    one, other = (
        [measured(scale=s, seed=seed, samples=64_000) for s in ("none", "sqrt")] for seed in (0, 1)
    )
    for suffix in (".jsonl", ".csv", ".json"):
        write(place / f"one{suffix}", one)
    write(place / "other.jsonl", other)
    write(place / "more.jsonl", [*other, *(measured(dim=d, x_dist="laplace") for d in range(1, 6))])
    write(place / "foreign.jsonl", [measured(dim=3)])
    wrong = one[1].totals
    factor = 1.3
    totals = replace(
        wrong, within=factor * wrong.within, m2=factor * wrong.m2, v2=factor**2 * wrong.v2
    )
    (bad,) = judge([conclude(one[1].question, totals)])
    write(place / "bad.jsonl", [one[0], bad])
    return place


def test_the_same_file_twice_is_identical(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every pair, and the summary says so."""
    one = folder / "one.jsonl"
    assert varsim("compare", one, one, "--check") == 0
    out, err = capsys.readouterr()
    assert out.count("identical") == 2
    assert err == "2 of 2 pairs agree: 2 identical.\n"


def test_check_is_3_only_when_a_pair_differs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a shell script can rely on it; without it, differing is a result like any other."""
    one, bad, other = (folder / f"{name}.jsonl" for name in ("one", "bad", "other"))
    assert varsim("compare", one, bad, "--check") == 3
    assert varsim("compare", one, bad) == 0
    assert varsim("compare", one, other, "--check") == 0
    assert varsim("compare", one, bad, "--check", "--alpha", "1e-300") == 0
    out, err = capsys.readouterr()
    assert out.count("  DIFFERS\n") == 2
    assert err.splitlines()[-1] == "2 of 2 pairs agree: 1 identical, 1 within errors."
    assert "1 of 2 pairs differ: D = 16, scale sqrt.\n" in err


def test_draws_in_common_are_said(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a merged file and one of its parts, whose difference says little; not of two parts."""
    parts, both = (folder / "one.jsonl", folder / "other.jsonl"), tmp_path / "both.jsonl"
    assert varsim("merge", *parts, "--output", both, "--quiet") == 0
    assert varsim("compare", both, parts[0]) == 0
    assert "2 pairs have draws in common, of the same seeds" in capsys.readouterr().err
    assert varsim("compare", *parts) == 0
    assert "in common" not in capsys.readouterr().err


def test_both_files_the_seeds_and_alpha_are_in_the_caption(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pasted table says where it comes from; versions are named where they differ."""
    one, other = folder / "one.jsonl", folder / "other.jsonl"
    varsim("compare", one, other, "--alpha", "0.01")
    out = capsys.readouterr().out
    assert re.search(rf"^a: '{one}', [\d,]+ outputs per row, seed 0\.$", out, re.MULTILINE)
    assert re.search(rf"^b: '{other}', [\d,]+ outputs per row, seed 1\.$", out, re.MULTILINE)
    assert f"varsim {__version__}" not in out
    assert "the chance of any DIFFERS in this table is at most 1% (Holm)" in out
    older = replace(measured(seed=3), varsim="0.0.9")
    matching = match(LAYER, [older], [measured()])
    caption = comparison_table(compare(matching), matching, Names("a", "b")).caption
    assert "varsim 0.0.9" in caption[0]


SCHEMA = (
    "schema kind dim scale init fan_out gain x_dist w_dist x_mean x_std w_mean w_std design "
    "varsim_a seed_a dtype_a blocks_a key_a k_a samples_a theory_a empirical_a std_error_a "
    "expected_std_error_a conditional_theory_a "
    "varsim_b seed_b dtype_b blocks_b key_b k_b samples_b theory_b empirical_b std_error_b "
    "expected_std_error_b conditional_theory_b "
    "same_streams measure compared a b difference std_error ci_low ci_high confidence dof z p "
    "verdict agrees alpha"
)


def test_the_records_are_fixed_and_alike_in_every_machine_format(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names and order are what scripts rely on; unknown is null or empty."""
    texts = {}
    for name in ("json", "jsonl", "csv"):
        varsim("compare", folder / "one.jsonl", folder / "bad.jsonl", "-f", name)
        texts[name] = capsys.readouterr().out
    as_json = json.loads(texts["json"])
    assert as_json == [json.loads(line) for line in texts["jsonl"].splitlines()]
    assert list(as_json[0]) == SCHEMA.split()
    assert {(row["schema"], row["kind"]) for row in as_json} == {(1, "comparison")}
    for flat, record in zip(csv.DictReader(io.StringIO(texts["csv"])), as_json, strict=True):
        assert list(flat) == list(record)
        for key, value in record.items():
            text = flat[key] if isinstance(value, str) or value is None else json.loads(flat[key])
            assert text == ("" if value is None else value)
    identical, different = as_json
    assert (identical["p"], identical["std_error"], identical["difference"]) == (None, None, 0.0)
    assert different["ci_low"] < different["difference"] < different["ci_high"]
    assert different["difference"] == different["empirical_b"] - different["empirical_a"]


def test_rows_without_a_partner_are_counted_and_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first few, a file; they are no reason to fail."""
    assert varsim("compare", folder / "more.jsonl", folder / "one.jsonl", "--check") == 0
    err = " ".join(capsys.readouterr().err.split())
    assert (
        f"Caveat: 5 rows of '{folder / 'more.jsonl'}' have no partner in "
        f"'{folder / 'one.jsonl'}': D = 1, scale sqrt, x laplace; D = 2, scale sqrt, x laplace; "
        "D = 3, scale sqrt, x laplace; and 2 more."
    ) in err


def test_a_mistake_is_one_sentence_and_nothing_else(folder: Path) -> None:
    """Exit 2 for what was asked wrongly, nothing on stdout, and no file is touched."""
    one, before = str(folder / "one.jsonl"), (folder / "one.jsonl").read_text()
    (folder / "text.jsonl").write_text("hello\n")
    mistakes = [
        [one, str(folder / "foreign.jsonl")], [one], [one, one, one], [], ["-", "-"],
        [one, one, "--alpha", "0"], [one, one, "--alpha", "2"], [one, one, "-o", "x.xyz"],
        [one, one, "-o", one], [one, str(folder / "text.jsonl")],
    ]  # fmt: skip
    for mistake in mistakes:
        done = here("compare", *mistake)
        assert (done.returncode, done.stdout) == (2, ""), mistake
        assert re.fullmatch(r"Error: [^\n]{10,400}[.?)]\n", done.stderr), done.stderr
    assert (folder / "one.jsonl").read_text() == before


def test_a_file_that_cannot_be_read_is_a_run_time_error(folder: Path, tmp_path: Path) -> None:
    """Exit 1, and its name in the sentence: one that is missing, and a folder."""
    for file in (tmp_path / "missing.jsonl", tmp_path):
        done = run("compare", str(folder / "one.jsonl"), str(file))
        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(rf"Error: '{file}' cannot be read: [^\n]+\.\n", done.stderr)


def test_a_run_is_compared_through_a_pipe(folder: Path) -> None:
    """The file - is stdin, in any format."""
    done = subprocess.run(
        [*VARSIM, "compare", str(folder / "one.jsonl"), "-"],
        input=(folder / "one.csv").read_text(), capture_output=True, encoding="utf-8",
        env=environment(), check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "2 of 2 pairs agree: 2 identical.\n")
    assert "b: stdin" in done.stdout


def test_a_terminal_shows_the_whole_table(folder: Path) -> None:
    """80 columns hold it, in colour."""
    shown = on_terminal("compare", str(folder / "one.jsonl"), str(folder / "bad.jsonl"))
    assert "\x1b[32midentical" in shown
    assert "\x1b[1;31mDIFFERS" in shown
    assert "too narrow" not in shown


def test_the_summary_counts_every_verdict() -> None:
    """Identical, rounded otherwise, and within errors."""
    row = measured()
    nudged = replace(row, totals=replace(row.totals, mean=row.totals.mean + 1e-9))
    pairs = Pair(row, row), Pair(row, nudged), Pair(row, measured(seed=1))
    assert summary(compare(paired(*pairs))) == ("3 of 3 pairs agree: 1 identical, 2 within errors.")


# --- merging


def test_a_pooled_row_names_its_seeds_and_is_more_precise() -> None:
    """In a caveat and in its key; the order of the rows changes no digit."""
    rows = [measured(seed=seed) for seed in (2, 0, 1)]
    (row,) = judge(merge(LAYER, rows).rows)
    assert row == judge(merge(LAYER, rows[::-1]).rows)[0]
    assert (row.seed, row.seeds, row.blocks) == (0, (0, 1, 2), 192)
    assert row.key == rows[0].key + "+1+2"
    assert [c.message for c in row.caveats] == ["the totals of seeds 0, 1 and 2 are pooled"]
    assert row.std_error == pytest.approx(rows[0].std_error / math.sqrt(3), rel=0.3)
    mixed = [replace(rows[0], varsim="0.0.9"), rows[1]]
    assert f"; they are of varsim 0.0.9 and {__version__}" in (
        merge(LAYER, mixed).rows[0].caveats[0].message
    )


def test_many_seeds_are_counted() -> None:
    """A caption and a caveat list a handful, and of more they say the first and the last."""
    row = measured()
    rows = [replace(row, question=replace(row.question, seed=seed)) for seed in range(1, 10)]
    for some, told in ((rows[1:], "2, 3, 4, 5, 6, 7, 8"), (rows, "9 seeds from 1 to 9")):
        (pooled,) = merge(LAYER, some).rows
        matching = match(LAYER, some, some)
        table = comparison_table(compare(matching), matching, Names("a", "b"))
        assert told in pooled.caveats[0].message
        assert all(told in line for line in table.sentences[:2])
        assert told in results_table(judge(some)).sentences[0]


ASKED = {"a": ROWS[0], "b": ROWS[4]}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sets(st.integers(0, 4), min_size=1))))
@example([("a", {0}), ("a", {1}), ("a", {1}), ("a", {0})])
def test_a_repeat_is_the_first_of_all_pairs(parts: list[tuple[str, set[int]]]) -> None:
    """Of one question and a common seed, as if every two rows were compared."""
    rows = []
    for key, seeds in parts:
        row, (seed, *more) = ASKED[key], sorted(seeds)
        rows.append(replace(row, question=replace(row.question, seed=seed), pooled=tuple(more)))
    pairs = [
        (i, j, min(parts[i][1] & parts[j][1]))
        for key in dict.fromkeys(key for key, _ in parts)
        for i, j in combinations([i for i, part in enumerate(parts) if part[0] == key], 2)
        if parts[i][1] & parts[j][1]
    ]
    assert repeat(rows) == next(iter(pairs), None)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of rows, of layers and of checks, of seeds 0 and 1."""
    path = tmp_path_factory.mktemp("parts")
    for seed in (0, 1):
        rows = [measured(seed=seed), measured(seed=seed, dim=8 + seed)]
        rows.append(measured(seed=seed, design="fixed-x"))
        write(path / f"results{seed}.jsonl", rows)
        write(path / f"layers{seed}.jsonl", stack(seed=seed, networks=8 + seed))
        write(path / f"checks{seed}.jsonl", [check(seed=seed)])
    return path


def test_merge_adds_up_what_it_can_and_says_what_not(
    parts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Other rows stay as they are, in the order of the files."""
    file = tmp_path / "all.jsonl"
    files = [parts / "results0.jsonl", parts / "results1.jsonl"]
    assert varsim("merge", *files, "-o", file) == 0
    out, err = capsys.readouterr()
    assert "seed 0, 1." in out
    assert err.splitlines()[0] == (
        "Note: Not pooled, since with fixed-x each seed has an x of its own: D = 16, scale sqrt, "
        "fixed-x."
    )
    assert err.splitlines()[-2:] == [
        "6 rows of 2 files are now 5: 1 pooled, 4 as they were.", "5 of 5 agree with theory."
    ]  # fmt: skip
    rows = parse(file.read_text(), ".jsonl")
    assert [(row.dim, row.seeds) for row in rows] == [
        (16, (0, 1)), (8, (0,)), (16, (0,)), (9, (1,)), (16, (1,))
    ]  # fmt: skip
    assert {row.alpha for row in rows} == {0.001}
    before = [row for source in files for row in parse(source.read_text(), ".jsonl")]
    assert [row.totals for row in rows[1:]] == [before[i].totals for i in (1, 2, 4, 5)]


@pytest.mark.parametrize(
    ("names", "where"),
    [
        (["results0", "results0"], "twice in '{0}'"),
        (["all", "results1"], "in '{0}' and in '{1}'"),
        (["layers1", "layers0", "layers1"], "twice in '{0}'"),
    ],
)
def test_the_same_seed_twice_is_refused(
    parts: Path, tmp_path: Path, names: list[str], where: str
) -> None:
    """In a sentence, and of a merged row too: nothing is written."""
    paths = [parts / f"{name}.jsonl" for name in names]
    if names[0] == "all":
        paths[0] = tmp_path / "all.jsonl"
        assert varsim("merge", parts / "results0.jsonl", paths[1], "-q", "-o", paths[0]) == 0
    done = here("merge", *map(str, paths), "-o", str(tmp_path / "more.jsonl"))
    assert (done.returncode, done.stdout) == (2, "")
    assert where.format(*paths) in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "more.jsonl").exists()


def test_layers_are_pooled_with_the_medians_of_all_networks(parts: Path, tmp_path: Path) -> None:
    """Of all seeds; plot and compare read the file."""
    file = tmp_path / "all.jsonl"
    sources = [parts / "layers0.jsonl", parts / "layers1.jsonl"]
    assert varsim("merge", *sources, "-o", file) == 0
    rows, *sources_rows = (parse(path.read_text(), ".jsonl") for path in (file, *sources))
    assert [row.networks for row in rows] == [17] * len(rows)
    for row, *each in zip(rows, *sources_rows, strict=True):
        values = [np.frombuffer(part.totals.squares, "<f8") for part in each]
        assert row.median == np.median(np.concatenate(values))
    assert varsim("compare", file, sources[0], "-q") == 0
    assert varsim("plot", file, "-o", tmp_path / "all.svg") == 0


def test_checks_are_pooled(parts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the draws of both, but not where they are held to different claims."""
    assert varsim("merge", parts / "checks0.jsonl", parts / "checks1.jsonl", "-q", "-f", "csv") == 0
    (row,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["draws"] == "32"
    first, other = check(seed=0), replace(check(seed=1), claimed=1.0)
    merged = merge(CHECK, [first, other])
    assert merged.rows == [first, other]
    assert merged.apart == [(other, "their claims differ")]


def test_rows_of_blocks_of_different_sizes_stay_apart() -> None:
    """Of two precisions, which share a key: their variances are not means of the same."""
    asked: dict[str, Any] = {"dim": 16, "scale": "sqrt"}
    rough = simulate(Experiment(**asked, precision=0.2))
    fine = simulate(Experiment(**asked, precision=0.02, seed=1))
    assert rough.key == fine.key
    merged = merge(LAYER, [rough, fine])
    assert merged.rows == [rough, fine]
    assert merged.apart == [(fine, "their blocks have different sizes")]


def test_a_histogram_that_one_file_lacks_is_left_out() -> None:
    """And it is said; where all have one, the counts are those of all outputs."""
    counted = [
        LayerStudy(Experiment(dim=4, scale="sqrt", samples=640, seed=seed), histogram=True)
        for seed in (0, 1)
    ]
    a, b = (s.rows(Totals.of(s.sample(range(64))))[0] for s in counted)
    (both,) = merge(LAYER, [a, b]).rows
    assert both.totals.counts is not None
    assert sum(both.totals.counts) == both.samples == 1280
    bare = replace(b, totals=replace(b.totals, counts=None))
    merged = merge(LAYER, [a, bare])
    assert merged.rows[0].histogram is None
    assert merged.uncounted == merged.rows


def test_merge_passes_verdicts_anew(tmp_path: Path) -> None:
    """With the draws of all: what no row alone shows can disagree; --check exits with 3 then."""
    wrong = "trunc_normal(std=0.265)"  # two standard errors of a row
    rows = judge([measured(init=wrong, samples=1000, seed=seed) for seed in range(8)])
    assert all(row.agrees for row in rows)
    file = str(write(tmp_path / "seeds.csv", rows))
    done = here("merge", file, "--check", "--confidence", "0.5", "-q")
    assert done.returncode == 3
    assert "DISAGREES" in done.stdout
    assert "empirical ± 50%" in done.stdout
    assert here("merge", file, "--check", "--alpha", "1e-12", "-q").returncode == 0


def test_a_mistake_of_merge_is_one_sentence(parts: Path) -> None:
    """No file, files of two kinds, stdin twice, an output that is read, a column that is not."""
    results, layers = str(parts / "results0.jsonl"), str(parts / "layers0.jsonl")
    for args, sentence in {
        (): "0 files were given; give one or more",
        (results, layers): "give files of one kind",
        ("-", "-"): "- was given twice",
        (results, "-o", results): "is one of the files that are merged",
        (results, "--columns", "layer"): "column 'layer' is unknown",
        (results, "--alpha", "2"): "'2' is above 1",
    }.items():
        done = here("merge", *args)
        assert (done.returncode, done.stdout) == (2, "")
        assert sentence in done.stderr
