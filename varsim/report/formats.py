"""The formats: pure functions from a sheet to text. None of them cuts a digit."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from varsim.report.table import Sheet

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "×": r"$\times$", "√": r"$\surd$", "²": r"$^2$", "¼": r"$^{1/4}$",
    "σ": r"$\sigma$", "φ": r"$\varphi$", "Φ": r"$\Phi$", "χ": r"$\chi$", "π": r"$\pi$",
    "′": "$'$", "·": r"$\cdot$", "∂": r"$\partial$", "●": r"$\bullet$", "○": r"$\circ$",
    "◉": r"$\odot$", "│": "$|$",
}  # fmt: skip

_ASCII = {" ± ": "+/-", "±": "+/-", "×": "x", "√": "sqrt", "²": "^2", "¼": "^(1/4)", "σ": "s",
          "φ": "f", "Φ": "P", "χ": "X", "′": "'", "·": "*", "π": "pi",
          "∂": "d", "●": "*", "○": "o", "◉": "@", "│": "|"}  # fmt: skip


def table(sheet: Sheet) -> str:
    """Return the table as plain text at its full width."""
    header, *rows = zip(*(column.aligned() for column in sheet.columns), strict=True)
    rule = ["-" * column.width for column in sheet.columns]
    lines = ["  ".join(cells).rstrip() for cells in (header, rule, *rows)]
    return "\n".join([*lines, "", *sheet.caption]) + "\n"


def markdown(sheet: Sheet) -> str:
    """Return the table in GitHub-flavoured Markdown, aligned in the source too."""
    header, *rows = zip(*(column.aligned() for column in sheet.columns), strict=True)
    rule = [
        "-" * (column.width - 1) + ":" if column.numeric else "-" * column.width
        for column in sheet.columns
    ]
    lines = [
        "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"
        for cells in (header, rule, *rows)
    ]
    caveats = [f"Caveat: {sentence}" for sentence in sheet.caveats]
    return "\n".join([*lines, "", *sheet.caption, *caveats]) + "\n"


def latex(sheet: Sheet) -> str:
    """Return a tabular for LaTeX; needs the package booktabs."""
    header, *rows = zip(*([c.header, *c.cells] for c in sheet.columns), strict=True)
    spec = "".join("r" if column.numeric else "l" for column in sheet.columns)
    return "\n".join(
        [
            *(f"% {to_ascii(line)}" for line in [*sheet.caption, *sheet.caveats]),
            rf"\begin{{tabular}}{{{spec}}}",
            r"\toprule",
            _latex_row(header),
            r"\midrule",
            *map(_latex_row, rows),
            r"\bottomrule",
            r"\end{tabular}",
            "",
        ]
    )


def csv_(sheet: Sheet) -> str:
    """Return comma-separated values; an unknown is empty, a list is JSON, floats are exact."""
    head = csv_line(sheet.records[0]) if sheet.records else ""
    return head + "".join(csv_line(record.values()) for record in sheet.records)


def csv_line(cells: Iterable[Any]) -> str:
    """Return a line of CSV: never more than one, since line ends inside are escaped as in JSON."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(_csv_cell, cells))
    return text.getvalue()


def json_(sheet: Sheet) -> str:
    """Return a JSON list with an object a row; an unknown is null, floats are exact."""
    return json.dumps(list(sheet.records), indent=2, allow_nan=False) + "\n"


def jsonl(sheet: Sheet) -> str:
    """Return one JSON object a line."""
    return "".join(map(jsonl_line, sheet.records))


def jsonl_line(record: Mapping[str, Any]) -> str:
    """Return a line of JSON."""
    return json.dumps(record, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Sheet], str]] = {
    "table": table,
    "markdown": markdown,
    "csv": csv_,
    "json": json_,
    "jsonl": jsonl,
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


def text_of(name: str, sheets: Sequence[Sheet]) -> str:
    """Return sheets in a format: one after the other for people, and as one for machines."""
    if len(sheets) == 1:
        return FORMATS[name](sheets[0])
    if name in MACHINE:
        return FORMATS[name](Sheet([], [], [r for sheet in sheets for r in sheet.records]))
    return "\n".join(map(FORMATS[name], sheets))


def to_ascii(text: str) -> str:
    """Return text for a stream that is not UTF-8; what stands in cells keeps its width.

    >>> to_ascii("1.00 ± 0.01")
    '1.00+/-0.01'
    """
    for symbol, plain in _ASCII.items():
        text = text.replace(symbol, plain)
    return text.encode("ascii", "replace").decode()


def _csv_cell(value: Any) -> str:
    if value is None or value == []:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, allow_nan=False)


def _latex_row(cells: tuple[str, ...]) -> str:
    return " & ".join(map(_latex_cell, cells)) + r" \\"


def _latex_cell(text: str) -> str:
    text = re.sub(r"e([+-]\d+)$", lambda m: f"\0{int(m[1])}\0", text)
    text = "".join(_LATEX.get(character, character) for character in text)
    text = re.sub("\0(-?\\d+)\0", r"$\\times 10^{\1}$", text)
    return re.sub(r"^-(?=\d)", "$-$", text)
