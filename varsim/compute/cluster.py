"""A Dask cluster as a mapper; it needs ``distributed``, which only this module loads."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from multiprocessing import resource_tracker
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TypeVar

from varsim import __version__
from varsim.compute import AwakeExecutor, ComputeError, Jobs, Mapper, ordered_map
from varsim.compute.processes import ending_signals_blocked, grouped
from varsim.compute.provenance import fingerprint, offered
from varsim.errors import needs

if TYPE_CHECKING:
    from distributed import Client, LocalCluster, Security

T = TypeVar("T")
R = TypeVar("R")

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

_CONNECT_SECONDS = 5
_POLL_SECONDS = 2
_CLOSE_SECONDS = 3
_WORKERLESS_SECONDS = 60

_CONNECTION = "the connection to the scheduler was lost; check the scheduler"

# After that time without a heartbeat, a worker of a local cluster is replaced.
_LOCAL_TTL = "30s"


@contextmanager
def cluster(address: str, workers: int) -> Iterator[Mapper]:
    """Give a mapper over the workers of a Dask cluster, which recomputes what a lost worker had.

    Args:
        address: Address of the scheduler, such as ``tcp://host:8786``; or ``local``, for a cluster
            of processes on this machine that ends with the context, and that other users cannot
            reach.
        workers: Number of processes of a local cluster.

    Raises:
        ComputeError: The cluster cannot be reached, has no workers, computes with other versions,
            or is lost later, or several workers die over the same jobs.
    """
    try:
        from distributed import Security  # an extra
    except ImportError:
        raise ComputeError(needs("clusters", "distributed")) from None
    # The logs of the cluster itself have the messages on lost workers and connections.
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in {"distributed", "tornado"}:
            logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if address == "local":
            local = stack.enter_context(_local(workers))
            client = _connect(local.scheduler_address, local.security)
        else:
            client = _connect(address, Security())
        stack.callback(_close, client)
        _check_workers(client)
        connection = _Connection(client)
        executor = AwakeExecutor(client.get_executor(pure=False), connection.check)
        in_order = ordered_map(executor, lambda: 2 * connection.capacity())
        check = partial(_check_worker, fingerprint())
        over_groups = grouped(in_order, connection.capacity, _seconds, check)

        def mapper(function: Callable[[T], R], jobs: Jobs[T], /) -> Iterator[R]:
            with _losses_as_compute_errors():
                yield from over_groups(function, jobs)

        yield mapper


@contextmanager
def _local(processes: int) -> Iterator[LocalCluster]:
    """Give a cluster of processes on this machine, which needs its certificate from clients."""
    import dask
    from distributed import LocalCluster, Security

    try:
        security = Security.temporary()
    except ImportError:
        raise ComputeError(needs("local clusters", "cryptography")) from None
    with ExitStack() as stack:
        try:
            # Dask imports from this folder, and its default one may belong to another user.
            folder = stack.enter_context(TemporaryDirectory(ignore_cleanup_errors=True))
            settings = {
                "distributed.nanny.pre-spawn-environ": _WORKER_ENVIRONMENT,
                "distributed.scheduler.http.routes": [],  # HTTP asks for no certificate
                "distributed.scheduler.worker-ttl": _LOCAL_TTL,
                "distributed.worker.http.routes": [],
                "distributed.worker.preload": [__name__],  # which calls dask_setup
                "temporary-directory": folder,
            }
            stack.enter_context(dask.config.set(settings))
            with _undisturbed():
                local = LocalCluster(
                    n_workers=processes,
                    threads_per_worker=1,
                    dashboard_address="127.0.0.1:0",
                    scheduler_kwargs={"dashboard": False},
                    security=security,
                    silence_logs=logging.CRITICAL,
                )
                stack.enter_context(local)
        except Exception as error:  # noqa: BLE001  # the system has many of them
            raise ComputeError(f"no {processes} processes could be started: {error}") from None
        yield local


def dask_setup(_: object) -> None:
    """Set up a worker of a local cluster; Dask calls this before the worker computes.

    Only the main process handles the signals that end the program, and ends the others, each of
    which would print a traceback. Output of users' code goes to stderr, because stdout is for
    data; its warnings are dropped.
    """
    warnings.simplefilter("ignore")
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Block the signals that end a program while processes start, which inherit that.

    A process that is interrupted during its start prints a traceback. ``dask_setup`` unblocks
    the signal that ends a worker.
    """
    # Python puts the current folder first on the path of its processes, where a user's types.py
    # would replace that of the standard library.
    os.environ["PYTHONSAFEPATH"] = "1"
    if hasattr(signal, "pthread_sigmask"):
        # It ignores SIGINT and SIGTERM, and SIGHUP while it inherits the block. Its start unblocks
        # the other two here.
        with ending_signals_blocked():
            resource_tracker.ensure_running()
    with ending_signals_blocked():
        yield


