"""Resuming: a file ends with the bytes of a run at once, and no replicate is drawn twice."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.rows import (
    LARGER,
    STUDIES,
    names_of,
    records,
    rows,
    text_of,
    totals_of,
)
from tests.runs import Ending, extend, run_of
from varsim.kinds import SCHEMAS
from varsim.storage.ledger import SUITABLE, Ledger

KINDS = [schema.name for schema in SCHEMAS]

LONG = [name for name in STUDIES if rows(name)[0].replicates > STUDIES[name].minimum + 1]
"""Studies with more replicates than an error bar needs."""


def test_every_kind_has_its_examples() -> None:
    """A study of few replicates and of more, and one that others continue."""
    for kind in KINDS:
        names = names_of(kind)
        assert names, f"tests/rows.py has no study of kind {kind}"
        assert set(names) & set(LONG), f"tests/rows.py has no long study of kind {kind}"
        assert set(names) & set(LARGER), f"tests/rows.py has no larger study of kind {kind}"


@pytest.mark.parametrize("suffix", SUITABLE)
@pytest.mark.parametrize("name", LONG)
def test_an_interrupted_row_ends_as_one_of_a_run_at_once(
    name: str, suffix: str, tmp_path: Path
) -> None:
    """Stopped at an error bar, one replicate later and one before the end: to the last byte."""
    study, whole, file = STUDIES[name], rows(name), tmp_path / f"rows{suffix}"
    drawn: list[int] = []
    least, total = study.minimum, whole[0].replicates
    for end in (least, least + 1, total - 1, total):
        mapper = Ending(end - len(drawn))
        outcome = extend(file, whole[0].schema, [study], mapper)
        drawn += mapper.drawn
        assert drawn == list(range(end))
        assert outcome.interrupted is (end < total)
        assert {row.replicates for row in outcome.rows} == {end}
    assert file.read_text(encoding="utf-8") == text_of(whole, suffix)


@pytest.mark.parametrize("suffix", SUITABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_interrupts_anywhere_leave_no_trace(kind: str, suffix: str, tmp_path: Path) -> None:
    """At random numbers of replicates, in one row after another: the bytes of a run at once."""
    studies, rng = [STUDIES[name] for name in names_of(kind)], random.Random(kind)
    file, least = tmp_path / f"rows{suffix}", max(study.minimum for study in studies)
    schema, runs = rows(names_of(kind)[0])[0].schema, 1
    while extend(file, schema, studies, Ending(rng.randrange(least, least + 16))).interrupted:
        runs += 1
    assert runs > 1
    assert file.read_text(encoding="utf-8") == text_of(run_of(studies).rows, suffix)


@pytest.mark.parametrize("suffix", SUITABLE)
@pytest.mark.parametrize("name", STUDIES)
def test_a_finished_row_is_not_measured_again(name: str, suffix: str, tmp_path: Path) -> None:
    """Its file stays as it is; intervals of another level follow from the totals."""
    study, whole, file = STUDIES[name], rows(name), tmp_path / f"rows{suffix}"
    file.write_text(text_of(whole, suffix), encoding="utf-8")
    mapper, before = Ending(0), file.stat().st_mtime_ns
    outcome = extend(file, whole[0].schema, [study], mapper)
    assert not outcome.interrupted
    assert text_of(outcome.rows) == text_of(whole)
    assert file.stat().st_mtime_ns == before
    other = replace(study, confidence=0.5)
    outcome, at_once = extend(file, whole[0].schema, [other], mapper), run_of([other])
    assert text_of(outcome.rows) == text_of(at_once.rows)
    assert file.read_text(encoding="utf-8") == text_of(at_once.rows, suffix)


@pytest.mark.parametrize("suffix", SUITABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_only_missing_rows_are_measured(kind: str, suffix: str, tmp_path: Path) -> None:
    """Whatever the order of the others; the end is the bytes of a run at once."""
    names, rng = names_of(kind), random.Random(kind)
    studies = [STUDIES[name] for name in names]
    expected = text_of(run_of(studies).rows, suffix)
    for missing in {1, len(names) - 1}:
        kept = [row for name in names[missing:] for row in rows(name)]
        rng.shuffle(kept)
        file, mapper = tmp_path / f"{missing}{suffix}", Ending()
        file.write_text(text_of(kept, suffix), encoding="utf-8")
        extend(file, rows(names[0])[0].schema, studies, mapper)
        assert len(mapper.drawn) == sum(rows(name)[0].replicates for name in names[:missing])
        assert file.read_text(encoding="utf-8") == expected


@pytest.mark.parametrize("name", LARGER)
def test_a_larger_study_continues_a_smaller_one(name: str, tmp_path: Path) -> None:
    """Only further replicates are drawn, and its rows are all that the smaller one asks for."""
    small, large, file = STUDIES[name], LARGER[name], tmp_path / "rows.jsonl"
    schema, before = rows(name)[0].schema, rows(name)[0].replicates
    file.write_text(text_of(rows(name)), encoding="utf-8")
    mapper = Ending()
    after = extend(file, schema, [large], mapper).rows
    assert all(row.met for row in after)
    assert mapper.drawn == list(range(before, after[0].replicates))
    assert mapper.drawn
    at_once = large.rows(totals_of(large, after[0].replicates))
    assert records(after) == records(at_once)
    content = file.read_bytes()
    for study in (large, small):
        again = extend(file, schema, [study], Ending(0))
        assert not again.interrupted
        assert text_of(again.rows) == text_of(after)
        assert file.read_bytes() == content


@pytest.mark.parametrize("name", LARGER)
def test_a_row_of_more_than_is_asked_for_was_not_interrupted(name: str, tmp_path: Path) -> None:
    """It was on its way to a larger number, which is not asked for now."""
    small, large, file = STUDIES[name], LARGER[name], tmp_path / "rows.jsonl"
    schema, enough = rows(name)[0].schema, rows(name)[0].replicates + 1
    extend(file, schema, [large], Ending(enough))
    with Ledger(file, schema) as ledger:
        assert ledger.resume(large).done is None
        done = ledger.resume(small).done
    if large.question.precision is not None:
        assert done is None  # its checks are at other numbers
        return
    assert done is not None
    assert {row.replicates for row in done} == {enough}
    assert not [caveat for row in done for caveat in row.caveats if caveat.id == "interrupted"]


@pytest.mark.parametrize("name", STUDIES)
def test_a_row_of_another_package_is_measured_again(name: str, tmp_path: Path) -> None:
    """Another version of it may draw other numbers: the row is replaced, and was not continued."""
    study, whole, file = STUDIES[name], rows(name), tmp_path / "rows.jsonl"
    stale = [replace(row, init_package="another 1.0") for row in whole]
    file.write_text(text_of(stale), encoding="utf-8")
    mapper = Ending()
    outcome = extend(file, whole[0].schema, [study], mapper)
    assert mapper.drawn == list(range(whole[0].replicates))
    assert records(outcome.rows) == records(whole)
    assert file.read_text(encoding="utf-8") == text_of(whole)
