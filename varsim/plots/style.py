"""How figures look: in a paper's column, in black and white, and to every eye."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from matplotlib import style


class Mark(NamedTuple):
    """How a line is told from others: by any one of three things."""

    colour: str
    marker: str
    dashes: Any


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
"""Colours of Okabe & Ito (2008), without the yellow that white paper swallows."""

GREY, PALE = "#666666", "#C9D6E2"

CAPTION_SIZE = 6.0

_RULES: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so it looks the same everywhere
    "font.size": 8.0,
    "axes.labelsize": 8.0,
    "xtick.labelsize": 7.0,
    "ytick.labelsize": 7.0,
    "legend.fontsize": 7.0,
    "legend.frameon": False,
    "legend.handlelength": 3.2,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.2,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.useoffset": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 4.5,
    "lines.markeredgewidth": 0.9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "pdf.fonttype": 42,  # what journals ask for
    "svg.hashsalt": "varsim",  # else ids differ from one run to the next
}


def styled() -> AbstractContextManager[None]:
    """Return a context in which figures are made and saved, whatever a matplotlibrc says."""
    return style.context(["default", _RULES])
