"""The runner: from studies to rows, for any kind of study and any end of a run.

A study samples replicates, adds them up, decides when there are enough, and returns rows. The
runner hands out the replicates of many questions as one stream of work, so that workers are never
idle between questions, and adds up the results of each question in order.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Generic, NamedTuple, Protocol

from varsim.compute import (
    ComputeError,
    Mapper,
    check_workers,
    interruptible,
    one_blas_thread,
    out_of_resources,
    threads,
)
from varsim.errors import InputError
from varsim.statistics import check_probability, judge
from varsim.study import Ledger, Progress, R, Rep, Rep_co, Row, Study, Tot, batches

# Number of questions that are timed for an estimate, by the second of two batches: the first one
# also fills caches, which does not matter if it takes longer than this.
_TIMED, _LONG_BATCH_S = 3, 0.1

# Random numbers of the largest batch that is timed: about two seconds.
_LARGEST_TIMED = 2**29

# Entries of a whole W that take noticeably long to draw.
_LONG_CALL = 2**20


@dataclass(frozen=True)
class ResumePoint(Generic[Rep, Tot, R]):
    """The point from which a study resumes, given the rows of its question in a file.

    Attributes:
        study: The study to run.
        totals: The totals to resume from; None for empty ones.
        done: The rows of a finished question, or None.
        stale: Rows that cannot be continued and are measured again, or None.
    """

    study: Study[Rep, Tot, R]
    totals: Tot | None = None
    done: list[R] | None = None
    stale: list[R] | None = None


class NoProgress:
    """Progress without display."""

    def advance(self, work: float) -> None:
        """Do nothing."""

    def add_total(self, change: float) -> None:
        """Do nothing."""

    def show(self, groups: Mapping[int, Sequence[Row]]) -> None:
        """Do nothing."""


@dataclass
class Outcome(Generic[R]):
    """The rows of a run, and how it ended.

    Attributes:
        groups: The finished rows with their verdicts, one group per question, in order.
        asked: Number of questions.
        partial: Number of incomplete groups.
        interrupted: Whether the user interrupted the run.
        failure: A sentence on any other early end of the run, or None.
        left_out: Reasons for questions without rows, by initializer, if these are no failure.
        unchanged: Rows of the file that stay, since the new measurement is less precise.
    """

    groups: list[list[R]] = field(default_factory=list)
    asked: int = 0
    partial: int = 0
    interrupted: bool = False
    failure: str | None = None
    left_out: dict[str, str] = field(default_factory=dict)
    unchanged: list[R] = field(default_factory=list)

    @property
    def complete(self) -> int:
        """Number of complete groups."""
        return len(self.groups) - self.partial

    @property
    def rows(self) -> list[R]:
        """All finished rows."""
        return [row for group in self.groups for row in group]


class _Sampler(Protocol[Rep_co]):
    """The part of a study that samples."""

    @property
    def batch(self) -> int: ...
    @property
    def cost(self) -> int: ...
    def sample(self, indices: range) -> Sequence[Rep_co]: ...


@dataclass(frozen=True, slots=True)
class Work(Generic[Rep]):
    """A piece of work: consecutive replicates of one question."""

    study: _Sampler[Rep]
    indices: range

    @property
    def cost(self) -> float:
        """Random numbers of this work."""
        return float(self.study.cost * len(self.indices))


def sample(work: Work[Rep]) -> list[Rep | InputError]:
    """Return the replicates of a piece of work; an InputError of the last one ends the list."""
    study, results = work.study, list[Rep | InputError]()
    try:
        for indices in batches(work.indices, study.batch):
            results += study.sample(indices)
    except InputError as error:
        results.append(error)
    return results


def has_long_calls(study: Study[Rep, Tot, R]) -> bool:
    """Return whether one call may take so long that an interrupt would have to wait."""
    return study.question.init is not None and study.cost >= _LONG_CALL


def prepare(study: Study[Rep, Tot, R]) -> None:
    """Load and check the user's code and the frameworks of a study before a run.

    Raises:
        InputError: One of them cannot be used.
    """
    if has_long_calls(study):
        interruptible(study.prepare)
    else:
        study.prepare()


class Measurement(Generic[Rep, Tot, R]):
    """The measurement of one question, in progress.

    Its checks depend on the question and its replicates alone, never on workers. Only the time
    limit can end it between checks.

    Args:
        study: The study to run.
        totals: The totals to start from, or None.
        time_is_up: Whether to end before the precision is met; called after every addition of
            replicates, once there are enough for an error bar.
    """

    def __init__(
        self,
        study: Study[Rep, Tot, R],
        totals: Tot | None = None,
        time_is_up: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start from ``totals``, or from none."""
        self.study, self.time_is_up = study, time_is_up
        self.totals: Tot = study.empty() if totals is None else totals
        self.begun_at = self.handed_out = self.count
        self.target = self.totals.next_check or study.next_check(self.totals)

    @property
    def count(self) -> int:
        """Number of replicates in the totals."""
        return self.totals.count

    @property
    def left(self) -> int:
        """Number of replicates up to the next check."""
        return 0 if self.target is None else self.target - self.count

    @property
    def is_done(self) -> bool:
        """Whether no further replicates are needed."""
        return self.target is None

    def hand_out(self, cost: float = 0.0) -> Work[Rep] | None:
        """Return the next replicates, or None if the next check needs no more.

        They are the rest of a batch, or more batches up to about ``cost`` random numbers. They end
        where a batch ends, since a batch is always drawn whole.
        """
        if self.target is None or self.handed_out >= self.target:
            return None
        first, batch = self.handed_out, self.study.batch
        count = max(1, int(cost // (batch * self.study.cost)))
        self.handed_out = min(self.target, (first // batch + count) * batch)
        return Work(self.study, range(first, self.handed_out))

    def add(self, *replicates: Rep) -> None:
        """Add the next replicates, none beyond the next check, and decide at that check."""
        if self.target is None:  # it was stopped
            return
        self.totals = self.totals.plus(*replicates)
        if self.count >= self.target:
            self.target = self.study.next_check(self.totals)
            self._store_next_check(self.target)
        elif self.count >= self.study.minimum and self.time_is_up():
            self.stop()

    def stop(self) -> bool:
        """Stop, and return whether there are enough replicates for an error bar."""
        self._store_next_check(self.target if self.left else None)  # none: a check was interrupted
        self.target = None
        return self.count >= self.study.minimum

    def _store_next_check(self, check: int | None) -> None:
        """Store the next check in the totals, so that a resumed run decides there too."""
        self.totals = self.totals.with_check(check)


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Options of a run; no measured value depends on them, except through max_seconds.

    Attributes:
        alpha: False-alarm rate that the verdicts share.
        max_seconds: Time limit per row with a precision, in seconds, or None.
        lenient: Whether a row with an unusable initializer is left out instead of a failure.
    """

    alpha: float = 0.001
    max_seconds: float | None = None
    lenient: bool = False


class Left(NamedTuple):
    """The remaining work of a question, up to its next check.

    Attributes:
        place: Place among the questions.
        begun: Number of existing replicates.
        end: Number of replicates at the next check.
        memory: Bytes of arrays per worker, about.
    """

    place: int
    begun: int
    end: int
    memory: int


class Run(Generic[Rep, Tot, R]):
    """The rows of a run: waiting, open and done.

    Args:
        points: Studies in table order, each with the totals to resume from.
        options: How they are run.
    """

    def __init__(self, points: Sequence[ResumePoint[Rep, Tot, R]], options: RunOptions) -> None:
        self._points, self._options = points, options
        self._ledger: Ledger[R] | None = None
        self._progress: Progress[R] = NoProgress()
        self._done = {place: p.done for place, p in enumerate(points) if p.done is not None}
        self._waiting = {
            place: Measurement(p.study, p.totals)
            for place, p in enumerate(points)
            if p.done is None
        }
        self._open: dict[int, Measurement[Rep, Tot, R]] = {}
        self._ready: list[int] = []  # a heap of open rows with work to hand out, perhaps
        self._pending: deque[int] = deque()  # places of handed out work, in order
        self.outcome: Outcome[R] = Outcome(asked=len(points))
        self.remaining = float(sum(m.left * m.study.cost for m in self._waiting.values()))
        """Remaining random numbers, up to the next check of every question."""
        self._asked_for = 0.0

    def __iter__(self) -> Iterator[Work[Rep]]:
        """Hand out replicates of the open rows, or of the next row if these need none now."""
        while (work := self._next()) is not None:
            self.remaining -= work.cost
            yield work

    def cost(self, work: Work[Rep]) -> float:
        """Return the number of random numbers of a piece of work."""
        return work.cost

    def ask_for(self, cost: float) -> None:
        """Set the cost of further pieces of work, an upper bound beyond one batch."""
        self._asked_for = cost

    @property
    def left(self) -> list[Left]:
        """The remaining work of each unfinished question."""
        return [
            Left(place, each.count, each.count + each.left, each.study.memory)
            for place, each in self._waiting.items()
        ]

    def expected_seconds(self, workers: int) -> float | None:
        """Return about how long the run takes, from a few batches that are sampled for it.

        None if every batch takes too long.
        """
        every = (each.study for each in self._waiting.values())
        waiting = [study for study in every if study.batch * study.cost <= _LARGEST_TIMED]
        last = len(waiting) - 1
        places = {last * part // (_TIMED - 1) for part in range(_TIMED)} if waiting else set()
        elapsed = cost = 0.0
        with one_blas_thread:
            for study in map(waiting.__getitem__, places):
                prepare(study)
                lasted = _seconds(study)
                elapsed += lasted if lasted > _LONG_BATCH_S else _seconds(study)
                cost += study.batch * study.cost
        return self.remaining * elapsed / cost / workers if cost else None

    @property
    def has_long_calls(self) -> bool:
        """Whether one call may take so long that a person who interrupts it would wait."""
        return any(has_long_calls(point.study) for point in self._points)

    def measure(
        self,
        mappers: AbstractContextManager[Mapper],
        *,
        ledger: Ledger[R] | None = None,
        progress: Progress[R] | None = None,
    ) -> Outcome[R]:
        """Return the outcome of the run; finished rows survive any end of it.

        Args:
            mappers: The executor, open during the run.
            ledger: The ledger of finished rows, or None.
            progress: The progress display, or None.
        """
        self._ledger, self._progress = ledger, progress or self._progress
        self._progress.add_total(self.remaining)
        outcome = self.outcome
        try:
            with mappers if self.remaining else nullcontext(map) as mapper, one_blas_thread:
                self.carry_out(mapper)
        except KeyboardInterrupt:
            outcome.interrupted = True
        except (ComputeError, InputError) as error:  # an initializer fails during the run
            outcome.failure = str(error)
        except OSError as error:
            outcome.failure = _os_failure(ledger, error)
        except (MemoryError, RuntimeError) as error:  # RuntimeError: no further thread starts
            outcome.failure = out_of_resources(error)
        if outcome.interrupted:
            try:
                self.interrupt()
            except InputError as error:
                outcome.failure = str(error)
            except OSError as error:
                outcome.failure = _os_failure(ledger, error)
        try:
            return self.finish()
        except KeyboardInterrupt:  # during the verdicts on many rows
            outcome.interrupted = True
            return self.finish()

    def carry_out(self, mapper: Mapper) -> None:
        """Measure all rows, or raise whatever ends the run."""
        while self._waiting or self._open:
            for results in mapper(sample, self):
                self._take(self._pending.popleft(), results)
            self._pending.clear()

    def interrupt(self) -> None:
        """Stop all open rows; those with an error bar count as finished."""
        for place, measurement in sorted(self._open.items()):
            was_done = measurement.is_done
            if measurement.stop():
                self.outcome.partial += not was_done
                self._close(place, measurement)

    def finish(self) -> Outcome[R]:
        """Return the outcome of the run, with verdicts."""
        outcome = self.outcome
        groups = [self._done[place] for place in sorted(self._done)]
        judged = iter(judge([row for group in groups for row in group], self._options.alpha))
        outcome.groups = [[next(judged) for _ in group] for group in groups]
        return outcome

    def _next(self) -> Work[Rep] | None:
        while self._ready or self._waiting:
            if not self._ready:
                place = next(iter(self._waiting))
                self._start(place, self._waiting.pop(place))
                continue
            place = self._ready[0]
            measurement = self._open.get(place)
            work = None if measurement is None else measurement.hand_out(self._asked_for)
            if work is not None:
                self._pending.append(place)
                return work
            heappop(self._ready)
        return None

    def _start(self, place: int, measurement: Measurement[Rep, Tot, R]) -> None:
        """Open a row, unless its initializer cannot be used."""
        if self._options.lenient:
            try:
                prepare(measurement.study)
            except InputError as error:
                self._leave_out(measurement, error)
                return
        if self._options.max_seconds is not None:
            deadline = time.monotonic() + self._options.max_seconds
            measurement.time_is_up = lambda: time.monotonic() > deadline
        self._open[place] = measurement
        if measurement.is_done:
            self._close(place, measurement)
        else:
            heappush(self._ready, place)

    def _take(self, place: int, results: Sequence[Rep | InputError]) -> None:
        if (measurement := self._open.get(place)) is None:  # it was closed meanwhile
            return
        replicates = [each for each in results if not isinstance(each, InputError)]
        for error in (each for each in results if isinstance(each, InputError)):
            if not self._options.lenient:
                raise error
            self._leave_out(self._open.pop(place), error)
            return
        self._progress.advance(measurement.study.cost * len(replicates))
        self._change(place, measurement, partial(measurement.add, *replicates))

    def _change(
        self, place: int, measurement: Measurement[Rep, Tot, R], change: Callable[[], None]
    ) -> None:
        """Change an open row, update the remaining work, and close the row if it is done."""
        expected = measurement.target or measurement.count
        change()
        more = (measurement.target or measurement.count) - expected
        self._progress.add_total(more * measurement.study.cost)
        self.remaining = max(0.0, self.remaining + more * measurement.study.cost)
        if measurement.is_done:
            self._close(place, measurement)
        elif more:
            heappush(self._ready, place)

    def _close(self, place: int, measurement: Measurement[Rep, Tot, R]) -> None:
        rows, stale = measurement.study.rows(measurement.totals), self._points[place].stale
        is_whole = stale is not None and len(stale) == len(rows)  # a stack may lack layers
        if stale is not None and is_whole and _error(rows) > _error(stale):
            self._done[place] = stale
            self.outcome.unchanged += stale
        else:
            self._done[place] = rows
            if self._ledger is not None and measurement.count > measurement.begun_at:
                self._ledger.add(rows)
        del self._open[place]  # only now: an interrupt above still sees it as open
        self._progress.show(self._done)

    def _leave_out(self, measurement: Measurement[Rep, Tot, R], error: InputError) -> None:
        cost, end = measurement.study.cost, measurement.count + measurement.left
        self._progress.add_total(-measurement.left * cost)
        self.remaining = max(0.0, self.remaining - (end - measurement.handed_out) * cost)
        self.outcome.asked -= 1
        self.outcome.left_out.setdefault(str(measurement.study.question.init), error.reason)


def run(
    points: Sequence[ResumePoint[Rep, Tot, R]],
    options: RunOptions,
    mappers: AbstractContextManager[Mapper],
    *,
    ledger: Ledger[R] | None = None,
    progress: Progress[R] | None = None,
) -> Outcome[R]:
    """Measure questions: see :class:`Run` and :meth:`Run.measure`."""
    return Run(points, options).measure(mappers, ledger=ledger, progress=progress)


def answer(
    studies: Sequence[Study[Rep, Tot, R]], *, workers: int | None = None, alpha: float = 0.001
) -> list[R]:
    """Return the rows of studies, with joint verdicts; errors and interrupts are raised.

    Raises:
        InputError: ``workers`` or ``alpha`` is not allowed, or an initializer or activation cannot
            be used.
    """
    alpha = check_probability("alpha", alpha)
    points = [ResumePoint(study) for study in studies]
    running = Run(points, RunOptions(alpha=alpha))
    with threads(check_workers(workers)) as mapper:
        running.carry_out(mapper)
    return running.finish().rows


def _seconds(study: Study[Rep, Tot, R]) -> float:
    begun = time.perf_counter()
    study.sample(range(study.batch))
    return time.perf_counter() - begun


def _error(rows: Sequence[Row]) -> float:
    return max(row.relative_error for row in rows)


def _os_failure(ledger: Ledger[R] | None, error: OSError) -> str:
    if ledger is None:
        return f"the machine refuses what the run needs: {error.strerror}; take fewer workers"
    return ledger.failure(error)
