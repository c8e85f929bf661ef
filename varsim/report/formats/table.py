"""The list of formats: each is a pure function from a table to text.

Machine formats have all digits. A format is a function in a file of this folder, and a record
below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.report.formats.text import markdown, plain_text
from varsim.storage.text import csv_text, json_text, jsonl_text

# A run that prints a table loads none of these.
if TYPE_CHECKING:
    from varsim import table as tables
    from varsim.report.formats import html, latex, typst
    from varsim.table import Table
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
        prose: Whether prose may follow the table.
        machine: Whether it consists of records instead of columns for people.
    """

    name: str
    suffix: str | None
    text: Callable[[Table], str]
    prose: bool = False
    machine: bool = False


_FORMATS = (
    Format("table", ".txt", plain_text, prose=True),
    Format("markdown", ".md", markdown, prose=True),
    Format("csv", ".csv", lambda table: csv_text(list(table.records)), machine=True),
    Format("json", ".json", lambda table: json_text(list(table.records)), machine=True),
    Format("jsonl", ".jsonl", lambda table: jsonl_text(list(table.records)), machine=True),
    Format("latex", ".tex", lambda table: latex.latex(table)),
    Format("latex-siunitx", None, lambda table: latex.latex_siunitx(table)),
    Format("typst", ".typ", lambda table: typst.typst(table)),
    Format("html", ".html", lambda table: html.html(table)),
)

FORMATS = {each.name: each.text for each in _FORMATS}
"""The functions of all formats by name."""

SUFFIXES = {each.suffix: each.name for each in _FORMATS if each.suffix is not None}
"""The name of a format by the suffix of its files."""

FOR_PEOPLE = frozenset(each.name for each in _FORMATS if each.prose)
"""The names of formats with prose after the table."""

MACHINE = frozenset(each.name for each in _FORMATS if each.machine)
"""The names of formats of records."""


def text_of(name: str, shown: Sequence[Table]) -> str:
    """Return tables in a format: in sequence for people, in one list of records for machines."""
    if len(shown) == 1:
        return FORMATS[name](shown[0])
    if name in MACHINE:
        return FORMATS[name](tables.Table([], [], [r for each in shown for r in each.records]))
    return "\n".join(map(FORMATS[name], shown))
