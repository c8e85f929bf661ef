"""Figures: what was swept decides them, they show theory and measurement, and files are whole."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from itertools import pairwise, product, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from tests.program import VARSIM, environment, here, parse, run
from varsim import Experiment, Result, conclude, judge, simulate, stream
from varsim import layers as simulate_layers
from varsim.activations import ACTIVATIONS, find_activation
from varsim.activations.gains import gains
from varsim.check.question import question
from varsim.check.result import InitializerCheck
from varsim.check.study import CheckStudy
from varsim.errors import InputError
from varsim.layer.density import density_of
from varsim.layer.result import histogram_bins
from varsim.layer.theory import predict
from varsim.layer.totals import Totals
from varsim.plots import (
    Drawn,
    check_figure,
    draw,
    encode,
    gains_figure,
    layer_figure,
    stack_figure,
)
from varsim.plots.activations import curves_of
from varsim.plots.layout import MOST_LINES, layer_layout, stack_layout
from varsim.plots.page import MARKS, styled
from varsim.report.gains import NamedGains, gains_table
from varsim.stack.question import Network
from varsim.stack.result import LayerResult
from varsim.stack.study import StackStudy
from varsim.statistics import student
from varsim.storage.text import csv_text, json_text, jsonl_text

MAGIC = {".svg": b"<?xml", ".png": b"\x89PNG\r\n", ".pdf": b"%PDF-"}

TEXTS = {".jsonl": jsonl_text, ".csv": csv_text, ".json": json_text}

SWEEPS: dict[str, dict[str, tuple[object, ...]]] = {
    "dim": {"dim": (4, 16, 64), "scale": ("none", "sqrt", "xavier"), "fan_out": (16,)},
    "fan_out": {"fan_out": (16, 64, 300), "scale": ("xavier", "he-fan-out")},
    "gain": {"gain": (0.5, 1.0, 2.0), "scale": ("xavier", "he")},
    "x_mean": {"x_mean": (-1.0, 0.0, 0.5), "scale": ("sqrt", "he")},
    "x_std": {"x_std": (0.1, 1.0, 10.0)},
    "w_mean": {"w_mean": (0.0, 1.0), "x_dist": ("rectified", "normal")},
    "w_std": {"w_std": (0.5, 1.0), "w_dist": ("normal", "laplace")},
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


def network(depth: int, **settings: Any) -> Network:
    usual: dict[str, Any] = {"activation": "tanh", "scale": "xavier", "networks": 16, "batch": 8}
    return Network(widths=(16,) * (depth + 1), **(usual | settings))


@cache
def stack(depth: int = 5, **settings: Any) -> list[LayerResult]:
    """A small stack of equal widths."""
    return simulate_layers(network(depth, **settings), workers=1)


@cache
def counted_stack(depth: int = 5, **settings: Any) -> list[LayerResult]:
    """A small stack with histograms."""
    study = StackStudy(network(depth, **settings), histogram=True)
    totals = study.empty().plus(*study.sample(range(study.question.networks)))
    return judge(study.rows(totals))


def text_of(rows: Sequence[Any], suffix: str = ".jsonl") -> str:
    return TEXTS[suffix](list(map(rows[0].schema.record, rows)))


def file_of(folder: Path, rows: Sequence[Any], name: str = "results.jsonl") -> Path:
    file = folder / name
    file.write_text(text_of(rows, file.suffix), encoding="utf-8")
    return file


def points(line: Line2D) -> list[tuple[float, float]]:
    """The data of a line, as it was given."""
    return [(float(x), float(y)) for x, y in np.array(line.get_data()).T]


def named(figure: Figure, panel: int, name: str) -> list[Line2D]:
    return [line for line in figure.axes[panel].lines if line.get_gid() == name]


def errorbars(figure: Figure, panel: int) -> list[Any]:
    return list(figure.axes[panel].containers)


def intervals(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """The error bars of a panel, from end to end."""
    paths = [path for bars in errorbars(figure, panel) for path in bars.lines[2][0].get_paths()]
    return [(float(path.vertices[0, 1]), float(path.vertices[1, 1])) for path in paths]


def measured(figure: Figure, panel: int) -> list[tuple[float, float]]:
    """What is marked with an error bar in a panel."""
    return [point for bars in errorbars(figure, panel) for point in points(bars.lines[0])]


def legend(figure: Figure) -> dict[str, Any]:
    """The entries of the legend, along its rows: their labels and what stands beside them."""
    (drawn,) = figure.legends
    texts = [text.get_text() for text in drawn.get_texts()]
    entries: Any = list(zip(texts, drawn.legend_handles, strict=True))
    columns = np.array_split(entries, drawn._ncols)  # type: ignore[attr-defined]
    return dict(entry for row in zip_longest(*columns) for entry in row if entry is not None)


def labels(figure: Figure) -> list[str]:
    """What the legend says of the lines of a figure."""
    return [label for label in legend(figure) if label not in ("theory", "measured")]


def caption(figure: Figure) -> str:
    return " ".join(figure.get_supxlabel().replace("\u00a0", " ").split())


# --- results


@pytest.mark.parametrize("field", SWEEPS)
def test_what_was_swept_is_the_axis(field: str) -> None:
    """D comes first, then any other number; the other settings make the lines."""
    plan = layer_layout(swept(field))
    assert plan.axis is not None
    assert plan.axis.name == field
    assert [len(line.rows) for line in plan.lines] == [len(SWEEPS[field].get(field, (0,) * 3))] * (
        len(swept(field)) // len(plan.lines[0].rows)
    )
    figure = draw(layer_figure, swept(field)).figure
    values = {getattr(row, field) for row in swept(field)}
    is_log = min(values) > 0 and (field == "dim" or max(values) > 10 * min(values))
    assert figure.axes[1].get_xscale() == ("log" if is_log else "linear")
    assert figure.axes[1].get_xlabel() == plan.axis.axis
    assert figure.axes[0].get_ylabel() == "Var[x @ W]"
    assert figure.axes[1].get_ylabel() == "ratio to theory"


@pytest.mark.parametrize("field", SWEEPS)
def test_a_figure_shows_theory_as_lines_and_measurements_as_markers(field: str) -> None:
    """Both stand exactly where each row says."""
    figure, rows = draw(layer_figure, swept(field)).figure, swept(field)
    curves = [point for line in named(figure, 0, "theory") for point in points(line)]
    for row in rows:
        assert (float(getattr(row, field)), row.theory) in curves
        assert (float(getattr(row, field)), row.empirical) in measured(figure, 0)
    ratios = [ratio for _, ratio in measured(figure, 1)]
    assert sorted(ratios) == sorted(row.ratio or 0.0 for row in rows)


def test_theory_is_curved_between_rows() -> None:
    """Xavier at a fan-out of 16 is D / ((D + 16) / 2), at all D of the line."""
    line = named(draw(layer_figure, swept("dim")).figure, 0, "theory")[2]
    assert len(points(line)) > 20
    for dim, variance in points(line):
        expected = predict(Experiment(dim=int(dim), scale="xavier", fan_out=16)).variance
        assert variance == pytest.approx(expected)
        assert variance == pytest.approx(2 * dim / (dim + 16))


def test_intervals_are_those_of_the_rows() -> None:
    """They go from ci_low to ci_high, and below over theory."""
    figure, rows = draw(layer_figure, swept("dim")).figure, swept("dim")
    of_variances = sorted((row.ci_low, row.ci_high) for row in rows)
    of_ratios = sorted((row.ci_low / row.theory, row.ci_high / row.theory) for row in rows)
    for panel, expected in ((0, of_variances), (1, of_ratios)):
        found = sorted(intervals(figure, panel))
        assert len(found) == len(rows)
        for ours, theirs in zip(found, expected, strict=True):
            assert ours == pytest.approx(theirs)


def test_a_fixed_x_is_held_to_the_theory_given_that_x() -> None:
    """A dash at ||x||² σw²/k² stands beside the line of D/k², and ratios are over the dash."""
    rows = sweep(dim=(8, 16), design=("fixed-x",))
    figure = draw(layer_figure, rows).figure
    assert list(legend(figure)) == ["theory", "theory given x", "measured"]
    (given,) = named(figure, 0, "given x")
    assert [y for _, y in points(given)] == [row.conditional_theory for row in rows]
    for row, (low, high) in zip(rows, intervals(figure, 1), strict=True):
        truth = row.conditional_theory or 0.0
        assert (low, high) == pytest.approx((row.ci_low / truth, row.ci_high / truth))


def test_without_a_number_rows_are_categories() -> None:
    """They stand one below the other in the order of the table, by what tells them apart."""
    rows = sweep(scale=("none", "linear", "sqrt"), x_dist=("normal", "uniform"))
    figure = draw(layer_figure, rows).figure
    left, right = figure.axes
    assert [label.get_text() for label in left.get_yticklabels()] == [
        f"{k}, x {x}" for k in ("k = 1", "k = D", "k = √D") for x in ("normal", "uniform")
    ]
    assert left.get_xscale() == "log"
    assert [x for x, _ in measured(figure, 0)] == [row.empirical for row in rows]
    assert [x for x, _ in measured(figure, 1)] == [row.ratio for row in rows]
    assert {row.theory for row in rows} <= {x for line in left.lines for x, _ in points(line)}
    assert right.get_xlabel() == "ratio to theory"


def test_settings_that_follow_from_others_tell_no_rows_apart() -> None:
    """Neither a fan-out of D nor the default gains of schemes make an axis or a label."""
    figure = draw(layer_figure, sweep(dim=(4, 8), scale=("sqrt", "xavier", "he"))).figure
    assert labels(figure) == ["k = √D", "xavier", "he"]
    assert figure.axes[1].get_xlabel() == "D (fan-in)"
    figure = draw(layer_figure, sweep(scale=("sqrt", "xavier", "he"))).figure
    left = figure.axes[0]
    assert [label.get_text() for label in left.get_yticklabels()] == ["k = √D", "xavier", "he"]


@pytest.mark.parametrize("field", ["scales", "dim"])
def test_a_row_that_disagrees_is_filled(field: str) -> None:
    """It alone is filled, along a number and among categories, and the legend says so."""
    rows = sweep(scale=("none", "sqrt")) if field == "scales" else swept(field)
    figure = draw(layer_figure, [replace(rows[0], agrees=False), *rows[1:]]).figure
    filled = [
        bars for bars in errorbars(figure, 0) if bars.lines[0].get_markerfacecolor() != "none"
    ]
    assert [len(points(bars.lines[0])) for bars in filled] == [1]
    assert rows[0].empirical in points(filled[0].lines[0])[0]
    assert legend(figure)["filled: disagrees"].get_markerfacecolor() != "none"
    assert "filled: disagrees" not in legend(draw(layer_figure, rows).figure)


def test_the_legend_shows_theory_as_a_line_and_measurements_as_markers() -> None:
    """So it does beside several lines, which have their k, and beside a single one."""
    for rows, lines in ((swept("dim"), ["k = 1", "k = √D", "xavier"]), (swept("k"), [])):
        entries = legend(draw(layer_figure, rows).figure)
        assert list(entries) == [*lines, "theory", "measured"]
        assert entries["theory"].get_linestyle() == "-"
        assert entries["measured"].get_linestyle() == "None"
        assert entries["theory"].get_marker() == "" != entries["measured"].get_marker()
        assert entries["measured"].get_markerfacecolor() == "none"
    entries = legend(draw(layer_figure, sweep(scale=("none", "sqrt"))).figure)
    assert [each.get_marker() for each in entries.values()] == ["|", "o"]


@pytest.mark.parametrize(
    ("scale", "label"),
    [
        ("none", "k = 1"),
        ("linear", "k = D"),
        ("D^0.25", "k = D^0.25"),
        ("22.627", "k = 22.627"),
        ("22.627416997969522", "k = √512"),
    ],
)
def test_a_scheme_is_its_k(scale: str, label: str) -> None:
    """One of the literature has its name, which tests of lines show."""
    assert labels(draw(layer_figure, sweep(dim=(4, 8), scale=(scale, "he"))).figure)[0] == label


@pytest.mark.parametrize("design", ["crossed", "fixed-x"])
def test_a_single_histogram_is_drawn_over_its_density(design: str) -> None:
    """Both are densities of the bins, in a linear and in a logarithmic panel."""
    row = counted(design=design)
    assert row.histogram is not None
    figure = draw(layer_figure, [row]).figure
    theory = density_of(row, row.histogram, 16)
    for axes, scale in zip(figure.axes, ("linear", "log"), strict=True):
        (line,) = [line for line in axes.lines if line.get_label() == theory.name]
        assert [y for _, y in points(line)] == pytest.approx(theory.heights.tolist())
        assert axes.get_yscale() == scale
        (stairs,) = axes.patches
        heights = stairs.get_data().values  # type: ignore[attr-defined]
        share = sum((row.totals.counts or ())[1:-1]) / row.samples
        assert (heights * row.histogram.width).sum() == pytest.approx(share)


def test_several_histograms_are_still_variances() -> None:
    """A density is drawn for one row alone."""
    figure = draw(layer_figure, [counted(2), counted(4)]).figure
    assert figure.axes[1].get_xlabel() == "D (fan-in)"


def test_the_caption_says_what_was_sampled() -> None:
    """It has the number of outputs, the settings that were not swept, the seed and the level."""
    figure = draw(layer_figure, swept("gain")).figure
    for expected in ("outputs per row", "D = 8", "x normal, W normal, crossed", "seed 0", "95%"):
        assert expected in caption(figure)


def test_more_lines_than_can_be_told_apart_are_left_out() -> None:
    """Eight remain; the caption and a remark say that there are more."""
    rows = sweep(dim=(4, 8), scale=tuple(f"D^{i / 10}" for i in range(MOST_LINES + 3)))
    drawn = draw(layer_figure, rows)
    assert len(named(drawn.figure, 0, "theory")) == MOST_LINES == len(MARKS)
    assert drawn.remarks == [
        "The figure has room for 8 of 11 lines; plot fewer settings at a time."
    ]
    assert "3 more are not shown" in caption(drawn.figure)


def test_a_row_without_a_place_on_the_axis_is_left_out() -> None:
    """The scheme sqrt has no gain, and a remark says how many rows that leaves out."""
    drawn = draw(layer_figure, [*swept("gain"), *sweep(scale=("sqrt",))])
    assert drawn.remarks == ["1 row has no gain, and no place in the figure."]


def test_lines_differ_in_more_than_colour() -> None:
    """Colours, markers and dashes each tell all lines apart: for print and for every eye."""
    for kind in zip(*MARKS, strict=True):
        assert len(set(map(str, kind))) == len(MARKS)


def entries(rng: np.random.Generator, shape: tuple[int, int], _: str) -> Any:
    """An initializer whose argument can be any text."""
    return rng.standard_normal(shape)


def scaled(row: Result, factor: float, **settings: Any) -> Result:
    """A row whose outputs are so many times larger, of changed settings."""
    powers = {"mean": 1, "within": 2, "m2": 2, "m3": 3, "m4": 4, "v2": 4, "mv": 3, "mmv": 4}
    totals = replace(
        row.totals,
        **{name: getattr(row.totals, name) * factor**power for name, power in powers.items()},
    )
    return conclude(replace(row.question, **settings), totals)


def tick_texts(axes: Axes, along: str) -> list[str]:
    return [text.get_text() for text in getattr(axes, f"get_{along}ticklabels")()]


@pytest.mark.parametrize("scales", [("1", "10"), ("1", "1e5"), ("1e-9", "1e-8"), ("0.01", "1e12")])
@pytest.mark.parametrize("dims", [(16, 64, 4096), (1, 100, 10_000), (16, 10**8)])
def test_the_ticks_of_an_axis_have_one_form(scales: tuple[str, ...], dims: tuple[int, ...]) -> None:
    """All are plain numbers, or all are powers of ten."""
    row = swept("dim")[0]
    rows = [
        scaled(row, dim**0.5 / float(scale), dim=dim, scale=scale)
        for scale in scales
        for dim in dims
    ]
    for axes, along in zip(draw(layer_figure, rows).figure.axes, "yx", strict=True):
        texts = tick_texts(axes, along)
        assert len(texts) > 1
        assert len({text.startswith("$") for text in texts}) == 1
        for text in texts:
            assert re.fullmatch(r"[0-9.]{1,7}|\$([0-9.]+\\times)?10\^\{-?[0-9]+\}\$", text)


def test_type_grows_with_the_width_of_a_figure() -> None:
    """It grows by the square root, as the height does, and it is never smaller than in a column."""

    def sizes(width: float) -> tuple[float, float]:
        with styled(width):
            figure = draw(layer_figure, swept("dim"), width).figure
            return figure.get_figheight(), float(figure.legends[0].get_texts()[0].get_fontsize())

    (_, small), (low, usual), (high, large) = map(sizes, (2.0, 3.4, 13.6))
    assert small == usual
    assert large == pytest.approx(2 * usual)
    assert high / low == pytest.approx(2.0, rel=0.15)  # the legend and the caption take fewer lines


def ratio_ticks(figure: Figure, along: str) -> list[float]:
    low, high = getattr(figure.axes[1], f"get_{along}lim")()
    return [t for t in getattr(figure.axes[1], f"get_{along}ticks")() if low <= t <= high]


@pytest.mark.parametrize("other", [{"dim": 32}, {"x_dist": "uniform"}])
@pytest.mark.parametrize("factor", [1e-70, 0.3, 0.99, 1.0, 1.2, 1.7, 4.0, 30.0, 1e60])
def test_an_axis_of_ratios_has_a_tick_at_one(factor: float, other: dict[str, Any]) -> None:
    """It is logarithmic where a ratio leaves 1/3 to 3, and every ratio is on it."""
    row = swept("k")[0]
    rows = [scaled(row, factor), replace(row, question=replace(row.question, **other))]
    figure, along = draw(layer_figure, rows).figure, "y" if "dim" in other else "x"
    assert 1.0 in ratio_ticks(figure, along)
    is_log = not all(1 / 3 <= (each.ratio or 0.0) <= 3 for each in rows)
    assert getattr(figure.axes[1], f"get_{along}scale")() == ("log" if is_log else "linear")
    low, high = getattr(figure.axes[1], f"get_{along}lim")()
    assert all(low < (each.ratio or 0.0) < high for each in rows)


def test_a_row_that_misses_its_claim_lies_off_the_line_of_theory() -> None:
    """An initializer's line is its claim; a ratio of 0.01 beside one of 100 is not at 1."""
    rows = sweep(dim=(8, 16), init=("orthogonal",), scale=("sqrt",))
    rows = judge([*(scaled(row, 0.1) for row in rows), *(scaled(row, 10, seed=1) for row in rows)])
    figure = draw(layer_figure, rows).figure
    (line,) = named(figure, 0, "theory")
    assert {y for _, y in points(line)} == {1.0}
    at = figure.axes[1].transAxes.inverted()
    heights = figure.axes[1].transData.transform([(8, 1.0), (8, rows[0].ratio or 0.0)])
    one, off = (float(at.transform(each)[1]) for each in heights)
    assert abs(one - off) > 0.2


