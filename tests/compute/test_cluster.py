"""A cluster: the same bytes, whoever computes them, and whichever worker dies meanwhile."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Generic, TypeVar

import pytest

import varsim
from tests.program import VARSIM, environment, here, run, wait_for
from varsim.compute import ComputeError, EqualJobs, Map, Mapper, ordered_map
from varsim.compute.cluster import _SECONDS, _check_worker, _seconds, _Task, cluster
from varsim.compute.processes import _budget, _group, grouped
from varsim.compute.provenance import fingerprint

pytest.importorskip("distributed", reason="the extra varsim[cluster] is not installed")

T = TypeVar("T")
R = TypeVar("R")

DASK = [str(Path(sys.executable).with_name("dask"))]
LONG = ("--dim", "300,512", "--scale", "sqrt,he", "--samples", "60000000", "--format", "csv")


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
def new_scheduler(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A real scheduler on loopback: its address and its process."""
    file = folder / "scheduler.json"
    with process(
        *DASK, "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
        "--scheduler-file", str(file),
    ) as started:  # fmt: skip
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        yield json.loads(file.read_text(encoding="utf-8"))["address"], started


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler that tests share."""
    with new_scheduler(tmp_path_factory.mktemp("dask")) as (address, _):
        yield address


def worker(
    address: str, name: str, **changes: str
) -> AbstractContextManager[subprocess.Popen[str]]:
    return process(
        *DASK, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard",
        "--name", name, **changes,
    )  # fmt: skip


def wait_for_workers(address: str, number: int) -> None:
    from distributed import Client

    with Client(address, timeout=30, set_as_default=False) as client:
        client.wait_for_workers(number, timeout=60)


def test_one_of_two_workers_is_killed_and_nothing_is_lost(scheduler: str, tmp_path: Path) -> None:
    """Same bytes as with threads, for a run that loses a worker in the middle of it."""
    expected = run(*LONG)
    with worker(scheduler, "one"), worker(scheduler, "two") as second:
        wait_for_workers(scheduler, 2)
        file = tmp_path / "sweep.csv"
        command = [*VARSIM, *LONG, "--scheduler", scheduler, "--output", str(file), "--resume"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") >= 2)
            second.send_signal(signal.SIGKILL)
            stdout, stderr = running.communicate(timeout=100)
    assert running.returncode == 0, stderr
    assert stderr == expected.stderr
    assert stdout == expected.stdout == file.read_text(encoding="utf-8")


def test_a_cluster_of_processes_here_gives_the_same_bytes() -> None:
    """With a precision too, and quietly."""
    args = ("--dim", "64,512", "--scale", "sqrt", "--precision", "0.1%", "--histogram")
    threads, processes = run(*args, "-f", "jsonl"), run(
        *args, "-f", "jsonl", "--scheduler", "local", "-j", "2"
    )  # fmt: skip
    assert processes.returncode == 0
    assert (processes.stdout, processes.stderr) == (threads.stdout, threads.stderr)


def test_a_scheduler_without_workers_is_one_sentence(scheduler: str) -> None:
    """Within seconds, and with what to do."""
    assert_refused(run("--scheduler", scheduler), "has no workers; start some with")


def test_a_scheduler_that_cannot_be_reached_is_one_sentence() -> None:
    """Within seconds, and without what its library has to say of it."""
    addresses = ["tcp://127.0.0.1:9", "tcp://nowhere.invalid:8786"]
    with ThreadPoolExecutor() as waiting:  # at the same time, for each waits for an answer
        refused = waiting.map(partial(run, "--scheduler"), addresses)
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
    """It could change the numbers."""
    copy = tmp_path / "varsim"
    shutil.copytree(Path(varsim.__file__).parent, copy)
    package = copy / "__init__.py"
    changed = package.read_text(encoding="utf-8").replace(f'"{varsim.__version__}"', '"0.0.7"')
    package.write_text(changed, encoding="utf-8")
    with worker(scheduler, "old", PYTHONPATH=str(tmp_path)):
        wait_for_workers(scheduler, 1)
        done = run("--scheduler", scheduler)
    assert_refused(done, f"has varsim 0.0.7 and this machine {varsim.__version__}")
    assert re.search(r"the worker tcp://127\.0\.0\.1:\d+ has", done.stderr)


def test_a_worker_without_varsim_is_one_sentence(scheduler: str, tmp_path: Path) -> None:
    """It says what to install there."""
    (tmp_path / "varsim.py").write_text("raise ImportError('none here')\n", encoding="utf-8")
    with worker(scheduler, "bare", PYTHONPATH=str(tmp_path)):
        wait_for_workers(scheduler, 1)
        assert_refused(
            run("--scheduler", scheduler),
            "cannot load varsim (ImportError('none here')); install varsim",
        )


def test_a_scheduler_that_dies_keeps_the_rows_that_are_done(tmp_path: Path) -> None:
    """The run ends with a sentence, and the same command goes on without it."""
    file = tmp_path / "sweep.csv"
    with new_scheduler(tmp_path) as (address, mortal), worker(address, "only"):
        wait_for_workers(address, 1)
        command = [*VARSIM, *LONG, "--scheduler", address, "--output", str(file), "--resume"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            text=True,
        ) as running:  # fmt: skip
            wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") >= 2)
            mortal.kill()
            _, stderr = running.communicate(timeout=60)
    assert running.returncode == 1
    assert stderr.splitlines()[-1] == "Error: the connection to the scheduler was lost."
    assert 2 <= file.read_bytes().count(b"\n") < 5
    assert run(*LONG, "--output", str(file), "--resume").stdout == run(*LONG).stdout


class Naps(EqualJobs[float]):
    """Naps of a twentieth of a second, which are wanted for half a minute at most."""

    def __init__(self, number: int) -> None:
        super().__init__([0.05] * number)
        self._deadline = time.monotonic() + 30

    def is_wanted(self) -> bool:
        """Tell whether to go on waiting."""
        return time.monotonic() < self._deadline


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever gives no sign of life for two seconds is silent."""
    monkeypatch.setattr("varsim.compute.cluster._SILENT_SECONDS", 2.0)
    monkeypatch.setattr("varsim.compute.cluster._POLL_SECONDS", 0.2)


