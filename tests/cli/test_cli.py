"""The command line's contract: streams, exit codes, formats, and sentences for mistakes."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from tests.program import VARSIM, environment, here, on_terminal, parse, rows, run, wait_for
from varsim import Experiment, __version__, simulate
from varsim.cli.program import varsim
from varsim.initializers import documented, find
from varsim.initializers.theory import INITIALIZERS
from varsim.layer.result import RESULTS
from varsim.layer.sampling import block_bytes
from varsim.report.formats import FORMATS, SUFFIXES
from varsim.settings import duration
from varsim.storage.text import jsonl_text

SMALL = ("--samples", "6400")

DATA = Path(__file__).parents[1] / "data"

COMMANDS = {
    "varsim": "--dim 16,64 --design crossed,fixed-x --scale he,none --samples 6400",
    "layers": "layers --width 8 --depth 2 --networks 8 --batch 4 --activation tanh,relu",
    "init": "init orthogonal trunc_normal(std=0.1) --dim 8 --draws 8",
    "gains": "gains tanh relu --variance 1,2",
    "compare": f"compare {DATA / 'results.jsonl'} {DATA / 'results.csv'}",
}
"""Every command with an --output of rows, on little work."""

MEASURING = ("varsim", "layers", "init")
"""The commands that sample."""


@pytest.mark.parametrize("command", ["--dim 0", "layers --width 0", "init --dim 0", "gains rleu"])
def test_a_mistake_writes_nothing(tmp_path: Path, command: str) -> None:
    """An old file is as it was."""
    file = tmp_path / "old.csv"
    file.write_text("old")
    assert here(*command.split(), "--output", str(file)).returncode == 2
    assert file.read_text() == "old"


def test_varsim_alone_answers_the_question() -> None:
    """Three experiments at D = 512: k = 1, D and √D; all agree, and only √D keeps the variance."""
    table = rows()
    assert [(row["dim"], row["scale"]) for row in table] == [
        (512, "none"), (512, "linear"), (512, "sqrt"),
    ]  # fmt: skip
    assert [row["theory"] for row in table] == [512.0, 1 / 512, 1.0]
    assert all(row["agrees"] and row["samples"] == 3_968_000 for row in table)
    assert all(row["std_error"] / row["empirical"] < 0.0013 for row in table)
    for row in table:
        assert row["empirical"] == pytest.approx(row["theory"], rel=0.01)


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


def test_the_table_off_a_terminal_is_plain_and_whole() -> None:
    """No escape codes, no cut digits, whatever COLUMNS says."""
    narrow, wide = (run(*SMALL, COLUMNS=columns).stdout for columns in ("20", "200"))
    assert narrow == wide
    assert "\x1b" not in wide
    assert "…" not in wide


@pytest.mark.parametrize("command", COMMANDS)
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


@pytest.mark.parametrize("command", MEASURING)
def test_the_rows_are_the_same_for_any_number_of_workers(command: str) -> None:
    """One, two or five threads give the same bytes."""
    args = (*COMMANDS[command].split(), "--format", "jsonl", "--workers")
    assert len({here(*args, workers).stdout for workers in ("1", "2", "5")}) == 1


@pytest.mark.parametrize("command", MEASURING)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(command: str) -> None:
    """The same command gives the same rows tomorrow."""
    args = (*COMMANDS[command].split(), "--format", "json", "--seed")
    first, second, other = (here(*args, seed).stdout for seed in ("7", "7", "8"))
    assert first == second != other


def test_machine_formats_are_the_library_s_result() -> None:
    """The command and the library are one program."""
    result = simulate(Experiment(dim=64, scale="sqrt", samples=6400, seed=9))
    (row,) = rows("--dim", "64", "--scale", "sqrt", *SMALL, "--seed", "9")
    assert (row["empirical"], row["std_error"], row["p"]) == (
        result.empirical, result.std_error, result.p,
    )  # fmt: skip


def test_latex_is_balanced_booktabs() -> None:
    """A tabular that LaTeX reads: as many cells as columns, and no bare special character."""
    text = here(*SMALL, "--dim", "1:3", "--scale", "D^-2", "--format", "latex").stdout
    spec = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert spec
    cells = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(cells) == 4
    assert all(line.count(" & ") == len(spec[1]) - 1 for line in cells)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"):
        assert text.count(rule) == 1
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert "±" not in "".join(body)
    assert not re.search(r"(?<!\\)[%_^#](?!\{)", "".join(body).replace("^{", ""))


def test_every_format_has_a_suffix_and_every_suffix_a_format() -> None:
    """What can be printed can be written; the suffix .tex is that of plain LaTeX."""
    assert set(SUFFIXES.values()) == set(FORMATS) - {"latex-siunitx"}


@pytest.mark.parametrize("command", COMMANDS)
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


@pytest.mark.parametrize("place", ["missing/results.csv", "/proc/results.csv"])
@pytest.mark.parametrize("command", COMMANDS)
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


def test_several_outputs_are_all_written(tmp_path: Path) -> None:
    """--output repeats, and one that fails does not stop the next."""
    files = [tmp_path / "a.csv", tmp_path / "missing" / "b.md", tmp_path / "c.json"]
    done = here(*SMALL, *(part for file in files for part in ("-o", str(file))))
    assert done.returncode == 1
    assert [file.exists() for file in files] == [True, False, True]
    assert done.stderr.startswith(f"Note: '{files[1]}' cannot be written:")


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
    assert re.match(r"Error: .*(memory|segment).*; (take fewer|give it more)", sentence)


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


def test_a_sweep_is_every_combination_in_order() -> None:
    """Lists, ranges and repeats multiply; the last option turns fastest."""
    table = rows("--dim", "2:8:x2", "-d", "3", "--scale", "none,D^0.5,2:4:2", *SMALL)
    assert [(row["dim"], row["scale"]) for row in table] == [
        (dim, scale) for dim in (2, 4, 8, 3) for scale in ("none", "D^0.5", "2", "4")
    ]


def test_every_sweepable_option_sweeps_and_has_its_column() -> None:
    """What varies is shown, in the table and in the records."""
    sweeps = {
        "--fan-out": ("64,128", "fan-out"), "--gain": ("1,5/3", "gain"),
        "--x-dist": ("normal,laplace", "x"), "--w-dist": ("normal,uniform", "W"),
        "--x-mean": ("0,0.5", "x mean"), "--x-std": ("1:2", "x std"),
        "--w-mean": ("0,0.1", "W mean"), "--w-std": ("1,2", "W std"),
        "--design": ("crossed,paired", "design"),
    }  # fmt: skip
    for option, (values, header) in sweeps.items():
        done = here("--dim", "8", "--scale", "xavier", *SMALL, option, values)
        lines = done.stdout.splitlines()
        assert f" {header} " in lines[0], option
        assert len(lines) == 8, option


def test_a_row_is_the_same_alone_and_in_a_sweep() -> None:
    """Whoever else is in the table, with any number of workers."""
    (alone,) = rows("--dim", "64", "--scale", "he", *SMALL, "--workers", "1")
    swept = rows("--dim", "512,64,2", "--scale", "sqrt,he", *SMALL, "--workers", "3")
    assert swept[3] == alone


def test_a_random_seed_is_shown_and_gives_the_row_again() -> None:
    """So that a drawn seed is as good as a chosen one."""
    (row,) = rows("--seed", "random", "--scale", "sqrt", *SMALL)
    (other,) = rows("--seed", "random", "--scale", "sqrt", *SMALL)
    (again,) = rows("--seed", str(row["seed"]), "--scale", "sqrt", *SMALL)
    assert row == again
    assert row["seed"] != other["seed"]


def test_options_come_from_the_environment_too() -> None:
    """VARSIM_ and the option's name; the command line wins."""
    done = run("--format", "jsonl", "-s", "sqrt", VARSIM_DIM="16, 32,48", VARSIM_SAMPLES="6400")
    assert [json.loads(line)["dim"] for line in done.stdout.splitlines()] == [16, 32, 48]
    done = run(
        "--dim", "8", "--format", "jsonl", "-s", "sqrt", VARSIM_DIM="16", VARSIM_SAMPLES="100"
    )
    assert [json.loads(line)["dim"] for line in done.stdout.splitlines()] == [8]


