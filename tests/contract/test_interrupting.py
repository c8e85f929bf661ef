"""Interruption at any moment: rows with an error bar count, and no finished row is lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.contract.test_resuming import KINDS, LONG
from tests.rows import STUDIES, names_of, parse, records, rows, text_of, totals_of
from tests.runs import Ending, alone, extend, run_of, seeded
from varsim.model.question import Model
from varsim.storage import files, ledger
from varsim.storage.ledger import SUITABLE, Ledger


def after(moment: str, name: str) -> int:
    """A number of replicates of a study."""
    least: int = STUDIES[name].minimum
    most: int = rows(name)[0].replicates - 1
    return {"none": 0, "few": least - 1, "enough": least, "most": most}[moment]


@pytest.mark.parametrize("moment", ["none", "few", "enough", "most"])
@pytest.mark.parametrize("name", LONG)
def test_an_interrupt_keeps_every_row_that_has_an_error_bar(
    name: str, moment: str, tmp_path: Path
) -> None:
    """Finished rows are whole, one with an error bar is kept in part, and no other is there."""
    study, replicates = STUDIES[name], after(moment, name)
    first, last = seeded(study, 7), seeded(study, 8)
    whole = alone(name, 7)
    end, file = Ending(whole[0].replicates + replicates), tmp_path / "rows.jsonl"
    with Ledger(file, whole[0].schema) as open_ledger:
        outcome = run_of([first, study, last], end, ledger=open_ledger)
    is_kept = replicates >= study.minimum
    assert outcome.interrupted
    assert outcome.failure is None
    assert (outcome.asked, outcome.complete, outcome.partial) == (3, 1, is_kept)
    assert records(outcome.groups[0]) == records(whole)
    for row in [row for group in outcome.groups[1:] for row in group]:
        assert row.question == study.question
        assert row.replicates == replicates
        assert row.agrees is not None or not row.has_claim
        said = {caveat.id: caveat.message for caveat in row.caveats}
        if "precision-unmet" not in said:
            assert f"after {replicates:,} " in said["interrupted"]
    if is_kept:
        part = study.rows(totals_of(study, replicates))
        assert [row.estimates for row in outcome.groups[1]] == [row.estimates for row in part]
    written = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert records(written) == records(outcome.rows)


@pytest.mark.parametrize("name", LONG)
def test_an_interrupt_of_the_only_row_leaves_no_file_without_an_error_bar(
    name: str, tmp_path: Path
) -> None:
    """And adds nothing to a file where nothing was measured."""
    study, file = STUDIES[name], tmp_path / "rows.jsonl"
    for end in ("none", "few"):
        with Ledger(file, rows(name)[0].schema) as empty:
            outcome = run_of([study], Ending(after(end, name)), ledger=empty)
        assert (outcome.interrupted, outcome.rows) == (True, [])
        assert list(tmp_path.iterdir()) == []
    extend(file, rows(name)[0].schema, [study], Ending(study.minimum))
    content = file.read_bytes()
    again = extend(file, rows(name)[0].schema, [study], Ending(0))
    assert {row.replicates for row in again.rows} == {study.minimum}
    assert file.read_bytes() == content


# What else ends a run.

CALLS = count()


def gives_up(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """An initializer that fails after some W."""
    if next(CALLS) > 10:
        raise ValueError("no numbers any more")
    return rng.standard_normal(shape)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The initializer fails anew in every test."""
    monkeypatch.setitem(globals(), "CALLS", count())


def broken(study: Any) -> Any:
    """A study with an initializer that fails in the middle."""
    function = f"{__name__}:{gives_up.__name__}"
    changed = {"init": function, "w_dist": None}
    if isinstance(study.question, Model):
        changed = {"model": function}
    return replace(study, question=replace(study.question, **changed))


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_failing_user_code_loses_no_other_row(kind: str, tmp_path: Path, *, lenient: bool) -> None:
    """A strict run ends with its sentence, and a lenient one leaves the question out."""
    study, file = STUDIES[names_of(kind)[-1]], tmp_path / "rows.jsonl"
    first, last = seeded(study, 7), seeded(study, 8)
    with Ledger(file, rows(names_of(kind)[0])[0].schema) as open_ledger:
        outcome = run_of([first, broken(study), last], ledger=open_ledger, lenient=lenient)
    done = [first, last] if lenient else [first]
    assert [group[0].question for group in outcome.groups] == [each.question for each in done]
    name = names_of(kind)[-1]
    expected = [row for seed in (7, 8)[: len(done)] for row in alone(name, seed)]
    assert records(outcome.rows) == records(expected)
    assert records(parse(file.read_text(encoding="utf-8"), ".jsonl")) == records(outcome.rows)
    (said,) = outcome.left_out.values() if lenient else [outcome.failure]
    assert said is not None
    assert "no numbers any more" in said
    assert "\n" not in said
    assert outcome.asked == len(done) + 2 * (not lenient)


@pytest.mark.parametrize("suffix", SUITABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_loses_no_row(
    kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a row is taken back, the row is shown, and the same command goes on."""
    study, file = STUDIES[names_of(kind)[0]], tmp_path / f"rows{suffix}"
    schema, studies = rows(names_of(kind)[0])[0].schema, [study, seeded(study, 7), seeded(study, 8)]
    whole, written = run_of(studies), count()
    write = files._write

    def filling(handle: int, content: bytes) -> None:
        is_full = next(written) > 0
        write(handle, content[: len(content) // 2] if is_full else content)
        if is_full:
            raise OSError(28, "No space left on device")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(files, "_write", filling)
        patch.setattr(ledger, "atomic_write", full)
        with Ledger(file, schema) as open_ledger:
            outcome = run_of(studies, ledger=open_ledger)
            with pytest.raises(OSError, match="No space left"):
                open_ledger.finalize(outcome.rows)
    assert outcome.failure is not None
    assert f"{str(file)!r}: No space left on device; " in outcome.failure
    assert records(outcome.rows) == records(row for group in whole.groups[:2] for row in group)
    assert records(parse(file.read_text(encoding="utf-8"), suffix)) == records(whole.groups[0])
    extend(file, schema, studies)
    assert file.read_text(encoding="utf-8") == text_of(whole.rows, suffix)
