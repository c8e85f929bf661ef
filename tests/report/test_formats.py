"""Formats are pure functions from tables to text."""

from __future__ import annotations

import math
import re
from contextlib import nullcontext
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tests.program import here
from varsim.fields.rounding import with_error
from varsim.report.formats import FORMATS, SUFFIXES, markdown_prose, text_of, to_ascii
from varsim.table import Column, Table, fitting

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


ELEMENTS = {"p", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"}


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>", "<!-- no", "</td>", "&lt;b&#62; &amp", "`code`", "``a`b``",
        "*a* **b**", "_a_ __b__ a_b_c _", "[a](javascript:b) ![c](d)", "~~a~~", r"\* \\ a\b", "a|b",
        "<http://a.b>", "2*3 < 4 & 5",
    ],
)  # fmt: skip
def test_no_name_is_markup_in_markdown(name: str) -> None:
    """In a header, a cell, a sentence below the table and an explanation: it is shown as it is."""
    page = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    table = Table([Column(name, [name], numeric=False)], [f"init {name}, seed 0."], [])
    prose = markdown_prose(f"Why {name}?\n  f: {name}\n")
    for text, times in ((FORMATS["markdown"](table), 3), (prose, 2)):
        html = page.render(text)
        assert set(re.findall(r"<(\w+)", html)) <= ELEMENTS
        shown = re.findall(r"<t[hd]>(.*)</t[hd]>|(?:init|Why|f:) (.*)(?:, seed 0\.|\?|</li>)", html)
        assert [unescape(cell or sentence) for cell, sentence in shown] == [name] * times


def test_a_figure_of_typst_compiles(tmp_path: Path) -> None:
    """To what the cells say, with a line for each row; a stray quotation mark would not."""
    text = FORMATS["typst"](AWKWARD)
    rows = [line for line in text.splitlines() if line.startswith('    "')]
    assert '[(4.80 ± 0.34) × 10#super[−4]], "−0.92",' in rows[0]
    assert '"−262100 ± 400", "+1.00",' in rows[2]
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
    text = FORMATS["latex-siunitx"](Table([Column("v", [cell])], [], [])).splitlines()[-4]
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
    body = text.replace(r"\caption{%", r"\caption{")
    assert text.isascii()
    assert not re.search(r"(?<!\\)[%_^#](?!\{)", body.replace("^{", ""))


def test_a_table_of_latex_has_a_caption_and_a_label() -> None:
    """Every sentence and caveat, with no character of TeX and no ligature; one label per table."""
    for name in ("latex", "latex-siunitx"):
        text = text_of(name, [AWKWARD])
        caption = text.partition("\\caption{%\n")[2].partition("\n}\n")[0]
        assert caption == (
            "  100 \\% of \\#rows; a $<$ b \\& c.\n  Caveat: 'x\\_1' has 2\\textasciicircum{}9."
        )
        environments = re.findall(r"\\(?:begin|end)\{(?:table|tabular)\}", text)
        assert "".join(environments) == (r"\begin{table}\begin{tabular}\end{tabular}\end{table}")
        assert r"\label{tab:varsim}" in text
        labels = re.findall(r"\\label\{(.*)\}", text_of(name, [AWKWARD, AWKWARD]))
        assert labels == ["tab:varsim-1", "tab:varsim-2"]
    options = Table([Column("v", ["1"])], ["See --format csv."], [])
    assert "See -{}-format csv." in text_of("latex", [options])


# --- what a page holds

STACK = ("layers", "--width", "8", "--depth", "2", "--networks", "8", "--batch", "4")

WIDE = Table(
    [
        Column("name", ["a" * 30], numeric=False, shortenable=True),
        *(Column(f"v{n}", ["1" * 16], drop_priority=9 - n) for n in range(7)),
        Column("verdict", ["agrees"], numeric=False),
    ],
    ["A sentence."],
    [],
)


