"""What blocks of outputs are reduced to: moments, histograms, and their running totals."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
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

    @classmethod
    def of_each(cls, values: NDArray[np.floating[Any]]) -> list[Moments]:
        """Return the moments of every row of a matrix, the same as of each row alone up to 8192."""
        rows, count = values.shape
        deviations = scratch("deviations", values.size, np.float64).reshape(rows, count)
        np.copyto(deviations, values)
        means = deviations.sum(axis=1) / count
        deviations -= means[:, np.newaxis]
        squares = deviations[:, np.newaxis] @ deviations[..., np.newaxis] / count
        return [
            cls(count, *each) for each in zip(means.tolist(), squares.ravel().tolist(), strict=True)
        ]


class Bins(NamedTuple):
    """The bins of a histogram: ``number`` equal ones from ``low``, and one beyond either end."""

    low: float
    width: float
    number: int

    @property
    def edges(self) -> NDArray[np.floating[Any]]:
        """The ends of the equal bins, from the first on."""
        return self.low + self.width * np.arange(self.number + 1)

    def split(self, parts: int) -> Bins:
        """Return bins that are so many times finer."""
        return Bins(self.low, self.width / parts, self.number * parts)

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

    def plus(self, *blocks: Block) -> Totals:
        """Return the totals with more blocks, of the same number of outputs each."""
        n, mean, within, m2, m3, m4, v2, mv, mmv, x_sums, counts, next_check = self
        for moments, x_sums, more in blocks:  # noqa: B007  # x_sums are those of the last
            after = n + 1
            d, e = moments.mean - mean, moments.variance - within
            # The shifts of the two means, and the new block's own share. No `+=` below: the sums go
            # from left to right, as they always did, to the same last digit.
            a, b, share = d / after, e / after, n / after
            mmv = mmv + e * d * d * share * (n - 1) / after - 2 * a * mv - b * m2
            mv += d * e * share
            v2 += e * e * share
            m4 = m4 + d**4 * share * (n * n - n + 1) / after**2 + 6 * a * a * m2 - 4 * a * m3
            m3 = m3 + d**3 * share * (n - 1) / after - 3 * a * m2
            m2 += d * d * share
            within += b
            mean += a
            counts = _sum(counts, more)
            n = after
        return Totals(n, mean, within, m2, m3, m4, v2, mv, mmv, x_sums, counts, next_check)

    @classmethod
    def pooled(cls, parts: Sequence[Totals]) -> Totals:
        """Return the totals of all blocks of several totals, of the same number of outputs.

        Pébay (2008), section 2: the sums of each part, taken about the mean of all. Without
        :attr:`x_sums`, which belong to one x, and with counts where every part has them.
        """
        blocks = sum(part.blocks for part in parts)
        mean, within = (
            sum(part.blocks * getattr(part, name) for part in parts) / blocks
            for name in ("mean", "within")
        )
        sums = zip(*(part._sums_about(mean, within) for part in parts), strict=True)
        m2, m3, m4, v2, mv, mmv = map(math.fsum, sums)
        counted = [part.counts for part in parts if part.counts is not None]
        counts = tuple(map(sum, zip(*counted, strict=True))) if len(counted) == len(parts) else None
        return cls(blocks, mean, within, m2, m3, m4, v2, mv, mmv, counts=counts)

    def _sums_about(self, mean: float, within: float) -> tuple[float, ...]:
        """Return m2, m3, m4, v2, mv and mmv about another mean and another variance."""
        n, a, b = self.blocks, self.mean - mean, self.within - within
        return (
            self.m2 + n * a**2,
            self.m3 + 3 * a * self.m2 + n * a**3,
            self.m4 + 4 * a * self.m3 + 6 * a**2 * self.m2 + n * a**4,
            self.v2 + n * b**2,
            self.mv + n * a * b,
            self.mmv + b * self.m2 + 2 * a * self.mv + n * a**2 * b,
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
