"""Sampling of deep stacks: draw networks, push inputs forward and gradients back, reduce.

Knows nothing of the theory it is compared with.
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
from varsim.catalog.samplers import SAMPLERS
from varsim.compute.memory import scratch
from varsim.compute.streams import generator
from varsim.layer.sampling import verify_initializer
from varsim.stack.question import Layer, Network
from varsim.statistics.moments import Bins

# Weights are drawn once more for the way back, but for so many of the last, which are kept.
_KEPT_NUMBERS = 2**23

# So many numbers are summed in their own precision, and such sums in float64.
_BLOCK = 512

# A sum of squares within these has neither overflowed in float32 nor lost digits to underflow.
_SAFE = 1e-30, 1e38

# A unit is saturated within this share of half the range of φ from a bound.
_NEAR = 0.03

# What a norm averages over: the batch, or the units of a layer.
_AXIS = {"batch": 0, "layer": 1, "rms": 1}

_TINY = 1e-30

_EMPTY: FloatArray = np.empty(0)


class LayerMoments(NamedTuple):
    """What one network gave of one layer, over its units and its batch.

    Attributes:
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)², after the norm if there is one.
        saturated: Share of units near a bound of φ; 0 for an unbounded one.
        dead: Share of units where φ′ = 0.
        product: Mean of h h of two inputs of the batch; 0 where there is one.
        gradient_square: Mean of (∂h)²; 0 where gradients are not followed.
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
    """What one network gave.

    Attributes:
        moments: Of shape (layers, fields of :class:`LayerMoments`).
        counts: The histogram of φ(h) of every layer, or None.
    """

    moments: NDArray[np.float64]
    counts: tuple[tuple[int, ...], ...] | None


def sample_network(network: Network, index: int, bins: tuple[Bins, ...] | None = None) -> Sampled:
    """Return what network ``index`` gives, layer by layer."""
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
            if not np.isfinite(moments[-2:-1, 1]).all():  # φ′ of what is not a number may be 0
                moments[:-1, -1] = np.nan
    return Sampled(moments, None if bins is None else tuple(counts))


def verify_network(network: Network) -> None:
    """Check that the activation and what makes W can be used; loads what they belong to.

    Raises:
        InputError: One of them cannot.
    """
    with np.errstate(all="ignore"):
        network.phi.phi(np.zeros(1))
    verify_initializer(network.experiment(*network.widths[:2]))


def network_bytes(network: Network) -> int:
    """Return about how many bytes of arrays a worker holds.

    The weights that are kept, and those of another layer as they are drawn; φ′, and with a norm h,
    of every layer for the way back; and what a layer takes of arrays with an entry for each unit.
    """
    layers, widest = network.layers, max(network.widths)
    sizes = [layer.fan_in * layer.fan_out for layer in layers]
    kept = _kept_count(network)
    drawn = (4 if network.init else 1) + (kept < len(sizes))
    numbers = sum(sizes[len(sizes) - kept :]) + drawn * max(sizes)
    per_unit = network.backward * (1 + (network.norm != "none"))
    units = network.batch * (per_unit * sum(network.widths) + 8 * widest)
    return (numbers + units) * np.dtype(network.dtype).itemsize


class _Units(NamedTuple):
    """What the units of a layer gave, each of shape (batch, width).

    Attributes:
        h: What comes in.
        phi: φ of h, after the norm if there is one.
        slope: φ′ there; empty where neither the way back nor the share of dead units needs it.
    """

    h: FloatArray
    phi: FloatArray
    slope: FloatArray


