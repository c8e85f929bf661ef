"""Stdout and stderr, open, closed, full and in any encoding."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.program import DATA, SMALL, VARSIM, environment, here, parse, run
from varsim.layer.result import RESULTS
from varsim.storage.text import jsonl_text


def test_data_is_on_stdout_and_talk_on_stderr() -> None:
    """The table and its caption are data; caveats, the summary and, beside rows, prose are not."""
    done = here(*SMALL, "--design", "fixed-x")
    assert done.stdout.splitlines()[0].split()[:3] == ["D", "scale", "k"]
    assert "seed 0" in done.stdout
    assert "Caveat: D = 512, scale none: one x" in done.stderr
    assert "3 of 3 agree with theory.\n" in done.stderr
    assert here(*SMALL, "--design", "fixed-x", "--quiet").stderr == ""
    explained = here(*SMALL, "--explain", "--format", "json")
    assert len(json.loads(explained.stdout)) == 3
    assert "Why?" in explained.stderr


def test_a_stdout_that_is_full_is_one_sentence() -> None:
    """Results that could not be shown are an error, not a success."""
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*VARSIM, *SMALL], stdout=full, stderr=subprocess.PIPE, encoding="utf-8", check=False
        )
    assert done.returncode == 1
    assert "Error: stdout could not be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_stream_is_no_crash(tmp_path: Path) -> None:
    """Without stdout: the sentence, exit 1, and the file; without stderr: the table."""
    file = tmp_path / "results.csv"
    command = " ".join([*VARSIM, *SMALL, "--output", str(file)])
    done = subprocess.run(
        ["bash", "-c", f"{command} >&-"], stderr=subprocess.PIPE, encoding="utf-8", check=False
    )
    assert done.returncode == 1
    assert "Error: stdout could not be written: it is closed; send it elsewhere.\n" in done.stderr
    assert file.read_text().startswith("schema,")
    done = subprocess.run(
        ["bash", "-c", f"{command} 2>&-"], stdout=subprocess.PIPE, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stdout) == (0, here(*SMALL).stdout)


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """Varsim | head -1 ends quietly, with pipefail too."""
    args = "--dim 1:400 --samples 64 --scale none --quiet --format csv"
    command = f"set -o pipefail; {' '.join(VARSIM)} {args} | head -1"
    done = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("schema,kind,dim,")


@pytest.mark.parametrize("page", ["--help", "-h", "--version", "layers --help", "help sweeps"])
def test_a_page_that_nobody_reads_is_no_error(page: str) -> None:
    """As rows are none: the reader has all it wanted."""
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*VARSIM, *page.split()], stdout=writer, stderr=subprocess.PIPE, encoding="utf-8",
        env=environment(), check=False,
    )  # fmt: skip
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "before",
    ["export PYTHONWARNINGS=error", "export PYTHONDEVMODE=1", "unset HOME", 'rmdir "$PWD"'],
)
def test_a_run_is_the_same_anywhere(tmp_path: Path, before: str) -> None:
    """Where warnings are errors, without a home, and in a folder that was deleted."""
    args = [*VARSIM, *SMALL, "-s", "sqrt", "--quiet"]
    done = subprocess.run(
        ["bash", "-c", f"{before}; {shlex.join(args)}"], capture_output=True, encoding="utf-8",
        env=environment(PYTHONPATH=str(Path(__file__).parents[2])), cwd=tmp_path, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == here(*args[len(VARSIM) :]).stdout


def test_an_output_in_a_deleted_folder_is_one_sentence(tmp_path: Path) -> None:
    """And the rows are shown; where files have to be told apart, the sentence names the folder."""
    (tmp_path / "gone").mkdir()
    data = shlex.quote(str(DATA / "results.csv"))
    for args, shown, sentence in (
        (f"{shlex.join(SMALL)} -o x.csv", True, "'x.csv' could not be written: No such file or"),
        (f"merge {data} -o x.csv", False, "the current folder was deleted; change to another one."),
    ):
        done = subprocess.run(
            ["bash", "-c", f'rmdir "$PWD"; {shlex.join(VARSIM)} {args} -q'],
            capture_output=True, encoding="utf-8", check=False, cwd=tmp_path / "gone",
            env=environment(PYTHONPATH=str(Path(__file__).parents[2])),
        )  # fmt: skip
        assert (done.returncode, bool(done.stdout)) == (1, shown)
        assert done.stderr.startswith(f"Error: {sentence}")
        assert done.stderr.count("\n") == 1
        (tmp_path / "gone").mkdir()


def test_help_reaches_every_stream() -> None:
    """In ASCII where it must be, and with a sentence where there is no room."""
    done = run("--help", PYTHONIOENCODING="latin-1", PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "sqrtD" in done.stdout
    for option in ("--help", "--version"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [*VARSIM, option],
                stdout=full,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                check=False,
            )
        assert done.returncode == 1
        assert re.fullmatch(r"Error: stdout could not be written: [^\n]+\n", done.stderr)


def test_a_stream_that_is_not_utf8_gets_ascii() -> None:
    """Aligned as before, and nothing but ASCII."""
    done = run(*SMALL, "--explain", "--design", "fixed-x", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert (done.stdout + done.stderr).isascii()
    assert "empirical+/-95%" in done.stdout
    assert "?" not in done.stdout.split("Why?")[0]


def test_a_file_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Escape sequences that somebody wrote into it are shown as text."""
    row, *_ = parse((DATA / "results.jsonl").read_text(), ".jsonl")
    file = tmp_path / "bad.jsonl"
    file.write_text(jsonl_text([RESULTS.record(replace(row, varsim="\x1b[2J\x9b1m"))]))
    done = here("compare", str(file), str(DATA / "results.jsonl"))
    assert done.returncode == 0
    assert r"\x1b[2J\x9b1m" in done.stdout
    assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)
