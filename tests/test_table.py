"""Tables that fit, and views of them: chosen columns, sorted rows."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.program import here, on_terminal, parse, visible
from varsim.cli.program import varsim
from varsim.errors import InputError
from varsim.table import Column, Table, View, fitting, table_width

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


# --- which columns, and in which order the rows

FEW = ("-d", "4,16", "-s", "none,sqrt", "-n", "256", "--seed", "2", "-q")


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


def test_all_columns_are_the_usual_ones_with_further_fields() -> None:
    """At any width, each once, in the order of the list; records for machines stay whole."""
    asked = ("--columns", "std_error,all,ratio,p")
    text = visible(on_terminal(*FEW, *asked, COLUMNS="40"))
    usual = here(*FEW).stdout.splitlines()[0].split()
    assert text.splitlines()[0].split() == ["std_error", *usual, "p"]
    assert "too narrow" not in text
    assert here(*FEW, *asked, "-f", "csv").stdout == here(*FEW, "-f", "csv").stdout
    assert "column 'all' is unknown" in here(*FEW, "--sort", "all").stderr
    chart = here(*SHALLOW, "--columns", "all").stdout
    assert chart == here(*SHALLOW).stdout


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


def test_a_plan_has_columns_of_its_own() -> None:
    """It shows what will run, and no field of a row."""
    plan = here(*FEW, "--dry-run").stdout
    assert here(*FEW, "--dry-run", "--columns", "ratio", "--sort", "-z").stdout == plan
    wide = ("--dry-run", "-x", "laplace,normal", "--x-mean", "0,1", "--x-std", "1,2", "-f", "latex")
    few, every = (here(*FEW[:-1], *wide, *more) for more in ((), ("--columns", "all")))
    assert "too narrow for: numbers to draw, memory; --columns all has them.\n" in few.stderr
    assert ("& memory" in few.stdout, "& memory" in every.stdout) == (False, True)


def test_the_shell_completes_columns() -> None:
    """The fields of the command's own rows."""
    for command, start, name in (
        (None, "dim,emp", "dim,empirical"),
        ("layers", "rms", "rms_acti"),
        (None, "dim,all", "dim,all"),
    ):
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


def test_a_heading_is_a_name_too() -> None:
    """In any capitals; fields come first, and several columns sort one after the other."""
    columns = [Column("D", ["1", "2", "2"], name="dim"), Column("k", ["a", "b", "a"], name="k")]
    records = [{"dim": 1, "k": "a"}, {"dim": 2, "k": "b"}, {"dim": 2, "k": "a"}]
    table = Table(columns, [], records)
    shown = View(("d", "dim"), "-D,k").of(table)
    assert [column.name for column in shown.columns] == ["dim"]
    assert View((), "-D,k").of(table).records == [records[2], records[1], records[0]]