@pytest.mark.parametrize("other", [{"dim": 32}, {"x_dist": "uniform"}])
def test_a_variance_of_zero_has_no_marker_on_a_logarithmic_axis(other: dict[str, Any]) -> None:
    """The caption says so, and the other rows are on the axis."""
    row = swept("k")[0]
    rows = [scaled(row, 0.0), replace(row, question=replace(row.question, **other))]
    rows += [scaled(row, 1e3, design="paired")]
    drawn = draw(layer_figure, rows)
    along = int("dim" in other)
    for axes, panel in zip(drawn.figure.axes, (0, 1), strict=True):
        low, high = axes.get_ylim() if along else axes.get_xlim()
        values = [point[along] for point in measured(drawn.figure, panel)]
        assert [low < value < high for value in values].count(False) == values.count(0.0) == 1
    assert "Without a marker on a logarithmic axis: 0." in caption(drawn.figure)
    assert "Without a marker" not in draw(layer_figure, swept("k")).caption


def test_a_crowd_of_rows_is_drawn_as_dots_of_a_picture() -> None:
    """Files stay small, the seeds are counted, and the caption says that there are no intervals."""
    row = swept("k")[0]
    seeds = [replace(row, question=replace(row.question, seed=seed)) for seed in range(1000)]
    gains = [
        scaled(row, 1.0, scale="xavier", gain=1.0 + number / 1000) for number in range(1000)
    ]  # fmt: skip
    for rows in (seeds, gains):
        drawn = draw(layer_figure, rows)
        assert len(encode(drawn.figure, ".svg")) < 300_000
        assert len(measured(drawn.figure, 0)) == 1000
        assert "Too many rows for error bars." in drawn.caption
        bars = [each for panel in (0, 1) for each in errorbars(drawn.figure, panel)]
        assert {float(width) for each in bars for width in each.lines[2][0].get_linewidths()} == {0}
    assert "1,000 seeds" in draw(layer_figure, seeds).caption


