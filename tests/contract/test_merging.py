"""Rows of two runs: compared with each other, and added up where their kind permits it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.contract.test_resuming import KINDS
from tests.rows import (
    STUDIES,
    TEXTS,
    names_of,
    numbers_of,
    parse,
    record_of,
    records,
    rows,
    rows_of,
    text_of,
)
from tests.runs import Ending, extend, seeded
from varsim.comparison import IDENTICAL, compare, match, merge, repeat
from varsim.errors import InputError
from varsim.kinds import kind_of
from varsim.statistics import judge

SEEDS = (3, 1, 2)


@pytest.mark.parametrize("suffix", TEXTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_identical_to_itself_in_every_format(kind: str, suffix: str) -> None:
    """In any order of its rows: no format loses a digit."""
    some = rows_of(kind)
    again = parse(text_of(some[::-1], suffix), suffix)
    matching = match(kind_of(some), some, again)
    assert len(matching.pairs) == len(some)
    assert {comparison.verdict for comparison in compare(matching)} == {IDENTICAL}


def parts(name: str) -> list[list[Any]]:
    """Rows of a study with several seeds, and of numbers of replicates of their own."""
    study = STUDIES[name]
    return [
        seeded(study, seed).rows(study.empty().plus(*sampled(name, seed, study.minimum + place)))
        for place, seed in enumerate(SEEDS)
    ]


def sampled(name: str, seed: int, replicates: int) -> list[Any]:
    samples: list[Any] = seeded(STUDIES[name], seed).sample(range(replicates))
    return samples


def permitted(name: str) -> bool:
    """Whether rows of a study can be added up."""
    (a, *_), (b, *_), _ = parts(name)
    return kind_of([a]).obstacle(a, b) is None


POOLED = [name for name in STUDIES if permitted(name)]


@pytest.mark.parametrize("name", [name for name in STUDIES if name not in POOLED])
def test_rows_that_cannot_be_added_up_stay_apart(name: str) -> None:
    """With the reason."""
    some = [row for part in parts(name) for row in part]
    merged = merge(kind_of(some), some)
    assert merged.rows == some
    assert [row for row, _ in merged.apart] == some[1:]
    assert all(reason for _, reason in merged.apart)


@pytest.mark.parametrize("name", POOLED)
def test_pooled_totals_are_those_of_all_replicates(name: str) -> None:
    """As if they had been added one by one, and not only the sums."""
    study, whole = STUDIES[name], STUDIES[name].empty()
    for place, seed in sorted(enumerate(SEEDS), key=lambda pair: pair[1]):
        whole = whole.plus(*sampled(name, seed, study.minimum + place))
    some = [row for part in parts(name) for row in part]
    merged = merge(kind_of(some), some)
    expected = study.rows(whole)
    assert (merged.pooled, merged.apart) == (len(expected), [])
    for row, at_once in zip(merged.rows, expected, strict=True):
        close: dict[str, Any] = {"rel": 1e-10, "abs": 1e-13, "nan_ok": True}
        assert numbers_of(row.totals) == pytest.approx(numbers_of(at_once.totals), **close)
        assert (row.seed, row.seeds) == (1, (1, 2, 3))
        assert row.key == f"{at_once.key}+2+3"
        assert "pooled" in {caveat.id for caveat in row.caveats}
        for pooled, alone in zip(row.estimates, at_once.estimates, strict=True):
            assert pooled.std_error == pytest.approx(alone.std_error, rel=1e-6, nan_ok=True)
        assert_noticed([part[at_once.place - 1].totals for part in parts(name)], at_once.totals)


def assert_noticed(some: list[Any], whole: Any) -> None:
    """Sums of squared deviations that are only added up lack the spread between the parts."""
    sums = [each for each in dir(whole) if each.endswith("m2") and getattr(whole, each) > 0]
    assert sums or math.isnan(numbers_of(whole)[1])
    for each in sums:
        added = sum(getattr(part, each) for part in some)
        assert added != pytest.approx(getattr(whole, each), rel=1e-6, abs=0.0)


@pytest.mark.parametrize("name", POOLED)
def test_the_order_of_the_rows_changes_no_pooled_digit(name: str) -> None:
    """Nor does a seed count twice: it is found before anything is added up."""
    first, *others = parts(name)
    kind, some = kind_of(first), [row for part in (first, *others) for row in part]
    other_order = [row for part in (*others[::-1], first) for row in part]
    assert records(merge(kind, some).rows) == records(merge(kind, other_order).rows)
    assert repeat(some) is None
    again = merge(kind, [row for part in others for row in part]).rows
    for twice in ([*some, *first], [*again, *others[0]]):
        found = repeat(twice)
        assert found is not None
        assert twice[found.first].place == twice[found.second].place
        assert found.seed in set(twice[found.first].seeds) & set(twice[found.second].seeds)


@pytest.mark.parametrize("name", POOLED)
def test_a_pooled_row_is_read_again_and_never_continued(name: str, tmp_path: Path) -> None:
    """In every format; a run measures its own seed, and leaves the pooled row in the file."""
    some = [row for part in parts(name) for row in part]
    merged = judge(merge(kind_of(some), some).rows)
    for suffix in TEXTS:
        assert text_of(parse(text_of(merged, suffix), suffix), suffix) == text_of(merged, suffix)
    record = record_of(merged[0])
    assert record["pooled"] == [2, 3]
    for wrong in ([], [4], [3, 2], [2, 3, 4], [2.5], ["2"], "2", 2, None):
        with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
            merged[0].schema.row_of({**record, "pooled": wrong})
    file, study, mapper = tmp_path / "rows.jsonl", seeded(STUDIES[name], 1), Ending()
    file.write_text(text_of(merged), encoding="utf-8")
    outcome = extend(file, merged[0].schema, [study], mapper)
    assert mapper.drawn == list(range(outcome.rows[0].replicates))
    read = parse(file.read_text(encoding="utf-8"), ".jsonl")
    assert [row.seeds for row in read] == [(1,)] * len(merged) + [(1, 2, 3)] * len(merged)
    assert json.dumps(record_of(read[-1])) == json.dumps(record_of(merged[-1]))


@pytest.mark.parametrize("kind", KINDS)
def test_some_rows_of_every_kind_can_be_added_up(kind: str) -> None:
    """Else nothing above has been tested."""
    assert set(names_of(kind)) & set(POOLED)
    assert rows(names_of(kind)[0])
