"""Files of rows: what another program has rewritten is read, and no changed digit is."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.program import here, parse
from tests.rows import STUDIES, TEXTS, record_of, rows, text_of
from varsim.errors import InputError
from varsim.fields import CHECKSUM
from varsim.kinds import SCHEMAS
from varsim.storage.reading import suffix_of
from varsim.storage.text import csv_text, json_text, jsonl_text

SUFFIXES = list(TEXTS)

KINDS = [schema.name for schema in SCHEMAS]

NAMED = {kind: [n for n in STUDIES if rows(n)[0].schema.name == kind] for kind in KINDS}
"""Names of studies by the kind of their rows."""


def rows_of(kind: str) -> list[Any]:
    return [row for name in NAMED[kind] for row in rows(name)]


each_file = pytest.mark.parametrize(("kind", "suffix"), list(product(KINDS, SUFFIXES)))
"""For each kind of row in each format."""


def stored_names(row: Any) -> list[str]:
    return [field.name for field in row.schema.fields if field.stored]


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


# What other programs rewrite.


def scientific(number: float | str) -> str:
    """The same number with an exponent, such as 6.4E+1."""
    return f"{Decimal(str(number)):E}"


def with_point(number: float | str) -> str:
    """The same number with a point, as 64.0 for 64."""
    text = str(number)
    return f"{text}.0" if re.fullmatch(r"-?\d+", text) else text


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
@pytest.mark.parametrize("spell", [scientific, with_point])
def test_what_a_spreadsheet_rewrites_is_read(
    kind: str, suffix: str, spell: Callable[[Any], str]
) -> None:
    """BOM, CRLF, TRUE and True, 1E-3, 64.0 for 64, columns in another order and further ones."""
    written = [rewritten(row, suffix, spell) for row in rows_of(kind)]
    text = "\ufeff" + file_of(written, suffix, "\r\n")
    if suffix == ".csv":
        assert ("TRUE" if spell is scientific else "True") in text
        text += "," * (len(written[0]) - 1) + "\r\n"  # as of an empty row of a sheet
    assert ("E+" if spell is scientific else ".0") in text
    assert same(parse(text, suffix), rows_of(kind))
    assert suffix_of(text) == suffix


@each_file
def test_each_change_of_a_spreadsheet_alone_is_read(kind: str, suffix: str) -> None:
    """One after the other, so that none hides behind another."""
    expected = rows_of(kind)
    plain = [cells_of(row, suffix) for row in expected]
    for text in (
        file_of(plain, suffix),
        "\ufeff" + file_of(plain, suffix),
        file_of(plain, suffix, "\r\n"),
        file_of([{**row, "more": "1"} for row in plain], suffix),
        file_of([dict(sorted(row.items())) for row in plain], suffix),
        file_of(plain, suffix).rstrip("\n"),
    ):
        assert same(parse(text, suffix), expected)


@each_file
def test_a_file_of_stored_columns_alone_is_read(kind: str, suffix: str) -> None:
    """The others follow from these."""
    kept = {"schema", "kind", CHECKSUM, *stored_names(rows_of(kind)[0])}
    plain = [cells_of(row, suffix) for row in rows_of(kind)]
    text = file_of([{n: row[n] for n in row if n in kept} for row in plain], suffix)
    assert same(parse(text, suffix), rows_of(kind))


@each_file
def test_a_derived_value_that_is_changed_is_ignored(kind: str, suffix: str) -> None:
    """Also where it is nothing that there can be, and it is right again in the row."""
    expected = rows_of(kind)
    stored = {"schema", "kind", CHECKSUM, *stored_names(expected[0])}
    for other in ("1.5", "true", "[]", '"x"', "null", *(["", "x"] if suffix == ".csv" else [])):
        changed = [
            {n: t if n in stored else other for n, t in cells_of(row, suffix).items()}
            for row in expected
        ]
        assert same(parse(file_of(changed, suffix), suffix), expected)


COMMANDS = {
    "layer": "-d 8,9 -s sqrt,he -n 640 --histogram",
    "stack": "layers --width 6 --depth 2 -a tanh,relu --networks 8 --batch 4 --histogram",
    "check": "init orthogonal trunc_normal -d 8,9 --draws 8",
}


@pytest.mark.parametrize("suffix", [".jsonl", ".csv"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("spell", [scientific, with_point])
def test_a_file_that_was_rewritten_is_resumed(
    kind: str, suffix: str, spell: Callable[[Any], str], tmp_path: Path
) -> None:
    """No row is measured again, rows can be added, and the end is the bytes of a plain run."""
    file, plain = tmp_path / f"rows{suffix}", tmp_path / f"plain{suffix}"
    args = COMMANDS[kind].split()
    assert here(*args, "-o", str(plain)).returncode == 0
    read = parse(plain.read_text(encoding="utf-8"), suffix)
    for count in (len(read), 2):
        text = file_of([rewritten(row, suffix, spell) for row in read[:count]], suffix, "\r\n")
        file.write_bytes(f"\ufeff{text}".encode())
        done = here(*args, "-o", str(file), "--resume")
        assert done.returncode == 0, done.stderr
        known, asked = (len({row.key for row in some}) for some in (read[:count], read))
        assert re.search(rf"{known} of {asked} \w+ are done already", done.stderr)
        assert file.read_bytes() == plain.read_bytes()


# What is refused.


def other_digits(text: str) -> list[str]:
    """The text with each of its digits changed."""
    return [
        text[: match.start()] + str((int(match[0]) + 1) % 10) + text[match.end() :]
        for match in re.finditer(r"\d", text)
    ]


def is_changed(text: str, other: str) -> bool:
    """Whether two texts are of different values: 17 digits may be those of one float."""
    try:
        return bool(json.loads(text) != json.loads(other))
    except json.JSONDecodeError:
        return True


def assert_refused(text: str, suffix: str, reason: str = "") -> None:
    """It is, in one sentence."""
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$") as refusal:
        parse(text, suffix)
    assert re.search(reason, str(refusal.value))


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", ["crossed", "fixed-x", "init", "relu", "orthogonal"])
def test_a_changed_digit_of_a_stored_value_is_found(name: str, suffix: str) -> None:
    """Of every one, wherever it is in it; and of the checksum."""
    row = rows(name)[-1]
    cells = cells_of(row, suffix)
    for column in (*stored_names(row), CHECKSUM):
        for other in other_digits(cells[column]):
            if is_changed(cells[column], other):
                assert_refused(file_of([{**cells, column: other}], suffix), suffix)


@each_file
def test_a_stored_value_that_is_another_s_is_found(kind: str, suffix: str) -> None:
    """Cells of two rows that have changed places, as a sheet that is sorted by one column."""
    names = NAMED[kind]
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
    for column in (*stored_names(row), CHECKSUM):
        left = {name: text for name, text in cells.items() if name != column}
        assert_refused(file_of([left], suffix), suffix, "cannot be used: ")


def numbered(suffix: str, number: int) -> str:
    """How a sentence names a row: in CSV the header is a line too."""
    return f"row {number}" if suffix == ".json" else f"line {number + (suffix == '.csv')}"


@each_file
def test_a_newer_schema_is_refused(kind: str, suffix: str) -> None:
    """The sentence says where, and what to do."""
    known, *_ = ({**record_of(row), "more": 1} for row in rows_of(kind))
    newer = {**known, "schema": 2}
    for records, place in (([known, newer], 2), ([newer, known], 1)):
        assert_refused(
            TEXTS[suffix](records), suffix,
            f"^{numbered(suffix, place)} cannot be used: its schema is 2, newer than 1, which this "
            "varsim reads; update varsim$",
        )  # fmt: skip


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
@pytest.mark.parametrize("first", KINDS)
@pytest.mark.parametrize("second", KINDS)
def test_rows_of_two_kinds_are_refused(first: str, second: str, suffix: str) -> None:
    """Though all names of both are there, as where pandas has put two files below each other."""
    a, b = rows_of(first)[0], rows_of(second)[0]
    records = [record_of(a), record_of(b)]
    blank = dict.fromkeys([*records[0], *records[1]])
    text = TEXTS[suffix]([{**blank, **record} for record in records])
    if first == second:
        assert same(parse(text, suffix), [a, b])
        return
    reason = f"^{numbered(suffix, 2)} cannot be used: this is not a row of {a.schema.plural}$"
    assert_refused(text, suffix, reason)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("kind", "named"),
    [("comparison", "comparisons"), ("gain", "gains"), ("critical", "critical points"),
     ("plan", "the plan of a dry run")],
)  # fmt: skip
def test_what_was_not_measured_is_named(kind: str, named: str, suffix: str) -> None:
    """Other records of varsim are no rows."""
    text = TEXTS[suffix]([{"schema": 1, "kind": kind, "verdict": "agrees"}])
    assert_refused(text, suffix, f"it holds {named}, and not what was measured; give a file")


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\n", "\r\n"])
def test_a_file_of_nothing_has_no_rows(text: str) -> None:
    """In the formats that have one row per line."""
    assert parse(text, ".jsonl") == parse(text, ".csv") == []


def test_the_formats_are_told_by_how_they_begin() -> None:
    """With a BOM, and without one."""
    (row,) = rows("crossed")
    for write, suffix in ((jsonl_text, ".jsonl"), (json_text, ".json"), (csv_text, ".csv")):
        text = write([row.schema.record(row)])
        assert suffix_of(text) == suffix_of("\ufeff" + text) == suffix
