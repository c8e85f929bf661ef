"""Records as text, in formats with every digit."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from varsim.table import Record


READABLE = (".jsonl", ".csv", ".json")
"""Suffixes of the formats with every digit, which varsim reads."""


def csv_text(records: Iterable[Record]) -> str:
    """Return comma-separated values; unknown values are empty, lists JSON, floats exact."""
    rest = iter(records)
    first = next(rest, None)
    return "" if first is None else "".join([csv_line(first), *map(csv_row, chain([first], rest))])


def csv_row(record: Record) -> str:
    """Return the line of a record."""
    return csv_line(record.values())


def csv_line(cells: Iterable[object]) -> str:
    """Return a single line of CSV, whose JSON cells have their line ends escaped."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(_csv_cell, cells))
    return line.getvalue()


def json_text(records: Sequence[Record]) -> str:
    """Return a JSON list with one object per row; an unknown value is null, floats are exact."""
    return json.dumps(records, indent=2, allow_nan=False) + "\n"


def jsonl_text(records: Iterable[Record]) -> str:
    """Return one JSON object per line."""
    return "".join(map(jsonl_line, records))


def jsonl_line(record: Record) -> str:
    """Return a line of JSON."""
    return json.dumps(record, allow_nan=False) + "\n"


def _csv_cell(value: object) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, allow_nan=False)
