"""Figures: rows to matplotlib figures, and figures to bytes; nothing here writes to a disk.

A layout groups rows into lines; ``layer``, ``stack``, ``check``, ``model`` and ``gains`` draw;
``figure`` adds title and caption.
"""

from varsim.plots.check import check_figure
from varsim.plots.figure import CREATOR, SUFFIXES, draw, encode
from varsim.plots.gains import gains_figure
from varsim.plots.layer import layer_figure
from varsim.plots.model import model_figure
from varsim.plots.stack import stack_figure
from varsim.study import Drawn

__all__ = [
    "CREATOR", "SUFFIXES", "Drawn", "check_figure", "draw", "encode", "gains_figure",
    "layer_figure", "model_figure", "stack_figure",
]  # fmt: skip
