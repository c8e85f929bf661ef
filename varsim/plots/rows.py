"""Variance of results and its ratio to theory: along a number that was swept, or by category."""

from __future__ import annotations

import itertools
import math
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

from varsim import fields as f
from varsim.fields import Field
from varsim.fields.rounding import significant
from varsim.layer.result import RESULTS, Result
from varsim.layer.theory import predict
from varsim.plots import page
from varsim.plots.layout import Layout, Line, is_log

_VARIANCE, _RATIO = RESULTS.by_name["empirical"].axis, RESULTS.by_name["ratio"].axis

_CURVE_POINTS = 60


class _Scale(NamedTuple):
    """The x axis: the values of all rows, rising, and whether it is logarithmic."""

    values: list[float]
    is_log: bool

    def place(self, value: float) -> float:
        """Return where a value is on the axis."""
        return math.log(value) if self.is_log else value

    def moved(self, value: float, shift: float) -> float:
        """Return the value so far beside another one on the axis."""
        place = self.place(value) + shift
        return math.exp(place) if self.is_log else place

    def distances(self, values: Sequence[float]) -> list[float]:
        """Return the distances between successive values."""
        return [abs(b - a) for a, b in itertools.pairwise(map(self.place, values))]

    def shifts(self, lines: int) -> list[float]:
        """Return how far each line is moved sideways, so that equal ratios stay apart."""
        gaps = self.distances(self.values)
        step = min(0.6 * min(gaps, default=0.0) / lines, 0.03 * sum(gaps))
        return [(i - (lines - 1) / 2) * step for i in range(lines)]

    def has_room(self, values: Sequence[float], points: float) -> bool:
        """Tell whether the labels of values fit beside each other on an axis so long."""
        widths = [2.4 * len(significant(value, 4)) for value in values]
        unit = points / (sum(self.distances(self.values)) or 1.0)
        return all(
            gap * unit > sum(pair) + 4.0
            for gap, pair in zip(self.distances(values), itertools.pairwise(widths), strict=True)
        )


def line_figure(plan: Layout, axis: Field, width: float) -> Figure:
    """Return the figure of rows along a number: variances above, and their ratios below."""
    values, always_log = sorted({float(axis.value(row)) for row in plan.rows}), axis.name == "dim"
    scale = _Scale(values, is_log(values, always=always_log))
    figure = page.blank(width, page.stretched(3.0, width), plan)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 4])
    bottom.axhline(1.0, color=page.GREY, linewidth=0.8)
    shifts = scale.shifts(len(plan.lines))
    for line, mark, shift in zip(plan.lines, page.MARKS, shifts, strict=False):
        curve = _theory_curve(line, axis, scale)
        page.draw_known(
            top, list(curve), list(curve.values()), "y", gid="theory", color=mark.color,
            linestyle=mark.linestyle,
        )  # fmt: skip
        places = [float(axis.value(row)) for row in line.rows]
        given = [row.conditional_theory for row in line.rows]
        page.draw_known(
            top, places, given, "y", gid="given x", color=mark.color, linestyle="none", marker="_",
            markersize=9.0,
        )  # fmt: skip
        page.draw_estimates(top, line.rows, places, "y", mark)
        places = [scale.moved(place, shift) for place in places]
        page.draw_estimates(bottom, line.rows, places, "y", mark, relative=True)
    _finish_x(bottom, scale, width)
    page.finish_variances(top, _variances(plan.rows), "y", always_log=always_log)
    top.set_ylabel(_VARIANCE)
    bottom.set_xlabel(axis.axis)
    bottom.set_ylabel(_RATIO, fontsize=page.SMALL)
    bottom.yaxis.set_major_locator(MaxNLocator(4))
    figure.align_ylabels()
    page.legend_of_lines(figure, plan)
    dashes = "; dashes: theory given x" * any(r.conditional_theory is not None for r in plan.rows)
    page.caption(figure, plan, f"Lines: theory{dashes}; markers: measured, with {{intervals}}.")
    return figure


def category_figure(plan: Layout, width: float) -> Figure:
    """Return the figure of rows one below the other: variances left, and their ratios right."""
    rows, places = plan.rows, range(len(plan.rows))
    labels = [line.label for line in plan.lines for _ in line.rows]
    figure = page.blank(width, 1.25 + 0.19 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    right.axvline(1.0, color=page.GREY, linewidth=0.8)
    handles: list[Line2D] = []
    for name, label, color in (
        ("theory", "theory", "black"),
        ("conditional_theory", "theory given x", page.MARKS[1].color),
    ):
        handles += page.draw_known(
            left, places, [getattr(row, name) for row in rows], "x", label=label, color=color,
            linestyle="none", marker="|", markersize=10.0,
        )  # fmt: skip
    page.draw_estimates(left, rows, places, "x", page.MARKS[0])
    page.draw_estimates(right, rows, places, "x", page.MARKS[0], relative=True)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_yticks(places, [textwrap.shorten(label, 34) for label in labels])
    left.tick_params(axis="y", labelsize=page.SMALL if max(map(len, labels)) < 20 else 6.0)
    for axes, name in ((left, _VARIANCE), (right, _RATIO)):
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(name, fontsize=page.SMALL)
    page.finish_variances(left, _variances(rows), "x")
    right.xaxis.set_major_locator(MaxNLocator(2))
    measured = page.handle("measured", page.MARKS[0]._replace(linestyle="none"))
    page.legend(figure, [*handles, measured])
    page.caption(figure, plan, "Bars: {intervals}.")
    return figure


def _variances(rows: Sequence[Result]) -> list[float]:
    """Return all variances, measured and theoretical, that are not 0."""
    return [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]


def _theory_curve(line: Line, axis: Field, scale: _Scale) -> dict[float, float]:
    """Return theory along a line: at its rows, and between them where it can be curved."""
    curve = {float(axis.value(row)): row.theory for row in line.rows}
    low, high = min(curve), max(curve)
    if low < high:
        space = np.geomspace if scale.is_log else np.linspace
        for value in space(low, high, _CURVE_POINTS).tolist():
            place = round(value) if axis.type is f.whole else min(max(value, low), high)
            curve.setdefault(place, _theory_at(line, axis, place))
    return dict(sorted(curve.items()))


def _theory_at(line: Line, axis: Field, value: float) -> float:
    experiment = line.rows[0].question
    if axis.name == "k":
        return predict(replace(experiment, scale=repr(float(value)))).variance
    if axis.name == "dim" and all(row.fan_out == row.dim for row in line.rows):
        experiment = replace(experiment, fan_out=None)
    return predict(replace(experiment, **{axis.name: value})).variance


def _finish_x(axes: Axes, scale: _Scale, width: float) -> None:
    """Label as many of the values, from the largest down, as there is room for."""
    if scale.is_log:
        axes.set_xscale("log")
    axes.margins(x=0.06)
    values = scale.values
    strides = (values[::-1][::step] for step in range(1, len(values) + 1))
    kept = next(some for some in strides if scale.has_room(some, 72.0 * width * 0.72))
    axes.set_xticks(kept, [_tick(value) for value in kept])
    axes.xaxis.set_minor_locator(FixedLocator([v for v in values if v not in kept]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _tick(value: float) -> str:
    """Return the label of a tick: digits, or a large power of ten as one."""
    power = round(math.log10(value)) if value >= 1e4 else 0
    return f"$10^{{{power}}}$" if power and value == 10.0**power else significant(value, 4)
