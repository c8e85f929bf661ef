"""Files of rows: what another program has rewritten is read, and no changed digit is."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from itertools import product
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
    resealed,
    rows,
    rows_of,
    text_of,
)
from tests.runs import Ending, extend, run_of
from varsim.errors import InputError
from varsim.fields import CHECKSUM, NUMBER
from varsim.storage.ledger import SUITABLE, Ledger
from varsim.storage.reading import suffix_of

SUFFIXES = list(TEXTS)

each_file = pytest.mark.parametrize(("kind", "suffix"), list(product(KINDS, SUFFIXES)))
"""For each kind of row in each format."""

each_ledger = pytest.mark.parametrize(("kind", "suffix"), list(product(KINDS, SUITABLE)))
"""For each kind of row in each format that a run can extend."""


def stored_names(row: Any) -> list[str]:
    return [field.name for field in row.schema.fields if field.stored]


def derived_names(row: Any) -> list[str]:
    return [field.name for field in row.schema.fields if not field.stored]


def cells_of(row: Any, suffix: str) -> dict[str, str]:
    """The text of each value of a row in a file."""
    if suffix == ".csv":
        names, cells = csv.reader(io.StringIO(text_of([row], ".csv")))
        return dict(zip(names, cells, strict=True))
    return {name: json.dumps(value) for name, value in record_of(row).items()}


def file_of(written: Sequence[Mapping[str, str]], suffix: str, line_end: str = "\n") -> str:
    """The text of a file of rows, from the texts of their values."""
    if suffix == ".csv":
        out = io.StringIO(newline="")
        lines = csv.writer(out, lineterminator=line_end)
        lines.writerow(written[0])
        lines.writerows(row.values() for row in written)
        return out.getvalue()
    objects = [", ".join(f"{json.dumps(n)}: {t}" for n, t in row.items()) for row in written]
    if suffix == ".jsonl":
        return "".join(f"{{{each}}}{line_end}" for each in objects)
    return "[" + f",{line_end} ".join(f"{{{each}}}" for each in objects) + f"]{line_end}"


def same(read: Sequence[Any], expected: Sequence[Any]) -> bool:
    """Whether rows have the same records, digit for digit."""
    return list(map(record_of, read)) == list(map(record_of, expected))


# What is read.


@each_file
def test_what_was_written_is_read_again(kind: str, suffix: str) -> None:
    """Digit for digit, with totals, key and estimates; and written again as it was."""
    expected = rows_of(kind)
    text = text_of(expected, suffix)
    read = parse(text, suffix)
    assert text_of(read, suffix) == text
    for row, again in zip(expected, read, strict=True):
        for part in ("totals", "estimates", "caveats"):
            assert repr(numbers_of(getattr(again, part))) == repr(numbers_of(getattr(row, part)))
        assert (again.key, again.place, again.met) == (row.key, row.place, row.met)
    assert suffix_of(text) == suffix_of("\ufeff" + text) == suffix


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_is_the_schema(kind: str) -> None:
    """It has these names in this order: a schema and a kind first, and a checksum last."""
    for row in rows_of(kind):
        record = record_of(row)
        assert list(record) == row.schema.names
        assert list(record.items())[:2] == [("schema", NUMBER), ("kind", kind)]
        assert list(record)[-1] == CHECKSUM


def scientific(number: float | str) -> str:
    """The same number with an exponent, such as 6.4E+1."""
    return f"{Decimal(str(number)):E}"


def with_point(number: float | str) -> str:
    """The same number with a point, as 64.0 for 64."""
    text = str(number)
    return f"{text}.0" if re.fullmatch(r"-?\d+", text) else text


def without_point(number: float | str) -> str:
    """The same number without a point, as 64 for 64.0."""
    return str(number).removesuffix(".0")


def respelled(value: Any, spell: Callable[[float], str]) -> str:
    """JSON with other spellings of its numbers and its names in another order."""
    if isinstance(value, dict):
        items = (f"{json.dumps(n)} : {respelled(v, spell)}" for n, v in reversed(value.items()))
        return "{ " + " , ".join(items) + " }"
    if isinstance(value, list):
        return "[" + ",".join(respelled(each, spell) for each in value) + "]"
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return spell(value) if is_number else json.dumps(value)


def rewritten_cell(name: str, cell: str, row: Any, spell: Callable[[str], str]) -> str:
    """A cell of CSV as a spreadsheet or pandas writes it: texts and lists stay as they are."""
    field = row.schema.by_name.get(name)
    if name in {"kind", CHECKSUM} or (field is not None and field.value_type.is_text):
        return cell
    if cell in {"true", "false"}:
        return cell.upper() if spell is scientific else cell.capitalize()
    return spell(cell) if re.fullmatch(r"-?\d[\d.e+-]*", cell) else cell


def rewritten(row: Any, suffix: str, spell: Callable[[Any], str]) -> dict[str, str]:
    """The texts of a row's values in another order, with other spellings and further columns."""
    if suffix == ".csv":
        cells = {n: rewritten_cell(n, c, row, spell) for n, c in cells_of(row, suffix).items()}
        return {"Unnamed: 0": "7", **dict(reversed(cells.items())), "my note": 'a "b",\tc'}
    record = record_of(row)
    texts = {name: respelled(record[name], spell) for name in reversed(record)}
    return {"index": "7", **texts, "my note": '{"a": [1, null]}'}


