"""The runner: one stream of work for many rows, and whatever ends it, the rows that are done."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.rows import records, totals_of
from tests.runs import Ahead, Ending, Recorded, run_of
from varsim import Experiment, InputError, simulate
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.compute import ComputeError
from varsim.layer import sampling
from varsim.layer.question import MIN_BLOCKS
from varsim.layer.study import LayerStudy
from varsim.runner import Measurement, ResumePoint
from varsim.stack.question import Network
from varsim.stack.study import StackStudy

FIXED = LayerStudy(Experiment(dim=2, scale="sqrt", samples=6400))
LONG = LayerStudy(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=6400))
"""A row of 100 blocks: of a whole W each, so that they are small."""

PRECISE = LayerStudy(Experiment(dim=8, scale="sqrt", precision=0.17, seed=4))
"""A row that is decided at its second check, after 115 and 183 blocks."""

STACK = StackStudy(Network(widths=(4, 4, 4), batch=4, networks=20))
CHECK = CheckStudy(question("truncated_normal", 6, 4), draws=20)


def fails_at_once(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """An initializer that never makes anything."""
    raise ValueError(f"no numbers today, {rng.standard_normal(shape).size} in all")


def fails_on_the_way(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """An initializer that fails for one W in forty, and not for the first."""
    w = rng.standard_normal(shape)
    if w[0, 0] > 2.0:
        raise ValueError("a number above 2")
    return w


def failing(name: str) -> LayerStudy:
    init = f"{__name__}:{name}"
    return LayerStudy(Experiment(dim=4, scale="1", init=init, samples=6400))


def from_file(rows: Iterable[Any]) -> list[Any]:
    """Rows as they are read from a file."""
    return [row.schema.row_of(json.loads(t)) for row, t in zip(rows, records(rows), strict=True)]


def raising(error: BaseException) -> Callable[..., None]:
    """A function that fails with an error."""

    def fail(*_: object) -> None:
        raise error

    return fail


def without_agrees(rows: Iterable[Any]) -> list[Any]:
    """Rows before a verdict, which depends on the rest of the table."""
    return [replace(row, agrees=None, alpha=None) for row in rows]


@pytest.fixture(autouse=True)
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are handed out one by one, so that a test can end a run after any of them."""
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 1)


# Measurement


@pytest.mark.parametrize("cost", [1.0, 2e3, 1e6])
def test_blocks_that_are_handed_out_together_change_no_byte(cost: float) -> None:
    """Checks are where they are, and resumed rows continue, however many blocks go out at once."""
    studies = [replace(PRECISE), replace(FIXED), replace(LONG)]
    expected = records(run_of(studies).rows)
    handed_out: list[range] = []

    def asking(function: Callable[[Any], Any], jobs: Any, /) -> Iterator[Any]:
        jobs.ask_for(cost)
        for work in jobs:
            handed_out.append(work.indices)
            yield function(work)

    assert records(run_of(studies, asking).rows) == expected
    begun = [ResumePoint(study, totals_of(study, 5)) for study in studies]
    assert records(run_of([], asking, points=begun).rows) == expected
    assert (max(map(len, handed_out)) > max(study.batch for study in studies)) == (cost > 1)


