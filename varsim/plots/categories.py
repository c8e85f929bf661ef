"""Two panels side by side, with categories one below the other."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from varsim.plots import page

# Height of a category in inches, and from which number on it is the smaller one.
_USUAL, _SMALLER, _MANY = 0.19, 0.15, 30

# Width of a character as a share of its size, and of all margins in points.
_CHARACTER, _MARGIN = 0.58, 18.0


def category_panels(
    width: float, labels: Sequence[str], quantities: tuple[str, str], handles: Sequence[Line2D]
) -> tuple[Figure, Axes, Axes, float]:
    """Return a figure, its two panels, which share the categories, and the length of their x axes.

    The length is about that, in points of the usual type.

    Args:
        width: Width of the figure in inches.
        labels: The categories, from above.
        quantities: Labels of the two axes.
        handles: Entries of the legend.
    """
    height = _USUAL if len(labels) < _MANY else _SMALLER
    figure = page.blank(width, 1.1 + height * len(labels), handles)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1, 1])
    left.set_ylim(len(labels) - 0.4, -0.6)
    names = [page.shortened(label, min(60, int(12.0 * page.room(figure)) - 8)) for label in labels]
    left.set_yticks(range(len(labels)), names, parse_math=False)
    size = page.SMALL if max(map(len, names)) < 20 and len(names) < _MANY else page.SMALLEST
    left.tick_params(axis="y", labelsize=page.points(size))
    for axes, quantity in zip((left, right), quantities, strict=True):
        axes.tick_params(axis="y", length=0)
        text = textwrap.fill(quantity, max(10, int(5.0 * page.room(figure))))
        axes.set_xlabel(text, fontsize=page.points(page.SMALL))
    page.legend(figure, handles)
    beside = _CHARACTER * size * max(map(len, names)) + _MARGIN
    return figure, left, right, (72.0 * page.room(figure) - beside) / 2.0


def draw_line_at_one(axes: Axes) -> None:
    """Draw the vertical line at 1, where a measurement equals its claim."""
    axes.axvline(1.0, color=page.GREY, linewidth=page.points(0.8))
