"""The ledger: nothing is lost, nothing is done twice, whatever ends a run."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from varsim.layer.records import NAMES, parse, record_of, result_of

from tests.program import VARSIM, environment, here, run
from varsim import Caveat, Experiment, InputError, Result, judge, simulate
from varsim.report import Sheet
from varsim.report.formats import FORMATS
from varsim.storage import files
from varsim.storage.files import _temporary_prefix, atomic_write, own
from varsim.storage.ledger import Ledger

SWEEP = ("--dim", "8:64:x2", "--scale", "none,sqrt,he", "--samples", "64000", "--quiet")
MANY = ("--dim", "2:41", "--scale", "sqrt", "--samples", "200000", "--quiet")
SUFFIXES = ["jsonl", "csv"]


def keep(file: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run a sweep that goes on with a file."""
    return run(*args, "--output", str(file), "--resume")


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module", params=SUFFIXES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of an uninterrupted run of the sweep."""
    file: Path = tmp_path_factory.mktemp("whole") / f"sweep.{request.param}"
    assert keep(file, *SWEEP).returncode == 0
    return file


def test_a_ledger_ends_as_any_output(whole: Path, tmp_path: Path) -> None:
    """Its bytes are those that --output alone writes, and a second run leaves them."""
    plain = tmp_path / whole.name
    assert run(*SWEEP, "--output", str(plain)).returncode == 0
    assert plain.read_bytes() == whole.read_bytes()
    before = whole.stat().st_mtime_ns
    done = run(*(a for a in SWEEP if a != "--quiet"), "--output", str(whole), "--resume")
    assert "12 of 12 rows are done already" in done.stderr
    assert whole.stat().st_mtime_ns == before


def test_what_is_missing_is_run_in_any_order(whole: Path, tmp_path: Path) -> None:
    """Some rows, mixed up, are completed to the bytes of an uninterrupted run."""
    head = 1 if whole.suffix == ".csv" else 0
    rows = lines(whole)
    for seed in range(3):
        kept = random.Random(seed).sample(rows[head:], 5)
        part = tmp_path / f"part{seed}{whole.suffix}"
        part.write_text("\n".join([*rows[:head], *kept]) + "\n", encoding="utf-8")
        assert keep(part, *SWEEP).returncode == 0
        assert part.read_bytes() == whole.read_bytes()


