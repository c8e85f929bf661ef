"""Tables in two forms, columns for people and records for machines; and views of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeAlias, TypeVar

from varsim.errors import InputError, near, nearest, quoted
from varsim.fields import Schema
from varsim.fields.field import R
from varsim.fields.rounding import significant
from varsim.parsing import items

T = TypeVar("T")

Record: TypeAlias = Mapping[str, object]
"""A row for machines: plain values by their names."""

_SHORTEST = 16
"""Least width of a shortened column, in characters."""

_GAP = 2
"""Characters between two columns."""

ALL = "all"
"""In a selection: the usual columns, at any width."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people.

    Attributes:
        header: The header.
        cells: The text of every row.
        numeric: Whether it is aligned to the right.
        drop_priority: Rank at which a narrow terminal or page omits it, lowest first; None for
            never.
        shortenable: Whether a narrow terminal may cut its cells, with an ellipsis.
        chart: Whether it is a small chart, for terminals and plain text only.
        name: The field of the records in this column; empty without one.
    """

    header: str
    cells: Sequence[str]
    numeric: bool = True
    drop_priority: int | None = None
    shortenable: bool = False
    chart: bool = False
    name: str = ""

    @property
    def width(self) -> int:
        """Number of characters of the longest cell or the header."""
        return max(map(len, [self.header, *self.cells]))

    @property
    def least_width(self) -> int:
        """Least number of characters after shortening."""
        if not self.shortenable:
            return self.width
        return min(self.width, max(_SHORTEST, len(self.header)))

    def aligned(self) -> list[str]:
        """Return header and cells padded to one width."""
        align, width = str.rjust if self.numeric else str.ljust, self.width
        return [align(text, width) for text in [self.header, *self.cells]]

    def shortened(self, width: int) -> Column:
        """Return the column with cells cut to ``width`` characters, with an ellipsis at the end."""
        cells = [c if len(c) <= width else f"{c[: width - 1]}…" for c in self.cells]
        return replace(self, cells=cells)

    def ordered(self, places: Sequence[int]) -> Column:
        """Return the column with its rows in another order."""
        return replace(self, cells=[self.cells[place] for place in places])


@dataclass(frozen=True, slots=True)
class Records(Iterable[Record], Generic[T]):
    """Records of rows, made when they are iterated: tables for people need none.

    Attributes:
        rows: The rows.
        of: Returns the record of a row.
    """

    rows: Iterable[T]
    of: Callable[[T], Record]

    def __iter__(self) -> Iterator[Record]:
        """Yield the record of every row."""
        return map(self.of, self.rows)


@dataclass(frozen=True, slots=True)
class Table:
    """A table in two forms.

    Attributes:
        columns: The form for people: rounded and aligned.
        sentences: Sentences below the table.
        records: The form for machines: every digit, one mapping per row, all with the same names.
        caveats: Sentences that a pasted table must not lose.
        remarks: Further sentences, which come last.
        hidden: Further columns, which are shown on request.
        label: The name in references of a paper, such as ``varsim-layers``.
    """

    columns: Sequence[Column]
    sentences: Sequence[str]
    records: Iterable[Record]
    caveats: Sequence[str] = ()
    remarks: Sequence[str] = ()
    hidden: Sequence[Column] = ()
    label: str = "varsim"

    @property
    def caption(self) -> Sequence[str]:
        """The lines below the table: sentences and remarks."""
        return [*self.sentences, *self.remarks]

    def column(self, name: str) -> Column:
        """Return the column of a field, which no narrow terminal omits."""
        known = {column.name: column for column in [*self.hidden, *self.columns]}
        return replace(known.get(name) or _plain_column(name, self.records), drop_priority=None)

    @property
    def printable(self) -> Sequence[Column]:
        """The columns without charts, which need fixed-width text."""
        return [column for column in self.columns if not column.chart]

    @property
    def notes(self) -> list[str]:
        """The lines below a pasted table: the caption, then the caveats."""
        return [*self.caption, *(f"Caveat: {sentence}" for sentence in self.caveats)]


@dataclass(frozen=True, slots=True)
class View:
    """A selection of columns and an order of rows of a table.

    Attributes:
        columns: Names or headings of the selected fields, in order, and ``all`` for the usual
            columns; empty for the usual columns that have room.
        sort: Names or headings of the fields to sort by, separated by commas, each with a minus
            sign for descending order; empty for the given order.
    """

    columns: tuple[str, ...] = ()
    sort: str = ""

    def check(self, schema: Schema[R]) -> None:
        """Check the names against the fields of the rows, before a run.

        Raises:
            InputError: A name is no field, or its values have no order to sort by.
        """
        headers = {field.header: field.name for field in schema.fields}
        orderless = [field.name for field in schema.fields if not field.value_type.is_scalar]
        self._resolved(schema.names, headers, orderless)

    def of(self, table: Table) -> Table:
        """Return a table with these columns and fields alone, sorted."""
        table = self.sorted(table)
        if not self.columns:
            return table
        names = self._of(table)[0]
        chosen = [_usual(table) if name == ALL else [table.column(name)] for name in names]
        columns = {column.name or column.header: column for each in chosen for column in each}
        table = replace(table, columns=list(columns.values()))
        if ALL in names:
            return table
        return replace(table, records=[{n: record[n] for n in names} for record in table.records])

    def sorted(self, table: Table) -> Table:
        """Return a table with all of its columns and fields, sorted.

        Raises:
            InputError: A name is no field of its rows, or cannot be sorted by.
        """
        if not self.columns and not self.sort:
            return table
        table = replace(table, records=list(table.records))
        places = self.order(table)
        records = list(table.records)
        return replace(
            table,
            columns=[column.ordered(places) for column in table.columns],
            records=[records[place] for place in places],
            hidden=[column.ordered(places) for column in table.hidden],
        )

    def order(self, table: Table) -> list[int]:
        """Return the places of a table's rows, sorted; a row without the value comes last."""
        records = list(table.records)
        places = list(range(len(records)))
        for name, descending in reversed(self._of(table)[1]):
            known = [place for place in places if records[place][name] is not None]
            known.sort(
                key=lambda place: _rank(records[place][name]), reverse=descending
            )  # used at once
            places = known + [place for place in places if records[place][name] is None]
        return places

    def _of(self, table: Table) -> tuple[list[str], list[tuple[str, bool]]]:
        """Return the names of the columns, and those to sort by, each with whether it descends."""
        records = list(table.records)
        headers = {column.header: column.name for column in table.columns}
        names = records[0] if records else {}
        orderless = [
            name for name in names if any(isinstance(r[name], list | dict) for r in records)
        ]
        return self._resolved(names, headers, orderless)

    def _resolved(
        self, known: Iterable[str], headers: Mapping[str, str], orderless: Iterable[str]
    ) -> tuple[list[str], list[tuple[str, bool]]]:
        known = list(known)
        names = {
            header.partition(" ±")[0].lower(): name for header, name in headers.items() if header
        }

        def name_of(text: str) -> str:
            heading = text.partition(" ±")[0].lower()
            name = text if text in known else names.get(heading, text)
            if name not in known:
                close = near(text.lower(), names)
                hint = f"did you mean {close}?" if close else nearest(text, known)
                raise InputError(f"column {quoted(text)} is unknown; {hint}")
            return name

        order = []
        for text in items(self.sort) if self.sort else ():
            name = name_of(text.removeprefix("-"))
            if name in orderless:
                raise InputError(
                    f"--sort is {name}, which is a list or an object; sort by a number or a text"
                )
            order.append((name, text.startswith("-")))
        names_of_columns = (c if c == ALL else name_of(c) for c in self.columns)
        return list(dict.fromkeys(names_of_columns)), order


