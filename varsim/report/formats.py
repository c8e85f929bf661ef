"""The formats: pure functions from a table to text. Machine formats never cut a digit."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from varsim.report import Table
from varsim.storage import csv_text, json_text, jsonl_text

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "×": r"$\times$", "√": r"$\surd$", "²": r"$^2$", "³": r"$^3$", "ᵀ": r"$^T$",
    "σ": r"$\sigma$", "φ": r"$\varphi$", "Φ": r"$\Phi$", "χ": r"$\chi$", "π": r"$\pi$",
    "′": "$'$", "·": r"$\cdot$", "∂": r"$\partial$", "●": r"$\bullet$", "○": r"$\circ$",
    "◉": r"$\odot$", "│": "$|$", "¼": r"$^{1/4}$", "⊥": r"$_\perp$", "∥": r"$_\parallel$",
}  # fmt: skip

_ASCII = {" ± ": "+/-", "±": "+/-", "×": "x", "√": "sqrt", "²": "^2", "¼": "^(1/4)", "σ": "s",
          "φ": "f", "Φ": "P", "χ": "X", "⊥": "_perp", "∥": "_par", "′": "'", "·": "*", "π": "pi",
          "∂": "d", "³": "^3", "ᵀ": "^T", "½": "1/2", "₁": "_1", "●": "*", "○": "o", "◉": "@",
          "│": "|"}  # fmt: skip


def plain_text(table: Table) -> str:
    """Return the table as plain text at its full width."""
    header, *rows = zip(*(column.aligned() for column in table.columns), strict=True)
    rule = ["-" * column.width for column in table.columns]
    lines = ["  ".join(cells).rstrip() for cells in (header, rule, *rows)]
    return "\n".join([*lines, "", *table.caption]) + "\n"


def markdown(table: Table) -> str:
    """Return the table in GitHub-flavoured Markdown, aligned in the source too."""
    columns = table.printable
    header, *rows = zip(*(column.aligned() for column in columns), strict=True)
    rule = ["-" * max(1, c.width - 1) + (":" if c.numeric else "-") for c in columns]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in (header, rule, *rows)
    ]
    caveats = [f"Caveat: {sentence}" for sentence in table.caveats]
    return "\n".join([*lines, "", *table.caption, *caveats]) + "\n"


def latex(table: Table) -> str:
    """Return a tabular for LaTeX; needs the package booktabs."""
    columns = table.printable
    header, *rows = zip(*([c.header, *c.cells] for c in columns), strict=True)
    spec = "".join("r" if column.numeric else "l" for column in columns)
    notes = (f"% {to_ascii(line)}" for line in [*table.caption, *table.caveats])
    head = [rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _latex_row(header), r"\midrule"]
    foot = [r"\bottomrule", r"\end{tabular}", ""]
    return "\n".join([*notes, *head, *map(_latex_row, rows), *foot])


FORMATS: dict[str, Callable[[Table], str]] = {
    "table": plain_text,
    "markdown": markdown,
    "csv": lambda table: csv_text(table.records),
    "json": lambda table: json_text(table.records),
    "jsonl": lambda table: jsonl_text(table.records),
    "latex": latex,
}
"""Every format by its name."""

SUFFIXES = {
    ".txt": "table",
    ".md": "markdown",
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".tex": "latex",
}
"""The format that a file's suffix stands for."""

FOR_PEOPLE = frozenset({"table", "markdown"})
"""The formats that prose may follow."""

MACHINE = frozenset({"csv", "json", "jsonl"})
"""The formats of records."""


def text_of(name: str, tables: Sequence[Table]) -> str:
    """Return tables in a format: one after the other for people, and as one for machines."""
    if len(tables) == 1:
        return FORMATS[name](tables[0])
    if name in MACHINE:
        return FORMATS[name](Table([], [], [r for table in tables for r in table.records]))
    return "\n".join(map(FORMATS[name], tables))


def to_ascii(text: str) -> str:
    """Return text for a stream that is not UTF-8; what stands in cells keeps its width.

    >>> to_ascii("1.00 ± 0.01")
    '1.00+/-0.01'
    """
    for symbol, plain in _ASCII.items():
        text = text.replace(symbol, plain)
    return text.encode("ascii", "replace").decode()


def _latex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(text: str) -> str:
    text = re.sub(r"e([+-]\d+)$", lambda m: f"\0{int(m[1])}\0", text)
    text = "".join(_LATEX.get(character, character) for character in text)
    text = re.sub("\0(-?\\d+)\0", r"$\\times 10^{\1}$", text)
    return re.sub(r"^-(?=\d)", "$-$", text)
