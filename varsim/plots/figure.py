"""Figures with title and caption, and their files as bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from matplotlib.figure import Figure

from varsim.fields.field import T
from varsim.plots.page import COLUMN, finish, styled
from varsim.study import Drawn

CREATOR = "varsim"
"""The creator that a .svg names."""

_DPI = 300

# No date, so that the same results give the same bytes.
_METADATA: dict[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": CREATOR},
    ".png": {},
    ".pdf": {"CreationDate": None},
}


SUFFIXES = tuple(_METADATA)
"""Suffixes of the files of figures."""


def draw(
    figure_of: Callable[[Sequence[T], float], Drawn],
    rows: Sequence[T],
    width: float = COLUMN,
    *,
    title: str = "",
    captioned: bool = True,
) -> Drawn:
    """Return the figure of rows, with its title and its caption.

    Args:
        figure_of: Figure function for such rows; its arguments are rows and width.
        rows: The rows.
        width: Width of the figure in inches.
        title: Title above the figure.
        captioned: Whether the figure contains its caption.

    Raises:
        InputError: The rows cannot be drawn.
    """
    with styled(width):
        figure, caption, remarks = figure_of(rows, width)
        finish(figure, title, caption if captioned else "")
    return Drawn(figure, caption, remarks)


def encode(figure: Figure, suffix: str, dpi: float = _DPI) -> bytes:
    """Return the bytes of a figure's file: the same bytes for the same figure.

    Args:
        figure: The figure.
        suffix: Suffix of the file: .svg, .png or .pdf.
        dpi: Dots per inch of a .png, and of pictures in the other formats.
    """
    file = io.BytesIO()
    with styled(figure.get_figwidth()):
        figure.savefig(file, format=suffix.removeprefix("."), dpi=dpi, metadata=_METADATA[suffix])
    return file.getvalue()