def test_the_cusp_of_a_density_is_sharp() -> None:
    """At D = 2 the density at 0 is 1/√2; a curve of the bins' means would end at 0.66."""
    figure = draw(layer_figure, [counted(2)]).figure
    heights = [y for line in figure.axes[0].lines for _, y in points(line)]
    assert max(heights) == pytest.approx(0.5**0.5, rel=0.01)
    assert figure.axes[0].get_ylim()[1] > max(heights)
    assert "infinite" not in caption(figure)


def test_a_pole_of_a_density_is_cut_and_the_caption_says_so() -> None:
    """At D = 1 the density is K0(|y|)/π: the axis ends above the bins, and not at the curve."""
    figure = draw(layer_figure, [counted(1)]).figure
    heights = [y for line in figure.axes[0].lines for _, y in points(line)]
    assert figure.axes[0].get_ylim()[1] < max(heights)
    assert "The exact density is infinite at 0, and cut there." in caption(figure)


@pytest.mark.parametrize("name", ["$x_{$", "$a$ \\frac {\nb\tc", "\x1b[2J", "y" * 900, "漢字"])
def test_names_from_outside_are_drawn_as_they_are(
    name: str, recwarn: pytest.WarningsRecorder
) -> None:
    """No mark-up, control character, length or missing glyph of theirs breaks a figure or warns."""
    inits = [f"{__name__}:entries({(name + end)!r})" for end in ("", "2")]
    rows = [
        replace(row, question=replace(row.question, init=init, w_dist=None))
        for row in swept("dim")[:2]
        for init in inits
    ]
    layers = [replace(r, question=replace(r.question, init=inits[0], w_dist=None)) for r in stack()]
    scale = "1." + "0" * 240_000
    scales = [replace(row, question=replace(row.question, scale=scale)) for row in rows]
    title = f"{name[:199]}\udcff"  # a byte of no character, as a shell may give it
    results = (rows, rows[:2], [*rows[:1], *scales[:1]])
    every = [draw(layer_figure, some, 2.0, title=title) for some in results]
    for drawn in [*every, draw(stack_figure, layers, 2.0, title=title)]:
        assert len(encode(drawn.figure, ".svg")) < 1_000_000
        assert len(drawn.caption) < 1000
        assert max(map(len, drawn.figure.get_supxlabel().split("\n"))) <= 44
    assert not recwarn.list


