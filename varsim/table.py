"""Tables in both of their forms: columns for people, records for machines; and views of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar, overload

from varsim.errors import InputError, nearest, quoted
from varsim.fields import Schema
from varsim.fields.field import R
from varsim.fields.rounding import significant

T = TypeVar("T")

Record: TypeAlias = Mapping[str, object]
"""A row for machines: plain values by their names."""

_SHORTEST = 16
"""Characters that a shortened column keeps at least."""


_GAP = 2
"""Characters between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people.

    Attributes:
        header: Its name.
        cells: Its rows, as they are to be read.
        numeric: Whether it is aligned to the right.
        drop_priority: Rank at which a narrow terminal leaves it out, lowest first; None for never.
        shortenable: Whether a narrow terminal may cut its cells, with an ellipsis.
        chart: Whether it is a small chart, for terminals and plain text only.
        note: What a reader must know of it, as a part of a sentence; may be empty.
        name: The field of the records that it shows; empty where it shows none.
    """

    header: str
    cells: Sequence[str]
    numeric: bool = True
    drop_priority: int | None = None
    shortenable: bool = False
    chart: bool = False
    note: str = ""
    name: str = ""

    @property
    def width(self) -> int:
        """Number of characters of the longest cell or the header."""
        return max(map(len, [self.header, *self.cells]))

    @property
    def least_width(self) -> int:
        """Number of characters that it can be cut to."""
        if not self.shortenable:
            return self.width
        return min(self.width, max(_SHORTEST, len(self.header)))

    def aligned(self) -> list[str]:
        """Return header and cells padded to one width."""
        align, width = str.rjust if self.numeric else str.ljust, self.width
        return [align(text, width) for text in [self.header, *self.cells]]

    def shortened(self, width: int) -> Column:
        """Return the column with cells of at most a width; what is cut ends in an ellipsis."""
        cells = [c if len(c) <= width else f"{c[: width - 1]}…" for c in self.cells]
        return replace(self, cells=cells)

    def ordered(self, places: Sequence[int]) -> Column:
        """Return the column with its rows in another order."""
        return replace(self, cells=[self.cells[place] for place in places])


@dataclass(frozen=True, slots=True)
class Records(Sequence[Record], Generic[T]):
    """Records of rows, each made when it is asked for and not kept: people's tables need none.

    Attributes:
        rows: The rows.
        of: Returns the record of one.
    """

    rows: Sequence[T]
    of: Callable[[T], Record]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __iter__(self) -> Iterator[Record]:
        """Yield the record of every row."""
        return map(self.of, self.rows)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> Records[T]: ...
    def __getitem__(self, place: int | slice) -> Record | Records[T]:
        """Return the record of a row, or those of a slice."""
        if isinstance(place, slice):
            return Records(self.rows[place], self.of)
        return self.of(self.rows[place])


@dataclass(frozen=True, slots=True)
class Table:
    """A table in both of its forms.

    Attributes:
        columns: For people: rounded and aligned.
        sentences: Sentences below the table.
        records: For machines: every digit, one mapping per row, all with the same names.
        caveats: Sentences that a pasted table must not lose.
        remarks: Further sentences, which come last.
        hidden: Returns the column of a field that is not among the columns; None where it has none,
            and is shown as it is.
    """

    columns: Sequence[Column]
    sentences: Sequence[str]
    records: Sequence[Record]
    caveats: Sequence[str] = ()
    remarks: Sequence[str] = ()
    hidden: Callable[[str], Column | None] = lambda _: None

    @property
    def caption(self) -> Sequence[str]:
        """The lines below the table; its columns' notes are those of columns that it has."""
        notes = "; ".join(filter(None, (column.note for column in self.columns)))
        return [*self.sentences, *([f"{notes}."] if notes else []), *self.remarks]

    def column(self, name: str) -> Column:
        """Return the column of a field, which a narrow terminal does not leave out."""
        shown = {column.name: column for column in self.columns}
        column = shown.get(name) or self.hidden(name) or _plain_column(name, self.records)
        return replace(column, drop_priority=None)

    @property
    def printable(self) -> Sequence[Column]:
        """The columns without charts, which only fixed-width text can hold."""
        return [column for column in self.columns if not column.chart]

    @property
    def notes(self) -> list[str]:
        """All that is said below a pasted table: the caption, then the caveats."""
        return [*self.caption, *(f"Caveat: {sentence}" for sentence in self.caveats)]


