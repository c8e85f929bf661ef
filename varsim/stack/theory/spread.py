"""Spread between networks of the mean squares of h and ∂h, for one input and for a batch.

To leading order in 1/n, the logarithm of a mean square is a sum over the units of all layers. Two
inputs share W, and their units' h have a correlation c: a function f of y = h/√K has the covariance
Σ_p f_p² c^p, with f_p its coefficients in Hermite polynomials (Mehler's formula). Gradients of two
inputs have independent cotangents on top, and a random correlation γ below. Derived in
``spread.md``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory.cells import GRADIENT
from varsim.stack.theory.laws import ORDERS, Array, hermite, resolved_rule
from varsim.stack.theory.limit import Limit, stream_factors, variance_of_weights


class LogVariances(NamedTuple):
    """Variances between networks of the logarithms of mean squares, of shape (2, layers).

    Attributes:
        one: For one input.
        equal: Covariance of two equal inputs with independent cotangents, whose γ is 0.
        pair: Covariance of two inputs of the batch, with a γ of 0.
        by_gradients: The part of γ in the covariance of two inputs of the batch.
    """

    one: Array
    equal: Array
    pair: Array
    by_gradients: Array

    def pair_of(self, equal: Array) -> Array:
        """Return the relative covariance of two inputs of the batch, from that of equal ones."""
        with np.errstate(invalid="ignore"):
            share = np.where(self.equal > 0.0, self.pair / self.equal, 0.0)
        covariance: Array = equal * np.minimum(share, 1.0) + np.expm1(self.by_gradients)
        return covariance


def of_batch(one: Array, pair: Array, batch: int) -> Array:
    """Return the variance of a batch's mean, from that of one input and the covariance of two."""
    variance: Array = (one + (batch - 1) * np.minimum(pair, one)) / batch
    return variance


def log_variances(network: Network, at_limit: Limit, *, isometric: bool) -> LogVariances:
    """Return the variances in a plain stack, without a norm or with RMS or layer norm.

    Args:
        network: The question.
        at_limit: Its layers at infinite width.
        isometric: Whether every W is an isometry of its input.
    """
    branches = _branches(network, at_limit, isometric=isometric)
    of_input = _of_input(network, at_limit)
    equal = [_powers(1.0, 0.0)] * network.depth
    shared = powers_of_pair(network, at_limit)
    one, _ = _log_variances(branches, of_input, equal, one_cotangent=True)
    same, _ = _log_variances(branches, of_input, equal, one_cotangent=False)
    pair, by_gradients = _log_variances(
        branches, of_input * network.correlation**2, shared, one_cotangent=False
    )
    return LogVariances(one, same, pair, by_gradients)


def _of_input(network: Network, at_limit: Limit) -> float:
    """Return the relative variance of the first layer's kernel, for one input."""
    x, n = Entries.of(network.x_dist, 0.0, 1.0), network.widths[0]
    share = variance_of_weights(network)[0] / at_limit.kernels[0]
    return float(share**2 * x.square_variance / n)


def first_layer(network: Network, at_limit: Limit) -> tuple[float, float]:
    """Return the relative variance of Σh²/n in layer 1, for one input and for the batch's mean.

    It has no norm and no stream below it: Σh²/n is a mean over normal units, given their kernel.
    """
    one, c = _of_input(network, at_limit), at_limit.correlations[0]
    c = 1.0 if c is None else c
    below, n = network.widths[:2]
    pair = one * network.correlation**2
    pair += 2 * min(1.0, c * c + 1 / below) / n
    one = (1 + one) * (1 + 2 / n) - 1
    return one, float(of_batch(np.array(one), np.array(pair), network.batch))


class _Branch(NamedTuple):
    """The units of a layer in the logarithms of mean squares: eq. (2) and (4).

    Attributes:
        n: Number of units.
        isometric: Whether W is an isometry.
        kernel_response: χ, the derivative of log K of the next layer by log K of this one.
        growth_response: s, the same derivative of E φ′² over the norm's squared divisor.
        kernel: Coefficients of a unit's part in log K of the next layer, of shape (orders + 1,).
        growth: Coefficients of its part in the logarithm of that growth, of the same shape.
        slopes: Coefficients of φ′²/E φ′² and of φ′/√E φ′², of shape (2, orders + 1).
    """

    n: int
    isometric: bool
    kernel_response: float
    growth_response: float
    kernel: Array
    growth: Array
    slopes: Array


