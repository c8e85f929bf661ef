"""A cluster: the same bytes, whoever computes them, and whichever worker dies meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from threading import Event, Timer
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

import varsim
from tests.program import VARSIM, environment, here, run, wait_for
from varsim import Experiment, runner
from varsim.compute import ComputeError, EqualJobs, Map, Mapper, ordered_map, threads
from varsim.compute.cluster import _SECONDS, _local, _seconds, cluster
from varsim.compute.processes import _budget, _group, grouped
from varsim.layer.study import LayerStudy

if TYPE_CHECKING:
    from distributed import Security

pytest.importorskip("distributed", reason="the extra varsim[cluster] is not installed")

pytestmark = pytest.mark.slow

T = TypeVar("T")
R = TypeVar("R")

DASK = [str(Path(sys.executable).with_name("dask"))]
LONG = ("--dim", "256:263", "--scale", "sqrt", "--samples", "5e6", "--format", "csv")


@contextmanager
def process(*command: str, **changes: str) -> Iterator[subprocess.Popen[str]]:
    """A process that is killed at the end."""
    with subprocess.Popen(
        command, env=environment(**changes), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
    ) as started:  # fmt: skip
        try:
            yield started
        finally:
            started.kill()


@contextmanager
def new_scheduler(folder: Path, **changes: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real scheduler on loopback: its address and its process."""
    file = folder / "scheduler.json"
    with process(
        *DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
        "--scheduler-file", str(file), **changes,
    ) as started:  # fmt: skip
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        yield json.loads(file.read_text(encoding="utf-8"))["address"], started


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler that tests share; each brings its workers.

    It gives up a call after two dead workers, and a worker after five seconds: ten heartbeats are
    the least time for that.
    """
    patience = {
        "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1",
        "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "1s",
    }
    with new_scheduler(tmp_path_factory.mktemp("dask"), **patience) as (address, _):
        yield address


def worker(address: str, **changes: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """The process of a worker of one thread."""
    command = (*DASK, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard")
    return process(*command, **changes)


@contextmanager
def workers(address: str, number: int, **changes: str) -> Iterator[list[subprocess.Popen[str]]]:
    """The processes of that many workers, all that the scheduler has."""
    from distributed import Client

    with Client(address, timeout=30, set_as_default=False) as client, ExitStack() as stack:
        wait_for(lambda: not client.nthreads())  # those of the test before
        started = [stack.enter_context(worker(address, **changes)) for _ in range(number)]
        wait_for(lambda: len(client.nthreads()) == number)
        yield started


class AfterTheFirst:
    """A ledger that calls a function when the first row is finished."""

    def __init__(self, event: Callable[[], object]) -> None:
        self._event, self.finished = event, 0

    def add(self, rows: Sequence[Any]) -> None:
        """Count a row."""
        self.finished += 1
        if self.finished == 1:
            self._event()

    def failure(self, error: OSError) -> str:
        """Name an error of the system, which none of these tests expects."""
        return str(error)


def outcome_of(
    mapper: AbstractContextManager[Mapper], after_the_first: Callable[[], object] = bool
) -> runner.Outcome[Any]:
    """The outcome of a run of eight rows, of some tenths of a second each."""
    asked = [Experiment(dim=dim, scale="sqrt", samples=5_000_000) for dim in range(256, 264)]
    points = [runner.ResumePoint(LayerStudy(experiment)) for experiment in asked]
    ledger = AfterTheFirst(after_the_first)
    return runner.run(points, runner.RunOptions(), mapper, ledger=ledger)


@pytest.fixture(scope="module")
def expected() -> runner.Outcome[Any]:
    """The outcome with threads."""
    return outcome_of(threads(2))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "freezes"])
def test_a_worker_that_dies_or_freezes_only_delays_a_run(
    scheduler: str, expected: runner.Outcome[Any], number: int
) -> None:
    """Dask computes its blocks again; a frozen one counts as dead after the worker-ttl."""
    with workers(scheduler, 2) as (_, second):
        outcome = outcome_of(
            cluster(scheduler, 0), after_the_first=lambda: second.send_signal(number)
        )
    assert outcome.failure is None
    assert repr(outcome.rows) == repr(expected.rows)


def test_a_call_that_kills_several_workers_is_one_sentence(scheduler: str) -> None:
    """Dask does not try for ever."""
    with (
        workers(scheduler, 2),
        cluster(scheduler, 0) as mapper,
        pytest.raises(ComputeError, match="several workers died, one after the other"),
    ):
        list(mapper(os._exit, EqualJobs([1])))


def test_a_cluster_of_processes_here_gives_the_same_bytes() -> None:
    """With a precision too, and quietly."""
    args = ("--dim", "64,512", "--scale", "sqrt", "--precision", "0.5%", "--histogram")
    plain, processes = run(*args, "-f", "jsonl"), run(
        *args, "-f", "jsonl", "--scheduler", "local", "-j", "2"
    )  # fmt: skip
    assert processes.returncode == 0
    assert (processes.stdout, processes.stderr) == (plain.stdout, plain.stderr)


def test_a_local_cluster_replaces_frozen_processes() -> None:
    """Its worker-ttl is shorter than Dask's five minutes."""
    with _local(0) as local:
        scheduler: Any = local.scheduler
        assert scheduler.worker_ttl == 30.0