def test_the_order_is_the_sweep_s(whole: Path, tmp_path: Path) -> None:
    """Its values in another order sort the rows anew, and what another sweep left follows."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes())
    args = ("--dim", "32,16", "--scale", "he,sqrt", *SWEEP[4:])
    assert keep(file, *args).returncode == 0
    rows = [(r.dim, r.scale) for r in parse(file.read_text(encoding="utf-8"), file.suffix)]
    assert rows[:4] == [(32, "he"), (32, "sqrt"), (16, "he"), (16, "sqrt")]
    assert len(set(rows)) == len(rows) == 12
    assert keep(file, *SWEEP).returncode == 0
    assert file.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_at_any_moment_it_goes_on(suffix: str, tmp_path: Path) -> None:
    """Killed 25 times for each format: no row is lost, and the end is byte for byte the same."""
    expected = tmp_path / f"expected.{suffix}"
    assert run(*MANY, "--output", str(expected)).returncode == 0
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
    assert keep(file, *MANY).returncode == 0
    assert file.read_bytes() == expected.read_bytes()
    leftovers = {path.name for path in tmp_path.iterdir()}
    assert leftovers <= {expected.name, file.name, file.name + ".torn"}


def without_verdicts(file: Path) -> list[str]:
    """The whole lines of a file as rows before a verdict."""
    text = file.read_text(encoding="utf-8").rpartition("\n")[0]
    if not text or ("\n" not in text and file.suffix == ".csv"):
        return []
    rows = (replace(row, agrees=None, alpha=None) for row in parse(text, file.suffix))
    return [json.dumps(record_of(row)) for row in rows]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_row_is_on_disk_the_moment_it_is_done(suffix: str, tmp_path: Path) -> None:
    """While the second row takes its time, the first one is there already, without a verdict."""
    file = tmp_path / f"sweep.{suffix}"
    args = ("--dim", "4,4096", "--scale", "sqrt", "--samples", "1e6", "--design", "paired")
    with running(*args, "--output", str(file), "--resume") as process:
        wait_for(lambda: file.exists() and file.read_bytes().count(b"\n") > (suffix == "csv"))
        process.kill()
    (row,) = parse(file.read_text(encoding="utf-8"), file.suffix)
    assert (row.dim, row.agrees, row.alpha) == (4, None, None)


def running(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*VARSIM, *args], env=environment(), text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_two_writers_never_interleave(tmp_path: Path) -> None:
    """While one adds rows, another is refused with a sentence, with --resume or without."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "4,4096", "--scale", "sqrt", "--samples", "1e6", "--design", "paired")
    with running(*args, "--output", str(file), "--resume") as first:
        wait_for(lambda: file.exists() and file.stat().st_size > 0)
        for resume in (["--resume"], []):
            second = run("--samples", "6400", "--output", str(file), *resume)
            assert second.returncode == 1
            assert "in use by another varsim" in second.stderr
        first.kill()
    assert [row.dim for row in parse(file.read_text(encoding="utf-8"), ".jsonl")] == [4]
    assert keep(file, "--dim", "4", *args[2:-1], "crossed").returncode == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_loses_no_row_that_was_done(suffix: str, tmp_path: Path) -> None:
    """At a limit on the file's size the run ends with a sentence, whole lines and its table."""
    file, expected = tmp_path / f"sweep.{suffix}", tmp_path / f"expected.{suffix}"
    assert run(*SWEEP, "--output", str(expected)).returncode == 0
    for limit in (100, 2000, 5555):
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
        assert done.stdout.count("agrees") == rows + 1, "the row that could not be kept is shown"
    assert keep(file, *SWEEP).returncode == 0
    assert file.read_bytes() == expected.read_bytes()