@pytest.mark.usefixtures("impatient")
def test_a_worker_that_does_not_answer_is_named_and_others_compute_its_blocks(
    scheduler: str,
) -> None:
    """It stays silent to the end, and every result is there."""
    messages: list[str] = []
    with worker(scheduler, "one"), worker(scheduler, "two") as second:
        wait_for_workers(scheduler, 2)
        with cluster(scheduler, 0, messages.append) as mapper:
            results = mapper(time.sleep, Naps(100))
            first = [next(results) for _ in range(20)]
            second.send_signal(signal.SIGSTOP)
            assert len([*first, *results]) == 100
    pattern = r"The worker at tcp://127\.0\.0\.1:\d+ has not answered for 2 s; other workers .*\."
    assert any(re.fullmatch(pattern, sentence) for sentence in messages), messages


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("member", ["scheduler", "worker"])
def test_a_run_waits_for_whom_it_cannot_do_without(member: str, tmp_path: Path) -> None:
    """One message for a member that does not answer, and another when it answers again."""
    messages: list[str] = []
    with new_scheduler(tmp_path) as (address, head), worker(address, "only") as only:
        wait_for_workers(address, 1)
        stopped = {"scheduler": head, "worker": only}[member]

        def tell(sentence: str) -> None:
            messages.append(sentence)
            stopped.send_signal(signal.SIGCONT)

        with cluster(address, 0, tell) as mapper:
            results = mapper(time.sleep, Naps(60))
            first = [next(results) for _ in range(10)]
            stopped.send_signal(signal.SIGSTOP)
            assert len([*first, *results]) == 60
            wait_for(lambda: mapper_asks_until_it_answers(mapper, messages))
    where = address if member == "scheduler" else r"tcp://127\.0\.0\.1:\d+"
    silent = (
        rf"The {member} at {where} has not answered for 2 s; the run waits, and Ctrl-C ends it .*"
    )
    assert re.fullmatch(silent, messages[0])
    assert re.fullmatch(rf"The {member} at {where} answers again\.", messages[1])