def test_work_that_is_as_large_as_is_asked_for_changes_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It holds whole batches, up to the next check."""
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 5000)
    batches = LayerStudy(Experiment(dim=3, scale="sqrt", samples=6400))
    studies = [LONG, replace(PRECISE), STACK, CHECK, batches, failing("fails_on_the_way")]
    sizes: dict[int, list[int]] = {}

    def asks(function: Callable[[Any], Any], items: Any, /) -> Iterator[Any]:
        items.ask_for(50.0 * batches.cost)
        for work in items:
            sizes.setdefault(id(work.study), []).append(len(work.indices))
            yield function(work)

    alone, together = (run_of(studies, mapper, lenient=True) for mapper in (map, asks))
    assert records(alone.rows) == records(together.rows)
    assert alone.left_out == together.left_out
    assert 1 < batches.batch < 50
    assert sizes[id(batches)][0] == 50 // batches.batch * batches.batch
    assert sum(sizes[id(batches)]) == 64


def test_a_measurement_hands_out_no_more_than_the_next_check_needs() -> None:
    """What lies beyond the check is not handed out before the check has asked for it."""
    measurement, checks = Measurement(PRECISE), []
    while (target := measurement.target) is not None:
        checks.append(target)
        while (work := measurement.hand_out()) is not None:
            assert work.indices[-1] < target
            assert measurement.target == target
        for block in PRECISE.sample(range(measurement.count, target)):
            assert measurement.target == target
            measurement.add(block)
    assert checks == [115, 183]
    assert measurement.hand_out() is None


@pytest.mark.parametrize("batches", [1, 3])
def test_a_resumed_row_ends_its_batch_first(batches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No batch is drawn twice but the one in which the row was left."""
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 2**18)
    study = LayerStudy(Experiment(dim=8, scale="sqrt", precision=0.05))
    cost = batches * study.batch * study.cost
    measurement = Measurement(study, totals_of(study, 5))
    ends = []
    while (work := measurement.hand_out(cost)) is not None:
        ends.append(work.indices.stop)
    assert study.batch > 1
    assert len(ends) > 1
    assert all(end % study.batch == 0 for end in ends[:-1])
    assert ends[-1] == measurement.target


def test_what_comes_back_after_the_end_is_not_added() -> None:
    """A row whose time was up stays as it was, whatever was in flight."""
    time_is_up = iter([False] * 3 + [True])
    measurement = Measurement(LONG, time_is_up=time_is_up.__next__)
    for block in LONG.sample(range(100)):
        measurement.add(block)
    assert measurement.is_done
    assert measurement.count == MIN_BLOCKS + 3


# Many rows


def test_many_rows_are_one_stream_of_work() -> None:
    """Work of the second row is handed out before the first has ended, and no worker waits."""
    second = LayerStudy(Experiment(dim=3, scale="sqrt", samples=6400))
    mapper = Ahead(8)
    run_of([FIXED, second], mapper)
    assert mapper.places("handed out", second)[0] < mapper.places("came back", FIXED)[-1]
    assert len(mapper.places("came back", FIXED)) == MIN_BLOCKS
    assert len(mapper.places("came back", second)) == MIN_BLOCKS


def test_a_row_that_waits_for_its_check_leaves_no_worker_idle() -> None:
    """Work of the next row is handed out until the check has said how much more is needed."""
    mapper = Ahead(10_000)
    run_of([PRECISE, FIXED], mapper)
    of_precise, of_fixed = (mapper.places("handed out", study) for study in (PRECISE, FIXED))
    assert of_precise[0] < of_fixed[0] < of_precise[-1]


def test_a_row_without_time_ends_at_the_fewest_blocks() -> None:
    """Its surplus work is dropped, and the rows after it are what they are alone."""
    fine = LayerStudy(Experiment(dim=2, scale="sqrt", precision=0.001))
    outcome = run_of([fine, FIXED], Ahead(10), max_seconds=0.0)
    short, after = outcome.rows
    assert short.blocks == MIN_BLOCKS
    assert not short.met
    assert records([after]) == records([simulate(FIXED.question, workers=1)])


def test_rows_go_to_the_ledger_when_they_are_done() -> None:
    """In the order in which they end, before their verdicts, and those of a file not again."""
    done = LONG.rows(totals_of(LONG, 100))
    ledger = Recorded()
    points = [ResumePoint(PRECISE), ResumePoint(LONG, done=done), ResumePoint(FIXED)]
    outcome = run_of([], Ahead(10_000), points=points, ledger=ledger)
    asked = [rows[0].question for rows in ledger.added]
    assert asked == [FIXED.question, PRECISE.question]
    assert all(rows[0].agrees is None for rows in ledger.added)
    assert [row.question for row in outcome.rows] == [s.question for s in (PRECISE, LONG, FIXED)]
    assert all(row.agrees for row in outcome.rows)