def test_a_title_and_a_caption_are_as_asked() -> None:
    """A caption that is left out of the figure is the same sentence beside it."""
    plain, bare = (
        draw(layer_figure, swept("dim")),
        draw(layer_figure, swept("dim"), title="Of $D$", captioned=False),
    )
    assert plain.caption == bare.caption == caption(plain.figure)
    assert bare.figure.get_supxlabel() == ""
    assert bare.figure.legends[0].get_title().get_text() == "Of $D$"
    of_stack = draw(stack_figure, stack(), title="One").figure
    assert of_stack.legends[0].get_title().get_text() == "One"


@pytest.mark.parametrize("value", [1e305, math.nan])
def test_a_number_beyond_every_axis_is_refused(value: float) -> None:
    """The sentence names the row and the number."""
    rows = [replace(row, totals=row.totals._replace(square_m2=value)) for row in stack()]
    rows = [replace(row, totals=row.totals._replace(square=1e305)) for row in rows]
    with pytest.raises(InputError, match=r"row 1 cannot be drawn: (-inf|nan) is beyond"):
        draw(stack_figure, rows)


# --- deep stacks


def test_correlations_of_inputs_have_a_panel() -> None:
    """It has theory and intervals beside a line at 1, and the caption says what χ⊥ means."""
    rows = stack(correlation=0.5)
    figure = draw(stack_figure, rows).figure
    panel = figure.axes[2]
    assert panel.get_ylabel() == "corr[h]"
    (theory,) = named(figure, 2, "theory")
    assert points(theory) == [(row.layer, row.correlation_theory) for row in rows]
    assert measured(figure, 2) == [(row.layer, row.output_correlation) for row in rows]
    ends = [row.pairs.interval(row.confidence) for row in rows if row.pairs]
    assert intervals(figure, 2) == [pytest.approx(each) for each in ends]
    assert 1.0 in panel.get_yticks()
    assert "below 1 inputs become alike (order)" in caption(figure)
    assert [axes.get_ylabel() for axes in draw(stack_figure, stack()).figure.axes] == [
        "Var[h]",
        "Var[∂h]",
    ]


def test_correlations_of_equal_inputs_have_no_intervals() -> None:
    """Equal inputs stay equal, and their markers stand at 1."""
    figure = draw(stack_figure, stack(correlation=1)).figure
    (found,) = named(figure, 2, "measured")
    assert [y for _, y in points(found)] == [pytest.approx(1.0)] * 5
    assert measured(figure, 2) == []


@pytest.mark.parametrize("value", [0.0, 1e-320, 1e-300, 1e299])
def test_layers_of_any_size_are_drawn(value: float) -> None:
    """What underflows has no marker, which the caption says."""
    rows = [
        replace(row, totals=row.totals._replace(square=value, product=value / 2))
        if row.layer > 2
        else row
        for row in stack(correlation=0.5)
    ]
    figure = draw(stack_figure, rows).figure
    assert encode(figure, ".png", 60)
    low, high = figure.axes[0].get_ylim()
    lost = [layer for layer, size in measured(figure, 0) if not low <= size <= high]
    assert lost == ([3.0, 4.0, 5.0] if value < 1e-307 else [])
    assert ("Without a marker on a logarithmic axis: 0." in caption(figure)) == bool(lost)


def test_a_variance_is_not_below_zero() -> None:
    """That within one network of a norm over one unit is 0, and what is below is refused."""
    rows = simulate_layers(Network(widths=(1, 1, 1), networks=8, norm="layer"), workers=1)
    assert all(row.totals.within >= 0.0 for row in rows)
    for below in (-4.6e-18, -0.1):
        wrong = replace(rows[1], totals=rows[1].totals._replace(within=below))
        with pytest.raises(InputError, match="a value out of range"):
            parse(text_of([wrong]), ".jsonl")


@pytest.mark.parametrize(("panel", "name"), [(0, ""), (1, "gradient")])
def test_a_panel_shows_theory_measurements_and_intervals(panel: int, name: str) -> None:
    """Forward stands above and backward below, at every layer."""
    rows = stack()
    figure = draw(stack_figure, rows).figure
    (line,) = named(figure, panel, "theory")
    theory, mean, error = (
        (f"{name}_theory", name, f"{name}_std_error") if name
        else ("theory", "empirical", "std_error")
    )  # fmt: skip
    assert points(line) == [(row.layer, getattr(row, theory)) for row in rows]
    assert measured(figure, panel) == [(row.layer, getattr(row, mean)) for row in rows]
    t = student.quantile(0.95, 15)
    for row, ends in zip(rows, intervals(figure, panel), strict=True):
        half = t * getattr(row, error)
        assert ends == pytest.approx((getattr(row, mean) - half, getattr(row, mean) + half))
    assert figure.axes[panel].get_yscale() == "log"
    assert [axes.get_ylabel() for axes in figure.axes] == ["Var[h]", "Var[∂h]"]


