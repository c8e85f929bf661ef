"""Reports: numbers for people, tables that fit, and formats as pure functions."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program import here, on_terminal, parse
from varsim import sweep
from varsim.cli.program import varsim
from varsim.errors import InputError
from varsim.fields import Field, Schema
from varsim.fields.rounding import error_digits, rounded, significant, with_error
from varsim.layer.kind import LAYER
from varsim.layer.result import Result
from varsim.report import rows as rows_module
from varsim.report.formats import FORMATS, to_ascii
from varsim.report.rows import caveat_sentences
from varsim.table import Column, Table, View, fitting, table_width

PDG = {  # error: how it is written
    0.827: "0.8", 0.367: "0.4", 0.354: "0.35", 0.355: "0.4", 0.119: "0.12", 0.949: "0.9",
    0.95: "1.0", 0.999: "1.0", 3.54: "3.5", 3.55: "4", 95.0: "100", 1234.0: "1200",
}  # fmt: skip


@pytest.mark.parametrize("error", PDG)
def test_errors_have_the_digits_of_the_particle_data_group(error: float) -> None:
    """Their own examples (0.827, 0.367, 0.119) and the edges of their rule."""
    written = with_error(0.0, error).split(" ± ")[1]
    assert written == PDG[error]


@given(st.floats(1e-12, 1e12), st.floats(1e-6, 0.5))
def test_rounding_moves_a_value_by_less_than_its_error(value: float, relative: float) -> None:
    """What is shown is the value, to a fraction of its error."""
    error = value * relative
    text = with_error(value, error)
    exponent = re.fullmatch(r"\((.*)\)(e[+-]\d+)", text)
    body, power = (exponent[1], exponent[2]) if exponent else (text, "")
    shown, shown_error = (float(part + power) for part in body.split(" ± "))
    assert abs(shown - value) <= 0.15 * error
    assert abs(shown_error - error) <= 0.15 * error
    assert abs(float(rounded(value, error)) - value) <= 0.15 * error


def test_a_number_below_the_normal_floats_is_written() -> None:
    """Its power of ten may be no float."""
    assert with_error(2.5e-310, 3e-311) == "(2.50 ± 0.30)e-310"
    assert with_error(2e-323, 1e-323) == "(2.0 ± 1.0)e-323"


@given(st.floats(1e-12, 1e12), st.floats(0.0, 9e-8))
def test_an_error_of_rounding_is_not_shown(value: float, relative: float) -> None:
    """Nor the digits that it would leave: what is exact has six."""
    for sign in (1, -1):
        exact = significant(sign * value)
        assert with_error(sign * value, value * relative) == exact
        assert rounded(sign * value, value * relative) == exact


@given(st.floats(1e-300, 1e300))
def test_significant_keeps_six_digits(value: float) -> None:
    """To a relative 5e-6, and in at most 12 characters."""
    text = significant(value)
    assert math.isclose(float(text), value, rel_tol=5.1e-6)
    assert len(text) <= 12


def test_decimals_of_powers_of_ten() -> None:
    """An error of 1 keeps one decimal, ten none: two digits each."""
    assert [error_digits(e)[1] for e in (1.0, 10.0, 100.0, 0.1)] == [1, 0, -1, 2]


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


COLUMNS = st.lists(
    st.builds(
        Column,
        header=st.text("abc", min_size=1, max_size=20),
        cells=st.lists(st.text("xyz", max_size=40), min_size=2, max_size=2),
        drop_priority=st.none() | st.integers(-1, 5),
        shortenable=st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


def with_numbers(columns: list[Column]) -> list[Column]:
    """The columns with headers that tell them apart, at least one of which always stays."""
    first = replace(columns[0], drop_priority=None)
    return [replace(c, header=f"{i}{c.header}") for i, c in enumerate([first, *columns[1:]])]


@given(COLUMNS.map(with_numbers), st.integers(1, 150))
def test_columns_that_fit_are_as_they_were(columns: list[Column], spare: int) -> None:
    """Where there is room for all, none is left out and no cell is cut."""
    assert fitting(columns, table_width(columns) + spare - 1) == columns


@given(COLUMNS.map(with_numbers), st.integers(1, 150))
def test_columns_fit_where_they_can(columns: list[Column], width: int) -> None:
    """The table is as narrow as asked, or holds only what is never left out, at its narrowest."""
    kept = fitting(columns, width)
    if table_width(kept) > width:
        assert [c.header for c in kept] == [c.header for c in columns if c.drop_priority is None]
        assert all(c.width == c.least_width for c in kept)


@given(COLUMNS.map(with_numbers), st.integers(1, 150))
def test_columns_are_left_out_whole_by_their_rank(columns: list[Column], width: int) -> None:
    """The rest stays in order; nothing goes before what ranks lower, nor where all would fit."""
    kept = [column.header for column in fitting(columns, width)]
    assert kept == [column.header for column in columns if column.header in kept]
    lost = [column for column in columns if column.header not in kept]
    ranks = [column.drop_priority for column in lost if column.drop_priority is not None]
    assert len(ranks) == len(lost)
    staying = [c.drop_priority for c in columns if c.header in kept and c.drop_priority is not None]
    assert not ranks or not staying or min(staying) >= max(ranks)
    if lost:  # with the last of them it would not have fitted
        last = [c.header for c in lost if c.drop_priority == max(ranks)][-1]
        widths = [c.least_width for c in columns if c.header in {*kept, last}]
        assert sum(widths) + 2 * (len(widths) - 1) > width


@given(COLUMNS.map(with_numbers), st.integers(1, 150))
def test_only_long_names_are_cut_and_an_ellipsis_says_so(columns: list[Column], width: int) -> None:
    """A cell is whole, or the start of at least 15 characters of one that may be cut."""
    whole = {column.header: column for column in columns}
    for column in fitting(columns, width):
        for cell, was in zip(column.cells, whole[column.header].cells, strict=True):
            if cell != was:
                assert column.shortenable
                assert len(cell) >= 16
                assert cell[-1] == "…"
                assert was.startswith(cell[:-1])


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


# --- which columns, and in which order the rows

FEW = ("-d", "4,16", "-s", "none,sqrt", "-n", "256", "-q")
SHALLOW = ("layers", "--width", "8", "--depth", "2", "--networks", "8", "-q")


@pytest.mark.parametrize(
    ("args", "columns", "header"),
    [
        (FEW, "scale,empirical,x_dist", "scale  empirical ± 95%       x"),
        (FEW, "ratio,std_error,ratio", "ratio  std_error"),
        (FEW, "agrees,schema,caveats", "verdict  schema  caveats"),
        (SHALLOW, "empirical,layer,rms_activation", "empirical ± 95%  layer   rms φ"),
        (("init", "orthogonal", "-d", "8", "--draws", "8", "-q"), "init,ratio",
         "initializer    ratio"),
        (("gains", "relu", "tanh"), "gain,activation,variance", "   gain  activation  variance"),
        (("gains", "relu", "--critical"), "chi_parallel,variance", "χ∥   K*"),
    ],
)  # fmt: skip
def test_columns_are_the_fields_that_are_named_in_their_order(
    args: tuple[str, ...], columns: str, header: str
) -> None:
    """For people under their headers; a machine format holds exactly these."""
    names = list(dict.fromkeys(columns.split(",")))
    table = here(*args, "--columns", columns)
    assert table.returncode == 0, table.stderr
    assert table.stdout.splitlines()[0].split() == header.split()
    assert "agrees" not in header or "agrees" in table.stdout
    rows = json.loads(here(*args, "--columns", columns, "-f", "json").stdout)
    assert [list(row) for row in rows] == [names] * len(rows)
    whole = json.loads(here(*args, "-f", "json").stdout)
    assert rows == [{name: row[name] for name in names} for row in whole]


def test_a_named_column_is_as_it_is_in_the_whole_table() -> None:
    """With its error, and aligned as ever."""
    whole, named = here(*FEW).stdout, here(*FEW, "--columns", "empirical").stdout
    cells = [re.search(r"\S+ ± \S+", line) for line in whole.splitlines()[2:6]]
    assert [cell and cell[0] for cell in cells] == [
        line.strip() for line in named.splitlines()[2:6]
    ]


def test_a_narrow_terminal_leaves_out_no_column_that_is_named() -> None:
    """Only those that nobody asked for."""
    asked = ("--columns", "dim,scale,k,theory,empirical,z,ratio,std_error,p,agrees")
    text = on_terminal(*FEW, *asked, COLUMNS="60", NO_COLOR="1")
    assert "too narrow" not in text
    assert all(name in text for name in ("ratio", "z", "std_error", "verdict"))


@pytest.mark.parametrize("sort", [("--sort", "ratio"), ("--sort", "-ratio"), ("--sort=-ratio",)])
def test_rows_are_sorted_by_a_field(sort: tuple[str, ...]) -> None:
    """From the largest down with a minus sign; every format has the same order."""
    rows = json.loads(here(*FEW, *sort, "-f", "json").stdout)
    ratios = [row["ratio"] for row in rows]
    assert ratios == sorted(ratios, reverse="-ratio" in sort[-1])
    assert ratios != [row["ratio"] for row in json.loads(here(*FEW, "-f", "json").stdout)]
    table = here(*FEW, *sort, "--columns", "dim,scale").stdout.splitlines()[2:6]
    assert [line.split() for line in table] == [[str(row["dim"]), row["scale"]] for row in rows]
    drawn = here(*FEW, *sort, "--plot").stdout.split("ratio to theory")[1].splitlines()[1:5]
    assert [line.split()[:2] for line in drawn] == [line.split() for line in table]


def test_an_unknown_is_last_in_either_order() -> None:
    """A scheme without a gain, whichever way the gains go."""
    args = ("-d", "4", "-s", "none,he,xavier", "-n", "256", "-q", "-f", "json")
    for sort, first in (("gain", "xavier"), ("-gain", "he")):
        schemes = [row["scale"] for row in json.loads(here(*args, "--sort", sort).stdout)]
        assert (schemes[0], schemes[-1]) == (first, "none")


def test_files_of_rows_keep_every_field(tmp_path: Path) -> None:
    """They are read again, whatever is shown; a ledger keeps its order too."""
    shown = ("--columns", "dim,ratio", "--sort", "-ratio")
    names = ("rows.jsonl", "rows.csv", "rows.md", "ledger.jsonl")
    jsonl, table, pasted, ledger = (tmp_path / name for name in names)
    done = here(*FEW, *shown, *(f"--output={file}" for file in (jsonl, table, pasted)))
    assert done.returncode == 0
    assert pasted.read_text().splitlines()[0].split() == ["|", "D", "|", "ratio", "|"]
    sorted_rows = parse(jsonl.read_text(), ".jsonl")
    assert sorted_rows == parse(table.read_text(), ".csv")
    assert here(*FEW, *shown, "-o", str(ledger), "--resume").stdout == done.stdout
    kept = parse(ledger.read_text(), ".jsonl")
    assert [(row.dim, row.scale) for row in kept] == [
        (4, "none"), (4, "sqrt"), (16, "none"), (16, "sqrt")
    ]  # fmt: skip
    assert sorted(kept, key=lambda row: -row.ratio) == sorted_rows


def test_a_column_of_another_command_is_refused_with_the_list_of_all() -> None:
    """Before anything runs."""
    done = here("layers", "--columns", "dim")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'dim' is unknown; known are schema, kind, layer, " in done.stderr


def test_a_table_for_people_makes_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a figure in text; a machine format makes each once."""
    made: list[Any] = []

    def record(_: object, row: Any) -> dict[str, Any]:
        made.append(row)
        return {"dim": row.dim}

    monkeypatch.setattr(Schema, "record", record)
    rows = sweep(dim=[4, 8], scale="sqrt", samples=640)
    table = View().of(LAYER.table(rows, ()))
    assert "verdict" in FORMATS["markdown"](table)
    assert made == []
    assert FORMATS["jsonl"](table).count("dim") == 2
    assert made == list(rows)


