"""Storage: what is written is read again, no row is lost, and none is measured twice."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import random
import resource
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.program import VARSIM, environment, here, parse, wait_for
from tests.rows import record_of
from tests.runs import Ending, extend
from varsim import Experiment, InputError, Result, judge, simulate
from varsim.layer.result import RESULTS
from varsim.layer.study import LayerStudy
from varsim.stack.result import LAYERS
from varsim.storage import files
from varsim.storage.files import _temporary_prefix, atomic_write, open_locked, write_file
from varsim.storage.ledger import Ledger
from varsim.storage.text import csv_text, jsonl_text

SWEEP = ("--dim", "8:64:x2", "--scale", "none,sqrt,he", "--samples", "64000", "--quiet")
MANY = ("--dim", "2:41", "--scale", "sqrt", "--samples", "200000", "--quiet")
SUFFIXES = ["jsonl", "csv"]


def resume(file: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a sweep that continues a file."""
    return here(*args, "--output", str(file), "--resume")


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module", params=SUFFIXES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run of the sweep."""
    file: Path = tmp_path_factory.mktemp("whole") / f"sweep.{request.param}"
    assert resume(file, *SWEEP).returncode == 0
    return file


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_distributions_with_a_parameter_are_read_and_continued(tmp_path: Path, suffix: str) -> None:
    """Their rows are one question in every file, and another parameter is another question."""
    file, seed = tmp_path / f"rows.{suffix}", tmp_path / f"seed.{suffix}"
    settings = ("-d", "8", "-s", "none", "-n", "640", "-w", "student-t(6)")
    assert here(*settings, "-x", "bernoulli(0.5),onehot", "-o", str(file)).returncode == 0
    done = resume(file, *settings, "-x", "bernoulli(1/2),one-hot,bernoulli(0.25)")
    assert "2 of 3 rows are done already" in done.stderr
    assert here(*settings, "-x", "onehot", "--seed", "1", "-o", str(seed)).returncode == 0
    compared = here("compare", str(file), str(seed), "--format", "csv")
    assert compared.stdout.count("\n") == 2
    merged = here("merge", str(file), str(seed), "--format", "csv", "--columns", "x_dist,w_dist")
    assert sorted(merged.stdout.splitlines()[1:]) == [
        "bernoulli(0.25),student-t(6)", "bernoulli(0.5),student-t(6)", "onehot,student-t(6)"
    ]  # fmt: skip


def test_a_ledger_ends_with_the_bytes_of_an_output(whole: Path, tmp_path: Path) -> None:
    """They are those that --output alone writes, and a second run leaves the file alone."""
    plain = tmp_path / whole.name
    assert here(*SWEEP, "--output", str(plain)).returncode == 0
    assert plain.read_bytes() == whole.read_bytes()
    before = whole.stat().st_mtime_ns
    done = here(*(a for a in SWEEP if a != "--quiet"), "--output", str(whole), "--resume")
    assert "12 of 12 rows are done already" in done.stderr
    assert whole.stat().st_mtime_ns == before


