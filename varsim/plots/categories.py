"""Variance and ratio of rows between which no number was swept."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from varsim.layer.result import Result
from varsim.plots.layout import Layout
from varsim.plots.parts import (
    RATIO,
    VARIANCE,
    blank,
    caption,
    intervals,
    legend,
    variances,
)
from varsim.plots.style import GREY, MARKS


def category_figure(plan: Layout, width: float) -> Figure:
    """Return the figure of rows between which no number was swept, a row each."""
    labels = [line.label for line in plan.lines for _ in line.results]
    rows = plan.results
    figure = blank(width, 1.25 + 0.19 * len(rows))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    right.axvline(1.0, color=GREY, linewidth=0.8)
    for place, row in enumerate(rows):
        _draw_row(left, right, place, row)
    left.set_ylim(len(rows) - 0.4, -0.6)
    left.set_yticks(range(len(rows)), [textwrap.shorten(label, 34) for label in labels])
    left.tick_params(axis="y", labelsize=7.0 if max(map(len, labels)) < 20 else 6.0)
    left.tick_params(axis="y", length=0)
    right.tick_params(axis="y", length=0)
    _finish(left, right, rows)
    legend(figure, _handles(rows))
    caption(figure, plan, f"Bars: {intervals(rows)}")
    return figure


def _draw_row(left: Axes, right: Axes, place: int, row: Result) -> None:
    mark = MARKS[0]
    face = mark.colour if row.agrees is False else "none"
    common = {
        "marker": mark.marker, "color": mark.colour, "markerfacecolor": face, "capsize": 1.8,
        "elinewidth": 0.9, "capthick": 0.7, "linestyle": "none",
    }  # fmt: skip
    for theory, colour in ((row.theory, "black"), (row.conditional_theory, MARKS[1].colour)):
        if theory is not None:
            left.plot([theory], [place], marker="|", markersize=10, color=colour, linestyle="none")
    error = [[row.empirical - row.ci_low], [row.ci_high - row.empirical]]
    left.errorbar([row.empirical], [place], xerr=error, **common)  # type: ignore[arg-type]
    ends = row.estimate.ratio_interval(row.confidence)
    if row.ratio is not None and ends is not None:
        low, high = ends
        error = [[row.ratio - low], [high - row.ratio]]
        right.errorbar([row.ratio], [place], xerr=error, **common)  # type: ignore[arg-type]


def _finish(left: Axes, right: Axes, rows: Sequence[Result]) -> None:
    values = variances(rows)
    left.set_xlabel(VARIANCE, fontsize=7.0)
    right.set_xlabel(RATIO, fontsize=7.0)
    right.xaxis.set_major_locator(MaxNLocator(2))
    if values and min(values) > 0 and max(values) > 10 * min(values):
        left.set_xscale("log")
        pad = (max(values) / min(values)) ** 0.1
        left.set_xlim(min(values) / pad, max(values) * pad)
        left.xaxis.set_major_locator(LogLocator(numticks=4))
        left.xaxis.set_minor_locator(NullLocator())
    else:
        left.set_xlim(0.0, 1.25 * max(values, default=1.0))
        left.xaxis.set_major_locator(MaxNLocator(3))


def _handles(rows: Sequence[Result]) -> list[Line2D]:
    bar = {"linestyle": "none", "marker": "|", "markersize": 9}
    handles = [
        Line2D([], [], color="black", label="theory", **bar),  # type: ignore[arg-type]
        Line2D([], [], color=MARKS[0].colour, marker=MARKS[0].marker, linestyle="none",
               markerfacecolor="none", label="measured"),
    ]  # fmt: skip
    if any(row.conditional_theory is not None for row in rows):
        colour = MARKS[1].colour
        handles.insert(
            1,
            Line2D([], [], color=colour, label="theory given x", **bar),  # type: ignore[arg-type]
        )
    return handles
