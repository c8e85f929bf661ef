"""The figure function of each kind of row, as long as kinds have no record of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from varsim.errors import InputError
from varsim.fields import RowBase
from varsim.layer.result import RESULTS
from varsim.plots.drawn import Drawn
from varsim.plots.figure import draw
from varsim.plots.layer import layer_figure
from varsim.plots.page import COLUMN
from varsim.plots.stack import stack_figure
from varsim.stack.result import LAYERS

_FIGURES: dict[str, Callable[[Sequence[Any], float], Drawn]] = {
    RESULTS.kind: layer_figure,
    LAYERS.kind: stack_figure,
}


def draw_any(
    rows: Sequence[RowBase], width: float = COLUMN, *, title: str = "", captioned: bool = True
) -> Drawn:
    """Return the figure of rows of any one kind; the arguments are those of :func:`draw`.

    Raises:
        InputError: There is no figure for this kind, or a number is too large for an axis.
    """
    kind = rows[0].schema.kind
    if kind not in _FIGURES:
        raise InputError(f"there is no figure of {kind}; give results of varsim or varsim layers")
    return draw(_FIGURES[kind], rows, width, title=title, captioned=captioned)
