"""The shared parts of figures: style, legend, caption, error bars and axes of variances.

Figures fit a column of a paper, print in black and white, and suit every colour vision. Sizes are
those of a figure as wide as a column; in a wider one type, lines and heights grow together.
"""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from matplotlib import rcParams, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.typing import LineStyleType

from varsim.errors import escape_control_characters
from varsim.fields import level
from varsim.fields.field import R
from varsim.plots.layout import Layout
from varsim.statistics import Estimate

COLUMN = 3.4
"""Width of a paper's column in inches."""

GREY, PALE = "#666666", "#C9D6E2"

SMALL, SMALLEST = 7.0, 6.0
"""Font sizes of long labels and of many of them, in points."""

_FONT_SIZE = 8.0

# Width of a character of the legend, and of a handle with its gaps, in points.
_CHARACTER, _HANDLE = 4.3, 36.5

# Height of a line of the caption in points, and number of lines within the usual height.
_LINE, _CAPTION_LINES = 8.0, 3

# Height of a line of the legend in inches.
_LEGEND_LINE = 0.14


class Mark(NamedTuple):
    """Colour, marker and dashes of a line; each of the three distinguishes all lines."""

    color: str
    marker: str
    linestyle: LineStyleType


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
"""Colours of Okabe & Ito (2008), without yellow, which is too pale on white paper."""

_SIZES: dict[str, float] = {
    "font.size": _FONT_SIZE,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "axes.linewidth": 0.6,
    "errorbar.capsize": 1.8,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
}
"""Sizes in points, in a figure as wide as a column."""

_RULES: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # ships with matplotlib: figures look the same everywhere
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "pdf.fonttype": 42,  # TrueType, as journals require
    "svg.hashsalt": "varsim",  # else ids differ from one run to the next
}


def growth(width: float) -> float:
    """Return the factor on type, lines and heights: the square root of the width in columns.

    It is at least 1, since labels have to be readable.

    Args:
        width: Width of the figure in inches.
    """
    return math.sqrt(max(1.0, width / COLUMN))


def points(size: float) -> float:
    """Return a size in the styled figure, from that in a figure as wide as a column."""
    return size * float(rcParams["font.size"]) / _FONT_SIZE


def room(part: Figure | Axes) -> float:
    """Return the width in inches of a figure, measured in its type: as if that had not grown."""
    figure = part if isinstance(part, Figure) else part.figure
    width = float(figure.bbox.width / figure.dpi)
    return width / growth(width)


@contextmanager
def styled(width: float) -> Iterator[None]:
    """Return a context for drawing and saving figures, independent of any matplotlibrc.

    Warnings are off: captions and remarks say what a reader has to know.

    Args:
        width: Width of the figure in inches.
    """
    sizes = {name: size * growth(width) for name, size in _SIZES.items()}
    rules = style.context(["default", _RULES, sizes])
    with rules, warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def shortened(text: str, width: int) -> str:
    """Return a text as one line of at most ``width`` characters.

    A long text loses its middle: names mostly differ at their ends.
    """
    if len(text) > width:
        tail = (width - 1) // 2
        text = f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"
    # A title may hold a byte of no character, which matplotlib refuses.
    encodable = text.encode(errors="backslashreplace").decode()
    return " ".join(escape_control_characters(encodable).split())


