"""The distributions of activations φ(h) in the layers of a stack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType
from numpy.typing import NDArray

from varsim.plots import page
from varsim.plots.histogram import densities
from varsim.stack.result import LayerResult

_MOST_CURVES = 8

# Above this ratio of their root mean squares, layers are drawn in units of them.
_LARGEST_RATIO = 12.0

# Up to this share beyond the bins has no remark.
_SMALL_SHARE = 1e-3


class Curve(NamedTuple):
    """The density of φ(h) in a layer: edges of the bins, and mean density per bin."""

    row: LayerResult
    edges: NDArray[np.floating]
    heights: NDArray[np.floating]


def with_distribution(rows: Sequence[LayerResult]) -> list[LayerResult]:
    """Return the layers with a histogram of finite, nonzero activations."""
    return [row for row in rows if row.counts and sum(row.counts) and row.rms_activation]


def curves_of(rows: Sequence[LayerResult], most: int = _MOST_CURVES) -> tuple[list[Curve], bool]:
    """Return the curves of evenly spaced layers, among them the first and the last.

    Args:
        rows: The layers.
        most: Largest number of curves.

    Returns:
        The curves, and whether the unit of each is its layer's root mean square of φ(h).
    """
    usable = with_distribution(rows)
    count = min(most, len(usable))
    chosen = [usable[round(i * (len(usable) - 1) / max(1, count - 1))] for i in range(count)]
    sizes = [size for row in chosen if (size := row.rms_activation)]
    relative = max(sizes) > _LARGEST_RATIO * min(sizes)
    units = sizes if relative else [1.0] * count
    curves = [
        Curve(row, row.histogram.edges / unit, densities(row.counts or (), row.histogram) * unit)
        for row, unit in zip(chosen, units, strict=True)
        if row.histogram is not None
    ]
    return curves, relative


def draw_distributions(axes: Axes, rows: Sequence[LayerResult]) -> list[str]:
    """Draw the distributions of layers, from light to dark; return remarks for the caption.

    Args:
        axes: The panel.
        rows: The layers.
    """
    # The label of each above the panel has up to five characters.
    curves, relative = curves_of(rows, min(int(2.4 * page.room(axes)), _MOST_CURVES))
    colors = [colormaps["Blues"](shade) for shade in np.linspace(0.3, 1.0, len(curves))]
    for curve, color in zip(curves, colors, strict=True):
        axes.stairs(
            curve.heights, curve.edges, color=color, linewidth=page.points(0.9), baseline=None
        )
    top = 1.1 * _highest_density(curves)
    axes.set(ylim=(0.0, top), ylabel="density")
    axes.set_xlabel("φ(h) / its root mean square" if relative else "φ(h)")
    axes.margins(x=0.01)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    _draw_layer_scale(axes, [curve.row for curve in curves], colors)
    beyond = max(1.0 - (curve.heights * np.diff(curve.edges)).sum() for curve in curves)
    remarks = ["Peaks are cut."] if any(curve.heights.max() > top for curve in curves) else []
    if beyond > _SMALL_SHARE:
        remarks.append(f"Up to {100 * beyond:.2g}% of a layer lie beyond the axis.")
    return remarks


def _highest_density(curves: Sequence[Curve]) -> float:
    """Return the highest density, without single bins that stand out, such as a ReLU's at 0."""
    tops = [np.sort(curve.heights)[-2:] for curve in curves]
    return max(float(top[0] if top[-1] > 3 * top[0] > 0 else top[-1]) for top in tops)


def _draw_layer_scale(axes: Axes, rows: Sequence[LayerResult], colors: Sequence[ColorType]) -> None:
    """Put a scale of the layers above the panel, with the share of saturated or dead units."""
    shares = [_share(row) for row in rows]
    labels = [
        str(row.layer) if share is None else f"{row.layer}\n{_percent(share)}"
        for row, (_, share) in zip(rows, shares, strict=True)
    ]
    norm = BoundaryNorm(np.arange(len(rows) + 1) - 0.5, len(rows))
    scale = ScalarMappable(norm, ListedColormap(colors))
    bar = axes.figure.colorbar(
        scale, ax=axes, location="top", ticks=range(len(rows)), pad=0.02,
        aspect=12.0 * page.room(axes),
    )  # fmt: skip
    bar.ax.set_xticklabels(labels, fontsize=page.points(page.SMALLEST))
    bar.ax.tick_params(length=0, pad=1.5)
    bar.ax.minorticks_off()
    name, share = shares[0]
    bar.set_label(
        "layer" if share is None else f"layer, and share {name}", fontsize=page.points(page.SMALL)
    )


def _share(row: LayerResult) -> tuple[str, float | None]:
    """Return the share of saturated or of dead units with its name; None for other activations."""
    return ("dead", row.dead) if row.saturated is None else ("saturated", row.saturated)


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.0995 else f"{share:.1%}"
