"""A run from its questions to its exit code, interrupted or not."""

from __future__ import annotations

import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.program import COMMANDS, VARSIM, each_measuring, environment, here, run, wait_for
from varsim import Experiment
from varsim.cli.program import varsim


@each_measuring
def test_the_rows_are_the_same_for_any_number_of_workers(command: str) -> None:
    """One, two or five threads give the same bytes."""
    args = (*COMMANDS[command].split(), "--format", "jsonl", "--workers")
    assert len({here(*args, workers).stdout for workers in ("1", "2", "5")}) == 1


@each_measuring
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(command: str) -> None:
    """The same command gives the same rows tomorrow."""
    args = (*COMMANDS[command].split(), "--format", "json", "--seed")
    first, second, other = (here(*args, seed).stdout for seed in ("7", "7", "8"))
    assert first == second != other


def cpu_seconds(process: int) -> float:
    """What a process and its children have computed so far."""
    folder = Path(f"/proc/{process}")
    ticks = sum(map(int, (folder / "stat").read_text().split()[13:15]))
    children = (folder / f"task/{process}/children").read_text().split()
    return ticks / os.sysconf("SC_CLK_TCK") + sum(cpu_seconds(int(child)) for child in children)


def work(process: subprocess.Popen[str], seconds: float) -> None:
    """Wait until a process has computed for so long: however busy the machine, it is well begun."""
    deadline = time.monotonic() + 60
    while cpu_seconds(process.pid) < seconds:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
