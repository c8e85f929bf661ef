"""HTML: a table for any page, with its style."""

from __future__ import annotations

from html import escape

from varsim.fields.rounding import power_of_ten, with_minus
from varsim.table import Column, Table

_STYLE = """\
<style>
.varsim { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap }
.varsim caption { caption-side: bottom; padding: 0.5em; text-align: left; white-space: normal }
.varsim th, .varsim td { padding: 0.2em 0.5em; text-align: right }
.varsim th { border-bottom: 1px solid }
.varsim .text { text-align: left }
</style>"""


def html(table: Table) -> str:
    """Return the table as an HTML element, in ASCII for pages of any encoding."""
    columns = table.printable
    rows = zip(
        *([_html_cell(column, text) for text in column.cells] for column in columns), strict=True
    )
    caption = "<br>\n".join(map(escape, table.notes))
    lines = [
        "<div>",
        _STYLE,
        '<table class="varsim">',
        f"<caption>{caption}</caption>",
        "<thead>",
        f"<tr>{''.join(map(_html_header, columns))}</tr>",
        "</thead>",
        "<tbody>",
        *(f"<tr>{''.join(row)}</tr>" for row in rows),
        "</tbody>",
        "</table>",
        "</div>",
    ]
    return ("\n".join(lines) + "\n").encode("ascii", "xmlcharrefreplace").decode()


def _html_header(column: Column) -> str:
    return f'<th scope="col"{_text_class(column)}>{escape(column.header)}</th>'


def _html_cell(column: Column, text: str) -> str:
    text, power = power_of_ten(text)
    exponent = "" if power is None else f" × 10<sup>{with_minus(str(power))}</sup>"
    return f"<td{_text_class(column)}>{escape(with_minus(text))}{exponent}</td>"


def _text_class(column: Column) -> str:
    return "" if column.numeric else ' class="text"'
