"""Rows read from files: whatever kind they are, in whatever format that holds every digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from typing import Any

from varsim.fields import Schema, text
from varsim.layer.check import CHECKS
from varsim.layer.result import RESULTS
from varsim.parsing import InputError, shortened
from varsim.stack.result import LAYERS
from varsim.storage.older import OLDER, upgraded

SCHEMAS: tuple[Schema[Any], ...] = (RESULTS, LAYERS, CHECKS)
"""Every kind of row that can be read again."""

_NOT_MEASURED = {
    "same_streams": "comparisons", "second_moment": "gains", "weight_variance": "critical points",
    "numbers": "the plan of a dry run",
}  # fmt: skip
"""What else varsim writes, by a field that only it has."""

Record = Mapping[str, Any]


def suffix_of(content: str) -> str:
    """Return the suffix that tells the format of a text, by how it begins."""
    start = content.lstrip()[:1]
    return ".jsonl" if start == "{" else ".json" if start == "[" else ".csv"


def parse(content: str, suffix: str) -> list[Any]:
    """Return the rows in the text of a file: all of one kind, of this schema or an older one.

    Args:
        content: Its text.
        suffix: Its format: ``.jsonl``, ``.csv`` or ``.json``.

    Raises:
        InputError: A row cannot be read; the sentence names it.
    """
    numbered = list(_records(content, suffix))
    if not numbered:
        return []
    schema = _schema(numbered[0][1])
    if schema is None:
        raise _unknown(numbered[0][1], "it holds no rows of varsim")
    unit = "row" if suffix == ".json" else "line"
    for number, record in numbered:
        if (refusal := _refusal(schema, record)) is not None:
            raise InputError(f"{unit} {number} cannot be used: {refusal}")
    rows = []
    for number, record in upgraded(schema, numbered):
        try:
            rows.append(schema.row(record))
        except InputError as error:
            raise InputError(f"{unit} {number} cannot be used: {error}") from None
    return rows


def _refusal(schema: Schema[Any], record: Record) -> str | None:
    """Return why a record cannot be read, by its schema."""
    found, known = record.get("schema"), [*OLDER[schema.kind], schema.number]
    if isinstance(found, int) and found in known:
        return None
    if schema.marker not in record:
        return f"this is not a row of {schema.kind}"
    if isinstance(found, int) and found > schema.number:
        return (
            f"its schema is {found}, newer than {schema.number}, which this varsim writes; update "
            "varsim"
        )
    *most, last = map(str, known)
    numbers = f"{', '.join(most)} and {last}" if most else last
    return f"its schema is {shortened(repr(found))}, and this varsim reads schema {numbers}"


def _schema(names: Container[str]) -> Schema[Any] | None:
    return next((schema for schema in SCHEMAS if schema.marker in names), None)


def _unknown(names: Container[str], otherwise: str) -> InputError:
    kind = next((kind for name, kind in _NOT_MEASURED.items() if name in names), None)
    if kind is None:
        return InputError(otherwise)
    return InputError(
        f"it holds {kind}, and not what was measured; give a file that varsim, varsim layers or "
        "varsim init has written"
    )


def _records(content: str, suffix: str) -> Iterator[tuple[int, Record]]:
    """Yield every record with its number: of its line, or of its place in a list."""
    if suffix == ".json":
        yield from enumerate(_json_list(content), 1)
        return
    lines = [(n, line) for n, line in enumerate(content.split("\n"), 1) if line.strip()]
    names = lines.pop(0)[1].rstrip("\r").split(",") if suffix == ".csv" and lines else []
    schema = _schema(names)
    if names and schema is None:
        raise _unknown(names, "its header is not that of rows of varsim")
    for number, line in lines:
        try:
            record = json.loads(line) if schema is None else _csv_record(schema, names, line)
        except (ValueError, csv.Error, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise InputError(f"line {number} cannot be used: this is not a row of varsim")
        yield number, record


def _json_list(content: str) -> list[Record]:
    try:
        rows = json.loads(content)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("it is not a list of rows of varsim")
    return rows


def _csv_record(schema: Schema[Any], names: Sequence[str], line: str) -> dict[str, Any]:
    cells = next(csv.reader(io.StringIO(line), strict=True))
    return {name: _csv_value(schema, name, cell) for name, cell in zip(names, cells, strict=True)}


def _csv_value(schema: Schema[Any], name: str, cell: str) -> Any:
    if cell == "":
        return [] if name == "caveats" else None
    field = schema.by_name.get(name)
    is_text = name in _FORMER_TEXTS if field is None else field.type is text
    return cell if is_text else json.loads(cell)


# Names that older schemas had for texts.
_FORMER_TEXTS = frozenset({"x", "w"})
