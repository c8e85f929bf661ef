"""The runner: one stream of work for many rows, and whatever ends it, the rows that are done."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from varsim import Experiment, InputError, simulate
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.compute import ComputeError, Mapper, threads
from varsim.layer import sampling
from varsim.layer.question import MIN_BLOCKS
from varsim.layer.result import RESULTS
from varsim.layer.study import LayerStudy
from varsim.runner import Measurement, Outcome, ResumePoint, RunOptions, run, sample
from varsim.stack.question import Network
from varsim.stack.study import StackStudy
from varsim.storage.ledger import Ledger

FIXED = LayerStudy(Experiment(dim=2, scale="sqrt", samples=6400))
LONG = LayerStudy(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=6400))
"""A row of 100 blocks: of a whole W each, so that they are small."""

PRECISE = LayerStudy(Experiment(dim=8, scale="sqrt", precision=0.17, seed=10))
"""A row that is decided at its second check, after 115 and 189 blocks."""

STACK = StackStudy(Network(widths=(4, 4, 4), batch=4, networks=20))
CHECK = CheckStudy(question("truncated_normal", 6, 4), draws=20)

STUDIES: dict[str, Any] = {"layer": LONG, "precise": PRECISE, "stack": STACK, "check": CHECK}


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


def run_of(
    studies: Sequence[Any],
    mapper: Mapper = map,
    *,
    points: Sequence[ResumePoint[Any, Any, Any]] = (),
    ledger: Any = None,
    progress: Any = None,
    **options: Any,
) -> Outcome[Any]:
    """Run studies, or points, with a mapper."""
    points = points or [ResumePoint(study) for study in studies]
    asked = RunOptions(**options)
    return run(points, asked, nullcontext(mapper), ledger=ledger, progress=progress)


def records(rows: Iterable[Any]) -> list[str]:
    """What files hold of rows."""
    return [json.dumps(row.schema.record(row)) for row in rows]


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


def totals_of(study: Any, replicates: int) -> Any:
    """Totals of the first replicates."""
    return study.empty().plus(*study.sample(range(replicates)))


class Ahead:
    """A mapper that takes so many items ahead of the results, and notes what happens when."""

    def __init__(self, lead: int) -> None:
        self.lead = lead
        self.events: list[tuple[str, int]] = []

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        in_flight: deque[Any] = deque()
        for item in items:
            in_flight.append(item)
            self.events.append(("handed out", id(item.study)))
            if len(in_flight) >= self.lead:
                yield self._result(function, in_flight.popleft())
        while in_flight:
            yield self._result(function, in_flight.popleft())

    def _result(self, function: Callable[[Any], Any], item: Any) -> Any:
        self.events.append(("came back", id(item.study)))
        return function(item)

    def places(self, what: str, study: Any) -> list[int]:
        return [place for place, event in enumerate(self.events) if event == (what, id(study))]


def ending(after: int, error: BaseException) -> Mapper:
    """A mapper that raises an error when so many results have come."""
    left = iter(range(after))

    def mapper(function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        for item in items:
            if next(left, None) is None:
                raise error
            yield function(item)

    return mapper


class Recorded:
    """A ledger and a progress that remember."""

    def __init__(self) -> None:
        self.added: list[list[Any]] = []
        self.expected = self.done = 0.0
        self.shown: list[int] = []

    def add(self, rows: Sequence[Any]) -> None:
        self.added.append(list(rows))

    def advance(self, work: float) -> None:
        self.done += work

    def add_total(self, change: float) -> None:
        self.expected += change

    def show(self, groups: Mapping[int, Sequence[Any]]) -> None:
        self.shown.append(len(groups))


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


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_measurement_is_a_function_of_its_replicates(study: Any) -> None:
    """However many replicates are handed out before the first comes back, the totals are equal."""
    found = []
    for lead in (1, 5, 10_000):
        measurement, in_flight, indices = Measurement(study), deque[Any](), list[int]()
        while not measurement.is_done:
            while len(in_flight) < lead and (work := measurement.hand_out()) is not None:
                in_flight.append(work)
                indices += work.indices
            measurement.add(*sample(in_flight.popleft()))
        assert indices == list(range(measurement.count))
        found.append(records(study.rows(measurement.totals)))
    assert found[0] == found[1] == found[2]


def test_work_that_is_as_large_as_is_asked_for_changes_no_byte(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It holds whole batches, up to the next check."""
    monkeypatch.setattr(sampling, "_NUMBERS_PER_BATCH", 5000)
    batches = LayerStudy(Experiment(dim=3, scale="sqrt", samples=6400))
    studies = [*STUDIES.values(), batches, failing("fails_on_the_way")]
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
    assert checks == [115, 189]
    assert measurement.hand_out() is None


