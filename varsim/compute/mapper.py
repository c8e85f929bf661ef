"""Mappers: one argument, in the shape of ``map``, decides where calls run.

Every mapper yields results in the order of the items, so results do not depend on it.
:func:`ordered_map` makes one of any executor.
"""

from __future__ import annotations

import math
import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from varsim.compute.blas import one_blas_thread
from varsim.compute.doors import lazy
from varsim.errors import InputError

if TYPE_CHECKING:
    from concurrent import futures

    from varsim.compute import processes
else:
    processes = lazy("varsim.compute.processes")

_MAX_WORKERS = 1024
_POLL_SECONDS = 0.2

# These take some tenths of a second; processes start in some hundredths.
_MANY_NUMBERS = 5e7

# The folder of semaphores on Linux; some containers have none.
_SEMAPHORES = "/dev/shm"  # noqa: S108  # nothing is written there

# The threads of these do not survive a fork.
_UNFORKABLE = ("torch", "jax", "tensorflow")

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


def out_of_resources(error: BaseException) -> str:
    """Return the sentence for a machine that is short of memory or threads."""
    reason = str(error) or "no memory"
    return f"the machine ran out of resources ({reason}); take fewer workers or smaller matrices"


class ComputeError(RuntimeError):
    """A loss of workers or of their connection: one sentence with the event and the remedy."""


class Jobs(Protocol[T]):
    """Items of known cost; the unit of cost is theirs.

    The rows of a run are such items: finished ones can add to what remains.
    """

    @property
    def remaining(self) -> float:
        """Cost of the items that are still to come, as far as it is known."""

    def __iter__(self) -> Iterator[T]:
        """Hand the items out."""

    def cost(self, item: T, /) -> float:
        """Return the cost of an item."""

    def ask_for(self, cost: float, /) -> None:
        """Let the next item have about this cost, where the size of items is free."""


class EqualJobs(Generic[T]):
    """The items of any iterable as jobs of cost 1."""

    def __init__(self, items: Iterable[T]) -> None:
        """Take the items; without a length, infinitely many remain."""
        self._items = items
        self.remaining: float = operator.length_hint(items) or math.inf

    def __iter__(self) -> Iterator[T]:
        """Hand the items out."""
        for item in self._items:
            self.remaining -= 1
            yield item

    def cost(self, item: T, /) -> float:  # noqa: ARG002  # the protocol has it
        """Return 1."""
        return 1.0

    def ask_for(self, cost: float, /) -> None:
        """Ignore the size: that of items is fixed."""


class Map(Protocol):
    """The shape of the built-in ``map`` with one iterable."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Return the function's results in the order of the items."""


class Mapper(Protocol):
    """A map over jobs; every :class:`Map` is one."""

    def __call__(self, function: Callable[[T], R], jobs: Jobs[T], /) -> Iterator[R]:
        """Return the function's results in the order of the jobs."""


class Task(Protocol[R_co]):
    """The part of ``concurrent.futures.Future`` that :func:`ordered_map` needs."""

    def result(self) -> R_co:
        """Wait for the call, and return its result."""

    def cancel(self) -> object:
        """Drop the call if it has not begun."""


class Executor(Protocol):
    """The part of ``concurrent.futures.Executor`` that :func:`ordered_map` needs."""

    def submit(self, function: Callable[[T], R], item: T, /) -> Task[R]:
        """Take a call."""


def ordered_map(executor: Executor, in_flight: Callable[[], int]) -> Map:
    """Return a map that has at most ``in_flight()`` calls submitted to an executor.

    Closing its iterator cancels the calls that have not begun.

    Args:
        executor: The executor of the calls.
        in_flight: The limit, which may change.
    """

    def mapper(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        pending: deque[Task[R]] = deque()
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                while len(pending) >= in_flight():
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for task in pending:
                task.cancel()

    return mapper


def check_workers(workers: int | None) -> int:
    """Return the number of workers; for None, the number of CPUs of this process.

    Raises:
        InputError: The number is not allowed.
    """
    if workers is None:
        if hasattr(os, "sched_getaffinity"):
            return len(os.sched_getaffinity(0))
        return os.cpu_count() or 1
    try:
        number = operator.index(workers)
    except TypeError:
        number = 0  # refused below
    if isinstance(workers, bool) or not 0 < number <= _MAX_WORKERS:
        raise InputError(f"workers is {workers}; give a whole number from 1 to {_MAX_WORKERS:,}")
    return number


def _wait_awake(future: futures.Future[R], poll: Callable[[], object] = bool) -> None:
    """Wait for a call, and handle signals: of two at once, other threads may take both."""
    from concurrent.futures import wait

    while not future.done():
        poll()
        wait([future], timeout=_POLL_SECONDS)


class _AwakeTask(Generic[R]):
    """A call of an :class:`AwakeExecutor`."""

    def __init__(self, future: futures.Future[R], poll: Callable[[], object]) -> None:
        self._future, self._poll = future, poll

    def result(self) -> R:
        _wait_awake(self._future, self._poll)
        return self._future.result()

    def cancel(self) -> None:
        self._future.cancel()


class AwakeExecutor:
    """An executor of ``concurrent.futures``; signals are handled during waits for results."""

    def __init__(self, executor: futures.Executor, poll: Callable[[], object] = bool) -> None:
        """Wrap an executor; an error of ``poll``, called several times a second, ends a wait."""
        self._executor, self._poll = executor, poll

    def submit(self, function: Callable[[T], R], item: T, /) -> Task[R]:
        """Take a call."""
        return _AwakeTask(self._executor.submit(function, item), self._poll)


@contextmanager
def threads(workers: int, *, long_calls: bool = False) -> Iterator[Mapper]:
    """Give a mapper over that many threads; NumPy releases the interpreter lock in their work.

    One worker is the calling thread, unless calls are long: a signal waits there for their end.
    """
    with one_blas_thread:
        if workers == 1 and not long_calls:
            yield map
            return
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(workers, thread_name_prefix="varsim")
        try:
            yield ordered_map(AwakeExecutor(executor), lambda: 2 * workers)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def interruptible(call: Callable[[], R]) -> R:
    """Return the result of a long call; it runs on a thread, so that signals need not wait."""
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1, thread_name_prefix="varsim")
    future = executor.submit(call)
    try:
        _wait_awake(future)
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown()  # beside a thread this process could not be copied
    return future.result()


def local(workers: int, work: float, *, long_calls: bool = False) -> AbstractContextManager[Mapper]:
    """Return the faster mapper for that many random numbers: threads, or processes for many.

    Threads start at once, but wait for each other at the interpreter's lock.
    """
    is_long = workers > 1 and work >= _MANY_NUMBERS and _can_fork()
    return processes.processes(workers) if is_long else threads(workers, long_calls=long_calls)


def _can_fork() -> bool:
    """Return whether this process can be copied: not beside threads, nor with Apple's BLAS."""
    return (
        sys.platform == "linux"
        and threading.active_count() == 1
        and os.access(_SEMAPHORES, os.W_OK)
        and not any(name in sys.modules for name in _UNFORKABLE)
    )
