"""Figures: rows to matplotlib figures, and figures to bytes; nothing here writes to a disk.

A layout groups rows into lines; ``layer`` and ``stack`` draw it; ``figure`` adds title and caption.
"""

from varsim.plots.figure import SUFFIXES, draw, encode
from varsim.plots.layer import layer_figure
from varsim.plots.stack import stack_figure
from varsim.study import Drawn

__all__ = ["SUFFIXES", "Drawn", "draw", "encode", "layer_figure", "stack_figure"]
