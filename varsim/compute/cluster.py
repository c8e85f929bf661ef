"""A Dask cluster as a mapper; it needs ``distributed``, which only this module loads."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import Future as Outcome
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypedDict, TypeVar
from weakref import WeakSet

from varsim import __version__
from varsim.compute import ComputeError, Jobs, Mapper, ordered_map
from varsim.compute.processes import ending_signals_blocked, grouped
from varsim.compute.provenance import fingerprint, offered

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

T = TypeVar("T")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

# The shortest and the longest task: a good part of a second, and longer with more workers, since
# each task takes one or two milliseconds of the one scheduler and of this process.
_SECONDS = (0.05, 0.4)
_SECONDS_PER_WORKER = (0.002, 0.01)

# Dask makes glibc's malloc return freed memory at once, and new memory for every draw costs a
# quarter of the time. BLAS has one thread per process, as everywhere.
_WORKER_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**25),
    "MALLOC_TRIM_THRESHOLD_": str(2**28),
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

# Only this process handles Ctrl-C and ends the others, each of which would print a traceback.
# Output of users' code goes to stderr, because stdout is for data; its warnings are dropped.
_WORKER_PRELOAD = (
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

# A worker sends a heartbeat twice a second, and every 6 s if there are a thousand.
_SILENT_SECONDS = 15

# More workers than these are only counted in messages.
_MOST_NAMED = 3

# After that time without a heartbeat, a worker of a local cluster is replaced.
_LOCAL_TTL = "30s"


@contextmanager
def cluster(address: str, workers: int, notify: Callable[[str], object] = bool) -> Iterator[Mapper]:
    """Give a mapper over the workers of a Dask cluster; it ends early if jobs are unwanted.

    Args:
        address: Address of the scheduler, such as ``tcp://host:8786``; or ``local``, for a cluster
            of processes on this machine that ends with the context.
        workers: Number of processes of a local cluster.
        notify: Called with a message when a worker stops or resumes answering.

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
    # The logs of the cluster itself have the messages on lost workers and connections.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] == "distributed":
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if address == "local":
            address = stack.enter_context(_local(workers)).scheduler_address
        client = _connect(address)
        stack.callback(_close, client)
        _check_workers(client)
        members, check = _Members(client, address, notify), partial(_check_worker, fingerprint())

        def mapper(function: Callable[[T], R], jobs: Jobs[T], /) -> Iterator[R]:
            tasks = _Tasks(client, members, jobs.is_wanted)
            in_order = ordered_map(tasks, lambda: 2 * members.capacity())
            with suppress(_NoLongerNeeded):
                yield from grouped(in_order, members.capacity, _seconds, check)(function, jobs)

        yield mapper


