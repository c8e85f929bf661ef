"""What all figures share: their look, legend, caption, error bars and axes of variances.

Figures are made for a column of a paper, for print in black and white, and for every eye.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from varsim.fields import level
from varsim.fields.rounding import significant
from varsim.plots.layout import Layout, is_log
from varsim.statistics import Estimate

COLUMN = 3.4
"""Inches of a paper's column."""

GREY, PALE = "#666666", "#C9D6E2"

SMALL = 7.0
"""Points of a label that is no longer than its panel."""

_CAPTION_SIZE = 6.0

# Points of a character, and of what stands beside a label of the legend.
_CHARACTER, _HANDLE = 3.9, 34.0

# Ticks of an axis of variances, and the share of its decades beyond them at either end.
_TICKS, _BEYOND = {"x": 3, "y": 5}, {"x": 0.1, "y": 0.07}


class Mark(NamedTuple):
    """How a line is told from others: by any one of three things."""

    color: str
    marker: str
    linestyle: Any


MARKS = [
    Mark("#0072B2", "o", "-"),
    Mark("#D55E00", "s", (0, (5, 1.5))),
    Mark("#009E73", "^", (0, (5, 1.5, 1, 1.5))),
    Mark("#CC79A7", "D", (0, (1, 1.2))),
    Mark("#000000", "v", (0, (9, 2))),
    Mark("#E69F00", "P", (0, (5, 1.5, 1, 1.5, 1, 1.5))),
    Mark("#56B4E9", "X", (0, (2.5, 1))),
    Mark("#666666", "p", (0, (9, 2, 1, 2))),
]
"""Colours of Okabe & Ito (2008), without the yellow that white paper swallows."""

_RULES: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it looks the same everywhere
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "pdf.fonttype": 42,  # what journals ask for
    "svg.hashsalt": "varsim",  # else ids differ from one run to the next
}


def styled() -> AbstractContextManager[None]:
    """Return a context in which figures are made and saved, whatever a matplotlibrc says."""
    return style.context(["default", _RULES])


def blank(width: float, height: float, plan: Layout | None = None) -> Figure:
    """Return a figure of a size in inches, with room for a legend of lines, without overlaps."""
    labels = [] if plan is None else [line.label for line in plan.lines]
    figure = Figure(figsize=(width, height + 0.14 * _legend_rows(labels, width)))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03)
    return figure


def stretched(height: float, width: float) -> float:
    """Return the height of panels in inches, from what it is in a figure as wide as a column."""
    return height * math.sqrt(width / COLUMN)


def legend(figure: Figure, handles: Sequence[Patch | Line2D]) -> None:
    """Put a legend above the axes, where it covers nothing."""
    labels = [str(handle.get_label()) for handle in handles]
    rows = _legend_rows(labels, figure.get_figwidth())
    if rows:
        columns = -(-len(labels) // rows)
        figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def handle(label: str, mark: Mark) -> Line2D:
    """Return what a legend shows of a mark."""
    return Line2D([], [], **mark._asdict(), markerfacecolor="none", label=label)


def legend_of_lines(figure: Figure, plan: Layout) -> None:
    """Put a legend of the lines above the axes."""
    legend(
        figure, [handle(line.label, mark) for line, mark in zip(plan.lines, MARKS, strict=False)]
    )


def _legend_rows(labels: Sequence[str], width: float) -> int:
    """Return how many rows of a legend it takes for its columns to fit a width in inches."""
    for rows in range(1, len(labels) + 1):
        columns = [labels[i : i + rows] for i in range(0, len(labels), rows)]
        length = sum(max(map(len, column)) * _CHARACTER + _HANDLE for column in columns)
        if length < 72.0 * width:
            break
    return rows if any(labels) else 0


def caption(figure: Figure, plan: Layout, *sentences: str) -> None:
    """Put what was sampled below the axes, and sentences; ``{intervals}`` says what bars are."""
    rows, text = plan.rows, " ".join([plan.sampled, *sentences])
    if "{intervals}" in text:
        one_level = len({row.confidence for row in rows}) == 1
        text = text.replace("{intervals}", f"{level(rows)} intervals" if one_level else "intervals")
        text += " Filled: disagrees." * any(row.agrees is False for row in rows)
    if plan.left_out:
        text += f" {plan.left_out} more are not shown."
    text = text.replace(" = ", "\u00a0=\u00a0")  # which no line break parts
    text = textwrap.fill(text, int(figure.get_figwidth() * 22))
    figure.supxlabel(text, fontsize=_CAPTION_SIZE, color=GREY, x=0.01, ha="left")


def draw_known(
    axes: Axes, places: Sequence[float], values: Sequence[float | None], along: str, **look: Any
) -> list[Line2D]:
    """Draw the values that are known, along an axis; return the line, if there is one."""
    known = [
        (value, place) if along == "x" else (place, value)
        for place, value in zip(places, values, strict=True)
        if value is not None
    ]
    return axes.plot(*zip(*known, strict=True), **look) if known else []


def draw_estimates(  # noqa: PLR0913  # one line, and how it lies in its panel
    axes: Axes,
    rows: Sequence[Any],
    places: Sequence[float],
    along: str,
    mark: Mark,
    *,
    name: str = "estimate",
    relative: bool = False,
    size: float = 4.5,
) -> None:
    """Draw estimates with their intervals; those of rows that disagree are filled.

    Estimates lie along the axis ``"x"`` or ``"y"``, and the places of their rows along the other.
    The attribute ``name`` of a row is its estimate. With ``relative`` it is drawn over its claim,
    and left out without one.
    """
    for disagrees in (False, True):
        drawn = []
        for row, place in zip(rows, places, strict=True):
            estimate: Estimate = getattr(row, name)
            unit = estimate.claim if relative else 1.0
            if unit and (row.agrees is False) == disagrees:
                half_width = estimate.half_width(row.confidence)
                drawn.append((place, estimate.value / unit, half_width / unit))
        if drawn:
            names = ("y", "x", "xerr") if along == "x" else ("x", "y", "yerr")
            columns: dict[str, Any] = dict(zip(names, zip(*drawn, strict=True), strict=True))
            axes.errorbar(
                **columns, linestyle="none", marker=mark.marker, markersize=size, color=mark.color,
                markerfacecolor=mark.color if disagrees else "none", elinewidth=0.9, capsize=1.8,
                capthick=0.7,
            )  # fmt: skip


def finish_variances(
    axes: Axes, values: Sequence[float], along: str, *, always_log: bool = False
) -> None:
    """Choose scale, limits and ticks of an axis of variances: all from 0, or a decade or more."""
    axis, ticks = getattr(axes, f"{along}axis"), _TICKS[along]
    if not is_log(values, always=always_log):
        axes.set(**{f"{along}lim": (0.0, 1.25 * max(values, default=1.0))})
        axis.set_major_locator(MaxNLocator(ticks))
        return
    low, high = min(values), max(values)
    pad = max(1.4, (high / low) ** _BEYOND[along], math.sqrt(12.0 * low / high))
    axes.set(**{f"{along}scale": "log", f"{along}lim": (low / pad, high * pad)})
    if high / low > 100.0 or along == "x":
        axis.set_major_locator(LogLocator(numticks=ticks + 1))
    else:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(lambda value, _: significant(value, 3))
    axis.set_minor_locator(NullLocator())
