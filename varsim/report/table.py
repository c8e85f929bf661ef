"""What a format turns into text: columns for people, records for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Column:
    """A column for people.

    Attributes:
        header: Its name.
        cells: Its rows, as they are to be read.
        numeric: Whether it is aligned to the right.
        dispensable: Rank at which a narrow terminal leaves it out, lowest first; None for never.
    """

    header: str
    cells: Sequence[str]
    numeric: bool = True
    dispensable: int | None = None

    @property
    def width(self) -> int:
        """Number of characters of the longest cell or the header."""
        return max(map(len, [self.header, *self.cells]))

    def aligned(self) -> list[str]:
        """Return header and cells padded to one width."""
        align, width = str.rjust if self.numeric else str.ljust, self.width
        return [align(text, width) for text in [self.header, *self.cells]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table in both of its forms.

    Attributes:
        columns: For people: rounded and aligned.
        caption: Sentences below the table.
        records: For machines: every digit, one mapping a row, all with the same names.
        caveats: Sentences that a pasted table must not lose.
    """

    columns: Sequence[Column]
    caption: Sequence[str]
    records: Sequence[Mapping[str, Any]]
    caveats: Sequence[str] = ()
