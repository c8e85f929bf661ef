"""A Dask cluster as a mapper; needs ``distributed``, which is loaded only here."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import Future as Outcome
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakSet

from varsim import __version__
from varsim.compute import ComputeError, Mapper, ordered_map
from varsim.compute.processes import ending_signals_blocked, grouped
from varsim.compute.provenance import fingerprint, offered

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

T = TypeVar("T")
R = TypeVar("R")

# Of a task: a good part of a second, and more of it the more workers there are: each task takes one
# or two milliseconds of the one scheduler and of this process.
_SECONDS = (0.05, 0.4)
_SECONDS_PER_WORKER = (0.002, 0.01)

# Dask makes glibc's malloc return freed memory at once. Getting it again for every draw costs a
# quarter of the time. BLAS has one thread per process, as everywhere.
_WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# Ctrl-C is for this process alone, which ends the others: each would print a traceback. What
# users' code prints goes to stderr, because stdout is for data; what it warns of is dropped.
_DEAF = (
    "import signal, sys, warnings; warnings.simplefilter('ignore'); sys.stdout = sys.stderr; "
    "signal.signal(signal.SIGINT, signal.SIG_IGN); "
    "signal.signal(signal.SIGHUP, signal.SIG_IGN); "
    "signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})"
)

_CONNECT_SECONDS = 5
_POLL_SECONDS = 2
_FETCH_SECONDS = 5
_CLOSE_SECONDS = 3
_WORKERLESS_SECONDS = 60

# Workers give a sign of life twice a second, and of a thousand workers each does so every 6 s.
_SILENT_SECONDS = 15

_TOLD_ONE_BY_ONE = 3

# A worker of a local cluster is replaced when it has given none for so long.
_LOCAL_TTL = "30s"


@contextmanager
def cluster(address: str, workers: int, tell: Callable[[str], object] = bool) -> Iterator[Mapper]:
    """Give a mapper over the workers of a Dask cluster.

    Where its items have a method ``is_wanted``, the mapper asks it while it waits, and ends when it
    returns False.

    Args:
        address: The scheduler's, such as ``tcp://host:8786``; or ``local``, for a cluster of
            processes on this machine that ends with the context.
        workers: Number of processes of a local cluster.
        tell: Takes a sentence for a person: who does not answer, and who answers again.

    Raises:
        ComputeError: The cluster cannot be reached, has no workers, computes with other versions,
            or is lost later.
    """
    try:
        import distributed  # noqa: F401  # an extra
    except ImportError:
        raise ComputeError(
            "a scheduler needs the package distributed, which is not installed; run: "
            "pip install distributed"
        ) from None
    # The cluster's own logs say what distributed has to say of lost workers and connections.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if address == "local":
            address = stack.enter_context(_local(workers)).scheduler_address
        client = _connected(address)
        stack.callback(_close, client)
        _check_workers(client)
        members, check = _Members(client, address, tell), partial(_check_worker, fingerprint())

        def mapper(function: Callable[[T], R], items: Iterable[T], /) -> Iterator[R]:
            tasks = _Tasks(client, members, getattr(items, "is_wanted", lambda: True))
            in_order = ordered_map(tasks, lambda: 2 * members.capacity())
            with suppress(_UnwantedError):
                yield from grouped(in_order, members.capacity, _seconds, check)(function, items)

        yield mapper


@contextmanager
def _local(processes: int) -> Iterator[LocalCluster]:
    """Give a cluster of processes on this machine."""
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
        "distributed.scheduler.worker-ttl": _LOCAL_TTL,
        "distributed.worker.preload": [_DEAF],
    }
    with dask.config.set(settings), ExitStack() as stack:
        try:
            with _undisturbed():
                local = LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    silence_logs=logging.CRITICAL,
                )
                stack.enter_context(local)
        except Exception as error:  # noqa: BLE001  # of the system, in many shapes
            raise ComputeError(f"no {processes} processes could be started: {error}") from None
        yield local


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Block signals that end a program while processes start: half-started ones print tracebacks.

    The processes inherit the blocked signals. A preload unblocks the one that ends them.
    """
    # Python puts the current folder first on the path of its processes, where a user's types.py
    # would be imported for Python's own.
    os.environ["PYTHONSAFEPATH"] = "1"
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # or it would be started below, and unblock SIGINT
    with ending_signals_blocked():
        yield


def _connected(address: str) -> Client:
    """Return a connected client, or raise a ComputeError when no scheduler answers."""
    from distributed import Client

    def connect() -> Client:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)

    _hush_half_made_clients()
    with suppress(Exception):  # anything may answer there, and never finish its handshake
        return _bounded(connect, 2 * _CONNECT_SECONDS)
    raise ComputeError(
        f"no scheduler answers at {address}; start one with: dask scheduler, and give its "
        "address, such as tcp://localhost:8786"
    )


def _close(client: Client) -> None:
    with suppress(ComputeError), _lost_as_compute_error():  # it is known by then
        client.close(timeout=_CLOSE_SECONDS)