def test_a_sweep_is_looked_at_once_for_all_of_its_caveats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its rows share is the same for every one of them."""
    rows = sweep(dim=range(4, 44), scale="sqrt", samples=64)
    looks: list[str] = []

    def varies(field: Field[Result, object], _: object) -> bool:
        looks.append(field.name)
        return False

    monkeypatch.setattr(rows_module, "varies", varies)
    *_, last = caveat_sentences(rows)
    assert last.startswith("37 more rows have the caveat 'few-samples'")
    assert len(looks) == len(set(looks)) > 5


def test_a_plan_has_columns_of_its_own() -> None:
    """It shows what will run, and no field of a row."""
    plan = here(*FEW, "--dry-run").stdout
    assert here(*FEW, "--dry-run", "--columns", "ratio", "--sort", "-z").stdout == plan


def test_the_shell_completes_columns() -> None:
    """The fields of the command's own rows."""
    for command, start, name in ((None, "dim,emp", "dim,empirical"), ("layers", "rms", "rms_acti")):
        group = varsim
        asked = group if command is None else group.subcommands()[command]
        option = next(param for param in asked.params if param.name == "columns")
        with asked.make_context("varsim", [], resilient_parsing=True) as context:
            completed = [item.value for item in option.shell_complete(context, start)]
        assert len(completed) == 1
        assert completed[0].startswith(name)


def test_a_long_name_of_a_column_is_cut_in_the_sentence() -> None:
    """Whatever was given, a person reads what is allowed."""
    with pytest.raises(InputError, match=r"^column '\({60}'\.\.\. is unknown; known are v$"):
        View(("(" * 2000,)).sorted(Table([], [], [{"v": 1}]))
