"""Mappers: one argument with the shape of ``map`` says where calls run.

Every mapper yields the results in the order of the items, so it never changes what is computed.
:func:`ordered_map` makes a mapper of anything that takes calls as an executor does.
"""

from __future__ import annotations

import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from varsim.errors import InputError

if TYPE_CHECKING:
    from concurrent.futures import Future

from varsim.compute.blas import one_blas_thread
from varsim.compute.doors import lazy

_MAX_WORKERS = 1024


_POLL_SECONDS = 0.2


# Random numbers that take some tenths of a second. Processes start in some hundredths.
_MANY_NUMBERS = 5e7


# Where Linux keeps semaphores; some containers have none.
_SEMAPHORES = "/dev/shm"  # noqa: S108  # nothing is written there


# Their threads do not survive a fork.
_UNFORKABLE = ("torch", "jax", "tensorflow")


T = TypeVar("T")


R = TypeVar("R")


R_co = TypeVar("R_co", covariant=True)


def out_of_resources(error: BaseException) -> str:
    """Return a sentence on a machine without memory or threads, and on what to do."""
    reason = str(error) or "no memory"
    return f"the machine ran out of resources ({reason}); take fewer workers or smaller matrices"


class ComputeError(RuntimeError):
    """Workers or their connection were lost: one sentence says what happened and what to do."""


class Mapper(Protocol):
    """The shape of the built-in ``map`` with one iterable."""

    def __call__(self, function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        """Return the function's results in the order of the items."""


class Task(Protocol[R_co]):
    """The part of ``concurrent.futures.Future`` that :func:`ordered_map` needs."""

    def result(self) -> R_co:
        """Wait for the call's result."""

    def cancel(self) -> object:
        """Do not begin the call, if that is still possible."""


class Executor(Protocol):
    """The part of ``concurrent.futures.Executor`` that :func:`ordered_map` needs."""

    def submit(self, function: Callable[[T], R], item: T, /) -> Task[R]:
        """Take a call."""


def ordered_map(
    executor: Executor, in_flight: Callable[[], int], wait: Callable[[Any], object] = bool
) -> Mapper:
    """Return a mapper that keeps at most ``in_flight()`` calls submitted to an executor.

    Closing the iterator it returns cancels what has not begun.

    Args:
        executor: Who takes the calls.
        in_flight: How many, now.
        wait: Waits for a task before its result is taken; by default the result does.
    """

    def first(pending: deque[Task[R]]) -> R:
        task = pending.popleft()
        wait(task)
        return task.result()

    def mapper(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
        pending: deque[Task[R]] = deque()
        try:
            for item in items:
                pending.append(executor.submit(function, item))
                while len(pending) >= in_flight():
                    yield first(pending)
            while pending:
                yield first(pending)
        finally:
            for future in pending:
                future.cancel()

    return mapper


def check_workers(workers: int | None) -> int:
    """Return the number of threads to use; for None, the number of CPUs this process may use.

    Raises:
        InputError: It is not allowed.
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


def wait_awake(task: Future[Any]) -> None:
    """Wait for a task, and see to signals: of two at once, other threads may take both."""
    from concurrent.futures import wait

    while not task.done():
        wait([task], timeout=_POLL_SECONDS)


@contextmanager
def threads(workers: int, *, long_calls: bool = False) -> Iterator[Mapper]:
    """Give a mapper over that many threads; NumPy releases the interpreter lock in all they do.

    One worker is the calling thread, unless calls are long: there a signal waits for their end.
    """
    with one_blas_thread:
        if workers == 1 and not long_calls:
            yield map
            return
        from concurrent.futures import ThreadPoolExecutor

        executor = ThreadPoolExecutor(workers, thread_name_prefix="varsim")
        try:
            yield ordered_map(executor, lambda: 2 * workers, wait_awake)
        finally:
            executor.shutdown(wait=False, cancel_futures=True)


def interruptible(call: Callable[[], R]) -> R:
    """Return what a long call returns; a signal is not held up by it, since a thread makes it."""
    from concurrent.futures import ThreadPoolExecutor

    executor = ThreadPoolExecutor(1, thread_name_prefix="varsim")
    task = executor.submit(call)
    try:
        wait_awake(task)
    except BaseException:
        executor.shutdown(wait=False)
        raise
    executor.shutdown()  # beside a thread this process could not be copied
    return task.result()


def local(workers: int, work: float, *, long_calls: bool = False) -> AbstractContextManager[Mapper]:
    """Return who computes so many random numbers soonest: threads, or processes if it takes long.

    Threads start at once, and wait for each other at the interpreter's lock.
    """
    is_long = workers > 1 and work >= _MANY_NUMBERS and _can_fork()
    return processes.processes(workers) if is_long else threads(workers, long_calls=long_calls)


def _can_fork() -> bool:
    """Tell whether this process can be copied: not beside other threads, nor with Apple's BLAS."""
    return (
        sys.platform == "linux"
        and threading.active_count() == 1
        and os.access(_SEMAPHORES, os.W_OK)
        and not any(name in sys.modules for name in _UNFORKABLE)
    )


processes = lazy("varsim.compute.processes")
