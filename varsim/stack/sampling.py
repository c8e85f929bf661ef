"""Sampling of deep stacks: draw networks, propagate inputs and gradients, reduce.

Shares no facts with the theory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.activations import Activation, FloatArray
from varsim.catalog.samplers import find_sampler
from varsim.compute.memory import scratch
from varsim.compute.streams import generator
from varsim.layer.sampling import verify_initializer
from varsim.stack.question import Layer, Network
from varsim.statistics.moments import Bins

# Most weights that are stored for the backward pass, the last layers first; it redraws the others.
_STORED_WEIGHTS = 2**23

# Numbers per sum in the precision of the dtype; these sums are added in float64.
_BLOCK = 512

# A sum of squares within these has neither overflowed in float32 nor lost digits to underflow.
_SAFE = 1e-30, 1e38

# Largest distance of a saturated unit from a bound of φ, relative to half the range of φ.
_NEAR = 0.03

# The axis of a norm's averages: the batch, or the units of a layer.
_AXIS = {"batch": 0, "layer": 1, "rms": 1}

_TINY = 1e-30

_EMPTY: FloatArray = np.empty(0)


class LayerMoments(NamedTuple):
    """Moments of one layer of one network, over its units and its batch.

    Attributes:
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)², after the norm if there is one.
        saturated: Share of units near a bound of φ; 0 for an unbounded one.
        dead: Share of units where φ′ = 0.
        product: Mean of h h over pairs of inputs of the batch; 0 for a batch of one.
        gradient_square: Mean of (∂h)²; 0 without the backward pass.
    """

    mean: float
    square: float
    activation_square: float
    saturated: float
    dead: float
    product: float
    gradient_square: float


FIELDS = LayerMoments._fields


class Sampled(NamedTuple):
    """One replicate: the moments of one network.

    Attributes:
        moments: Of shape (layers, fields of :class:`LayerMoments`).
        counts: The histogram of φ(h) of every layer, or None.
    """

    moments: NDArray[np.float64]
    counts: tuple[tuple[int, ...], ...] | None


def sample_network(network: Network, index: int, bins: tuple[Bins, ...] | None = None) -> Sampled:
    """Return the moments of network ``index``, layer by layer."""
    sample = _Sample(network, index)
    moments = np.zeros((network.depth, len(FIELDS)))
    counts = []
    with np.errstate(all="ignore"):  # an explosion is a result
        for place, units in enumerate(sample.forward()):
            moments[place, :-1] = _moments(network.phi, units)
            if bins is not None:
                counts.append(bins[place].counts(units.phi))
        if network.backward:
            for place, gradient in sample.backward():
                moments[place, -1] = _mean_square(gradient)
            if not np.isfinite(moments[-2:-1, 1]).all():  # φ′ of NaN may be 0
                moments[:-1, -1] = np.nan
    return Sampled(moments, None if bins is None else tuple(counts))


def verify_network(network: Network) -> None:
    """Check that the activation and the weight source can be used; loads their frameworks.

    Raises:
        InputError: One of them cannot be used.
    """
    with np.errstate(all="ignore"):
        network.phi.phi(np.zeros(1))
    verify_initializer(network.experiment(*network.widths[:2]))


def network_bytes(network: Network) -> int:
    """Return the approximate bytes of arrays per worker.

    These are the stored weights and those of one more layer; φ′ of every layer for the backward
    pass, with a norm also h; and the arrays of one layer with one entry per unit.
    """
    layers, widest = network.layers, max(network.widths)
    sizes = [layer.fan_in * layer.fan_out for layer in layers]
    stored = _stored_layers(network)
    drawn = (4 if network.init else 1) + (stored < len(sizes))
    numbers = sum(sizes[len(sizes) - stored :]) + drawn * max(sizes)
    per_unit = network.backward * (1 + (network.norm != "none"))
    units = network.batch * (per_unit * sum(network.widths) + 8 * widest)
    return (numbers + units) * np.dtype(network.dtype).itemsize


class _Units(NamedTuple):
    """The values of the units of a layer, each of shape (batch, width).

    Attributes:
        h: The preactivations.
        phi: φ(h), after the norm if there is one.
        slope: φ′(h); empty if neither the backward pass nor the share of dead units needs it.
    """

    h: FloatArray
    phi: FloatArray
    slope: FloatArray


class _Sample:
    """One random network with its batch. Layers are counted from 0, without the input."""

    def __init__(self, network: Network, index: int) -> None:
        self._network, self._index = network, index
        self._dtype = np.dtype(network.dtype)
        self._initializer = network.initializer
        self._needs_slope = network.backward or network.phi.flat
        self._stored = _stored_weights(network)
        self._saved: list[Saved] = []

    def forward(self) -> Iterator[_Units]:
        """Yield the units of every layer."""
        network, phi = self._network, self._network.phi
        signal = self._inputs()
        below = signal
        for place, layer in enumerate(network.layers):
            h = (signal / self._divisor(place)) @ self._weights(place)
            if network.bias_std:
                h += self._bias(place, layer)
            if place and network.residual is not None:
                h *= self._dtype.type(network.residual)
                h += below
            normed, deviation = _normalised(network.norm, h)
            signal, slope = phi.both(normed) if self._needs_slope else (phi.phi(normed), _EMPTY)
            if network.backward:
                saved = _EMPTY if normed is h else normed
                self._saved.append(Saved(slope, saved, deviation))
            yield _Units(h, signal, slope)
            below = h

    def backward(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield the gradient of every layer's h from the top on, where it is standard normal."""
        network = self._network
        shape = (network.batch, network.widths[-1])
        gradient = self._draw("cotangent", "normal", shape, network.depth + 1).copy()
        yield network.depth - 1, gradient
        for place in reversed(range(network.depth - 1)):
            through = (gradient / self._divisor(place + 1)) @ self._weights(place + 1).T
            through = self._saved[place].gradient(network.norm, through)
            if network.residual is not None:
                through *= self._dtype.type(network.residual)
                through += gradient
            gradient = through
            yield place, gradient

    def _divisor(self, place: int) -> np.floating:
        """Return the divisor of a layer's weights: 1 for an initializer, used unchanged."""
        k = self._network.layers[place].k
        divisor: np.floating = self._dtype.type(self._initializer.divisor(k))
        return divisor

    def _weights(self, place: int) -> FloatArray:
        """Return a layer's weights before the division by k, drawn or stored."""
        layer, out = self._network.layers[place], self._stored.get(place)
        if out is None:
            out = scratch("w", layer.fan_in * layer.fan_out, self._dtype)
            out = out.reshape(layer.fan_in, layer.fan_out)
        elif place < len(self._saved):
            return out
        if self._network.init is None:
            return self._fill(out, self._network.w_dist or "normal", place + 1)
        out[:] = self._initializer.draw(self._stream(place + 1), out.shape, self._dtype).weights
        return out

    def _inputs(self) -> FloatArray:
        """Return a batch of x; correlated inputs share a part, drawn from a separate stream."""
        network, width = self._network, self._network.widths[0]
        x = self._draw("x", network.x_dist, (network.batch, width), 0)
        if network.correlation:
            shared = self._draw("shared", network.x_dist, (1, width), 2 * network.depth + 2)
            shared *= self._dtype.type(math.sqrt(network.correlation))
            x *= self._dtype.type(math.sqrt(1 - network.correlation))
            x += shared
        return x

    def _bias(self, place: int, layer: Layer) -> FloatArray:
        stream = self._network.depth + 2 + place
        bias = self._draw("bias", "normal", (1, layer.fan_out), stream)
        bias *= self._dtype.type(self._network.bias_std)
        return bias

    def _draw(self, name: str, distribution: str, shape: tuple[int, int], layer: int) -> FloatArray:
        """Return draws from the stream of a layer: the same draws in every call."""
        out: FloatArray = scratch(name, shape[0] * shape[1], self._dtype)
        return self._fill(out.reshape(shape), distribution, layer)

    def _fill(self, out: FloatArray, distribution: str, layer: int) -> FloatArray:
        find_sampler(distribution)(self._stream(layer), out.reshape(-1))
        return out

    def _stream(self, layer: int) -> Generator:
        return generator(self._network.key, self._network.seed, self._index, layer)


