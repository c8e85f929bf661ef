"""Cells of theory, by layer: E h² and E (∂h)², each with its allowance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from varsim.stack.theory.laws import Array

# A cell whose allowance is larger is empty: its verdict could hardly fail.
LARGEST_SLACK = 0.01


class Corrections(NamedTuple):
    """Relative corrections by layer, with estimates of the terms after them.

    All have the shape (layers,).

    Attributes:
        variance: Correction of E h².
        variance_rest: Size of its next terms.
        gradient: Correction of E (∂h)².
        gradient_rest: Size of its next terms.
    """

    variance: Array
    variance_rest: Array
    gradient: Array
    gradient_rest: Array


class Cells(NamedTuple):
    """Theory of all layers. Arrays have the shape (layers,).

    Attributes:
        variance: E h²; NaN in an empty cell.
        variance_slack: Relative allowance for the terms that theory omits.
        gradient: E (∂h)², from a cotangent of variance 1 on top; NaN in an empty cell.
        gradient_slack: Its relative allowance.
        spread: Relative variance of Σh²/n between networks, for one input; None where unknown.
        gap: Reason of the empty cells, or None.
    """

    variance: Array
    variance_slack: Array
    gradient: Array
    gradient_slack: Array
    spread: Sequence[float | None]
    gap: str | None = None

    @classmethod
    def of(
        cls, variance: Array, gradient: Array, spread: Sequence[float | None] | None = None
    ) -> Cells:
        """Return cells without allowances; by default their spread is unknown."""
        exact = np.zeros(len(variance))
        unknown = [None] * len(variance)
        return cls(variance, exact, gradient, exact, unknown if spread is None else spread)

    @classmethod
    def boundary_layers_only(cls, variance: float, depth: int, gap: str) -> Cells:
        """Return the two cells that do not depend on widths: E h² of layer 1, E (∂h)² on top."""
        empty = [np.nan] * (depth - 1)
        return cls.of(np.array([variance, *empty]), np.array([*empty, 1.0]))._replace(gap=gap)

    def corrected(self, by: Corrections) -> Cells:
        """Return the cells with corrections, whose next terms enter the allowances."""
        corrected = self._replace(
            variance=self.variance * (1 + by.variance), gradient=self.gradient * (1 + by.gradient)
        )
        return corrected.allowing(by.variance_rest, by.gradient_rest)

    def allowing(self, variance: Array | float, gradient: Array | float) -> Cells:
        """Return the cells with relative allowances added."""
        return self._replace(
            variance_slack=self.variance_slack + variance,
            gradient_slack=self.gradient_slack + gradient,
        )

    def within(self, largest: float) -> Cells:
        """Return the cells, without infinite values and without allowances above ``largest``."""
        forward = (self.variance_slack <= largest) & np.isfinite(self.variance)
        backward = (self.gradient_slack <= largest) & np.isfinite(self.gradient)
        gap = None
        if not (forward.all() and backward.all()):
            gap = (
                f"theory of an empty cell would leave out more than {largest:.0%} at this width "
                "and depth; take wider layers"
            )
        return Cells(
            np.where(forward, self.variance, np.nan), np.where(forward, self.variance_slack, 0.0),
            np.where(backward, self.gradient, np.nan), np.where(backward, self.gradient_slack, 0.0),
            self.spread, gap,
        )  # fmt: skip


def none_unless_finite(values: Array) -> list[float | None]:
    """Return an array as a list, with None in place of infinities and NaN."""
    finite = np.isfinite(values).tolist()
    return [value if known else None for value, known in zip(values.tolist(), finite, strict=True)]
