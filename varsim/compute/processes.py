"""Other processes as a mapper: work goes to them in groups, since each hand-over takes its time.

Those of this machine are made here. They share no interpreter lock, unlike threads.
"""

from __future__ import annotations

import gc
import math
import operator
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import active_children, connection, get_context, parent_process
from typing import TypeVar

from varsim.compute import ComputeError, Mapper, one_blas_thread, ordered_map, wait_awake

T = TypeVar("T")
R = TypeVar("R")

# Of a group, which costs some tenths of a millisecond to hand out.
_SECONDS = (0.01, 0.1)

# The last dozen groups that are done tell the pace: how much of it each leaves of those before. A
# group is so many times as large as they are at most, since one can be done at once by failing.
_KEPT, _GROWTH = 0.9, 8.0


@contextmanager
def processes(workers: int) -> Iterator[Mapper]:
    """Give a mapper over that many copies of this process; they end with it, however it ends.

    Raises:
        ComputeError: One of them was ended by somebody else.
        OSError: The system starts no more processes.
    """
    others = set(active_children())
    executor = ProcessPoolExecutor(workers, get_context("fork"), _begin)
    try:
        with one_blas_thread:
            with ending_signals_blocked():
                executor.submit(int)  # starts all of them
            mapper = ordered_map(executor, lambda: 2 * workers, wait_awake)
            yield grouped(mapper, lambda: workers, lambda _: _SECONDS)
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
    """Set up a copy: an interrupt is for its parent alone, and it ends when the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    gc.freeze()  # the collector would touch all that the parent holds, and so copy it
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def ending_signals_blocked() -> Iterator[None]:
    """Block signals that end a program while processes start: half-started ones print tracebacks.

    The processes inherit the blocked signals.
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
    mapper: Mapper,
    capacity: Callable[[], int],
    seconds: Callable[[int], tuple[float, float]],
    check: Callable[[], object] = bool,
) -> Mapper:
    """Return a mapper that hands on items in groups, each worth some time.

    The groups that are done tell the pace, by the items' ``cost`` (1 where they have none). Groups
    get smaller towards the end, so that all workers end at about the same time. What is left is the
    ``remaining`` cost of the items, or their number. Their method ``ask_for``, if they have one, is
    told what the next may cost.

    Args:
        mapper: Who computes groups.
        capacity: How many groups are computed at a time, now.
        seconds: How long a group takes, at least and at most, with such a capacity.
        check: Called before each group, where it is computed.
    """

    def outer(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        expected = operator.length_hint(items) or math.inf
        handed_out = time_taken = cost_done = 0.0
        costs: deque[float] = deque()

        def groups() -> Iterator[tuple[T, ...]]:
            nonlocal handed_out
            iterator, ask = iter(items), getattr(items, "ask_for", bool)
            while True:
                left = getattr(items, "remaining", expected - handed_out)
                share = left / (2 * (workers := capacity()))
                pace = max(time_taken, 1e-6) / cost_done if cost_done else 0.0
                budget = min(_GROWTH * cost_done, _budget(pace, share, seconds(workers)))
                group = tuple(_taken(iterator, budget, ask))
                if not group:
                    return
                costs.append(sum(map(_cost, group)))
                handed_out += costs[-1]
                yield group

        for taken, results in mapper(partial(_compute, function, check), groups()):
            time_taken = _KEPT * time_taken + taken
            cost_done = _KEPT * cost_done + costs.popleft()
            yield from results

    return outer


def _cost(item: object) -> float:
    return float(getattr(item, "cost", 1.0))


def _taken(
    iterator: Iterator[T], budget: float, ask: Callable[[float], object] = bool
) -> Iterator[T]:
    """Yield items until their cost reaches a budget: one at least, if there is one."""
    spent = 0.0
    ask(budget)
    for item in iterator:
        yield item
        spent += _cost(item)
        if spent >= budget:
            return
        ask(budget - spent)


def _budget(pace: float, share: float, seconds: tuple[float, float]) -> float:
    """Return the cost of a group; 0 for a single item while the pace is unknown."""
    shortest, longest = seconds
    return min(longest / pace, max(shortest / pace, share)) if pace else 0.0


def _compute(
    function: Callable[[T], R], check: Callable[[], object], group: Sequence[T]
) -> tuple[float, list[R]]:
    """Return how long a group took, and its results."""
    check()
    try:
        with one_blas_thread:
            start = time.perf_counter()
            results = [function(item) for item in group]
            return time.perf_counter() - start, results
    except (KeyboardInterrupt, SystemExit) as error:  # of other code; it would end the worker
        raise ComputeError(
            f"a call ended in {type(error).__name__} on a worker; correct the code that raises it"
        ) from None
