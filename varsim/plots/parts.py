"""What figures share: legend, caption, and where a row is drawn."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from varsim.fields.rounding import significant
from varsim.layer.result import RESULTS, Result
from varsim.plots.layout import Layout
from varsim.plots.style import CAPTION_SIZE, GREY
from varsim.report.rows import seeds, shared_settings, span

COLUMN = 3.4
"""Inches of a paper's column."""

VARIANCE, RATIO = "Var[x @ W]", "measured / theory"

# Points of a character, and of what stands beside a label of the legend.
_CHARACTER, _HANDLE = 3.9, 34.0


def blank(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03)
    return figure


def legend_rows(labels: Sequence[str], width: float) -> int:
    """Return how many rows of a legend it takes for its columns to fit a width in inches."""
    if not any(labels):
        return 0
    fitting = (rows for rows in range(1, len(labels)) if _length(labels, rows) < 72.0 * width)
    return next(fitting, len(labels))


def _length(labels: Sequence[str], rows: int) -> float:
    columns = [labels[i : i + rows] for i in range(0, len(labels), rows)]
    return sum(max(map(len, column)) * _CHARACTER + _HANDLE for column in columns)


def legend(figure: Figure, handles: Sequence[Patch | Line2D]) -> None:
    """Put a legend above the axes, where it covers nothing."""
    labels = [str(handle.get_label()) for handle in handles]
    rows = legend_rows(labels, figure.get_figwidth())
    if rows:
        columns = -(-len(labels) // rows)
        figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def caption(figure: Figure, plan: Layout, *remarks: str) -> None:
    """Put what the axes do not say below them: what was sampled, how, and how to read it."""
    rows = plan.results
    precisions = {row.question.precision for row in rows}
    precision = precisions.pop() if len(precisions) == 1 else None
    to = "" if precision is None else f", to {100 * precision:.3g}%"
    samples = f"{span([row.samples for row in rows])} outputs{' per row' * (len(rows) > 1)}{to}"
    settings = ", ".join([*_shared(plan), *shared_settings(rows, RESULTS), seeds(rows)])
    sentences = [f"{samples}; {settings}.", *remarks]
    if plan.left_out:
        sentences.append(f"{plan.left_out} more are not shown.")
    write_caption(figure, sentences)


def write_caption(figure: Figure, sentences: Iterable[str]) -> None:
    """Put sentences below the axes."""
    text = textwrap.fill(" ".join(sentences), int(figure.get_figwidth() * 22))
    figure.supxlabel(text, fontsize=CAPTION_SIZE, color=GREY, x=0.01, ha="left")


def _shared(plan: Layout) -> Iterator[str]:
    """Yield D, scale and k where all rows share them."""
    rows = plan.results
    values = (
        ("D", {str(row.question.dim) for row in rows}),
        ("scale", {row.question.scale for row in rows}),
        ("k", {significant(row.k) for row in rows}),
    )
    for name, shared in values:
        if len(shared) == 1:
            yield f"{name}\u00a0=\u00a0{shared.pop()}"  # which no line break parts


def plain(value: float) -> str:
    """Return the label of a tick: digits, or a large power of ten as one."""
    power = round(math.log10(value)) if value >= 1e4 else 0
    return f"$10^{{{power}}}$" if power and value == 10.0**power else significant(value, 4)


def intervals(rows: Sequence[Result]) -> str:
    """Return what the error bars are."""
    levels = {row.confidence for row in rows}
    level = f"{100 * levels.pop():.12g}% " if len(levels) == 1 else ""
    filled = " Filled: disagrees." if any(row.agrees is False for row in rows) else ""
    return f"{level}intervals.{filled}"


def variances(rows: Sequence[Result]) -> list[float]:
    """Return all variances, measured and theoretical, that are not 0."""
    return [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]


def finish_variance(axes: Axes, values: Sequence[float], *, always_log: bool) -> None:
    """Choose the scale of an axis of variances: at least a decade, or all from 0."""
    if not values or min(values) <= 0 or not (always_log or max(values) > 10 * min(values)):
        axes.set_ylim(0.0, 1.25 * max(values, default=1.0))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        return
    low, high = min(values), max(values)
    pad = max(1.4, (high / low) ** 0.07, math.sqrt(12.0 * low / high))
    axes.set_yscale("log")
    axes.set_ylim(low / pad, high * pad)
    if high / low > 100.0:
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
    else:
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(lambda value, _: significant(value, 3))
    axes.yaxis.set_minor_locator(NullLocator())
