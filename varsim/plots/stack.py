"""Deep stacks: variances forward and gradients backward against the layer."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from varsim.plots.distributions import draw_distributions, has_counts
from varsim.plots.parts import (
    COLUMN,
    blank,
    finish_variance,
    legend,
    legend_rows,
    write_caption,
)
from varsim.plots.style import MARKS, Mark
from varsim.report.rows import seeds, span
from varsim.stack.result import LAYERS, LayerResult
from varsim.statistics import Estimate

FORWARD, BACKWARD = "E h²", "E (∂h)²"

MOST_STACKS = len(MARKS)
"""More stacks than this are not told apart."""

# As many layers of a stack have markers beside each other without touching.
_MARKED = 18


class Stack(NamedTuple):
    """The layers of one deep stack.

    Attributes:
        label: What tells it from the others.
        rows: Its layers, from the first on.
    """

    label: str
    rows: list[LayerResult]


class Stacks(NamedTuple):
    """A figure to be.

    Attributes:
        stacks: Those that are drawn.
        left_out: Number of stacks that there is no room for.
        shared: Settings that all have in common, in words.
    """

    stacks: list[Stack]
    left_out: int
    shared: list[str]

    @property
    def rows(self) -> list[LayerResult]:
        """All layers that are in the figure."""
        return [row for stack in self.stacks for row in stack.rows]


class Point(NamedTuple):
    """What one panel shows of one layer; None for all that is not known.

    Attributes:
        layer: Where.
        theory: By theory.
        mean: As it was measured.
        error: Half the interval of the mean.
        spread: Relative variance between networks.
        median: That of the typical network, where few networks carry the mean.
        agrees: The verdict.
    """

    layer: int
    theory: float | None
    mean: float | None
    error: float | None
    spread: float | None
    median: float | None
    agrees: bool | None

    def band(self) -> tuple[float, float] | None:
        """Return one deviation between networks to either side, as if they were log-normal."""
        if not self.mean or self.spread is None:
            return None
        square = math.log1p(self.spread)
        middle, factor = self.mean * math.exp(-square / 2), math.exp(math.sqrt(square))
        return middle / factor, middle * factor


def forward(row: LayerResult) -> Point:
    """Return what there is of E h²."""
    median = row.median if row.signals_are_heavy else None
    return _point(row, row.theory, row.forward, row.spread, median)


def backward(row: LayerResult) -> Point:
    """Return what there is of E (∂h)²."""
    median = row.gradient_median if row.gradients_are_heavy else None
    estimate, theory = row.back, row.gradient_theory
    return _point(row, theory, estimate, row.gradient_spread, median)


def _point(
    row: LayerResult,
    theory: float | None,
    estimate: Estimate | None,
    spread: float | None,
    median: float | None,
) -> Point:
    if estimate is None or not estimate.value:
        mean = None if estimate is None else estimate.value
        return Point(row.layer, theory, mean, None, None, median, row.agrees)
    error = estimate.half_width(row.confidence)
    return Point(row.layer, theory, estimate.value, error, spread, median, row.agrees)


def stacks_of(rows: Sequence[LayerResult]) -> Stacks:
    """Return how layers are to be drawn.

    Args:
        rows: At least one.
    """
    found: dict[tuple[str, int, int], dict[int, LayerResult]] = {}
    for row in rows:
        found.setdefault((row.key, row.seed, row.networks), {})[row.layer] = row
    stacks = [[layers[place] for place in sorted(layers)] for layers in found.values()]
    phrases = [_phrases(stack) for stack in stacks]
    shared = [name for name in phrases[0] if len({each[name] for each in phrases}) == 1]
    labels = [
        ", ".join(text for name, text in each.items() if name not in shared and text)
        for each in phrases
    ]
    kept = [Stack(label, stack) for label, stack in zip(labels, stacks, strict=True)]
    common = [phrases[0][name] for name in shared if phrases[0][name]]
    return Stacks(kept[:MOST_STACKS], max(0, len(kept) - MOST_STACKS), common)


def layer_figure(plan: Stacks, width: float) -> Figure:
    """Return the figure of deep stacks."""
    rows, labels = plan.rows, [stack.label for stack in plan.stacks]
    both = any(row.gradient is not None or row.gradient_theory is not None for row in rows)
    distributions = len(plan.stacks) == 1 and has_counts(rows)
    heights = [3.0] * (1 + both) + [4.0] * distributions
    height = 0.75 + sum(heights) * 0.36 * (width / COLUMN) ** 0.5
    figure = blank(width, height + 0.14 * legend_rows(labels, width))
    panels = list(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])
    variances = panels[: 1 + both]
    for axes, name, point_of in zip(
        variances, (FORWARD, BACKWARD), (forward, backward), strict=False
    ):
        points = [[point_of(row) for row in stack.rows] for stack in plan.stacks]
        _draw_panel(axes, points)
        axes.set_ylabel(name)
    _finish_layers(variances, rows)
    remarks = draw_distributions(panels[-1], rows) if distributions else []
    figure.align_ylabels()
    legend(figure, [_handle(*pair) for pair in zip(plan.stacks, MARKS, strict=False)])
    write_caption(figure, [*_caption(plan, both=both), *remarks])
    return figure


def _handle(stack: Stack, mark: Mark) -> Line2D:
    return Line2D(
        [], [], color=mark.colour, marker=mark.marker, linestyle=mark.dashes,
        markerfacecolor="none", label=stack.label,
    )  # fmt: skip


def _draw_panel(axes: Axes, stacks: Sequence[Sequence[Point]]) -> None:
    stride = _stride(stacks)
    for place, (points, mark) in enumerate(zip(stacks, MARKS, strict=False)):
        _draw_band(axes, points, mark, 0.22 if len(stacks) == 1 else 0.13)
        _draw_theory(axes, points, mark)
        start = place * stride // len(stacks)
        shown = [p for i, p in enumerate(points) if i % stride == start or p.agrees is False]
        _draw_measured(axes, [p for p in shown if p.mean], mark, 4.5 if stride == 1 else 3.6)
    points = [point for each in stacks for point in each]
    values = [v for p in points for v in (p.theory, p.mean, p.median) if v and v > 0.0]
    ends = [end for point in points for end in point.band() or () if end > 0.0]
    if values:  # bands that reach much farther end at the axis
        values += [min(max(end, min(values) / 3.0), 3.0 * max(values)) for end in ends]
    finish_variance(axes, values or [1.0], always_log=True)


def _stride(stacks: Sequence[Sequence[Any]]) -> int:
    """Return of how many layers one is marked."""
    return max(1, math.ceil(max(map(len, stacks)) / _MARKED))


def _draw_band(axes: Axes, points: Sequence[Point], mark: Mark, alpha: float) -> None:
    ends = [point.band() or (math.nan, math.nan) for point in points]
    axes.fill_between(
        [point.layer for point in points], [low for low, _ in ends], [high for _, high in ends],
        color=mark.colour, alpha=alpha, linewidth=0.0, gid="band",
    )  # fmt: skip


def _draw_theory(axes: Axes, points: Sequence[Point], mark: Mark) -> None:
    known = [(point.layer, point.theory) for point in points if (point.theory or 0.0) > 0.0]
    if not known:
        return
    look: dict[str, Any] = {"linestyle": mark.dashes}
    if len(known) == 1:  # a line has two ends
        look = {"linestyle": "none", "marker": "_", "markersize": 9.0}
    axes.plot(*zip(*known, strict=True), color=mark.colour, gid="theory", **look)


def _draw_measured(axes: Axes, points: Sequence[Point], mark: Mark, size: float) -> None:
    for agrees in (True, False):
        chosen = [point for point in points if (point.agrees is not False) == agrees]
        if chosen:
            axes.errorbar(
                [p.layer for p in chosen], [p.mean or 0.0 for p in chosen],
                yerr=[p.error or 0.0 for p in chosen], linestyle="none", marker=mark.marker,
                markersize=size, color=mark.colour, elinewidth=0.9, capsize=1.8, capthick=0.7,
                markerfacecolor="none" if agrees else mark.colour,
            )  # fmt: skip
    typical = [(point.layer, point.median) for point in points if point.median]
    if typical:
        axes.plot(
            *zip(*typical, strict=True), linestyle="none", marker="x", markersize=2.4,
            markeredgewidth=0.7,
            color=mark.colour, gid="median",
        )  # fmt: skip


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
    panels[-1].set_xlabel("layer")


def _phrases(rows: Sequence[LayerResult]) -> dict[str, str]:
    """Return a stack's settings in words, without those that are as usual."""
    row = rows[0]
    fields = [LAYERS.by_name[name] for name in LAYERS.settings]
    phrases = {
        field.name: field.phrase.format(text)
        if (text := field.text(row)) and (field.always or not field.usual(row))
        else ""
        for field in fields
    }
    return phrases | {
        "widths": _widths(rows),
        "depth": f"{row.depth} layer{'s' * (row.depth > 1)}",
        "batch": f"batch {row.question.batch:,}",
        "networks": f"{row.networks:,} networks",
        "seed": seeds([row]),
    }


