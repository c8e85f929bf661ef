"""The table of formats: each is a pure function from a table to text.

Machine formats never cut a digit. A format is a function in a file beside, and a record below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.report.formats.text import markdown, plain_text
from varsim.storage.text import csv_text, json_text, jsonl_text
from varsim.table import Table

# A run that prints a table starts without the others.
if TYPE_CHECKING:
    from varsim.report.formats import html, latex, typst
else:
    html, latex = lazy("varsim.report.formats.html"), lazy("varsim.report.formats.latex")
    typst = lazy("varsim.report.formats.typst")


@dataclass(frozen=True)
class Format:
    """What a table can be written as.

    Attributes:
        name: Its name.
        suffix: The suffix of its files; None where another format has it.
        text: Returns the text of a table.
        prose: Whether prose may follow the table.
        machine: Whether it holds the records, and not the columns for people.
    """

    name: str
    suffix: str | None
    text: Callable[[Table], str]
    prose: bool = False
    machine: bool = False


_FORMATS = (
    Format("table", ".txt", plain_text, prose=True),
    Format("markdown", ".md", markdown, prose=True),
    Format("csv", ".csv", lambda table: csv_text(table.records), machine=True),
    Format("json", ".json", lambda table: json_text(table.records), machine=True),
    Format("jsonl", ".jsonl", lambda table: jsonl_text(table.records), machine=True),
    Format("latex", ".tex", lambda table: latex.latex(table)),
    Format("latex-siunitx", None, lambda table: latex.latex_siunitx(table)),
    Format("typst", ".typ", lambda table: typst.typst(table)),
    Format("html", ".html", lambda table: html.html(table)),
)


FORMATS = {each.name: each.text for each in _FORMATS}
"""Every format by its name."""


SUFFIXES = {each.suffix: each.name for each in _FORMATS if each.suffix is not None}
"""The format that a file's suffix stands for."""


FOR_PEOPLE = frozenset(each.name for each in _FORMATS if each.prose)
"""The formats that prose may follow."""


MACHINE = frozenset(each.name for each in _FORMATS if each.machine)
"""The formats of records."""


def text_of(name: str, tables: Sequence[Table]) -> str:
    """Return tables in a format: one after the other for people, and as one for machines."""
    if len(tables) == 1:
        return FORMATS[name](tables[0])
    if name in MACHINE:
        return FORMATS[name](Table([], [], [r for table in tables for r in table.records]))
    return "\n".join(map(FORMATS[name], tables))
