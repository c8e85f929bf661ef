"""Processes of this machine: the same rows as threads, and an end together with the program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.program import PATIENCE, VARSIM, environment, wait_for
from varsim.compute import mapper

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are copies on Linux")

# Many rows of a tenth of a second: processes compute them.
LONG = [*VARSIM, "--dim", "500:700", "--scale", "sqrt", "--workers", "2", "--resume"]


@contextmanager
def running(output: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has some rows in its file."""
    with subprocess.Popen(
        [*LONG, "--output", str(output)], env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    ) as started:  # fmt: skip
        try:
            wait_for(lambda: output.exists() and output.read_bytes().count(b"\n") > 2)
            yield started
        finally:
            started.kill()


def children_of(process: subprocess.Popen[str]) -> list[int]:
    """The processes that a process has started."""
    tasks = Path(f"/proc/{process.pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def is_gone(process: int) -> bool:
    """Whether a process has ended; one that nobody asks about stays as a zombie."""
    try:
        return ") Z " in Path(f"/proc/{process}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_them_all_and_keeps_the_rows(tmp_path: Path, number: int) -> None:
    """The processes end with the program, which says how far it came."""
    output = tmp_path / "rows.jsonl"
    with running(output) as program:
        children = children_of(program)
        program.send_signal(number)
        program.send_signal(signal.SIGTERM)  # a hang-up may be ignored: nohup
        _, stderr = program.communicate(timeout=PATIENCE)
    assert len(children) == 2
    assert program.returncode == 130
    assert "rows were done" in stderr
    assert "Traceback" not in stderr
    wait_for(lambda: all(map(is_gone, children)))
    assert output.read_bytes().endswith(b"}\n")


def test_they_end_when_the_program_is_killed_and_its_file_is_free(tmp_path: Path) -> None:
    """Nothing is left of a killed program, not even the lock on its file."""
    output = tmp_path / "rows.jsonl"
    with running(output) as program:
        children = children_of(program)
        os.kill(children[0], signal.SIGSTOP)  # it would hold a lock for as long as it lives
        program.kill()
        program.wait()
        again = subprocess.run(
            [*LONG, "--output", str(output), "--dry-run"], env=environment(), text=True,
            capture_output=True, timeout=PATIENCE, check=False,
        )  # fmt: skip
        os.kill(children[0], signal.SIGCONT)
        wait_for(lambda: all(map(is_gone, children)))
    assert again.returncode == 0, again.stderr
    with running(output):
        pass  # it adds rows to the same file


def test_a_process_that_is_killed_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    """As the system does when memory is short; the rows that are done stay."""
    output = tmp_path / "rows.jsonl"
    with running(output) as program:
        os.kill(children_of(program)[1], signal.SIGKILL)
        _, stderr = program.communicate(timeout=PATIENCE)
    assert program.returncode == 1
    assert "a process that computes was ended" in stderr
    assert "Traceback" not in stderr
    assert output.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    ("case", "expected"),
    [("long work", "processes"), ("short work", "threads"), ("one worker", "threads"),
     ("torch", "threads"), ("other threads", "threads"), ("no semaphores", "threads"),
     ("macOS", "threads")],
)  # fmt: skip
def test_work_goes_to_processes_where_that_is_sooner_and_safe(
    monkeypatch: pytest.MonkeyPatch, case: str, expected: str
) -> None:
    """Threads compute what is short, and what a copied process could not go on with."""
    monkeypatch.setattr(
        "varsim.compute.mapper.threading.active_count", lambda: 1 + (case == "other threads")
    )
    monkeypatch.setattr("varsim.compute.mapper.os.access", lambda *_: case != "no semaphores")
    monkeypatch.setattr(
        "varsim.compute.mapper.sys.platform", "darwin" if case == "macOS" else "linux"
    )
    for name in ("torch", "jax", "tensorflow"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    if case == "torch":
        monkeypatch.setitem(sys.modules, "torch", sys)
    monkeypatch.setattr(mapper, "threads", lambda *_, **__: "threads")
    monkeypatch.setattr(mapper, "processes", SimpleNamespace(processes=lambda _: "processes"))
    workers, work = 1 if case == "one worker" else 2, 1e6 if case == "short work" else 1e10
    chosen: object = mapper.local(workers, work)
    assert chosen == expected