def test_the_band_is_one_deviation_between_networks() -> None:
    """It is that of a log-normal with the measured mean and relative variance."""
    row = stack()[-1]
    figure = draw(stack_figure, [row]).figure
    (point,) = measured(figure, 0)
    (band,) = [each for each in figure.axes[0].collections if each.get_gid() == "band"]
    outline = np.array(band.get_paths()[0].vertices)
    low, high = map(float, np.unique(outline[:, 1]))
    assert row.spread is not None
    deviation = np.log(high / low) / 2
    assert np.expm1(deviation**2) == pytest.approx(row.spread)
    assert np.sqrt(low * high) * np.exp(deviation**2 / 2) == pytest.approx(point[1])


def test_the_typical_network_is_a_cross_where_few_carry_the_mean() -> None:
    """The caption says what a cross is; without such a caveat there is none."""
    rows = stack(12, activation="relu", scale="he")
    heavy = [row for row in rows if any(c.id == "heavy-tails" for c in row.caveats)]
    figure = draw(stack_figure, rows).figure
    (crosses,) = named(figure, 0, "median")
    assert 0 < len(heavy) < len(rows)
    assert points(crosses) == [(row.layer, row.median) for row in heavy]
    assert "Crosses: the median network" in caption(figure)
    assert not named(draw(stack_figure, stack(2)).figure, 0, "median")


def test_stacks_are_lines_of_what_tells_them_apart() -> None:
    """The legend has what differs, the caption what is shared."""
    rows = [*stack(), *stack(gain=5 / 3), *stack(scale="none")]
    figure = draw(stack_figure, rows).figure
    assert labels(figure) == ["xavier, gain 1", "xavier, gain 5/3", "k = 1"]
    assert len(named(figure, 0, "theory")) == len(named(figure, 1, "theory")) == 3
    for expected in ("tanh", "width 16", "5 layers", "batch 8", "16 networks", "seed 0", "95%"):
        assert expected in caption(figure)
    assert "gain" not in caption(figure)


def test_every_stack_has_a_label() -> None:
    """What one stack has and another has not is named for both."""
    figure = draw(stack_figure, [*stack(), *stack(residual=1.0)]).figure
    assert labels(figure) == ["no residual", "residual 1"]
    figure = draw(stack_figure, [*stack(), *stack(bias_std=0.5)]).figure
    assert labels(figure) == ["bias std 0", "bias std 0.5"]


def test_the_order_of_rows_and_a_row_twice_change_nothing() -> None:
    """A stack is its layers, however they come."""
    assert stack_layout(stack()) == stack_layout([*reversed(stack()), *stack()])


def test_widths_are_told_in_few_words() -> None:
    """All of them are named where they are few, and their range where they are many."""
    for widths, expected in (
        ((8, 4, 4, 2), "widths 8-4×2-2, 3 layers"),
        ((6, 5, 4, 3, 2), "widths 2 to 6, 4 layers"),
        ((8, 8), "width 8, 1 layer,"),
    ):
        rows = simulate_layers(Network(widths=widths, networks=8, batch=2), workers=1)
        assert expected in caption(draw(stack_figure, rows).figure)


def test_more_stacks_than_can_be_told_apart_are_left_out() -> None:
    """Eight remain; the caption and a remark say that there are more."""
    rows = [
        replace(row, question=replace(row.question, seed=seed))
        for seed in range(MOST_LINES + 2)
        for row in stack()
    ]
    drawn = draw(stack_figure, rows)
    assert len(named(drawn.figure, 0, "theory")) == MOST_LINES
    assert labels(drawn.figure) == [f"seed {seed}" for seed in range(MOST_LINES)]
    assert drawn.remarks == [
        "The figure has room for 8 of 10 stacks; plot fewer settings at a time."
    ]
    assert "2 more are not shown." in caption(drawn.figure)


def test_of_many_layers_some_are_marked_and_all_that_disagree() -> None:
    """Those that disagree are filled; the line of theory has all layers."""
    rows = [replace(row, agrees=row.layer != 3) for row in stack(40)]
    figure = draw(stack_figure, rows).figure
    bars = errorbars(figure, 0)
    assert [points(bar.lines[0])[0][0] for bar in bars] == [1.0, 3.0]
    assert (
        bars[0].lines[0].get_markerfacecolor() == "none" != bars[1].lines[0].get_markerfacecolor()
    )
    assert len(points(named(figure, 0, "theory")[0])) == 40
    assert "Markers: one layer in 3." in caption(figure)
    assert "filled: disagrees" in legend(figure)


def test_without_gradients_there_is_one_panel() -> None:
    """Through batch norm they have no theory but on top, which the caption says."""
    assert len(draw(stack_figure, stack(backward=False)).figure.axes) == 1
    figure = draw(stack_figure, stack(norm="batch")).figure
    (line,) = named(figure, 1, "theory")
    assert points(line) == [(5.0, 1.0)]
    assert len(measured(figure, 1)) == 5
    assert "Without a line: no theory of gradients." in caption(figure)


def test_what_overflowed_has_no_marker() -> None:
    """Nothing else is in its place, even where nothing is left at all."""
    lost = [
        replace(row, totals=row.totals._replace(
            square=math.nan, square_m2=math.nan, gradient_square=math.nan, gradient_m2=math.nan,
            squares=b"", gradients=b""))
        for row in stack()
    ]  # fmt: skip
    figure = draw(stack_figure, [*stack()[:2], *lost[2:]]).figure
    for panel in (0, 1):
        assert [layer for layer, _ in measured(figure, panel)] == [1.0, 2.0]
    assert "Without a marker: overflow." in caption(figure)
    nothing = [
        replace(row, prediction=row.prediction._replace(variance=0.0, gradient=-1.0))
        for row in lost
    ]
    for panel in (0, 1):
        assert not measured(draw(stack_figure, nothing).figure, panel)
        assert not named(draw(stack_figure, nothing).figure, panel, "theory")


def test_histograms_of_one_stack_are_densities_from_light_to_dark() -> None:
    """The first, the last and some between are drawn, with the share that is saturated."""
    rows = counted_stack(12)
    figure = draw(stack_figure, rows).figure
    curves, relative = curves_of(rows)
    assert not relative
    assert [curve.row.layer for curve in curves] == [1, 3, 4, 6, 7, 9, 10, 12]
    panel, scale = figure.axes[2:]
    shades = []
    for curve, stairs in zip(curves, panel.patches, strict=True):
        heights = np.array(stairs.get_data().values)  # type: ignore[attr-defined]
        assert (heights * np.diff(curve.edges)).sum() == pytest.approx(1.0)
        counts = np.array(curve.row.counts)[1:-1]
        assert heights * np.diff(curve.edges) * counts.sum() == pytest.approx(counts)
        shades.append(sum(stairs.get_edgecolor()[:3]))  # type: ignore[arg-type]
    assert shades == sorted(shades, reverse=True)
    first = scale.get_xticklabels()[0].get_text()
    assert first == f"1\n{100 * (rows[0].saturated or 0.0):.1f}%"


