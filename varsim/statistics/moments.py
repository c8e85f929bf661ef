"""What blocks of outputs are reduced to: moments, histograms, and their running totals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.compute.memory import scratch


class Moments(NamedTuple):
    """Mean and variance of the outputs of one block, in float64 whatever the outputs' dtype.

    Attributes:
        outputs: Number of outputs.
        mean: Their mean.
        variance: Their mean squared deviation from that mean.
    """

    outputs: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Moments:
        """Return the moments of an array of any shape, in two passes: never E y² - (E y)²."""
        mean = float(values.mean(dtype=np.float64))
        deviations = scratch("deviations", values.size, np.float64)
        np.subtract(values.ravel(), mean, out=deviations, dtype=np.float64)
        return cls(values.size, mean, float(deviations @ deviations) / values.size)


class Bins(NamedTuple):
    """The bins of a histogram: ``number`` equal ones from ``low``, and one beyond either end."""

    low: float
    width: float
    number: int

    @property
    def edges(self) -> NDArray[np.floating[Any]]:
        """The ends of the equal bins, from the first on."""
        return self.low + self.width * np.arange(self.number + 1)

    def like(self, other: Bins) -> bool:
        """Tell whether these are the same bins but for rounding, by another version or libm."""
        ends = zip(self[:2], other[:2], strict=True)
        close = all(abs(a - b) <= 1e-6 * self.width for a, b in ends)
        return close and self.number == other.number

    def counts(self, values: NDArray[np.floating[Any]]) -> tuple[int, ...]:
        """Return how many values are in every bin, those beyond the ends first and last.

        >>> Bins(-1.0, 0.5, 4).counts(np.array([-5.0, -0.9, 0.1, 0.2, 7.0]))
        (1, 1, 0, 2, 0, 1)
        """
        places = scratch("places", values.size, np.float64)
        np.subtract(values.ravel(), self.low, out=places, dtype=np.float64)
        places /= self.width
        np.floor(places, out=places)
        np.clip(places, -1, self.number, out=places)
        places[np.isnan(places)] = self.number  # an overflow: beyond the end
        return tuple(np.bincount(places.astype(np.int64) + 1, minlength=self.number + 2).tolist())


class Block(NamedTuple):
    """One independent replicate.

    Attributes:
        moments: Moments of its outputs x @ W.
        x_sums: Σx² and Σx⁴ of the x that all blocks share, or None where x is drawn anew.
        counts: Its histogram, or None where none was asked for.
    """

    moments: Moments
    x_sums: tuple[float, float] | None = None
    counts: tuple[int, ...] | None = None


class Totals(NamedTuple):
    """All that an estimate needs to know of the blocks so far, in a size that does not grow.

    With m the mean and v the variance within a block, these are their means over blocks and their
    central sums, in float64: added block by block, in block order, by the formulas of Pébay (2008,
    SAND2008-6212), sections 2 and 3, so that stopping and going on later gives the same bytes.

    Attributes:
        blocks: Number of blocks.
        mean: Mean of the m.
        within: Mean of the v.
        m2: Σ (m - mean)².
        m3: Σ (m - mean)³.
        m4: Σ (m - mean)⁴.
        v2: Σ (v - within)².
        mv: Σ (m - mean) (v - within).
        mmv: Σ (m - mean)² (v - within).
        x_sums: Σx² and Σx⁴ of the x that all blocks share, or None.
        counts: The histogram of all outputs, or None.
        next_check: The number of blocks at which the stopping rule decides next; None where it has
            not begun or has decided.
    """

    blocks: int = 0
    mean: float = 0.0
    within: float = 0.0
    m2: float = 0.0
    m3: float = 0.0
    m4: float = 0.0
    v2: float = 0.0
    mv: float = 0.0
    mmv: float = 0.0
    x_sums: tuple[float, float] | None = None
    counts: tuple[int, ...] | None = None
    next_check: int | None = None

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Totals:
        """Return the totals of blocks, which are taken in their order."""
        totals = cls()
        for block in blocks:
            totals = totals.plus(block)
        return totals

    def plus(self, block: Block) -> Totals:
        """Return the totals with one more block, of the same number of outputs."""
        n, after = self.blocks, self.blocks + 1
        d, e = block.moments.mean - self.mean, block.moments.variance - self.within
        # The shifts of the two means, and the new block's own share.
        a, b, share = d / after, e / after, n / after
        return Totals(
            after,
            self.mean + a,
            self.within + b,
            self.m2 + d * d * share,
            self.m3 + d**3 * share * (n - 1) / after - 3 * a * self.m2,
            self.m4
            + d**4 * share * (n * n - n + 1) / after**2
            + 6 * a * a * self.m2
            - 4 * a * self.m3,
            self.v2 + e * e * share,
            self.mv + d * e * share,
            self.mmv + e * d * d * share * (n - 1) / after - 2 * a * self.mv - b * self.m2,
            block.x_sums,
            _sum(self.counts, block.counts),
            self.next_check,
        )

    @property
    def variance(self) -> float:
        """The variance of all outputs: the mean within blocks, and that of the blocks' means.

        By the law of total variance mean(v) + Σ(m - mean)² / (B - 1) is unbiased, however outputs
        depend on each other inside a block.
        """
        return self.within + self.m2 / (self.blocks - 1)

    @property
    def std_error(self) -> float:
        """The standard error of :attr:`variance`: the jackknife's, over blocks.

        Efron & Tibshirani (1993), eq. 11.5, written out for this estimate: leaving out block i
        moves it by -(v_i - within) / (B-1) - ((m_i - mean)² - m2/B) B / ((B-1)(B-2)). The jackknife
        is of first order, and vanishes with y² constant (D = 1 and two coins), so the second-order
        variance 2 (m2 / (B (B-1)))² of the squared mean is added. Needs three blocks.
        """
        count = self.blocks
        of_mean = count / (count - 2)
        squares = self.v2 + 2 * of_mean * self.mmv + of_mean**2 * (self.m4 - self.m2**2 / count)
        jackknife = max(0.0, squares) / (count * (count - 1))
        second_order = 2 * (self.m2 / (count * (count - 1))) ** 2
        return math.sqrt(jackknife + second_order)


def _sum(counts: tuple[int, ...] | None, more: tuple[int, ...] | None) -> tuple[int, ...] | None:
    if counts is None or more is None:
        return more
    return tuple(a + b for a, b in zip(counts, more, strict=True))