def test_a_variable_is_read_as_on_the_command_line(tmp_path: Path) -> None:
    """Spaces and colons do not split it."""
    file = tmp_path / "a:b.csv"
    given = {
        "VARSIM_INIT": "trunc_normal(bound=2, std=1)", "VARSIM_DIM": "8, 16",
        "VARSIM_OUTPUT": str(file), "VARSIM_SAMPLES": "6.4k",
    }  # fmt: skip
    assert run("-s", "sqrt", **given).returncode == 0
    table = list(csv.DictReader(io.StringIO(file.read_text())))
    assert [(row["dim"], row["init"]) for row in table] == [
        ("8", "trunc_normal(bound=2, std=1)"), ("16", "trunc_normal(bound=2, std=1)"),
    ]  # fmt: skip


def test_commands_share_the_variables_of_the_options_they_share() -> None:
    """Its own variable wins, and the command line over both."""
    args = ("init", "orthogonal", "--dim", "8", "--draws", "8")
    given = {"VARSIM_SEED": "7", "VARSIM_FORMAT": "jsonl", "VARSIM_DIM": "16"}
    for more, changes, seed in (
        ((), {}, 7), ((), {"VARSIM_INIT_SEED": "8"}, 8), (("--seed", "9"), {}, 9),
    ):  # fmt: skip
        (row,) = map(json.loads, run(*args, *more, **given, **changes).stdout.splitlines())
        assert (row["seed"], row["dim"]) == (seed, 8)
    assert "VARSIM_INIT_SEED" in here("init", "--help").stdout


