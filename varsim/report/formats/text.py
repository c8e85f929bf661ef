"""Plain text, Markdown, and their substitutes in ASCII."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from varsim.table import Table

_ASCII = {" ± ": "+/-", "±": "+/-", "×": "x", "√": "sqrt", "²": "^2", "¼": "^(1/4)", "σ": "s",
          "φ": "f", "Φ": "P", "χ": "X", "⊥": "_perp", "∥": "_par", "′": "'", "·": "*", "π": "pi",
          "∂": "d", "³": "^3", "ᵀ": "^T", "½": "1/2", "₁": "_1", "●": "*", "○": "o", "◉": "@",
          "│": "|", "−": "-"}  # fmt: skip


def plain_text(table: Table) -> str:
    """Return the table as plain text at its full width."""
    header, *rows = zip(*(column.aligned() for column in table.columns), strict=True)
    rule = ["-" * column.width for column in table.columns]
    lines = ["  ".join(cells).rstrip() for cells in (header, rule, *rows)]
    return "\n".join([*lines, "", *table.caption]) + "\n"


def markdown(table: Table) -> str:
    """Return the table in GitHub-flavoured Markdown, with aligned columns in the source.

    Every sentence below it is a paragraph, so that it has a line of its own when rendered.
    """
    columns = [
        replace(c, header=_escaped(c.header), cells=list(map(_escaped, c.cells)))
        for c in table.printable
    ]
    header, *rows = zip(*(column.aligned() for column in columns), strict=True)
    rule = ["-" * max(1, c.width - 1) + (":" if c.numeric else "-") for c in columns]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in (header, rule, *rows)
    ]
    return "\n\n".join(["\n".join(lines), *map(_escaped, table.notes)]) + "\n"


def markdown_prose(text: str) -> str:
    r"""Return an explanation in Markdown: its indented lines are the items of lists.

    >>> print(markdown_prose("Two layers:\n  layer 1: 1\n  layer 2: 0.4\n"), end="")
    Two layers:
    <BLANKLINE>
    - layer 1: 1
    - layer 2: 0.4
    """
    lines = [re.sub("^  ", "- ", line) for line in _escaped(text).splitlines()]
    return re.sub(r"(?m)^(?!- )(.+)\n(?=- )", r"\1\n\n", "\n".join(lines)) + "\n"


# What can begin code, emphasis, a link, HTML, an entity or a formula; an underscore within a word
# cannot.
_MARKUP = re.compile(r"[\\`$]|\](?=[(\[:])|[*~](?=\S)|(?<![^\W_])_|<(?=[^\s\d])|&(?=[#\w])")
_ENTITIES = {"<": "&lt;", "&": "&amp;"}


def _escaped(text: str) -> str:
    r"""Return text for Markdown, where no character in a name from elsewhere is markup.

    >>> print(_escaped("trunc_normal(_a='<b>', b='*')"))
    trunc_normal(\_a='&lt;b>', b='\*')
    """
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], rf"\{found[0]}"), text)


def to_ascii(text: str) -> str:
    """Return text for a stream that is not UTF-8; numbers in cells have the same width.

    >>> to_ascii("1.00 ± 0.01")
    '1.00+/-0.01'
    """
    for symbol, plain in _ASCII.items():
        text = text.replace(symbol, plain)
    return text.encode("ascii", "replace").decode()
