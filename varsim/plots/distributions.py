"""The distribution of φ(h) in every layer of a deep stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from varsim.stack.result import LayerResult

_MOST_CURVES = 8

# Beyond this range of their root mean squares, layers are drawn over their own.
_RANGE = 12.0

# A share beyond the bins that is worth a word.
_BEYOND = 1e-3


class Curve(NamedTuple):
    """The density of φ(h) in a layer.

    Attributes:
        row: The layer.
        edges: Of the bins.
        heights: Its mean over every bin.
    """

    row: LayerResult
    edges: NDArray[np.floating]
    heights: NDArray[np.floating]


def has_counts(rows: Sequence[LayerResult]) -> bool:
    """Tell whether there is a distribution to draw."""
    return any(map(_is_drawable, rows))


def curves_of(rows: Sequence[LayerResult]) -> tuple[list[Curve], bool]:
    """Return the curves of some layers, the first and the last among them, and their unit.

    Returns:
        Curves, and whether φ(h) is over its root mean square of each layer.
    """
    usable = [row for row in rows if _is_drawable(row)]
    count = min(_MOST_CURVES, len(usable))
    places = [round(i * (len(usable) - 1) / max(1, count - 1)) for i in range(count)]
    chosen = [usable[place] for place in places]
    sizes = [row.rms_activation or 0.0 for row in chosen]
    relative = max(sizes) > _RANGE * min(sizes)
    return [_curve(row, row.rms_activation or 1.0 if relative else 1.0) for row in chosen], relative


def draw_distributions(axes: Axes, rows: Sequence[LayerResult]) -> list[str]:
    """Draw the distributions of layers, from light to dark; return what a caption should say."""
    curves, relative = curves_of(rows)
    colours = [colormaps["Blues"](shade) for shade in np.linspace(0.3, 1.0, len(curves))]
    for curve, colour in zip(curves, colours, strict=True):
        axes.stairs(curve.heights, curve.edges, color=colour, linewidth=0.9, baseline=None)
    highest = _highest(curves)
    axes.set_ylim(0.0, 1.1 * highest)
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel("φ(h) / its root mean square" if relative else "φ(h)")
    axes.set_ylabel("density")
    _explain(axes, [curve.row for curve in curves], colours)
    return list(_remarks(curves, highest))


def _remarks(curves: Sequence[Curve], highest: float) -> Iterator[str]:
    if any(curve.heights.max() > 1.1 * highest for curve in curves):
        yield "Peaks are cut."
    beyond = max(1.0 - (curve.heights * np.diff(curve.edges)).sum() for curve in curves)
    if beyond > _BEYOND:
        yield f"Up to {100 * beyond:.2g}% of a layer lie beyond the axis."


def _is_drawable(row: LayerResult) -> bool:
    return bool(row.histogram and row.counts and row.rms_activation and sum(row.counts))


def _curve(row: LayerResult, unit: float) -> Curve:
    assert row.histogram is not None  # noqa: S101  # has been chosen for it
    assert row.counts is not None  # noqa: S101
    low, width, number = row.histogram
    edges = (low + width * np.arange(number + 1)) / unit
    counts = np.array(row.counts, np.float64)
    return Curve(row, edges, np.asarray(counts[1:-1] / counts.sum() / width * unit))


def _highest(curves: Sequence[Curve]) -> float:
    """Return the highest density, but for single bins that stand out, as a ReLU's at 0."""
    tops = [np.sort(curve.heights)[-2:] for curve in curves]
    return max(float(top[0] if top[-1] > 3 * top[0] > 0 else top[-1]) for top in tops)


def _explain(axes: Axes, rows: Sequence[LayerResult], colours: Sequence[ColorType]) -> None:
    """Put a scale of the layers above the panel, with the share that is saturated or dead."""
    name = next((n for n in ("saturated", "dead") if getattr(rows[0], n) is not None), None)
    labels = [str(row.layer) for row in rows]
    if name is not None:
        labels = [
            f"{label}\n{_percent(getattr(row, name))}"
            for label, row in zip(labels, rows, strict=True)
        ]
    norm = BoundaryNorm(np.arange(len(rows) + 1) - 0.5, len(rows))
    scale = ScalarMappable(norm, ListedColormap(colours))
    bar = axes.figure.colorbar(
        scale, ax=axes, location="top", ticks=range(len(rows)), pad=0.02, aspect=40
    )
    bar.ax.set_xticklabels(labels, fontsize=6.0)
    bar.ax.tick_params(length=0, pad=1.5)
    bar.ax.minorticks_off()
    bar.set_label("layer" if name is None else f"layer, and share {name}", fontsize=7.0)


def _percent(share: float | None) -> str:
    return f"{100 * (share or 0.0):.{0 if (share or 0.0) >= 0.0995 else 1}f}%"
