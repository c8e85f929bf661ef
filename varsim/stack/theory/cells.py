"""Cells of theory: E h² and E (∂h)² of every layer, each with its allowance.

Values, allowances, spreads and corrections are arrays of the shape (2, layers): the row
``VARIANCE`` is of signals, E h²; the row ``GRADIENT`` is of gradients, E (∂h)². An allowance is
added by :meth:`Cells.allowing`, and a cell is emptied by :meth:`Cells.only`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.stack.theory.laws import Array

VARIANCE, GRADIENT = 0, 1
"""Rows of the arrays."""

# A cell whose allowance is larger is empty, since its verdict could hardly fail: a choice.
LARGEST_SLACK = 0.01


class Correction(NamedTuple):
    """A relative correction of cells; arrays have the shape (2, layers).

    Attributes:
        change: The correction.
        rest: Size of its next terms.
    """

    change: Array
    rest: Array

    @property
    def size(self) -> Array:
        """The allowance for the whole correction, where it is left out."""
        return np.abs(self.change) + self.rest

    def times(self, factor: Array) -> Correction:
        """Return the correction times a factor, of shape (2, layers)."""
        return Correction(self.change * factor, self.rest * factor)


class Cells(NamedTuple):
    """Theory of all layers.

    Attributes:
        value: E h² and E (∂h)², from a cotangent of variance 1 on top, of shape (2, layers); NaN in
            an empty cell.
        slack: Relative allowances for the terms that theory omits, of shape (2, layers).
        spread: Relative variance of Σh²/n and Σ(∂h)²/n between networks, for one input, of shape
            (2, layers); NaN where unknown.
        batch_spread: The same for the batch's mean.
        gap: Reason of the empty cells, or None.
    """

    value: Array
    slack: Array
    spread: Array
    batch_spread: Array
    gap: str | None = None

    @classmethod
    def of(cls, value: Array) -> Cells:
        """Return cells without allowances, whose spread is unknown."""
        unknown = np.full(value.shape, np.nan)
        return cls(value, np.zeros(value.shape), unknown, unknown.copy())

    def corrected(self, by: Correction) -> Cells:
        """Return the cells with a correction, whose next terms enter the allowances."""
        return self._replace(value=self.value * (1 + by.change)).allowing(by.rest)

    def allowing(self, slack: Array | float) -> Cells:
        """Return the cells with relative allowances added."""
        return self._replace(slack=self.slack + slack)

    def only(self, known: NDArray[np.bool_], gap: str) -> Cells:
        """Return the cells, empty where not ``known``; ``gap`` is the reason."""
        return self._replace(
            value=np.where(known, self.value, np.nan),
            slack=np.where(known, self.slack, 0.0),
            gap=None if known.all() else gap,
        )

    def boundary_only(self, gap: str) -> Cells:
        """Return the two cells that do not depend on widths: E h² of layer 1, E (∂h)² on top."""
        known = np.zeros(self.value.shape, bool)
        known[VARIANCE, 0] = known[GRADIENT, -1] = True
        return self.only(known, gap)._replace(gap=gap)

    def within(self, largest: float) -> Cells:
        """Return the cells, without infinite values and without allowances above ``largest``."""
        return self.only(
            (self.slack <= largest) & np.isfinite(self.value),
            f"theory of an empty cell would leave out more than {largest:.0%} at this width and "
            "depth; take wider layers",
        )