@pytest.mark.parametrize("options", [{}, {"max_seconds": 0.0}], ids=str)
def test_the_work_that_was_expected_is_the_work_that_was_done(options: dict[str, Any]) -> None:
    """Progress ends at its end: with later checks, time that is up, and rows that are left out."""
    progress = Recorded()
    studies = [PRECISE, failing("fails_at_once"), failing("fails_on_the_way"), STACK, CHECK, FIXED]
    outcome = run_of(studies, Ahead(10), progress=progress, lenient=True, **options)
    assert outcome.left_out
    assert progress.done == progress.expected > 0
    assert progress.shown[-1] == len(outcome.groups)


# Interrupts


# Failures


def test_a_failing_initializer_ends_a_strict_run_with_its_sentence() -> None:
    """The rows that were done are kept, and none after the failure is begun."""
    for name, sentence in (
        ("fails_at_once", "no numbers today"),
        ("fails_on_the_way", "a number above 2"),
    ):
        outcome = run_of([FIXED, failing(name), LONG])
        assert outcome.failure is not None
        assert sentence in outcome.failure
        assert "\n" not in outcome.failure
        assert [row.question for row in outcome.rows] == [FIXED.question]
        assert outcome.left_out == {}
        with pytest.raises(InputError, match=sentence):
            simulate(failing(name).question)


def test_a_failing_initializer_is_left_out_of_a_lenient_run() -> None:
    """Whether it fails at once or on the way, and its reason is told; the others are run."""
    names = ("fails_at_once", "fails_on_the_way")
    outcome = run_of([FIXED, *map(failing, names), LONG], Ahead(10), lenient=True)
    assert outcome.failure is None
    assert [row.question for row in outcome.rows] == [FIXED.question, LONG.question]
    assert (outcome.asked, outcome.complete) == (2, 2)
    assert list(outcome.left_out) == [f"{__name__}:{name}" for name in names]
    reasons = list(outcome.left_out.values())
    assert "no numbers today" in reasons[0]
    assert "a number above 2" in reasons[1]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MemoryError(), "(no memory)"),
        (MemoryError("Unable to allocate 4 GiB"), "(Unable to allocate 4 GiB)"),
        (RuntimeError("can't start new thread"), "(can't start new thread)"),
    ],
)
def test_an_exhausted_machine_is_one_sentence(error: Exception, told: str) -> None:
    """It says what ran out and what to do, and the rows that were done are kept."""
    outcome = run_of([FIXED, LONG], Ending(MIN_BLOCKS + 70, error))
    assert outcome.failure is not None
    assert told in outcome.failure
    assert outcome.failure.endswith("; take fewer workers or smaller matrices")
    assert not outcome.interrupted
    assert [row.question for row in outcome.rows] == [FIXED.question]


@pytest.mark.parametrize(
    "study",
    [
        LayerStudy(Experiment(dim=600, scale="sqrt", init="orthogonal")),
        LayerStudy(Experiment(dim=600, scale="sqrt", init="trunc_normal", dtype="float64")),
        CheckStudy(question("orthogonal", 600, 600)),
        CheckStudy(question("trunc_normal", 600, 600, dtype="float64")),
        StackStudy(Network(widths=(600,) * 5)),
        StackStudy(Network(widths=(800,) * 3, backward=False)),
        StackStudy(Network(widths=(64,) * 30, norm="batch", batch=512)),
        StackStudy(Network(widths=(600,) * 3, init="orthogonal")),
    ],
    ids=str,
)
def test_a_worker_takes_the_memory_that_its_study_says(study: Any) -> None:
    """Its arrays peak at no more, and at no less than half of it, when W is first checked too."""
    study.prepare()  # what is loaded is no array
    peaks = []

    def work(call: Callable[[], object]) -> None:
        tracemalloc.start()
        call()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    for call in (study.prepare, partial(study.sample, range(1))):
        worker = threading.Thread(target=work, args=[call])  # with scratch memory of its own
        worker.start()
        worker.join()
    assert study.memory / 2 <= peaks[1]
    assert max(peaks) <= 1.1 * study.memory


