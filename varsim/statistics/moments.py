"""Reductions of outputs: moments and histograms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.compute.memory import scratch


class Moments(NamedTuple):
    """Mean and variance of the outputs of one block, in float64 for any dtype of the outputs.

    Attributes:
        outputs: Number of outputs.
        mean: Their mean.
        variance: Their mean squared deviation from that mean.
    """

    outputs: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: NDArray[np.floating]) -> Moments:
        """Return the moments of an array of any shape."""
        (moments,) = cls.of_each(values.reshape(1, -1))
        return moments

    @classmethod
    def of_each(cls, values: NDArray[np.floating]) -> list[Moments]:
        """Return the moments of every row of a matrix; two passes, since E y² - (E y)² cancels."""
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
    """The bins of a histogram: ``number`` equal ones from ``low`` on, and one beyond each end."""

    low: float
    width: float
    number: int

    @property
    def edges(self) -> NDArray[np.floating]:
        """The edges of the equal bins, of shape (number + 1,)."""
        return self.low + self.width * np.arange(self.number + 1)

    def split(self, parts: int) -> Bins:
        """Return the bins with every bin split into ``parts`` equal ones."""
        return Bins(self.low, self.width / parts, self.number * parts)

    def like(self, other: Bins) -> bool:
        """Return whether bins are equal up to rounding, which differs between math libraries."""
        ends = zip(self[:2], other[:2], strict=True)
        close = all(abs(a - b) <= 1e-6 * self.width for a, b in ends)
        return close and self.number == other.number

    def counts(self, values: NDArray[np.floating]) -> tuple[int, ...]:
        """Return the number of values per bin; the first and the last are those beyond the ends.

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
