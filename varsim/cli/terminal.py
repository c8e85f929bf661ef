"""The terminal: tables drawn by rich, and what moves while a run goes on."""

from __future__ import annotations

import math
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO, TypeVar

from varsim.layer.experiment import Result
from varsim.report.formats import to_ascii
from varsim.report.results import VERDICTS, results_sheet
from varsim.report.table import Column, Sheet

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.progress import Progress
    from rich.table import Table

T = TypeVar("T")

# Shorter work ends before an eye has found the bar.
_A_BLINK = 0.5

_GAP = 2
_STYLES = {
    VERDICTS[True]: "green",
    VERDICTS[False]: "bold red",
    **dict.fromkeys(("identical", "same draws"), "green"),
    "DIFFERS": "bold red",
}


def is_terminal(stream: TextIO | None) -> bool:
    """Tell whether a person watches a stream."""
    return stream is not None and not stream.closed and stream.isatty()


def encodable(text: str, stream: TextIO | None) -> str:
    """Return the text, in ASCII where the stream's encoding cannot hold it."""
    try:
        text.encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return to_ascii(text)
    return text


def wrapped(text: str, stream: TextIO, *, otherwise: int | None = None) -> str:
    """Return text in lines that fit a terminal, or of another width for any other stream."""
    width = shutil.get_terminal_size().columns if is_terminal(stream) else otherwise
    if width is None:
        return text
    fill = partial(textwrap.fill, width=max(20, width))
    return "\n".join(map(fill, text.split("\n")))


def draw(sheet: Sheet, stream: TextIO) -> list[str]:
    """Draw a sheet on a terminal, and return the headers of columns that did not fit."""
    from rich.console import Console

    width = shutil.get_terminal_size().columns
    columns = _fitting(sheet.columns, width)
    # A terminal narrower than the rest wraps it: rich would cut the numbers.
    console = Console(file=stream, highlight=False, width=max(width, _width(columns)))
    console.print(_rich_table(columns, stream))
    caption = encodable(wrapped("\n".join(sheet.caption), stream), stream)
    console.print(f"\n{caption}", style="dim", markup=False)
    return [column.header for column in sheet.columns if column not in columns]


def _fitting(columns: Sequence[Column], width: int) -> list[Column]:
    """Return the columns without those a table of that width has no room for."""
    kept = list(columns)
    for column in sorted(columns, key=_dispensability):
        if column.dispensable is None or _width(kept) <= width:
            break
        kept.remove(column)
    return kept


def _dispensability(column: Column) -> float:
    return math.inf if column.dispensable is None else column.dispensable


def _width(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + _GAP * (len(columns) - 1)


def _rich_table(columns: Sequence[Column], stream: TextIO) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    ascii_only = encodable("─", stream) != "─"
    table = Table(
        box=box.ASCII if ascii_only else box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, _GAP - 1, 0, 0),
        header_style="bold",
    )
    for column in columns:
        table.add_column(
            Text(encodable(column.header, stream)),
            justify="right" if column.numeric else "left",
            no_wrap=True,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(Text(encodable(cell, stream), style=_STYLES.get(cell, "")) for cell in row))
    return table


class Watch:
    """Shows a person how far a run has come: its rows as they are done, and the time left.

    Everything it draws is on stderr and vanishes at the end; off a terminal it draws nothing. It
    starts only when a run takes longer than a blink, and only then is rich loaded.
    """

    def __init__(self, total: int, *, rows: int, quiet: bool) -> None:
        """Take the work of the whole run, in any unit, and its number of rows."""
        self._stream = sys.stderr
        self._total, self._rows = total, rows
        self._started = time.monotonic()
        self._done = 0
        self._results: Sequence[Result] = ()
        self._finished = 0
        self._live: Live | None = None
        self._progress: Progress | None = None
        self._enabled = is_terminal(self._stream) and not quiet

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Clear what was drawn."""
        if self._live is not None:
            self._live.stop()

    def over(self, items: Iterable[T], work: int) -> Iterator[T]:
        """Pass items on, taking note that each was so much work."""
        for item in items:
            self._done += work
            if self._enabled and time.monotonic() - self._started > _A_BLINK:
                self._draw()
            yield item

    def expect(self, change: int) -> None:
        """Take note that the whole run is so much more work than was thought, or less."""
        self._total += change

    def next_row(self) -> None:
        """Take note that a row is done that is not shown."""
        self._finished += 1

    def show(self, results: Sequence[Result]) -> None:
        """Take note of the rows that are done."""
        self._results, self._finished = results, len(results)

    def _draw(self) -> None:
        if self._live is None:
            self._start()
        if self._live is not None and self._progress is not None:
            task = self._progress.tasks[0]
            self._progress.update(
                task.id,
                completed=self._done,
                total=max(self._done, self._total),
                description=f"row {min(self._finished + 1, self._rows)} of {self._rows}",
            )

    def _start(self) -> None:
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(
            file=self._stream, highlight=False, width=shutil.get_terminal_size().columns
        )
        if not console.is_interactive:
            self._enabled = False
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            console=console,
        )
        self._progress.add_task("", total=self._total)
        self._live = Live(
            get_renderable=partial(self._render, console, self._progress),
            console=console,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _render(self, console: Console, progress: Progress) -> RenderableType:
        from rich.console import Group

        if not self._results or not is_terminal(sys.stdout):
            return progress
        last = self._results[-max(1, console.height - 5) :]
        columns = _fitting(results_sheet(last).columns, console.width)
        return Group(_rich_table(columns, self._stream), "", progress)