def blank(width: float, height: float, handles: Sequence[Patch | Line2D] = ()) -> Figure:
    """Return an empty figure.

    Args:
        width: Width in inches.
        height: Height in inches in a figure as wide as a column, without the legend.
        handles: Entries of the legend, which adds to the height.
    """
    labels, scale = _labels(handles), growth(width)
    rows = -(-len(labels) // _legend_columns(labels, width / scale))
    figure = Figure(figsize=(width, scale * (height + _LEGEND_LINE * rows)))
    figure.set_layout_engine("constrained", h_pad=0.03, w_pad=0.03)
    return figure


def legend(figure: Figure, handles: Sequence[Patch | Line2D]) -> None:
    """Put a legend above the axes; its entries run along its rows."""
    columns = _legend_columns(_labels(handles), room(figure))
    across = [handle for column in range(columns) for handle in handles[column::columns]]
    drawn = figure.legend(handles=across, loc="outside upper center", ncols=columns)
    for text in drawn.get_texts():
        text.set_parse_math(False)


def handle(label: str, color: str, marker: str = "", linestyle: LineStyleType = "none") -> Line2D:
    """Return the legend entry of a line, a marker or both."""
    return Line2D(
        [], [], color=color, marker=marker, linestyle=linestyle, markerfacecolor="none", label=label
    )


def handles_of_lines(plan: Layout[R], width: float, *, dashes: str = "") -> list[Line2D]:
    """Return the legend entries of lines: one per line if there are several, theory, measurements.

    Args:
        plan: The layout.
        width: Width of the figure in inches.
        dashes: What dashes beside the markers are; empty without any.
    """
    characters = int((72.0 * width / growth(width) - _HANDLE) / _CHARACTER) - 1
    handles = [
        handle(shortened(line.label, characters), *mark)
        for line, mark in zip(plan.lines, MARKS, strict=False)
        if line.label
    ]
    color, marker, linestyle = MARKS[0]._replace(color="black") if handles else MARKS[0]
    handles.append(handle("theory", color, linestyle=linestyle))
    if dashes:
        handles.append(handle(dashes, color, "_"))
    return handles + measured_handles(plan, color, marker)


def measured_handles(plan: Layout[R], color: str, marker: str) -> list[Line2D]:
    """Return the legend entries of measurements, and of those that disagree, if there are any."""
    marker = "." if plan.is_crowded else marker
    handles = [handle("measured", color, marker)]
    if any(row.agrees is False for row in plan.rows):
        filled = handle("filled: disagrees", color, marker)
        filled.set_markerfacecolor(color)
        handles.append(filled)
    return handles


def _labels(handles: Sequence[Patch | Line2D]) -> list[str]:
    return [str(handle.get_label()) for handle in handles]


def _legend_columns(labels: Sequence[str], width: float) -> int:
    """Return the number of columns of a legend in a width in inches of usual type, at least 1."""
    for rows in range(1, len(labels)):
        count = -(-len(labels) // rows)
        longest = [max(map(len, labels[column::count])) for column in range(count)]
        if sum(longest) * _CHARACTER + count * _HANDLE < 72.0 * width:
            return count
    return 1


def caption_of(plan: Layout[R], *sentences: str) -> str:
    """Return the caption: the sampled settings, then sentences.

    Args:
        plan: The layout.
        sentences: The sentences. Empty ones are left out; ``{error bars}`` stands for a
            description of the error bars.
    """
    rows, text = plan.rows, " ".join([plan.sampled, *filter(None, sentences)])
    if "{error bars}" in text:
        levels = f"{level(rows)} " * (len({row.confidence for row in rows}) == 1)
        bars = f"Error bars: {levels}intervals"
        if plan.is_crowded:
            bars = "Too many rows for error bars"
        text = text.replace("{error bars}", bars)
    if plan.left_out:
        text += f" {plan.left_out} more are not shown."
    return text


def finish(figure: Figure, title: str, caption: str) -> None:
    """Put a title above a figure and a caption below it, and add their height."""
    height, width = figure.get_figheight(), room(figure)
    if title:
        text = textwrap.fill(shortened(title, len(title)), max(8, int(72.0 * width / 5.0)))
        (above,) = figure.legends  # a title of the figure would cover the legend
        above.set_title(text)
        above.get_title().set(multialignment="center", fontsize=points(9.0), parse_math=False)
        height += points(11.0) * (text.count("\n") + 1) / 72.0
    if caption:
        # No line break beside an equals sign.
        text = shortened(caption, len(caption)).replace(" = ", "\u00a0=\u00a0")
        text = textwrap.fill(text, int(21 * width))
        figure.supxlabel(
            text, fontsize=points(SMALLEST), color=GREY, x=0.01, ha="left", parse_math=False
        )
        height += points(_LINE) * max(0, text.count("\n") + 1 - _CAPTION_LINES) / 72.0
    figure.set_figheight(height)


def draw_known(
    axes: Axes, places: Sequence[float], values: Sequence[float | None], along: str, **look: Any
) -> list[Line2D]:
    """Draw the values that are not None along an axis; return the line, if there is one."""
    known = dict.fromkeys(
        (value, place) if along == "x" else (place, value)
        for place, value in zip(places, values, strict=True)
        if value is not None
    )
    return axes.plot(*zip(*known, strict=True), **look) if known else []


def look_of(plan: Layout[R], mark: Mark) -> dict[str, Any]:
    """Return the properties of measured markers; many are dots of a picture without intervals."""
    if not plan.is_crowded:
        return {"color": mark.color, "marker": mark.marker}
    dots = {"color": mark.color, "marker": ".", "markersize": points(1.5), "alpha": 0.4}
    return {**dots, "capsize": 0.0, "elinewidth": 0.0, "rasterized": True}


def draw_estimates(  # noqa: PLR0913  # one line, and how it lies in its panel
    axes: Axes,
    rows: Sequence[R],
    estimate_of: Callable[[R], Estimate | None],
    places: Sequence[float],
    along: str,
    *,
    relative: bool = False,
    **look: Any,
) -> None:
    """Draw the estimates of rows with their intervals.

    Args:
        axes: The panel.
        rows: The rows. Markers of rows that disagree are filled.
        estimate_of: Returns the estimate of a row; rows without one are left out.
        places: Place of each row along the other axis.
        along: Axis of the estimates, ``"x"`` or ``"y"``.
        relative: Whether estimates are divided by their claims; rows without one are left out.
        look: Properties of markers and intervals.
    """
    for disagrees in (False, True):
        drawn = []
        for row, place in zip(rows, places, strict=True):
            estimate = estimate_of(row)
            if estimate is None or (row.agrees is False) != disagrees:
                continue
            unit = estimate.claim if relative else 1.0
            if unit:
                half_width = estimate.half_width(row.confidence)
                drawn.append((place, estimate.value / unit, half_width / unit))
        if drawn:
            names = ("y", "x", "xerr") if along == "x" else ("x", "y", "yerr")
            columns: dict[str, Any] = dict(zip(names, zip(*drawn, strict=True), strict=True))
            face: Any = look["color"] if disagrees else "none"
            style = {"markerfacecolor": face, "elinewidth": points(0.9), **look}
            axes.errorbar(**columns, **style, linestyle="none", capthick=points(0.7))