@each_file
@pytest.mark.parametrize("spell", [scientific, with_point, without_point])
def test_what_a_spreadsheet_rewrites_is_read(
    kind: str, suffix: str, spell: Callable[[Any], str]
) -> None:
    """BOM, CRLF, TRUE and True, 1E-3, 64.0 for 64, columns in another order and further ones."""
    written = [rewritten(row, suffix, spell) for row in rows_of(kind)]
    text = "\ufeff" + file_of(written, suffix, "\r\n")
    if suffix == ".csv":
        assert ("TRUE" if spell is scientific else "True") in text
        text += "," * (len(written[0]) - 1) + "\r\n"  # as of an empty row of a sheet
    assert spell is without_point or ("E+" if spell is scientific else ".0") in text
    assert same(parse(text, suffix), rows_of(kind))
    assert suffix_of(text) == suffix


@each_file
def test_each_change_of_a_spreadsheet_alone_is_read(kind: str, suffix: str) -> None:
    """One after the other, so that none hides behind another."""
    expected = rows_of(kind)
    plain = [cells_of(row, suffix) for row in expected]
    kept = {"schema", "kind", CHECKSUM, *stored_names(expected[0])}
    for text in (
        file_of(plain, suffix),
        "\ufeff" + file_of(plain, suffix),
        file_of(plain, suffix, "\r\n"),
        file_of([{**row, "more": "1"} for row in plain], suffix),
        file_of([dict(sorted(row.items())) for row in plain], suffix),
        file_of([{n: row[n] for n in row if n in kept} for row in plain], suffix),
        file_of(plain, suffix).rstrip("\n"),
    ):
        assert same(parse(text, suffix), expected)


@each_file
def test_a_derived_value_that_is_changed_is_ignored(kind: str, suffix: str) -> None:
    """Also where it is nothing that there can be, and it is right again in the row."""
    expected = rows_of(kind)
    others = ("1.5", "true", "[]", "[1.0]", '{"low": 0}', '"x"', "null")
    for other in (*others, *(["", "x"] if suffix == ".csv" else [])):
        changed = [
            cells_of(row, suffix) | dict.fromkeys(derived_names(row), other) for row in expected
        ]
        assert same(parse(file_of(changed, suffix), suffix), expected)


@each_ledger
@pytest.mark.parametrize("spell", [scientific, with_point])
def test_a_file_that_was_rewritten_is_resumed(
    kind: str, suffix: str, spell: Callable[[Any], str], tmp_path: Path
) -> None:
    """No row is measured again, rows can be added, and the end is the bytes of a plain run."""
    names = names_of(kind)
    studies = [STUDIES[name] for name in names]
    whole = run_of(studies)
    for missing in (0, 1):
        file, mapper = tmp_path / f"{missing}{suffix}", Ending()
        kept = [row for group in whole.groups[missing:] for row in group]
        text = file_of([rewritten(row, suffix, spell) for row in kept], suffix, "\r\n")
        file.write_bytes(f"\ufeff{text}".encode())
        extend(file, kept[0].schema, studies, mapper)
        assert len(mapper.drawn) == missing * whole.rows[0].replicates
        assert file.read_text(encoding="utf-8") == text_of(whole.rows, suffix)


# What is refused.


def assert_refused(text: str, suffix: str, reason: str = "") -> None:
    """It is, in one sentence."""
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$") as refusal:
        parse(text, suffix)
    assert re.search(reason, str(refusal.value))