def test_rows_are_in_the_order_of_the_sweep(whole: Path, tmp_path: Path) -> None:
    """Another order of its values sorts the rows anew; rows of other sweeps follow."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes())
    args = ("--dim", "32,16", "--scale", "he,sqrt", *SWEEP[4:])
    assert resume(file, *args).returncode == 0
    rows = [(r.dim, r.scale) for r in parse(file.read_text(encoding="utf-8"), file.suffix)]
    assert rows[:4] == [(32, "he"), (32, "sqrt"), (16, "he"), (16, "sqrt")]
    assert len(set(rows)) == len(rows) == 12
    assert resume(file, *SWEEP).returncode == 0
    assert file.read_bytes() == whole.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_run_that_is_killed_at_any_moment_continues(suffix: str, tmp_path: Path) -> None:
    """Killed 25 times for each format: no row is lost, and the end is byte for byte the same."""
    expected = tmp_path / f"expected.{suffix}"
    assert here(*MANY, "--output", str(expected)).returncode == 0
    whole_rows = sorted(without_verdicts(expected))
    file, rng, kills = tmp_path / f"sweep.{suffix}", random.Random(suffix), 0
    for attempt in count():
        command = [*VARSIM, *MANY, "--output", str(file), "--resume"]
        with subprocess.Popen(
            command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(0.1)
                wait_for(lambda: process.poll() is not None or file.exists())
                process.wait(rng.uniform(0.0, 0.5))
            except subprocess.TimeoutExpired:
                process.kill()
                kills += 1
        if process.returncode == 0:
            assert file.read_bytes() == expected.read_bytes()
            file.unlink()
        elif file.exists():
            assert set(without_verdicts(file)) <= set(whole_rows)
        if kills == 25:
            break
        assert attempt < 200
    assert resume(file, *MANY).returncode == 0
    assert file.read_bytes() == expected.read_bytes()
    leftovers = {path.name for path in tmp_path.iterdir()}
    assert leftovers <= {expected.name, file.name, file.name + ".torn"}


def without_verdicts(file: Path) -> list[str]:
    """The whole lines of a file as rows before a verdict."""
    text = file.read_text(encoding="utf-8").rpartition("\n")[0]
    if not text or ("\n" not in text and file.suffix == ".csv"):
        return []
    rows = (replace(row, agrees=None, alpha=None) for row in parse(text, file.suffix))
    return [json.dumps(RESULTS.record(row)) for row in rows]


SLOW_SECOND_ROW = [
    "--dim",
    "4,4096",
    "--scale",
    "sqrt",
    "--samples",
    "1e6",
    "-j",
    "1",
    "--design",
    "paired",
]
"""A sweep of two rows: the first is done at once, the second takes its time."""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_is_on_disk_the_moment_it_is_done(suffix: str, tmp_path: Path) -> None:
    """While the second row takes its time, the first one is there already, without a verdict."""
    file = tmp_path / f"sweep.{suffix}"
    with running(*SLOW_SECOND_ROW, "--output", str(file), "--resume") as process:
        wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") > (suffix == "csv"))
        process.kill()
    (row,) = parse(file.read_text(encoding="utf-8"), file.suffix)
    assert (row.dim, row.agrees, row.alpha) == (4, None, None)


def running(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*VARSIM, *args], env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


@pytest.mark.slow
def test_two_writers_never_interleave(tmp_path: Path) -> None:
    """While one adds rows, another is refused with a sentence, with --resume or without."""
    file = tmp_path / "sweep.jsonl"
    with running(*SLOW_SECOND_ROW, "--output", str(file), "--resume") as first:
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        for option in (["--resume"], []):
            second = here("--samples", "6400", "--output", str(file), *option)
            assert second.returncode == 1
            assert "in use by another varsim" in second.stderr
        first.kill()
    assert [row.dim for row in parse(file.read_text(encoding="utf-8"), ".jsonl")] == [4]
    assert resume(file, "--dim", "4", *SLOW_SECOND_ROW[2:-1], "crossed").returncode == 0


def test_a_full_disk_ends_a_run_with_a_sentence_and_its_table(tmp_path: Path) -> None:
    """At a limit on the file's size, which holds whole lines."""
    file = tmp_path / "sweep.jsonl"
    for limit in (100, 5555):
        done = subprocess.run(
            [*VARSIM, *SWEEP, "--output", str(file), "--resume"],
            capture_output=True, encoding="utf-8", env=environment(), check=False,
            preexec_fn=lambda limit=limit: resource.setrlimit(  # type: ignore[misc]
                resource.RLIMIT_FSIZE, (limit, limit)
            ),
        )  # fmt: skip
        assert done.returncode == 1
        assert f"could not be added to {str(file)!r}: File too large" in done.stderr
        held = file.read_text(encoding="utf-8") if file.exists() else ""
        assert held == "" or held.endswith("\n")
        rows = len(list(parse(held, file.suffix))) if held else 0
        assert done.stdout.count("  agrees\n") == rows + 1, (
            "the row that could not be added is shown"
        )


