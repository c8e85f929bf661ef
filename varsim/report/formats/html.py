"""HTML: a table for any page, with its style in line."""

from __future__ import annotations

from html import escape

from varsim.fields.rounding import power_of_ten, with_minus
from varsim.table import Column, Table

_TABLE = (
    "border-spacing: 1em 0.2em; font-variant-numeric: tabular-nums; text-align: right; "
    "white-space: nowrap"
)

_CAPTION = "caption-side: bottom; text-align: left; white-space: normal"

_HEADER = "border-bottom: 1px solid; text-align: "


def html(table: Table) -> str:
    """Return the table as an HTML element, in ASCII for pages of any encoding."""
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