def _connect(address: str, security: Security) -> Client:
    """Return a connected client, or raise a ComputeError when no scheduler answers."""
    from distributed import Client
    from distributed.comm.core import connect

    async def greet() -> None:
        """Connect once before the client, whose failure is slow, and prints a traceback."""
        comm = await connect(address, **security.get_connection_args("client"))
        await comm.close()

    try:
        asyncio.run(asyncio.wait_for(greet(), _CONNECT_SECONDS))
        return Client(address, timeout=_CONNECT_SECONDS, set_as_default=False, security=security)
    except Exception:  # noqa: BLE001  # another program may answer anything
        raise ComputeError(
            f"no scheduler answers at {address}; start one with: dask scheduler, and give its "
            "address, such as tcp://localhost:8786"
        ) from None


def _close(client: Client) -> None:
    with suppress(OSError, RuntimeError):  # of a connection that is lost
        client.close(timeout=_CLOSE_SECONDS)


def _check_worker(
    expected: Mapping[str, str], name: str = "a worker", actual: Mapping[str, str] | None = None
) -> None:
    """Refuse a worker with other versions; without ``actual``, the one that calls this."""
    actual = offered() if actual is None else actual
    for what, here in expected.items():
        if (there := actual.get(what)) != here:
            raise ComputeError(
                f"{name} has {what} {there} and this machine {here}, which could change "
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
        client.run_on_scheduler(offered)  # it loads the calls, with any version
        by_worker = client.run(offered, callback_timeout=2 * _CONNECT_SECONDS)
    except TimeoutError:
        raise ComputeError(
            f"some worker of {address} does not answer; see to the workers, and start again"
        ) from None
    except Exception as error:  # noqa: BLE001  # a worker's, or one of any class
        raise ComputeError(
            f"the scheduler at {address} or one of its workers cannot load varsim ({error}); "
            f"install varsim {__version__} on all of them"
        ) from None
    for worker, versions in by_worker.items():
        _check_worker(fingerprint(), f"the worker {worker}", versions)


def _seconds(workers: int) -> tuple[float, float]:
    """Return the shortest and the longest duration of a task."""
    pairs = zip(_SECONDS, _SECONDS_PER_WORKER, strict=True)
    shortest, longest = (max(least, each * workers) for least, each in pairs)
    return shortest, longest


@contextmanager
def _losses_as_compute_errors() -> Iterator[None]:
    """Raise a ComputeError for the errors of Dask itself; those of calls pass."""
    from distributed import KilledWorker

    try:
        yield
    except KilledWorker:
        raise ComputeError(
            "several workers died, one after the other, over the same blocks; see the workers' "
            "logs: they may be short of memory"
        ) from None
    except CancelledError:  # of all calls, when Dask loses the scheduler
        raise _loss(_CONNECTION) from None


def _loss(event: str) -> ComputeError:
    return ComputeError(f"{event}, and repeat the command, with --resume to skip finished rows")


class _Connection:
    """The connection to a scheduler, and the number of its threads at the last answer."""

    def __init__(self, client: Client) -> None:
        self._client, self._comm = client, client.scheduler_comm
        self._threads = 1
        self._asked_at, self._with_workers_at = -math.inf, time.monotonic()

    def capacity(self) -> int:
        """Return the number of calls computed at a time; it changes as workers come and go."""
        self.check()
        return max(1, self._threads)

    def check(self) -> None:
        """Ask for the number of threads, unless it was asked a moment ago.

        Raises:
            ComputeError: The connection is lost, or there are no workers for a minute.
        """
        # Dask connects anew, but a call whose result was on its way would never end.
        if self._client.scheduler_comm is not self._comm:
            raise _loss(_CONNECTION)
        if (now := time.monotonic()) - self._asked_at < _POLL_SECONDS:
            return
        with suppress(OSError, RuntimeError):  # a busy scheduler, or a connection that gets lost
            self._threads = sum(self._client.nthreads(callback_timeout=_POLL_SECONDS).values())
        self._asked_at = time.monotonic()
        if self._threads:
            self._with_workers_at = now
        elif now - self._with_workers_at > _WORKERLESS_SECONDS:
            raise _loss("the cluster has lost all of its workers; start some")
