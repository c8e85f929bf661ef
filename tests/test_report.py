"""Reports: numbers for people, tables that fit, and formats as pure functions."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from varsim.fields.rounding import error_digits, rounded, significant, with_error
from varsim.report import Column, Table, fitting, table_width
from varsim.report.formats import FORMATS, to_ascii

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