def test_every_option_has_its_variable() -> None:
    """Under its own name, --version apart: a variable of that name is often about a package."""
    given = {"VARSIM_FORMAT": "markdown", "VARSIM_CHECK": "1", "VARSIM_QUIET": "1"}
    done = run("-s", "sqrt", *SMALL, **given, VARSIM_VERSION="1")
    assert done.stdout.startswith("|")
    assert done.stderr == ""
    for param in varsim.params:
        assert param.name is not None
        assert max(param.opts, key=len) == "--" + param.name.replace("_", "-")


def test_dry_run_runs_nothing() -> None:
    """A sweep that would take years is planned at once, at its cost and its error."""
    done = here(
        "--dry-run", "--dim", "1e9,512", "--samples", "1e9", "--scale", "sqrt", "-f", "json"
    )
    plan = json.loads(done.stdout)
    experiment = Experiment(dim=10**9, scale="sqrt", samples=10**9)
    shape = experiment.block
    assert plan[0]["numbers"] == experiment.blocks * 10**9 * (shape.rows + shape.columns)
    assert plan[0]["samples"] == experiment.blocks * shape.outputs >= 10**9
    for workers, plans in ((1, "--dry-run --workers 1"), (3, "--dry-run --workers 3")):
        for row in json.loads(here(*plans.split(), "-f", "json").stdout):
            e = Experiment(dim=row["dim"], scale=row["scale"])
            assert row["memory"] == workers * block_bytes(e), "tests of sampling hold that to peaks"


def test_a_dry_run_s_error_is_the_error_of_the_run() -> None:
    """Planned and measured relative error differ by the error of an error bar, at most 5 of it."""
    args = ("--dim", "16,300", "--x-dist", "normal,exponential", "--samples", "1e5", "-s", "sqrt")
    plans = json.loads(here(*args, "--dry-run", "-f", "json").stdout)
    for plan, row in zip(plans, rows(*args), strict=True):
        assert plan["theory"] == row["theory"]
        measured = row["std_error"] / row["theory"]
        assert abs(measured / plan["relative_error"] - 1) < 5 * math.sqrt(1 / (2 * 63))


def test_the_explanation_of_a_stack_multiplies_to_what_was_measured() -> None:
    """In each layer's line, within its error."""
    stack = ("layers", "--width", "64", "--depth", "3", "--networks", "64", "-q", "--explain")
    prose = here(*stack, "--bias-std", "0.5").stdout.split("Why?")[1]
    lines = re.findall(r"layer \d: ([\d.]+) \(W\) · ([\d.]+) \(φ\) \+ 0.25 \(bias\); measured "
                       r"([\d.]+) ± ([\d.]+)", prose)  # fmt: skip
    assert len(lines) == 2
    for w, phi, measured, error in (map(float, line) for line in lines):
        assert abs(w * phi + 0.25 - measured) < 3 * error
        assert 0 < phi < measured


def test_the_caption_explains_the_columns_that_are_shown() -> None:
    """What a narrow terminal leaves out is not."""
    args = ("-d", "64", "-s", "sqrt", *SMALL)
    wide, narrow = (visible(on_terminal(*args, COLUMNS=columns)) for columns in ("80", "45"))
    assert "ratio =" in wide
    assert "ratio =" not in narrow.split("The terminal is too narrow")[0]


