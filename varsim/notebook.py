"""Rows in a notebook: lists of rows with tables as their representation."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex, TypeVar, overload

from varsim.compute import lazy
from varsim.errors import InputError, needs, quoted
from varsim.fields import RowBase
from varsim.kinds import drawn, kind_of, tables_of
from varsim.report.formats import text_of
from varsim.storage.files import write_file
from varsim.study import Drawn

if TYPE_CHECKING:
    from varsim import plots
else:
    plots = lazy("varsim.plots")

Row = TypeVar("Row", bound=RowBase)


def rendered(rows: Sequence[RowBase], name: str) -> str:
    """Return rows in the format ``name``."""
    return text_of(name, tables_of(rows))


class Picture(Drawn):
    """A figure of rows, which a notebook shows: the matplotlib figure, its caption and remarks."""

    def _repr_svg_(self) -> str:
        return plots.encode(self.figure, ".svg").decode()


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

    def plot(
        self, path: str | Path | None = None, *, width: float = 3.4, title: str = ""
    ) -> Picture:
        """Return the figure of the rows, as ``varsim plot`` draws it; a notebook shows it.

        Args:
            path: A file to write: .svg, .png or .pdf.
            width: Width in inches, from 2 to 40; the height follows.
            title: Title above the figure.

        Raises:
            InputError: There are no rows, or a value is not allowed.
            ModuleNotFoundError: matplotlib is missing; the message says how to install it.
        """
        if not self:
            raise InputError("there are no rows to draw; give at least one")
        picture = Picture(*drawn(kind_of(self).figure, self, width, title=title))
        if path is not None:
            suffix = Path(path).suffix.lower()
            if suffix not in plots.SUFFIXES:
                raise InputError(
                    f"{quoted(path)} has no known suffix; give one of {', '.join(plots.SUFFIXES)}"
                )
            write_file(Path(path), plots.encode(picture.figure, suffix))
        return picture

    def to_markdown(self) -> str:
        """Return the table in Markdown, with its caption."""
        return rendered(self, "markdown") if self else ""

    def to_pandas(self) -> Any:
        """Return a ``pandas.DataFrame``: a row per row, and a column per field.

        Raises:
            ModuleNotFoundError: pandas is missing; the message says how to install it.
        """
        try:
            pandas = import_module("pandas")
        except ModuleNotFoundError as error:
            if error.name != "pandas":
                raise
            raise ModuleNotFoundError(needs("data frames", "pandas"), name="pandas") from None
        return pandas.DataFrame([row.to_dict() for row in self])

    def _repr_html_(self) -> str | None:
        return rendered(self, "html") if self else None

    def _repr_markdown_(self) -> str | None:
        return self.to_markdown() or None