def test_only_its_user_reaches_a_local_cluster() -> None:
    """Its scheduler, worker and nanny refuse others, HTTP shows nothing, and folders are closed."""
    from distributed import Client, Security

    with _local(1) as local:
        with Client(local.scheduler_address, security=local.security, set_as_default=False) as user:
            ((computes, known),) = user.scheduler_info()["workers"].items()
        for address in (local.scheduler_address, known["nanny"], computes):
            assert answers(address, local.security)
            assert not answers(address, Security.temporary())
            assert not answers(address.replace("tls:", "tcp:"), Security())
        scheduler: Any = local.scheduler
        folder = Path(scheduler.local_directory).parents[1]
        assert folder.stat().st_mode & 0o077 == 0
        assert Path(known["local_directory"]).is_relative_to(folder)
        for port in (scheduler.http_server.port, known["services"]["dashboard"]):
            for path in ("metrics", "health", "json/counts.json", "info/main/workers.html"):
                with pytest.raises(HTTPError, match="404"):
                    urlopen(f"http://127.0.0.1:{port}/{path}")


def answers(address: str, security: Security) -> bool:
    """Whether a server of a cluster answers a client with that certificate."""
    from distributed.core import rpc

    async def identity() -> object:
        args = security.get_connection_args("client")
        async with rpc(address, timeout=1, connection_args=args) as server:
            return await server.identity()

    try:
        return bool(asyncio.run(identity()))
    except OSError:
        return False