def test_what_comes_back_after_the_end_is_not_added() -> None:
    """A row whose time was up stays as it was, whatever was in flight."""
    time_is_up = iter([False] * 3 + [True])
    measurement = Measurement(LONG, time_is_up=time_is_up.__next__)
    for block in LONG.sample(range(100)):
        measurement.add(block)
    assert measurement.is_done
    assert measurement.count == MIN_BLOCKS + 3


@pytest.mark.parametrize("study", [LONG, STACK, CHECK], ids=["layer", "stack", "check"])
def test_a_stopped_measurement_says_whether_it_has_an_error_bar(study: Any) -> None:
    """It has with the fewest replicates that an error bar needs, and not with one fewer."""
    for replicates in (0, study.minimum - 1, study.minimum):
        measurement = Measurement(study)
        for replicate in study.sample(range(replicates)):
            measurement.add(replicate)
        assert not measurement.is_done
        assert measurement.stop() is (replicates == study.minimum)
        assert measurement.is_done


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


@pytest.mark.parametrize("lead", [1, 7, 10_000])
def test_rows_are_those_of_a_run_alone_in_the_order_asked(lead: int) -> None:
    """A precision row among fixed ones, and long ones among short, change nothing."""
    studies = [LONG, FIXED, PRECISE, replace(FIXED, question=replace(FIXED.question, seed=1))]
    outcome = run_of(studies, Ahead(lead))
    assert [row.question for row in outcome.rows] == [study.question for study in studies]
    alone = [simulate(study.question, workers=1) for study in studies]
    assert records(without_agrees(outcome.rows)) == records(without_agrees(alone))
    assert (outcome.asked, outcome.complete, outcome.partial) == (4, 4, 0)
    assert not outcome.interrupted
    assert outcome.failure is None


def test_threads_change_no_row() -> None:
    """Three workers over studies of all kinds give the bytes of one."""
    studies = list(STUDIES.values())
    runs = [run(list(map(ResumePoint, studies)), RunOptions(), threads(w)) for w in (1, 3)]
    assert records(runs[0].rows) == records(runs[1].rows)
    assert [len(group) for group in runs[0].groups] == [1, 1, 2, 1]


def test_a_row_without_time_ends_at_the_fewest_blocks() -> None:
    """Its surplus work is dropped, and the rows after it are what they are alone."""
    fine = LayerStudy(Experiment(dim=2, scale="sqrt", precision=0.001))
    outcome = run_of([fine, FIXED], Ahead(10), max_seconds=0.0)
    short, after = outcome.rows
    assert short.blocks == MIN_BLOCKS
    assert not short.met
    assert records(without_agrees([after])) == records(
        without_agrees([simulate(FIXED.question, workers=1)])
    )


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


@pytest.mark.parametrize("study", [LONG, STACK, CHECK], ids=["layer", "stack", "check"])
def test_an_interrupt_keeps_an_unfinished_row_that_has_an_error_bar(study: Any) -> None:
    """From the fewest replicates of an error bar on, with a caveat, and never one fewer."""
    few = run_of([study], ending(study.minimum - 1, KeyboardInterrupt()))
    assert few.interrupted
    assert (few.rows, few.complete, few.partial) == ([], 0, 0)
    ledger = Recorded()
    enough = run_of([study], ending(study.minimum, KeyboardInterrupt()), ledger=ledger)
    assert enough.interrupted
    assert (len(enough.groups), enough.complete, enough.partial) == (1, 0, 1)
    for row in enough.rows:
        assert not row.met
        assert "interrupted" in [caveat.id for caveat in row.caveats]
        assert f"after {study.minimum:,} of" in next(
            caveat.message for caveat in row.caveats if caveat.id == "interrupted"
        )
    assert records(without_agrees(enough.rows)) == records(ledger.added[0])
    part = study.rows(totals_of(study, study.minimum))
    assert [row.estimates for row in enough.rows] == [row.estimates for row in part]


