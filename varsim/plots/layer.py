"""Figures of one layer: a histogram, or variances and ratios by a swept number or by category."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

from varsim.fields import Field
from varsim.fields.rounding import significant
from varsim.fields.values import WHOLE
from varsim.layer.question import Experiment
from varsim.layer.result import RESULTS, Result
from varsim.layer.theory import predict
from varsim.plots import page
from varsim.plots.histogram import histogram_figure
from varsim.plots.layout import MOST_CATEGORIES, Layout, Line, is_log, layer_layout
from varsim.statistics import Estimate
from varsim.study import Drawn

_VARIANCE, _RATIO = RESULTS.by_name["empirical"].axis, RESULTS.by_name["ratio"].axis

_CURVE_POINTS = 60

# Up to this number of values on the axis, ticks are at values.
_MOST_PLACES = 100


class _Scale(NamedTuple):
    """The x axis: the values of all rows in ascending order, and whether it is logarithmic."""

    values: list[float]
    is_log: bool

    def place(self, value: float) -> float:
        """Return the place of a value on the axis: the value or its logarithm."""
        return math.log(value) if self.is_log else value

    def moved(self, value: float, shift: float) -> float:
        """Return the value at a distance ``shift`` from another value on the axis."""
        place = self.place(value) + shift
        return math.exp(place) if self.is_log else place

    def distances(self, values: Sequence[float]) -> list[float]:
        """Return the distances between successive values."""
        return [abs(b - a) for a, b in itertools.pairwise(map(self.place, values))]

    @property
    def length(self) -> float:
        """The distance between the first and the last value."""
        return abs(self.place(self.values[-1]) - self.place(self.values[0]))

    def shifts(self, lines: int) -> list[float]:
        """Return a shift per line, so that markers of equal ratios do not overlap."""
        gaps = self.distances(self.values)
        step = min(0.6 * min(gaps, default=0.0) / lines, 0.03 * self.length)
        return [(i - (lines - 1) / 2) * step for i in range(lines)]

    def has_room(self, values: Sequence[float], points: float) -> bool:
        """Return whether the labels of values fit on an axis of a length in points."""
        widths = [2.4 * len(significant(value, 4)) for value in values]
        unit = points / (self.length or 1.0)
        return all(
            gap * unit > sum(pair) + 4.0
            for gap, pair in zip(self.distances(values), itertools.pairwise(widths), strict=True)
        )


def layer_figure(rows: Sequence[Result], width: float) -> Drawn:
    """Return the figure of results: a histogram, lines or categories.

    A single row with a histogram gives the histogram. Rows along a swept number give lines; all
    other rows give categories.
    """
    plan = layer_layout(rows)
    bins = rows[0].histogram if len(rows) == 1 else None
    if bins is not None:
        figure, caption = histogram_figure(plan, bins, width)
    elif plan.axis is not None:
        figure, caption = _line_figure(plan, plan.axis, width)
    else:
        figure, caption = _category_figure(plan, width)
    remarks = plan.crowding("categories" if plan.axis is None else "lines")
    if plan.placeless and plan.axis is not None:
        have = "row has" if plan.placeless == 1 else "rows have"
        remarks.append(
            f"{plan.placeless} {have} no {plan.axis.header}, and no place in the figure."
        )
    if len(rows) == 1 and bins is None:
        remarks.append("With varsim --histogram, the figure of one row shows its distribution.")
    return Drawn(figure, caption, remarks)


def _line_figure(
    plan: Layout[Result], axis: Field[Result, object], width: float
) -> tuple[Figure, str]:
    """Return the figure of rows along a number, and its caption.

    Variances are in the upper panel, ratios to theory in the lower one.
    """
    values, always_log = sorted({axis.number(row) or 0.0 for row in plan.rows}), axis.name == "dim"
    scale = _Scale(values, is_log(values, always=always_log))
    figure = page.blank(width, page.scaled_height(3.0, width), plan)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 4])
    bottom.axhline(1.0, color=page.GREY, linewidth=0.8)
    shifts, crowded = scale.shifts(len(plan.lines)), page.is_crowded(plan.rows)
    for line, mark, shift in zip(plan.lines, page.MARKS, shifts, strict=False):
        curve = _theory_curve(line, axis, scale)
        page.draw_known(
            top, list(curve), list(curve.values()), "y", gid="theory", color=mark.color,
            linestyle=mark.linestyle,
        )  # fmt: skip
        places = [axis.number(row) or 0.0 for row in line.rows]
        given = [row.conditional_theory for row in line.rows]
        page.draw_known(
            top, places, given, "y", gid="given x", color=mark.color, linestyle="none", marker="_",
            markersize=9.0,
        )  # fmt: skip
        page.draw_estimates(top, line.rows, _estimate, places, "y", mark=mark, crowded=crowded)
        places = [scale.moved(place, shift) for place in places]
        page.draw_estimates(
            bottom, line.rows, _estimate, places, "y", mark=mark, relative=True, crowded=crowded
        )
    _finish_x(bottom, scale, width)
    page.finish_variances(top, _variances(plan.rows), "y", always_log=always_log)
    page.finish_ratios(bottom, plan.rows, "y")
    beyond = page.mark_beyond("y", top, bottom)
    top.set_ylabel(_VARIANCE)
    bottom.set_xlabel(axis.axis)
    bottom.set_ylabel(_RATIO, fontsize=page.SMALL)
    figure.align_ylabels()
    page.legend_of_lines(figure, plan)
    dashes = "; dashes: theory given x" * any(r.conditional_theory is not None for r in plan.rows)
    reading = f"Lines: theory{dashes}; markers: measured, with {{intervals}}."
    return figure, page.caption_of(plan, reading, beyond, crowded=crowded)


def _category_figure(plan: Layout[Result], width: float) -> tuple[Figure, str]:
    """Return the figure of rows one below the other, and its caption.

    Variances are in the left panel, ratios to theory in the right one. Up to
    :data:`MOST_CATEGORIES` rows have a line each; of more, rows with equal settings share one.
    """
    rows = plan.rows
    labels = [line.label for line in plan.lines for _ in line.rows]
    places: list[float] = list(range(len(rows)))
    if len(rows) > MOST_CATEGORIES:
        labels = [line.label for line in plan.lines]
        places = [
            place + 0.6 * ((i + 0.5) / len(line.rows) - 0.5)
            for place, line in enumerate(plan.lines)
            for i in range(len(line.rows))
        ]
    figure = page.blank(width, 1.25 + 0.19 * len(labels))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    right.axvline(1.0, color=page.GREY, linewidth=0.8)
    handles: list[Line2D] = []
    centres = list(map(round, places))
    for label, values, color in (
        ("theory", [row.theory for row in rows], "black"),
        ("theory given x", [row.conditional_theory for row in rows], page.MARKS[1].color),
    ):
        handles += page.draw_known(
            left, centres, values, "x", label=label, color=color, linestyle="none", marker="|",
            markersize=10.0,
        )  # fmt: skip
    mark, crowded = page.MARKS[0], page.is_crowded(rows)
    page.draw_estimates(left, rows, _estimate, places, "x", mark=mark, crowded=crowded)
    page.draw_estimates(
        right, rows, _estimate, places, "x", mark=mark, relative=True, crowded=crowded
    )
    left.set_ylim(len(labels) - 0.4, -0.6)
    names = [page.printable(label, min(60, int(12.0 * width) - 8)) for label in labels]
    left.set_yticks(range(len(labels)), names, parse_math=False)
    left.tick_params(axis="y", labelsize=page.SMALL if max(map(len, names)) < 20 else 6.0)
    for axes, name in ((left, _VARIANCE), (right, _RATIO)):
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(textwrap.fill(name, max(10, int(5.0 * width))), fontsize=page.SMALL)
    page.finish_variances(left, _variances(rows), "x")
    page.finish_ratios(right, rows, "x")
    beyond = page.mark_beyond("x", left, right)
    measured = page.handle("measured", page.MARKS[0]._replace(linestyle="none"))
    page.legend(figure, [*handles, measured])
    return figure, page.caption_of(plan, "Bars: {intervals}.", beyond, crowded=crowded)


def _estimate(row: Result) -> Estimate:
    return row.estimate


def _variances(rows: Sequence[Result]) -> list[float]:
    """Return the nonzero variances, measured and by theory, and the ends of intervals."""
    values = [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]
    return page.with_ends(values, [end for row in rows for end in (row.ci_low, row.ci_high)])


def _theory_curve(
    line: Line[Result], axis: Field[Result, object], scale: _Scale
) -> dict[float, float]:
    """Return the variance by theory along a line, at its rows and at points between them."""
    curve = {axis.number(row) or 0.0: row.theory for row in line.rows}
    low, high = min(curve), max(curve)
    if low < high:
        space = np.geomspace if scale.is_log else np.linspace
        experiment = line.rows[0].question
        if axis.name == "dim" and all(row.fan_out == row.dim for row in line.rows):
            experiment = replace(experiment, fan_out=None)
        for value in space(low, high, _CURVE_POINTS).tolist():
            place = round(value) if axis.value_type is WHOLE else min(max(value, low), high)
            curve.setdefault(place, _theory_at(experiment, axis, place))
    return dict(sorted(curve.items()))


def _theory_at(experiment: Experiment, axis: Field[Result, object], value: float) -> float:
    # The axis names the setting, so its type is not known here.
    setting: dict[str, Any] = {axis.name: value}
    if axis.name == "k":
        setting = {"scale": repr(float(value))}
    return predict(replace(experiment, **setting)).variance


def _finish_x(axes: Axes, scale: _Scale, width: float) -> None:
    """Set scale and ticks of the x axis, with as many labels of values as fit."""
    if scale.is_log:
        axes.set_xscale("log")
    axes.margins(x=0.06)
    values, length = scale.values, 72.0 * width * 0.72
    ticks = _ticks(scale, length)
    axes.set_xticks(ticks, [page.tick(value) for value in ticks])
    others = sorted({*values} - {*ticks}) if len(values) <= _MOST_PLACES else []
    axes.xaxis.set_minor_locator(FixedLocator(others))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _ticks(scale: _Scale, length: float) -> list[float]:
    """Return the ticks with labels on an axis of a length in points."""
    values = scale.values
    if len(values) <= _MOST_PLACES:
        strides = (values[::-1][::step] for step in range(1, len(values) + 1))
        return next(some for some in strides if scale.has_room(some, length))
    if scale.is_log:
        return page.log_ticks(math.log10(values[0]), math.log10(values[-1]), 5)
    ticks = MaxNLocator(5).tick_values(values[0], values[-1])
    return [float(tick) for tick in ticks if values[0] <= tick <= values[-1]]