def test_a_cluster_with_certificates_computes_for_those_who_have_them(
    tmp_path: Path,
) -> None:
    """Certificates are those of Dask's configuration; without them, no scheduler answers."""
    from distributed import Security

    security = Security.temporary()
    file = tmp_path / "all.pem"
    file.write_text(security.tls_client_key + security.tls_client_cert, encoding="utf-8")
    tls = {"DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "True"}
    for name in ("CA_FILE", "CLIENT__CERT", "SCHEDULER__CERT", "WORKER__CERT"):
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{name}"] = str(file)
    with new_scheduler(tmp_path, **tls) as (address, _), worker(address, **tls):
        assert address.startswith("tls://")
        args = ("-d", "64", "-f", "csv", "--scheduler", address)
        assert run(*args, **tls).stdout == run(*args[:-2]).stdout
        assert_refused(run(*args), f"no scheduler answers at {address}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_a_signal_to_all_processes_of_a_local_cluster_keeps_the_finished_rows(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As from a terminal that is closed: exit 130, and no process prints a traceback."""
    file = tmp_path / "sweep.csv"
    with subprocess.Popen(
        [*VARSIM, *LONG, "--scheduler", "local", "-j", "1", "--output", str(file), "--resume"],
        env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    ) as running:  # fmt: skip
        wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") >= 2)
        os.killpg(running.pid, number)
        stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout == file.read_text(encoding="utf-8")
    assert re.fullmatch(
        r"Interrupted: \d of 8 rows were done\.\n\d of \d agree with theory\.\n", stderr
    )


def test_a_scheduler_without_workers_is_one_sentence(
    scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Within seconds, and with what to do."""
    monkeypatch.setattr("varsim.compute.cluster._CONNECT_SECONDS", 1)
    with workers(scheduler, 0):
        assert failure(scheduler).endswith(
            f"has no workers; start some with: dask worker {scheduler}"
        )


def failure(address: str) -> str:
    """The sentence of a cluster that cannot be used."""
    with pytest.raises(ComputeError) as refused, cluster(address, 0):
        pass
    return str(refused.value)


HURRIED = """
from varsim.cli import main
from varsim.compute import cluster
cluster._CONNECT_SECONDS = 1
main()
"""


def test_a_scheduler_that_cannot_be_reached_is_one_sentence() -> None:
    """Within seconds, and without its library's words; a program that accepts all is none."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        addresses = [
            "tcp://127.0.0.1:9", "tcp://nowhere.invalid:8786",
            f"tcp://127.0.0.1:{silent.getsockname()[1]}",
        ]  # fmt: skip
        with ThreadPoolExecutor() as waiting:  # at the same time, for each waits for an answer
            refused = waiting.map(
                lambda address: subprocess.run(
                    [sys.executable, "-c", HURRIED, "--scheduler", address], text=True,
                    capture_output=True, timeout=60, env=environment(), check=False,
                ),
                addresses,
            )  # fmt: skip
            for address, done in zip(addresses, refused, strict=True):
                assert_refused(done, f"no scheduler answers at {address}")


def assert_refused(done: subprocess.CompletedProcess[str], reason: str) -> None:
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    nothing, sentence = done.stderr.splitlines()
    assert nothing == "None of the rows was finished."
    assert sentence.startswith("Error: ")
    assert reason in sentence


def test_another_version_on_a_worker_is_refused(scheduler: str, tmp_path: Path) -> None:
    """It could change the numbers, of a worker that joins later, too."""
    copy = tmp_path / "varsim"
    shutil.copytree(Path(varsim.__file__).parent, copy)
    package = copy / "__init__.py"
    changed = package.read_text(encoding="utf-8").replace(f'"{varsim.__version__}"', '"0.0.7"')
    package.write_text(changed, encoding="utf-8")
    reason = f"has varsim 0.0.7 and this machine {varsim.__version__}"
    with workers(scheduler, 1), cluster(scheduler, 0) as mapper:
        results = mapper(time.sleep, EqualJobs([0.05] * 1000))
        next(results)
        with (
            worker(scheduler, PYTHONPATH=str(tmp_path)),
            pytest.raises(ComputeError, match=f"a worker {reason}"),
        ):
            list(results)
    with workers(scheduler, 1, PYTHONPATH=str(tmp_path)):
        assert re.match(rf"the worker tcp://127\.0\.0\.1:\d+ {reason}", failure(scheduler))


def test_varsim_is_needed_on_every_worker_and_on_the_scheduler(
    scheduler: str, tmp_path: Path
) -> None:
    """The sentence says what to install there."""
    (tmp_path / "varsim.py").write_text("raise ImportError('none here')\n", encoding="utf-8")
    bare = {"PYTHONPATH": str(tmp_path)}
    reason = r"cannot load varsim \(.*none here.*\); install varsim"
    with workers(scheduler, 1, **bare):
        assert re.search(reason, failure(scheduler))
    with new_scheduler(tmp_path, **bare) as (address, _), workers(address, 1):
        assert re.search(reason, failure(address))


def test_a_scheduler_that_dies_keeps_the_rows_that_are_done(
    tmp_path: Path, expected: runner.Outcome[Any]
) -> None:
    """The run ends with a sentence; no row is lost, or changed."""
    with new_scheduler(tmp_path) as (address, mortal), workers(address, 1):
        outcome = outcome_of(cluster(address, 0), after_the_first=mortal.kill)
    assert outcome.failure == (
        "the connection to the scheduler was lost; check the scheduler, and repeat the command, "
        "with --resume to skip finished rows"
    )
    assert 1 <= len(outcome.rows) < len(expected.rows)


def test_an_interrupt_ends_a_run_whose_scheduler_does_not_answer(tmp_path: Path) -> None:
    """At once, and the rows that are done are kept."""
    file = tmp_path / "sweep.csv"
    with new_scheduler(tmp_path) as (address, head), workers(address, 1):
        command = [*VARSIM, *LONG, "--scheduler", address, "--output", str(file), "--resume"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") >= 2)
            head.send_signal(signal.SIGSTOP)
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=60)
        head.send_signal(signal.SIGCONT)
    assert running.returncode == 130
    assert stdout == file.read_text(encoding="utf-8")
    assert "Interrupted: " in stderr
    assert "Traceback" not in stderr


def test_an_initializer_that_raises_what_ends_programs_is_one_sentence(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker it would end the thread, with a traceback, and the next worker's after it."""
    for error in ("KeyboardInterrupt", "Bang"):
        (tmp_path / f"late_{error}.py").write_text(
            "from itertools import count\n"
            "class Bang(BaseException): pass\n"
            "def f(rng, shape, calls=count()):\n"
            f"    if next(calls) > 9: raise {error}('gave up')\n"
            "    return rng.standard_normal(shape)\n",
            encoding="utf-8",
        )
    monkeypatch.chdir(tmp_path)
    path = os.pathsep.join([str(Path(varsim.__file__).parents[1]), str(tmp_path)])
    with workers(scheduler, 1, PYTHONPATH=path):
        for error in ("KeyboardInterrupt", "Bang"):
            done = run(
                "-d", "64", "-i", f"late_{error}:f", "--scheduler", scheduler, PYTHONPATH=path
            )
            assert_refused(done, error)


class FakeClient:
    """A client of no scheduler; calls run on threads."""

    def __init__(self) -> None:
        self.scheduler_comm = object()
        self.threads = 1

    def nthreads(self, callback_timeout: float) -> dict[str, int]:
        """Return the threads by worker."""
        return {"a worker": self.threads}

    def get_executor(self, **_: object) -> ThreadPoolExecutor:
        """Return an executor of a thread that is not waited for."""
        return ThreadPoolExecutor(1)

    def close(self, timeout: float) -> None:
        """Do nothing."""


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """The client of every cluster of a test; it is asked every time."""
    client = FakeClient()
    monkeypatch.setattr("varsim.compute.cluster._connect", lambda *_: client)
    monkeypatch.setattr("varsim.compute.cluster._check_workers", lambda _: None)
    monkeypatch.setattr("varsim.compute.cluster._POLL_SECONDS", 0.0)
    return client


def test_twice_as_many_calls_as_threads_are_in_flight(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More of them when workers join, and fewer when they leave."""
    monkeypatch.setattr("varsim.compute.cluster._seconds", lambda _: (0.0, 0.0))  # a job per call
    handed_out = 0

    def jobs() -> Iterator[int]:
        nonlocal handed_out
        while True:
            handed_out += 1
            yield handed_out

    with cluster("tcp://here:1", 0) as mapper:
        results, ahead = mapper(abs, EqualJobs(jobs())), []
        for client.threads in (1, 1, 4, 4, 2, 2, 2, 2, 2, 2):
            done = next(results)
            ahead.append(handed_out - done + 1)
    assert ahead == [2, 2, 8, 8, 7, 6, 5, 4, 4, 4]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("scheduler_comm", None), "the connection to the scheduler was lost; check the scheduler"),
        (("threads", 0), "the cluster has lost all of its workers; start some"),
    ],
    ids=["connection", "workers"],
)
def test_a_call_that_cannot_end_is_not_waited_for(
    client: FakeClient, monkeypatch: pytest.MonkeyPatch, change: tuple[str, object], sentence: str
) -> None:
    """Dask's future of a result on its way never ends, nor does a call without workers."""
    monkeypatch.setattr("varsim.compute.cluster._WORKERLESS_SECONDS", 0.1)
    stuck = Event()
    end_of_patience = Timer(30.0, stuck.set)
    end_of_patience.start()
    with cluster("tcp://here:1", 0) as mapper:
        results = mapper(lambda _: stuck.wait(), EqualJobs(repeat(1)))
        Timer(0.5, setattr, (client, *change)).start()
        with pytest.raises(ComputeError, match=sentence):
            next(results)
    assert not stuck.is_set()
    end_of_patience.cancel()
    stuck.set()


@pytest.mark.parametrize("package", ["cryptography", "distributed"])
def test_without_its_packages_it_is_one_sentence(tmp_path: Path, package: str) -> None:
    """The missing one is named; nothing else needs it."""
    (tmp_path / f"{package}.py").write_text("raise ImportError('none here')\n", encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run("--scheduler", "local", PYTHONPATH=path)
    assert_refused(done, f"pip install {package}")


@pytest.mark.parametrize(
    "address", ["here", "tcp:/host:1", "host:8786", "", "tcp://host", "http://host:80"]
)
def test_no_address_at_all_is_a_usage_error(address: str) -> None:
    """Before anything is connected to."""
    done = here("--scheduler", address)
    assert done.returncode == 2
    assert "give local, or one like tcp://localhost:8786" in done.stderr


class Recorder:
    """A mapper that computes at once and notes how many items every group had."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def mapper(self) -> Map:
        class Executor:
            def submit(_, function: Callable[[T], R], group: T, /) -> Done[R]:  # noqa: N805
                assert isinstance(group, tuple)
                self.sizes.append(len(group))
                return Done(function(group))

        return ordered_map(Executor(), in_flight=lambda: 4)


class Done(Generic[R]):
    """A task that is done."""

    def __init__(self, value: R) -> None:
        self.value = value

    def result(self) -> R:
        return self.value

    def cancel(self) -> None:
        pass


@pytest.mark.parametrize("items", [range(0), range(1), range(7), range(5000)])
def test_groups_keep_items_and_order(items: range) -> None:
    """Whatever the grouping, what comes out is what a plain map gives."""
    recorder = Recorder()
    mapper = grouped(recorder.mapper(), capacity=lambda: 2, seconds=_seconds)
    assert list(mapper(abs, EqualJobs(items))) == list(map(abs, items))
    assert sum(recorder.sizes) == len(items)
    if len(items) == 5000:
        assert len(recorder.sizes) < 100, "short items go in large groups"


def test_a_group_is_worth_a_good_fraction_of_a_second() -> None:
    """Its cost takes 0.05 to 0.4 s at the pace so far, and less towards the end."""
    assert _budget(pace=0.001, share=1e9, seconds=_SECONDS) == 400
    assert _budget(pace=0.001, share=100, seconds=_SECONDS) == 100
    assert _budget(pace=0.001, share=3, seconds=_SECONDS) == 50
    assert _budget(pace=1e-9, share=100, seconds=_SECONDS) == pytest.approx(5e7)
    assert _budget(pace=7.0, share=100, seconds=_SECONDS) < 0.1
    assert _budget(pace=0.0, share=100, seconds=_SECONDS) == 0.0


@dataclass(frozen=True)
class Item:
    """Work of a cost."""

    cost: float


def test_a_group_holds_one_item_or_as_many_as_its_budget_pays() -> None:
    """A long one goes alone."""
    for cost, count, budget, number in (
        (1.0, 5, 0.0, 1), (1.0, 5, 2.0, 2), (1.0, 5, 2.5, 3), (1.0, 5, 9.0, 5), (1.0, 0, 9.0, 0),
        (100.0, 3, 50.0, 1), (0.5, 9, 2.0, 4), (3.0, 3, 4.0, 2),
    ):  # fmt: skip
        jobs = Items(count, cost, remaining=100.0)
        rest = iter(jobs)
        assert list(_group(jobs, rest, budget)) == [Item(cost)] * number
        assert list(rest) == [Item(cost)] * (count - number)


class Items:
    """Items that know how much work is left, which is more than they are."""

    def __init__(self, number: int, cost: float, remaining: float) -> None:
        self._number, self._cost, self.remaining = number, cost, remaining

    def __iter__(self) -> Iterator[Item]:
        """Hand them out."""
        for _ in range(self._number):
            self.remaining -= self._cost
            yield Item(self._cost)

    def cost(self, item: Item) -> float:
        """Return its cost."""
        return item.cost

    def ask_for(self, cost: float) -> None:
        """Stay as they are."""


def sizes_of_groups(
    monkeypatch: pytest.MonkeyPatch, cost: float, remaining: float, first: float = 1.0
) -> list[int]:
    """How many items groups hold, of 4000 units of work that take a thousandth of a second each.

    The first item takes so many times as long.
    """
    clock, pace = 0.0, first / 1000

    def work(item: Item) -> float:
        nonlocal clock, pace
        clock += item.cost * pace
        pace = 1 / 1000
        return item.cost

    monkeypatch.setattr("varsim.compute.processes.time.perf_counter", lambda: clock)
    recorder, number = Recorder(), round(4000 / cost)
    items = Items(number, cost, remaining)
    results = list(grouped(recorder.mapper(), capacity=lambda: 2, seconds=_seconds)(work, items))
    assert results == [cost] * number
    return recorder.sizes


@pytest.mark.parametrize(
    ("cost", "beyond", "largest", "last"),
    [(1.0, 0.0, 400, 50), (10.0, 0.0, 40, 5), (1.0, 1e6, 400, 400)],
)  # fmt: skip
def test_groups_are_sized_by_cost_and_by_what_remains(
    monkeypatch: pytest.MonkeyPatch, cost: float, beyond: float, largest: int, last: int
) -> None:
    """An equal share of what is left, from 0.05 s to 0.4 s."""
    sizes = sizes_of_groups(monkeypatch, cost, 4000.0 + beyond)
    assert sizes[:5] == [1, 1, 1, 1, 8], "nothing is known before the first is done"
    assert largest <= max(sizes) <= largest + 1
    peak = sizes.index(max(sizes))
    assert sizes[:peak] == sorted(sizes[:peak]), "they grow with what is known"
    assert sizes[peak:] == sorted(sizes[peak:], reverse=True)
    assert sizes[-2] >= last


def test_a_group_that_ends_at_once_makes_the_next_ones_no_larger_than_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A first item that fails tells nothing of the pace of the others."""
    sizes = sizes_of_groups(monkeypatch, 1.0, 4000.0, first=0.0)
    assert sizes[:5] == [1, 1, 1, 1, 8]
    assert max(sizes) < 700


class Asked(Items):
    """Items that are as large as is asked for."""

    def ask_for(self, cost: float) -> None:
        """Take note of what the next may cost."""
        self._cost = max(1.0, cost)


def test_items_that_can_be_large_are_asked_for_in_their_groups_size() -> None:
    """A group is one of them then, and no larger than its budget."""
    rest = Asked(10, 1.0, 100.0)
    assert [item.cost for item in _group(rest, iter(rest), 0.0)] == [1.0]
    assert [item.cost for item in _group(rest, iter(rest), 7.0)] == [7.0]