def _bounded(call: Callable[[], R], seconds: float) -> R:
    """Call on a thread, which is abandoned with a TimeoutError when it takes too long."""
    outcome: Outcome[R] = Outcome()

    def attempt() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # noqa: BLE001  # raised again below
            outcome.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()
    return outcome.result(timeout=seconds)


def _hush_half_made_clients() -> None:
    """Drop the traceback that the end of a client prints when it never connected."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if getattr(unraisable.object, "__qualname__", "") != "Client.__del__":
            before(unraisable)

    if getattr(before, "__name__", "") != "hook":
        sys.unraisablehook = hook


def _check_worker(expected: Mapping[str, str]) -> None:
    """Refuse a worker that joined late and computes with other versions."""
    _check_fingerprint("a worker", expected, offered())


def _check_fingerprint(who: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    for what, here in expected.items():
        if found.get(what) != here:
            raise ComputeError(
                f"{who} has {what} {found.get(what)} and this machine {here}, which could change "
                "the numbers; install the same versions, and for other CPUs set OPENBLAS_CORETYPE "
                "and NPY_DISABLE_CPU_FEATURES alike"
            )


def _check_workers(client: Client) -> None:
    """Raise a ComputeError unless there are workers that compute as this process does."""
    address = client.scheduler_info()["address"]
    try:
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeError(
            f"the scheduler at {address} has no workers; start some with: dask worker {address}"
        ) from None
    try:
        found = _bounded(lambda: client.run(offered), 2 * _CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeError(
            f"some worker of {address} does not answer; see to the workers, and start again"
        ) from None
    except Exception as error:  # noqa: BLE001  # a worker's own, or one of no class in particular
        raise ComputeError(
            f"a worker of {address} cannot load varsim ({error}); install varsim {__version__} on "
            "all of them"
        ) from None
    for worker, versions in found.items():
        _check_fingerprint(f"the worker {worker}", fingerprint(), versions)


def _seconds(workers: int) -> tuple[float, float]:
    """Return how long a group takes, at least and at most."""
    pairs = zip(_SECONDS, _SECONDS_PER_WORKER, strict=True)
    shortest, longest = (max(least, each * workers) for least, each in pairs)
    return shortest, longest


class _UnwantedError(Exception):
    """Nobody wants what is waited for."""


@dataclass
class _Members:
    """What the scheduler last said of its workers, and who gives no sign of life.

    Attributes:
        client: Who asks.
        address: The scheduler's.
        tell: Takes a sentence for a person.
        silent: The addresses of workers that give no sign of life.
        answering: Those of the others.
    """

    client: Client
    address: str
    tell: Callable[[str], object]
    silent: list[str] = field(default_factory=list)
    answering: list[str] = field(default_factory=list)
    _threads: int = 0
    _asked_at: float = -math.inf
    _unanswered_since: float = math.inf
    _workerless_since: float = math.inf
    _signs: dict[str, tuple[float, float]] = field(default_factory=dict)
    _told: list[str] = field(default_factory=list)

    def capacity(self) -> int:
        """Return the number of calls computed at a time, as workers come and go."""
        self.ask()
        return max(1, self._threads)

    def ask(self) -> None:
        """Ask the scheduler, unless it was asked a moment ago, and tell who does not answer.

        Raises:
            ComputeError: The connection or all workers are lost.
        """
        if (now := time.monotonic()) - self._asked_at < _POLL_SECONDS:
            return
        scheduler: Any = self.client.scheduler
        workers = None
        with _lost_as_compute_error(), suppress(TimeoutError):
            answer = self.client.sync(scheduler.identity, callback_timeout=_POLL_SECONDS)
            workers = answer["workers"]
        self._asked_at = time.monotonic()
        if workers is None:
            self._unanswered_since = min(now, self._unanswered_since)
        else:
            self._unanswered_since = math.inf
            self._take(workers)
        self._tell_news()
        if self._asked_at - self._workerless_since > _WORKERLESS_SECONDS:
            raise ComputeError("the cluster has lost all of its workers")

    def _take(self, workers: Mapping[str, Mapping[str, Any]]) -> None:
        """Take note of an answer: of each worker its last sign of life, and when that was new."""
        now, before = self._asked_at, self._signs
        last = {address: (worker["last_seen"], now) for address, worker in workers.items()}
        self._signs = {
            address: before[address] if before.get(address, (None,))[0] == sign[0] else sign
            for address, sign in last.items()
        }
        self.silent = [a for a, (_, since) in self._signs.items() if now - since >= _SILENT_SECONDS]
        self.answering = [address for address in last if address not in self.silent]
        self._threads = sum(worker["nthreads"] for worker in workers.values())
        self._workerless_since = math.inf if self._threads else min(now, self._workerless_since)

    def _tell_news(self) -> None:
        """Tell who has fallen silent since the last time, and who answers again."""
        scheduler = f"The scheduler at {self.address}"
        silent = [f"The worker at {address}" for address in self.silent]
        consequence = "other workers compute its blocks"
        if self._asked_at - self._unanswered_since >= _SILENT_SECONDS:
            silent.append(scheduler)
        if scheduler in silent or not self.answering:
            consequence = "the run waits, and Ctrl-C ends it with the rows that are done"
        members = {scheduler, *(f"The worker at {address}" for address in self._signs)}
        back = [who for who in self._told if who in members and who not in silent]
        self._tell(
            f"has not answered for {_SILENT_SECONDS:g} s; {consequence}.",
            [who for who in silent if who not in self._told],
        )
        self._tell("answers again.", back)
        self._told = silent

    def _tell(self, what: str, whom: Sequence[str]) -> None:
        for who in whom[:_TOLD_ONE_BY_ONE]:
            self.tell(f"{who} {what}")
        if more := len(whom[_TOLD_ONE_BY_ONE:]):
            self.tell(f"The same holds for {more} more.")


@dataclass
class _Tasks:
    """A client of a cluster, as an executor."""

    client: Client
    members: _Members
    is_wanted: Callable[[], bool]
    _open: WeakSet[_Task[Any]] = field(default_factory=WeakSet)

    def submit(self, function: Callable[[T], R], item: T, /) -> _Task[R]:
        task = _Task(self, function, item)
        self._open.add(task)
        return task

    def send(self, function: Callable[[T], R], item: T) -> Future[R]:
        """Hand a call to the scheduler, for workers that answer."""
        answering = self.members.answering if self.members.silent else None
        with _lost_as_compute_error():
            # As arguments of Dask's own, items would be searched for futures, one by one.
            return self.client.submit(
                partial(function, item),
                pure=False,
                workers=answering or None,
                allow_other_workers=bool(answering),
            )

    def gather(self, first: _Task[Any]) -> None:
        """Fetch the result of a task, and of all that are done: scheduler and workers answer once.

        Raises:
            TimeoutError: One that has some of them does not answer.
        """
        others = [task for task in self._open if task is not first and task.is_fetched_with_others]
        tasks = [first, *others]
        futures = [task.futures[0] for task in tasks]
        gather = partial(self.client.gather, futures, asynchronous=True)
        try:
            results = self.client.sync(gather, callback_timeout=_FETCH_SECONDS)
        except TimeoutError:
            for task in tasks:
                task.is_slow = True
            raise
        for task, result in zip(tasks, results, strict=True):
            task.results.append(result)

    def look_around(self) -> None:
        """See, after a wait in vain, who does not answer, and hand on what only those have.

        Raises:
            ComputeError: The connection or all workers are lost.
            _UnwantedError: Nobody wants what is waited for.
        """
        self.members.ask()
        if not self.is_wanted():
            raise _UnwantedError
        if self.members.silent and self.members.answering:
            with _lost_as_compute_error(), suppress(TimeoutError):
                held = _bounded(self._held_by_silent_workers, _CONNECT_SECONDS)
                for task in list(self._open):
                    task.hand_on(held)

    def _held_by_silent_workers(self) -> set[str]:
        silent = self.members.silent
        answers = self.client.processing(silent), self.client.has_what(silent)
        return {key for held in answers for keys in held.values() for key in keys}


@contextmanager
def _lost_as_compute_error(future: Future[Any] | None = None) -> Iterator[None]:
    """Tell in a sentence what a client raises, except for the error of a future's own call."""
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker:
        raise ComputeError(
            "some blocks were lost with several workers, one after the other; see the workers' "
            "logs: they may be short of memory"
        ) from None
    except ComputeError:
        raise
    except (CancelledError, OSError, RuntimeError):  # RuntimeError: of asyncio, as it closes
        if future is not None and future.status == "error":
            raise
        raise ComputeError("the connection to the scheduler was lost") from None


