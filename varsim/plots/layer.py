"""Figures of one layer: a histogram, or variances and ratios by a swept number or by category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from varsim.fields import Field
from varsim.fields.values import WHOLE
from varsim.layer.question import Experiment
from varsim.layer.result import RESULTS, Result
from varsim.layer.theory import predict
from varsim.plots import page
from varsim.plots.axes import (
    check_drawable,
    finish_ratios,
    finish_swept,
    finish_variances,
    length_of,
    with_ends,
    without_marker,
)
from varsim.plots.categories import category_panels, draw_line_at_one
from varsim.plots.histogram import histogram_figure
from varsim.plots.layout import MOST_CATEGORIES, Layout, Line, is_log, layer_layout
from varsim.statistics import Estimate
from varsim.study import Drawn

_VARIANCE, _RATIO = RESULTS.by_name["empirical"].axis, RESULTS.by_name["ratio"].axis

_GIVEN = "theory given x"

_CURVE_POINTS = 60


def layer_figure(rows: Sequence[Result], width: float) -> Drawn:
    """Return the figure of results: a histogram, lines or categories.

    A single row with a histogram gives the histogram. Rows along a swept number give lines; all
    other rows give categories.

    Raises:
        InputError: A number is too large for an axis.
    """
    check_drawable(rows)
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
    log = is_log(values, always=always_log)
    is_given = any(row.conditional_theory is not None for row in plan.rows)
    handles = page.handles_of_lines(plan, width, dashes=_GIVEN if is_given else "")
    figure = page.blank(width, 3.0, handles)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 4])
    length = length_of(bottom)
    bottom.axhline(1.0, color=page.GREY, linewidth=page.points(0.8))
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
            markersize=page.points(9.0),
        )  # fmt: skip
        look = page.look_of(plan, mark)
        page.draw_estimates(top, line.rows, _estimate, places, "y", **look)
        shifted = offset_copy(
            bottom.transData, figure, page.points((place - (lines - 1) / 2) * step), units="points"
        )
        page.draw_estimates(
            bottom, line.rows, _estimate, places, "y", relative=True, transform=shifted, **look
        )
    bottom.margins(x=0.06 + step / length * (lines - 1) / 2)
    finish_swept(bottom, values, log=log)
    finish_variances(top, _variances(plan.rows), "y", always_log=always_log)
    finish_ratios(bottom, plan.rows, _estimate, "y")
    top.set_ylabel(_VARIANCE)
    bottom.set_xlabel(axis.axis)
    bottom.set_ylabel(_RATIO, fontsize=page.points(page.SMALL))
    figure.align_ylabels()
    page.legend(figure, handles)
    return figure, page.caption_of(plan, "{error bars}.", _without_marker(plan.rows))


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
    color, marker = page.MARKS[0].color, page.MARKS[0].marker
    centres = list(map(round, places))
    claims: dict[str, tuple[Sequence[float | None], str]] = {
        "theory": ([row.theory for row in rows], "black"),
        _GIVEN: ([row.conditional_theory for row in rows], page.MARKS[1].color),
    }
    known = {label: each for label, each in claims.items() if any(v is not None for v in each[0])}
    handles = [page.handle(label, shade, "|") for label, (_, shade) in known.items()]
    handles += page.measured_handles(plan, color, marker)
    figure, left, right, length = category_panels(width, labels, (_VARIANCE, _RATIO), handles)
    draw_line_at_one(right)
    for values, shade in known.values():
        page.draw_known(
            left, centres, values, "x", color=shade, linestyle="none", marker="|",
            markersize=page.points(10.0),
        )  # fmt: skip
    look = page.look_of(plan, page.MARKS[0])
    page.draw_estimates(left, rows, _estimate, places, "x", **look)
    page.draw_estimates(right, rows, _estimate, places, "x", relative=True, **look)
    finish_variances(left, _variances(rows), "x")
    finish_ratios(right, rows, _estimate, "x", length)
    return figure, page.caption_of(plan, "{error bars}.", _without_marker(rows))


def _estimate(row: Result) -> Estimate:
    return row.estimate


def _without_marker(rows: Sequence[Result]) -> str:
    return without_marker(row.empirical for row in rows)


def _variances(rows: Sequence[Result]) -> list[float]:
    """Return the nonzero variances, measured and by theory, and the ends of intervals."""
    values = [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]
    return with_ends(values, [end for row in rows for end in (row.ci_low, row.ci_high)])


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
