"""Figures of deep stacks: signals forward and gradients backward along the layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, MultipleLocator

from varsim.fields.rounding import significant
from varsim.plots import page
from varsim.plots.activations import draw_distributions, with_distribution
from varsim.plots.axes import check_drawable, finish_variances, with_ends, without_marker
from varsim.plots.layout import Layout, stack_layout
from varsim.stack.result import LAYERS, LayerResult
from varsim.statistics import Estimate
from varsim.study import Drawn

# Most markers of a line without overlaps.
_MOST_MARKERS = 18


@dataclass(frozen=True)
class Direction:
    """One direction through a stack, forward or backward: the values of a layer in its panel.

    Attributes:
        label: Label of the axis.
        theory: The mean square by theory.
        estimate: The measured mean square with its error.
        spread: Its relative variance between networks.
        typical: Its median over networks if a few networks carry the mean.
    """

    label: str
    theory: Callable[[LayerResult], float | None]
    estimate: Callable[[LayerResult], Estimate | None]
    spread: Callable[[LayerResult], float | None]
    typical: Callable[[LayerResult], float | None]

    def value(self, row: LayerResult) -> float | None:
        """Return the measured mean square."""
        estimate = self.estimate(row)
        return None if estimate is None else estimate.value

    def band(self, row: LayerResult) -> tuple[float, float]:
        """Return the value ± one standard deviation between networks, for log-normal values."""
        value, spread = self.value(row), self.spread(row)
        if not value or spread is None:
            return math.nan, math.nan
        square = math.log1p(spread)
        middle, factor = value * math.exp(-square / 2), math.exp(math.sqrt(square))
        return middle / factor, middle * factor

    def interval(self, row: LayerResult) -> tuple[float, float]:
        """Return the ends of the interval of the measured value."""
        estimate = self.estimate(row)
        return (math.nan, math.nan) if estimate is None else estimate.interval(row.confidence)


FORWARD = Direction(
    label=LAYERS.by_name["empirical"].axis,
    theory=lambda row: row.theory,
    estimate=lambda row: row.forward,
    spread=lambda row: row.spread,
    typical=lambda row: _positive(row.median) if row.signals_are_heavy else None,
)

BACKWARD = Direction(
    label=LAYERS.by_name["gradient"].axis,
    theory=lambda row: row.gradient_theory,
    estimate=lambda row: row.back,
    spread=lambda row: row.gradient_spread,
    typical=lambda row: _positive(row.gradient_median) if row.gradients_are_heavy else None,
)


def stack_figure(rows: Sequence[LayerResult], width: float) -> Drawn:
    """Return the figure of deep stacks.

    Raises:
        InputError: A number is too large for an axis.
    """
    check_drawable(rows)
    plan = stack_layout(rows)
    figure, caption = _panels(plan, width)
    remarks = plan.crowding("stacks")
    if len(plan.lines) > 1 and any(row.counts for row in plan.rows):
        remarks.append("The distribution of activations is drawn for a single stack only.")
    return Drawn(figure, caption, remarks)


def _panels(plan: Layout[LayerResult], width: float) -> tuple[Figure, str]:
    """Return a figure with its panels, and its caption.

    There is a panel per direction, one of correlations if inputs are correlated, and one of
    activations if there is a single stack with histograms.
    """
    rows = plan.rows
    both = any(row.gradient is not None or row.gradient_theory is not None for row in rows)
    directions = [FORWARD, BACKWARD] if both else [FORWARD]
    distributions = len(plan.lines) == 1 and bool(with_distribution(rows))
    correlated = any(row.question.correlation for row in rows)
    heights = [3.0] * (len(directions) + correlated) + [4.0] * distributions
    handles = page.handles_of_lines(plan, width)
    figure = page.blank(width, 0.75 + 0.36 * sum(heights), handles)
    panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    # One layer in a stride has a marker.
    stride = max(1, math.ceil(max(len(line.rows) for line in plan.lines) / _MOST_MARKERS))
    for axes, direction in zip(panels, directions, strict=False):
        _draw_panel(axes, plan, direction, stride)
    along = panels[: len(directions) + correlated]
    correlations = _draw_correlations(along[-1], plan, stride) if correlated else ""
    _finish_layers(along, rows)
    remarks = draw_distributions(panels[-1], rows) if distributions else []
    figure.align_ylabels()
    page.legend(figure, handles)
    every = "" if stride == 1 else f"Markers: one layer in {stride}."
    reading = "{error bars}; bands: one deviation between networks."
    remarks = [correlations, *_remarks(rows, directions), *remarks]
    return figure, page.caption_of(plan, every, reading, *remarks)


def _draw_panel(axes: Axes, plan: Layout[LayerResult], direction: Direction, stride: int) -> None:
    lines = len(plan.lines)
    for place, (line, mark) in enumerate(zip(plan.lines, page.MARKS, strict=False)):
        layers, bands = [row.layer for row in line.rows], list(map(direction.band, line.rows))
        axes.fill_between(
            layers, [low for low, _ in bands], [high for _, high in bands], color=mark.color,
            alpha=0.22 if lines == 1 else 0.13, linewidth=0.0, gid="band",
        )  # fmt: skip
        theory = [_positive(direction.theory(row)) for row in line.rows]
        for drawn in page.draw_known(
            axes, layers, theory, "y", gid="theory", color=mark.color, linestyle=mark.linestyle
        ):
            if len(theory) - theory.count(None) == 1:  # a line needs two ends
                drawn.set(linestyle="none", marker="_", markersize=page.points(9.0))
        marked = [
            row
            for i, row in enumerate(line.rows)
            if direction.value(row) is not None
            and (i % stride == place * stride // lines or row.agrees is False)
        ]
        layers = [row.layer for row in marked]
        page.draw_estimates(
            axes, marked, direction.estimate, layers, "y", color=mark.color, marker=mark.marker,
            markersize=page.points(4.5 if stride == 1 else 3.6),
        )  # fmt: skip
        page.draw_known(
            axes, layers, list(map(direction.typical, marked)), "y", gid="median", color=mark.color,
            linestyle="none", marker="x", markersize=page.points(2.4),
            markeredgewidth=page.points(0.7),
        )  # fmt: skip
    values = [
        value
        for row in plan.rows
        for value in (direction.theory(row), direction.value(row), direction.typical(row))
        if value and value > 0.0
    ]
    ends = [end for row in plan.rows for end in (*direction.band(row), *direction.interval(row))]
    finish_variances(axes, with_ends(values, ends) or [1.0], "y", always_log=True)
    axes.set_ylabel(direction.label)


def _draw_correlations(axes: Axes, plan: Layout[LayerResult], stride: int) -> str:
    """Draw the correlations between inputs; return sentences for the caption.

    Those of independent and of equal inputs have no error bars.
    """
    axes.axhline(1.0, color=page.GREY, linewidth=page.points(0.8))
    values = [1.0]
    lines = len(plan.lines)
    for place, (line, mark) in enumerate(zip(plan.lines, page.MARKS, strict=False)):
        layers = [row.layer for row in line.rows]
        theory = [row.correlation_theory for row in line.rows]
        page.draw_known(
            axes, layers, theory, "y", gid="theory", color=mark.color, linestyle=mark.linestyle
        )
        marked = [row for i, row in enumerate(line.rows) if i % stride == place * stride // lines]
        look: dict[str, Any] = {
            "color": mark.color, "marker": mark.marker,
            "markersize": page.points(4.5 if stride == 1 else 3.6),
        }  # fmt: skip
        layers = [row.layer for row in marked]
        page.draw_estimates(axes, marked, lambda row: row.pairs, layers, "y", **look)
        others = [row.output_correlation if row.pairs is None else None for row in marked]
        page.draw_known(
            axes, layers, others, "y", gid="measured", linestyle="none", markerfacecolor="none",
            **look,
        )  # fmt: skip
        measured = [row.output_correlation for row in marked]
        values += [value for value in (*theory, *measured) if value is not None]
    axes.set(ylim=(max(-1.1, min(0.0, 1.1 * min(values))), 1.1))
    axes.yaxis.set_major_locator(MultipleLocator(0.25))
    axes.set_ylabel(LAYERS.by_name["output_correlation"].axis)
    sentences, chi = [], [row.chi for row in plan.rows if row.chi]
    if any(row.correlation_slack is None for row in plan.rows):
        sentences.append("Theory of corr[h] is at infinite width where there is no verdict on it.")
    if chi:
        ends = dict.fromkeys(significant(end, 3) for end in (min(chi), max(chi)))
        sentences.append(
            f"χ⊥ is {' to '.join(ends)}: below 1 inputs become alike (order), above 1 they part "
            "(chaos)."
        )
    return " ".join(sentences)


def _positive(value: float | None) -> float | None:
    """Return a positive value, which a logarithmic axis can show, else None."""
    return value if value is not None and value > 0.0 else None


def _finish_layers(panels: Sequence[Axes], rows: Sequence[LayerResult]) -> None:
    first, last = min(row.layer for row in rows), max(row.layer for row in rows)
    pad = 0.4 + 0.02 * (last - first)
    ticks = [t for t in MaxNLocator(6, integer=True).tick_values(first, last) if first < t <= last]
    if len(ticks) > 1 and ticks[0] - first < 0.07 * (last - first):
        del ticks[0]
    for axes in panels:
        axes.set_xlim(first - pad, last + pad)
        axes.set_xticks([first, *ticks])
        axes.tick_params(labelbottom=axes is panels[-1])
    panels[-1].set_xlabel(LAYERS.by_name["layer"].axis)


def _remarks(rows: Sequence[LayerResult], directions: Sequence[Direction]) -> Iterator[str]:
    if any(direction.typical(row) for direction in directions for row in rows):
        yield "Crosses: the median network, where few carry the mean."
    if any(row.empirical is None for row in rows):
        yield "Without a marker: overflow."
    yield without_marker(direction.value(row) for direction in directions for row in rows)
    if any(row.question.backward and row.gradient_theory is None for row in rows):
        yield "Without a line: no theory of gradients."
