"""Older schemas: files of earlier versions are compared, drawn and continued; newer are refused."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.program import VARSIM, environment, here, wait_for
from varsim import InputError
from varsim.fields import Schema
from varsim.layer.check import CHECKS
from varsim.layer.result import RESULTS
from varsim.stack.result import LAYERS
from varsim.storage import csv_text, json_text, jsonl_text
from varsim.storage.files import open_locked
from varsim.storage.ledger import Ledger
from varsim.storage.rows import parse

OLD = Path(__file__).parent / "old"
"""Files that the former program wrote, with schemas 3, 2 and 1."""


class Sample(NamedTuple):
    """Files in ``old``, and how to get their rows.

    Attributes:
        command: What wrote them.
        more: The same with a question that they do not answer.
        schema: Their kind.
        number: The number of their schema.
    """

    command: str
    more: str
    schema: Schema[Any]
    number: int


SAMPLES = {
    "results": Sample(
        "-d 8 -s sqrt,he --design crossed,fixed-x -n 6400",
        "-d 8,9 -s sqrt,he --design crossed,fixed-x -n 6400", RESULTS, 3,
    ),
    "precise": Sample(
        "-d 8 -s he -i orthogonal -p 0.5% --histogram",
        "-d 8,9 -s he -i orthogonal -p 0.5% --histogram", RESULTS, 3,
    ),
    "layers": Sample(
        "layers --width 8 --depth 2 -a tanh,relu --networks 8 --batch 4",
        "layers --width 8 --depth 2 -a tanh,relu,gelu --networks 8 --batch 4", LAYERS, 2,
    ),
    "counted": Sample(
        "layers --widths 8,6,4 -a relu --no-backward --networks 8 --batch 4 --histogram",
        "layers --widths 8,6,4 -a relu,tanh --no-backward --networks 8 --batch 4 --histogram",
        LAYERS, 2,
    ),
    "checks": Sample(
        "init orthogonal trunc_normal(std=0.1) -d 8 --fan-out 4 --draws 8",
        "init orthogonal trunc_normal(std=0.1) truncated_normal -d 8 --fan-out 4 --draws 8",
        CHECKS, 1,
    ),
}  # fmt: skip

SUFFIXES = (".jsonl", ".csv", ".json")
LINED = (".jsonl", ".csv")
WRITERS = {".jsonl": jsonl_text, ".csv": csv_text, ".json": json_text}

each_sample = pytest.mark.parametrize("name", SAMPLES)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the same commands write today."""
    folder = tmp_path_factory.mktemp("fresh")
    for name, sample in SAMPLES.items():
        done = here(*sample.command.split(), "-o", str(folder / f"{name}.jsonl"))
        assert done.returncode == 0, done.stderr
    return folder


def records(file: Path) -> list[dict[str, Any]]:
    """What a file holds, in the present schema; former files have no alpha without a verdict."""
    rows = parse(file.read_text(encoding="utf-8"), file.suffix)
    return [
        row.schema.record(row if row.agrees is not None else replace(row, alpha=None))
        for row in rows
    ]


def verdicts(a: Path, b: Path) -> set[str]:
    done = here("compare", str(a), str(b), "--check", "-f", "jsonl")
    assert done.returncode == 0, done.stderr
    assert "no partner" not in done.stderr
    return {json.loads(line)["verdict"] for line in done.stdout.splitlines()}


@each_sample
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_file_has_the_draws_of_a_fresh_one(fresh: Path, name: str, suffix: str) -> None:
    """Compare finds every row's partner, and no difference but rounding."""
    found = verdicts(OLD / f"{name}{suffix}", fresh / f"{name}.jsonl")
    assert found <= {"identical", "same draws"}


# Texts, totals that older layers did not have, and an error that has another formula now.
NOT_THE_SAME = {"caveats", "totals", "kurtosis_error", "checksum"}

THEORY = {
    "theory", "theory_slack", "z", "p", "spread_theory", "gradient_theory", "gradient_slack",
    "gradient_z", "gradient_p", "batch_spread_theory", "correlation_theory",
    "output_correlation", "chi",
}  # fmt: skip
"""Of layers: what older versions knew less of, and are held to."""