class _Task(Generic[R]):
    """A task on a cluster; a worker that is lost or silent in the middle only delays it.

    Attributes:
        futures: Of its calls, which are one, and more where workers fell silent.
        results: Its result, once that is here.
        is_slow: Whether fetching it took too long for the results of others to wait for it.
    """

    def __init__(self, tasks: _Tasks, function: Callable[[Any], R], item: Any) -> None:
        self._tasks, self._call = tasks, (function, item)
        self.futures = deque([tasks.send(*self._call)])
        self.results: list[R] = []
        self.is_slow = False

    @property
    def is_fetched_with_others(self) -> bool:
        """Whether the result is there to be fetched."""
        return not self.results and not self.is_slow and self.futures[0].status == "finished"

    def result(self) -> R:
        while not self.results:
            future = self.futures[0]
            with _lost_as_compute_error(future), suppress(TimeoutError):
                future.exception(timeout=_POLL_SECONDS)  # waits
                if future.status != "finished":
                    return future.result(timeout=_POLL_SECONDS)  # raises
                self._tasks.gather(self)
                break
            self.futures.rotate()
            self._tasks.look_around()
        return self.results[0]

    def hand_on(self, held: Collection[str]) -> None:
        """Let another worker compute it, too, where silent workers hold all there is of it."""
        if not self.results and all(future.key in held for future in self.futures):
            self.futures.appendleft(self._tasks.send(*self._call))

    def cancel(self) -> None:
        with suppress(ComputeError), _lost_as_compute_error():
            for future in self.futures:
                future.cancel()
