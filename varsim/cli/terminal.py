"""The terminal: tables drawn by rich, and the progress of a run."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Generic, TextIO, TypeVar

from varsim.compute import lazy
from varsim.errors import escape_control_characters
from varsim.fields.rounding import time_in_words
from varsim.table import Column, Table, fitting, omitted, table_width

if TYPE_CHECKING:
    from rich import box as rich_box
    from rich import console as rich_console
    from rich import live as rich_live
    from rich import progress as rich_progress
    from rich import table as rich_table
    from rich import text as rich_text

    from varsim.study import Row
else:
    rich_box, rich_console = lazy("rich.box"), lazy("rich.console")
    rich_live, rich_progress = lazy("rich.live"), lazy("rich.progress")
    rich_table, rich_text = lazy("rich.table"), lazy("rich.text")
from varsim.cli.streams import encodable, is_terminal, say, terminal_width, wrapped

R = TypeVar("R", bound="Row")


# Shorter work ends before an eye sees the bar.
_PROGRESS_AFTER_S = 0.5


# Off a terminal, a run that takes longer says how long.
_SAY_AFTER_S = 10.0

_STYLES = {
    **dict.fromkeys(("agrees", "identical"), "green"),
    **dict.fromkeys(("DISAGREES", "DIFFERS"), "bold red"),
}


def draw(table: Table, stream: TextIO) -> list[str]:
    """Draw a table on a terminal, and return the headers of columns that did not fit."""
    width = terminal_width(stream)
    columns = fitting(table.columns, width)
    # A terminal narrower than the rest wraps it: rich would cut the numbers.
    console = rich_console.Console(
        file=stream, highlight=False, width=max(width, table_width(columns))
    )
    console.print(_rich_table(columns, stream))
    shown = replace(table, columns=columns)
    caption = wrapped(
        encodable(escape_control_characters("\n".join(shown.caption)), stream), stream
    )
    console.print(f"\n{wrapped(caption, stream)}", style="dim", markup=False)
    return omitted(table.printable, columns)


def encoded(columns: Sequence[Column], stream: TextIO) -> list[Column]:
    """Return columns for a stream: in ASCII if need be, without control characters."""
    return [
        replace(
            column,
            header=encodable(column.header, stream),
            cells=[encodable(escape_control_characters(cell), stream) for cell in column.cells],
        )
        for column in columns
    ]


def _rich_table(columns: Sequence[Column], stream: TextIO) -> rich_table.Table:
    ascii_only = encodable("─", stream) != "─"
    text = rich_text.Text
    table = rich_table.Table(
        box=rich_box.ASCII if ascii_only else rich_box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="bold",
    )
    for column in columns:
        table.add_column(
            text(column.header),
            justify="right" if column.numeric else "left",
            no_wrap=True,
        )
    for row in zip(*(column.cells for column in columns), strict=True):
        table.add_row(*(text(encodable(cell, stream), style=_STYLES.get(cell, "")) for cell in row))
    return table


class Progress(AbstractContextManager["Progress[R]"], Generic[R]):
    """Shows the progress of a run on stderr: finished rows, and the time left.

    All of it vanishes at the end; off a terminal, a long run says once how long it takes. It starts
    after half a second, and only then is rich loaded.

    Args:
        rows: Number of questions.
        quiet: Whether to draw nothing.
        columns: Returns the columns of finished rows; None if they are not shown.
    """

    def __init__(
        self,
        rows: int,
        *,
        quiet: bool,
        columns: Callable[[Sequence[R]], Sequence[Column]] | None = None,
    ) -> None:
        self._stream = sys.stderr
        self._rows, self._columns = rows, columns
        self._started = time.monotonic()
        self._total = self._work = 0.0
        self._groups: Mapping[int, Sequence[R]] = {}
        self._live: rich_live.Live | None = None
        self._bar: rich_progress.Progress | None = None
        self._enabled, self._quiet = is_terminal(self._stream) and not quiet, quiet

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def advance(self, work: float) -> None:
        """Advance the bar by ``work`` random numbers."""
        self._work += work
        if not self._enabled:
            self._say_once()
            return
        if time.monotonic() - self._started <= _PROGRESS_AFTER_S:
            return
        if self._live is None:
            self._start()
        if self._bar is not None:
            self._bar.update(
                self._bar.tasks[0].id,
                completed=self._work,
                total=max(self._work, self._total),
                description=f"row {min(len(self._groups) + 1, self._rows)} of {self._rows}",
            )

    def _say_once(self) -> None:
        """Say off a terminal how long the run still takes, once, if that is long."""
        elapsed = time.monotonic() - self._started
        if self._quiet or elapsed < _SAY_AFTER_S or not self._work:
            return
        self._quiet = True
        left = elapsed * (max(self._work, self._total) / self._work - 1.0)
        if left > _SAY_AFTER_S:
            say(f"Note: This run takes about {time_in_words(left)} more.")

    def add_total(self, change: float) -> None:
        """Add a change to the random numbers of the whole run."""
        self._total += change

    def show(self, groups: Mapping[int, Sequence[R]]) -> None:
        """Show the rows that are done, by the place of their question."""
        self._groups = groups

    def _start(self) -> None:
        # Without a width of its own it measures the terminal anew at every refresh.
        console = rich_console.Console(file=self._stream, highlight=False)
        if not console.is_interactive:
            self._enabled = False
            return
        bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(),
            rich_progress.TextColumn("{task.percentage:>3.0f}%"),
            rich_progress.TimeRemainingColumn(),
            console=console,
        )
        bar.add_task("", total=self._total)
        self._bar = bar
        self._live = rich_live.Live(
            get_renderable=partial(self._render, console, bar),
            console=console,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._live.start()

    def _render(
        self, console: rich_console.Console, bar: rich_progress.Progress
    ) -> rich_console.RenderableType:
        groups = dict(self._groups)  # it grows meanwhile
        if not groups or self._columns is None:
            return bar
        done = [row for place in sorted(groups) for row in groups[place]]
        last = done[-max(1, console.height - 5) :]
        columns = fitting(encoded(self._columns(last), self._stream), console.width)
        if table_width(columns) > console.width:  # rich would cut the numbers
            return bar
        return rich_console.Group(_rich_table(columns, self._stream), "", bar)