class Saved(NamedTuple):
    """Arrays of a layer saved for the backward pass.

    Attributes:
        slope: φ′, of shape (batch, width).
        normed: Normalised h, of the same shape; empty without a norm.
        deviation: The divisor of the norm, with one entry per average; empty without a norm.
    """

    slope: FloatArray
    normed: FloatArray
    deviation: FloatArray

    def gradient(self, norm: str, above: FloatArray) -> FloatArray:
        """Return the gradient of h from that of φ, ``above``, which is overwritten."""
        above *= self.slope
        if norm == "none":
            return above
        if norm == "batch" and len(above) == 2:  # normalised h is ±1: the rest is rounding
            above[:] = 0.0
            return above
        axis = _AXIS[norm]
        projection = np.mean(self.normed * above, axis=axis, keepdims=True)
        gradient: FloatArray = above - self.normed * projection
        if norm != "rms":
            gradient -= above.mean(axis=axis, keepdims=True)
        gradient /= self.deviation
        return gradient


def _stored_weights(network: Network) -> dict[int, FloatArray]:
    """Return memory, by layer, for the weights that the backward pass needs again.

    It is one array: from 4 MiB on, NumPy asks the system for huge pages, which are faster.
    """
    count = _stored_layers(network)
    shapes = [(layer.fan_in, layer.fan_out) for layer in reversed(network.layers)]
    ends = [0, *accumulate(fan_in * fan_out for fan_in, fan_out in shapes)]
    memory = scratch("stored", ends[count], np.dtype(network.dtype))
    return {
        network.depth - 1 - i: memory[ends[i] : ends[i + 1]].reshape(shapes[i])
        for i in range(count)
    }