def test_a_read_only_file_is_left_alone(whole: Path, tmp_path: Path) -> None:
    """It is refused before anything runs, also for root."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes())
    file.chmod(0o444)
    done = resume(file, "--dim", "7", "--samples", "6400")
    assert done.returncode == 1
    assert "cannot be opened: Permission denied" in done.stderr
    assert done.stdout == ""
    assert file.read_bytes() == whole.read_bytes()


def tampered(**changes: Any) -> Callable[[str], str]:
    return lambda line: json.dumps(json.loads(line) | changes)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (tampered(dim=9), "its checksum is not that of its values: the row was changed"),
        (tampered(dim=-9), "dim is -9"),
        (tampered(confidence=5), "its confidence is not between 0 and 1"),
        (tampered(totals={}), "this is not a row of results"),
        (lambda line: "[" * 100_000, "this is not a row of varsim"),
        (lambda line: line[:40], "this is not a row of varsim"),
        (lambda line: "", ""),
    ],
)
def test_a_line_that_is_no_row_is_refused_and_the_file_left_as_it_is(
    tamper: Callable[[str], str], reason: str, tmp_path: Path
) -> None:
    """Edited, or no row at all: the sentence names the line."""
    result = judge([simulate(Experiment(dim=8, scale="sqrt", samples=6400))])[0]
    line = json.dumps(RESULTS.record(result))
    file = tmp_path / "sweep.jsonl"
    text = f"{line}\n{tamper(line)}\n{line}\n"
    file.write_text(text, encoding="utf-8")
    if not reason:  # an empty line is none
        Ledger(file, RESULTS).close()
        return
    with pytest.raises(InputError, match=f"left as it is: line 2 cannot be used: .*{reason}"):
        Ledger(file, RESULTS)
    done = here("--dim", "7", "--samples", "6400", "--output", str(file), "--resume")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("content", [b"notes of mine", b"\xff\xfe\n", b"a,b\n1,2\n", b"[1]\n"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_something_else_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    """It holds the same bytes afterwards, and no other file is beside it."""
    file = tmp_path / f"notes.{suffix}"
    file.write_bytes(content)
    with pytest.raises(InputError, match="was left as it is"):
        Ledger(file, RESULTS)
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


def test_a_last_line_without_its_end_is_whole_in_jsonl(whole: Path, tmp_path: Path) -> None:
    """An editor may remove it: a closing brace shows that the row is whole, a digit does not."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes()[:-1])
    done = here(*(a for a in SWEEP if a != "--quiet"), "--output", str(file), "--resume")
    assert ("was cut off" in done.stderr) == (whole.suffix == ".csv")
    assert file.read_bytes() == whole.read_bytes()


