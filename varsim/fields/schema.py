"""Schemas: the fields of one kind of row, and its records in files."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic

from varsim.errors import InputError
from varsim.fields.field import Field, R
from varsim.fields.row import RowBase
from varsim.fields.values import READ_ERRORS

NUMBER = 1
"""Number of the schema of all records; it increases when the stored fields change."""

CHECKSUM = "checksum"
"""The last name of a record."""


@dataclass(frozen=True)
class Schema(Generic[R]):
    """The fields of one kind of row, in the order of its files.

    Attributes:
        name: The name of the kind, in every record: ``"kind": "layer"``.
        plural: The rows in a sentence, such as "results of varsim".
        row: The class of the rows, which declares the fields; the common ones follow.
        build: Returns the row of stored values; raises an InputError or one of
            :data:`varsim.fields.values.READ_ERRORS` for invalid values.
        table: The columns of a table for people, in their order.
        settings: The settings that captions name, in their order.
        named_by: The settings that name a row in a sentence; others follow unless they are default.
        brief: The parts of a row's one line: pairs of a label and a field.
        member: The name of one row of a question; empty for one row per question.
    """

    name: str
    plural: str
    row: type[R]
    build: Callable[[Mapping[str, Any]], R]
    table: tuple[str, ...]
    settings: tuple[str, ...]
    named_by: tuple[str, ...]
    brief: tuple[tuple[str, str], ...] = ()
    member: str = ""

    def __post_init__(self) -> None:
        self.row.schema = self

    @cached_property
    def fields(self) -> tuple[Field[R, object], ...]:
        """The fields."""
        declared = [field for field in vars(self.row).values() if isinstance(field, Field)]
        common = [field for field in vars(RowBase).values() if isinstance(field, Field)]
        names = {field.name for field in declared}
        return (*declared, *(field for field in common if field.name not in names))

    @cached_property
    def by_name(self) -> dict[str, Field[R, object]]:
        """The fields by name."""
        return {field.name: field for field in self.fields}

    @cached_property
    def scalars(self) -> dict[str, Field[R, object]]:
        """The fields with single values, by name."""
        return {name: field for name, field in self.by_name.items() if field.value_type.is_scalar}

    @cached_property
    def names(self) -> list[str]:
        """The names of a record, in order."""
        return ["schema", "kind", *self.by_name, CHECKSUM]

    @cached_property
    def _stored(self) -> list[Field[R, object]]:
        return [field for field in self.fields if field.stored]

    def name_of(self, row: R, without: Sequence[str] = ()) -> str:
        """Return the name of a row: its naming settings and those that are not defaults."""
        phrases = []
        for name in dict.fromkeys((*self.named_by, *self.settings)):
            field = self.by_name[name]
            value = field.get(row)
            if value is not None and not field.is_default(row) and name not in without:
                phrases.append(field.phrase.format(field.show(value)))
        return ", ".join(phrases)

    def line(self, row: R) -> str:
        """Return a row in one line: name, measurement, theory and verdict."""
        texts = [(label, self.by_name[name].text(row)) for label, name in self.brief]
        parts = ", ".join(f"{label} {text}".strip() for label, text in texts if text)
        return f"{self.name_of(row)}: {parts}"

    def record(self, row: R) -> dict[str, object]:
        """Return a row as a record of plain values, in the order of the fields."""
        values = {field.name: field.to_json(row) for field in self.fields}
        stored = {field.name: values[field.name] for field in self._stored}
        return {"schema": NUMBER, "kind": self.name, **values, CHECKSUM: _checksum(stored)}

    def row_of(self, record: Mapping[str, Any]) -> R:
        """Return the row of a record, computed from its stored values.

        Another program may have rewritten the record: names in another order, further names, and
        other spellings of numbers are accepted. The checksum is over the parsed values.

        Raises:
            InputError: The record is not of this kind, or a stored value was changed.
        """
        lacking = [field.name for field in self._stored if field.name not in record]
        if lacking:
            raise InputError(f"this is not a row of {self.plural}: it has no {', '.join(lacking)}")
        try:
            values = {
                field.name: field.value_type.read(record[field.name]) for field in self._stored
            }
            row = self.build(values)
        except InputError:
            raise
        except READ_ERRORS:
            raise InputError(f"this is not a row of {self.plural}") from None
        if not 0.0 < row.confidence < 1.0:
            raise InputError("invalid row: its confidence is not between 0 and 1")
        stored = {field.name: field.value_type.write(values[field.name]) for field in self._stored}
        if CHECKSUM not in record:
            raise InputError("it has no checksum, which shows that its values are as written")
        if record[CHECKSUM] != _checksum(stored):
            raise InputError("its checksum is not that of its values: the row was changed")
        return row


def _checksum(stored: Mapping[str, object]) -> str:
    """Return the CRC-32 of stored values as JSON.

    It detects every change within four neighbouring characters, so of any digit, and the library
    of every language has it.
    """
    return f"crc32:{zlib.crc32(json.dumps(stored).encode()):08x}"
