"""Figures of one layer: a histogram, or variances and ratios by a swept number or by category."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from varsim.fields import Field
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

# Length of the x axis as a share of the width, and width of a character of its labels in points.
_AXIS_SHARE, _CHARACTER = 0.72, 4.8


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
    log, length = is_log(values, always=always_log), _AXIS_SHARE * 72.0 * width
    figure = page.blank(width, page.scaled_height(3.0, width), plan)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 4])
    bottom.axhline(1.0, color=page.GREY, linewidth=0.8)
    lines = len(plan.lines)
    # A shift in points per line, so that markers of equal ratios do not overlap.
    step = min(0.03 * length, 0.6 * length / len(values) / lines)
    for place, (line, mark) in enumerate(zip(plan.lines, page.MARKS, strict=False)):
        curve = _theory_curve(line, axis, np.geomspace if log else np.linspace)
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
        look = page.look_of(plan, mark)
        page.draw_estimates(top, line.rows, _estimate, places, "y", **look)
        shifted = offset_copy(
            bottom.transData, figure, (place - (lines - 1) / 2) * step, units="points"
        )
        page.draw_estimates(
            bottom, line.rows, _estimate, places, "y", relative=True, transform=shifted, **look
        )
    bottom.margins(x=0.06 + step / length * (lines - 1) / 2)
    _finish_x(bottom, values, length, log=log)
    page.finish_variances(top, _variances(plan.rows), "y", always_log=always_log)
    page.finish_ratios(bottom, plan.rows, "y")
    top.set_ylabel(_VARIANCE)
    bottom.set_xlabel(axis.axis)
    bottom.set_ylabel(_RATIO, fontsize=page.SMALL)
    figure.align_ylabels()
    page.legend_of_lines(figure, plan)
    dashes = "; dashes: theory given x" * any(r.conditional_theory is not None for r in plan.rows)
    reading = f"Lines: theory{dashes}; markers: measured, {{intervals}}."
    return figure, page.caption_of(plan, reading, _without_marker(plan.rows))


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
    look = page.look_of(plan, page.MARKS[0])
    page.draw_estimates(left, rows, _estimate, places, "x", **look)
    page.draw_estimates(right, rows, _estimate, places, "x", relative=True, **look)
    left.set_ylim(len(labels) - 0.4, -0.6)
    names = [page.shortened(label, min(60, int(12.0 * width) - 8)) for label in labels]
    left.set_yticks(range(len(labels)), names, parse_math=False)
    left.tick_params(axis="y", labelsize=page.SMALL if max(map(len, names)) < 20 else 6.0)
    for axes, name in ((left, _VARIANCE), (right, _RATIO)):
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel(textwrap.fill(name, max(10, int(5.0 * width))), fontsize=page.SMALL)
    page.finish_variances(left, _variances(rows), "x")
    page.finish_ratios(right, rows, "x")
    measured = page.handle("measured", page.MARKS[0]._replace(linestyle="none"))
    page.legend(figure, [*handles, measured])
    return figure, page.caption_of(plan, "Markers: measured, {intervals}.", _without_marker(rows))


def _estimate(row: Result) -> Estimate:
    return row.estimate


def _without_marker(rows: Sequence[Result]) -> str:
    return page.without_marker(row.empirical for row in rows)


def _variances(rows: Sequence[Result]) -> list[float]:
    """Return the nonzero variances, measured and by theory, and the ends of intervals."""
    values = [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]
    return page.with_ends(values, [end for row in rows for end in (row.ci_low, row.ci_high)])


def _theory_curve(
    line: Line[Result],
    axis: Field[Result, object],
    space: Callable[[float, float, int], NDArray[np.float64]],
) -> dict[float, float]:
    """Return the variance by theory along a line, at its rows and at points between them."""
    curve = {axis.number(row) or 0.0: row.theory for row in line.rows}
    low, high = min(curve), max(curve)
    if low < high:
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


def _finish_x(axes: Axes, values: Sequence[float], length: float, *, log: bool) -> None:
    """Set scale and ticks of the x axis; a few values have ticks, with as many labels as fit.

    Args:
        axes: The panel.
        values: The values in ascending order.
        length: Length of the axis in points.
        log: Whether the axis is logarithmic.
    """
    if log:
        axes.set_xscale("log")
    if len(values) <= _MOST_PLACES:
        places = np.log(values) if log else np.array(values)
        widest = _CHARACTER * (max(len(page.tick(value)) for value in values) + 1)
        gap, last, labelled = widest / length * np.ptp(places), math.inf, []
        for value, place in zip(values[::-1], places[::-1], strict=True):
            if place <= last - gap:
                last = place
                labelled.append(value)
        axes.set_xticks(labelled, list(map(page.tick, labelled)))
        axes.set_xticks(values, minor=True)
        axes.xaxis.set_minor_formatter(NullFormatter())
    elif log:
        page.set_log_ticks(axes.xaxis, math.log10(values[0]), math.log10(values[-1]), 5)
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))
