"""Rows in a notebook: lists of rows with tables as their representation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsIndex, TypeVar, overload

from varsim.fields import RowBase
from varsim.kinds import tables_of
from varsim.report.formats import text_of

Row = TypeVar("Row", bound=RowBase)


def rendered(rows: Sequence[RowBase], name: str) -> str:
    """Return rows in the format ``name``."""
    return text_of(name, tables_of(rows))


class Rows(list[Row]):
    """A list of rows that a notebook shows as a table; ``print`` prints the table in text.

    >>> from varsim import sweep
    >>> rows = sweep(dim=64, scale=["sqrt", "he"], samples=10_000)
    >>> rows[1:]
    [Result(D = 64, scale he: 2.01 ± 0.07, theory 2, agrees)]
    """

    @overload
    def __getitem__(self, place: SupportsIndex, /) -> Row: ...
    @overload
    def __getitem__(self, place: slice, /) -> Rows[Row]: ...
    def __getitem__(self, place: SupportsIndex | slice, /) -> Row | Rows[Row]:
        """Return a row, or the rows of a slice."""
        if isinstance(place, slice):
            return Rows(super().__getitem__(place))
        return super().__getitem__(place)

    def __add__(self, more: list[Any]) -> Rows[Any]:
        """Return the rows of both lists, with unchanged verdicts."""
        return Rows([*self, *more])

    def __repr__(self) -> str:
        """Return one line per row."""
        lines = ",\n ".join(map(repr, self))
        return f"[{lines}]"

    def __str__(self) -> str:
        """Return the table in text."""
        return rendered(self, "table") if self else "[]"

    def _repr_html_(self) -> str | None:
        return rendered(self, "html") if self else None

    def _repr_markdown_(self) -> str | None:
        return rendered(self, "markdown") if self else None
