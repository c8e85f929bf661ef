"""One run: the sweep into experiments, experiments into results, and an end at any moment."""

from __future__ import annotations

import itertools
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar

from varsim.catalog.scales import SCALES, find_scale
from varsim.cli.terminal import Watch
from varsim.compute import ComputeError, Mapper, threads
from varsim.layer.experiment import Result
from varsim.layer.inference import Start, conclude, histogram_bins, judge, measure, planned_blocks
from varsim.layer.records import experiment_of
from varsim.layer.sampling import block_numbers, stream
from varsim.parsing import MAX_VALUES, InputError
from varsim.statistics.moments import Block

if TYPE_CHECKING:
    from varsim.storage.ledger import Ledger


class Keyed(Protocol):
    """What is asked, known by its key."""

    @property
    def key(self) -> str:
        """What tells it from anything else that can be asked, but for the seed."""


K = TypeVar("K", bound=Keyed)


class Expansion(NamedTuple, Generic[K]):
    """The experiments of a sweep, and what a person should know of how they came about."""

    experiments: list[K]
    notes: list[str]


class Run(NamedTuple):
    """What a run gave.

    Attributes:
        results: The rows that are done, with their verdicts.
        interrupted: Whether a person ended it before its end.
        failure: A sentence on what else ended it before its end, or None.
        spared: Rows of the file that stay, since what was measured anew is less precise.
    """

    results: list[Result]
    interrupted: bool = False
    failure: str | None = None
    spared: Sequence[Result] = ()


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a run is carried out; no measured value depends on it but by when time is up.

    Attributes:
        confidence: Level of the intervals.
        alpha: False-alarm rate that the verdicts share.
        max_seconds: How long a row with a precision may take, or None.
        histogram: Whether the outputs are counted.
        quiet: Whether progress is not shown.
    """

    confidence: float = 0.95
    alpha: float = 0.001
    max_seconds: float | None = None
    histogram: bool = False
    quiet: bool = False


def expand(
    swept: Mapping[str, Sequence[Any]], fixed: Mapping[str, Any], build: Callable[..., K]
) -> Expansion[K]:
    """Return every combination of the swept values as an experiment, the last option fastest.

    A gain is left out where the scheme has none; an experiment that comes up again is left out.

    Args:
        swept: The values of every field that is swept; ``scale`` and ``gain`` are among them.
        fixed: The values of the others.
        build: Makes an experiment of fields.

    Raises:
        InputError: There are too many, one of them is not allowed, or no scheme takes the gain.
    """
    count = 1
    for values in swept.values():
        count *= len(values)
    if count > MAX_VALUES:
        raise InputError(
            f"the sweep has {count:,} experiments; {MAX_VALUES:,} are allowed: take fewer values"
        )
    experiments: dict[str, K] = {}
    repeated, gainless = 0, set()
    for combination in itertools.product(*swept.values()):
        asked = dict(zip(swept, combination, strict=True))
        if asked["gain"] is not None and not _takes_gain(asked["scale"]):
            gainless.add(asked["scale"])
            asked["gain"] = None
        experiment = build(**asked, **fixed)
        repeated += experiment.key in experiments and asked["scale"] not in gainless
        experiments.setdefault(experiment.key, experiment)
    if gainless.issuperset(swept["scale"]):
        takers = ", ".join(name for name, scale in SCALES.items() if scale.gain is not None)
        raise InputError(
            f"gain does not apply to scale {', '.join(sorted(gainless))}; leave it out, or take a "
            f"scheme with a gain: {takers}"
        )
    return Expansion(list(experiments.values()), list(_notes(repeated, sorted(gainless))))


def _takes_gain(scale: str) -> bool:
    try:
        return find_scale(scale).gain is not None
    except (KeyError, ValueError):
        return True  # for the experiment to refuse


def _notes(repeated: int, gainless: Sequence[str]) -> Iterator[str]:
    if repeated:
        plural = "s are" if repeated > 1 else " is"
        yield f"{repeated} experiment{plural} in the sweep more than once and will run only once."
    if gainless:
        yield f"The gain does not apply to scale {', '.join(gainless)}, which ran without."


def run(
    starts: Sequence[Start],
    terms: Terms,
    mappers: AbstractContextManager[Mapper],
    ledger: Ledger | None = None,
) -> Run:
    """Run experiments one after the other; whatever ends it, the rows that are done are kept.

    Args:
        starts: What to run, in the order of the table, and what there is of it.
        terms: How.
        mappers: Who computes.
        ledger: Where each row goes as soon as it is done.
    """
    work = sum(map(_work, starts))
    results: list[Result] = []
    interrupted, failure = False, None
    try:
        with (
            mappers if work else nullcontext(map) as mapper,
            Watch(work, rows=len(starts), quiet=terms.quiet) as watch,
        ):
            for start in starts:
                results.append(_row(start, terms, mapper, watch))
                if ledger is not None and _is_new(results[-1], start):
                    failure = _unkept(results[-1], ledger)
                if failure is not None:
                    break
                watch.show(results)
    except KeyboardInterrupt:
        interrupted = True
    except (ComputeError, InputError) as error:  # of an initializer that fails on the way
        failure = str(error)
    except (MemoryError, RuntimeError) as error:  # RuntimeError: no further thread can be started
        failure = (
            f"the machine gave out ({error or 'no memory'}); take fewer workers: see --dry-run"
        )
    before = [start.redone for start in starts]
    spared = [row for row, was in zip(results, before, strict=False) if row is was]
    return Run(judge(results, terms.alpha), interrupted, failure, spared)


def _unkept(result: Result, ledger: Ledger) -> str | None:
    """Add a row to the ledger, or return the sentence on why that failed."""
    try:
        ledger.add(result)
    except OSError as error:
        return (
            f"the last row could not be added to {str(ledger.path)!r}: {error.strerror}; make room "
            "and run the same command again"
        )
    return None


def _is_new(result: Result, start: Start) -> bool:
    return result is not start.redone and result.totals != start.totals


def _work(start: Start) -> int:
    if start.done is not None:
        return 0
    left = planned_blocks(start.experiment) - start.totals.blocks
    return max(1, left) * block_numbers(start.experiment)


def _row(start: Start, terms: Terms, mapper: Mapper, watch: Watch) -> Result:
    """Return the row of an experiment, with as many further blocks as it takes."""
    if start.done is not None:
        again = conclude(experiment_of(start.done), start.totals, terms.confidence)
        return replace(again, varsim=start.done.varsim, init_package=start.done.init_package)
    experiment, totals = start.experiment, start.totals
    counting = terms.histogram or totals.counts is not None
    bins = histogram_bins(experiment) if counting else None
    deadline = math.inf if terms.max_seconds is None else time.monotonic() + terms.max_seconds
    each = block_numbers(experiment)

    def blocks_at(indices: range) -> Iterator[Block]:
        return watch.over(stream(experiment, mapper, indices, bins), each)

    planned = max(planned_blocks(experiment), totals.blocks)
    looks = measure(experiment, blocks_at, start.totals, lambda: time.monotonic() > deadline)
    for totals in looks:
        ahead = totals.look or totals.blocks
        watch.expect((ahead - planned) * each)
        planned = ahead
    result = conclude(experiment, totals, terms.confidence)
    before = start.redone
    if before is not None and result.relative_error > before.relative_error:
        return before
    return result


def mappers(scheduler: str | None, workers: int) -> AbstractContextManager[Mapper]:
    """Return who computes: threads here, or a cluster."""
    if scheduler is None:
        return threads(workers)
    from varsim.compute.cluster import cluster

    return cluster(scheduler, workers)


@contextmanager
def ending_signals_as_interrupt() -> Iterator[None]:
    """Let the first signal that ends a program interrupt the run, and ignore those that follow.

    What is left to do then is to write the rows that are done. A hang-up that is ignored already
    (nohup) stays ignored. Only the main thread may set handlers, and only it is interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    heeded = [number for number in numbers if before[number] is not signal.SIG_IGN]

    def ignore(signum: int, frame: FrameType | None) -> None:
        # Not SIG_IGN, for which Python reports a signal that has already arrived as an error.
        pass

    def interrupt(signum: int, frame: FrameType | None) -> None:
        for number in heeded:
            signal.signal(number, ignore)
        raise KeyboardInterrupt

    for number in heeded:
        signal.signal(number, interrupt)
    yield
    for number in heeded:
        signal.signal(number, before[number] or signal.SIG_DFL)
