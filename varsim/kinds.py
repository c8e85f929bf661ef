"""The tuple of kinds, one per study."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from varsim.check.kind import CHECK
from varsim.compute import lazy
from varsim.errors import InputError, needs
from varsim.fields.field import R
from varsim.layer.kind import LAYER
from varsim.model.kind import MODEL
from varsim.stack.kind import STACK
from varsim.study import Drawn, Kind, groups
from varsim.table import Table

if TYPE_CHECKING:
    from varsim import plots
else:
    plots = lazy("varsim.plots")

T = TypeVar("T")

KINDS: tuple[Kind[Any], ...] = (LAYER, STACK, CHECK, MODEL)
"""All kinds of rows."""

SCHEMAS = [kind.schema for kind in KINDS]
"""The schemas of all kinds."""


def kind_of(rows: Sequence[R]) -> Kind[R]:
    """Return the kind of rows of one kind."""
    return next(kind for kind in KINDS if kind.schema is rows[0].schema)


def check_width(width: float) -> None:
    """Refuse a width of a figure, in inches."""
    if not 2 <= width <= 40:
        raise InputError(f"width is {width:g}; give inches from 2 to 40, such as 3.4")


def drawn(
    figure_of: Callable[[Sequence[T], float], Drawn],
    rows: Sequence[T],
    width: float,
    *,
    title: str = "",
    captioned: bool = True,
) -> Drawn:
    """Return the figure of rows of one kind.

    Args:
        figure_of: Draws them, such as :attr:`Kind.figure`.
        rows: The rows.
        width: Width in inches, from 2 to 40; the height follows.
        title: Title above the figure.
        captioned: Whether the figure contains its caption.

    Raises:
        InputError: A width is not allowed, or a number is too large for an axis.
        ModuleNotFoundError: matplotlib is missing; the message says how to install it.
    """
    check_width(width)
    try:
        return plots.draw(figure_of, rows, width, title=title, captioned=captioned)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise ModuleNotFoundError(needs("figures", "matplotlib"), name="matplotlib") from None


def tables_of(rows: Sequence[R]) -> list[Table]:
    """Return the tables of rows of one kind: one per stack, one of all other rows."""
    kind = kind_of(rows)
    return [kind.table(group, ()) for group in groups(kind, rows)]
