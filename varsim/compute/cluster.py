"""A Dask cluster as a mapper; needs ``distributed``, which is loaded only here."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from concurrent.futures import Future as Outcome
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from varsim import __version__
from varsim.compute import ComputeError, Mapper, ordered_map
from varsim.compute.processes import ending_signals_blocked, grouped
from varsim.compute.provenance import fingerprint, offered

if TYPE_CHECKING:
    from distributed import Client, Future, LocalCluster

T = TypeVar("T")
R = TypeVar("R")

# Of a task, which costs the scheduler some milliseconds, so it should take a good part of a second.
_SECONDS = (0.05, 0.4)

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
_WORKERLESS_SECONDS = 60


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Mapper]:
    """Give a mapper over the workers of a Dask cluster.

    Args:
        address: The scheduler's, such as ``tcp://host:8786``; or ``local``, for a cluster of
            processes on this machine that ends with the context.
        workers: Number of processes of a local cluster.

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

        def capacity() -> int:  # at any moment, as workers come and go
            return max(1, _threads(client))

        yield grouped(
            ordered_map(_Tasks(client), lambda: 2 * capacity()),
            capacity,
            _SECONDS,
            partial(_check_worker, fingerprint()),
        )


@contextmanager
def _local(processes: int) -> Iterator[LocalCluster]:
    """Give a cluster of processes on this machine."""
    import dask
    from distributed import LocalCluster

    settings = {
        "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
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
        client.close()


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


def _threads(client: Client) -> int:
    with _lost_as_compute_error():
        return sum(client.nthreads().values())


@dataclass
class _Tasks:
    """A client of a cluster, as an executor."""

    client: Client

    def submit(self, function: Callable[[T], R], item: T, /) -> _Task[R]:
        with _lost_as_compute_error():
            return _Task(self.client, self.client.submit(function, item, pure=False))


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


@dataclass
class _Task(Generic[R]):
    """A task on a cluster; a worker that is lost in the middle only delays it."""

    client: Client
    future: Future[R]

    def result(self) -> R:
        waiting_since = time.monotonic()
        with _lost_as_compute_error(self.future):
            while True:
                try:
                    return self.future.result(timeout=_POLL_SECONDS)
                except TimeoutError:
                    if _threads(self.client):
                        waiting_since = time.monotonic()
                    elif time.monotonic() - waiting_since > _WORKERLESS_SECONDS:
                        raise ComputeError("the cluster has lost all of its workers") from None

    def cancel(self) -> None:
        with suppress(ComputeError), _lost_as_compute_error():
            self.future.cancel()