def test_what_rounds_to_a_bound_is_drawn_there() -> None:
    """In float32 a large tanh is 1, and counts in the last bin."""
    rows = counted_stack(3, scale="none", gain=None)
    assert rows[0].counts is not None
    assert rows[0].counts[-1] == rows[0].counts[0] == 0
    assert rows[0].counts[-2] > 0.2 * sum(rows[0].counts)
    curve = curves_of(rows)[0][0]
    assert (curve.heights * np.diff(curve.edges)).sum() == pytest.approx(1.0)


def test_distributions_that_shrink_are_drawn_over_their_own_size() -> None:
    """Else the last would be a needle; the peak of a ReLU at 0 is cut, which the caption says."""
    rows = counted_stack(12, activation="relu", gain=0.5)
    curves, relative = curves_of(rows)
    figure = draw(stack_figure, rows).figure
    assert relative
    assert figure.axes[2].get_xlabel() == "φ(h) / its root mean square"
    assert "Peaks are cut." in caption(figure)
    for curve in curves:
        assert (curve.heights * np.diff(curve.edges)).sum() == pytest.approx(1.0, abs=0.02)


def test_histograms_of_several_stacks_are_left_out() -> None:
    """Variances remain, and a remark says so."""
    drawn = draw(stack_figure, [*counted_stack(), *stack(gain=2.0)])
    assert len(drawn.figure.axes) == 2
    assert drawn.remarks == ["The distribution of activations is drawn for a single stack only."]


# --- initializers


@cache
def checks(*shapes: tuple[int, int]) -> list[InitializerCheck]:
    """The checks of two initializers for shapes; the second is cut, and misses a claim of 1."""
    rows = []
    for shape in shapes:
        for init in ("orthogonal", "trunc_normal"):
            study = CheckStudy(question(init, *shape), draws=16)
            rows += study.rows(study.empty().plus(*study.sample(range(16))))
    return judge([replace(row, claimed=1.0) if row.claimed != 1 / 8 else row for row in rows])


def test_checks_are_drawn_over_their_claims() -> None:
    """Forward stands on the left and backward on the right, with intervals and a line at 1."""
    rows = checks((8, 8))
    drawn = draw(check_figure, rows)
    for panel, estimates in enumerate(([row.estimate for row in rows], [row.back for row in rows])):
        assert [x for x, _ in measured(drawn.figure, panel)] == [each.ratio for each in estimates]
        ends = [
            tuple(path.vertices[:, 0])
            for bars in errorbars(drawn.figure, panel)
            for path in bars.lines[2][0].get_paths()
        ]
        assert ends == [pytest.approx(each.ratio_interval(0.95)) for each in estimates]
        assert 1.0 in [x for line in drawn.figure.axes[panel].lines for x, _ in points(line)]
    texts = [label.get_text() for label in drawn.figure.axes[0].get_yticklabels()]
    assert texts == ["varsim orthogonal", "varsim trunc_normal"]
    for expected in ("16 draws each", "D = 8", "fan-out 8", "seed 0", "95% intervals"):
        assert expected in caption(drawn.figure)


def test_a_check_that_disagrees_is_filled() -> None:
    """It alone is filled, in both panels, and the legend says what that means."""
    rows = checks((8, 8))
    assert [row.agrees for row in rows] == [True, False]
    figure = draw(check_figure, rows).figure
    for panel in (0, 1):
        faces = [bars.lines[0].get_markerfacecolor() for bars in errorbars(figure, panel)]
        assert [face == "none" for face in faces] == [True, False]
    assert list(legend(figure)) == ["measured", "filled: disagrees"]


def test_checks_of_several_shapes_have_them_in_their_names() -> None:
    """The caption has the shape that all share."""
    figure = draw(check_figure, checks((8, 8), (8, 4))).figure
    texts = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert texts[1:3] == ["varsim trunc_normal, 8 × 8", "varsim orthogonal, 8 × 4"]
    assert "D = 8" in caption(figure)
    assert "fan-out" not in caption(figure)


def test_checks_of_several_seeds_have_them_in_their_names() -> None:
    """So rows of one initializer can be told apart."""
    row = checks((8, 8))[0]
    rows = [replace(row, question=replace(row.question, seed=seed)) for seed in (0, 7)]
    figure = draw(check_figure, rows).figure
    texts = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert texts == ["varsim orthogonal, seed 0", "varsim orthogonal, seed 7"]


def test_checks_without_a_claim_above_zero_are_left_out() -> None:
    """A remark counts them; if no row is left, a sentence says why there is no figure."""
    rows = [replace(row, claimed=claim) for row in checks((8, 8)) for claim in (1.0, 0.0, None)]
    drawn = draw(check_figure, rows)
    assert len(measured(drawn.figure, 0)) == 2
    assert drawn.remarks == ["4 rows claim no variance above 0, and have no ratio to draw."]
    with pytest.raises(InputError, match="no initializer claims a variance above 0"):
        draw(check_figure, rows[1:2])


# --- gains


def gains_of(*names: str, variances: Sequence[float] = (1.0,)) -> list[NamedGains]:
    return [NamedGains(name, gains(find_activation(name), q)) for q in variances for name in names]


def test_gains_are_drawn_beside_those_of_torch() -> None:
    """The gains stand on the left, χ on the right with a line at 1, a dash per activation."""
    rows = gains_of("gelu", "tanh", "relu")
    figure = draw(gains_figure, rows).figure
    exact, torch = figure.axes[0].lines
    assert points(exact) == [(row.gains.gain, place) for place, row in enumerate(rows)]
    assert points(torch) == [(5 / 3, 1), (2**0.5, 2)]
    one, chi = figure.axes[1].lines
    assert {x for x, _ in points(one)} == {1.0}
    assert points(chi) == [(row.gains.chi, place) for place, row in enumerate(rows)]
    texts = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert texts == ["gelu", "tanh", "relu"]
    assert list(legend(figure)) == ["exact", "torch.nn.init"]
    assert list(legend(draw(gains_figure, rows[:1]).figure)) == ["exact"]


def test_gains_at_several_variances_are_lines_along_the_variance() -> None:
    """Each activation has one, up to eight, and a remark says that there are more."""
    rows = gains_of("tanh", "sigmoid", variances=(4.0, 0.25, 1.0))
    figure = draw(gains_figure, rows).figure
    for panel, name in ((0, "gain"), (1, "chi")):
        lines = [line for line in figure.axes[panel].lines if len(points(line)) == 3]
        expected = [
            [(q, getattr(gains(find_activation(name_), q), name)) for q in (0.25, 1.0, 4.0)]
            for name_ in ("tanh", "sigmoid")
        ]
        assert list(map(points, lines)) == expected
    assert labels(figure) == ["tanh", "sigmoid"]
    assert figure.axes[1].get_xscale() == "log"
    many = [NamedGains(f"f{i}", row.gains) for i in range(10) for row in rows[::2]]
    drawn = draw(gains_figure, many)
    assert len(labels(drawn.figure)) == MOST_LINES
    assert drawn.remarks == ["The figure has room for 8 of 10 activations; name fewer of them."]
    assert "2 more are not shown." in drawn.caption