def _stored_layers(network: Network) -> int:
    """Return the number of layers, from the last on, with weights stored for the backward pass."""
    sizes = (layer.fan_in * layer.fan_out for layer in reversed(network.layers))
    return sum(end <= _STORED_WEIGHTS for end in accumulate(sizes)) if network.backward else 0


def _normalised(norm: str, h: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the input of the activation, and the divisor of the norm."""
    if norm == "none":
        return h, _EMPTY
    axis = _AXIS[norm]
    centred = h if norm == "rms" else h - h.mean(axis=axis, keepdims=True)
    square = np.mean(np.square(centred), axis=axis, keepdims=True)
    deviation = np.sqrt(np.maximum(square, square.dtype.type(_TINY)))
    return centred / deviation, deviation


def _moments(activation: Activation, units: _Units) -> tuple[float, ...]:
    h, phi, slope = units
    low, high = activation.bounds
    near = _NEAR * (high - low) / 2
    saturated = (phi < low + near) | (phi > high - near) if activation.bounded else _EMPTY
    square = _mean_square(h)
    return (
        float(h.mean(dtype=np.float64)),
        square,
        _mean_square(phi),
        np.count_nonzero(saturated) / h.size,
        np.count_nonzero(slope == 0) / h.size if activation.flat else 0.0,
        _mean_product(h, square),
    )


def _mean_product(h: FloatArray, square: float) -> float:
    """Return the mean of h h over units and pairs of inputs, from h of shape (batch, width).

    Args:
        h: Preactivations of every input.
        square: Mean of h².
    """
    batch = len(h)
    if batch < 2:
        return 0.0
    return (batch * _mean_square(h.mean(axis=0)) - square) / (batch - 1)


def _mean_square(values: FloatArray) -> float:
    """Return the mean square, from short sums in the values' precision, added in float64."""
    flat = values.ravel()
    whole = flat.size - flat.size % _BLOCK
    blocks, rest = flat[:whole].reshape(-1, _BLOCK), flat[whole:]
    total = float(np.vecdot(blocks, blocks).sum(dtype=np.float64)) + float(rest @ rest)
    if not _SAFE[0] < total < _SAFE[1]:
        total = float(np.square(flat, dtype=np.float64).sum())
    return total / flat.size
