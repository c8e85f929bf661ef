"""Formats are pure functions from tables to text."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program import here
from varsim.fields.rounding import with_error
from varsim.report.formats import FORMATS, to_ascii
from varsim.table import Column, Table

TABLE = Table(
    [
        Column("a|b_%", ["x_1 & y", "|"], numeric=False),
        Column("v ± 95%", ["1.0 ± 0.1", "(1.00 ± 0.01)e-06"]),
    ],
    ["One_sentence: 100 % ±."],
    [{"a": "x,1", "n": None, "v": 0.1, "l": []}, {"a": 'q"', "n": True, "v": 1e-300, "l": [1]}],
)


def test_special_characters_survive_every_format() -> None:
    """A name cannot break a table."""
    assert FORMATS["markdown"](TABLE).splitlines()[2].startswith(r"| x_1 & y | ")
    assert r"| \|" in FORMATS["markdown"](TABLE).splitlines()[3]
    latex = FORMATS["latex"](TABLE)
    assert r"x\_1 \& y & 1.0 $\pm$ 0.1 \\" in latex
    assert r"(1.00 $\pm$ 0.01)$\times 10^{-6}$" in latex
    assert FORMATS["csv"](TABLE) == 'a,n,v,l\n"x,1",,0.1,\n"q""",true,1e-300,[1]\n'


AWKWARD = Table(
    [
        Column('χ⊥ <E φ²> "√" \\', ["#a $b_c* @d [e] </td>", "~f` // g\\", ""], numeric=False),
        Column("∂h ± 95%", ["(4.80 ± 0.34)e-04", "512.2 ± 1.7", "-262100 ± 400"]),
        Column("z", ["-0.92", "", "+1.00"]),
        Column("1e-1 h ● 1e+1", ["  ●", "●", "│"], numeric=False, chart=True),
    ],
    ["100 % of #rows; a < b & c."],
    [],
    ["'x_1' has 2^9."],
)
"""What could be taken for markup in one format or another."""


def test_a_figure_of_typst_compiles(tmp_path: Path) -> None:
    """To what the cells say, with a line for each row; a stray quotation mark would not."""
    text = FORMATS["typst"](AWKWARD)
    assert '[(4.80 ± 0.34) × 10#super[−4]], "−0.92",' in text.splitlines()[5]
    assert '"−262100 ± 400", "+1.00",' in text.splitlines()[7]
    compiler = pytest.importorskip("typst")
    source = tmp_path / "table.typ"
    source.write_text(text, encoding="utf-8")
    assert b"<svg" in compiler.compile(str(source), format="svg")
    source.write_text(text.replace(r"\"", '"'), encoding="utf-8")
    with pytest.raises(compiler.TypstError):
        compiler.compile(str(source), format="svg")