def refused(row: Any, record: Mapping[str, Any]) -> None:
    """It is, in one sentence."""
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
        row.schema.row_of(record)


def other_digits(text: str) -> Iterator[str]:
    """The text with each of its digits changed."""
    for match in re.finditer(r"\d", text):
        yield text[: match.start()] + str((int(match[0]) + 1) % 10) + text[match.end() :]


def is_changed(text: str, other: str) -> bool:
    """Whether two texts are of different values: 17 digits may be those of one float."""
    try:
        return bool(json.loads(text) != json.loads(other))
    except json.JSONDecodeError:
        return True


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", STUDIES)
def test_a_changed_digit_of_a_stored_value_is_found(name: str, suffix: str) -> None:
    """Of every one, wherever it is in it; and of the checksum."""
    row = rows(name)[-1]
    cells = cells_of(row, suffix)
    for column in (*stored_names(row), CHECKSUM):
        for other in other_digits(cells[column]):
            if is_changed(cells[column], other):
                assert_refused(file_of([{**cells, column: other}], suffix), suffix)


def other_values(value: Any) -> Iterator[Any]:
    """Every value that differs in one place, and there by as little as there can be."""
    if isinstance(value, dict):
        for name in value:
            yield from (value | {name: other} for other in other_values(value[name]))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in other_values(value[i]))
        yield [*value, value[-1] if value else 1]
    elif isinstance(value, bool) or value is None:
        yield not value
    elif isinstance(value, str):
        yield value[:-1] + chr(ord(value[-1]) ^ 1)
    else:
        yield math.nextafter(value, math.inf) if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", STUDIES)
def test_the_least_change_of_a_stored_value_is_found(name: str) -> None:
    """Settings, totals, histograms and texts; nor may one be left out, or be of another type."""
    row = rows(name)[-1]
    record = record_of(row)
    stored = {name: record[name] for name in (*stored_names(row), CHECKSUM)}
    for edited in other_values(stored):
        refused(row, record | edited)
    others: list[Any] = [None, "text", [1.5], True, {}]
    for column, value in stored.items():
        refused(row, {key: value for key, value in record.items() if key != column})
        for other in others:
            if other != value and not (other is None and column == "pooled"):  # as CSV has it
                refused(row, record | {column: other})


@pytest.mark.parametrize("name", STUDIES)
def test_junk_with_a_right_checksum_is_one_sentence(name: str) -> None:
    """It is refused, or is a value that there can be; nothing else is raised."""
    row = rows(name)[-1]
    record = record_of(row)
    assert resealed(row, record) == record
    values: list[Any] = [{}, [], [[]], "x", True, -1e999, 10**400, {"low": []}]
    for column in stored_names(row):
        for junk in values:
            with suppress(InputError):
                row.schema.row_of(resealed(row, {**record, column: junk}))


@each_file
def test_a_stored_value_that_is_another_s_is_found(kind: str, suffix: str) -> None:
    """Cells of two rows that have changed places, as a sheet that is sorted by one column."""
    names = names_of(kind)
    first, second = (cells_of(rows(name)[-1], suffix) for name in (names[0], names[-1]))
    for column in stored_names(rows_of(kind)[0]):
        if first[column] != second[column]:
            swapped = [{**first, column: second[column]}, {**second, column: first[column]}]
            assert_refused(file_of(swapped, suffix), suffix, "^(line|row) . cannot be used: ")


@each_file
def test_a_row_without_a_stored_column_or_a_checksum_is_refused(kind: str, suffix: str) -> None:
    """Each of them is needed."""
    row = rows_of(kind)[0]
    cells = cells_of(row, suffix)
    for column in ("schema", "kind", *stored_names(row), CHECKSUM):
        left = {name: text for name, text in cells.items() if name != column}
        assert_refused(file_of([left], suffix), suffix)


@each_file
def test_a_truncated_file_gives_no_other_row(kind: str, suffix: str) -> None:
    """Cut anywhere, it is refused in one sentence, or gives the first of its rows as they were."""
    expected = rows_of(kind)[:2]
    text = text_of(expected, suffix)
    ends = {random.Random(kind).randrange(len(text)) for _ in range(100)}
    for end in (*ends, *range(len(text) - 20, len(text))):
        try:
            read = parse(text[:end], suffix)
        except InputError:
            assert_refused(text[:end], suffix)
        else:
            assert same(read, expected[: len(read)])


def numbered(suffix: str, number: int) -> str:
    """How a sentence names a row: in CSV the header is a line too."""
    return f"row {number}" if suffix == ".json" else f"line {number + (suffix == '.csv')}"