def _widths(rows: Sequence[LayerResult]) -> str:
    """Return the widths of a stack in a few words."""
    widths = [rows[0].fan_in, *(row.width for row in rows)]
    runs = [(width, len(list(run))) for width, run in itertools.groupby(widths)]
    if len(runs) == 1:
        return f"width {widths[0]}"
    if len(runs) > 4:
        return f"widths {span(widths)}"
    return "widths " + "-".join(f"{w}×{count}" if count > 1 else str(w) for w, count in runs)


def _caption(plan: Stacks, *, both: bool) -> Iterator[str]:
    """Yield what the axes do not say: how to read them, and what was sampled."""
    rows = plan.rows
    yield f"{', '.join(plan.shared)}.".replace(" ", " ")
    stride = _stride([stack.rows for stack in plan.stacks])
    levels = {row.confidence for row in rows}
    level = f"{100 * levels.pop():.12g}% " if len(levels) == 1 else ""
    every = "" if stride == 1 else f" of one layer in {stride}"
    yield f"Lines: theory; markers: measured{every}, with {level}intervals;"
    yield "bands: one deviation between networks."
    yield from _remarks(plan, both=both)


def _remarks(plan: Stacks, *, both: bool) -> Iterator[str]:
    rows = plan.rows
    ids = {caveat.id for row in rows for caveat in row.caveats}
    points: list[Callable[[LayerResult], Point]] = [forward, backward]
    if any(point_of(row).median for point_of in points for row in rows):
        yield "Crosses: the median network, where few carry the mean."
    if any(row.agrees is False for row in rows):
        yield "Filled: disagrees."
    if "overflow" in ids:
        yield "Without a marker: overflow."
    if both and "no-theory" in ids:
        yield "No theory of gradients through batch norm."
    if plan.left_out:
        yield f"{plan.left_out} more are not shown."