def test_a_row_that_cannot_be_continued_is_measured_anew_and_named(tmp_path: Path) -> None:
    """Where its blocks have another size, or its outputs were not counted."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "256", "--scale", "sqrt")
    resume(file, *args, "--precision", "5%")
    for more in (["--precision", "0.1%"], ["--precision", "0.1%", "--histogram"]):
        done = resume(file, *args, *more)
        assert "Caveat: D = 256, scale sqrt: the row in the file cannot be continued" in done.stderr
        (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
        assert row.relative_error <= 0.001
    assert row.totals.counts is not None
    assert sum(row.totals.counts) == row.samples


def test_a_row_whose_time_was_up_is_continued(tmp_path: Path) -> None:
    """The command ends with 4 until the precision is met, and every call adds blocks."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "512", "--scale", "sqrt", "--precision", "0.003%")
    blocks = 0
    for _ in range(3):
        done = resume(file, *args, "--max-time", "0.05")
        assert done.returncode == 4
        assert "Caveat: D = 512, scale sqrt: the relative standard error is" in done.stderr
        (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
        assert row.blocks > blocks
        blocks = row.blocks


@pytest.mark.parametrize(
    "args",
    ["--resume", "--resume -o a.md", "--resume -o a.csv -o b.jsonl", "--max-time 5",
     "--max-time 0 -p 1%", "--max-time soon -p 1%", "--precision 1% --samples 1e4",
     "--precision 0", "--precision 120%", "--precision much", "--max-samples 1e4"],
)  # fmt: skip
def test_a_mistake_with_resume_or_a_precision_is_one_sentence(
    args: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage errors end with 2, before anything is drawn or made."""
    monkeypatch.chdir(tmp_path)
    done = here(*args.split())
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_text_with_quotes_commas_and_tabs_is_one_cell() -> None:
    """CSV escapes what JSON leaves as it is, and a record is one line."""
    caveats = [{"id": "odd", "message": 'a "word", and\ta comma\nand a line'}]
    records = [{"name": 'f(a="x", b=1)', "caveats": caveats}]
    text = csv_text(records)
    assert text.count("\n") == 2
    (cells,) = csv.DictReader(io.StringIO(text))
    assert (cells["name"], json.loads(cells["caveats"])) == (records[0]["name"], caveats)


def test_a_better_row_is_never_replaced_by_a_worse_one(tmp_path: Path) -> None:
    """Without time for its histogram, or with fewer samples allowed, the row in the file stays."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "64", "--scale", "sqrt", "--precision", "0.2%")
    resume(file, *args)
    before = file.read_bytes()
    for more in (["--max-time", "0.001"], ["--max-time", "0.001", "--precision", "5%"],
                 ["--precision", "0.1%", "--max-samples", "1000"]):  # fmt: skip
        more += ["--histogram"]
        done = resume(file, *args, *more)
        assert (
            "the row in the file is kept, because the new measurement is less precise"
            in done.stderr
        )
        assert file.read_bytes() == before
    assert resume(file, *args, "--histogram", "--precision", "5%").returncode == 0
    (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert row.relative_error <= 0.002
    assert row.histogram is not None


def test_a_row_that_was_only_finalized_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new file stays where adding a row failed and finalizing did not."""
    (row,) = judge([simulate(Experiment(dim=8, scale="sqrt", samples=6400))])
    file = tmp_path / "sweep.jsonl"
    with Ledger(file, RESULTS) as ledger:
        monkeypatch.setattr("varsim.storage.ledger.append_line", out_of_space)
        with pytest.raises(OSError, match="no space"):
            ledger.add([row])
        ledger.finalize([row])
    (read,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert RESULTS.record(read) == RESULTS.record(row)


def out_of_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_an_empty_file_that_was_there_before_stays(tmp_path: Path) -> None:
    """Only a file that the ledger made itself is removed."""
    file = tmp_path / "mine.jsonl"
    file.touch()
    Ledger(file, RESULTS).close()
    assert file.exists()


def test_every_torn_line_is_kept(tmp_path: Path) -> None:
    """A second one does not replace the first."""
    file = tmp_path / "sweep.jsonl"
    for torn in (b'{"schema": 1, "kind": "lay', b'{"schema": 1'):
        file.write_bytes(torn)
        Ledger(file, RESULTS).close()
    asides = sorted(path.read_bytes() for path in tmp_path.glob("*.torn*"))
    assert asides == [b'{"schema": 1', b'{"schema": 1, "kind": "lay']


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 5, "varsim": "0.5", "seed": 0}', "it was written by varsim before 1.0"),
        ('{"schema": 1, "kind": "plan"}', "it holds the plan of a dry run"),
        ('{"schema": 1, "kind": "check"}', "it holds no rows of varsim"),
        ('{"a": 1}', "it holds no rows of varsim"),
        ('{"schema": 5, "var', "its last line is not a row of results"),
        ('{"schema": 1, "kind": "chec', "its last line is not a row of results"),
    ],
)
def test_a_last_line_of_something_else_is_not_torn(text: str, reason: str, tmp_path: Path) -> None:
    """Whole or not, without its line end it is refused, and stays where it is."""
    file = tmp_path / "sweep.jsonl"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=f"was left as it is: {reason}"):
        Ledger(file, RESULTS)
    assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


def test_everything_is_synced_before_it_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new name, every row, and a replacement before it takes the old one's place."""
    events: list[str] = []
    fsync, replace_ = os.fsync, Path.replace

    def synced(handle: int) -> None:
        events.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def replaced(temporary: Path, target: Path) -> Path:
        events.append("replace")
        return replace_(temporary, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    rows = [simulate(Experiment(dim=d, scale="sqrt", samples=6400)) for d in (8, 9)]
    with Ledger(tmp_path / "sweep.jsonl", RESULTS) as ledger:
        for row in rows:
            ledger.add([row])
        ledger.finalize(rows[::-1])
    assert events == ["folder", "file", "file", "file", "replace", "folder"]


@pytest.mark.parametrize("is_new", [True, False])
@pytest.mark.parametrize(
    "write", [lambda file: Ledger(file, RESULTS).close(), lambda file: write_file(file, "")]
)
def test_temporary_files_of_killed_processes_are_removed(
    write: Callable[[Path], None], is_new: bool, tmp_path: Path
) -> None:
    """Those of this file, and no others, when it is next written."""
    file = tmp_path / "sweep.jsonl"
    temporary = tmp_path / f"{_temporary_prefix(file)}abc"
    other = tmp_path / f"{_temporary_prefix(tmp_path / 'other')}abc"
    temporary.touch()
    other.touch()
    if not is_new:
        file.touch()
    write(file)
    file.unlink(missing_ok=True)
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_a_lock_is_on_the_file_that_has_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is replaced between opening and locking is opened again."""
    file = tmp_path / "file"
    file.write_text("old", encoding="utf-8")
    lock = files._lock
    locked: list[int] = []

    def replacing(handle: int) -> None:
        lock(handle)
        if not locked:
            atomic_write(file, "new")
        locked.append(handle)

    monkeypatch.setattr(files, "_lock", replacing)
    handle = open_locked(file)
    assert os.read(handle, 10) == b"new"
    os.close(handle)


def test_finished_rows_need_no_scheduler(whole: Path) -> None:
    """Nothing is connected to where nothing is left to do."""
    assert resume(whole, *SWEEP, "--scheduler", "tcp://127.0.0.1:9").returncode == 0


def test_a_dry_run_shows_what_is_left(whole: Path, tmp_path: Path) -> None:
    """It makes no file."""
    done = resume(whole, "--dim", "64,65", *SWEEP[2:], "--dry-run", "--format", "jsonl")
    assert {json.loads(line)["dim"] for line in done.stdout.splitlines()} == {65}
    assert resume(tmp_path / "none.jsonl", *SWEEP, "--dry-run").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_an_unmet_precision_ends_with_4() -> None:
    """The rows are written first; a verdict that disagrees ends it with 3 instead."""
    args = ("--dim", "64", "--scale", "sqrt", "--precision", "0.1%", "--max-samples", "1e4")
    done = here(*args)
    assert done.returncode == 4
    assert "agrees" in done.stdout
    assert here(*args, "--check", "--alpha", "0.999999").returncode == 3


def test_an_empty_ledger_leaves_no_file(tmp_path: Path) -> None:
    """A run that adds no row makes none."""
    Ledger(tmp_path / "sweep.csv", RESULTS).close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", range(3))
def test_a_stack_that_lost_a_layer_is_measured_anew(lost: int, tmp_path: Path) -> None:
    """Whichever it is: also the least precise one."""
    args = ("layers", "--width", "8", "--depth", "3", "-a", "relu", "--networks", "8")
    file = tmp_path / "stack.jsonl"
    assert here(*args, "-o", str(file)).returncode == 0
    content = file.read_bytes()
    rows = content.splitlines(keepends=True)
    file.write_bytes(b"".join(rows[:lost] + rows[lost + 1 :]))
    done = here(*args, "-o", str(file), "--resume")
    assert "cannot be continued and is measured anew" in done.stderr
    assert file.read_bytes() == content


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("option", [[], ["--resume"]])
def test_files_are_written_though_nobody_reads_stdout(
    number: int, option: list[str], tmp_path: Path
) -> None:
    """A pager that stands still holds stdout up; one signal ends that, and every row is there."""
    file = tmp_path / "rows.jsonl"
    args = ("-d", "1:90", "-s", "sqrt", "-n", "64", "-f", "csv", "-q", "-o", str(file), *option)
    with subprocess.Popen([*VARSIM, *args], env=environment(), stdout=subprocess.PIPE) as process:
        wait_for(lambda: file.exists() and file.read_bytes().count(b'"alpha": 0.001') == 90)
        time.sleep(0.1)
        process.send_signal(number)
        assert process.wait(20) == 130
    assert len(parse(file.read_text(encoding="utf-8"), ".jsonl")) == 90
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(("redirection", "code"), [("> /dev/full", 1), (">&-", 1), ("| true", 0)])
def test_files_are_written_whatever_becomes_of_stdout(
    redirection: str, code: int, tmp_path: Path
) -> None:
    """A full disk, a closed stdout, a reader that has gone."""
    file = tmp_path / "rows.csv"
    command = f"{shlex.join([*VARSIM, '-s', 'sqrt', '-n', '6400', '-o', str(file)])} {redirection}"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"], env=environment(), check=False,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert b"Traceback" not in done.stderr
    assert len(parse(file.read_text(encoding="utf-8"), ".csv")) == 1


def measured(*dims: int) -> list[Result]:
    return judge([simulate(Experiment(dim=dim, scale="sqrt", samples=640)) for dim in dims])


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("when", ["before a row", "after the rows"])
def test_a_ledger_that_is_deleted_meanwhile_is_there_again(
    when: str, suffix: str, tmp_path: Path
) -> None:
    """With all rows, those from before too."""
    file, rows = tmp_path / f"rows.{suffix}", measured(3, 4, 5)
    with Ledger(file, RESULTS) as ledger:
        ledger.add(rows[:1])
    with Ledger(file, RESULTS) as ledger:
        ledger.add(rows[1:2])
        if when == "before a row":
            file.unlink()
        ledger.add(rows[2:])
        if when == "after the rows":
            file.unlink()
        ledger.finalize(rows[1:])
    dims = [row.dim for row in parse(file.read_text(encoding="utf-8"), file.suffix)]
    assert dims == [4, 5, 3]
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_ledger_that_is_replaced_meanwhile_is_refused(suffix: str, tmp_path: Path) -> None:
    """What took its place is left alone, and no file is made beside it."""
    file, rows, other = tmp_path / f"rows.{suffix}", measured(4, 5), tmp_path / "other"
    for text in ("mine", ""):
        other.write_text(text, encoding="utf-8")
        with Ledger(file, RESULTS) as ledger:
            ledger.add(rows[:1])
            other.rename(file)
            ledger.add(rows[1:])
            with pytest.raises(OSError, match="another file has taken its name"):
                ledger.finalize(rows)
        assert file.read_text("utf-8") == text
        assert list(tmp_path.iterdir()) == [file]
        file.unlink()


@pytest.mark.parametrize("is_link", [True, False])
def test_a_ledger_whose_name_became_a_link_or_a_folder_is_refused(
    tmp_path: Path, *, is_link: bool
) -> None:
    """It is none of its own: a link that leads nowhere is a name that somebody took, too."""
    file, rows = tmp_path / "rows.jsonl", measured(4)
    with Ledger(file, RESULTS) as ledger:
        ledger.add(rows)
        file.unlink()
        file.symlink_to("nowhere") if is_link else file.mkdir()
        with pytest.raises(OSError, match="another file has taken its name"):
            ledger.finalize(rows)
    assert (file.is_symlink(), file.is_dir()) == (is_link, not is_link)
    assert not (tmp_path / "nowhere").exists()


def test_a_run_says_that_its_file_was_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It shows its rows and ends with 1, and does not say that rows which are nowhere are safe."""
    folder = tmp_path / "folder"
    folder.mkdir()
    file, other = folder / "rows.jsonl", tmp_path / "other"
    finalize = Ledger.finalize
    args = ("-d", "4,5", "-s", "sqrt", "-n", "640", "-o", str(file), "--resume")

    def replaced(ledger: Ledger[Result], rows: Sequence[Result]) -> None:
        other.write_text("mine", encoding="utf-8")
        other.rename(file)
        finalize(ledger, rows)

    def gone(ledger: Ledger[Result], rows: Sequence[Result]) -> None:
        shutil.rmtree(folder)
        finalize(ledger, rows)

    for change, reason in (
        (replaced, "another file has taken its name"), (gone, "No such file or directory")
    ):  # fmt: skip
        monkeypatch.setattr(Ledger, "finalize", change)
        done = here(*args)
        assert (done.returncode, done.stdout.count("  agrees\n")) == (1, 2)
        assert f"{str(file)!r} could not be put in order: {reason}" in done.stderr
        assert "safe" not in done.stderr
        file.unlink(missing_ok=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_dry_run_changes_no_ledger_and_counts_what_is_there(suffix: str, tmp_path: Path) -> None:
    """Not a torn line; a row begun needs only the rest."""
    study = LayerStudy(Experiment(dim=8, scale="sqrt", samples=30_000_000))
    file = tmp_path / f"rows.{suffix}"
    extend(file, RESULTS, [study], Ending(study.minimum + 2))
    content = file.read_bytes() + b'{"sch'[: 5 * (suffix == "jsonl")]
    file.write_bytes(content)
    args = ("-d", "8", "-s", "sqrt", "-n", "3e7", "-o", str(file), "--resume", "--dry-run")
    file.chmod(0o444)
    done = here(*args, "-f", "jsonl")
    assert done.returncode == 0, done.stderr
    (plan,) = map(json.loads, done.stdout.splitlines())
    assert plan["blocks"] == study.question.blocks - study.minimum - 2
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "change",
    [{"samples_asked": 10**400}, {"totals": {"blocks": -5}}, {"totals": {"counts": [3] * 122}},
     {"totals": {"mean": 0.5}}, {"seed": 10**5000}],
    ids=lambda change: str(*change),
)  # fmt: skip
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_that_cannot_be_is_refused_by_every_command(
    change: dict[str, Any], suffix: str, tmp_path: Path
) -> None:
    """In one sentence."""
    record = record_of(measured(8)[0])
    wrong = record | change | {"totals": record["totals"] | change.get("totals", {})}
    file = tmp_path / f"rows.{suffix}"
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    file.write_text((csv_text if suffix == "csv" else jsonl_text)([wrong]), encoding="utf-8")
    sys.set_int_max_str_digits(limit)
    for args in (["compare", str(file), str(file)], ["plot", str(file), "-o", "a.svg"],
                 ["-d", "8", "-n", "640", "-o", str(file), "--resume"]):  # fmt: skip
        done = here(*args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert len(done.stderr) < 600


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_columns_of_somebody_else_are_kept_in_a_copy(tmp_path: Path, suffix: str) -> None:
    """A run writes the file without them, and loses nothing of them."""
    file = tmp_path / f"results{suffix}"
    args = ("-d", "8", "-s", "sqrt", "-n", "640", "-o", str(file), "--resume")
    assert here(*args).returncode == 0
    plain = file.read_text()
    rewritten = plain.replace('{"schema"', '{"note": "mine", "schema"')
    if suffix == ".csv":
        rewritten = plain.replace("schema,", "note,schema,").replace("\n1,", "\nmine,1,")
    assert rewritten != plain
    file.write_text(rewritten)
    done = here(*args)
    assert done.returncode == 0
    assert "has names that are not varsim's ('note')" in done.stderr
    assert file.read_text() == plain
    assert (tmp_path / f"results{suffix}.before").read_text() == rewritten


def test_rows_added_below_another_header_are_read_again(tmp_path: Path) -> None:
    """Also if the header stood alone, and the run was killed before it wrote its order."""
    file = tmp_path / "rows.csv"
    file.write_text(",".join(LAYERS.names) + "\n")
    row = simulate(dim=8, scale="sqrt", samples=640)
    with Ledger(file, RESULTS) as ledger:
        ledger.add([row])
    assert lines(file)[0] == ",".join(RESULTS.names)
    assert [again.key for again in parse(file.read_text(), ".csv")] == [row.key]
