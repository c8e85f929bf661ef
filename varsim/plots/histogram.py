"""The histogram of one row's outputs over their theoretical density, and its tails below."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from varsim.layer.density import EXACT, NORMAL, Density, density_of, normal
from varsim.layer.result import Result
from varsim.plots.layout import Layout, Line
from varsim.plots.parts import COLUMN, blank, caption, legend
from varsim.plots.style import GREY, MARKS, PALE
from varsim.statistics.moments import Bins

_DASHES = (0, (4, 1.5))


def histogram_figure(result: Result, bins: Bins, width: float) -> Figure:
    """Return the figure of a row that has a histogram."""
    counts = np.array(result.totals.counts or (0, 0, 0))[1:-1]
    theory, floor = density_of(result, bins), 0.5 / (result.samples * bins.width)
    figure = blank(width, 3.1 * (width / COLUMN) ** 0.5)
    panels = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    handles: list[Patch | Line2D] = [Patch(color=PALE, label="measured")]
    measured = counts / (result.samples * bins.width)
    edges = bins.low + bins.width * np.arange(bins.number + 1)
    for axes, bottom in zip(panels, (0.0, floor), strict=True):
        axes.stairs(measured, edges, fill=True, color=PALE, baseline=bottom, label="measured")
    if theory.name == EXACT:
        limit = normal(bins, result.prediction.mean, result.theory)
        handles.append(_draw(panels, limit.heights, bins, "normal limit", GREY))
    handles.append(_draw(panels, theory.heights, bins, theory.name, MARKS[0].colour))
    _finish(panels, max(measured.max(), theory.heights.max()), floor)
    legend(figure, [handles[0], *reversed(handles[1:])])
    caption(figure, Layout(None, [Line("", [result])]), *_remarks(result, counts, theory))
    return figure


def _draw(
    panels: NDArray[np.object_], heights: NDArray[np.floating], bins: Bins, name: str, colour: str
) -> Line2D:
    """Draw a density through the middles of the bins it is averaged over."""
    centres = bins.low + bins.width * (np.arange(bins.number) + 0.5)
    look: dict[str, Any] = {"color": colour, "linewidth": 1.0, "label": name}
    if colour == GREY:
        look["linestyle"] = _DASHES
    for axes in panels:
        axes.plot(centres, heights, **look)
    return Line2D([], [], **look)


def _finish(panels: NDArray[np.object_], highest: float, floor: float) -> None:
    top, bottom = panels
    top.set_ylim(0.0, 1.05 * highest)
    top.set_ylabel("density")
    bottom.set_yscale("log")
    bottom.set_ylim(floor, 3.0 * highest)
    bottom.set(xlabel="output of x @ W", ylabel="density (log)")
    bottom.yaxis.set_major_locator(LogLocator(numticks=5))
    bottom.yaxis.set_minor_locator(NullLocator())
    top.yaxis.set_major_locator(MaxNLocator(5))
    bottom.xaxis.set_major_locator(MaxNLocator(6))
    bottom.margins(x=0.01)
    top.figure.align_ylabels()


def _remarks(result: Result, counts: NDArray[np.int64], theory: Density) -> Iterator[str]:
    beyond = result.samples - int(counts.sum())
    if beyond:
        yield f"{beyond:,} lie beyond the axis."
    if theory.name == NORMAL:
        made = result.question.initializer is not None
        why = "an initializer made W" if made else "the outputs lie on a lattice, or D is too large"
        yield f"No exact density: {why}."