def _branches(network: Network, at_limit: Limit, *, isometric: bool) -> list[_Branch]:
    """Return the units of all layers; those on top have no part in a kernel or in a growth."""
    variances, kernels = variance_of_weights(network), at_limit.kernels
    normed, result = network.norm != "none", []
    for place, n in enumerate(network.widths[1:]):
        kernel, top = 1.0 if normed else kernels[place], place == network.depth - 1
        square, slope, derivative = _coefficients(network.phi, kernel)
        amplitude = 0.0 if top else variances[place + 1] / kernels[place + 1]
        part, growth = amplitude * square, slope / slope[0]
        kernel_response = part[2] / math.sqrt(2)
        growth_response = growth[2] / math.sqrt(2)
        slopes = np.stack([growth, derivative / math.sqrt(slope[0])])
        if normed:
            kernel_response, growth_response = 0.0, -1.0
        growth = growth.copy()
        if normed or isometric:  # Σh² is fixed, or has no effect
            part[2] = growth[2] = 0.0
        if normed and not isometric:
            growth[2] = -math.sqrt(2)
        if network.norm == "layer":
            part[1] = growth[1] = 0.0
        result.append(_Branch(n, isometric, kernel_response, growth_response, part, growth, slopes))
    return result


def _log_variances(
    branches: Sequence[_Branch],
    of_input: float,
    powers: Sequence[Array],
    *,
    one_cotangent: bool,
) -> tuple[Array, Array]:
    """Return variances or covariances of the logarithms, and the part of γ in them: eq. (3), (5).

    Args:
        branches: The units of all layers.
        of_input: Variance or covariance of log K of the first layer.
        powers: E c^p of every layer, each of shape (orders + 1,).
        one_cotangent: Whether gradients have the same cotangent, and γ = 1.
    """
    depth = len(branches)
    kernel_variances = [of_input]
    (signals, gradients), by_gradients = np.zeros((2, depth)), np.zeros((2, depth))
    for place, (branch, power) in enumerate(zip(branches, powers, strict=True)):
        units = 0.0 if branch.isometric else 2 * power[2] / branch.n
        signals[place] = kernel_variances[place] + units
        fresh = float(branch.kernel[1:] ** 2 @ power[1:]) / branch.n
        kernel_variances.append(branch.kernel_response**2 * kernel_variances[place] + fresh)
    n = branches[-1].n
    total, of_gamma, gamma_square, response = 0.0, 0.0, 1 / n, 0.0
    if one_cotangent:
        total, gamma_square = 2 / n, 1.0
    gradients[-1] = total
    for place in range(depth - 2, -1, -1):
        branch, power = branches[place], powers[place]
        part = branch.growth + response * branch.kernel
        total += float(part[1:] ** 2 @ power[1:]) / branch.n
        of_squares, of_slopes = (branch.slopes**2 @ power).tolist()
        fixed = of_slopes**2 if branch.isometric else 0.0
        of_gamma += 2 * gamma_square * (of_squares - fixed) / branch.n
        if not one_cotangent:
            gamma_square = of_slopes**2 * gamma_square + (of_squares - fixed) / branch.n
        response = branch.growth_response + branch.kernel_response * response
        gradients[place] = total + response**2 * kernel_variances[place]
        by_gradients[GRADIENT, place] = of_gamma
    if one_cotangent:
        gradients += by_gradients[GRADIENT]
    return np.stack([signals, gradients]), by_gradients


def powers_of_pair(network: Network, at_limit: Limit) -> list[Array]:
    """Return E c^p of two inputs of the batch by layer, each of shape (orders + 1,): eq. (6).

    The correlation of finite vectors varies, by (1 - c²)²/n for normal ones, and a layer passes
    a share of that on.
    """
    kernels, normed = at_limit.kernels, network.norm != "none"
    skip, factor = stream_factors(network)
    variance, share, response, result = 0.0, 1.0, 0.0, []
    for place, below in enumerate(network.widths[:-1]):
        c = at_limit.correlations[place]
        c = 1.0 if c is None else c
        variance = response**2 * variance + (share * (1 - c * c)) ** 2 / below
        result.append(_powers(c, variance))
        if place + 1 < len(kernels):
            kernel = 1.0 if normed else kernels[place]
            square, _, derivative = _coefficients(network.phi, kernel)
            amplitude = factor * variance_of_weights(network)[place + 1] / kernels[place + 1]
            slopes = kernel * float(derivative**2 @ result[-1])
            share = amplitude * square[0]
            response = skip * kernels[place] / kernels[place + 1] + amplitude * slopes
    return result


def _powers(c: float, variance: float) -> Array:
    """Return E c^p of a correlation with the mean c and a variance, of shape (orders + 1,)."""
    powers: Array = np.minimum(1.0, c * c + variance) ** (np.arange(ORDERS + 1) / 2)
    powers[1] = c
    return powers


@lru_cache(maxsize=4096)
def _coefficients(phi: Activation, kernel: float) -> Array:
    """Return the coefficients of φ², φ′² and φ′ in Hermite polynomials of h/√K.

    The shape is (3, orders + 1): the last one is the root of the mean square of the part beyond.
    """
    h, mass = resolved_rule(phi, kernel)
    slope = phi.derivative(h)
    functions = np.stack([phi.phi(h) ** 2, slope**2, slope])
    coefficients = hermite(h / math.sqrt(kernel), functions * mass)
    rest = np.maximum(functions**2 @ mass - (coefficients**2).sum(axis=1), 0.0)
    return np.concatenate([coefficients, np.sqrt(rest)[:, None]], axis=1)
