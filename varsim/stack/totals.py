"""Running totals of networks: the sums behind the rows of a deep stack."""

from __future__ import annotations

import math
import operator
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.stack.sampling import FIELDS, Sampled

_SQUARE, _PRODUCT, _GRADIENT = map(FIELDS.index, ("square", "product", "gradient_square"))

MOST_VALUES = 1024
"""Number of networks behind a median: the first ones, so that a resumed run has the same ones.

Totals with that many fit a spreadsheet's cell, which holds 32,767 characters.
"""

VALUE_BYTES = 8
"""Bytes per value of a network in the totals."""


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
        product_m2: Σ (p - mean p)² over the networks' products p, relative to the squared mean of
            h².
        product_square: Σ (p - mean p)(q - mean q), relative to the same.
        squares: q of the first :data:`MOST_VALUES` networks, as doubles of little-endian bytes.
        gradients: The same for ∂h; None without the backward pass.
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
    product_m2: float = 0.0
    product_square: float = 0.0
    squares: bytes = b""
    gradients: bytes | None = b""

    @property
    def means(self) -> tuple[float | None, ...]:
        """The means, ordered as :data:`FIELDS`, and then :attr:`within`."""
        return self[1:9]

    def plus(self, moments: Sequence[float]) -> LayerTotals:
        """Return the totals after one more network; its moments are ordered as :data:`FIELDS`."""
        count, before = self.networks + 1, self.means
        mean, square = moments[:2]
        # Rounding can put a variance of 0 below 0; an overflow stays an overflow.
        every = (*moments, max(square - mean * mean, 0.0))
        means = [
            None if old is None else old + (value - old) / count
            for old, value in zip(before, every, strict=True)
        ]
        squares, gradients, products = (
            (before[place], moments[place]) for place in (_SQUARE, _GRADIENT, _PRODUCT)
        )
        of_squares, of_gradients = ((before[place], means[place]) for place in (_SQUARE, _GRADIENT))
        sums = (
            _with_one_more(self.square_m2, count, of_squares, squares, squares),
            _with_one_more(self.gradient_m2, count, of_gradients, gradients, gradients),
            _with_one_more(self.product_m2, count, of_squares, products, products),
            _with_one_more(self.product_square, count, of_squares, products, squares),
        )
        q, of_gradient = (
            struct.pack("<d", moments[place]) if count <= MOST_VALUES else b""
            for place in (_SQUARE, _GRADIENT)
        )
        values = self.squares + q, None if self.gradients is None else self.gradients + of_gradient
        # A mean is None if and only if it was None before.
        return LayerTotals(count, *means, *sums, *values)  # type: ignore[arg-type, call-arg]

    @classmethod
    def pooled(cls, parts: Sequence[LayerTotals]) -> LayerTotals:
        """Return the totals of one layer over the networks of all parts, in their order."""
        count = sum(part.networks for part in parts)
        shares = [part.networks / count for part in parts]
        means = [
            None if each[0] is None else math.fsum(map(operator.mul, shares, each))
            for each in zip(*(part.means for part in parts), strict=True)
        ]
        sums = (
            _pooled_sum([(p, p.square_m2) for p in parts], means, _SQUARE, _SQUARE),
            _pooled_sum([(p, p.gradient_m2) for p in parts], means, _GRADIENT, _GRADIENT),
            _pooled_sum([(p, p.product_m2) for p in parts], means, _PRODUCT, _PRODUCT),
            _pooled_sum([(p, p.product_square) for p in parts], means, _PRODUCT, _SQUARE),
        )
        most, gradients = MOST_VALUES * VALUE_BYTES, [part.gradients for part in parts]
        values = (
            b"".join(part.squares for part in parts)[:most],
            None if None in gradients else b"".join(filter(None, gradients))[:most],
        )
        # A mean is None if and only if it was None before.
        return LayerTotals(count, *means, *sums, *values)  # type: ignore[arg-type, call-arg]

    def relative_error(self, m2: float) -> float:
        """Return the relative standard error of a mean, from its sum of squares."""
        return math.sqrt(m2 / (self.networks - 1) / self.networks)

    def ratio_error(self, ratio: float) -> float:
        """Return the standard error of the mean product over the mean square, by the delta method.

        Cochran (1977), section 6.4.
        """
        m2 = self.product_m2 + ratio * (ratio * self.square_m2 - 2 * self.product_square)
        return self.relative_error(max(m2, 0.0))  # rounding can put it below 0


def median(values: bytes) -> float:
    """Return the median of doubles in little-endian bytes; NaN if one of them is NaN, or none.

    >>> median(struct.pack("<3d", 1.0, 5.0, 2.0))
    2.0
    """
    count = len(values) // VALUE_BYTES
    ordered: list[float] = sorted(struct.unpack(f"<{count}d", values))
    if not ordered or any(map(math.isnan, ordered)):
        return math.nan
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2


Mean: TypeAlias = float | None


def _pooled_sum(
    parts: Sequence[tuple[LayerTotals, float]], means: Sequence[Mean], first: int, second: int
) -> float:
    """Return Σ (a - mean a)(b - mean b) / u² of all parts, from their totals and these sums.

    Args:
        parts: Totals, each with the sum about its means.
        means: Means over all parts.
        first: The field a.
        second: The field b. The unit u is the mean of h², or that of (∂h)² for gradients.
    """
    field = _GRADIENT if first == _GRADIENT else _SQUARE
    unit, a, b = (means[place] for place in (field, first, second))
    if not unit or a is None or b is None:
        return 0.0
    terms = []
    for part, total in parts:
        before, of_a, of_b = ((part.means[place] or 0.0) / unit for place in (field, first, second))
        terms.append(total * before**2 + part.networks * ((of_a - a / unit) * (of_b - b / unit)))
    return math.fsum(terms)


def _with_one_more(
    total: float, count: int, unit: tuple[Mean, Mean], *pair: tuple[Mean, float]
) -> float:
    """Return Σ (a - mean a)(b - mean b) / u² after one more a and b.

    Args:
        total: The sum before.
        count: Number of a, with the new one.
        unit: u before and now.
        pair: The mean before and the new value, of a and of b.
    """
    before, now = unit
    (mean_a, a), (mean_b, b) = pair
    if not now or before is None or mean_a is None or mean_b is None:
        return 0.0
    ratio = before / now
    return total * ratio * ratio + (a - mean_a) / now * ((b - mean_b) / now) * (count - 1) / count


@dataclass(frozen=True, slots=True)
class StackTotals:
    """Running totals of all layers, added in the order of the networks.

    Attributes:
        networks: Number of networks.
        layers: The totals of every layer.
        counts: The histograms of φ(h), of shape (layers, bins + 2), or None.
        next_check: Number of networks at the next decision of the stopping rule, or None.
    """

    networks: int
    layers: tuple[LayerTotals, ...]
    counts: NDArray[np.int64] | None
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
        layers = tuple(t.plus(of_layer) for t, of_layer in zip(self.layers, moments, strict=True))
        return replace(self, networks=self.networks + 1, layers=layers, counts=counts)

    @property
    def worst_error(self) -> float:
        """The largest relative standard error of any layer, forward or backward."""
        errors = [t.relative_error(m2) for t in self.layers for m2 in (t.square_m2, t.gradient_m2)]
        return max((error for error in errors if not math.isnan(error)), default=0.0)
