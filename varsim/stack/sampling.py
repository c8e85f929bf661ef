"""Sampling of deep stacks: draw networks, push inputs forward and gradients back, reduce.

Knows nothing of the theory it is compared with.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.activations import Activation, FloatArray
from varsim.catalog.samplers import SAMPLERS
from varsim.compute.memory import scratch
from varsim.layer.sampling import generator, verify_initializer
from varsim.stack.network import Layer, Network
from varsim.statistics.moments import Bins

# Weights are drawn once more for the way back, but for so many of the last, which are kept.
_KEPT_NUMBERS = 2**23

# A unit is saturated within this share of half the range of φ from a bound.
_NEAR = 0.03

_TINY = 1e-30


class LayerMoments(NamedTuple):
    """What one network gave of one layer, over its units and its batch.

    Attributes:
        mean: Mean of h.
        square: Mean of h².
        activation_square: Mean of φ(h)², after the norm if there is one.
        saturated: Share of units near a bound of φ; 0 for an unbounded one.
        dead: Share of units where φ′ = 0.
        gradient_square: Mean of (∂h)²; 0 where gradients are not followed.
    """

    mean: float
    square: float
    activation_square: float
    saturated: float
    dead: float
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
    with np.errstate(over="ignore", invalid="ignore"):  # an explosion is a result
        for place, h in enumerate(sample.forward()):
            normed = _normalised(network.norm, h)
            phi = network.phi.phi(normed)
            moments[place, :-1] = _moments(network.phi, h, normed, phi)
            if bins is not None:
                counts.append(bins[place].counts(phi))
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
    network.phi.phi(np.zeros(1))
    verify_initializer(network.experiment(*network.widths[:2]))


class _Sample:
    """One random network with its batch. Layers are counted from 0, the input is none of them."""

    def __init__(self, network: Network, index: int) -> None:
        self._network, self._index = network, index
        self._dtype = np.dtype(network.dtype)
        self._initializer = network.initializer
        self._signals: list[FloatArray] = []

    def forward(self) -> Iterator[FloatArray]:
        """Yield h of every layer, of shape (batch, width)."""
        network = self._network
        signal = self._draw("x", network.x_dist, (network.batch, network.widths[0]), 0)
        for place, layer in enumerate(network.layers):
            h = self._signal(place)
            np.matmul(signal / self._divisor(place), self._weights(place), out=h)
            if network.bias_std:
                h += self._bias(place, layer)
            if place and network.residual is not None:
                h *= self._dtype.type(network.residual)
                h += self._signals[-1]
            self._signals.append(h)
            yield h
            signal = network.phi.phi(_normalised(network.norm, h))

    def backward(self) -> Iterator[tuple[int, FloatArray]]:
        """Yield the gradient of every layer's h, from the top, where it is standard normal."""
        network = self._network
        shape = (network.batch, network.widths[-1])
        gradient = self._draw("cotangent", "normal", shape, network.depth + 1).copy()
        yield network.depth - 1, gradient
        for place in reversed(range(network.depth - 1)):
            h = self._signals[place]
            normed = _normalised(network.norm, h)
            through = (gradient / self._divisor(place + 1)) @ self._weights(place + 1).T
            through *= network.phi.derivative(normed)
            through = _back_through_norm(network.norm, h, normed, through)
            if network.residual is not None:
                through *= self._dtype.type(network.residual)
                through += gradient
            gradient = through
            yield place, gradient

    def _signal(self, place: int) -> FloatArray:
        shape = (self._network.batch, self._network.widths[place + 1])
        return scratch(f"h{place}", shape[0] * shape[1], self._dtype).reshape(shape)

    def _divisor(self, place: int) -> np.floating[Any]:
        """Return what a layer's weights are to be divided by: 1 where they come as they are."""
        k = self._network.layers[place].k
        divisor: np.floating[Any] = self._dtype.type(self._initializer.divisor(k))
        return divisor

    def _weights(self, place: int) -> FloatArray:
        """Return a layer's weights before their division by k: drawn, or kept from the way up."""
        layer, kept = self._network.layers[place], self._is_kept(place)
        shape = (layer.fan_in, layer.fan_out)
        name = f"w{place}" if kept else "w"
        if kept and place < len(self._signals):
            return scratch(name, shape[0] * shape[1], self._dtype).reshape(shape)
        if self._network.init is None:
            return self._draw(name, self._network.w_dist or "normal", shape, place + 1)
        made = self._initializer.draw(self._stream(place + 1), shape, self._dtype).weights
        out: FloatArray = scratch(name, made.size, self._dtype).reshape(shape)
        out[:] = made
        return out

    def _is_kept(self, place: int) -> bool:
        above = sum(layer.fan_in * layer.fan_out for layer in self._network.layers[place:])
        return self._network.backward and above <= _KEPT_NUMBERS

    def _bias(self, place: int, layer: Layer) -> FloatArray:
        stream = self._network.depth + 2 + place
        bias = self._draw("bias", "normal", (1, layer.fan_out), stream)
        bias *= self._dtype.type(self._network.bias_std)
        return bias

    def _draw(self, name: str, distribution: str, shape: tuple[int, int], layer: int) -> FloatArray:
        """Return draws from a layer's own stream: the same every time they are asked for."""
        out: FloatArray = scratch(name, shape[0] * shape[1], self._dtype)
        SAMPLERS[distribution](self._stream(layer), out)
        return out.reshape(shape)

    def _stream(self, layer: int) -> Generator:
        return generator(self._network.key, self._network.seed, self._index, layer)


def _moments(
    activation: Activation, h: FloatArray, normed: FloatArray, phi: FloatArray
) -> tuple[float, ...]:
    low, high = activation.bounds
    near = _NEAR * (high - low) / 2
    saturated = np.mean((phi < low + near) | (phi > high - near)) if activation.bounded else 0.0
    dead = np.mean(activation.derivative(normed) == 0) if activation.flat else 0.0
    return (
        float(h.mean(dtype=np.float64)),
        _mean_square(h),
        _mean_square(phi),
        float(saturated),
        float(dead),
    )


def _mean_square(values: FloatArray) -> float:
    flat = values.ravel()
    if flat.dtype != np.float64:
        wide = scratch("wide", flat.size, np.float64)
        np.copyto(wide, flat)
        flat = wide
    return float(flat @ flat) / flat.size


def _normalised(norm: str, h: FloatArray) -> FloatArray:
    """Return what the activation sees."""
    if norm == "none":
        return h
    axis = 0 if norm == "batch" else 1
    centred = h if norm == "rms" else h - h.mean(axis=axis, keepdims=True)
    return centred / _deviation(centred, axis)


def _deviation(centred: FloatArray, axis: int) -> FloatArray:
    square = np.mean(np.square(centred), axis=axis, keepdims=True)
    deviation: FloatArray = np.sqrt(np.maximum(square, square.dtype.type(_TINY)))
    return deviation


def _back_through_norm(
    norm: str, h: FloatArray, normed: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return the gradient of h from that of the normalised h."""
    if norm == "none":
        return gradient
    axis = 0 if norm == "batch" else 1
    centred = h if norm == "rms" else h - h.mean(axis=axis, keepdims=True)
    back = gradient - normed * np.mean(normed * gradient, axis=axis, keepdims=True)
    if norm != "rms":
        back -= gradient.mean(axis=axis, keepdims=True)
    result: FloatArray = back / _deviation(centred, axis)
    return result
