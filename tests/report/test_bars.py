"""Results drawn as text: the same as a figure, in a terminal or a pasted block."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import pytest

from tests.plots.test_plots import counted, sweep, swept
from tests.program import here, on_terminal, run, visible
from varsim.report.bars import ASCII_INK, INK, drawing

DRAWN = {
    "dim": swept("dim"),
    "k": swept("k"),
    "fixed": sweep(dim=(8, 1024), design=("fixed-x",)),
    "wide": sweep(x_dist=("rectified", "truncated"), w_dist=("laplace", "exponential"),
                  gain=(1 / 3,), scale=("he-fan-out",)),
    "histogram": [counted()],
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("width", [24, 40, 78, 200])
def test_a_drawing_fits_its_width(name: str, width: int) -> None:
    """No line is wider, however narrow it is; in ASCII the drawing has the same shape."""
    drawn, plain = drawing(DRAWN[name], width), drawing(DRAWN[name], width, ASCII_INK)
    assert max(map(len, drawn.splitlines())) <= width
    assert plain.isascii()
    assert drawn.translate(str.maketrans("".join(INK), "".join(ASCII_INK))) == plain


def test_a_drawing_marks_theory_where_it_is() -> None:
    """The axis is logarithmic from end to end: D = 4, 16, 64 are evenly spaced."""
    rows = [row for row in swept("dim") if row.scale == "none"]
    block = drawing(rows, 78, ASCII_INK).split("\n\n")[0].splitlines()
    places = [line.index("|") for line in block[1:4]]
    assert places[1] - places[0] == pytest.approx(places[2] - places[1], abs=1)
    for line, row, place in zip(block[1:4], rows, places, strict=True):
        assert line.split()[-1] == f"{row.empirical:.4g}"
        decades = math.log10(row.empirical / row.theory)
        beyond = line.rindex("#") + 1 - place
        assert beyond == pytest.approx(decades * (places[1] - places[0]) / math.log10(4), abs=1.5)


def test_a_drawing_of_ratios_has_1_in_the_middle() -> None:
    """An interval that covers 1 has it inside; a row that disagrees has a mark."""
    rows = [replace(swept("dim")[0], agrees=False), *swept("dim")[1:]]
    lines = drawing(rows, 78, ASCII_INK).split("\n\n")[1].splitlines()
    one = lines[-1].index(" 1 ") + 1
    for line, row in zip(lines[1:], rows, strict=False):
        covers = row.ci_low < row.theory < row.ci_high
        assert (line.index("[") <= one <= line.index("]")) == covers
        assert line[one] in "|o[]"
        assert line.endswith("!") == (row.agrees is False)


def test_a_drawn_histogram_has_its_density_beside_it() -> None:
    """Bars and marks are of the same bins, at most a bar's error apart."""
    lines = drawing([counted()], 78, ASCII_INK).split("\n\n")[0].splitlines()
    assert lines[0].endswith("exact density |")
    for line in lines[1:-1]:
        assert abs(line.index("|") - (line.rindex("#") + 1 if "#" in line else 6)) <= 4


def test_the_option_draws_below_the_table() -> None:
    """The drawing is on stdout for people, fenced in Markdown, and on stderr beside data."""
    args = ("--plot", "-s", "none,sqrt", "-n", "640", "-d", "8")
    table, markdown, data = (here(*args, "-f", f) for f in ("table", "markdown", "jsonl"))
    assert table.stdout.index("agrees") < table.stdout.index("ratio to theory")
    assert len(re.findall(r"^```$", markdown.stdout, re.MULTILINE)) == 2
    assert "ratio to theory" in markdown.stdout.split("```")[1]
    assert len([json.loads(line) for line in data.stdout.splitlines()]) == 2
    assert "ratio to theory" in data.stderr
    assert here(*args, "-f", "jsonl", "-q").stderr == ""


def test_the_option_draws_for_every_stream() -> None:
    """It is in ASCII where the stream holds no more, and never wider than the terminal."""
    args = ("--plot", "-s", "none,sqrt", "-n", "640", "-d", "8", "-q")
    done = run(*args, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "?" not in done.stdout
    shown = visible(on_terminal(*args, COLUMNS="40"))
    assert max(map(len, shown[shown.index("Var[x") :].splitlines())) <= 40
