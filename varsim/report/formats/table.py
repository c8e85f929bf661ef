"""The list of formats: each is a pure function from a table to text.

Machine formats have all digits. A format is a function in a file of this folder, and a record
below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.report.formats.text import markdown, plain_text
from varsim.storage.text import csv_text, json_text, jsonl_text

# A run that prints a table loads none of these.
if TYPE_CHECKING:
    from varsim import table as tables
    from varsim.report.formats import html, latex, typst
    from varsim.table import Column, Table
else:
    html, latex = lazy("varsim.report.formats.html"), lazy("varsim.report.formats.latex")
    typst = lazy("varsim.report.formats.typst")
    tables = lazy("varsim.table")


@dataclass(frozen=True)
class Format:
    """A format of tables.

    Attributes:
        name: The name.
        suffix: Suffix of the files; None if it belongs to another format.
        text: Returns the text of a table.
        page: Characters in a line of a page, as of a terminal; None for any number of columns.
        prose: Whether prose may follow the table.
        machine: Whether it consists of records instead of columns for people.
    """

    name: str
    suffix: str | None
    text: Callable[[Table], str]
    page: int | None = None
    prose: bool = False
    machine: bool = False


# 76 characters in columns are about 345 points in LaTeX's \small, the text width of its article.
_PAPER, _SCREEN = 76, 120

_FORMATS = (
    Format("table", ".txt", plain_text, prose=True),
    Format("markdown", ".md", markdown, _SCREEN, prose=True),
    Format("csv", ".csv", lambda table: csv_text(table.records), machine=True),
    Format("json", ".json", lambda table: json_text(list(table.records)), machine=True),
    Format("jsonl", ".jsonl", lambda table: jsonl_text(table.records), machine=True),
    Format("latex", ".tex", lambda table: latex.latex(table), _PAPER),
    Format("latex-siunitx", None, lambda table: latex.latex_siunitx(table), _PAPER),
    Format("typst", ".typ", lambda table: typst.typst(table), _PAPER),
    Format("html", ".html", lambda table: html.html(table), _SCREEN),
)

FORMATS = {each.name: each.text for each in _FORMATS}
"""The functions of all formats by name."""

SUFFIXES = {each.suffix: each.name for each in _FORMATS if each.suffix is not None}
"""The name of a format by the suffix of its files."""

FOR_PEOPLE = frozenset(each.name for each in _FORMATS if each.prose)
"""The names of formats with prose after the table."""

_PAGES = {each.name: each.page for each in _FORMATS}

MACHINE = frozenset(each.name for each in _FORMATS if each.machine)
"""The names of formats of records."""


def text_of(name: str, shown: Sequence[Table]) -> str:
    """Return tables in a format: in sequence for people, in one list of records for machines."""
    if name in MACHINE and len(shown) > 1:
        records = chain.from_iterable(table.records for table in shown)
        return FORMATS[name](tables.Table([], [], records))
    if len(shown) > 1:
        numbered = enumerate(shown, start=1)
        shown = [replace(each, label=f"{each.label}-{number}") for number, each in numbered]
    return "\n".join(FORMATS[name](replace(t, columns=on_page(name, t))) for t in shown)


def on_page(name: str, table: Table) -> Sequence[Column]:
    """Return the columns of a table that a page of a format has room for, with whole cells."""
    width = _PAGES[name]
    if width is None:
        return table.columns
    return tables.fitting([replace(c, shortenable=False) for c in table.printable], width)


def omitted(names: Iterable[str], shown: Iterable[Table]) -> list[str]:
    """Return the headers of columns that pages of some of these formats have no room for."""
    pages = [(name, table) for table in shown for name in names if _PAGES[name] is not None]
    headers = [tables.omitted(table.printable, on_page(name, table)) for name, table in pages]
    return list(dict.fromkeys(chain.from_iterable(headers)))
