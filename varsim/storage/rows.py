"""Rows read from files: whatever kind they are, in whatever format that holds every digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from varsim.errors import InputError, shortened
from varsim.fields import CHECKSUM, Schema, is_intact, is_intact_line, text
from varsim.layer.check import CHECKS
from varsim.layer.result import RESULTS
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


class Read(NamedTuple):
    """A record as it was read: its number, of its line or of its place in a list; and itself."""

    number: int
    record: Record
    is_intact: bool


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
    return read(io.StringIO(content, newline="\n"), suffix)


def read(file: Iterable[str], suffix: str) -> list[Any]:
    """Return the rows in a file, whose lines are read one by one; as :func:`parse`."""
    if suffix == ".json":
        records = _json_list("".join(file))
        return collect((Read(n, r, is_intact(r)) for n, r in enumerate(records, 1)), "row")
    return collect(records_in(file, suffix), "line")


def collect(
    records: Iterable[Read],
    unit: str,
    keep: Callable[[Schema[Any], Record], Any] = lambda schema, record: schema.intact_row(record),
) -> list[Any]:
    """Return the rows of records: all of one kind, of this schema or an older one.

    Args:
        records: The records; each is dropped before the next is taken, unless it is older or not
            intact.
        unit: What a number counts, in a sentence.
        keep: Returns what stands for the row of a record that is intact.

    Raises:
        InputError: A row cannot be read; the sentence names it.
    """
    rows: list[Any] = []
    places: list[int] = []
    others: list[tuple[int, Record]] = []
    schema: Schema[Any] | None = None
    for number, record, intact in records:
        schema = schema or _schema(record)
        if schema is None:
            raise _unknown(record, "it holds no rows of varsim")
        if (refusal := _refusal(schema, record)) is not None:
            raise InputError(f"{unit} {number} cannot be used: {refusal}")
        if intact and record["schema"] == schema.number:
            try:
                rows.append(keep(schema, record))
            except InputError as error:
                raise InputError(f"{unit} {number} cannot be used: {error}") from None
        else:
            places.append(len(rows))
            others.append((number, record))
            rows.append(None)
    if schema is None:
        return []
    older = {number for number, record in others if record["schema"] != schema.number}
    for place, (number, record) in zip(places, upgraded(schema, others), strict=True):
        try:
            rows[place] = schema.row(record, is_older=number in older)
        except InputError as error:
            raise InputError(f"{unit} {number} cannot be used: {error}") from None
    return rows


def records_in(lines: Iterable[str], suffix: str) -> Iterator[Read]:
    """Yield the record of every line that is not empty.

    Raises:
        InputError: A line holds none.
    """
    if suffix != ".csv":
        for number, line in _numbered(lines):
            record = _loaded(line)
            if not isinstance(record, dict):
                raise InputError(f"line {number} cannot be used: this is not a row of varsim")
            yield Read(number, record, is_intact_line(line) or is_intact(record))
        return
    numbered = iter(_numbered(lines))
    names = next(numbered, (0, ""))[1].rstrip("\r").split(",")
    schema = _schema(names)
    if schema is None and names != [""]:
        raise _unknown(names, "its header is not that of rows of varsim")
    empty = [] if schema is None else [_empty(schema, name) for name in names]
    for number, line in numbered:
        record = _csv_record(names, empty, line)
        if record is None:
            raise InputError(f"line {number} cannot be used: this is not a row of varsim")
        yield Read(number, record, is_intact(record))


def _numbered(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    return (
        (number, line.removesuffix("\n")) for number, line in enumerate(lines, 1) if line.strip()
    )


def _refusal(schema: Schema[Any], record: Record) -> str | None:
    """Return why a record cannot be read, by its schema."""
    found, known = record.get("schema"), [*OLDER[schema.kind], schema.number]
    if type(found) is int and found in known:
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


def _loaded(text: str) -> Any:
    """Return what JSON holds, or None."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _json_list(content: str) -> list[Record]:
    rows = _loaded(content)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("it is not a list of rows of varsim")
    return rows


def _csv_record(names: Sequence[str], empty: Sequence[str], line: str) -> dict[str, Any] | None:
    """Return the record of a line, whose cells are read in one go: all but texts are JSON.

    Args:
        names: The header.
        empty: What an empty cell of each column is in JSON; nothing for a text.
        line: The line.
    """
    try:
        cells = next(csv.reader([line], strict=True))
    except csv.Error:
        return None
    if len(cells) != len(names):
        return None
    pairs = zip(cells, empty, strict=True)
    values = _loaded(
        f"[{','.join([c or e if e else json.dumps(c) if c else 'null' for c, e in pairs])}]"
    )
    if values is None or len(values) != len(names):
        return None
    return dict(zip(names, values, strict=True))


def _empty(schema: Schema[Any], name: str) -> str:
    field = schema.by_name.get(name)
    if name in _TEXTS if field is None else field.type is text:
        return ""
    return "[]" if name == "caveats" else "null"


# Texts that are no field: the checksum, and two names of older schemas.
_TEXTS = frozenset({CHECKSUM, "x", "w"})