def test_workers_that_gave_out_are_told_in_their_own_sentence() -> None:
    """What ended the cluster is what ends the run."""
    lost = ComputeError("the scheduler was lost; start it again")
    outcome = run_of([FIXED, LONG], Ending(MIN_BLOCKS + 1, lost))
    assert outcome.failure == "the scheduler was lost; start it again"
    assert len(outcome.rows) == 1


# Resuming


def test_a_row_that_was_stopped_before_its_check_continues_to_the_check() -> None:
    """Also where it happens to be precise enough: the check decides, as in a run at once."""
    study = replace(PRECISE, question=replace(PRECISE.question, seed=9))
    (whole,) = run_of([study]).rows
    part = run_of([study], Ending(whole.blocks - 1)).rows
    assert part[0].met
    resumed, totals, is_done = study.resume(from_file(part))
    assert not is_done
    together = run_of([], points=[ResumePoint(resumed, totals)]).rows
    assert records(together) == records([whole])


def test_a_smaller_bound_than_before_is_kept() -> None:
    """A row that was on its way to a later check ends at the bound that is asked for now."""
    part = run_of([PRECISE], Ending(120)).rows
    assert part[0].totals.next_check > 150
    bounded = replace(PRECISE, question=replace(PRECISE.question, max_samples=150))
    assert bounded.question.block == PRECISE.question.block
    resumed, totals, is_done = bounded.resume(from_file(part))
    assert not is_done
    (row,) = run_of([], points=[ResumePoint(resumed, totals)]).rows
    assert row.samples == 150


def test_a_stack_on_its_way_beyond_the_bound_ends_at_the_bound() -> None:
    """A lower bound than that of the run before is kept."""
    before = StackStudy(replace(STACK.question, precision=0.001))
    measurement = Measurement(before)
    measurement.add(*before.sample(range(20)))
    assert measurement.target is not None
    assert measurement.target > 30
    measurement.stop()
    rows = from_file(before.rows(measurement.totals))
    resumed, totals, is_done = replace(before, max_networks=30).resume(rows)
    assert not is_done
    assert Measurement(resumed, totals).target == 30
    resumed, totals, _ = before.resume(rows)
    assert Measurement(resumed, totals).target == measurement.totals.next_check


def test_an_interrupt_while_a_check_decides_is_decided_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stopped row goes on to the check that an uninterrupted one would head for."""
    measurement = Measurement(PRECISE)
    blocks = PRECISE.sample(range(115))
    with monkeypatch.context() as patch:
        patch.setattr(LayerStudy, "next_check", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            measurement.add(*blocks)
    measurement.stop()
    resumed, totals, is_done = PRECISE.resume(from_file(PRECISE.rows(measurement.totals)))
    assert not is_done
    assert Measurement(resumed, totals).target == 183


def test_a_stale_row_is_kept_where_it_is_better() -> None:
    """It is named as unchanged, and a stale row that is worse is replaced."""
    rougher, finer = (
        LayerStudy(Experiment(dim=4, scale="sqrt", precision=p)) for p in (0.05, 0.01)
    )
    (rough,), (fine,) = (without_agrees(run_of([study]).rows) for study in (rougher, finer))
    ledger = Recorded()
    kept = run_of([], points=[ResumePoint(rougher, stale=[fine])], ledger=ledger)
    assert records(kept.rows) == records([fine])
    assert kept.unchanged == [fine]
    assert ledger.added == []
    replaced = run_of([], points=[ResumePoint(finer, stale=[rough])], ledger=ledger)
    assert records(replaced.rows) == records([fine])
    assert replaced.unchanged == []
    assert len(ledger.added) == 1
