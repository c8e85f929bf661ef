"""Sampling designs: which outputs share their draws of x and W.

A block is the unit of replication: independent of every other block. It holds ``groups``
independent pairs of a matrix X (rows x D) and a matrix W (D x columns), and gives
groups * rows * columns outputs. Inside a group the outputs of a row share x, those of a column
share w; that makes draws cheap and outputs dependent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# Below this side, calling BLAS costs more than the draws that a shared matrix saves.
_SMALLEST_MATRIX = 8


# With a whole W a block: most blocks that there are for precision's sake.
_MOST_WHOLE_BLOCKS = 1024


class BlockShape(NamedTuple):
    """The shape of one block: ``groups`` independent products of rows x D by D x columns."""

    groups: int
    rows: int
    columns: int

    @property
    def outputs(self) -> int:
        """Number of outputs x @ W of the block."""
        return self.groups * self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Design:
    """A sampling design.

    Attributes:
        summary: What it is, in a few words.
        shape: Called as ``shape(D, outputs)``; the shape of a block of at least that many outputs.
        largest: Most outputs of a block, about: beyond, more blocks are drawn instead.
        fixed_x: Whether one and the same x is used in all blocks.
    """

    summary: str
    shape: Callable[[int, int], BlockShape]
    largest: int
    fixed_x: bool = False


def _crossed(dim: int, outputs: int) -> BlockShape:
    """Square products with sides up to D: 1/D of the random numbers of independent pairs.

    Beyond D a longer side adds outputs but hardly any precision, so more groups are drawn.
    """
    if dim < _SMALLEST_MATRIX:
        return _paired(dim, outputs)
    groups = -(-outputs // (dim * dim))
    per_group = -(-outputs // groups)
    rows = math.isqrt(per_group)
    return BlockShape(groups, rows, -(-per_group // rows))


def _paired(dim: int, outputs: int) -> BlockShape:
    return BlockShape(outputs, 1, 1)


def _fixed_x(dim: int, outputs: int) -> BlockShape:
    return BlockShape(1, 1, outputs)


DESIGNS: dict[str, Design] = {
    "crossed": Design(
        "a batch of rows through one W, as in a network; the default", _crossed, 2**18
    ),
    "paired": Design("every output has its own x and w: textbook iid Monte Carlo", _paired, 2**15),
    "fixed-x": Design("one x for all outputs, as in randn(D) @ randn(D, n)", _fixed_x, 2**15, True),
}
"""Every design by its name."""


def whole_blocks(design: str, dim: int, fan_out: int, outputs: int) -> int:
    """Return how many blocks to take that have a whole W (D x fan-out) each.

    More than D rows through one W add outputs but hardly any precision.
    """
    if DESIGNS[design].fixed_x:
        return -(-outputs // fan_out)
    return min(-(-outputs // (dim * fan_out)), _MOST_WHOLE_BLOCKS)


def whole_shape(design: str, fan_out: int, outputs: int) -> BlockShape:
    """Return the shape of a block with a whole W, of at least that many outputs where rows vary."""
    rows = 1 if DESIGNS[design].fixed_x else -(-outputs // fan_out)
    return BlockShape(1, rows, fan_out)
