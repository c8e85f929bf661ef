"""Readers of rows in JSON, JSON lines or CSV, as written by varsim or by another program."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, NamedTuple

from varsim.errors import InputError, shortened
from varsim.fields import NUMBER, Schema
from varsim.fields.field import R
from varsim.table import Record

_BOM = "\ufeff"

_NOT_MEASURED = {
    "comparison": "comparisons", "gain": "gains", "critical": "critical points",
    "plan": "the plan of a dry run", "tolerance": "tolerances",
}  # fmt: skip
"""Kinds of records without measurements, with their plurals."""


class Numbered(NamedTuple):
    """A record with the number of its line, or of its place in a list."""

    number: int
    record: Record


def suffix_of(content: str) -> str:
    """Return the suffix of the format of a text, given by its first character."""
    start = content.removeprefix(_BOM).lstrip()[:1]
    return ".jsonl" if start == "{" else ".json" if start == "[" else ".csv"


def read(
    content: str, suffix: str, schemas: Sequence[Schema[Any]], names: set[str] | None = None
) -> list[Any]:
    """Return the rows in the text of a file: all of one kind, which the file decides.

    Args:
        content: Its text.
        suffix: Its format: ``.jsonl``, ``.csv`` or ``.json``.
        schemas: The known kinds.
        names: A set to which all names in the records are added.

    Raises:
        InputError: A row cannot be read; the sentence names it.
    """
    numbered = records_in(content, suffix, schemas)
    unit = "row" if suffix == ".json" else "line"
    first = next(numbered, None)
    if first is None:
        return []
    schema = _schema_of(first.record, schemas)
    rows = []
    for each in chain([first], numbered):
        rows.append(_row(schema, each, unit))
        if names is not None:
            names.update(each.record)
    return rows


def records_in(
    content: str, suffix: str, schemas: Sequence[Schema[Any]] = ()
) -> Iterator[Numbered]:
    """Yield the records of a text.

    Raises:
        InputError: The text is not in this format.
    """
    content = content.removeprefix(_BOM)
    if suffix == ".json":
        yield from _json_list(content)
    elif suffix == ".jsonl":
        yield from _json_lines(content)
    else:
        yield from _csv_rows(content, schemas)


def _row(schema: Schema[R], numbered: Numbered, unit: str) -> R:
    number, record = numbered
    try:
        _check_kind(record, schema)
        return schema.row_of(record)
    except InputError as error:
        raise InputError(f"{unit} {number} cannot be used: {error}") from None


def _schema_of(record: Record, schemas: Sequence[Schema[Any]]) -> Schema[Any]:
    """Return the schema of a file by its first record."""
    kind = record.get("kind")
    for schema in schemas:
        if schema.name == kind:
            return schema
    if kind in _NOT_MEASURED:
        raise InputError(
            f"it holds {_NOT_MEASURED[str(kind)]}, and not what was measured; give a file that "
            "varsim, varsim layers, varsim init or varsim model has written"
        )
    if kind is None and "schema" in record:
        raise InputError(
            "it was written by varsim before 1.0, whose files this varsim does not read; measure "
            "its rows again"
        )
    if _is_newer(record):
        raise InputError(_NEWER.format(record["schema"]))
    raise InputError("it holds no rows of varsim")


_NEWER = f"its schema is {{}}, newer than {NUMBER}, which this varsim reads; update varsim"


def _is_newer(record: Record) -> bool:
    number = record.get("schema")
    return isinstance(number, int | float) and number > NUMBER


def _check_kind(record: Record, schema: Schema[R]) -> None:
    """Refuse a record of another kind, or of a newer schema."""
    if record.get("kind") != schema.name:
        raise InputError(f"this is not a row of {schema.plural}")
    number = record.get("schema")
    if _is_newer(record):
        raise InputError(_NEWER.format(number))
    if number != NUMBER or isinstance(number, bool):
        raise InputError(
            f"its schema is {shortened(repr(number))}, and this varsim reads schema {NUMBER}"
        )


def _loaded(text: str) -> Any:
    """Return the value of a JSON text, or None if it is invalid."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_list(content: str) -> Iterator[Numbered]:
    rows = _loaded(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("it is not a list of rows of varsim")
    return (Numbered(number, row) for number, row in enumerate(rows, 1))


def _json_lines(content: str) -> Iterator[Numbered]:
    # One line at a time: the rows of a large file are in memory beside its text.
    for number, line in enumerate(re.finditer("[^\n]*\n?", content), 1):
        if not line[0].strip():
            continue
        record = _loaded(line[0])
        if not isinstance(record, dict):
            raise InputError(f"line {number} cannot be used: this is not a row of varsim")
        yield Numbered(number, record)


def _csv_rows(content: str, schemas: Sequence[Schema[Any]]) -> Iterator[Numbered]:
    lines = csv.reader(io.StringIO(content, newline=""), strict=True)
    try:
        names = next(lines, [])
        if "schema" not in names and any(names):
            raise InputError("its header is not that of rows of varsim")
        texts = _text_columns(schemas)
        for cells in lines:
            if not any(cells) or cells == names:  # a loop appends whole tables
                continue
            if len(cells) != len(names):
                raise csv.Error
            values = (_cell(c, is_text=n in texts) for n, c in zip(names, cells, strict=True))
            yield Numbered(lines.line_num, dict(zip(names, values, strict=True)))
    except csv.Error:
        number = lines.line_num
        raise InputError(f"line {number} cannot be used: this is not a row of varsim") from None


def _text_columns(schemas: Iterable[Schema[Any]]) -> frozenset[str]:
    """Return the names of the columns with plain text in their cells instead of JSON."""
    fields = (field for schema in schemas for field in schema.fields if field.value_type.is_text)
    return frozenset(["kind", "checksum", *(field.name for field in fields)])


def _cell(cell: str, *, is_text: bool) -> object:
    """Return the value of a cell: None if empty; TRUE and 1.5E-3 of spreadsheets are read."""
    if is_text or not cell:
        return cell or None
    value = _loaded(cell)
    if value is not None:
        return value
    if cell.lower() in ("true", "false"):
        return cell.lower() == "true"
    try:
        return float(cell)
    except ValueError:
        return cell