@pytest.mark.parametrize("command", sorted({*varsim.subcommands()} - {"layers", "init"}))
def test_the_short_help_of_a_command_with_few_options_is_its_help(command: str) -> None:
    """Nothing is left out where there is little."""
    assert here(command, "-h").stdout == here(command, "--help").stdout


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


def test_version_names_what_the_bytes_depend_on() -> None:
    """varsim, Python, NumPy, BLAS and the bit generator."""
    text = here("--version").stdout
    for name in (f"varsim {__version__}", "Python 3", "NumPy ", "BLAS ", "bit generator SFC64"):
        assert name in text


def test_names_complete_in_the_shell() -> None:
    """Also behind a comma, and without loading NumPy."""
    done = run(
        _VARSIM_COMPLETE="bash_complete", COMP_WORDS="varsim --scale none,he", COMP_CWORD="2"
    )
    assert {line.split(",", 1)[1] for line in done.stdout.splitlines()} >= {
        "none,he",
        "none,he-fan-out",
    }


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("--gain gel", "gelu"), ("--gain torch:ta", "torch:tanh"), ("--init orth", "orthogonal"),
        ("--init torch.nn.init.kaiming_u", "torch.nn.init.kaiming_uniform_"),
        ("--design pai", "paired"), ("--x-dist gau", "gaussian"), ("--seed r", "random"),
        ("--dtype float6", "float64"), ("--format mark", "markdown"), ("--scheduler l", "local"),
        ("layers -a sil", "silu"), ("layers --norm la", "layer"), ("layers --residual g", "gpt2"),
        ("gains relu,gelu_", "relu,gelu_tanh"), ("gains tanh mis", "mish"),
        ("init keras.initializers.HeN", "keras.initializers.HeNormal"), ("help swe", "sweeps"),
    ],
)  # fmt: skip
def test_every_option_with_names_completes_them(typed: str, completed: str) -> None:
    """Arguments too."""
    *args, incomplete = typed.split()
    shell = ShellComplete(varsim, {}, "varsim", "_VARSIM_COMPLETE")
    assert completed in [item.value for item in shell.get_completions(args, incomplete)]


def test_what_completes_an_initializer_is_one() -> None:
    """The built-ins, and names that are known without their framework."""
    assert set(INITIALIZERS) <= set(documented.names())
    for name in documented.names():
        find(name)


