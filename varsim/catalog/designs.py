"""Sampling designs: which outputs share their draws of x and W.

A block is the unit of replication; blocks are independent. Within a group of a block, the outputs
of a row share x and those of a column share w. That makes draws cheap and outputs dependent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class BlockShape(NamedTuple):
    """The shape of a block: ``groups`` independent products of X (rows x D) and W (D x columns)."""

    groups: int
    rows: int
    columns: int

    @property
    def outputs(self) -> int:
        """Number of outputs of the block."""
        return self.groups * self.rows * self.columns


@dataclass(frozen=True, slots=True)
class Design:
    """A sampling design.

    Attributes:
        summary: A short description.
        shape: Called as ``shape(D, outputs)``; returns a block of at least that many outputs.
        largest: About the most outputs per block; more outputs need more blocks.
        fixed_x: Whether all blocks have the same x.
    """

    summary: str
    shape: Callable[[int, int], BlockShape]
    largest: int
    fixed_x: bool = False


def _crossed(dim: int, outputs: int) -> BlockShape:
    """Square products with sides up to D: 1/D of the random numbers of independent pairs.

    A side above D would add outputs but little precision, so more groups are drawn instead.
    """
    if dim < 8:  # calling BLAS costs more than the draws that a shared matrix saves
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
        "a batch of rows through one W, as in a network; the default",
        _crossed,
        2**18,
    ),
    "paired": Design(
        "every output has its own x and w: textbook iid Monte Carlo",
        _paired,
        2**15,
    ),
    "fixed-x": Design(
        "one x for all outputs, as in randn(D) @ randn(D, n)",
        _fixed_x,
        2**15,
        True,
    ),
}
"""Every design by name."""
