"""Figures of results, and figures as files."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from varsim.layer.result import Result
from varsim.parsing import InputError
from varsim.plots.categories import category_figure
from varsim.plots.histogram import histogram_figure
from varsim.plots.layout import Layout, layout
from varsim.plots.lines import line_figure
from varsim.plots.parts import COLUMN
from varsim.plots.stack import Stacks, layer_figure, stacks_of
from varsim.plots.style import styled
from varsim.stack.result import LayerResult
from varsim.storage.rows import schema_of

_DPI = 300

# No date, so that the same results give the same bytes.
_METADATA: dict[str, dict[str, Any]] = {
    ".svg": {"Date": None},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


class Drawn(NamedTuple):
    """A figure and what its reader should be told beside it, a sentence each."""

    figure: Figure
    remarks: list[str]


def draw(results: Sequence[Result], width: float = COLUMN) -> Drawn:
    """Return the figure of results.

    A single row with a histogram gives that; rows along which a number was swept give lines, and
    all others categories.

    Args:
        results: At least one row.
        width: In inches.
    """
    plan = layout(results)
    with styled():
        if len(results) == 1 and results[0].histogram is not None:
            figure = histogram_figure(results[0], results[0].histogram, width)
        elif plan.axis is not None:
            figure = line_figure(plan, plan.axis, width)
        else:
            figure = category_figure(plan, width)
    return Drawn(figure, list(_remarks(results, plan)))


def draw_layers(rows: Sequence[LayerResult], width: float = COLUMN) -> Drawn:
    """Return the figure of layers of deep stacks.

    Args:
        rows: At least one.
        width: In inches.
    """
    plan = stacks_of(rows)
    with styled():
        figure = layer_figure(plan, width)
    return Drawn(figure, list(_stack_remarks(plan)))


def draw_any(rows: Sequence[Any], width: float = COLUMN) -> Drawn:
    """Return the figure of rows of one kind: of results, or of layers.

    Args:
        rows: At least one.
        width: In inches.

    Raises:
        InputError: There is no figure of that kind of row.
    """
    if isinstance(rows[0], LayerResult):
        return draw_layers(rows, width)
    if isinstance(rows[0], Result):
        return draw(rows, width)
    raise InputError(
        f"there is no figure of {schema_of(rows[0]).kind}; give results of varsim or varsim layers"
    )


def encode(figure: Figure, suffix: str, dpi: float = _DPI) -> bytes:
    """Return a figure as a file of a suffix, .svg, .png or .pdf: the same bytes every time."""
    file = io.BytesIO()
    with styled():
        figure.savefig(file, format=suffix.removeprefix("."), dpi=dpi, metadata=_METADATA[suffix])
    return file.getvalue()


def _remarks(results: Sequence[Result], plan: Layout) -> Iterator[str]:
    if plan.left_out:
        kind = "categories" if plan.axis is None else "lines"
        yield (
            f"The figure has room for {len(plan.lines)} of {len(plan.lines) + plan.left_out} "
            f"{kind}; plot fewer settings at a time."
        )
    if plan.placeless and plan.axis is not None:
        yield f"{plan.placeless} rows have no {plan.axis.field} and are left out of the figure."
    if len(results) == 1 and results[0].histogram is None:
        yield "A single row of varsim --histogram gives the density of its outputs."


def _stack_remarks(plan: Stacks) -> Iterator[str]:
    if plan.left_out:
        yield (
            f"The figure has room for {len(plan.stacks)} of {len(plan.stacks) + plan.left_out} "
            "stacks; plot fewer settings at a time."
        )
    if len(plan.stacks) > 1 and any(row.counts for row in plan.rows):
        yield "The distribution of activations is drawn for a single stack only."