@contextmanager
def _local(processes: int) -> Iterator[LocalCluster]:
    """Give a cluster of processes on this machine."""
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
        "distributed.scheduler.worker-ttl": _LOCAL_TTL,
        "distributed.worker.preload": [_WORKER_PRELOAD],
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
        except Exception as error:  # noqa: BLE001  # the system has many of them
            raise ComputeError(f"no {processes} processes could be started: {error}") from None
        yield local


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Block the signals that end a program while processes start, which inherit that.

    A process that is interrupted during its start prints a traceback. The preload unblocks the
    signal that ends a worker.
    """
    # Python puts the current folder first on the path of its processes, where a user's types.py
    # would replace that of the standard library.
    os.environ["PYTHONSAFEPATH"] = "1"
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # its start unblocks SIGINT
    with ending_signals_blocked():
        yield


def _connect(address: str) -> Client:
    """Return a connected client, or raise a ComputeError when no scheduler answers."""
    from distributed import Client

    def client() -> Client:
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)

    _silence_unconnected_clients()
    with suppress(Exception):  # another program may answer, and never finish its handshake
        return _bounded(client, 2 * _CONNECT_SECONDS)
    raise ComputeError(
        f"no scheduler answers at {address}; start one with: dask scheduler, and give its "
        "address, such as tcp://localhost:8786"
    )


def _close(client: Client) -> None:
    with suppress(ComputeError), _lost_as_compute_error():  # already reported
        client.close(timeout=_CLOSE_SECONDS)


def _bounded(call: Callable[[], R], seconds: float) -> R:
    """Call on a thread; after a time limit, abandon it with a TimeoutError."""
    outcome: Outcome[R] = Outcome()

    def attempt() -> None:
        try:
            outcome.set_result(call())
        except Exception as error:  # noqa: BLE001  # raised again below
            outcome.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()
    return outcome.result(timeout=seconds)


def _silence_unconnected_clients() -> None:
    """Drop the traceback of a client that never connected, printed at its end."""
    before = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if getattr(unraisable.object, "__qualname__", "") != "Client.__del__":
            before(unraisable)

    if getattr(before, "__name__", "") != "hook":
        sys.unraisablehook = hook


def _check_worker(expected: Mapping[str, str]) -> None:
    """Refuse a worker that joined later and has other versions."""
    _check_fingerprint("a worker", expected, offered())


def _check_fingerprint(worker: str, expected: Mapping[str, str], actual: Mapping[str, str]) -> None:
    for what, here in expected.items():
        if (there := actual.get(what)) != here:
            raise ComputeError(
                f"{worker} has {what} {there} and this machine {here}, which could change "
                "the numbers; install the same versions, and for other CPUs set OPENBLAS_CORETYPE "
                "and NPY_DISABLE_CPU_FEATURES alike"
            )


def _check_workers(client: Client) -> None:
    """Raise a ComputeError unless there are workers with the versions of this process."""
    address = client.scheduler_info()["address"]
    try:
        client.wait_for_workers(1, timeout=_CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeError(
            f"the scheduler at {address} has no workers; start some with: dask worker {address}"
        ) from None
    try:
        by_worker = _bounded(lambda: client.run(offered), 2 * _CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeError(
            f"some worker of {address} does not answer; see to the workers, and start again"
        ) from None
    except Exception as error:  # noqa: BLE001  # a worker's, or one of any class
        raise ComputeError(
            f"a worker of {address} cannot load varsim ({error}); install varsim {__version__} on "
            "all of them"
        ) from None
    for worker, versions in by_worker.items():
        _check_fingerprint(f"the worker {worker}", fingerprint(), versions)


def _seconds(workers: int) -> tuple[float, float]:
    """Return the shortest and the longest duration of a task."""
    pairs = zip(_SECONDS, _SECONDS_PER_WORKER, strict=True)
    shortest, longest = (max(least, each * workers) for least, each in pairs)
    return shortest, longest


class _NoLongerNeeded(Exception):  # noqa: N818  # the end of a wait, not an error
    """The awaited results are no longer needed."""


class _WorkerState(TypedDict):
    """The scheduler's record of a worker, as far as it is used here."""

    last_seen: float
    nthreads: int


@dataclass
class _Members:
    """The workers of a cluster, by the scheduler's last answer.

    Attributes:
        client: The connection.
        address: Address of the scheduler.
        notify: Called with messages for a person.
        silent: Addresses of workers without a recent heartbeat.
        answering: Addresses of the others.
    """

    client: Client
    address: str
    notify: Callable[[str], object]
    silent: list[str] = field(default_factory=list)
    answering: list[str] = field(default_factory=list)
    _threads: int = 0
    _asked_at: float = -math.inf
    _unanswered_since: float = math.inf
    _workerless_since: float = math.inf
    _heartbeats: dict[str, tuple[float, float]] = field(default_factory=dict)
    _reported: list[str] = field(default_factory=list)

    def capacity(self) -> int:
        """Return the number of calls computed at a time; it changes as workers come and go."""
        self.ask()
        return max(1, self._threads)

    def ask(self) -> None:
        """Ask the scheduler, unless it was asked a moment ago, and report silent members.

        Raises:
            ComputeError: The connection or all workers are lost.
        """
        if (now := time.monotonic()) - self._asked_at < _POLL_SECONDS:
            return
        scheduler: Any = self.client.scheduler  # its methods are those of another process
        workers = None
        with _lost_as_compute_error(), suppress(TimeoutError):
            answer = self.client.sync(scheduler.identity, callback_timeout=_POLL_SECONDS)
            workers = answer["workers"]
        self._asked_at = time.monotonic()
        if workers is None:
            self._unanswered_since = min(now, self._unanswered_since)
        else:
            self._unanswered_since = math.inf
            self._update(workers)
        self._report_changes()
        if self._asked_at - self._workerless_since > _WORKERLESS_SECONDS:
            raise ComputeError("the cluster has lost all of its workers")

    def _update(self, workers: Mapping[str, _WorkerState]) -> None:
        """Store an answer: the last heartbeat of each worker, and the time of its first report."""
        now, before = self._asked_at, self._heartbeats
        last = {address: (worker["last_seen"], now) for address, worker in workers.items()}
        self._heartbeats = {
            address: before[address] if before.get(address, (None,))[0] == beat[0] else beat
            for address, beat in last.items()
        }
        self.silent = [
            address
            for address, (_, since) in self._heartbeats.items()
            if now - since >= _SILENT_SECONDS
        ]
        self.answering = [address for address in last if address not in self.silent]
        self._threads = sum(worker["nthreads"] for worker in workers.values())
        self._workerless_since = math.inf if self._threads else min(now, self._workerless_since)

    def _report_changes(self) -> None:
        """Report members that stopped answering since the last report, or resumed."""
        scheduler = f"The scheduler at {self.address}"
        silent = [f"The worker at {address}" for address in self.silent]
        consequence = "other workers compute its blocks"
        if self._asked_at - self._unanswered_since >= _SILENT_SECONDS:
            silent.append(scheduler)
        if scheduler in silent or not self.answering:
            consequence = "the run waits, and Ctrl-C ends it with the rows that are done"
        members = {scheduler, *(f"The worker at {address}" for address in self._heartbeats)}
        back = [member for member in self._reported if member in members and member not in silent]
        self._report(
            f"has not answered for {_SILENT_SECONDS:g} s; {consequence}.",
            [member for member in silent if member not in self._reported],
        )
        self._report("answers again.", back)
        self._reported = silent

    def _report(self, what: str, members: Sequence[str]) -> None:
        for member in members[:_MOST_NAMED]:
            self.notify(f"{member} {what}")
        if more := len(members[_MOST_NAMED:]):
            self.notify(f"The same holds for {more} more.")


