"""Results on stdout and in files."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import select
import signal
import subprocess
from pathlib import Path

import pytest

from tests.program import (
    COMMANDS,
    DATA,
    PATIENCE,
    SMALL,
    VARSIM,
    each_command,
    environment,
    here,
    wait_for,
)
from varsim.report.formats import FORMATS, SUFFIXES


@pytest.mark.parametrize("command", ["--dim 0", "layers --width 0", "init --dim 0", "gains rleu"])
def test_a_mistake_writes_nothing(tmp_path: Path, command: str) -> None:
    """An old file is as it was."""
    file = tmp_path / "old.csv"
    file.write_text("old")
    assert here(*command.split(), "--output", str(file)).returncode == 2
    assert file.read_text() == "old"


@each_command
def test_formats_hold_the_same_numbers(command: str) -> None:
    """CSV, JSON and JSONL of every command have every digit; unknown is empty or null."""
    args = COMMANDS[command].split()
    text = {name: here(*args, "--format", name).stdout for name in ("json", "jsonl", "csv")}
    as_json = json.loads(text["json"])
    assert as_json == [json.loads(line) for line in text["jsonl"].splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(text["csv"])))
    assert len(as_csv) == len(as_json) > 1
    for flat, record in zip(as_csv, as_json, strict=True):
        assert list(flat) == list(record)
        for name, value in record.items():
            if value is None or value == []:
                assert flat[name] == ""
            elif isinstance(value, str):
                assert flat[name] == value
            else:
                assert json.loads(flat[name]) == value


def test_every_format_has_a_suffix_and_every_suffix_a_format() -> None:
    """What can be printed can be written; the suffix .tex is that of plain LaTeX."""
    assert set(SUFFIXES.values()) == set(FORMATS) - {"latex-siunitx"}


@each_command
def test_output_writes_the_format_of_its_suffix(tmp_path: Path, command: str) -> None:
    """A file holds what --format would print, and stdout the table as ever."""
    args = COMMANDS[command].split()
    files = {tmp_path / f"results{suffix}": name for suffix, name in SUFFIXES.items()}
    files[tmp_path / "results.MD"] = "markdown"
    done = here(*args, *(f"--output={file}" for file in files))
    assert done.returncode == 0
    assert done.stdout == here(*args).stdout
    assert {*tmp_path.iterdir()} == {*files}
    for file, name in files.items():
        assert file.read_text(encoding="utf-8") == here(*args, "--format", name).stdout


def test_output_keeps_a_link_and_the_permissions(tmp_path: Path) -> None:
    """Replacing a file at once changes neither what it is nor who may read it."""
    target, link = tmp_path / "target.csv", tmp_path / "link.csv"
    target.write_text("old")
    target.chmod(0o640)
    link.symlink_to(target)
    assert here(*SMALL, "-o", str(link)).returncode == 0
    assert link.is_symlink()
    assert target.read_text().startswith("schema,")
    assert target.stat().st_mode & 0o777 == 0o640


def test_output_may_have_the_longest_of_names(tmp_path: Path) -> None:
    """The temporary file has a short one; and a loop of links is refused, not replaced."""
    file = tmp_path / ("a" * 251 + ".csv")
    assert here(*SMALL, "-o", str(file)).returncode == 0
    assert file.exists()
    loop = tmp_path / "loop.csv"
    loop.symlink_to(loop)
    done = here(*SMALL, "-o", str(loop))
    assert done.returncode == 1
    assert "symbolic links" in done.stderr
    assert loop.is_symlink()


def test_output_may_be_a_device(tmp_path: Path) -> None:
    """What cannot be replaced is written to."""
    link = tmp_path / "null.csv"
    link.symlink_to("/dev/null")
    assert here(*SMALL, "--output", str(link)).returncode == 0
    assert link.is_symlink()


@each_command
def test_an_output_that_is_a_pipe_without_a_reader_is_one_sentence(
    tmp_path: Path, command: str
) -> None:
    """Exit 1, and the table is shown all the same; a ledger cannot be a pipe."""
    pipe = tmp_path / "pipe.csv"
    os.mkfifo(pipe)
    args = COMMANDS[command].split()
    done = here(*args, "-o", str(pipe))
    assert (done.returncode, done.stdout) == (1, here(*args).stdout)
    assert "could not be written: nothing reads from this pipe; choose another" in done.stderr
    for more in ("", "--dry-run") if command == "varsim" else ():
        done = here(*args, "-o", str(pipe), "--resume", *more.split())
        assert done.returncode == 1
        assert "cannot be opened: it is not a regular file; choose another" in done.stderr


def test_an_output_may_be_a_pipe(tmp_path: Path) -> None:
    """Its reader gets what a file would have, however slow it is."""
    pipe, file = tmp_path / "pipe.jsonl", tmp_path / "file.jsonl"
    os.mkfifo(pipe)
    with subprocess.Popen(
        ["bash", "-c", 'exec < "$0"; sleep 0.2; exec cat', pipe], stdout=subprocess.PIPE
    ) as reader:
        handle = os.open(pipe, os.O_WRONLY)  # the reader is there
        args = ("--dim", "1:80", "-s", "none", "-n", "64", "-o", str(pipe), "-o", str(file))
        assert here(*args).returncode == 0
        os.close(handle)
        assert reader.communicate()[0] == file.read_bytes()
    assert file.stat().st_size > 65536  # more than a pipe holds


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=str)
def test_a_pipe_that_nobody_empties_holds_no_signal_up(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The rows are on the screen and in the other file; exit 130."""
    pipe, file = tmp_path / "pipe.jsonl", tmp_path / "file.csv"
    os.mkfifo(pipe)
    handle = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    args = ("--dim", "1:80", "-s", "none", "-n", "64", "-f", "csv", "-q", "-o", str(pipe))
    with subprocess.Popen(
        [*VARSIM, *args, "-o", str(file)], stdout=subprocess.PIPE, encoding="utf-8",
        env=environment(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        shown = "".join(process.stdout.readline() for _ in range(81))
        wait_for(lambda: bool(select.select([handle], [], [], 0)[0]))
        process.send_signal(number)
        assert process.wait(PATIENCE) == 130
    os.close(handle)
    assert shown == file.read_text()


@pytest.mark.parametrize("place", ["missing/results.csv", "/proc/results.csv"])
@each_command
def test_an_output_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, command: str, place: str
) -> None:
    """A missing folder or a read-only one: exit 1, and the table is shown all the same."""
    args = COMMANDS[command].split()
    done = here(*args, "--output", str(tmp_path / place))
    assert done.returncode == 1
    assert done.stdout == here(*args).stdout != ""
    sentence = r"^Error: '.*results.csv' could not be written: [^\n]+\.$"
    assert len(re.findall(sentence, done.stderr, re.MULTILINE)) == 1


def test_a_figure_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    """Exit 1, with its name in the sentence."""
    pytest.importorskip("matplotlib")
    file = tmp_path / "missing" / "figure.svg"
    done = here("plot", str(DATA / "results.jsonl"), "-o", str(file))
    assert (done.returncode, done.stdout) == (1, "")
    sentence = rf"^Error: '{file}' could not be written: [^\n]+\.$"
    assert len(re.findall(sentence, done.stderr, re.MULTILINE)) == 1


def test_a_full_disk_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """With no room for a byte: the sentence, exit 1, the table, and nothing but the old file."""
    file = tmp_path / "results.csv"
    file.write_text("old")
    command = " ".join([*VARSIM, *SMALL, "--output", str(file)])
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 0; {command} | cat"],
        capture_output=True,
        encoding="utf-8",
        env=environment(PYTHONDONTWRITEBYTECODE="1"),
        check=False,
    )
    assert "could not be written: File too large" in done.stderr
    assert "3 of 3 agree" in done.stderr
    assert done.stdout == here(*SMALL).stdout
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [
        ("results.csv", "old")
    ]


