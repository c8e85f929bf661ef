"""Variance along a number that was swept, and its ratio to theory below."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter

from varsim.fields.rounding import significant
from varsim.layer.result import Result
from varsim.layer.theory import predict
from varsim.plots.layout import Axis, Layout, Line, value_of
from varsim.plots.parts import (
    COLUMN,
    RATIO,
    VARIANCE,
    blank,
    caption,
    finish_variance,
    intervals,
    legend,
    legend_rows,
    plain,
    variances,
)
from varsim.plots.style import GREY, MARKS, Mark

_CURVE_POINTS = 60


def line_figure(plan: Layout, axis: Axis, width: float) -> Figure:
    """Return the figure of rows along a number."""
    labels = [line.label for line in plan.lines]
    figure = blank(width, 3.0 * (width / COLUMN) ** 0.5 + 0.14 * legend_rows(labels, width))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[5, 4])
    bottom.axhline(1.0, color=GREY, linewidth=0.8)
    for line, mark, shift in zip(plan.lines, MARKS, _shifts(plan, axis), strict=False):
        curve = list(_theory_curve(line, axis, is_log=plan.is_log))
        top.plot(*zip(*curve, strict=True), color=mark.colour, linestyle=mark.dashes, gid="theory")
        _draw_variances(top, line, [value_of(r, axis) for r in line.results], mark)
        _draw_ratios(bottom, line, [shift(value_of(r, axis)) for r in line.results], mark)
    _finish_x(bottom, plan, axis, width)
    finish_variance(top, variances(plan.results), always_log=axis.always_log)
    top.set_ylabel(VARIANCE)
    bottom.set_xlabel(axis.label)
    bottom.set_ylabel(RATIO, fontsize=7.0)  # no taller than its panel
    bottom.yaxis.set_major_locator(MaxNLocator(4))
    figure.align_ylabels()
    legend(figure, [_handle(line, mark) for line, mark in zip(plan.lines, MARKS, strict=False)])
    given = any(row.conditional_theory is not None for row in plan.results)
    theory = "Lines: theory; dashes: theory given x" if given else "Lines: theory"
    caption(figure, plan, f"{theory}; markers: measured, with {intervals(plan.results)}")
    return figure


def _handle(line: Line, mark: Mark) -> Line2D:
    return Line2D(
        [], [], color=mark.colour, marker=mark.marker, linestyle=mark.dashes,
        markerfacecolor="none", label=line.label,
    )  # fmt: skip


def _theory_curve(line: Line, axis: Axis, *, is_log: bool) -> Iterator[tuple[float, float]]:
    """Yield theory along a line: at its rows, and between them where it can be curved."""
    values = [value_of(result, axis) for result in line.results]
    space = np.geomspace if is_log else np.linspace
    between = space(min(values), max(values), _CURVE_POINTS).tolist()
    curve = {value_of(r, axis): r.theory for r in line.results}
    if len(curve) > 1:
        for value in between:
            whole = axis.field in {"dim", "fan_out"}
            place = round(value) if whole else min(max(value, min(values)), max(values))
            curve.setdefault(place, _theory_at(line, axis, place))
    yield from sorted(curve.items())


def _theory_at(line: Line, axis: Axis, value: float) -> float:
    experiment = line.results[0].question
    if axis.field == "k":
        return predict(replace(experiment, scale=repr(float(value)))).variance
    if axis.field == "dim" and all(r.fan_out == r.question.dim for r in line.results):
        return predict(replace(experiment, dim=int(value), fan_out=None)).variance
    return predict(replace(experiment, **{axis.field: value})).variance  # type: ignore[arg-type]


def _draw_variances(axes: Axes, line: Line, places: Sequence[float], mark: Mark) -> None:
    _errorbars(
        axes, line.results, mark, places,
        [r.empirical for r in line.results], [(r.ci_low, r.ci_high) for r in line.results],
    )  # fmt: skip
    given = [(p, r.conditional_theory) for p, r in zip(places, line.results, strict=True)]
    given = [(p, theory) for p, theory in given if theory is not None]
    if given:
        axes.plot(
            *zip(*given, strict=True), linestyle="none", marker="_", markersize=9,
            color=mark.colour, gid="given x",
        )  # fmt: skip


def _draw_ratios(axes: Axes, line: Line, places: Sequence[float], mark: Mark) -> None:
    rows = [(p, r) for p, r in zip(places, line.results, strict=True) if r.ratio is not None]
    _errorbars(
        axes, [r for _, r in rows], mark, [p for p, _ in rows],
        [r.ratio or 0.0 for _, r in rows],
        [r.estimate.ratio_interval(r.confidence) or (0.0, 0.0) for _, r in rows],
    )  # fmt: skip


def _errorbars(  # noqa: PLR0913, PLR0917  # one mark and three columns of numbers
    axes: Axes,
    results: Sequence[Result],
    mark: Mark,
    places: Sequence[float],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
) -> None:
    """Draw values with their intervals; a row that disagrees is filled."""
    for verdict in (False, True):
        chosen = [i for i, result in enumerate(results) if (result.agrees is not False) == verdict]
        if not chosen:
            continue
        errors = [
            [max(0.0, values[i] - intervals[i][0]) for i in chosen],
            [max(0.0, intervals[i][1] - values[i]) for i in chosen],
        ]
        axes.errorbar(
            [places[i] for i in chosen], [values[i] for i in chosen], yerr=errors,
            linestyle="none", marker=mark.marker, color=mark.colour, elinewidth=0.9, capsize=1.8,
            capthick=0.7, markerfacecolor="none" if verdict else mark.colour,
        )  # fmt: skip


def _shifts(plan: Layout, axis: Axis) -> list[Callable[[float], float]]:
    """Return how each line is moved sideways, so that equal ratios do not hide each other."""
    values = sorted({value_of(r, axis) for r in plan.results})
    scale: Callable[[float], float] = math.log if plan.is_log else float
    back: Callable[[float], float] = math.exp if plan.is_log else float
    places = [scale(value) for value in values]
    gaps = [b - a for a, b in itertools.pairwise(places)]
    step = min(0.6 * min(gaps, default=0.0) / len(plan.lines), 0.03 * (places[-1] - places[0]))
    middle = (len(plan.lines) - 1) / 2
    return [
        lambda value, by=(i - middle) * step: back(scale(value) + by)  # type: ignore[misc]
        for i in range(len(plan.lines))
    ]


def _finish_x(axes: Axes, plan: Layout, axis: Axis, width: float) -> None:
    if plan.is_log:
        axes.set_xscale("log")
    axes.margins(x=0.06)
    values = sorted({value_of(r, axis) for r in plan.results})
    strides = (values[::-1][::step] for step in range(1, len(values) + 1))
    kept = next(some for some in strides if _have_room(some, plan, 72.0 * width * 0.72))
    axes.set_xticks(kept, [plain(value) for value in kept])
    axes.xaxis.set_minor_locator(FixedLocator([v for v in values if v not in kept]))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _have_room(values: Sequence[float], plan: Layout, points: float) -> bool:
    """Tell whether the labels of falling values fit beside each other on an axis so long."""
    scale: Callable[[float], float] = math.log if plan.is_log else float
    places = [scale(value_of(r, plan.axis)) for r in plan.results if plan.axis is not None]
    whole = max(places) - min(places)
    return all(
        (scale(high) - scale(low)) / whole * points
        > 2.4 * (len(significant(low, 4)) + len(significant(high, 4))) + 4.0
        for high, low in itertools.pairwise(values)
    )
