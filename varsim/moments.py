"""Moments of one block of outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Moments(NamedTuple):
    """Mean and variance of the outputs of one block, in float64 whatever the outputs' dtype.

    Attributes:
        count: Number of outputs.
        mean: Their mean.
        variance: Their mean squared deviation from that mean.
    """

    count: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: NDArray[np.floating[Any]]) -> Moments:
        """Return the moments of an array of any shape, in two passes: never E y² - (E y)²."""
        deviations = values.astype(np.float64).ravel()
        mean = float(deviations.mean())
        deviations -= mean
        return cls(deviations.size, mean, float(deviations @ deviations) / deviations.size)
