"""LaTeX: tables for papers, with plain columns or columns of the package siunitx."""

from __future__ import annotations

import re
from collections.abc import Sequence

from varsim.fields.rounding import power_of_ten
from varsim.table import Column, Table

_SYMBOLS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "×": r"$\times$", "√": r"$\surd$", "²": r"$^2$", "³": r"$^3$", "ᵀ": r"$^T$",
    "σ": r"$\sigma$", "φ": r"$\varphi$", "Φ": r"$\Phi$", "χ": r"$\chi$", "π": r"$\pi$",
    "′": "$'$", "·": r"$\cdot$", "∂": r"$\partial$", "●": r"$\bullet$", "○": r"$\circ$",
    "◉": r"$\odot$", "│": "$|$", "¼": r"$^{1/4}$", "⊥": r"$_\perp$", "∥": r"$_\parallel$",
    "½": r"$\frac{1}{2}$", "₁": "$_1$", "−": "$-$", "<": "$<$", ">": "$>$", "|": "$|$",
}  # fmt: skip

_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d+)(?:\.(?P<decimals>\d+))?(?: ± (?P<error>[\d.]+))?"
)


def latex(table: Table) -> str:
    """Return the table as a float with its caption; it needs the package booktabs."""
    columns = table.printable
    specs = ["r" if column.numeric else "l" for column in columns]
    cells = [[_cell(text) for text in (column.header, *column.cells)] for column in columns]
    return _float(table, "".join(specs), cells)


def latex_siunitx(table: Table) -> str:
    """Return the table with aligned decimal points; it needs booktabs and siunitx.

    A number with an error is written like 0.998(4): the error is in units of the last digit.
    """
    specs, cells = [], []
    for column in table.printable:
        numbers = [_siunitx(cell) for cell in column.cells]
        aligned = column.numeric and any(numbers) and None not in numbers
        specs.append(f"\n  {_format(column) if aligned else 'r' if column.numeric else 'l'}")
        header = _cell(column.header)
        if aligned:
            cells.append([f"{{{header}}}", *(number or "" for number in numbers)])
        else:
            cells.append([header, *map(_cell, column.cells)])
    return _float(table, f"{''.join(specs)}\n", cells)


def _float(table: Table, spec: str, columns: Sequence[Sequence[str]]) -> str:
    """Return a table environment: the caption above, a label for references, and the tabular."""
    header, *rows = (" & ".join(cells) + r" \\" for cells in zip(*columns, strict=True))
    # Two hyphens, as of an option, would be a dash.
    notes = (f"  {_escaped(line).replace('--', '-{}-')}" for line in table.notes)
    return "\n".join([
        r"\begin{table}", r"\centering", r"\small", r"\setlength{\tabcolsep}{4pt}",
        r"\setlength{\belowcaptionskip}{6pt}",
        r"\caption{%", *notes, "}", rf"\label{{tab:{table.label}}}",
        rf"\begin{{tabular}}{{{spec}}}", r"\toprule", header, r"\midrule", *rows, r"\bottomrule",
        r"\end{tabular}", r"\end{table}", "",
    ])  # fmt: skip


def _escaped(text: str) -> str:
    return "".join(_SYMBOLS.get(character, character) for character in text)


def _cell(text: str) -> str:
    text, power = power_of_ten(text)
    text = _escaped(text)
    exponent = "" if power is None else rf"$\times 10^{{{power}}}$"
    return re.sub(r"^-(?=\d)", "$-$", text) + exponent


def _siunitx(text: str) -> str | None:
    """Return a number in siunitx's notation, "" for an empty cell, and None for other texts.

    >>> _siunitx("512.2 ± 1.7"), _siunitx("(4.80 ± 0.34)e-04"), _siunitx("+0.92"), _siunitx("3.7%")
    ('512.2(17)', '4.80(34)e-4', '+0.92', None)
    """
    parts = _parts(text)
    if parts is None:
        return None if text else ""
    number, power = parts
    point = "" if number["decimals"] is None else f".{number['decimals']}"
    error = _digits(number["error"])
    exponent = "" if power is None else f"e{power}"
    return f"{number['sign']}{number['whole']}{point}{error and f'({error})'}{exponent}"


def _parts(text: str) -> tuple[re.Match[str], int | None] | None:
    mantissa, power = power_of_ten(text.replace(",", ""))
    if mantissa.startswith("("):
        mantissa = mantissa[1:-1]
    number = _NUMBER.fullmatch(mantissa)
    return number and (number, power)


def _digits(error: str | None) -> str:
    return (error or "").replace(".", "").lstrip("0")


def _format(column: Column) -> str:
    """Return the column type with room for all numbers, such as S[table-format=-3.2(2)e-1]."""
    parts = [parts for cell in column.cells if (parts := _parts(cell)) is not None]
    numbers = [number for number, _ in parts]
    powers = [power for _, power in parts if power is not None]
    sign = max((number["sign"] for number in numbers), key=["", "+", "-"].index)
    whole, decimals = (max(len(n[name] or "") for n in numbers) for name in ("whole", "decimals"))
    error = max(len(_digits(number["error"])) for number in numbers)
    exponent = max((len(str(abs(power))) for power in powers), default=0)
    minus = "-" if any(power < 0 for power in powers) else ""
    return (
        f"S[table-format={sign}{whole}.{decimals}{f'({error})' if error else ''}"
        f"{f'e{minus}{exponent}' if powers else ''}]"
    )