@pytest.mark.parametrize("suffix", list(TEXTS))
def test_gains_are_read_from_every_format(suffix: str, tmp_path: Path) -> None:
    """What varsim gains writes gives the figure of its values."""
    file, figure = tmp_path / f"gains{suffix}", tmp_path / "figure.svg"
    names = ("tanh", "leaky_relu(0.2)")
    assert here("gains", *names, "-o", str(file)).returncode == 0
    done = here("plot", str(file), "-o", str(figure))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    expected = draw(gains_figure, gains_of(*names))
    assert figure.read_bytes() == encode(expected.figure, ".svg")


# --- all figures


LAYERS: dict[str, Callable[[], Sequence[Result]]] = {
    "dim": lambda: swept("dim"),
    "gain": lambda: swept("gain"),
    "scales": lambda: sweep(scale=("none", "he", "torch-linear")),
    "eight lines": lambda: sweep(dim=(4, 8), scale=tuple(f"D^0.{i}" for i in range(1, 9))),
    "histogram": lambda: [counted()],
}

STACKS: dict[str, Callable[[], Sequence[LayerResult]]] = {
    "one stack": lambda: stack(20, scale="none", activation="relu"),
    "stacks": lambda: [*stack(), *stack(gain=5 / 3), *stack(scale="none")],
    "correlations": lambda: stack(correlation=0.5),
    "activations": lambda: counted_stack(12),
    "one layer": lambda: counted_stack(1),
}


def drawn_as(name: str, width: float, title: str) -> Drawn:
    if name == "checks":
        return draw(check_figure, checks((8, 8), (8, 4)), width, title=title)
    if name == "gains":
        return draw(gains_figure, gains_of(*ACTIVATIONS), width, title=title)
    if name == "gains along variances":
        rows = gains_of("tanh", "gelu", "sigmoid", variances=(0.1, 1.0, 10.0))
        return draw(gains_figure, rows, width, title=title)
    if name in LAYERS:
        return draw(layer_figure, LAYERS[name](), width, title=title)
    return draw(stack_figure, STACKS[name](), width, title=title)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("width", "title"), [(3.4, ""), (2.0, "A title of more than one line"), (7.0, "")]
)
@pytest.mark.parametrize("name", [*LAYERS, *STACKS, "checks", "gains", "gains along variances"])
def test_nothing_in_a_figure_covers_anything(name: str, width: float, title: str) -> None:
    """Legend, panels, labels, ticks and caption keep apart, and nothing is beyond the page."""
    figure = drawn_as(name, width, title).figure
    canvas = FigureCanvasAgg(figure)
    with styled(width):
        canvas.draw()  # type: ignore[no-untyped-call]
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    parts = [*figure.axes, *figure.legends, *figure.texts]
    boxes = [box for box in (part.get_tightbbox(renderer) for part in parts) if box is not None]
    assert len(boxes) == len(parts) >= 3
    for axes, along in product(figure.axes, "xy"):
        low, high = sorted(getattr(axes, f"get_{along}lim")())
        extents = [
            tick.label1.get_window_extent(renderer)
            for tick in getattr(axes, f"{along}axis").get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_visible()
        ]
        for one, next_ in pairwise(extents):
            shared = Bbox.intersection(one, next_)
            assert shared is None or min(shared.width, shared.height) < 1
    for i, box in enumerate(boxes):
        assert min(box.x0, box.y0) >= -1
        assert max(box.x1 - figure.bbox.x1, box.y1 - figure.bbox.y1) <= 1
        for other in boxes[i + 1 :]:
            shared = Bbox.intersection(box, other)
            assert shared is None or min(shared.width, shared.height) < 1


# --- the command


@pytest.mark.slow
def test_a_figure_has_the_same_bytes_tomorrow(tmp_path: Path) -> None:
    """Two processes at different times, and two formats of rows, give the same valid files."""
    runs = []
    for number, suffix in enumerate((".jsonl", ".csv")):
        rows = file_of(tmp_path, swept("dim"), f"rows{suffix}")
        files = [tmp_path / f"figure-{number}{kind}" for kind in MAGIC]
        options = [part for file in files for part in ("-o", str(file))]
        done = run("plot", str(rows), *options, SOURCE_DATE_EPOCH=str(10**9 * (number + 1)))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        runs.append([file.read_bytes() for file in files])
    assert runs[0] == runs[1]
    for start, content in zip(MAGIC.values(), runs[0], strict=True):
        assert content.startswith(start)


