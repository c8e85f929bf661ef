"""Figures: what was swept decides them, they show theory and measurement, and files are whole."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox
from varsim.layer.inference import histogram_bins
from varsim.report.results import results_sheet

from tests.program import VARSIM, environment, here, on_terminal, run
from varsim import Experiment, Result, conclude, judge, simulate, stream
from varsim.layer.density import density_of
from varsim.layer.theory import predict
from varsim.plots.figure import draw
from varsim.plots.layout import MOST_LINES, layout
from varsim.plots.style import MARKS, styled
from varsim.report.bars import ASCII_INK, INK, drawing
from varsim.report.formats import FORMATS
from varsim.statistics.moments import Totals

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}

SWEEPS: dict[str, dict[str, tuple[object, ...]]] = {
    "dim": {"dim": (4, 16, 64), "scale": ("none", "sqrt", "xavier"), "fan_out": (16,)},
    "fan_out": {"fan_out": (16, 64, 300), "scale": ("xavier", "he-fan-out")},
    "gain": {"gain": (0.5, 1.0, 2.0), "scale": ("xavier", "he")},
    "x_mean": {"x_mean": (-1.0, 0.0, 0.5), "scale": ("sqrt", "he")},
    "x_std": {"x_std": (0.1, 1.0, 10.0)},
    "w_mean": {"w_mean": (0.0, 1.0), "x": ("rectified", "normal")},
    "w_std": {"w_std": (0.5, 1.0), "w": ("normal", "laplace")},
    "k": {"scale": ("1", "2", "30")},
}
"""For every axis there is, a sweep that has it."""


@cache
def swept(name: str) -> list[Result]:
    return sweep(**SWEEPS[name])


def sweep(**values: tuple[object, ...]) -> list[Result]:
    asked = {"dim": (8,), "scale": ("sqrt",), "samples": (640,), **values}
    experiments = [
        Experiment(**dict(zip(asked, each, strict=True)))  # type: ignore[arg-type]
        for each in product(*asked.values())
    ]
    return judge([simulate(experiment) for experiment in experiments])


@cache
def counted(dim: int = 2, design: str = "crossed") -> Result:
    """A row with a histogram."""
    experiment = Experiment(dim=dim, scale="sqrt", samples=64_000, design=design)
    bins = histogram_bins(experiment)
    return judge([conclude(experiment, Totals.of(stream(experiment, bins=bins)))])[0]


def file_of(folder: Path, results: list[Result], suffix: str = ".jsonl") -> Path:
    file = folder / f"results{suffix}"
    file.write_text(FORMATS[suffix[1:]](results_sheet(results)), encoding="utf-8")
    return file


def points(line: Line2D) -> list[tuple[float, float]]:
    """The data of a line, as it was given."""
    return [(float(x), float(y)) for x, y in np.array(line.get_data()).T]


def theory_lines(figure: Figure) -> list[Line2D]:
    return [line for line in figure.axes[0].lines if line.get_gid() == "theory"]


def errorbars(figure: Figure, panel: int) -> list[Any]:
    return list(figure.axes[panel].containers)


def intervals(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """The error bars of a panel, from end to end."""
    paths = [path for bars in errorbars(figure, panel) for path in bars.lines[2][0].get_paths()]
    return [(float(path.vertices[0, 1]), float(path.vertices[1, 1])) for path in paths]


def markers(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """What is marked with an error bar in a panel."""
    return [point for bars in errorbars(figure, panel) for point in points(bars.lines[0])]


@pytest.mark.parametrize("field", SWEEPS)
def test_what_was_swept_is_the_axis(field: str) -> None:
    """D first, then whichever other number; and a line for every value of the rest."""
    plan = layout(swept(field))
    assert plan.axis is not None
    assert plan.axis.field == field
    assert [len(line.results) for line in plan.lines] == [
        len(SWEEPS[field].get(field, (0,) * 3))
    ] * (len(swept(field)) // len(plan.lines[0].results))
    figure = draw(swept(field)).figure
    values = {getattr(row, field) for row in swept(field)}
    is_log = min(values) > 0 and (field == "dim" or max(values) > 10 * min(values))
    assert figure.axes[1].get_xscale() == ("log" if is_log else "linear")
    assert figure.axes[1].get_xlabel() == plan.axis.label
    assert figure.axes[0].get_ylabel() == "Var[x @ W]"
    assert figure.axes[1].get_ylabel() == "measured / theory"


@pytest.mark.parametrize("field", SWEEPS)
def test_a_figure_shows_theory_as_lines_and_measurements_as_markers(field: str) -> None:
    """At every row, exactly; and between rows theory is that of the experiment there."""
    figure, rows = draw(swept(field)).figure, swept(field)
    curves = [point for line in theory_lines(figure) for point in points(line)]
    for row in rows:
        assert (float(getattr(row, field)), row.theory) in curves
        assert (float(getattr(row, field)), row.empirical) in markers(figure, 0)
    ratios = [ratio for _, ratio in markers(figure, 1)]
    assert sorted(ratios) == sorted(row.ratio or 0.0 for row in rows)


def test_theory_is_curved_where_it_is() -> None:
    """Xavier at a fan-out of 16 is D / ((D + 16) / 2), at all D of the line."""
    line = theory_lines(draw(swept("dim")).figure)[2]
    assert len(points(line)) > 20
    for dim, variance in points(line):
        expected = predict(Experiment(dim=int(dim), scale="xavier", fan_out=16)).variance
        assert variance == pytest.approx(expected)
        assert variance == pytest.approx(2 * dim / (dim + 16))


def test_intervals_are_those_of_the_rows() -> None:
    """From ci_low to ci_high, and the same over theory below."""
    figure, rows = draw(swept("dim")).figure, swept("dim")
    of_variances = sorted((row.ci_low, row.ci_high) for row in rows)
    of_ratios = sorted((row.ci_low / row.theory, row.ci_high / row.theory) for row in rows)
    for panel, expected in ((0, of_variances), (1, of_ratios)):
        found = sorted(intervals(figure, panel))
        assert len(found) == len(rows)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(theirs)


def test_a_fixed_x_is_held_to_its_own_theory() -> None:
    """A dash at ||x||² σw²/k² beside the line of D/k², and the ratio is relative to the dash."""
    rows = sweep(dim=(8, 16), design=("fixed-x",))
    figure = draw(rows).figure
    (given,) = [line for line in figure.axes[0].lines if line.get_gid() == "given x"]
    assert [y for _, y in points(given)] == [row.conditional_theory for row in rows]
    for row, (low, high) in zip(rows, intervals(figure, 1), strict=True):
        truth = row.conditional_theory or 0.0
        assert (low, high) == pytest.approx((row.ci_low / truth, row.ci_high / truth))


def test_without_a_number_rows_are_categories() -> None:
    """One below the other in the order of the table, by what tells them apart."""
    rows = sweep(scale=("none", "linear", "sqrt"), x=("normal", "uniform"))
    figure = draw(rows).figure
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        f"{row.scale}, x {row.x}" for row in rows
    ]
    assert left.get_xscale() == "log"
    assert [x for x, _ in markers(figure, 0)] == [row.empirical for row in rows]
    assert [x for x, _ in markers(figure, 1)] == [row.ratio for row in rows]
    assert {row.theory for row in rows} <= {x for line in left.lines for x, _ in points(line)}
    assert right.get_xlabel() == "measured / theory"


def test_a_row_that_disagrees_is_filled() -> None:
    """In the line figure and among categories."""
    for right in (sweep(scale=("none", "sqrt")), swept("dim")):
        figure = draw([replace(right[0], agrees=False), *right[1:]]).figure
        faces = [bars.lines[0].get_markerfacecolor() for bars in errorbars(figure, 0)]
        assert sum(face != "none" for face in faces) == 1


@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_a_single_histogram_is_drawn_over_its_density(design: str) -> None:
    """Both as densities of the bins, in a linear and a logarithmic panel."""
    row = counted(design=design)
    assert row.histogram is not None
    figure = draw([row]).figure
    theory = density_of(row, row.histogram)
    for axes, scale in zip(figure.axes, ("linear", "log"), strict=True):
        (line,) = [line for line in axes.lines if line.get_label() == theory.name]
        assert [y for _, y in points(line)] == pytest.approx(theory.heights.tolist())
        assert axes.get_yscale() == scale
        (stairs,) = axes.patches
        heights = stairs.get_data().values  # type: ignore[attr-defined]
        share = sum((row.totals.counts or ())[1:-1]) / row.samples
        assert (heights * row.histogram.width).sum() == pytest.approx(share)


def test_several_histograms_are_still_variances() -> None:
    """A density is for one row alone."""
    figure = draw([counted(2), counted(4)]).figure
    assert figure.axes[1].get_xlabel() == "D (fan-in)"


def test_the_caption_says_what_was_sampled() -> None:
    """How many, how, which distributions, and the seed; also what was not swept."""
    figure = draw(swept("gain")).figure
    caption = " ".join(figure.get_supxlabel().split())
    for expected in ("outputs a row", "D = 8", "x normal, W normal, crossed", "seed 0", "95%"):
        assert expected in caption.replace("\u00a0", " ")


def test_more_lines_than_can_be_told_apart_are_left_out_and_said_so() -> None:
    """Eight remain; the caption and a remark say that there are more."""
    rows = sweep(dim=(4, 8), scale=tuple(f"D^{i / 10}" for i in range(MOST_LINES + 3)))
    drawn = draw(rows)
    assert len(theory_lines(drawn.figure)) == MOST_LINES == len(MARKS)
    assert drawn.remarks == [
        "The figure has room for 8 of 11 lines; plot fewer settings at a time."
    ]
    assert "3 more are not shown" in " ".join(drawn.figure.get_supxlabel().split())


def test_a_row_without_a_place_on_the_axis_is_left_out_and_said_so() -> None:
    """The scheme sqrt has no gain."""
    drawn = draw([*swept("gain"), *sweep(scale=("sqrt",))])
    assert drawn.remarks == ["1 rows have no gain and are left out of the figure."]


def test_lines_differ_in_more_than_colour() -> None:
    """For print in black and white, and for every eye."""
    for kind in zip(*MARKS, strict=True):
        assert len(set(map(str, kind))) == len(MARKS)


@pytest.mark.parametrize("field", ["dim", "gain", "scales", "histogram"])
def test_nothing_in_a_figure_covers_anything(field: str) -> None:
    """Legend, panels, labels and caption keep apart, and nothing is beyond the page."""
    rows = {"scales": sweep(scale=("none", "he", "torch-linear")), "histogram": [counted()]}
    figure = draw(rows[field] if field in rows else swept(field)).figure
    canvas = FigureCanvasAgg(figure)
    with styled():
        canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    parts = [*figure.axes, *figure.legends, *figure.texts]
    boxes = [box for box in (part.get_tightbbox(renderer) for part in parts) if box is not None]
    assert len(boxes) == len(parts) >= 3
    for i, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
        for other in boxes[i + 1 :]:
            shared = Bbox.intersection(box, other)
            assert shared is None or min(shared.width, shared.height) < 1


def test_the_program_writes_every_kind_of_file_the_same_tomorrow(tmp_path: Path) -> None:
    """Valid files, and byte for byte the same from two processes and two formats of results."""
    runs = []
    for number, suffix in enumerate((".jsonl", ".csv")):
        folder = tmp_path / str(number)
        folder.mkdir()
        rows = file_of(folder, swept("dim"), suffix)
        files = [folder / f"figure{kind}" for kind in MAGIC]
        options = [part for file in files for part in ("-o", str(file))]
        done = run("plot", str(rows), *options, SOURCE_DATE_EPOCH=str(10**9 * (number + 1)))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        runs.append([file.read_bytes() for file in files])
    assert runs[0] == runs[1]
    for start, content in zip(MAGIC.values(), runs[0], strict=True):
        assert content.startswith(start)


def test_results_come_from_stdin_and_from_several_files(tmp_path: Path) -> None:
    """``-`` is stdin, and rows of all files are in one figure; a hint says what one row lacks."""
    rows = swept("dim")
    text = FORMATS["jsonl"](results_sheet(rows[:1]))
    figure = tmp_path / "figure.svg"
    done = subprocess.run(
        [*VARSIM, "plot", "-", "-o", str(figure)],
        input=text, capture_output=True, encoding="utf-8", env=environment(), check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "varsim --histogram" in done.stderr
    assert figure.read_bytes().startswith(MAGIC[".svg"])


def test_width_and_dots_are_as_asked(tmp_path: Path) -> None:
    """A .png of 5 inches at 100 dots has 500 columns of them."""
    file, figure = file_of(tmp_path, swept("k")), tmp_path / "figure.PNG"
    done = run("plot", str(file), "-o", str(figure), "--width", "5", "--dpi", "100", "-q")
    assert (done.returncode, done.stderr) == (0, "")
    assert int.from_bytes(figure.read_bytes()[16:20]) == 500


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("results.jsonl", "no --output to write to"),
        ("results.jsonl -o figure.gif", "has no known suffix; give one of .svg, .png, .pdf"),
        ("results.jsonl -o figure.svg --width 0.5", "give inches from 2 to 40"),
        ("results.jsonl -o figure.svg --dpi 3", "give dots an inch from 50 to 1200"),
        ("figure.txt -o figure.svg", "no suffix that can be read"),
        ("empty.jsonl -o figure.svg", "holds no results"),
        ("-o figure.svg", "Missing argument"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str, said: str
) -> None:
    """Exit 2, and no file is written."""
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, swept("k"))
    for name in ("figure.txt", "empty.jsonl"):
        (tmp_path / name).write_text("")
    done = here("plot", *args.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: [^\n]{10,300}[.?)]\n", done.stderr), done.stderr
    assert said in done.stderr
    assert not list(tmp_path.glob("figure.[sgp]*"))


def test_a_figure_that_cannot_be_written_is_one_sentence_and_the_others_are(
    tmp_path: Path,
) -> None:
    """Exit 1; an unreadable file of results too."""
    file, figure = file_of(tmp_path, swept("k")), tmp_path / "figure.svg"
    done = run("plot", str(file), "-o", str(tmp_path / "missing" / "a.svg"), "-o", str(figure))
    assert done.returncode == 1
    assert re.fullmatch(r"Error: '.*a.svg' could not be written: [^\n]+\.\n", done.stderr)
    assert figure.exists()
    done = run("plot", str(tmp_path / "nothing.jsonl"), "-o", str(figure))
    assert done.returncode == 1
    assert re.fullmatch(r"Error: '.*nothing.jsonl' cannot be read: [^\n]+\.\n", done.stderr)


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    """Exit 1, and the text drawing needs none."""
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")
    hidden = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent.parent}"}
    file = file_of(tmp_path, swept("k"))
    done = run("plot", str(file), "-o", str(tmp_path / "figure.svg"), **hidden)
    assert done.returncode == 1
    assert re.fullmatch(r"Error: [^\n]+ run: pip install matplotlib\.\n", done.stderr)
    assert run("--plot", "-n", "640", **hidden).returncode == 0


def test_help_of_the_command_is_light() -> None:
    """It loads neither NumPy nor matplotlib, shows examples first, and fits 80 columns."""
    code = (
        "import sys; sys.argv = ['varsim', 'plot', '--help']\n"
        "from varsim.cli import main\n"
        "try: main()\n"
        "except SystemExit: print(sorted({'numpy', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[-1] == "[]"
    assert max(map(len, lines)) <= 80
    assert done.stdout.index("Examples:") < done.stdout.index("--output")


# The same as text.

DRAWN = {
    "dim": swept("dim"),
    "k": swept("k"),
    "fixed": sweep(dim=(8, 1024), design=("fixed-x",)),
    "wide": sweep(x=("rectified", "truncated"), w=("laplace", "exponential"), gain=(1 / 3,),
                  scale=("he-fan-out",)),
    "histogram": [counted()],
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
@pytest.mark.parametrize("width", [24, 40, 78, 200])
def test_a_drawing_fits_its_width(name: str, width: int) -> None:
    """However narrow; in ASCII of the same shape where that is asked for."""
    drawn, plain = drawing(DRAWN[name], width), drawing(DRAWN[name], width, ASCII_INK)
    assert max(map(len, drawn.splitlines())) <= width
    assert plain.isascii()
    assert drawn.translate(str.maketrans("".join(INK), "".join(ASCII_INK))) == plain


def test_a_drawing_marks_theory_where_it_is() -> None:
    """On a logarithmic axis from end to end: D = 4, 16, 64 are evenly spaced."""
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
    """And an interval that covers it has it inside; a row that disagrees has a mark."""
    rows = [replace(swept("dim")[0], agrees=False), *swept("dim")[1:]]
    lines = drawing(rows, 78, ASCII_INK).split("\n\n")[1].splitlines()
    one = lines[-1].index(" 1 ") + 1
    for line, row in zip(lines[1:], rows, strict=False):
        covers = row.ci_low < row.theory < row.ci_high
        assert (line.index("[") <= one <= line.index("]")) == covers
        assert line[one] in "|o[]"
        assert line.endswith("!") == (row.agrees is False)


def test_a_drawn_histogram_has_its_density_beside_it() -> None:
    """Bars and marks of the same bins, at most a bar's error apart."""
    lines = drawing([counted()], 78, ASCII_INK).split("\n\n")[0].splitlines()
    assert lines[0].endswith("exact density |")
    for line in lines[1:-1]:
        assert abs(line.index("|") - (line.rindex("#") + 1 if "#" in line else 6)) <= 4


def test_the_option_draws_below_the_table() -> None:
    """On stdout for people, fenced in Markdown, and on stderr beside data."""
    args = ("--plot", "-s", "none,sqrt", "-n", "640", "-d", "8")
    table, markdown, data = (run(*args, "-f", f) for f in ("table", "markdown", "jsonl"))
    assert table.stdout.index("agrees") < table.stdout.index("measured / theory")
    assert len(re.findall(r"^```$", markdown.stdout, re.MULTILINE)) == 2
    assert "measured / theory" in markdown.stdout.split("```")[1]
    assert len([json.loads(line) for line in data.stdout.splitlines()]) == 2
    assert "measured / theory" in data.stderr
    assert run(*args, "-f", "jsonl", "-q").stderr == ""


def test_the_option_draws_for_every_stream() -> None:
    """In ASCII where there is no more, and never wider than the terminal."""
    args = ("--plot", "-s", "none,sqrt", "-n", "640", "-d", "8", "-q")
    done = run(*args, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "?" not in done.stdout
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", on_terminal(*args, COLUMNS="40"))
    assert max(map(len, shown[shown.index("Var[x") :].splitlines())) <= 40
