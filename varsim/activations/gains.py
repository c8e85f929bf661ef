"""Gains of activations: the factors on W with which a layer keeps the variance of its inputs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation, FloatArray, find_activation
from varsim.activations.quadrature import gaussian_mean
from varsim.parsing import InputError


class TorchGain(NamedTuple):
    """A gain of ``torch.nn.init``; a remark says its origin where it is not E φ² = 1 / gain²."""

    gain: float
    remark: str = ""


TORCH = {
    "identity": TorchGain(1.0),
    "sigmoid": TorchGain(1.0, "by convention"),
    "tanh": TorchGain(5 / 3, "empirical"),
    "relu": TorchGain(math.sqrt(2.0)),
    "leaky_relu": TorchGain(math.sqrt(2.0 / (1.0 + 0.01**2))),
    "selu": TorchGain(3 / 4, "empirical"),
}
"""All gains of torch, by the names of our activations."""


@dataclass(frozen=True)
class Gains:
    """Moments for h ~ N(0, q): q itself, E φ(h), E φ(h)² and E φ′(h)²."""

    variance: float
    mean: float
    second_moment: float
    derivative_second_moment: float

    @property
    def gain(self) -> float:
        """G with g² E φ² = q, which keeps the variance between layers: He et al. (2015), eq. 9."""
        return math.sqrt(self.variance / self.second_moment)

    @property
    def std_gain(self) -> float:
        """G with g² Var φ = q, for layers that subtract the mean of φ, as a normalisation does."""
        return math.sqrt(self.variance / (self.second_moment - self.mean**2))

    @property
    def chi(self) -> float:
        """χ = g² E φ′² at the gain: the growth of squared gradients per layer, backwards."""
        return self.gain**2 * self.derivative_second_moment


def gain(text: str, variance: float = 1.0) -> float:
    """Return the second-moment gain of an activation, or torch's gain for ``torch:NAME``.

    Args:
        text: As for :func:`varsim.activations.find_activation`.
        variance: The variance of its inputs.

    Raises:
        InputError: The activation is unknown, or has no gain.

    >>> round(gain("gelu"), 6), gain("torch:tanh")
    (1.53353, 1.6666666666666667)
    """
    origin, _, name = text.strip().partition(":")
    if origin != "torch":
        return gains(find_activation(text), variance).gain
    if name not in TORCH:
        raise InputError(f"torch has no gain for {name!r}; it has {', '.join(TORCH)}")
    return TORCH[name].gain


def gains(activation: Activation, variance: float = 1.0) -> Gains:
    """Return the moments that gains follow from, for inputs of a variance.

    Raises:
        InputError: E φ² is 0 or not finite.

    >>> from varsim.activations import ACTIVATIONS
    >>> round(gains(ACTIVATIONS["relu"]).gain ** 2, 12)
    2.0
    """

    def averages(h: FloatArray) -> FloatArray:
        phi = activation.phi(h)
        return np.stack([phi, phi * phi, activation.derivative(h) ** 2])

    result = Gains(variance, *map(float, gaussian_mean(averages, variance, activation.kinks)))
    if not (math.isfinite(result.second_moment) and result.second_moment > 0):
        raise InputError(
            f"{activation.formula} has E φ² = {result.second_moment:g} at variance {variance:g}, "
            "so it has no gain; take another activation or variance"
        )
    return result


class Critical(NamedTuple):
    """The initialization at which signals and gradients neither grow nor vanish with depth.

    Attributes:
        kind: ``scale-invariant``: critical at every K. ``K* = 0``: critical as the signal slowly
            vanishes. ``finite K*``: critical at one K. ``none``: never critical.
        weights: C_W, the variance of W times its fan-in; None where not critical.
        bias: C_b, the variance of the bias; None where not critical.
        variance: K*, the variance of the pre-activations; None where free or not critical.
    """

    kind: str
    weights: float | None = None
    bias: float | None = None
    variance: float | None = None


# Smaller differences are rounding.
_NOISE = 1e-11


def critical(activation: Activation) -> Critical:
    """Return the initialization at which an activation is critical.

    There K = C_b + C_W E φ², and the susceptibilities are 1: the parallel one C_W dE φ²/dK, and
    the perpendicular one C_W E φ′². See Roberts, Yaida & Hanin (2022), The Principles of Deep
    Learning Theory, section 5.3. So K* is a root of dE φ²/dK - E φ′², C_W = 1 / E φ′², and
    C_b = K* - C_W E φ², which must not be negative.
    """
    if activation.homogeneous:
        return Critical("scale-invariant", 1.0 / gains(activation).second_moment, 0.0)
    root = _root(lambda log_k: _mismatch(activation, math.exp(log_k)))
    if root is not None:
        at = gains(activation, math.exp(root))
        weights = 1.0 / at.derivative_second_moment
        bias = at.variance - weights * at.second_moment
        if bias >= 0.0:
            return Critical("finite K*", weights, bias, at.variance)
    # The limit K -> 0 depends on the two one-sided slopes at 0 alone.
    around = np.array([-1e-15, 0.0, 1e-15])
    left, _, right = activation.derivative(around) ** 2
    if activation.phi(around)[1] != 0.0 or left + right < _NOISE:
        return Critical("none")
    return Critical("K* = 0", float(2.0 / (left + right)), 0.0, 0.0)


def _mismatch(activation: Activation, variance: float) -> float:
    """Return dE φ²/dK - E φ′² = E φ φ″ = E[φ φ′ h] / K - E φ′², relative to E φ′²."""

    def averages(h: FloatArray) -> FloatArray:
        slope = activation.derivative(h)
        return np.stack([activation.phi(h) * slope * h / variance, slope * slope])

    parallel, perpendicular = gaussian_mean(averages, variance, activation.kinks)
    return float((parallel - perpendicular) / perpendicular) if perpendicular else 0.0


def _root(function: Callable[[float], float]) -> float | None:
    """Return the first sign change of a function of log K, to the last bit; None without one."""
    grid: list[float] = np.linspace(math.log(1e-4), math.log(1e6), 93).tolist()
    clear = [(at, value) for at in grid if abs(value := function(at)) > _NOISE]
    for (left, below), (right, above) in pairwise(clear):
        if (below > 0) != (above > 0):
            low, high = left, right
            while low < (middle := (low + high) / 2) < high:
                if (function(middle) > 0) == (above > 0):
                    high = middle
                else:
                    low = middle
            return high
    return None
