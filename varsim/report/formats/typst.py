"""Typst: a table for a paper without LaTeX."""

from __future__ import annotations

from collections.abc import Iterable

from varsim.fields.rounding import power_of_ten, with_minus
from varsim.table import Table


def typst(table: Table) -> str:
    """Return the table as a figure of Typst, with three rules, a caption and a label.

    Cells are strings, so that no character is markup.
    """
    columns = table.printable
    align = ", ".join("right" if column.numeric else "left" for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        "#figure(",
        "  table(",
        f"    columns: {len(columns)},",
        f"    align: ({align},),",
        "    stroke: none,",
        "    table.hline(stroke: 0.08em),",
        f"    table.header({', '.join(_typst_string(column.header) for column in columns)}),",
        "    table.hline(stroke: 0.05em),",
        *(f"    {_typst_row(cells)}," for cells in rows),
        "    table.hline(stroke: 0.08em),",
        "  ),",
        "  caption: [",
        *(f"    #{_typst_string(line)}" for line in table.notes),
        "  ],",
        f") <tab:{table.label}>",
    ]
    return "\n".join(lines) + "\n"


def _typst_row(cells: Iterable[str]) -> str:
    return ", ".join(map(_typst_cell, cells))


def _typst_cell(text: str) -> str:
    text, power = power_of_ten(text)
    if power is None:
        return _typst_string(with_minus(text))
    return f"[{with_minus(text)} × 10#super[{with_minus(str(power))}]]"


def _typst_string(text: str) -> str:
    escaped = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{escaped}"'
