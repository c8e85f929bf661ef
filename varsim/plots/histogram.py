"""The histogram of one row's outputs, over their density in theory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from varsim.layer.density import EXACT, NORMAL, density_of, normal
from varsim.layer.result import Result
from varsim.plots import page
from varsim.plots.layout import Layout
from varsim.statistics.moments import Bins

# Points of the theory's curve per bin.
_REFINEMENT = 16


def histogram_figure(plan: Layout[Result], bins: Bins, width: float) -> tuple[Figure, str]:
    """Return the figure of a single row with a histogram, and its caption.

    The upper panel has a linear axis, the lower one a logarithmic axis for the tails. The grid of
    theory is finer than the bins.
    """
    result = plan.rows[0]
    measured = densities(result.totals.counts or (), bins)
    theory = density_of(result, bins, _REFINEMENT)
    fine = bins.split(_REFINEMENT)
    limit = normal(fine, result.prediction.mean, result.theory, "normal limit")
    known = theory.heights
    if theory.has_pole:
        known = known.reshape(-1, _REFINEMENT).mean(axis=1)
    highest, floor = max(measured.max(), known.max()), 0.5 / (result.samples * bins.width)
    highest *= 1.05
    figure = page.blank(width, 3.1)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    middles = fine.edges[:-1] + fine.width / 2
    for axes, baseline in ((top, 0.0), (bottom, floor)):
        axes.stairs(measured, bins.edges, fill=True, color=page.PALE, baseline=baseline)
        lines = axes.plot(middles, theory.heights, color=page.MARKS[0].color, label=theory.name)
        if theory.name == EXACT:
            lines += axes.plot(
                middles, limit.heights, color=page.GREY, linestyle=(0, (4, 1.5)), label=limit.name,
                zorder=1.9,  # just below the density
            )  # fmt: skip
    top.set(ylim=(0.0, highest), ylabel="density")
    top.yaxis.set_major_locator(MaxNLocator(5))
    bottom.set(yscale="log", ylim=(floor, highest if theory.has_pole else 3.0 * highest))
    bottom.set(xlabel="output of x @ W", ylabel="density (log)")
    bottom.yaxis.set_major_locator(LogLocator(numticks=5))
    bottom.yaxis.set_minor_locator(NullLocator())
    bottom.xaxis.set_major_locator(MaxNLocator(6))
    bottom.margins(x=0.01)
    figure.align_ylabels()
    page.legend(figure, [Patch(color=page.PALE, label="measured"), *lines])
    is_cut = theory.has_pole and theory.heights.max() > highest
    return figure, page.caption_of(plan, *_remarks(result, theory.name, is_cut=is_cut))


def _remarks(result: Result, theory: str, *, is_cut: bool) -> Iterator[str]:
    counts = result.totals.counts or (0, 0)
    beyond = counts[0] + counts[-1]
    if is_cut:
        yield "The exact density is infinite at 0, and cut there."
    if beyond:
        yield f"{beyond:,} lie beyond the axis."
    if theory == NORMAL:
        reason = "the outputs lie on a lattice, or D is too large"
        if result.question.init is not None:
            reason = "an initializer made W"
        yield f"No exact density: {reason}."


def densities(counts: Sequence[int], bins: Bins) -> NDArray[np.float64]:
    """Return the density per bin, from counts whose first and last are those beyond the bins."""
    return np.array(counts[1:-1], np.float64) / (sum(counts) * bins.width)
