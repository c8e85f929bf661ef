"""Moments of one block of outputs."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.memory import scratch


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
