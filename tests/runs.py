"""Runs of studies: mappers that end them anywhere, and what remembers them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from tests.rows import STUDIES
from varsim.compute import Mapper
from varsim.fields import Schema
from varsim.runner import Outcome, ResumePoint, RunOptions, run
from varsim.storage.ledger import Ledger


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


class Ending:
    """A mapper that raises an error after so many replicates, and remembers their indices.

    Without an error it ends like any other.
    """

    def __init__(self, after: float = float("inf"), error: BaseException | None = None) -> None:
        self.after, self.error = after, error or KeyboardInterrupt()
        self.drawn: list[int] = []

    def __call__(self, function: Callable[[Any], Any], items: Iterable[Any], /) -> Iterator[Any]:
        for item in items:
            left = self.after - len(self.drawn)
            if left < len(item.indices):
                if left:
                    yield self._result(function, replace(item, indices=item.indices[: int(left)]))
                raise self.error
            yield self._result(function, item)

    def _result(self, function: Callable[[Any], Any], item: Any) -> Any:
        self.drawn += item.indices
        return function(item)


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


def seeded(study: Any, seed: int) -> Any:
    """The same study with another seed."""
    return replace(study, question=replace(study.question, seed=seed))


@cache
def alone(name: str, seed: int) -> tuple[Any, ...]:
    """The rows of a study with another seed."""
    return tuple(run_of([seeded(STUDIES[name], seed)]).rows)


def extend(
    file: Path, schema: Schema[Any], studies: Sequence[Any], mapper: Mapper = map
) -> Outcome[Any]:
    """Run studies as ``--resume`` does: from the rows of a file, and to it."""
    with Ledger(file, schema) as ledger:
        outcome = run_of([], mapper, points=list(map(ledger.resume, studies)), ledger=ledger)
        ledger.finalize(outcome.rows)
    return outcome