def test_a_file_that_is_read_only_is_left_alone(whole: Path, tmp_path: Path) -> None:
    """It is refused before anything runs, also for root."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes())
    file.chmod(0o444)
    done = keep(file, "--dim", "7", "--samples", "6400")
    assert done.returncode == 1
    assert "cannot be opened: Permission denied" in done.stderr
    assert done.stdout == ""
    assert file.read_bytes() == whole.read_bytes()


def tampered(**changes: Any) -> Callable[[str], str]:
    return lambda line: json.dumps(json.loads(line) | changes)


@pytest.mark.parametrize(
    ("tamper", "reason"),
    [
        (tampered(schema=99), "its schema is 99"),
        (tampered(dim=9), "is that of another experiment than its columns say"),
        (tampered(empirical=7.5), "which does not follow from its totals"),
        (tampered(std_error=1e-9), "its std_error is 1e-09, which does not follow"),
        (tampered(std_error=-1.0), "that there cannot be"),
        (tampered(samples=6401), "its samples is 6401, which does not follow"),
        (tampered(confidence=5), "that there cannot be"),
        (tampered(k=10**400), "no row of results"),
        (tampered(totals={}), "no row of results"),
        (lambda line: "[" * 100_000, "no row of results"),
        (tampered(seed="zero"), "no row of results"),
        (tampered(extra=1), "no row of results"),
        (lambda line: line[:40], "no row of results"),
        (lambda line: "", ""),
    ],
)
def test_what_is_not_ours_is_refused_and_left_untouched(
    tamper: Callable[[str], str], reason: str, tmp_path: Path
) -> None:
    """Another schema, another experiment under a key, or no row at all: the line is named."""
    result = judge([simulate(Experiment(dim=8, scale="sqrt", samples=6400))])[0]
    line = json.dumps(record_of(result))
    file = tmp_path / "sweep.jsonl"
    text = f"{line}\n{tamper(line)}\n{line}\n"
    file.write_text(text, encoding="utf-8")
    if not reason:  # an empty line is none
        Ledger(file).close()
        return
    with pytest.raises(InputError, match=f"left as it is: line 2 cannot be used: .*{reason}"):
        Ledger(file)
    done = here("--dim", "7", "--samples", "6400", "--output", str(file), "--resume")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("content", [b"notes of mine", b"\xff\xfe\n", b"a,b\n1,2\n", b"[1]\n"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_something_else_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    """Whatever it holds is still there afterwards, and nothing is beside it."""
    file = tmp_path / f"notes.{suffix}"
    file.write_bytes(content)
    with pytest.raises(InputError, match="was left as it is"):
        Ledger(file)
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("tail", [0.01, 0.3, 0.999])
def test_a_torn_last_line_is_put_aside_and_its_row_redone(
    whole: Path, tail: float, tmp_path: Path
) -> None:
    """Cut anywhere in its last line, with the length of it lost or full of zeros."""
    content = whole.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    cut = start + max(1, int(tail * (len(content) - start)))
    for zeros in (0, 100):
        file = tmp_path / f"torn{zeros}{whole.suffix}"
        file.write_bytes(content[:cut] + b"\0" * zeros)
        done = run(*(a for a in SWEEP if a != "--quiet"), "--output", str(file), "--resume")
        assert "was cut off" in done.stderr
        assert "11 of 12 rows are done already" in done.stderr
        assert file.read_bytes() == content
        aside = file.with_name(file.name + ".torn")
        assert aside.read_bytes().rstrip(b"\0") == content[start:cut]


def test_a_last_line_without_its_end_is_whole_in_jsonl(whole: Path, tmp_path: Path) -> None:
    """Editors cut the last line's end off; a brace tells that a row is whole, a digit does not."""
    file = tmp_path / whole.name
    file.write_bytes(whole.read_bytes()[:-1])
    done = run(*(a for a in SWEEP if a != "--quiet"), "--output", str(file), "--resume")
    assert ("was cut off" in done.stderr) == (whole.suffix == ".csv")
    assert file.read_bytes() == whole.read_bytes()


