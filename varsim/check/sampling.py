"""Sampling of an initializer: a whole W, and outputs forward and backward."""

from __future__ import annotations

import numpy as np

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.samplers import FloatArray
from varsim.check.question import BATCH
from varsim.check.totals import Draw
from varsim.compute.streams import generator
from varsim.errors import InputError
from varsim.layer.question import Experiment
from varsim.layer.sampling import whole
from varsim.statistics.moments import Moments

# Extra spawn-key word of the stream of x and g, which differs from that of W.
_STREAM_OF_INPUTS = 2


def draw(asked: Experiment, index: int) -> Draw:
    """Return the moments of W ``index`` and of its outputs.

    Raises:
        InputError: The initializer fails, or returns something other than W.
    """
    drawn = whole(asked, index)
    rng = generator(asked.key, asked.seed, index, _STREAM_OF_INPUTS)
    x = rng.standard_normal((BATCH, asked.dim), drawn.weights.dtype.type)
    g = rng.standard_normal((BATCH, asked.n), drawn.weights.dtype.type)
    forward = x @ drawn.weights
    if drawn.bias is not None:
        forward += drawn.bias
    mean, mean_square, central = _entries(asked, drawn.weights)
    backward = Moments.of(g @ drawn.weights.T)
    return Draw(mean, mean_square, central, Moments.of(forward), backward)


def _entries(
    asked: Experiment, weights: FloatArray
) -> tuple[float, float, tuple[float, float, float]]:
    """Return mean, mean square and central moments of the entries of W, as in :class:`Draw`."""
    # Below, an E w⁴ or the spread of an E y² would be 0.
    least = FLOAT_TYPES[asked.dtype].smallest
    w = weights.astype(np.float64).ravel()
    mean, mean_square = float(w.mean()), float(w @ w) / w.size
    if w.any() and mean_square < least**2:
        raise InputError(
            f"{asked.init} makes numbers below {least:g}, where {asked.dtype} is not safe; give "
            "larger arguments"
        )
    w -= mean
    squares = w * w
    powers = (float(w @ w), float(squares @ w), float(squares @ squares))
    second, third, fourth = (power / w.size for power in powers)
    return mean, mean_square, (second, third, fourth)