@pytest.mark.slow
def test_a_figure_of_layers_has_the_same_bytes_from_every_format(tmp_path: Path) -> None:
    """So it has in the program's process, whatever other files are asked for."""
    files = [file_of(tmp_path, counted_stack(), f"layers{suffix}") for suffix in TEXTS]
    read = [parse(file.read_text(encoding="utf-8"), file.suffix) for file in files]
    assert read[0] == read[1] == read[2]
    (svg,) = {encode(draw(stack_figure, rows).figure, ".svg") for rows in read}
    others = [encode(draw(stack_figure, read[0]).figure, suffix) for suffix in (".png", ".pdf")]
    expected = [svg, *others]
    assert all(map(bytes.startswith, expected, MAGIC.values()))
    figures = [tmp_path / f"figure{suffix}" for suffix in MAGIC]
    options = [part for path in figures for part in ("-o", str(path))]
    done = run("plot", str(files[1]), *options, SOURCE_DATE_EPOCH="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [path.read_bytes() for path in figures] == expected


def test_rows_come_from_stdin(tmp_path: Path) -> None:
    """``-`` is stdin, in any format; a hint says what the figure of one row lacks."""
    figure, row = tmp_path / "figure.svg", swept("dim")[:1]
    of_row, of_stack = draw(layer_figure, row), draw(stack_figure, stack())
    for text, drawn, hint in (
        (text_of(row, ".jsonl"), of_row, True),
        (text_of(stack(), ".csv"), of_stack, False),
    ):
        done = subprocess.run(
            [*VARSIM, "plot", "-", "-o", str(figure)],
            input=text, capture_output=True, encoding="utf-8",
            env=environment(), check=False,
        )  # fmt: skip
        assert done.returncode == 0
        assert ("varsim --histogram" in done.stderr) == hint
        assert bool(done.stderr) == hint
        assert figure.read_bytes() == encode(drawn.figure, ".svg")


def test_rows_of_several_files_are_in_one_figure(tmp_path: Path) -> None:
    """Two files give the figure of all of their rows."""
    rows, figure = swept("dim"), tmp_path / "figure.svg"
    files = [file_of(tmp_path, rows[:4], "a.jsonl"), file_of(tmp_path, rows[4:], "b.csv")]
    done = here("plot", *map(str, files), "-o", str(figure))
    assert (done.returncode, done.stderr) == (0, "")
    assert figure.read_bytes() == encode(draw(layer_figure, rows).figure, ".svg")


def test_a_caption_that_is_left_out_goes_to_stdout(tmp_path: Path) -> None:
    """It is data: --quiet leaves it there, and a stream that is closed is told."""
    file, figure = file_of(tmp_path, swept("dim")), tmp_path / "figure.svg"
    args = ("plot", str(file), "-o", str(figure), "--title", "On $D$", "--no-caption", "--quiet")
    done = here(*args)
    expected = draw(layer_figure, swept("dim"), title="On $D$", captioned=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(".\n")
    assert " ".join(done.stdout.split()) == expected.caption
    assert max(map(len, done.stdout.split("\n"))) <= 78
    assert figure.read_bytes() == encode(expected.figure, ".svg")


def test_width_and_dots_are_as_asked(tmp_path: Path) -> None:
    """A .png of 5 inches at 100 dots has 500 columns of them, and matplotlib has no word in it."""
    file, figure = file_of(tmp_path, swept("k")), tmp_path / "figure.PNG"
    args = ("plot", str(file), "-o", str(figure), "--width", "5", "--dpi", "100", "-q")
    done = run(*args, MPLBACKEND="nonsense", MPLCONFIGDIR=str(file))
    assert (done.returncode, done.stderr) == (0, "")
    assert int.from_bytes(figure.read_bytes()[16:20]) == 500


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ("figure.svg", "is a figure, not results; write -o 'figure.svg'"),
        ("results.jsonl -o figure.gif", "is not a figure; give one of .svg, .png, .pdf"),
        ("results.jsonl -o figure.jsonl", "is not a figure; give one of .svg, .png, .pdf"),
        ("gains.jsonl results.jsonl -o figure.svg", "some files hold gains and some do not"),
        ("mixed-gains.jsonl -o figure.svg", "line 2 cannot be used: this is not a gain"),
        ("critical.jsonl -o figure.svg", "it holds critical points, and not what was measured"),
        ("results.jsonl -o figure.svg --width 0.5", "give inches from 2 to 40"),
        ("results.jsonl -o figure.svg --dpi 3", "give dots per inch from 50 to 1200"),
        (f"results.jsonl -o figure.svg --title {'x' * 201}", "title has 201 characters; give at"),
        ("figure.txt -o figure.svg", "no suffix that can be read"),
        ("empty.jsonl -o figure.svg", "holds no rows"),
        ("-o figure.svg", "no file of results is given; write one"),
        ("layers.jsonl results.jsonl -o figure.svg", "give files of one kind"),
        ("broken.jsonl -o figure.svg", "line 6 cannot be used: this is not a row of layers"),
        ("mixed.jsonl -o figure.svg", "line 6 cannot be used: this is not a row of layers"),
        ("header.csv -o figure.svg", "line 2 cannot be used: its schema is 0, and"),
        ("older.csv -o figure.svg", "it was written by varsim before 1.0, whose files"),
        ("newer.jsonl -o figure.svg", "its schema is 99, newer than"),
    ],
)
def test_a_mistake_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: str, said: str
) -> None:
    """The exit code is 2, and no file is written."""
    monkeypatch.chdir(tmp_path)
    results, layers = text_of(swept("k")), text_of(stack())
    gain = json.dumps(next(iter(gains_table({"tanh": ACTIVATIONS["tanh"]}, [1.0]).records)))
    for name, text in {
        "results.jsonl": results,
        "layers.jsonl": layers,
        "figure.txt": "",
        "empty.jsonl": "",
        "broken.jsonl": layers + '{"layer": 3, "schema": 4}\n',
        "mixed.jsonl": layers + results,
        "header.csv": "schema,kind,layer\n0,stack,2\n",
        "older.csv": "schema,layer\n1,2\n",
        "gains.jsonl": gain + "\n",
        "mixed-gains.jsonl": f"{gain}\n{results}",
        "critical.jsonl": '{"schema": 1, "kind": "critical"}\n',
        "newer.jsonl": re.sub('"schema": [0-9]+', '"schema": 99', layers),
    }.items():
        (tmp_path / name).write_text(text)
    done = here("plot", *args.split())
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"Error: [^\n]{10,300}[.?)]\n", done.stderr), done.stderr
    assert said in done.stderr
    assert not list(tmp_path.glob("figure.[sgp]*"))


def test_a_figure_that_cannot_be_written_is_one_sentence_and_the_others_are_written(
    tmp_path: Path,
) -> None:
    """The exit code is 1, as for a file of rows that cannot be read."""
    file, figure = file_of(tmp_path, swept("k")), tmp_path / "figure.svg"
    done = here("plot", str(file), "-o", str(tmp_path / "missing" / "a.svg"), "-o", str(figure))
    assert done.returncode == 1
    assert re.fullmatch(r"Error: '.*a.svg' could not be written: [^\n]+\.\n", done.stderr)
    assert figure.exists()
    done = here("plot", str(tmp_path / "nothing.jsonl"), "-o", str(figure))
    assert done.returncode == 1
    assert re.fullmatch(r"Error: '.*nothing.jsonl' cannot be read: [^\n]+\.\n", done.stderr)


def test_a_figure_has_a_name_by_default(tmp_path: Path) -> None:
    """That of the first file, with .svg; a sentence says so."""
    file = file_of(tmp_path, swept("k"))
    done = run("plot", str(file))
    assert done.returncode == 0
    assert done.stderr == f"Wrote {file.with_suffix('.svg')}.\n"
    assert file.with_suffix(".svg").read_text().startswith("<?xml")


def test_the_default_figure_replaces_no_file_of_others(tmp_path: Path) -> None:
    """It replaces a figure of varsim; the sentence names the option that replaces any file."""
    file = file_of(tmp_path, swept("k"))
    figure = file.with_suffix(".svg")
    for _ in range(2):
        assert here("plot", str(file), "-q").returncode == 0
    figure.write_text("<svg/>")
    done = here("plot", str(file))
    assert (done.returncode, figure.read_text()) == (2, "<svg/>")
    assert f"{str(figure)!r} exists, and varsim plot did not write it" in done.stderr
    assert "name the figure with --output, which replaces any file." in done.stderr
    assert here("plot", str(file), "-o", str(figure)).returncode == 0
    assert figure.read_text().startswith("<?xml")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no DISPLAY")
def test_without_a_display_a_sentence_says_that_nothing_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The figure is written, and the exit code is 0."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    file = file_of(tmp_path, swept("k"))
    figure = file.with_suffix(".svg")
    done = here("plot", str(file), "--open")
    assert done.returncode == 0
    assert done.stderr.endswith(f"\nNote: {figure} is not shown: there is no display.\n")
    assert figure.exists()


def test_without_matplotlib_a_sentence_says_what_to_install(tmp_path: Path) -> None:
    """The exit code is 1, and the drawing as text needs no matplotlib."""
    (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError(name='matplotlib')")
    hidden = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    file = file_of(tmp_path, swept("k"))
    done = run("plot", str(file), "-o", str(tmp_path / "figure.svg"), **hidden)
    assert done.returncode == 1
    assert re.fullmatch(
        r"Error: [^\n]+ run: \S+python\S* -m pip install matplotlib\.\n", done.stderr
    )
    assert run("--plot", "-n", "640", **hidden).returncode == 0