class Cells(HTMLParser):
    """The texts of the cells of a table, of their powers too, and its elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: dict[str, list[str]] = {"caption": [], "th": [], "td": []}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.append(tag)
        if tag != "br":
            self.open.append(tag)
        if tag in self.texts:
            self.texts[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag in self.open if tag in self.texts]
        if tags:
            self.texts[tags[0]][-1] += data


def test_a_table_of_html_is_well_formed() -> None:
    """Every cell reads as in the table, in ASCII, and the caption holds the caveats."""
    text = FORMATS["html"](AWKWARD)
    page = Cells(text)
    assert text.isascii()
    assert page.open == []
    assert page.seen.count("tr") == 4
    assert page.texts["th"] == [column.header for column in AWKWARD.printable]
    assert page.texts["td"] == [
        "#a $b_c* @d [e] </td>", "(4.80 ± 0.34) × 10−4", "−0.92",
        "~f` // g\\", "512.2 ± 1.7", "",
        "", "−262100 ± 400", "+1.00",
    ]  # fmt: skip
    assert page.texts["caption"] == ["100 % of #rows; a < b & c.\nCaveat: 'x_1' has 2^9."]


SIUNITX = r"[+-]?\d+(\.\d+)?(\(\d+\))?(e-?\d+)?"
"""A number as siunitx reads it: its manual, section on numbers."""


def test_numbers_of_siunitx_are_numbers_with_room() -> None:
    """Each fits the format of its column; what is no number stands in braces or another column."""
    text = FORMATS["latex-siunitx"](AWKWARD)
    specs = re.findall(r"^  (l|r|S\[table-format=(.*)\])$", text, re.MULTILINE)
    assert [spec for spec, _ in specs] == [
        "l", "S[table-format=-6.2(3)e-1]", "S[table-format=-1.2]"
    ]  # fmt: skip
    header, *rows = [line[:-3].split(" & ") for line in text.splitlines() if line.endswith(r" \\")]
    assert header[1:] == [r"{$\partial$h $\pm$ 95\%}", "{z}"]
    assert [row[-2] for row in rows] == ["4.80(34)e-4", "512.2(17)", "-262100(400)"]
    numbers = [cell for row in rows for cell in row[-2:]]
    assert all(re.fullmatch(SIUNITX, number) for number in numbers if number)
    assert numbers.count("") == 1
    shares = Table([Column("dead", ["3.7%", "0.1%"])], [], [])
    assert "\n  r\n" in FORMATS["latex-siunitx"](shares)


@given(st.floats(1e-12, 1e12), st.floats(1e-6, 0.5), st.sampled_from([1, -1]))
def test_siunitx_says_the_same_error(value: float, relative: float, sign: int) -> None:
    """The digits in parentheses, in units of the last digit, are the error in the table."""
    cell = with_error(sign * value, value * relative)
    text = FORMATS["latex-siunitx"](Table([Column("v", [cell])], [], [])).splitlines()[-3]
    parts = re.fullmatch(r"(-?\d+)(?:\.(\d+))?\((\d+)\)(?:e(-?\d+))? \\\\", text)
    assert parts is not None, text
    whole, decimals, error, power = parts.groups(default="")
    unit = 10.0 ** (int(power or 0) - len(decimals))
    body, _, exponent = cell.replace("(", "").partition(")")
    shown, shown_error = (float(part + exponent) for part in body.split(" ± "))
    assert math.isclose(int(whole + decimals) * unit, shown, rel_tol=1e-9)
    assert math.isclose(int(error) * unit, shown_error, rel_tol=1e-9)


def test_machine_formats_never_hold_what_is_no_number() -> None:
    """NaN is not JSON: better an error than a file that nothing reads."""
    broken = Table([], [], [{"v": math.nan}])
    for name in ("csv", "json", "jsonl"):
        with pytest.raises(ValueError, match="not JSON compliant"):
            FORMATS[name](broken)


def test_ascii_keeps_the_width_of_cells() -> None:
    """So that a table stays aligned."""
    cell = "(1.00 ± 0.01)e-06"
    assert len(to_ascii(cell)) == len(cell)
    assert to_ascii("||x||² σw² √D ×·—").isascii()


CHART = Table(
    [Column("v", ["1.0"]), Column("1e-1 h ● 1e+1", ["   │  ●"], numeric=False, chart=True)],
    ["A sentence."],
    [{"v": 1.0}],
)


def test_a_chart_is_for_terminals_and_plain_text_only() -> None:
    """Markdown and LaTeX, whose letters have many widths, and machines get the numbers alone."""
    assert "│  ●" in FORMATS["table"](CHART)
    for name in FORMATS.keys() - {"table"}:
        text = FORMATS[name](CHART)
        assert "1.0" in text
        assert not set("●│") & set(text)
    assert FORMATS["markdown"](CHART).splitlines()[0] == "|   v |"
    assert r"\begin{tabular}{r}" in FORMATS["latex"](CHART)


def test_latex_is_balanced_booktabs() -> None:
    """A tabular that LaTeX reads: as many cells as columns, and no bare special character."""
    text = here("-d", "1:3", "-s", "D^-2", "-n", "640", "--format", "latex").stdout
    spec = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)
    assert spec
    cells = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(cells) == 4
    assert all(line.count(" & ") == len(spec[1]) - 1 for line in cells)
    for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"):
        assert text.count(rule) == 1
    body = [line for line in text.splitlines() if not line.startswith("%")]
    assert "±" not in "".join(body)
    assert not re.search(r"(?<!\\)[%_^#](?!\{)", "".join(body).replace("^{", ""))