@each_sample
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_row_has_the_values_of_a_fresh_one(fresh: Path, name: str, suffix: str) -> None:
    """Settings and measurements alike, whatever they were called."""
    old, new = records(OLD / f"{name}{suffix}"), records(fresh / f"{name}.jsonl")
    for ours, theirs in zip(old, new, strict=True):
        assert list(ours) == list(theirs)
        for field in ours.keys() - NOT_THE_SAME - (THEORY if "layer" in ours else set()):
            if isinstance(theirs[field], float):
                assert ours[field] == pytest.approx(theirs[field], rel=1e-6, abs=1e-6), field
            elif isinstance(theirs[field], dict):
                assert ours[field] == pytest.approx(theirs[field], rel=1e-6), field
            else:
                assert ours[field] == theirs[field], field


@pytest.mark.parametrize("name", ["results", "layers"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_file_is_drawn(fresh: Path, tmp_path: Path, name: str, suffix: str) -> None:
    """Its figure has the labels and the shapes of that of a fresh file."""
    pytest.importorskip("matplotlib")
    figures = [tmp_path / "old.svg", tmp_path / "new.svg"]
    sources = [OLD / f"{name}{suffix}", fresh / f"{name}.jsonl"]
    for source, figure in zip(sources, figures, strict=True):
        assert here("plot", str(source), "-o", str(figure)).returncode == 0
    old, new = (figure.read_text(encoding="utf-8") for figure in figures)
    assert old.count("<path") == new.count("<path")
    assert old.count("<use") == new.count("<use") > 0


@pytest.fixture
def no_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail where anything is sampled."""

    def fail(work: Any) -> None:
        raise AssertionError(work)

    monkeypatch.setattr("varsim.runner.sample", fail)


@each_sample
@pytest.mark.parametrize("suffix", LINED)
@pytest.mark.usefixtures("no_sampling")
def test_rows_of_an_older_file_are_not_run_again(tmp_path: Path, name: str, suffix: str) -> None:
    """With --resume they are done, and the file ends in the present schema."""
    file, sample = copied(name, suffix, tmp_path), SAMPLES[name]
    before = records(file)
    done = here(*sample.command.split(), "-o", str(file), "--resume")
    assert (done.returncode, "are done already" in done.stderr) == (0, True), done.stderr
    assert in_present_schema(file, sample.schema)
    assert records(file) == before
    content = file.read_bytes()
    here(*sample.command.split(), "-o", str(file), "--resume")
    assert file.read_bytes() == content


@each_sample
@pytest.mark.parametrize("suffix", LINED)
def test_rows_are_added_to_an_older_file(tmp_path: Path, name: str, suffix: str) -> None:
    """Only what is missing is run, and what was there stays as it was."""
    file, sample = copied(name, suffix, tmp_path), SAMPLES[name]
    before = records(file)
    done = here(*sample.more.split(), "-o", str(file), "--resume")
    assert (done.returncode, "are done already" in done.stderr) == (0, True), done.stderr
    assert in_present_schema(file, sample.schema)
    after = records(file)
    assert len(after) > len(before)
    for record in before:
        kept = [r for r in after if identity(r) == identity(record)]
        assert [r["totals"] for r in kept] == [record["totals"]]


def copied(name: str, suffix: str, folder: Path) -> Path:
    return Path(shutil.copy(OLD / f"{name}{suffix}", folder))


def identity(record: dict[str, Any]) -> tuple[Any, ...]:
    return record["key"], record["seed"], record.get("layer")


def in_present_schema(file: Path, schema: Schema[Any]) -> bool:
    """Tell whether all lines are of the present schema, under one header."""
    lines = file.read_text(encoding="utf-8").splitlines()
    if file.suffix == ".jsonl":
        return all(list(json.loads(line)) == schema.names for line in lines)
    return lines[0] == ",".join(schema.names) and all(
        line.startswith(f"{schema.number},") for line in lines[1:]
    )


def test_an_older_csv_ledger_is_upgraded_as_a_whole_before_rows_are_added(tmp_path: Path) -> None:
    """Killed in the middle of its first new row, it holds all rows under the new header."""
    file = copied("results", ".csv", tmp_path)
    before = records(file)
    command = SAMPLES["results"].command.replace("-d 8", "-d 8,3e7")
    with subprocess.Popen(
        [*VARSIM, *command.split(), "--resume", "-o", str(file)], env=environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_for(lambda: file.read_bytes().startswith(b"schema,varsim,seed,design,dim,fan_out,")
                 and b",x_dist," in file.read_bytes())  # fmt: skip
        process.kill()
    assert in_present_schema(file, RESULTS)
    assert records(file) == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_upgrade_that_fails_leaves_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is replaced at once or not at all."""
    file = copied("layers", ".csv", tmp_path)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", no_space)
    done = here(*SAMPLES["layers"].command.split(), "-o", str(file), "--resume")
    assert done.returncode == 1
    assert done.stderr.endswith(
        f"'{file}' cannot be opened: No space left on device; choose another --output.\n"
    )
    assert file.read_bytes() == (OLD / "layers.csv").read_bytes()
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_another_takes_while_it_is_upgraded_is_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal says so, and the file is whole."""
    file = copied("results", ".csv", tmp_path)

    def taken(path: Path) -> int:
        if b",x_dist," in path.read_bytes():
            raise BlockingIOError(11, "it is in use by another varsim")
        return open_locked(path)

    monkeypatch.setattr("varsim.storage.ledger.open_locked", taken)
    with pytest.raises(BlockingIOError, match="in use by another varsim"):
        Ledger(file, RESULTS)
    assert in_present_schema(file, RESULTS)


def test_an_older_row_is_continued(fresh: Path, tmp_path: Path) -> None:
    """To the bytes of the same row in the present schema, and to the draws of a fresh one.

    A fresh row has the same last digits only on a CPU like that of the old file.
    """
    file, newest = copied("precise", ".jsonl", tmp_path), tmp_path / "newest.jsonl"
    newest.write_text(jsonl_text(records(file)), encoding="utf-8")
    other = Path(shutil.copy(fresh / "precise.jsonl", tmp_path / "fresh.jsonl"))
    fine = SAMPLES["precise"].command.replace("0.5%", "0.3%").split()
    for path in (file, newest, other):
        done = here(*fine, "-o", str(path), "--resume")
        assert (done.returncode, "measured anew" in done.stderr) == (0, False), done.stderr
    assert file.read_bytes() == newest.read_bytes()
    assert verdicts(file, other) <= {"identical", "same draws"}
    (row,) = records(file)
    assert row["std_error"] <= 0.003 * row["empirical"]


def test_an_older_stack_is_continued(tmp_path: Path) -> None:
    """To the draws of a run of as many networks at once; its medians are of the new ones."""
    file, whole = copied("layers", ".csv", tmp_path), tmp_path / "whole.jsonl"
    more = SAMPLES["layers"].command.replace("--networks 8", "--networks 20").split()
    assert here(*more, "-o", str(file), "--resume").returncode == 0
    assert here(*more, "-o", str(whole)).returncode == 0
    assert verdicts(file, whole) <= {"identical", "same draws"}
    assert {(r["networks"], r["median_networks"]) for r in records(file)} == {(20, 12)}
    assert {(r["networks"], r["median_networks"]) for r in records(whole)} == {(20, 20)}


def test_an_older_check_with_too_few_draws_is_measured_anew(tmp_path: Path) -> None:
    """Its totals cannot be added to, which a caveat says."""
    file, whole = copied("checks", ".jsonl", tmp_path), tmp_path / "whole.jsonl"
    more = SAMPLES["checks"].command.replace("--draws 8", "--draws 64").split()
    done = here(*more, "-o", str(file), "--resume")
    assert done.stderr.count("cannot be continued and is measured anew") == 2
    here(*more, "-o", str(whole))
    assert file.read_bytes() == whole.read_bytes()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_older_stack_needs_all_of_its_layers(tmp_path: Path, suffix: str) -> None:
    """Its widths stand in all of them; the sentence names the one that is missing."""
    file = copied("layers", suffix, tmp_path)
    rows = json.loads((OLD / "layers.json").read_text(encoding="utf-8"))
    file.write_text(WRITERS[suffix]([rows[0], *rows[2:]]), encoding="utf-8")
    done = here("compare", str(file), str(OLD / "layers.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "layer 2 of 2 of its stack is missing, and schema 2 needs them all" in done.stderr


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("name", "field"),
    [("results", "theory"), ("precise", "p"), ("layers", "z"), ("layers", "gradient_z"),
     ("counted", "spread"), ("checks", "forward_theory")],
)  # fmt: skip
def test_an_edited_older_file_is_refused(
    tmp_path: Path, name: str, field: str, suffix: str
) -> None:
    """What it says must follow from the rest of the row, as in a present file."""
    rows = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    file = tmp_path / f"edited{suffix}"
    file.write_text(WRITERS[suffix]([rows[0] | {field: 0.5}, *rows[1:]]), encoding="utf-8")
    done = here("compare", str(file), str(OLD / f"{name}.json"))
    assert (done.returncode, done.stdout) == (2, "")
    assert f"{field} is 0.5, but " in done.stderr


def uses(file: Path, command: str, folder: Path) -> Iterator[list[str]]:
    """Every command that reads a file of rows."""
    yield ["compare", str(file), str(file)]
    yield ["plot", str(file), "-o", str(folder / "figure.svg")]
    if file.suffix in LINED:
        yield [*command.split(), "-o", str(file), "--resume"]


@each_sample
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_newer_schema_is_refused_in_a_sentence(
    fresh: Path, tmp_path: Path, name: str, suffix: str
) -> None:
    """By every command that reads rows; it names the schema, and the file stays as it is."""
    command, _, schema, _ = SAMPLES[name]
    file, newer = tmp_path / f"newer{suffix}", schema.number + 1
    told = [r | {"schema": newer, "news": 1} for r in records(fresh / f"{name}.jsonl")]
    file.write_text(WRITERS[suffix](told), encoding="utf-8")
    content = file.read_bytes()
    for args in uses(file, command, tmp_path):
        done = here(*args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert (
            f"its schema is {newer}, newer than {schema.number}, which this varsim writes; "
            "update varsim"
        ) in done.stderr
    assert file.read_bytes() == content
    assert list(tmp_path.iterdir()) == [file]


@each_sample
def test_an_unknown_older_schema_is_refused(name: str) -> None:
    """The sentence names those that can be read."""
    sample = SAMPLES[name]
    rows = json.loads((OLD / f"{name}.json").read_text(encoding="utf-8"))
    told = [row | {"schema": sample.number - 1} for row in rows]
    between = "".join(f", {n}" for n in range(sample.number + 1, sample.schema.number))
    known = f"this varsim reads schema {sample.number}{between} and {sample.schema.number}"
    with pytest.raises(InputError, match=f"its schema is {sample.number - 1}, and {known}"):
        parse(json_text(told), ".json")


PAIRS = [("results", "layers"), ("layers", "checks"), ("checks", "precise")]


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_a_ledger_holds_rows_of_one_kind(tmp_path: Path, name: str, other: str) -> None:
    """Another command is refused in a sentence that names both, and the file stays as it is."""
    for suffix in LINED:
        file = copied(name, suffix, tmp_path)
        done = here(*SAMPLES[other].command.split(), "-o", str(file), "--resume")
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        kinds = f"it holds {SAMPLES[name].schema.kind}, not {SAMPLES[other].schema.kind}"
        assert kinds in done.stderr
        assert file.read_bytes() == (OLD / f"{name}{suffix}").read_bytes()


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_files_of_two_kinds_are_neither_compared_nor_drawn(
    tmp_path: Path, name: str, other: str
) -> None:
    """One sentence names both."""
    files = [str(OLD / f"{name}.jsonl"), str(OLD / f"{other}.csv")]
    for args in (["compare", *files], ["plot", *files, "-o", str(tmp_path / "figure.svg")]):
        done = here(*args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert f"holds {SAMPLES[name].schema.kind}, and " in done.stderr
        assert f"holds {SAMPLES[other].schema.kind}; give files of one kind" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("name", "other"), PAIRS)
def test_rows_of_two_kinds_in_one_file_are_refused(tmp_path: Path, name: str, other: str) -> None:
    """The sentence names the first row that is of another kind."""
    first, second = (
        (OLD / f"{each}.jsonl").read_text(encoding="utf-8").splitlines() for each in (name, other)
    )
    file = tmp_path / "mixed.jsonl"
    file.write_text("\n".join([*first, *second]) + "\n", encoding="utf-8")
    for args in uses(file, SAMPLES[name].command, tmp_path):
        done = here(*args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        place = f"line {len(first) + 1} cannot be used: this is not a row of"
        assert f"{place} {SAMPLES[name].schema.kind}" in done.stderr


def test_an_edited_kurtosis_is_refused_without_a_warning() -> None:
    """Whatever follows from it: NumPy would warn of what leaves the floats."""
    rows = json.loads((OLD / "checks.json").read_text(encoding="utf-8"))
    with pytest.raises(InputError, match=r"^row 1 cannot be used: kurtosis_error is [^\n]*$"):
        parse(json_text([rows[0] | {"kurtosis": -1e308}]), ".json")