def mapper_asks_until_it_answers(mapper: Mapper, messages: list[str]) -> bool:
    list(mapper(abs, EqualJobs(range(2))))
    return len(messages) >= 2


def test_an_interrupt_ends_a_run_whose_scheduler_does_not_answer(tmp_path: Path) -> None:
    """At once, and the rows that are done are kept."""
    file = tmp_path / "sweep.csv"
    with new_scheduler(tmp_path) as (address, head), worker(address, "only"):
        wait_for_workers(address, 1)
        command = [*VARSIM, *LONG, "--scheduler", address, "--output", str(file), "--resume"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as running:
            wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") >= 2)
            head.send_signal(signal.SIGSTOP)
            running.send_signal(signal.SIGINT)
            stdout, stderr = running.communicate(timeout=60)
    assert running.returncode == 130
    assert stdout == file.read_text(encoding="utf-8")
    assert "Interrupted: " in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "Bang"])
def test_an_initializer_that_raises_what_ends_programs_is_one_sentence(
    error: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a worker it would end the thread, with a traceback, and the next worker's after it."""
    (tmp_path / "late.py").write_text(
        "from itertools import count\n"
        "class Bang(BaseException): pass\n"
        "def f(rng, shape, calls=count()):\n"
        f"    if next(calls) > 9: raise {error}('gave up')\n"
        "    return rng.standard_normal(shape)\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    path = str(Path(varsim.__file__).parents[1])
    done = run("-d", "64", "-i", "late:f", "--scheduler", "local", "-j", "1", PYTHONPATH=path)
    assert_refused(done, error)
    assert len(done.stderr.splitlines()) == 2


class FakeFuture:
    """Of a call that ends in an error, or of a scheduler that has gone."""

    def __init__(self, status: str, error: Exception) -> None:
        self.status, self._error = status, error

    def result(self, timeout: float) -> None:
        raise self._error

    exception = result

    def cancel(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("status", "error", "expected"),
    [
        ("lost", RuntimeError("Cannot change state of expiring Timeout"), ComputeError("the conn")),
        ("cancelled", OSError("Timed out"), ComputeError("the connection to the scheduler was")),
        ("error", RuntimeError("can't start new thread"), RuntimeError("can't start new thread")),
        ("error", ComputeError("a worker has NumPy 1"), ComputeError("a worker has NumPy 1")),
    ],
)
def test_a_lost_connection_is_not_the_error_of_a_call(
    status: str, error: Exception, expected: Exception
) -> None:
    """A scheduler that dies ends calls in whatever asyncio raises as it closes."""
    tasks: Any = SimpleNamespace(send=lambda *_: FakeFuture(status, error))
    task: _Task[int] = _Task(tasks, abs, 1)
    with pytest.raises(type(expected), match=str(expected)) as raised:
        task.result()
    assert type(raised.value) is type(expected)
    if status != "error":
        task.cancel()


def test_without_distributed_it_is_one_sentence(tmp_path: Path) -> None:
    """The extra is named; nothing else needs it."""
    (tmp_path / "distributed.py").write_text("raise ImportError('none here')\n", encoding="utf-8")
    done = run("--scheduler", "local", PYTHONPATH=str(tmp_path))
    assert_refused(done, "pip install distributed")


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

    def is_wanted(self) -> bool:
        """Return True."""
        return True


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


def test_a_group_is_refused_by_a_worker_that_joined_with_other_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every group carries the versions it is to be computed with."""
    check = partial(_check_worker, fingerprint())
    mapper = grouped(Recorder().mapper(), capacity=lambda: 1, seconds=_seconds, check=check)
    results = mapper(abs, EqualJobs(range(50)))
    next(results)
    monkeypatch.setattr("varsim.compute.cluster.offered", lambda: {"NumPy": "1.0"})
    with pytest.raises(ComputeError, match="a worker has varsim None and this machine"):
        list(results)
