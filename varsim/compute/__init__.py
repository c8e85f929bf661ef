"""Who computes: one argument with the shape of ``map``.

Every mapper yields the results in the order of the items, so it never changes what is computed.
:func:`ordered_map` makes a mapper of anything that takes calls as an executor does.
"""

from __future__ import annotations

import operator
import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from varsim.parsing import InputError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from threadpoolctl import ThreadpoolController

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


class OneThread:
    """A context in which a library has one thread; the last of those that share it sets it back.

    Args:
        limit: Sets one thread, and returns what sets it back; None where nothing is set.
        per_thread: Whether the setting has one value for each thread of this process.
    """

    def __init__(
        self, limit: Callable[[], Callable[[], None] | None], *, per_thread: bool = False
    ) -> None:
        """Hold nothing yet."""
        self._limit, self._per_thread = limit, per_thread
        self._lock = threading.Lock()
        self._holders = 0
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> None:
        """Set one thread, unless another holder has."""
        with self._lock:
            if self._per_thread or self._restore is None:
                restore = self._limit()
                self._restore = self._restore or restore  # the first knows the value from before
            self._holders += 1

    def __exit__(self, *_: object) -> None:
        """Set it back, unless another holder still needs it."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and self._restore is not None:
                self._restore()
                self._restore = None


def loaded_libraries() -> frozenset[str]:
    """Return which libraries are loaded that have a BLAS or threads of their own."""
    known = {"scipy.linalg", "scipy.special", "torch", "jax", "tensorflow"}
    return frozenset(known.intersection(sys.modules))


_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
_started_with_one: set[str] = set()


def start_with_one_blas_thread() -> None:
    """Let NumPy's BLAS start with one thread, if it is still to be loaded.

    It starts sooner so, and need not be found among the loaded libraries to be held to one. What a
    user has set stays.
    """
    if "numpy" not in sys.modules and not any(name in os.environ for name in _BLAS_VARIABLES):
        os.environ |= dict.fromkeys(_BLAS_VARIABLES, "1")
        _started_with_one.add("numpy")


def limit_blas() -> Callable[[], None]:
    """Hold every BLAS that is loaded to one thread, and return what sets it back."""
    if _started_with_one and not loaded_libraries():
        return lambda: None
    limits = _blas_libraries(loaded_libraries()).limit(limits=1, user_api="blas")
    restore: Callable[[], None] = limits.restore_original_limits
    return restore


@cache
def _blas_libraries(loaded: Hashable) -> ThreadpoolController:  # noqa: ARG001  # only a key
    """Return the libraries for each key once: finding them takes as long as a small experiment."""
    import numpy as np  # noqa: F401  # its BLAS must be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


one_blas_thread = OneThread(limit_blas)
"""More threads would fight the workers for the cores, and could change the last digits."""


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


class _Lazy:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        if attribute == "__wrapped__":  # inspect and doctest ask every object for it
            raise AttributeError(attribute)
        if self._name not in sys.modules and self._name.startswith("scipy"):
            import_module("varsim.compute.memory").check_scipy_fits()
        return getattr(import_module(self._name), attribute)


def lazy(name: str) -> Any:
    """Return a stand-in for a module, which imports it when an attribute is first read.

    >>> lazy("math").floor(2.5)
    2
    """
    return _Lazy(name)


processes = lazy("varsim.compute.processes")