@each_file
@pytest.mark.parametrize(
    ("schema", "reason"),
    [(2, "2, newer than 1, which this varsim reads; update varsim"), (99, "99, newer than 1, .*"),
     (0, "0, and this varsim reads schema 1"), ("1", "'1', and .*"), (True, "True, and .*"),
     (None, "None, and .*")],
)  # fmt: skip
def test_another_schema_is_refused(kind: str, suffix: str, schema: object, reason: str) -> None:
    """The sentence says where, and what to do."""
    known, *_ = ({**record_of(row), "more": 1} for row in rows_of(kind))
    other = {**known, "schema": f'"{schema}"' if (schema, suffix) == ("1", ".csv") else schema}
    for some, place in (([known, other], 2), ([other, known], 1)):
        where = f"^{numbered(suffix, place)} cannot be used"
        assert_refused(TEXTS[suffix](some), suffix, f"{where}: its schema is {reason}$")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_rows_of_two_kinds_are_refused(first: str, second: str, suffix: str) -> None:
    """Though all names of both are there, as where pandas has put two files below each other."""
    a, b = rows_of(first)[0], rows_of(second)[0]
    both = [record_of(a), record_of(b)]
    blank = dict.fromkeys([*both[0], *both[1]])
    text = TEXTS[suffix]([{**blank, **record} for record in both])
    if first == second:
        assert same(parse(text, suffix), [a, b])
        return
    reason = f"^{numbered(suffix, 2)} cannot be used: this is not a row of {a.schema.plural}$"
    assert_refused(text, suffix, reason)


@each_file
@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1"])
def test_a_text_that_a_spreadsheet_would_run_is_refused(kind: str, suffix: str, text: str) -> None:
    """Though its checksum is right: it would be a cell of the next CSV."""
    row, *_ = rows_of(kind)
    crafted = cells_of(replace(row, varsim=text), suffix)
    assert_refused(file_of([crafted], suffix), suffix, row.schema.plural)


# What a run does not extend.


@each_ledger
def test_a_file_with_an_edited_row_is_left_as_it_is(kind: str, suffix: str, tmp_path: Path) -> None:
    """The sentence names the line; so is a file of rows of another kind, or with such rows."""
    schema, file = rows_of(kind)[0].schema, tmp_path / f"rows{suffix}"
    whole = [cells_of(row, suffix) for row in rows_of(kind)[:3]]
    edited = [*whole[:1], {**whole[1], "seed": "77"}, *whole[2:]]
    at = numbered(suffix, 2)
    others = {
        text_of(rows_of(other), suffix): f"it holds {rows_of(other)[0].schema.plural}, not "
        for other in KINDS
        if other != kind
    }
    mixed = {
        text_of(rows_of(kind), suffix) + text: r"line \d+ cannot be used: this is not a row of "
        for text in others
    }
    edits = {file_of(edited, suffix): f"{at} cannot be used: "}
    for text, reason in (edits | others | mixed).items():
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=rf"^[^\n]* was left as it is: {reason}[^\n]*$"):
            Ledger(file, schema, [each[0].schema for each in map(rows_of, KINDS)])
        assert file.read_text(encoding="utf-8") == text
        assert list(tmp_path.iterdir()) == [file]


@each_ledger
@pytest.mark.parametrize("tail", [0.01, 0.3, 0.999])
def test_a_torn_last_line_is_put_aside_and_its_row_measured_again(
    kind: str, suffix: str, tail: float, tmp_path: Path
) -> None:
    """Wherever the last line is cut, and whether or not zeros fill its length."""
    studies = [STUDIES[name] for name in names_of(kind)]
    whole = run_of(studies).rows
    content = text_of(whole, suffix).encode()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    cut = start + max(1, int(tail * (len(content) - start)))
    for zeros in (0, 100):
        file = tmp_path / f"torn{zeros}{suffix}"
        file.write_bytes(content[:cut] + b"\0" * zeros)
        with Ledger(file, whole[0].schema) as ledger:
            (note,) = ledger.notes
            assert "was cut off" in note
        mapper = Ending()
        extend(file, whole[0].schema, studies, mapper)
        assert len(mapper.drawn) == whole[-1].replicates
        assert file.read_bytes() == content
        aside = file.with_name(file.name + ".torn")
        assert aside.read_bytes().rstrip(b"\0") == content[start:cut]