def test_an_interrupt_keeps_the_finished_rows() -> None:
    """Those that were done are whole, the one under way is kept in part, and no other is there."""
    after = replace(FIXED, question=replace(FIXED.question, seed=1))
    ledger = Recorded()
    mapper = ending(MIN_BLOCKS + MIN_BLOCKS + 6, KeyboardInterrupt())
    outcome = run_of([FIXED, LONG, after], mapper, ledger=ledger)
    whole, part = outcome.rows
    assert outcome.interrupted
    assert (outcome.asked, outcome.complete, outcome.partial) == (3, 1, 1)
    alone = simulate(FIXED.question, workers=1)
    assert records(without_agrees([whole])) == records(without_agrees([alone]))
    assert (part.question, part.blocks) == (LONG.question, MIN_BLOCKS + 6)
    assert [rows[0].blocks for rows in ledger.added] == [MIN_BLOCKS, MIN_BLOCKS + 6]


def test_an_interrupt_keeps_what_a_file_held_of_a_row() -> None:
    """Nothing is added to the ledger where nothing was measured, and the row stays."""
    totals, ledger = totals_of(LONG, 70), Recorded()
    point = ResumePoint(LONG, totals)
    outcome = run_of([], ending(0, KeyboardInterrupt()), points=[point], ledger=ledger)
    assert [row.blocks for row in outcome.rows] == [70]
    assert ledger.added == []


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
    outcome = run_of([FIXED, LONG], ending(MIN_BLOCKS + 70, error))
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
    outcome = run_of([FIXED, LONG], ending(MIN_BLOCKS + 1, lost))
    assert outcome.failure == "the scheduler was lost; start it again"
    assert len(outcome.rows) == 1


def test_a_full_disk_ends_the_run_and_the_row_is_still_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentence says what could not be added, and where."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("varsim.storage.ledger.append_line", full)
    path = tmp_path / "rows.jsonl"
    with Ledger(path, RESULTS) as ledger:
        outcome = run_of([FIXED, LONG], ledger=ledger)
        assert outcome.failure is not None
        assert f"{str(path)!r}: No space left on device; " in outcome.failure
        assert [row.question for row in outcome.rows] == [FIXED.question]
        stopped = run_of([LONG], ending(70, KeyboardInterrupt()), ledger=ledger)
    assert stopped.interrupted
    assert stopped.failure == outcome.failure
    assert [row.blocks for row in stopped.rows] == [70]


# Resuming


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("more", [0, 3])
def test_a_resumed_row_has_the_bytes_of_a_run_at_once(name: str, more: int) -> None:
    """An interrupted row that was written and read again continues as if nothing had happened.

    But for the medians of a stack, which are of the last run: its rows say so.
    """
    study = STUDIES[name]
    part = run_of([study], ending(study.minimum + more, KeyboardInterrupt()))
    resumed, totals, is_done = study.resume(from_file(part.rows))
    assert totals is not None
    assert not is_done
    mapper = Ahead(4)
    together = run_of([], mapper, points=[ResumePoint(resumed, totals)]).rows
    whole = run_of([study]).rows
    if name != "stack":
        assert records(together) == records(whole)
        return
    handed_out = len(mapper.places("handed out", resumed))
    assert handed_out == STACK.question.networks - (study.minimum + more)
    for one, other in zip(together, whole, strict=True):
        assert one.median_networks == handed_out
        said = {caveat.id for caveat in other.caveats}
        more_said = [caveat for caveat in one.caveats if caveat.id not in said]
        assert [caveat.id for caveat in more_said] == ["median"]
        assert f"of the last {handed_out} networks" in more_said[0].message
        same = {"median": None, "gradient_median": None, "median_networks": 0}
        assert records([replace(one, **same)]) == records([replace(other, **same)])