def test_several_outputs_are_all_written(tmp_path: Path) -> None:
    """--output repeats, and one that fails does not stop the next."""
    files = [tmp_path / "a.csv", tmp_path / "missing" / "b.md", tmp_path / "c.json"]
    done = here(*SMALL, *(part for file in files for part in ("-o", str(file))))
    assert done.returncode == 1
    assert [file.exists() for file in files] == [True, False, True]
    assert done.stderr.startswith(f"Note: '{files[1]}' cannot be written:")


def test_one_mistake_is_one_sentence_though_an_output_cannot_be_written(tmp_path: Path) -> None:
    """The note on the output is for a run, and there is none."""
    missing = str(tmp_path / "missing" / "x.csv")
    for args in (("layers", "-a", "tests.program:absent"), ("-s", "he", "-i", "os:getcwd")):
        done = here(*args, "-o", missing)
        assert done.returncode != 0
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("args", "written", "kind"),
    [
        (COMMANDS["compare"], ".json", "comparisons"),
        ("gains tanh --critical", ".jsonl", "critical points"),
        ("--dry-run", ".csv", "the plan of a dry run"),
    ],
)  # fmt: skip
def test_what_has_no_figure_is_named(tmp_path: Path, args: str, written: str, kind: str) -> None:
    """Instead of that it holds no rows."""
    file = tmp_path / f"a{written}"
    assert here(*args.split(), "-o", str(file)).returncode == 0
    done = here("plot", str(file), "-o", "a.svg")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"it holds {kind}, and not what was measured; give a file" in done.stderr


def test_a_loop_gives_one_table(tmp_path: Path) -> None:
    """A header on every table, or on none but the first: the file is that of a sweep."""
    swept = here("-d", "64,128", "-s", "sqrt", *SMALL, "-f", "csv").stdout
    tables = [here("-d", d, "-s", "sqrt", *SMALL, "-f", "csv").stdout for d in ("64", "128")]
    without = here("-d", "128", "-s", "sqrt", *SMALL, "-f", "csv", "--no-header").stdout
    for number, text in enumerate((tables[0] + tables[1], tables[0] + without)):
        file = tmp_path / f"{number}.csv"
        file.write_text(text, encoding="utf-8")
        (tmp_path / "swept.csv").write_text(swept, encoding="utf-8")
        done = here("compare", str(file), str(tmp_path / "swept.csv"))
        assert done.stderr.endswith("2 of 2 pairs agree: 2 identical.\n")
    assert without.count("\n") == 1


def test_a_header_is_left_out_of_csv_alone() -> None:
    """Other formats have none."""
    assert here("--no-header").returncode == 2
