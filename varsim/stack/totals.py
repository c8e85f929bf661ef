"""Running totals of networks: the sums behind the rows of a deep stack."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.stack.sampling import FIELDS, Sampled

_SQUARE, _GRADIENT = FIELDS.index("square"), FIELDS.index("gradient_square")


class LayerTotals(NamedTuple):
    """Running totals of one layer over networks; NaN once a value is not finite.

    Attributes:
        networks: Number of networks.
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)².
        saturated: Share of units near a bound of φ; None if φ is not bounded.
        dead: Share of units where φ′ = 0; None if φ has no flat part.
        product: Mean of h h over pairs of inputs of a batch; None for a batch of one.
        gradient_square: Mean of (∂h)²; None without the backward pass.
        within: Mean over networks of the variance within one.
        square_m2: Σ (q / mean - 1)² over the networks' mean squares q of h. Relative to the mean,
            it neither overflows nor underflows.
        gradient_m2: The same for ∂h.
    """

    networks: int = 0
    mean: float = 0.0
    square: float = 0.0
    activation_square: float = 0.0
    saturated: float | None = 0.0
    dead: float | None = 0.0
    product: float | None = 0.0
    gradient_square: float | None = 0.0
    within: float = 0.0
    square_m2: float = 0.0
    gradient_m2: float = 0.0

    def plus(self, moments: Sequence[float]) -> LayerTotals:
        """Return the totals after one more network; its moments are ordered as :data:`FIELDS`."""
        count = self.networks + 1
        mean, square = moments[:2]
        # Rounding can put a variance of 0 below 0; an overflow stays an overflow.
        values = (*moments, max(square - mean * mean, 0.0))
        means = [
            None if old is None else old + (value - old) / count
            for old, value in zip(self[1:9], values, strict=True)
        ]
        square_m2 = _with_one_more(self.square_m2, count, self.square, means[1], square)
        gradient_m2 = _with_one_more(
            self.gradient_m2, count, self.gradient_square, means[_GRADIENT], moments[_GRADIENT]
        )
        # A mean is None if and only if it was None before.
        return LayerTotals(count, *means, square_m2, gradient_m2)  # type: ignore[arg-type, call-arg]

    @classmethod
    def pooled(cls, parts: Sequence[LayerTotals]) -> LayerTotals:
        """Return the totals of one layer over the networks of all parts."""
        count = sum(part.networks for part in parts)
        shares = [part.networks / count for part in parts]
        means = [
            None if each[0] is None else math.fsum(map(operator.mul, shares, each))
            for each in zip(*(part[1:9] for part in parts), strict=True)
        ]
        squares = [(part.networks, part.square, part.square_m2) for part in parts]
        gradients = [(part.networks, part.gradient_square, part.gradient_m2) for part in parts]
        sums = _pooled_m2(squares, means[_SQUARE]), _pooled_m2(gradients, means[_GRADIENT])
        # A mean is None if and only if it was None before.
        return LayerTotals(count, *means, *sums)  # type: ignore[arg-type, call-arg]

    def relative_error(self, m2: float) -> float:
        """Return the relative standard error of a mean, from its sum of squares."""
        return math.sqrt(m2 / (self.networks - 1) / self.networks)


def _pooled_m2(parts: Sequence[tuple[int, float | None, float]], now: float | None) -> float:
    """Return Σ (q / mean - 1)² of all parts, from their counts, means and sums."""
    if not now:
        return 0.0
    ratios = [((before or 0.0) / now, count, m2) for count, before, m2 in parts]
    return math.fsum(m2 * ratio**2 + count * (ratio - 1.0) ** 2 for ratio, count, m2 in ratios)


def _with_one_more(
    m2: float, count: int, before: float | None, now: float | None, value: float
) -> float:
    """Return Σ (q / mean - 1)² after one more q, with the mean ``before`` and ``now``."""
    if not now or before is None:
        return 0.0
    ratio, step = before / now, (value - before) / now
    return m2 * ratio * ratio + step * step * (count - 1) / count


@dataclass(frozen=True, slots=True)
class StackTotals:
    """Running totals of all layers, added in the order of the networks.

    Attributes:
        networks: Number of networks.
        layers: The totals of every layer.
        counts: The histograms of φ(h), of shape (layers, bins + 2), or None.
        recent: Mean squares of h and ∂h of each network of this run, of shape (layers, 2) each, for
            their medians: those of two runs cannot be combined.
        medians: The medians of an earlier run, of shape (layers, 2), or None.
        median_networks: Number of networks behind these medians.
        next_check: Number of networks at the next decision of the stopping rule, or None.
    """

    networks: int
    layers: tuple[LayerTotals, ...]
    counts: NDArray[np.int64] | None
    recent: list[NDArray[np.float64]]
    medians: NDArray[np.float64] | None = None
    median_networks: int = 0
    next_check: int | None = None

    @property
    def count(self) -> int:
        """Number of networks."""
        return self.networks

    def with_check(self, check: int | None) -> StackTotals:
        """Return the totals with another :attr:`next_check`."""
        return replace(self, next_check=check)

    def plus(self, *samples: Sampled) -> StackTotals:
        """Return the totals after more networks."""
        return reduce(StackTotals._with, samples, self)

    def _with(self, sample: Sampled) -> StackTotals:
        counts, moments = self.counts, sample.moments.tolist()
        if sample.counts is not None:
            more = np.array(sample.counts)
            counts = more if counts is None else counts + more
        self.recent.append(sample.moments[:, [_SQUARE, _GRADIENT]])
        layers = tuple(t.plus(of_layer) for t, of_layer in zip(self.layers, moments, strict=True))
        return replace(self, networks=self.networks + 1, layers=layers, counts=counts)

    @property
    def worst_error(self) -> float:
        """The largest relative standard error of any layer, forward or backward."""
        errors = [t.relative_error(m2) for t in self.layers for m2 in (t.square_m2, t.gradient_m2)]
        return max((error for error in errors if not math.isnan(error)), default=0.0)

    def typical(self) -> tuple[NDArray[np.float64], int]:
        """Return the medians, of shape (layers, 2), and the number of networks behind them."""
        if self.medians is not None and not self.recent:
            return self.medians, self.median_networks
        return np.median(np.stack(self.recent), axis=0), len(self.recent)
