"""What figures share: legend, caption, and where a row is drawn."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from varsim.experiment import Result
from varsim.plots.style import CAPTION_SIZE, GREY
from varsim.report.results import settings_sentence, span

COLUMN = 3.4
"""Inches of a paper's column."""

VARIANCE, RATIO = "Var[x @ W]", "measured / theory"

# Points of a character, and of what stands beside a label of the legend.
_CHARACTER, _HANDLE = 3.9, 36.0


def blank(width: float, height: float) -> Figure:
    """Return a figure of a size in inches, laid out so that nothing overlaps."""
    figure = Figure(figsize=(width, height))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03)
    return figure


def legend_columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns of a legend fit a figure."""
    longest = max(map(len, labels), default=0)
    return max(1, min(4, len(labels), int(72.0 * width / (longest * _CHARACTER + _HANDLE))))


def legend(figure: Figure, handles: Sequence[Patch | Line2D]) -> None:
    """Put a legend above the axes, where it covers nothing."""
    labels = [str(handle.get_label()) for handle in handles]
    if any(labels):
        columns = legend_columns(labels, figure.get_figwidth())
        figure.legend(handles=list(handles), loc="outside upper center", ncols=columns)


def caption(figure: Figure, rows: Sequence[Result], *remarks: str) -> None:
    """Put what the axes do not say below them: how it was sampled, and how to read it."""
    samples = span([row.samples for row in rows])
    precisions = {row.precision for row in rows}
    precision = precisions.pop() if len(precisions) == 1 else None
    to = "" if precision is None else f", sampled to {100 * precision:.3g}%"
    sentences = [f"{samples} outputs a row{to}; {settings_sentence(rows)}.", *remarks]
    text = textwrap.fill(" ".join(sentences), int(figure.get_figwidth() * 22))
    figure.supxlabel(text, fontsize=CAPTION_SIZE, color=GREY, x=0.01, ha="left")


def intervals(rows: Sequence[Result]) -> str:
    """Return what the error bars are."""
    levels = {row.confidence for row in rows}
    level = f"{100 * levels.pop():.12g}% " if len(levels) == 1 else ""
    filled = " Filled: disagrees." if any(row.agrees is False for row in rows) else ""
    return f"{level}intervals.{filled}"


def ratio_interval(row: Result) -> tuple[float, float]:
    """Return the interval of a row's ratio."""
    held_to = row.theory if row.conditional_theory is None else row.conditional_theory
    return row.ci_low / held_to, row.ci_high / held_to


def variances(rows: Sequence[Result]) -> list[float]:
    """Return all variances, measured and theoretical, that are not 0."""
    return [v for r in rows for v in (r.theory, r.empirical, r.conditional_theory) if v]
