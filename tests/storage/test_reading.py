"""Reading: what holds no rows of varsim is refused, in a sentence that says what it holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.program import here, parse
from tests.rows import TEXTS
from varsim.errors import InputError

SUFFIXES = list(TEXTS)


def assert_refused(text: str, suffix: str, reason: str = "") -> None:
    """It is, in one sentence."""
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$") as refusal:
        parse(text, suffix)
    assert re.search(reason, str(refusal.value))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("schema", [2, 3, 4, 5])
def test_a_file_of_varsim_before_1_is_refused(schema: int, suffix: str, tmp_path: Path) -> None:
    """In a sentence that says what to do, by every command that reads rows."""
    old = {"schema": schema, "varsim": "0.9.1", "seed": 0, "dim": 8, "empirical": 1.0}
    text = TEXTS[suffix]([old, old])
    assert_refused(text, suffix, r"before 1\.0, .*; measure its rows again$")
    file = tmp_path / f"rows{suffix}"
    file.write_text(text, encoding="utf-8")
    commands = [["compare", str(file), str(file)], ["merge", str(file), "-o", "a.csv"],
                ["plot", str(file), "-o", "a.svg"]]  # fmt: skip
    if suffix != ".json":
        commands.append(["-d", "8", "-n", "640", "-o", str(file), "--resume"])
    for args in commands:
        done = here(*args)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "before 1.0" in done.stderr
    assert file.read_text(encoding="utf-8") == text
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("kind", "named"),
    [("comparison", "comparisons"), ("gain", "gains"), ("critical", "critical points"),
     ("plan", "the plan of a dry run"), ("tolerance", "tolerances")],
)  # fmt: skip
def test_what_was_not_measured_is_named(kind: str, named: str, suffix: str) -> None:
    """Other records of varsim are no rows."""
    text = TEXTS[suffix]([{"schema": 1, "kind": kind, "verdict": "agrees"}])
    assert_refused(text, suffix, f"it holds {named}, and not what was measured; give a file")


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", "\r\n"])
def test_a_file_of_nothing_has_no_rows(text: str) -> None:
    """In the formats that have one row per line."""
    assert parse(text, ".jsonl") == parse(text, ".csv") == []