def test_a_finer_precision_goes_on_with_the_row(tmp_path: Path) -> None:
    """Earlier blocks are not drawn again, and the end is that of a run at once."""
    rough = ("--dim", "256", "--scale", "sqrt", "--precision", "0.12%")
    fine = (*rough[:-1], "0.07%")
    file, expected = tmp_path / "sweep.jsonl", tmp_path / "expected.jsonl"
    assert keep(file, *rough).returncode == 0
    (before,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
    done = keep(file, *fine)
    assert "measured anew" not in done.stderr
    (after,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert after.blocks > before.blocks
    assert after.relative_error <= 0.0007
    run(*fine, "--output", str(expected))
    assert file.read_bytes() == expected.read_bytes()
    assert "1 of 1 rows are done already" in keep(file, *rough).stderr
    assert file.read_bytes() == expected.read_bytes(), "a finer row is all that was asked"


def test_a_row_that_cannot_be_gone_on_with_is_redone_and_said_to_be(tmp_path: Path) -> None:
    """With blocks of another size, or where outputs were not counted."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "256", "--scale", "sqrt")
    keep(file, *args, "--precision", "5%")
    for more in (["--precision", "0.1%"], ["--precision", "0.1%", "--histogram"]):
        done = keep(file, *args, *more)
        assert "Caveat: D = 256, scale sqrt: the row in the file cannot be gone on" in done.stderr
        (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
        assert row.relative_error <= 0.001
    assert row.totals.counts is not None
    assert sum(row.totals.counts) == row.samples


def test_a_row_without_time_is_gone_on_with(tmp_path: Path) -> None:
    """The command ends with 4 until the precision is met, and every call gets nearer."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "512", "--scale", "sqrt", "--precision", "0.003%")
    blocks = 0
    for _ in range(3):
        done = keep(file, *args, "--max-time", "0.05")
        assert done.returncode == 4
        assert "Caveat: D = 512, scale sqrt: the relative standard error is" in done.stderr
        (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
        assert row.blocks > blocks
        blocks = row.blocks


def test_another_level_of_the_interval_needs_no_draws(whole: Path, tmp_path: Path) -> None:
    """Intervals and verdicts follow from what is held, to the bytes of a run that asks for them."""
    file, plain = tmp_path / whole.name, tmp_path / f"plain{whole.suffix}"
    file.write_bytes(whole.read_bytes())
    other = (*SWEEP, "--confidence", "0.5", "--alpha", "0.01")
    assert keep(file, *other).returncode == 0
    assert run(*other, "--output", str(plain)).returncode == 0
    assert file.read_bytes() == plain.read_bytes() != whole.read_bytes()


@pytest.mark.parametrize(
    "args",
    ["--resume", "--resume -o a.md", "--resume -o a.csv -o b.jsonl", "--max-time 5",
     "--max-time 0 -p 1%", "--max-time soon -p 1%", "--precision 1% --samples 1e4",
     "--precision 0", "--precision 120%", "--precision much", "--max-samples 1e4"],
)  # fmt: skip
def test_a_mistake_is_one_sentence(
    args: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Usage errors end with 2, before anything is drawn or made."""
    monkeypatch.chdir(tmp_path)
    done = here(*args.split())
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def results() -> Iterator[Result]:
    """Rows of every kind."""
    odd: list[dict[str, Any]] = [
        {"dim": 7, "scale": "D^0.5", "samples": 6400},
        {"dim": 7, "scale": "2.5", "precision": 0.05, "max_samples": 640},
        {"dim": 7, "scale": "lecun", "gain": 5 / 3, "design": "fixed-x", "w": "laplace",
         "x_mean": -0.1, "samples": 6400},
        {"dim": 1, "scale": "none", "x": "rademacher", "w": "rademacher", "samples": 64},
    ]  # fmt: skip
    for asked in odd:
        yield simulate(Experiment(**asked))


@pytest.mark.parametrize("name", ["jsonl", "csv", "json"])
def test_what_was_written_is_read_again(name: str) -> None:
    """To the same record, digit for digit, with its caveats."""
    told = [
        replace(result, caveats=(*result.caveats, Caveat("odd", 'a "word", and\ta comma')))
        for result in results()
    ]
    text = FORMATS[name](Sheet([], [], list(map(record_of, told))))
    assert list(parse(text, f".{name}")) == told


def test_a_record_is_the_schema() -> None:
    """Names and order; and a record that lacks one is refused."""
    record = record_of(next(results()))
    assert list(record) == NAMES
    for name in NAMES:
        with pytest.raises(InputError):
            result_of({key: value for key, value in record.items() if key != name})


def test_a_better_row_is_never_replaced_by_a_worse_one(tmp_path: Path) -> None:
    """Without time for its histogram, or with fewer samples allowed, the row in the file stays."""
    file = tmp_path / "sweep.jsonl"
    args = ("--dim", "64", "--scale", "sqrt", "--precision", "0.2%")
    keep(file, *args)
    before = file.read_bytes()
    for more in (["--max-time", "0.001"], ["--max-time", "0.001", "--precision", "5%"],
                 ["--precision", "0.1%", "--max-samples", "1000"]):  # fmt: skip
        more += ["--histogram"]
        done = keep(file, *args, *more)
        assert "the row in the file stays as it was" in done.stderr
        assert file.read_bytes() == before
    assert keep(file, *args, "--histogram", "--precision", "5%").returncode == 0
    (row,) = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert row.relative_error <= 0.002
    assert row.histogram is not None


def test_a_row_that_could_only_be_settled_is_not_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where adding fails and putting in order does not, the file with the row stays."""
    (row,) = judge([simulate(Experiment(dim=8, scale="sqrt", samples=6400))])
    file = tmp_path / "sweep.jsonl"
    with Ledger(file) as ledger:
        monkeypatch.setattr("varsim.storage.ledger.append_line", out_of_space)
        with pytest.raises(OSError, match="no space"):
            ledger.add(row)
        ledger.settle([row])
    assert list(parse(file.read_text(encoding="utf-8"), ".jsonl")) == [row]


def out_of_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, "no space")


def test_an_empty_file_of_somebody_else_stays(tmp_path: Path) -> None:
    """Only a file that was made here is taken away again."""
    file = tmp_path / "mine.jsonl"
    file.touch()
    Ledger(file).close()
    assert file.exists()


def test_every_torn_line_is_kept(tmp_path: Path) -> None:
    """A second one does not replace the first."""
    file = tmp_path / "sweep.jsonl"
    for torn in (b'{"schema": 2, "var', b'{"schema": 2'):
        file.write_bytes(torn)
        Ledger(file).close()
    asides = sorted(path.read_bytes() for path in tmp_path.glob("*.torn*"))
    assert asides == [b'{"schema": 2', b'{"schema": 2, "var']


def test_a_whole_last_line_of_something_else_is_not_torn(tmp_path: Path) -> None:
    """Without its line end it is refused as it would be with it."""
    file = tmp_path / "sweep.jsonl"
    for text in ('{"schema": 3}', '{"schema": 2}'):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match="line 1 cannot be used"):
            Ledger(file)
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

    def replaced(draft: Path, target: Path) -> Path:
        events.append("replace")
        return replace_(draft, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    rows = [simulate(Experiment(dim=d, scale="sqrt", samples=6400)) for d in (8, 9)]
    with Ledger(tmp_path / "sweep.jsonl") as ledger:
        for row in rows:
            ledger.add(row)
        ledger.settle(rows[::-1])
    assert events == ["folder", "file", "file", "file", "replace", "folder"]


def test_drafts_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """Those of this file, and no others."""
    file = tmp_path / "sweep.jsonl"
    draft = tmp_path / f"{_temporary_prefix(file)}abc"
    other = tmp_path / f"{_temporary_prefix(tmp_path / 'other')}abc"
    draft.touch()
    other.touch()
    Ledger(file).close()
    assert [path.name for path in tmp_path.iterdir()] == [other.name]


def test_whoever_waited_for_a_name_owns_what_it_leads_to(
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
    handle = own(file)
    assert os.read(handle, 10) == b"new"
    os.close(handle)


def test_finished_rows_need_no_scheduler(whole: Path) -> None:
    """Nothing is connected to where nothing is left to do."""
    assert keep(whole, *SWEEP, "--scheduler", "tcp://127.0.0.1:9").returncode == 0


def test_a_dry_run_shows_what_is_left(whole: Path, tmp_path: Path) -> None:
    """And makes no file."""
    done = keep(whole, "--dim", "64,65", *SWEEP[2:], "--dry-run", "--format", "jsonl")
    assert {json.loads(line)["dim"] for line in done.stdout.splitlines()} == {65}
    assert keep(tmp_path / "none.jsonl", *SWEEP, "--dry-run").returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_an_unmet_precision_ends_with_4() -> None:
    """After the rows are written, and 3 comes first with --check."""
    args = ("--dim", "64", "--scale", "sqrt", "--precision", "0.1%", "--max-samples", "1e4")
    done = run(*args)
    assert done.returncode == 4
    assert "agrees" in done.stdout
    assert run(*args, "--check", "--alpha", "0.999999").returncode == 3


def test_an_empty_ledger_leaves_no_file(tmp_path: Path) -> None:
    """Nothing done, nothing there."""
    Ledger(tmp_path / "sweep.csv").close()
    assert list(tmp_path.iterdir()) == []