def _usual(table: Table) -> list[Column]:
    """Return the columns of a table, none of which a width omits; a chart still may go."""
    return [c if c.chart else replace(c, drop_priority=None) for c in table.columns]


def _plain_column(name: str, records: Iterable[Record]) -> Column:
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
    """Return the columns that fit a width, with long cells shortened if necessary."""
    shown = list(columns)
    for column in sorted(columns, key=lambda c: (c.drop_priority is None, c.drop_priority)):
        if column.drop_priority is None or _width(c.least_width for c in shown) <= width:
            break
        shown.remove(column)
    spare = width - _width(c.least_width for c in shown)
    for place, column in enumerate(shown):
        more = min(column.width - column.least_width, max(0, spare))
        spare -= more
        if column.shortenable:
            shown[place] = column.shortened(column.least_width + more)
    return shown


def omitted(columns: Iterable[Column], shown: Iterable[Column]) -> list[str]:
    """Return the headers of columns that are not among those shown; a header may repeat."""
    every, rest = (Counter(column.header for column in these) for these in (columns, shown))
    return list((every - rest).elements())


def table_width(columns: Sequence[Column]) -> int:
    """Return the width of columns beside each other."""
    return _width(column.width for column in columns)


def _width(widths: Iterable[int]) -> int:
    known = list(widths)
    return sum(known) + _GAP * (len(known) - 1)