def test_a_larger_run_continues_a_smaller_one() -> None:
    """More draws, more networks and a finer precision begin where fewer ended."""
    fine = replace(PRECISE, question=replace(PRECISE.question, precision=0.12))
    assert fine.question.block == PRECISE.question.block
    for small, large in (
        (replace(CHECK, draws=8), CHECK),
        (replace(STACK, question=replace(STACK.question, networks=8)), STACK),
        (PRECISE, fine),
    ):
        before = from_file(run_of([small]).rows)
        resumed, totals, is_done = large.resume(before)
        assert not is_done
        mapper = Ahead(1)
        rows = run_of([], mapper, points=[ResumePoint(resumed, totals)]).rows
        assert mapper.places("handed out", resumed)
        assert all(row.met for row in rows)
        assert large.resume(from_file(rows))[2]
        if large is not fine:  # whose checks are at other block counts
            alone = run_of([large]).rows
            assert [row.estimates for row in rows] == [row.estimates for row in alone]


def test_a_row_that_was_stopped_before_its_check_continues_to_the_check() -> None:
    """Also where it happens to be precise enough: the check decides, as in a run at once."""
    study = replace(PRECISE, question=replace(PRECISE.question, seed=9))
    (whole,) = run_of([study]).rows
    part = run_of([study], ending(whole.blocks - 1, KeyboardInterrupt())).rows
    assert part[0].met
    resumed, totals, is_done = study.resume(from_file(part))
    assert not is_done
    together = run_of([], points=[ResumePoint(resumed, totals)]).rows
    assert records(together) == records([whole])


def test_a_smaller_bound_than_before_is_kept() -> None:
    """A row that was on its way to a later check ends at the bound that is asked for now."""
    part = run_of([PRECISE], ending(120, KeyboardInterrupt())).rows
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
    assert Measurement(resumed, totals).target == 189


def test_rows_that_are_all_that_was_asked_are_not_measured_again() -> None:
    """They stand in the table in their place, and nothing is handed out for them."""
    mapper = Ahead(1)
    rows = run_of([PRECISE]).rows
    points = [ResumePoint(FIXED), ResumePoint(PRECISE, done=without_agrees(rows))]
    outcome = run_of([], mapper, points=points)
    assert mapper.places("handed out", PRECISE) == []
    assert [row.question for row in outcome.rows] == [FIXED.question, PRECISE.question]
    assert records(without_agrees(outcome.rows[1:])) == records(without_agrees(rows))


def test_a_stale_row_is_kept_where_it_is_better() -> None:
    """It is named as unchanged, and a stale row that is worse is replaced."""
    rougher, finer = (
        LayerStudy(Experiment(dim=4, scale="sqrt", precision=p)) for p in (0.05, 0.01)
    )
    (rough,), (fine,) = (without_agrees(run_of([study]).rows) for study in (rougher, finer))
    ledger = Recorded()
    kept = run_of([], points=[ResumePoint(rougher, stale=[fine])], ledger=ledger)
    assert records(without_agrees(kept.rows)) == records([fine])
    assert kept.unchanged == [fine]
    assert ledger.added == []
    replaced = run_of([], points=[ResumePoint(finer, stale=[rough])], ledger=ledger)
    assert records(without_agrees(replaced.rows)) == records([fine])
    assert replaced.unchanged == []
    assert len(ledger.added) == 1


@pytest.mark.parametrize("name", STUDIES)
def test_a_ledger_brings_every_study_back_where_it_stopped(name: str, tmp_path: Path) -> None:
    """Interrupted again and again, its file ends with the rows of a run at once."""
    study, path = STUDIES[name], tmp_path / "rows.jsonl"
    schema = run_of([study]).rows[0].schema
    for attempt in count():
        assert attempt < 30
        with Ledger(path, schema) as ledger:
            point = ledger.resume(study)
            if point.done is not None:
                break
            mapper = ending(study.minimum + 5, KeyboardInterrupt())
            outcome = run_of([], mapper, points=[point], ledger=ledger)
            ledger.finalize(outcome.rows)
    assert attempt >= 2
    assert point.done is not None
    assert [row.estimates for row in point.done] == [r.estimates for r in run_of([study]).rows]