@dataclass
class _Tasks:
    """The client of a cluster as an executor."""

    client: Client
    members: _Members
    is_wanted: Callable[[], bool]
    _open: WeakSet[_Task[object]] = field(default_factory=WeakSet)

    def submit(self, function: Callable[[T], R], item: T, /) -> _Task[R]:
        task = _Task(self, function, item)
        self._open.add(task)
        return task

    def send(self, function: Callable[[T], R], item: T) -> Future[R]:
        """Submit a call to the scheduler, for workers that answer."""
        answering = self.members.answering if self.members.silent else None
        with _lost_as_compute_error():
            # Dask would search each item of its arguments for futures.
            return self.client.submit(
                partial(function, item),
                pure=False,
                workers=answering or None,
                allow_other_workers=bool(answering),
            )

    def gather(self, first: _Task[object]) -> None:
        """Fetch the results of a task and of all finished ones, in one exchange of messages.

        Raises:
            TimeoutError: A worker with one of the results does not answer.
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

    def poll(self) -> None:
        """Look for silent workers, and resubmit the tasks that only those have.

        Raises:
            ComputeError: The connection or all workers are lost.
            _NoLongerNeeded: The awaited results are no longer needed.
        """
        self.members.ask()
        if not self.is_wanted():
            raise _NoLongerNeeded
        if self.members.silent and self.members.answering:
            with _lost_as_compute_error(), suppress(TimeoutError):
                held = _bounded(self._held_by_silent_workers, _CONNECT_SECONDS)
                for task in list(self._open):
                    task.resubmit(held)

    def _held_by_silent_workers(self) -> set[str]:
        silent = self.members.silent
        answers = self.client.processing(silent), self.client.has_what(silent)
        return {key for held in answers for keys in held.values() for key in keys}


@contextmanager
def _lost_as_compute_error(future: Future[R] | None = None) -> Iterator[None]:
    """Reraise the errors of a client as a ComputeError, except that of a future's call."""
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
    except (CancelledError, OSError, RuntimeError):  # asyncio raises RuntimeError as it closes
        if future is not None and future.status == "error":
            raise
        raise ComputeError("the connection to the scheduler was lost") from None


class _Task(Generic[R_co]):
    """A task on a cluster; a lost or silent worker only delays it.

    Attributes:
        futures: Futures of its submissions: one, and one more for each silent worker.
        results: Its result, once it is here.
        is_slow: Whether its transfer took too long for the results of others to wait for it.
    """

    def __init__(self, tasks: _Tasks, function: Callable[[T], R_co], item: T) -> None:
        self._tasks = tasks
        self._send: Callable[[], Future[R_co]] = partial(tasks.send, function, item)
        self.futures = deque([self._send()])
        self.results: list[R_co] = []
        self.is_slow = False

    @property
    def is_fetched_with_others(self) -> bool:
        """Whether the result is ready to be fetched."""
        return not self.results and not self.is_slow and self.futures[0].status == "finished"

    def result(self) -> R_co:
        while not self.results:
            future = self.futures[0]
            with _lost_as_compute_error(future), suppress(TimeoutError):
                future.exception(timeout=_POLL_SECONDS)  # waits
                if future.status != "finished":
                    return future.result(timeout=_POLL_SECONDS)  # raises
                self._tasks.gather(self)
                break
            self.futures.rotate()
            self._tasks.poll()
        return self.results[0]

    def resubmit(self, held: Collection[str]) -> None:
        """Submit it again if silent workers hold all of its submissions."""
        if not self.results and all(future.key in held for future in self.futures):
            self.futures.appendleft(self._send())

    def cancel(self) -> None:
        with suppress(ComputeError), _lost_as_compute_error():
            for future in self.futures:
                future.cancel()