def test_an_interrupt_keeps_the_finished_rows(tmp_path: Path, number: signal.Signals) -> None:
    """In the middle of the second row: the first is on the screen and in the file; exit 130."""
    file = tmp_path / "results.jsonl"
    with subprocess.Popen(
        [*VARSIM, "--dim", "4,3e7", "-s", "sqrt", "--design", "paired", "-n", "64000",
         "-o", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(),
    ) as process:  # fmt: skip
        work(process, 0.8)
        process.send_signal(number)
        process.send_signal(signal.SIGTERM)  # a second one must not lose what the first has saved
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [json.loads(line)["dim"] for line in file.read_text().splitlines()] == [4]
    assert re.search(r"^ *4  sqrt ", out, re.MULTILINE)
    assert "Interrupted: 1 of 2 rows were done." in err
    assert "Interrupted: 1 of 2 rows were done." in out
    assert "Traceback" not in err


LONG = {
    "varsim": ("rows", "-d 512 -s sqrt -n 1e10", "blocks", 64),
    "layers": ("stacks", "layers --width 32 --depth 2 --networks 1e6", "networks", 8),
    "init": ("initializers", "init orthogonal -d 64 --draws 1e6", "draws", 8),
}
"""Per command: what its rows are called, hours of work, its replicates, and the least of them."""


@pytest.mark.parametrize("command", LONG)
def test_an_interrupt_in_a_single_row_keeps_what_is_done_of_it(
    tmp_path: Path, command: str
) -> None:
    """The row is on the screen and in the file, with a caveat on how far it came; exit 130."""
    name, args, replicates, least = LONG[command]
    file = tmp_path / "results.jsonl"
    with subprocess.Popen(
        [*VARSIM, *args.split(), "-o", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(),
    ) as process:  # fmt: skip
        work(process, 1.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    done = {row[replicates] for row in kept}
    assert len(done) == 1
    assert min(done) >= least
    caveat = rf"the run ended after {done.pop():,} of [\d,]+ {replicates}"
    for row in kept:
        (told,) = (c["message"] for c in row["caveats"] if c["id"] == "interrupted")
        assert re.fullmatch(caveat, told)
        assert row["agrees"] in (True, False)
    assert re.search(rf"^Caveat: .*{caveat}\.$", err, re.MULTILINE)
    sentence = f"Interrupted: 0 of 1 {name} were done, and 1 in part."
    assert sentence in err
    assert sentence in out
    assert len(re.findall(r"  agrees", out)) == len(kept)
    assert "Traceback" not in err


def test_an_interrupt_before_the_first_row_leaves_the_old_file(tmp_path: Path) -> None:
    """There is nothing to write, so nothing is written."""
    file = tmp_path / "results.csv"
    file.write_text("old")
    with subprocess.Popen(
        [*VARSIM, "--dim", "1e6", "-s", "sqrt", "--design", "paired", "-o", str(file)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(),
    ) as process:  # fmt: skip
        work(process, 0.8)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "None of the rows was finished." in err
    assert file.read_text() == "old"


@pytest.mark.parametrize("draws_before", [0, 2], ids=["at the first draw", "in the run"])
def test_an_interrupt_does_not_wait_for_a_long_draw(tmp_path: Path, draws_before: int) -> None:
    """A library that works for minutes in one call holds no signal up; exit 130."""
    (tmp_path / "mine.py").write_text(
        "import hashlib, itertools, pathlib\n"
        "draws = itertools.count()\n"
        "def slow(rng, shape):\n"
        f"    if next(draws) >= {draws_before}:\n"
        "        pathlib.Path('begun').touch()\n"
        "        hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)\n"
        "    return rng.standard_normal(shape)\n"
    )
    with subprocess.Popen(
        [*VARSIM, "-d", "1100", "-i", "mine:slow", "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
    ) as process:  # fmt: skip
        wait_for((tmp_path / "begun").exists)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


@pytest.mark.skipif(sys.platform != "linux", reason="needs a limit on addresses")
def test_a_lack_of_memory_at_the_start_is_told_in_a_sentence() -> None:
    """NumPy cannot be loaded; exit 1."""
    command = f"ulimit -v 60000; exec {shlex.join([*VARSIM, '-s', 'sqrt', '-n', '64'])}"
    done = subprocess.run(
        ["bash", "-c", command], capture_output=True, encoding="utf-8", env=environment(),
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (sentence,) = done.stderr.splitlines()
    assert re.match(r"Error: .*([mM]emory|segment).*; (take fewer|give it more)", sentence)


@pytest.mark.parametrize("command", ["", "layers", "gains"])
@pytest.mark.parametrize("error", ["RuntimeError('no\\n(such feature).')", "KeyError"])
def test_a_numpy_that_cannot_be_loaded_is_told_in_a_sentence(
    tmp_path: Path, command: str, error: str
) -> None:
    """Whatever it raises, as for a variable that disables what it needs; help needs no NumPy."""
    (tmp_path / "numpy").mkdir()
    (tmp_path / "numpy" / "__init__.py").write_text(f"raise {error}\n")
    broken = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    done = run(*command.split(), **broken)
    assert (done.returncode, done.stdout) == (1, "")
    reason = "no (such feature)" if "such" in error else error
    assert done.stderr.startswith(f"Error: varsim cannot be loaded ({reason}); give it more")
    assert done.stderr.count("\n") == 1
    if command == "layers":
        assert run("layers", "--help", **broken).returncode == 0


def faulty(monkeypatch: pytest.MonkeyPatch, *args: str) -> int:
    """Exit code of a varsim whose W is divided by 1.1 k."""
    fault = property(lambda self: 1.1 * math.sqrt(self.k_squared))
    monkeypatch.setattr(Experiment, "k", fault)
    return int(varsim.main([*args], standalone_mode=False))


def test_check_is_3_only_when_a_verdict_disagrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that a shell script can rely on it."""
    args = ("--dim", "64", "--samples", "640000", "--scale", "none,sqrt")
    assert here(*args, "--check").returncode == 0
    assert faulty(monkeypatch, *args, "--check") == 3
    assert faulty(monkeypatch, *args) == 0
    captured = capsys.readouterr()
    assert captured.out.count("  DISAGREES\n") == 4
    assert "2 of 2 disagree with theory: D = 64, scale none; D = 64, scale sqrt." in captured.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=str)
@pytest.mark.parametrize("command", ["plot", "merge", "compare", "gains"])
def test_a_signal_ends_any_command(tmp_path: Path, command: str, number: signal.Signals) -> None:
    """While it loads and while it works: exit 130, and no traceback."""
    (tmp_path / "usr.py").write_text("import time\n\ndef phi(h):\n    time.sleep(60)\n")
    os.mkfifo(tmp_path / "slow.jsonl")
    args = {"gains": ["usr:phi"], "compare": ["slow.jsonl", "slow.jsonl"]}
    with subprocess.Popen(
        [*VARSIM, command, *args.get(command, ["slow.jsonl"])],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8", env=environment(),
        cwd=tmp_path,
    ) as process:  # fmt: skip
        work(process, 0.15)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")


def test_a_signal_in_a_destructor_is_not_lost(tmp_path: Path) -> None:
    """Python ignores what is raised there, but the run ends all the same; exit 130."""
    (tmp_path / "usr.py").write_text(
        "import os, signal, time\n\n"
        "class Last:\n"
        "    def __del__(self):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        sum(range(10**6))\n\n"
        "def phi(h):\n"
        "    Last()\n"
        "    time.sleep(30)\n"
    )
    done = subprocess.run(
        [*VARSIM, "gains", "usr:phi"], capture_output=True, encoding="utf-8", cwd=tmp_path,
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])), timeout=25, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "")


def test_what_other_code_writes_is_no_data(tmp_path: Path) -> None:
    """To the descriptor, by a child process, or to Python's first stdout: it goes to stderr."""
    (tmp_path / "loud.py").write_text(
        "import os, sys\n\n"
        "def phi(h):\n"
        "    os.write(1, b'raw')\n"
        "    os.system('echo shell')\n"
        "    print('dunder', file=sys.__stdout__, flush=True)\n"
        "    return h\n"
    )
    args = ["layers", "-a", "loud:phi", "--width", "4", "--depth", "1", "-f", "jsonl"]
    done = subprocess.run(
        [*VARSIM, *args], capture_output=True, encoding="utf-8", env=environment(), cwd=tmp_path,
        check=True,
    )  # fmt: skip
    assert [json.loads(line)["activation"] for line in done.stdout.splitlines()] == ["loud:phi"]
    for word in ("raw", "shell", "dunder"):
        assert word in done.stderr


def test_code_that_closes_stdout_closes_nothing_of_the_program(tmp_path: Path) -> None:
    """Rows and sentences are written as ever."""
    (tmp_path / "mine.py").write_text(
        "import sys\n\ndef draw(rng, shape):\n    sys.stdout.close()\n"
        "    return rng.standard_normal(shape)\n"
    )
    args = ["-d", "8", "-s", "none", "-n", "6400", "-i", "mine:draw", "-f", "csv"]
    done = subprocess.run(
        [*VARSIM, *args], capture_output=True, encoding="utf-8", env=environment(), cwd=tmp_path,
        check=False,
    )  # fmt: skip
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2), done.stderr
    assert done.stderr.endswith("1 of 1 agree with theory.\n")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("import os\n\ndef phi(h):\n    os._exit(0)\n", "SystemExit: os._exit(0)"),
        (
            "import numpy as np\n\ndef phi(h):\n    return np.ma.masked_array(h, mask=h > 1)\n",
            "TypeError: it is a masked array",
        ),
    ],
    ids=["leaves", "masks"],
)
def test_code_that_leaves_or_masks_is_one_sentence(
    tmp_path: Path, source: str, sentence: str
) -> None:
    """Neither ends in exit 0 without a word, nor counts hidden entries."""
    (tmp_path / "wrong.py").write_text(source)
    args = ["layers", "-a", "wrong:phi", "--width", "4", "--depth", "1"]
    done = subprocess.run(
        [*VARSIM, *args], capture_output=True, encoding="utf-8", env=environment(), cwd=tmp_path,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr


def test_a_signal_that_other_code_swallows_is_raised_again(tmp_path: Path) -> None:
    """The second one, two seconds later, ends the run."""
    (tmp_path / "deaf.py").write_text(
        "import pathlib, time\n\n"
        "def phi(h):\n"
        "    pathlib.Path('called').touch()\n"
        "    try:\n"
        "        time.sleep(60)\n"
        "    except KeyboardInterrupt:\n"
        "        time.sleep(60)\n"
        "    return h\n"
    )
    with subprocess.Popen(
        [*VARSIM, "gains", "deaf:phi"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        encoding="utf-8", env=environment(), cwd=tmp_path,
    ) as process:  # fmt: skip
        wait_for((tmp_path / "called").exists)
        process.send_signal(signal.SIGINT)
        time.sleep(2.5)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip()) == (130, "", "")
