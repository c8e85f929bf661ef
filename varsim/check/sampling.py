"""Sampling of an initializer: a whole W, and outputs forward and backward."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.samplers import FloatArray
from varsim.check.question import BATCH, sampled_groups
from varsim.check.totals import Draw
from varsim.compute.streams import generator
from varsim.errors import InputError
from varsim.initializers import Acting, Masks
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
    forward: FloatArray
    backward: FloatArray
    if drawn.acting is None:
        x = rng.standard_normal((BATCH, asked.dim), drawn.weights.dtype.type)
        g = rng.standard_normal((BATCH, asked.n), drawn.weights.dtype.type)
        forward, backward = x @ drawn.weights, g @ drawn.weights.T
        if drawn.bias is not None:
            forward += drawn.bias
    else:
        forward, backward = _outputs(drawn.acting, drawn.bias, rng)
    mean, mean_square, central = _entries(asked, drawn.weights)
    return Draw(mean, mean_square, central, Moments.of(forward), Moments.of(backward))


def _outputs(
    acting: Acting, bias: FloatArray | None, rng: Generator
) -> tuple[FloatArray, FloatArray]:
    """Return outputs of a module's weight forward, and backward; each group has its inputs.

    A convolution's output is at a random position, where some taps may meet no input.
    """
    groups, dim, columns = acting.forward.shape
    used = sampled_groups(groups, dim + columns)
    taken = np.linspace(0, groups - 1, used).astype(int)
    w, back = acting.forward[taken], acting.backward[taken].transpose(0, 2, 1)
    x, g = (rng.standard_normal((used, BATCH, m.shape[1]), m.dtype.type) for m in (w, back))
    if acting.forward_masks:
        met = _met(acting.forward_masks, rng, w.dtype)
        x *= np.tile(met, dim // met.shape[1])
        met = _met(acting.backward_masks, rng, w.dtype)
        g *= met.repeat(back.shape[1] // met.shape[1], axis=1)
    forward = x @ w
    if bias is not None:
        forward += bias.reshape(groups, 1, columns)[taken]
    return forward, g @ back


def _met(masks: Masks, rng: Generator, dtype: np.dtype[np.floating]) -> FloatArray:
    """Return for a batch of random positions whether each tap meets an entry, as 0 and 1."""
    met = np.ones((BATCH, 1), dtype)
    for mask in masks:
        of_axis = mask[rng.integers(len(mask), size=BATCH)].astype(dtype)
        met = (met[:, :, np.newaxis] * of_axis[:, np.newaxis]).reshape(BATCH, -1)
    return met


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