@dataclass(frozen=True, slots=True)
class View:
    """What is shown of a table.

    Attributes:
        columns: The fields that are shown, in their order; none for the usual columns.
        sort: The field that the rows are sorted by, with a minus sign from the largest down; empty
            for the order that they have.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""

    def check(self, schema: Schema[R]) -> None:
        """Refuse a name that is no field of the rows, before anything runs.

        Raises:
            InputError: It is none, or its values have no order to sort by.
        """
        headers = {field.header: field.name for field in schema.fields}
        orderless = [field.name for field in schema.fields if not field.value_type.is_scalar]
        self._check(schema.names, headers, orderless)

    def of(self, table: Table) -> Table:
        """Return a table with these columns and fields alone, sorted."""
        table = self.sorted(table)
        if not self.columns:
            return table
        return replace(
            table,
            columns=[table.column(name) for name in self.columns],
            records=[{name: record[name] for name in self.columns} for record in table.records],
        )

    def sorted(self, table: Table) -> Table:
        """Return a table with all of its columns and fields, sorted.

        Raises:
            InputError: A name is no field of its rows, or cannot be sorted by.
        """
        if not self.columns and not self.sort:
            return table
        table = replace(table, records=list(table.records))
        headers = {column.header: column.name for column in table.columns}
        names = table.records[0] if table.records else {}
        orderless = [n for n in names if any(isinstance(r[n], list | dict) for r in table.records)]
        self._check(names, headers, orderless)
        if not self.sort:
            return table
        places = self.order(table.records)
        return replace(
            table,
            columns=[column.ordered(places) for column in table.columns],
            records=[table.records[place] for place in places],
            hidden=lambda name: (column := table.hidden(name)) and column.ordered(places),
        )

    def order(self, records: Sequence[Record]) -> list[int]:
        """Return the places of records, sorted; a record without the value comes last."""
        if not self.sort:
            return list(range(len(records)))
        name = self.sort.removeprefix("-")
        values = [record[name] for record in records]
        known = [place for place, value in enumerate(values) if value is not None]
        known.sort(key=lambda place: _rank(values[place]), reverse=self.sort != name)
        return known + [place for place, value in enumerate(values) if value is None]

    def _check(
        self, known: Iterable[str], headers: Mapping[str, str], orderless: Iterable[str]
    ) -> None:
        sort = self.sort.removeprefix("-")
        for name in [*self.columns, *([sort] if sort else [])]:
            if name not in known:
                near = headers.get(name)
                hint = f"did you mean {near}?" if near else nearest(name, known)
                raise InputError(f"column {quoted(name)} is unknown; {hint}")
        if sort in orderless:
            raise InputError(
                f"--sort is {sort}, which is a list or an object; sort by a number or a text"
            )


def _plain_column(name: str, records: Sequence[Record]) -> Column:
    """Return a column of values as they are, rounded."""
    values = [record[name] for record in records]
    numeric = not any(isinstance(value, str | list | dict) for value in values)
    return Column(name, list(map(_plain_cell, values)), numeric, name=name)


def _rank(value: object) -> tuple[float, str]:
    """Return the place of a value in an order: that of numbers, or of texts."""
    return (value, "") if isinstance(value, int | float) else (0.0, str(value))


def _plain_cell(value: object) -> str:
    if not value and not isinstance(value, bool | int | float):
        return ""
    if isinstance(value, str):
        return value
    return significant(value) if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns that a width has room for, with long cells cut where need be."""
    kept = list(columns)
    for column in sorted(columns, key=lambda c: (c.drop_priority is None, c.drop_priority)):
        if column.drop_priority is None or _width(c.least_width for c in kept) <= width:
            break
        kept.remove(column)
    spare = width - _width(c.least_width for c in kept)
    for place, column in enumerate(kept):
        more = min(column.width - column.least_width, max(0, spare))
        spare -= more
        if column.shortenable:
            kept[place] = column.shortened(column.least_width + more)
    return kept


def table_width(columns: Sequence[Column]) -> int:
    """Return the width of columns beside each other."""
    return _width(column.width for column in columns)


def _width(widths: Iterable[int]) -> int:
    known = list(widths)
    return sum(known) + _GAP * (len(known) - 1)