@pytest.mark.parametrize(
    ("name", "width"),
    [("latex", 76), ("latex-siunitx", 76), ("typst", 76), ("markdown", 120), ("html", 120)],
)
def test_a_page_has_the_columns_of_a_terminal_of_its_width(name: str, width: int) -> None:
    """By their ranks; names are whole there, and tables without a page have every column."""
    whole = [replace(column, shortenable=False) for column in WIDE.columns]
    kept = {column.header for column in fitting(whole, width)}
    assert {"name", "verdict"} < kept < {column.header for column in WIDE.columns}
    text = text_of(name, [WIDE])
    assert {c.header for c in WIDE.columns if re.search(rf"\b{c.header}\b", text)} == kept
    assert "a" * 30 in text
    assert "v6" in text_of("table", [WIDE])


def test_columns_without_room_are_named_once(tmp_path: Path) -> None:
    """On stderr, for stdout and all files together; all of them come with --columns all."""
    files = [tmp_path / f"a{suffix}" for suffix in SUFFIXES]
    outputs = [f"--output={file}" for file in files]
    done = here(*STACK, *outputs, "-f", "latex")
    assert done.stderr.count("A page is too narrow for: width, z, median, within") == 1
    assert "A page" not in here(*STACK).stderr
    wide = here(*STACK, *outputs, "-f", "latex", "--columns", "all")
    assert "too narrow" not in wide.stderr
    (header,) = [line for line in wide.stdout.splitlines() if line.startswith("layer &")]
    names = here(*STACK).stdout.splitlines()[0].split("1e-01")[0]
    assert len(header.split(" & ")) == len(re.split("  +", names.strip()))
    assert all(
        len(Cells(file.read_text()).texts["th"]) == 13 for file in files if file.suffix == ".html"
    )
    chosen = here(*STACK, "-f", "latex", "--columns", "median,within,spread_theory,z,layer")
    assert "too narrow" not in chosen.stderr
    assert "\nmedian & within & spread\\_theory & z & layer \\\\\n" in chosen.stdout


def test_a_table_of_typst_fits_an_a4_page(tmp_path: Path) -> None:
    """With margins of 2.5 cm and letters of 11 points; with all of its columns it does not."""
    compiler = pytest.importorskip("typst")
    source = tmp_path / "table.typ"
    for more, fits in (((), True), (("--columns", "all"), False)):
        figure = here(*STACK, "--quiet", "-f", "typst", *more).stdout
        table = figure.removeprefix("#figure(\n").partition(",\n  caption")[0]
        source.write_text(
            f"#context assert(measure({table}).width < 16cm)\n{figure}@tab:varsim-layers\n",
            encoding="utf-8",
        )
        with nullcontext() if fits else pytest.raises(compiler.TypstError, match="assertion"):
            compiler.compile(str(source), format="svg")


def test_a_header_of_html_has_no_style_of_its_own() -> None:
    """One style element has it; every header cell is that of a column."""
    text = text_of("html", [AWKWARD])
    assert "style=" not in text
    assert text.count("<style>") == 1
    header = text.partition("<thead>")[2].partition("</thead>")[0]
    assert re.findall("<th [^>]*>", header) == [
        '<th scope="col" class="text">',
        *['<th scope="col">'] * 2,
    ]


def test_markdown_renders_as_sentences_and_lists() -> None:
    """A paragraph per sentence of the caption, an item per layer, and neither code nor breaks."""
    text = here(*STACK, "-f", "markdown", "--explain", "--quiet").stdout
    page = MarkdownIt("commonmark").enable("table").render(text)
    assert re.search(r"<p>8 networks of .*</p>\n<p>agrees: .*</p>", page)
    items = re.findall("<li>(.*)</li>", page)
    assert [item.partition(":")[0] for item in items] == ["layer 1", "layer 2"]
    assert page.count("<ul>") == 1
    assert "<code>" not in page
    paragraphs = re.findall("<p>(.*?)</p>", page, re.DOTALL)
    assert len(paragraphs) > 4
    assert "\n" not in "".join(paragraphs)
