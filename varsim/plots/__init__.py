"""Figures of rows, and figures as files; nothing here writes to a disk.

Layouts say which rows make a line, and figures follow from them.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from matplotlib.text import Text

from varsim.errors import InputError
from varsim.layer.result import Result
from varsim.plots.distributions import histogram_figure
from varsim.plots.layout import Layout, layout, stack_layout
from varsim.plots.page import COLUMN, LACKING, check_drawable, finish, styled
from varsim.plots.rows import category_figure, line_figure
from varsim.plots.stack import stack_figure
from varsim.stack.result import LayerResult

_DPI = 300

# No date, so that the same results give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


class Drawn(NamedTuple):
    """A figure, its caption, and what its reader should be told beside it, a sentence each."""

    figure: Figure
    caption: str
    remarks: list[str]


def draw_any(
    rows: Sequence[Any], width: float = COLUMN, *, title: str = "", captioned: bool = True
) -> Drawn:
    """Return the figure of rows of one kind.

    Args:
        rows: The rows.
        width: Width of the figure in inches.
        title: What stands above it.
        captioned: Whether the caption stands below it.

    Raises:
        InputError: There is no figure of that kind of row, or a number has no place on an axis.
    """
    if not isinstance(rows[0], Result | LayerResult):
        raise InputError(
            f"there is no figure of {rows[0].schema.kind}; give results of varsim or varsim layers"
        )
    for number, row in enumerate(rows, 1):
        check_drawable(row, number)
    with styled():
        figure, caption, remarks = (
            _draw_layers(rows, width) if isinstance(rows[0], LayerResult) else _draw(rows, width)
        )
        finish(figure, title, caption if captioned else "")
    labels = [text.get_text() for text in figure.findobj(Text)]
    if any(LACKING in label for label in labels):
        remarks.append(f"The font of figures lacks some characters; {LACKING} stands for them.")
    return Drawn(figure, caption, remarks)


def _draw(results: Sequence[Result], width: float) -> Drawn:
    """Return the figure of results.

    A single row with a histogram gives that; rows along which a number was swept give lines, and
    all others categories.
    """
    plan = layout(results)
    bins = results[0].histogram if len(results) == 1 else None
    if bins is not None:
        figure, caption = histogram_figure(plan, bins, width)
    elif plan.axis is not None:
        figure, caption = line_figure(plan, plan.axis, width)
    else:
        figure, caption = category_figure(plan, width)
    remarks = list(_crowded(plan, "categories" if plan.axis is None else "lines"))
    if plan.placeless and plan.axis is not None:
        have = "row has" if plan.placeless == 1 else "rows have"
        remarks.append(
            f"{plan.placeless} {have} no {plan.axis.header}, and no place in the figure."
        )
    if len(results) == 1 and bins is None:
        remarks.append("With varsim --histogram, the figure of one row shows its distribution.")
    return Drawn(figure, caption, remarks)


def _draw_layers(rows: Sequence[LayerResult], width: float) -> Drawn:
    """Return the figure of layers of deep stacks."""
    plan = stack_layout(rows)
    figure, caption = stack_figure(plan, width)
    remarks = list(_crowded(plan, "stacks"))
    if len(plan.lines) > 1 and any(row.counts for row in plan.rows):
        remarks.append("The distribution of activations is drawn for a single stack only.")
    return Drawn(figure, caption, remarks)


def encode(figure: Figure, suffix: str, dpi: float = _DPI) -> bytes:
    """Return a figure as a file of a suffix, .svg, .png or .pdf: the same bytes every time."""
    file = io.BytesIO()
    with styled():
        figure.savefig(file, format=suffix.removeprefix("."), dpi=dpi, metadata=_METADATA[suffix])
    return file.getvalue()


def _crowded(plan: Layout, lines: str) -> Iterator[str]:
    if plan.left_out:
        shown = len(plan.lines)
        yield (
            f"The figure has room for {shown} of {shown + plan.left_out} {lines}; plot fewer "
            "settings at a time."
        )
