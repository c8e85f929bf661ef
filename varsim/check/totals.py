"""Running totals of whole W: the sums behind the check of an initializer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.layer.totals import Block, Totals
from varsim.statistics.moments import Moments

# Largest variance, relative to the mean square, of entries that differ by rounding alone.
_EQUAL = 1e-24


class Draw(NamedTuple):
    """One replicate: the moments of one W.

    Attributes:
        mean: Mean of the entries.
        mean_square: Mean of their squares.
        central: Means of the second, third and fourth powers of their deviations from the mean.
        forward: Moments of the outputs x @ W of a batch of standard normal x.
        backward: Moments of the outputs g @ Wᵀ of a batch of standard normal g.
    """

    mean: float
    mean_square: float
    central: tuple[float, float, float]
    forward: Moments
    backward: Moments


@dataclass(frozen=True, slots=True)
class CheckTotals:
    """Running sums over W, in constant size.

    Attributes:
        draws: Number of W.
        forward: Totals of the outputs x @ W.
        backward: Totals of the outputs g @ Wᵀ.
        mean_square: Mean over W of E w².
        mean_square_m2: Σ (E w² - mean)².
        reference: The mean of the first W; powers are taken about it, so that they do not cancel.
            None before the first W.
        powers: Means over W of E (w - reference)^j for j = 1 to 4.
        comoments: Σ of the products of their deviations from these means, of shape (4, 4).
    """

    draws: int = 0
    forward: Totals = field(default_factory=Totals)
    backward: Totals = field(default_factory=Totals)
    mean_square: float = 0.0
    mean_square_m2: float = 0.0
    reference: float | None = None
    powers: tuple[float, ...] = (0.0,) * 4
    comoments: tuple[tuple[float, ...], ...] = ((0.0,) * 4,) * 4

    @property
    def count(self) -> int:
        """Number of W."""
        return self.draws

    @property
    def next_check(self) -> int | None:
        """None: the requested number of draws decides."""
        return None

    def with_check(self, check: int | None) -> CheckTotals:  # noqa: ARG002  # the protocol's
        """Return the totals unchanged: see :attr:`next_check`."""
        return self

    def plus(self, *draws: Draw) -> CheckTotals:
        """Return the totals after more W."""
        return reduce(CheckTotals._with, draws, self)

    def _with(self, draw: Draw) -> CheckTotals:
        count = self.draws + 1
        reference = draw.mean if self.reference is None else self.reference
        step = draw.mean_square - self.mean_square
        deviations = _powers(draw, draw.mean - reference) - np.array(self.powers)
        comoments = (
            np.array(self.comoments) + np.outer(deviations, deviations) * (count - 1) / count
        )
        return CheckTotals(
            count,
            self.forward.plus(Block(draw.forward)),
            self.backward.plus(Block(draw.backward)),
            self.mean_square + step / count,
            self.mean_square_m2 + step**2 * (count - 1) / count,
            reference,
            tuple((np.array(self.powers) + deviations / count).tolist()),
            tuple(map(tuple, comoments.tolist())),
        )

    @classmethod
    def pooled(cls, parts: Sequence[CheckTotals]) -> CheckTotals:
        """Return the totals of the W of all parts, which have at least one W each."""
        reference = parts[0].reference or 0.0
        counts = np.array([part.draws for part in parts])
        count = int(counts.sum())
        squares = np.array([part.mean_square for part in parts])
        mean_square = float(counts @ squares) / count
        m2 = math.fsum(part.mean_square_m2 for part in parts)
        shifted = [part._about(reference) for part in parts]
        powers = counts @ np.array([each for each, _ in shifted]) / count
        deviations = np.array([each for each, _ in shifted]) - powers
        comoments = sum(each for _, each in shifted) + (deviations.T * counts) @ deviations
        return cls(
            count,
            Totals.pooled([part.forward for part in parts]),
            Totals.pooled([part.backward for part in parts]),
            mean_square,
            m2 + float(counts @ (squares - mean_square) ** 2),
            reference,
            tuple(powers.tolist()),
            tuple(map(tuple, comoments.tolist())),
        )

    def _about(self, reference: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return powers and comoments about another reference, by the binomial theorem."""
        shift = (self.reference or 0.0) - reference
        binomial = np.array([[math.comb(j, i) for i in range(1, 5)] for j in range(1, 5)])
        exponents = np.array([[max(0, j - i) for i in range(1, 5)] for j in range(1, 5)])
        change = binomial * shift**exponents
        constant = shift ** np.arange(1, 5)
        comoments = change @ np.array(self.comoments) @ change.T
        return change @ np.array(self.powers) + constant, comoments

    @property
    def kurtosis(self) -> tuple[float, float] | None:
        """E (w - mean)⁴ / Var² of all entries, and its standard error; None if all are equal.

        The error is the infinitesimal jackknife's over W: Efron & Tibshirani (1993), eq. 21.13.
        """
        a, b, c, e = self.powers
        variance = b - a**2
        if variance <= _EQUAL * self.mean_square or self.draws < 2:
            return None
        fourth = e - 4 * a * c + 6 * a**2 * b - 3 * a**4
        by_fourth = np.array([-4 * c + 12 * a * b - 12 * a**3, 6 * a**2, -4 * a, 1.0])
        by_variance = np.array([-2 * a, 1.0, 0.0, 0.0])
        with np.errstate(all="ignore"):  # a file can hold any totals
            slope = by_fourth / variance**2 - 2 * fourth / variance**3 * by_variance
            spread = float(slope @ np.array(self.comoments) @ slope)
        error = math.sqrt(max(0.0, spread) / (self.draws * (self.draws - 1)))
        return fourth / variance**2, error


def _powers(one: Draw, d: float) -> NDArray[np.float64]:
    """Return the means of the first four powers of the entries about a point d below their mean."""
    second, third, fourth = one.central
    return np.array([
        d, second + d**2, third + 3 * d * second + d**3,
        fourth + 4 * d * third + 6 * d**2 * second + d**4,
    ])  # fmt: skip