@pytest.mark.parametrize("command", ["", "layers", "gains", "init", "compare", "plot", "help"])
def test_help_loads_neither_numpy_nor_rich(command: str) -> None:
    """The help of every command starts without what takes long to load."""
    code = (
        "import sys; sys.argv[1:] = [*sys.argv[1:], '--help']\n"
        "from varsim.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *command.split()], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"Usage: varsim {command}".rstrip())
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_stream_that_is_not_utf8_gets_ascii() -> None:
    """Aligned as before, and nothing but ASCII."""
    done = run(*SMALL, "--explain", "--design", "fixed-x", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert (done.stdout + done.stderr).isascii()
    assert "empirical+/-95%" in done.stdout
    assert "?" not in done.stdout.split("Why?")[0]


def visible(text: str) -> str:
    """What is left on the screen: a slow machine draws a bar, whose lines are erased at the end."""
    *_, left = text.split("\x1b[2K")
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", left)


def test_a_terminal_of_80_columns_shows_the_whole_table() -> None:
    """No line is longer, no number is cut."""
    shown = visible(on_terminal(*SMALL))
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    for row in rows(*SMALL):
        assert f"{row['z']:+.2f}" in shown


def test_a_narrow_terminal_leaves_columns_out_and_says_which() -> None:
    """Digits are never cut: whole columns go, the least important first."""
    shown = visible(on_terminal("--scale", "sqrt,none", *SMALL, COLUMNS="50"))
    table = shown.split("\n\n")[0]
    assert "…" not in shown
    assert max(map(len, table.splitlines())) <= 50
    assert "The terminal is too narrow for: k, ratio" in shown.replace("\n", " ")
    assert "verdict" in table


@pytest.mark.parametrize("columns", ["20", "40", "60"])
@pytest.mark.parametrize("mode", [[*SMALL], ["--dry-run"], ["--design", "fixed-x", *SMALL]])
def test_no_terminal_is_so_narrow_that_a_number_is_cut(columns: str, mode: list[str]) -> None:
    """What does not fit is left out whole, or wrapped by the terminal."""
    shown = visible(on_terminal("--dim", "512,4096", "--scale", "linear", *mode, COLUMNS=columns))
    assert "…" not in shown
    assert "4096  linear" in shown
    prose = shown.split("\n\n", 1)[1]
    assert max(map(len, prose.splitlines())) <= int(columns)


def test_a_long_name_is_cut_on_a_narrow_terminal_only() -> None:
    """An ellipsis says so; a wider terminal and a file have the whole name."""
    name = "trunc_normal(bound=2.34567, std=0.12345)"
    for args in (
        ("init", name, "--dim", "8", "--draws", "8"),
        ("-i", f"{name},orthogonal", "-d", "8", "-s", "sqrt", "-n", "64"),
    ):
        narrow, wide = (visible(on_terminal(*args, COLUMNS=columns)) for columns in ("70", "200"))
        table = narrow.split("\n\n")[0]
        assert re.search(r" trunc_normal\(bo[^…]*… ", table)
        assert name not in table
        assert max(map(len, table.splitlines())) <= 70
        for whole in (wide, here(*args).stdout):
            assert name in whole.split("\n\n")[0]
            assert "…" not in whole


def test_a_terminal_that_is_not_utf8_shows_whole_numbers() -> None:
    """In ASCII some names are longer, and the table is as wide as that."""
    args = ("init", "sparse", "--dim", "8", "--draws", "8", "--quiet")
    shown = on_terminal(*args, PYTHONIOENCODING="ascii", PYTHONUTF8="0", COLUMNS="20")
    (row,) = [line for line in visible(shown).splitlines() if line.startswith("varsim ")]
    assert shown.isascii()
    assert re.search(r"\|\(1-ceil\(0.1n\)/n\)\*0.01\^2 *\| *0\.0\d+\+/-0\.0\d+ *\| *agrees", row)


def test_a_narrow_terminal_drops_the_chart_first() -> None:
    """Before any column of numbers."""
    args = ("layers", "--width", "8", "--depth", "2", "--networks", "8", "--batch", "4")
    plain = here(*args).stdout.split("\n\n")[0]
    width = max(map(len, plain.splitlines()))
    for columns, has_chart in ((str(width), True), (str(width - 1), False)):
        shown = visible(on_terminal(*args, COLUMNS=columns))
        table = shown.split("\n\n")[0]
        assert ("●" in table) == has_chart
        assert "median" in table
        assert "too narrow" not in shown, "no other format has the chart"
        assert max(map(len, table.splitlines())) <= int(columns)


def test_a_narrow_terminal_keeps_what_a_verdict_is_about() -> None:
    """The theory of x@W stands beside its measurement; that of g@Wᵀ goes with what it is of."""
    shown = visible(on_terminal("init", "trunc_normal", "-d", "8", "--draws", "8", COLUMNS="70"))
    assert re.search(r"claims E w² +x@W theory +x@W ± 95% +verdict", shown)


def test_colour_only_where_it_is_wanted() -> None:
    """On a terminal; not with NO_COLOR, nor on a dumb one."""
    assert "\x1b[32m" in on_terminal("--scale", "sqrt", *SMALL)
    for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_terminal("--scale", "sqrt", *SMALL, **changes)
        assert "\x1b[3" not in shown


def test_progress_moves_only_on_a_terminal_and_only_for_long_work() -> None:
    """Rows appear as they are done, with the time left; none of it stays."""
    long = ("--dim", "64,2048", "--design", "paired", "--scale", "sqrt", "--samples", "200000")
    shown = on_terminal(*long)
    assert "row 2 of 2" in shown
    assert shown.index("pending") < shown.index("agrees")
    assert "row 1 of" not in on_terminal("--scale", "sqrt", *SMALL)
    assert "row 1 of" not in on_terminal(*long, "--quiet")
    assert "row 1 of" not in on_terminal(*long, TERM="dumb")
    assert "\x1b" not in run(*long).stderr


def test_a_variable_is_no_option_before_a_command() -> None:
    """Such an option is refused, since it would do nothing; the environment is for all commands."""
    assert "cannot be read" in run("compare", "a.jsonl", "b.jsonl", VARSIM_DIM="64").stderr


def test_shares_are_percentages_too() -> None:
    """A level, a false-alarm rate and a correlation."""
    args = ("--scale", "sqrt", "--dim", "8", *SMALL)
    assert rows(*args, "--confidence", "95%", "--alpha", "0.1%") == rows(*args)
    stack = ("layers", "--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    assert rows(*stack, "--correlation", "50%") == rows(*stack, "--correlation", "0.5")


@pytest.mark.parametrize(
    ("typed", "canonical"),
    [
        ("--scale sqrt(D)", "--scale sqrt"), ("--scale SQRT", "--scale sqrt"),
        ("--scale D", "--scale linear"), ("--scale sqrt(fan_in)", "--scale sqrt"),
        ("--dim 8 --format MD", "--dim 8 --format markdown"), ("--scale D**1/2", "--scale D^0.5"),
        ("--scale 1e3", "--scale 1000"), ("--scale he_fan_out", "--scale he-fan-out"),
        ("--scale he --gain sqrt(3)", "--scale he --gain 1.7320508075688772"),
        ("--scale sqrt --dim 2^4", "--scale sqrt --dim 16"),
        ("--scale sqrt --x-dist Gaussian", "--scale sqrt"),
        ("--scale sqrt --x-dist relu --w-dist UNIFORM",
         "--scale sqrt --x-dist rectified --w-dist uniform"),
        ("layers -a LEAKY_RELU(0.20)", "layers -a leaky_relu(0.2)"),
        ("layers -a LeakyReLU(1/5)", "layers -a leaky_relu(0.2)"),
        ("layers -a ReLU -w UNIFORM --norm RMS", "layers -a relu -w uniform --norm rms"),
    ],
)  # fmt: skip
def test_two_spellings_are_one_row(typed: str, canonical: str) -> None:
    """With one name, one key and the same draws, to the byte."""
    stack = ("--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    small = stack if typed.startswith("layers") else SMALL
    if "--format" not in typed:
        small = (*small, "-f", "jsonl")
    ours, theirs = (here(*words.split(), *small) for words in (typed, canonical))
    assert ours.returncode == 0
    assert ours.stdout == theirs.stdout


def test_an_alias_keeps_the_word_that_was_typed() -> None:
    """A published spelling keeps its row."""
    (row,) = rows("--scale", "Kaiming", "--dim", "8", *SMALL)
    assert row["scale"] == "kaiming"
    stack = ("layers", "--width", "8", "--depth", "1", "--networks", "8", "--batch", "4")
    (row,) = rows(*stack, "-a", "Swish")
    assert row["activation"] == "swish"


@pytest.mark.parametrize("text", ["a" * 6000, "1" * 6000, "a b" * 2000, "\x1b[2J\x07" * 100])
@pytest.mark.parametrize(
    "option",
    [*("--dim", "--scale", "--gain", "--init", "--design", "-x", "-p", "--max-time", "--seed"),
     *("--dtype", "--scheduler", "--confidence", "-f", "-o", "help", "gains", "layers", "plot")],
)  # fmt: skip
def test_a_mistake_is_shown_in_part(option: str, text: str) -> None:
    """A sentence stays one, and holds no control character."""
    done = here(option, text)
    assert done.returncode == 2
    assert len(done.stderr) < 400
    assert done.stderr.rstrip("\n").isprintable()


def test_a_file_cannot_command_the_terminal(tmp_path: Path) -> None:
    """Escape sequences that somebody wrote into it are shown as text."""
    row, *_ = parse((DATA / "results.jsonl").read_text(), ".jsonl")
    file = tmp_path / "bad.jsonl"
    file.write_text(jsonl_text([RESULTS.record(replace(row, varsim="\x1b[2J\x9b1m"))]))
    done = here("compare", str(file), str(DATA / "results.jsonl"))
    assert done.returncode == 0
    assert r"\x1b[2J\x9b1m" in done.stdout
    assert not {"\x1b", "\x9b"} & set(done.stdout + done.stderr)


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
        (COMMANDS["compare"], ".json", "comparisons"), ("gains tanh", ".csv", "gains"),
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


@pytest.mark.parametrize(
    ("text", "share"), [("0.1%", 0.001), ("5 %", 0.05), ("1/200", 0.005), ("2e-3", 0.002)]
)
def test_a_precision_is_a_share(text: str, share: float) -> None:
    """As a percentage, a fraction or a number."""
    (row,) = rows("--dim", "8", "--scale", "sqrt", "--precision", text)
    assert row["precision"] == pytest.approx(share)
    assert row["std_error"] <= share * row["empirical"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("1.5s", 1.5),
        ("5m", 300),
        ("2min", 120),
        ("1m5sec", 65),
        ("1h30m", 5400),
        ("1D", 86400),
    ],
)
def test_a_time_has_units(text: str, seconds: float) -> None:
    """Seconds without one."""
    assert duration(text) == seconds
