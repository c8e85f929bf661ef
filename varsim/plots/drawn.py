"""The record of a drawn figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Drawn(NamedTuple):
    """A figure with its texts.

    Attributes:
        figure: The figure.
        caption: Its caption, without line breaks.
        remarks: Notes to the person who draws, a sentence each.
    """

    figure: Figure
    caption: str
    remarks: list[str]