class _Sample:
    """One random network with its batch. Layers are counted from 0, the input is none of them."""

    def __init__(self, network: Network, index: int) -> None:
        self._network, self._index = network, index
        self._dtype = np.dtype(network.dtype)
        self._initializer = network.initializer
        self._needs_slope = network.backward or network.phi.flat
        self._kept = _kept_weights(network)
        self._ways_back: list[_WayBack] = []

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
                kept = _EMPTY if normed is h else normed
                self._ways_back.append(_WayBack(slope, kept, deviation))
            yield _Units(h, signal, slope)
            below = h

    def backward(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield the gradient of every layer's h, from the top, where it is standard normal."""
        network = self._network
        shape = (network.batch, network.widths[-1])
        gradient = self._draw("cotangent", "normal", shape, network.depth + 1).copy()
        yield network.depth - 1, gradient
        for place in reversed(range(network.depth - 1)):
            through = (gradient / self._divisor(place + 1)) @ self._weights(place + 1).T
            through = self._ways_back[place].gradient(network.norm, through)
            if network.residual is not None:
                through *= self._dtype.type(network.residual)
                through += gradient
            gradient = through
            yield place, gradient

    def _divisor(self, place: int) -> np.floating:
        """Return what a layer's weights are to be divided by: 1 where they come as they are."""
        k = self._network.layers[place].k
        divisor: np.floating = self._dtype.type(self._initializer.divisor(k))
        return divisor

    def _weights(self, place: int) -> FloatArray:
        """Return a layer's weights before their division by k: drawn, or kept from the way up."""
        layer, out = self._network.layers[place], self._kept.get(place)
        if out is None:
            out = scratch("w", layer.fan_in * layer.fan_out, self._dtype)
            out = out.reshape(layer.fan_in, layer.fan_out)
        elif place < len(self._ways_back):
            return out
        if self._network.init is None:
            return self._fill(out, self._network.w_dist or "normal", place + 1)
        out[:] = self._initializer.draw(self._stream(place + 1), out.shape, self._dtype).weights
        return out

    def _inputs(self) -> FloatArray:
        """Return a batch of x; correlated inputs share a part, which has a stream of its own."""
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
        """Return draws from a layer's own stream: the same every time they are asked for."""
        out: FloatArray = scratch(name, shape[0] * shape[1], self._dtype)
        return self._fill(out.reshape(shape), distribution, layer)

    def _fill(self, out: FloatArray, distribution: str, layer: int) -> FloatArray:
        SAMPLERS[distribution](self._stream(layer), out.reshape(-1))
        return out

    def _stream(self, layer: int) -> Generator:
        return generator(self._network.key, self._network.seed, self._index, layer)


class _WayBack(NamedTuple):
    """What is kept of a layer for the way back: φ′, and what the norm gave and divided by."""

    slope: FloatArray
    normed: FloatArray
    deviation: FloatArray

    def gradient(self, norm: str, above: FloatArray) -> FloatArray:
        """Return the gradient of h from that of φ, which is overwritten."""
        above *= self.slope
        if norm == "none":
            return above
        if norm == "batch" and len(above) == 2:  # which is ±1 whatever h is: the rest is rounding
            above[:] = 0.0
            return above
        axis = _AXIS[norm]
        along = np.mean(self.normed * above, axis=axis, keepdims=True)
        back: FloatArray = above - self.normed * along
        if norm != "rms":
            back -= above.mean(axis=axis, keepdims=True)
        back /= self.deviation
        return back


def _kept_weights(network: Network) -> dict[int, FloatArray]:
    """Return memory for the weights of the last layers, which the way back needs again.

    It is one piece: from 4 MiB on, NumPy asks the system for huge pages, which are faster.
    """
    count = _kept_count(network)
    shapes = [(layer.fan_in, layer.fan_out) for layer in reversed(network.layers)]
    ends = [0, *accumulate(fan_in * fan_out for fan_in, fan_out in shapes)]
    memory = scratch("kept", ends[count], np.dtype(network.dtype))
    return {
        network.depth - 1 - i: memory[ends[i] : ends[i + 1]].reshape(shapes[i])
        for i in range(count)
    }


def _kept_count(network: Network) -> int:
    """Return of how many layers, from the last on, weights are kept for the way back."""
    sizes = (layer.fan_in * layer.fan_out for layer in reversed(network.layers))
    return sum(end <= _KEPT_NUMBERS for end in accumulate(sizes)) if network.backward else 0


def _normalised(norm: str, h: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return what the activation sees, and what the norm divided by."""
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
        h: The units of every input.
        square: Their mean square.
    """
    batch = len(h)
    if batch < 2:
        return 0.0
    return (batch * _mean_square(h.mean(axis=0)) - square) / (batch - 1)


def _mean_square(values: FloatArray) -> float:
    """Return the mean square: short sums are of the values' precision, sums of these float64."""
    flat = values.ravel()
    whole = flat.size - flat.size % _BLOCK
    blocks, rest = flat[:whole].reshape(-1, _BLOCK), flat[whole:]
    total = float(np.vecdot(blocks, blocks).sum(dtype=np.float64)) + float(rest @ rest)
    if not _SAFE[0] < total < _SAFE[1]:
        total = float(np.square(flat, dtype=np.float64).sum())
    return total / flat.size
