"""HTML, for a table that can stand in any page, and Typst, for a paper without LaTeX."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from varsim.fields.rounding import power_of_ten, with_minus
from varsim.report import Column, Table

_TABLE = (
    "border-spacing: 1em 0.2em; font-variant-numeric: tabular-nums; text-align: right; "
    "white-space: nowrap"
)
_CAPTION = "caption-side: bottom; text-align: left; white-space: normal"
_HEADER = "border-bottom: 1px solid; text-align: "


def html(table: Table) -> str:
    """Return the table as an element of HTML, in ASCII whatever the page is encoded in."""
    columns = table.printable
    rows = zip(
        *([_html_cell(column, text) for text in column.cells] for column in columns), strict=True
    )
    caption = "<br>\n".join(map(escape, table.notes))
    lines = [
        f'<table style="{_TABLE}">',
        f'<caption style="{_CAPTION}">{caption}</caption>',
        f"<thead>\n<tr>{''.join(map(_html_header, columns))}</tr>\n</thead>",
        "<tbody>",
        *(f"<tr>{''.join(row)}</tr>" for row in rows),
        "</tbody>",
        "</table>",
    ]
    return ("\n".join(lines) + "\n").encode("ascii", "xmlcharrefreplace").decode()


def _html_header(column: Column) -> str:
    side = "right" if column.numeric else "left"
    return f'<th scope="col" style="{_HEADER}{side}">{escape(column.header)}</th>'


def _html_cell(column: Column, text: str) -> str:
    text, power = power_of_ten(text)
    exponent = "" if power is None else f" × 10<sup>{with_minus(str(power))}</sup>"
    style = "" if column.numeric else ' style="text-align: left"'
    return f"<td{style}>{escape(with_minus(text))}{exponent}</td>"


def typst(table: Table) -> str:
    """Return the table as a figure of Typst, with a line for each row and the caption below.

    Cells are strings, in which no letter is markup.
    """
    columns = table.printable
    align = ", ".join("right" if column.numeric else "left" for column in columns)
    rows = zip(*(column.cells for column in columns), strict=True)
    lines = [
        "#figure(",
        "  table(",
        f"    columns: {len(columns)},",
        f"    align: ({align},),",
        f"    table.header({', '.join(_typst_string(column.header) for column in columns)}),",
        *(f"    {_typst_row(cells)}," for cells in rows),
        "  ),",
        f"  caption: {_typst_string(' '.join(table.notes))},",
        ")",
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
