"""Running totals of blocks: the sums behind the estimate of one layer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from varsim.statistics.moments import Moments


class Block(NamedTuple):
    """One independent replicate.

    Attributes:
        moments: Moments of the outputs x @ W.
        x_sums: Σx² and Σx⁴ of the x that all blocks share, or None if every block draws its x.
        counts: The histogram of the outputs, or None without one.
    """

    moments: Moments
    x_sums: tuple[float, float] | None = None
    counts: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Running sums over blocks, in constant size.

    With m the mean and v the variance within a block, these are their means over blocks and their
    central sums, in float64. Blocks are added one by one, in block order, by the formulas of Pébay
    (2008, SAND2008-6212), sections 2 and 3, so that a resumed run gives the same bytes.

    Attributes:
        blocks: Number of blocks.
        mean: Mean of m over blocks.
        within: Mean of v over blocks.
        m2: Σ (m - mean)².
        m3: Σ (m - mean)³.
        m4: Σ (m - mean)⁴.
        v2: Σ (v - within)².
        mv: Σ (m - mean) (v - within).
        mmv: Σ (m - mean)² (v - within).
        x_sums: Σx² and Σx⁴ of the x that all blocks share, or None.
        counts: The histogram of all outputs, or None.
        next_check: Number of blocks at the next decision of the stopping rule; None if the rule has
            not begun or has ended.
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

    @property
    def count(self) -> int:
        """Number of blocks."""
        return self.blocks

    def with_check(self, check: int | None) -> Totals:
        """Return the totals with another :attr:`next_check`."""
        return replace(self, next_check=check)

    @classmethod
    def of(cls, blocks: Iterable[Block]) -> Totals:
        """Return the totals of blocks, added in the given order."""
        totals = cls()
        for block in blocks:
            totals = totals.plus(block)
        return totals

    def plus(self, *blocks: Block) -> Totals:
        """Return the totals after more blocks, which have the same number of outputs each."""
        n, mean, within = self.blocks, self.mean, self.within
        m2, m3, m4, v2, mv, mmv = self.m2, self.m3, self.m4, self.v2, self.mv, self.mmv
        x_sums, counts = self.x_sums, self.counts
        for moments, x_sums, more in blocks:  # noqa: B007  # x_sums are those of the last
            after = n + 1
            d, e = moments.mean - mean, moments.variance - within
            # a and b shift the two means. The longer sums do without `+=`: their additions go from
            # left to right, and that order decides the last digit.
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
        return Totals(n, mean, within, m2, m3, m4, v2, mv, mmv, x_sums, counts, self.next_check)

    @classmethod
    def pooled(cls, parts: Sequence[Totals]) -> Totals:
        """Return the totals of the blocks of all parts, which have the same number of outputs.

        Pébay (2008), section 2: the sums of each part are taken about the common mean. The result
        has no :attr:`x_sums`, which belong to one x, and has counts if every part has them.
        """
        blocks = sum(part.blocks for part in parts)
        mean = sum(part.blocks * part.mean for part in parts) / blocks
        within = sum(part.blocks * part.within for part in parts) / blocks
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
        """The variance of all outputs: mean variance within blocks plus variance of block means.

        By the law of total variance mean(v) + Σ(m - mean)² / (B - 1) is unbiased, for any
        dependence between outputs of a block.
        """
        return self.within + self.m2 / (self.blocks - 1)

    @property
    def std_error(self) -> float:
        """The jackknife standard error of :attr:`variance` over blocks; needs at least three.

        Efron & Tibshirani (1993), eq. 11.5, written out for this estimate: leaving out block i
        moves it by -(v_i - within) / (B-1) - ((m_i - mean)² - m2/B) B / ((B-1)(B-2)). The jackknife
        is of first order and vanishes if y² is constant (D = 1 and two coins), so the second-order
        variance 2 (m2 / (B (B-1)))² of the squared mean is added.
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
