"""Tables on a terminal: their width, colours and progress."""

from __future__ import annotations

import re

import pytest

from tests.program import SMALL, here, on_terminal, rows, run, visible
from varsim import Result
from varsim.cli import terminal


def test_the_table_off_a_terminal_is_plain_and_whole() -> None:
    """No escape codes, no cut digits, whatever COLUMNS says."""
    narrow, wide = (here(*SMALL, COLUMNS=columns).stdout for columns in ("20", "200"))
    assert narrow == wide
    assert "\x1b" not in wide
    assert "…" not in wide


@pytest.mark.parametrize("command", [(), ("layers", "--depth", "3"), ("init", "orthogonal")])
def test_a_caption_has_two_lines(command: tuple[str, ...]) -> None:
    """What was sampled, and what agrees means."""
    done = here(*command, *(SMALL if not command else ("--quiet",)))
    _, caption = done.stdout.split("\n\n", 1)
    assert len(caption.splitlines()) == 2
    assert caption.splitlines()[1].startswith("agrees: theory is within the sampling error")


def test_a_terminal_of_80_columns_shows_the_whole_table() -> None:
    """No line is longer, no number is cut."""
    shown = visible(on_terminal(*SMALL))
    assert max(map(len, shown.splitlines())) <= 80
    assert "…" not in shown
    for row in rows(*SMALL):
        assert f"{row['z']:+.2f}" in shown


def test_a_narrow_terminal_leaves_columns_out_and_says_which() -> None:
    """Digits are never cut: whole columns go, the least important first."""
    shown = visible(on_terminal("--scale", "sqrt,none", *SMALL, COLUMNS="50"))
    table = shown.split("\n\n")[0]
    assert "…" not in shown
    assert max(map(len, table.splitlines())) <= 50
    assert "The terminal is too narrow for: k, ratio" in shown.replace("\n", " ")
    assert "verdict" in table


@pytest.mark.parametrize("columns", ["20", "40", "60"])
@pytest.mark.parametrize("mode", [[*SMALL], ["--dry-run"], ["--design", "fixed-x", *SMALL]])
def test_no_terminal_is_so_narrow_that_a_number_is_cut(columns: str, mode: list[str]) -> None:
    """What does not fit is left out whole, or wrapped by the terminal."""
    shown = visible(on_terminal("--dim", "512,4096", "--scale", "linear", *mode, COLUMNS=columns))
    assert "…" not in shown
    assert "4096  linear" in shown
    prose = shown.split("\n\n", 1)[1]
    assert max(map(len, prose.splitlines())) <= int(columns)


def test_a_long_name_is_cut_on_a_narrow_terminal_only() -> None:
    """An ellipsis says so; a wider terminal and a file have the whole name."""
    name = "trunc_normal(bound=2.34567, std=0.12345)"
    for args in (
        ("init", name, "--dim", "8", "--draws", "8"),
        ("-i", f"{name},orthogonal", "-d", "8", "-s", "sqrt", "-n", "64"),
    ):
        narrow, wide = (visible(on_terminal(*args, COLUMNS=columns)) for columns in ("70", "200"))
        table = narrow.split("\n\n")[0]
        assert re.search(r" trunc_normal\(bo[^…]*… ", table)
        assert name not in table
        assert max(map(len, table.splitlines())) <= 70
        for whole in (wide, here(*args).stdout):
            assert name in whole.split("\n\n")[0]
            assert "…" not in whole


def test_a_terminal_that_is_not_utf8_shows_whole_numbers() -> None:
    """In ASCII some names are longer, and the table is as wide as that."""
    args = ("init", "sparse", "--dim", "8", "--draws", "8", "--quiet")
    shown = on_terminal(*args, PYTHONIOENCODING="ascii", PYTHONUTF8="0", COLUMNS="20")
    (row,) = [line for line in visible(shown).splitlines() if line.startswith("varsim ")]
    assert shown.isascii()
    assert re.search(r"\|\(1-ceil\(0.1n\)/n\)\*0.01\^2 *\| *0\.0\d+\+/-0\.0\d+ *\| *agrees", row)


def test_a_narrow_terminal_drops_the_chart_first() -> None:
    """Before any column of numbers."""
    args = ("layers", "--width", "8", "--depth", "2", "--networks", "8", "--batch", "4")
    plain = here(*args).stdout.split("\n\n")[0]
    width = max(map(len, plain.splitlines()))
    for columns, has_chart in ((str(width), True), (str(width - 1), False)):
        shown = visible(on_terminal(*args, COLUMNS=columns))
        table = shown.split("\n\n")[0]
        assert ("●" in table) == has_chart
        assert "median" in table
        assert "too narrow" not in shown, "no other format has the chart"
        assert max(map(len, table.splitlines())) <= int(columns)


def test_a_narrow_terminal_keeps_what_a_verdict_is_about() -> None:
    """The theory of x@W stands beside its measurement; that of g@Wᵀ goes with what it is of."""
    shown = visible(on_terminal("init", "trunc_normal", "-d", "8", "--draws", "8", COLUMNS="70"))
    assert re.search(r"claims E w² +x@W theory +x@W ± 95% +verdict", shown)


def test_colour_only_where_it_is_wanted() -> None:
    """On a terminal; not with NO_COLOR, nor on a dumb one."""
    assert "\x1b[32m" in on_terminal("--scale", "sqrt", *SMALL)
    for changes in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = on_terminal("--scale", "sqrt", *SMALL, **changes)
        assert "\x1b[3" not in shown


KERNEL = {"TERM": "xterm-color", "FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}
"""What IPython's kernel sets for the commands of its cells, which run on a terminal."""


@pytest.mark.parametrize(
    ("variable", "args"),
    [
        ({"JPY_PARENT_PID": "1"}, ("--scale", "sqrt", *SMALL)),
        ({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, ("help", "sweeps")),
    ],
)
def test_a_notebook_gets_no_escape_codes(variable: dict[str, str], args: tuple[str, ...]) -> None:
    """Its cells run commands on a terminal, and show the codes as letters."""
    assert "\x1b" not in on_terminal(*args, **KERNEL, **variable)
    assert "\x1b" in on_terminal(*args, **KERNEL)


@pytest.mark.slow
def test_progress_moves_only_on_a_terminal_and_only_for_long_work() -> None:
    """Rows appear as they are done, with the time left; none of it stays."""
    long = ("-d", "64,2048", "--design", "paired", "-s", "sqrt", "-n", "100000", "-j", "1")
    shown = on_terminal(*long)
    assert "row 2 of 2" in shown
    assert shown.index("pending") < shown.index("agrees")
    assert "row 1 of" not in on_terminal("--scale", "sqrt", *SMALL)
    assert "row 1 of" not in on_terminal(*long, "--quiet")
    assert "row 1 of" not in on_terminal(*long, TERM="dumb")
    assert "row 1 of" not in on_terminal(*long, **KERNEL, JPY_PARENT_PID="1")
    assert "\x1b" not in run(*long).stderr


def test_a_long_run_off_a_terminal_says_once_how_long_it_takes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """After ten seconds, on stderr; a quiet run and one that is nearly done say nothing."""
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    for quiet, total, said in ((False, 1000, True), (True, 1000, False), (False, 100, False)):
        now = 0.0
        with terminal.Progress[Result](1, quiet=quiet) as progress:
            progress.add_total(total)
            for now in (5.0, 12.0, 13.0):  # noqa: B007
                progress.advance(40)
        expected = "Note: This run takes about 2.3 min more.\n" if said else ""
        assert capsys.readouterr() == ("", expected)
