"""Deep stacks in the limit of infinite width: kernels, gradients, and correlations of inputs.

The limit holds for weights of any distribution. Batch norm has the size of the batch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory.batch import batch_means
from varsim.stack.theory.cells import Cells
from varsim.stack.theory.laws import Array, hermite, resolved_rule

MANY_ORDERS = 200
"""Number of Hermite polynomials for correlations: near c = 1 an activation with a kink needs many.
"""

# The most layers whose correlations are computed for independent inputs.
_MOST_CORRELATED = 256

# Range of a kernel, so that floats hold its square.
_SMALLEST, _LARGEST = 1e-154, 1e154


class Limit(NamedTuple):
    """The limit of the lowest layers, as many as floats hold; lists by layer.

    Gradients start on top of these layers, not of the stack.

    Attributes:
        kernels: K = E h².
        unshared: Part of K that two inputs of a batch do not share, K - E h h′.
        gradients: E (∂h)², from a cotangent of variance 1 on top.
        correlations: c, the correlation of h between two inputs of a batch; None in very deep
            stacks with independent inputs.
        chis: χ⊥ = C E φ′² over the norm's squared divisor: the growth of squared gradients from the
            next layer down to this one at equal widths; None on top and where infinite.
        end: Reason of an end below the top of the stack, or None.
    """

    kernels: list[float]
    unshared: list[float]
    gradients: list[float]
    correlations: list[float | None]
    chis: list[float | None]
    end: str | None = None

    @property
    def cells(self) -> Cells:
        """Its cells, without those of gradients beyond what floats hold."""
        cells = Cells.of(np.array([self.kernels, self.gradients]))
        gap = "the variance of gradients is beyond what floats hold"
        return cells.only(np.isfinite(cells.value), gap)

    def lower(self, depth: int) -> Limit:
        """Return the lowest layers; their gradients still start on top of all layers."""
        return Limit(
            self.kernels[:depth], self.unshared[:depth], self.gradients[:depth],
            self.correlations[:depth], self.chis[:depth], self.end,
        )  # fmt: skip


def variance_of_weights(network: Network) -> list[float]:
    """Return C of every layer: the variance of the entries of W times fan-in."""
    return [layer.fan_in / layer.k_squared for layer in network.layers]


def stream_factors(network: Network) -> tuple[float, float]:
    """Return the squared factors of the stream and of the branch: 0 and 1 in a plain stack."""
    return (0.0, 1.0) if network.residual is None else (1.0, network.residual**2)


def layers_in_limit(network: Network) -> Limit:
    """Return the limit of every layer whose kernel floats hold.

    Forward: Poole et al. (2016), eq. 3 and 5. Backward: Schoenholz et al. (2017), eq. 9; Yang &
    Schoenholz (2017) for residual stacks; Yang et al. (2019) for batch norm.
    """
    kernels, unshared, covariances, end = _forward(network)
    gradients, chis = _backward(network, kernels, unshared)
    correlated = network.correlation > 0 or network.depth <= _MOST_CORRELATED
    return Limit(
        kernels,
        unshared,
        gradients,
        [c / k if correlated else None for c, k in zip(covariances, kernels, strict=True)],
        chis,
        end,
    )


def _forward(network: Network) -> tuple[list[float], list[float], list[float], str | None]:
    """Return K, K - E h h′ and E h h′ of every layer, and the reason of an early end.

    Layers end where floats do not hold a kernel, or φ² has no finite mean.
    """
    first, *others = variance_of_weights(network)
    x, bias = Entries.of(network.x_dist, 0.0, 1.0), network.bias_std**2
    shared = x.mean**2 + network.correlation * x.variance
    kernels: list[float] = []
    unshared: list[float] = []
    covariances: list[float] = []
    kernel = first * x.mean_square + bias
    difference, covariance = first * (x.mean_square - shared), first * shared + bias
    skip, factor = stream_factors(network)
    end = None
    for place in range(network.depth):
        if not _SMALLEST < kernel < _LARGEST:
            end = f"the variance of layer {place + 1} {_beyond(kernel)}"
            break
        kernels.append(kernel)
        unshared.append(difference)
        covariances.append(covariance)
        if place == len(others):
            break
        try:
            second, product = _second_moments(network, kernel, covariance)
        except ArithmeticError:
            end = f"{network.activation} has no finite mean square in layer {place + 1}"
            break
        weight = others[place]
        kernel = skip * kernel + factor * (weight * second + bias)
        difference = skip * difference + factor * (weight * (second - product))
        covariance = skip * covariance + factor * (weight * product + bias)
    return kernels, unshared, covariances, end


def _beyond(kernel: float) -> str:
    if kernel <= _SMALLEST:
        return f"falls below {_SMALLEST:g}"
    return f"grows beyond {_LARGEST:g}" if kernel >= _LARGEST else "is not a number"


def _second_moments(network: Network, kernel: float, covariance: float) -> tuple[float, float]:
    """Return E φ² of one input, and E φφ of two."""
    if network.norm == "batch":
        means = batch_means(network.phi, network.batch)
        return means.square, means.product
    at = kernel_means(network.phi, kernel if network.norm == "none" else 1.0)
    if network.depth > _MOST_CORRELATED and not network.correlation:
        return at.square, 0.0  # nothing needs the product
    correlation = min(1.0, max(-1.0, covariance / kernel))
    return at.square, at.square if correlation == 1.0 else at.product(correlation)


def _backward(
    network: Network, kernels: list[float], unshared: list[float]
) -> tuple[list[float], list[float | None]]:
    """Return E (∂h)² and χ⊥ of every layer.

    Below batch norm a gradient is ``direct`` + ``centred``: the part that passed skip connections
    alone, and the part that passed a norm, which removed its mean over the batch.
    """
    skip, factor = stream_factors(network)
    centred, direct = 0.0, 1.0
    gradients = [1.0]
    chis: list[float | None] = [None]
    for place in range(len(kernels) - 2, -1, -1):
        layer = network.layers[place + 1]
        if network.norm == "batch":
            means, scale = batch_means(network.phi, network.batch), unshared[place]
            passed, whole = np.divide([means.passed, means.whole], scale).tolist()
        else:
            variance = kernels[place] if network.norm == "none" else 1.0  # of φ's argument
            passed = whole = kernel_means(network.phi, variance).slope * variance / kernels[place]
        weight = factor * layer.fan_out / layer.k_squared
        centred = centred * (skip + weight * passed) + direct * weight * whole
        direct *= skip
        gradients.append(centred + direct)
        chi = layer.fan_in / layer.k_squared * passed
        chis.append(chi if math.isfinite(chi) else None)
    return gradients[::-1], chis[::-1]


@dataclass(frozen=True)
class KernelMeans:
    """Averages over h ~ N(0, K).

    Attributes:
        phi: The activation.
        kernel: K.
        mean: E φ.
        square: E φ².
        slope: E φ′².
    """

    phi: Activation
    kernel: float
    mean: float
    square: float
    slope: float

    def product(self, correlation: float) -> float:
        """Return E φ(u) φ(v) at a correlation of u and v, by Mehler's formula.

        The part of E φ² beyond 200 polynomials enters with the next power of the correlation; it is
        below 1e-4 for a kink.
        """
        if abs(correlation) < 1e-12:
            return self.mean**2
        squares = self.coefficients**2
        rest = max(0.0, self.square - float(squares.sum()))
        powers = correlation ** np.arange(len(squares))
        return float(squares @ powers) + rest * correlation ** len(squares)

    @cached_property
    def coefficients(self) -> Array:
        """The coefficients of φ in Hermite polynomials of h/√K, of unit norm."""
        if self.phi.homogeneous and self.kernel != 1.0:
            return math.sqrt(self.kernel) * kernel_means(self.phi, 1.0).coefficients
        h, mass = resolved_rule(self.phi, self.kernel)
        z, values = h / math.sqrt(self.kernel), (self.phi.phi(h) * mass)[None]
        coefficients: Array = hermite(z, values, MANY_ORDERS)[0]
        return coefficients


@lru_cache(maxsize=4096)
def kernel_means(phi: Activation, kernel: float) -> KernelMeans:
    """Return the averages at a kernel.

    Raises:
        FloatingPointError: φ² or φ′² has no finite mean.
    """
    h, mass = resolved_rule(phi, kernel)
    value, slope = phi.phi(h), phi.derivative(h)
    means = (float(each @ mass) for each in (value, value**2, slope**2))
    return KernelMeans(phi, kernel, *means)
