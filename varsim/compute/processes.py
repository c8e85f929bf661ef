"""Processes of this machine as a mapper, and jobs in groups, since each transfer takes time.

Unlike threads, processes share no interpreter lock.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, connection, get_context, parent_process
from typing import TypeVar

from varsim.compute import (
    AwakeExecutor,
    ComputeError,
    Jobs,
    Map,
    Mapper,
    one_blas_thread,
    ordered_map,
)

T = TypeVar("T")
R = TypeVar("R")

# The shortest and the longest group; its transfer takes some tenths of a millisecond.
_SECONDS = (0.01, 0.1)

# Pace is an exponential average over groups; 0.9 is the weight that older ones keep. A group has at
# most 8 times the cost in that average, since a group that fails at once says nothing of the pace.
_MEMORY, _GROWTH = 0.9, 8.0


@contextmanager
def processes(workers: int) -> Iterator[Mapper]:
    """Give a mapper over that many copies of this process, which end with it in any case.

    Raises:
        ComputeError: The system ended a copy.
        OSError: The system starts no more processes.
    """
    others = set(active_children())
    executor = ProcessPoolExecutor(workers, get_context("fork"), _begin)
    try:
        with one_blas_thread:
            with ending_signals_blocked():
                executor.submit(int)  # starts all of them
            groups = ordered_map(AwakeExecutor(executor), lambda: 2 * workers)
            yield grouped(groups, lambda: workers, lambda _: _SECONDS)
    except BaseException as error:
        for child in set(active_children()) - others:
            child.kill()  # it may be in the middle of a long block
        if isinstance(error, BrokenProcessPool):
            raise ComputeError(
                "a process that computes was ended, as the system does when memory is short; take "
                "fewer workers"
            ) from None
        raise
    finally:
        executor.shutdown(cancel_futures=True)


def _begin() -> None:
    """Set up a copy: only its parent handles interrupts, and it ends with the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.freeze()  # the collector would write to the memory of the parent, and so copy it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def ending_signals_blocked() -> Iterator[None]:
    """Block the signals that end a program while processes start, which inherit that.

    A process that is interrupted during its start prints a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    ending = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def grouped(
    mapper: Map,
    capacity: Callable[[], int],
    seconds: Callable[[int], tuple[float, float]],
    check: Callable[[], object] = bool,
) -> Mapper:
    """Return a mapper that computes jobs in groups of a certain duration.

    The pace follows from finished groups. Groups get smaller towards the end, so that all workers
    finish at about the same time.

    Args:
        mapper: The map over groups.
        capacity: Returns the number of groups that are computed at a time, which may change.
        seconds: Returns the shortest and the longest duration of a group, for a capacity.
        check: Called before each group, on its worker.
    """

    def outer(function: Callable[[T], R], jobs: Jobs[T], /) -> Iterator[R]:
        time_taken = cost_done = 0.0
        costs: deque[float] = deque()

        def groups() -> Iterator[tuple[T, ...]]:
            iterator = iter(jobs)
            while True:
                share = jobs.remaining / (2 * (workers := capacity()))
                pace = max(time_taken, 1e-6) / cost_done if cost_done else 0.0
                budget = min(_GROWTH * cost_done, _budget(pace, share, seconds(workers)))
                group = tuple(_group(jobs, iterator, budget))
                if not group:
                    return
                costs.append(sum(map(jobs.cost, group)))
                yield group

        for taken, results in mapper(partial(_compute, function, check), groups()):
            time_taken = _MEMORY * time_taken + taken
            cost_done = _MEMORY * cost_done + costs.popleft()
            yield from results

    return outer


def _group(jobs: Jobs[T], iterator: Iterator[T], budget: float) -> Iterator[T]:
    """Yield the next jobs until their cost reaches a budget: one at least, if any is left."""
    spent = 0.0
    jobs.ask_for(budget)
    for job in iterator:
        yield job
        spent += jobs.cost(job)
        if spent >= budget:
            return
        jobs.ask_for(budget - spent)


def _budget(pace: float, share: float, seconds: tuple[float, float]) -> float:
    """Return the cost of a group; 0, for a single job, while the pace is unknown."""
    shortest, longest = seconds
    return min(longest / pace, max(shortest / pace, share)) if pace else 0.0


def _compute(
    function: Callable[[T], R], check: Callable[[], object], group: Sequence[T]
) -> tuple[float, list[R]]:
    """Return the duration of a group in seconds, and its results."""
    check()
    try:
        with one_blas_thread:
            start = time.perf_counter()
            results = [function(job) for job in group]
            return time.perf_counter() - start, results
    except (KeyboardInterrupt, SystemExit) as error:  # of other code; it would end the worker
        raise ComputeError(
            f"a call ended in {type(error).__name__} on a worker; correct the code that raises it"
        ) from None
