"""Reports: rows as tables, with columns for people and records for machines.

Nothing here writes anywhere: every function returns what is to be written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
    """

    header: str
    cells: Sequence[str]
    numeric: bool = True
    drop_priority: int | None = None
    shortenable: bool = False
    chart: bool = False

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


@dataclass(frozen=True, slots=True)
class Table:
    """A table in both of its forms.

    Attributes:
        columns: For people: rounded and aligned.
        caption: Sentences below the table.
        records: For machines: every digit, one mapping per row, all with the same names.
        caveats: Sentences that a pasted table must not lose.
    """

    columns: Sequence[Column]
    caption: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    caveats: Sequence[str] = ()

    @property
    def printable(self) -> Sequence[Column]:
        """The columns without charts, which only fixed-width text can hold."""
        return [column for column in self.columns if not column.chart]

    @property
    def notes(self) -> list[str]:
        """All that is said below a pasted table: the caption, then the caveats."""
        return [*self.caption, *(f"Caveat: {sentence}" for sentence in self.caveats)]


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
