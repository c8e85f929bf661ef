"""Batch norm: means over φ's arguments y, and the correction of order 1/n.

For exchangeable inputs, a unit's B values after the norm are a uniform point y of the sphere
Σy = 0, Σy² = B. Two of its coordinates have a density in closed form, so the limit of infinite
width is exact for every batch size.

At finite width the batch's Gram matrix fluctuates about that of exchangeable inputs. To the order
1/n theory needs the variances of its diagonal and of its off-diagonal, relative to the variance of
h over the batch, and the same variances of the Gram matrix between h and a tangent. Each follows
from the layer below by a linear response and fresh noise of order 1/n. With d and o the variances
of the diagonal and the off-diagonal, and x_d and x_o those of h with a tangent, E φ² changes by
(d/8 - o/4) E φ²He₄, and a layer's factor on squared gradients, relatively, by

    o (2 - s₄/4) + d s₄/8 - x_o (2 + s₂) + (x_d + e/2) s₂ - (the change of Var φ below),

where s_p = E φ′²He_p / E φ′² and e is the covariance of both diagonals. Derived here, for large B:
relative terms of order 1/B are omitted.
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
from varsim.stack.theory.cells import Correction
from varsim.stack.theory.laws import Array, hermite, resolved_rule

_ANGLES = 512
_PIECES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0])

LEAST = 4
"""The smallest batch whose gradients have a mean: E 1/σ² is infinite below."""


class BatchMeans(NamedTuple):
    """Means for a batch of B.

    Attributes:
        square: E φ(y)².
        product: E φ(y) φ(y′) of two inputs.
        whole: Factor of the norm and φ on squared gradients, times the variance of h over the
            batch; infinite below :data:`LEAST`.
        passed: The same factor for gradients without a mean over the batch: Yang et al. (2019), A
            mean field theory of batch normalization.
    """

    square: float
    product: float
    whole: float
    passed: float


@lru_cache(maxsize=4096)
def batch_means(phi: Activation, batch: int) -> BatchMeans:
    """Return the means for a batch.

    With G = 1 - 11ᵀ/B, P = G - yyᵀ/B and D = diag φ′, ``whole`` is B/(B-3) E tr(D P D)/B, and
    ``passed`` is B/(B-3) E tr(G D P D)/(B-1).
    """
    y, other, mass = _pairs(batch)
    with np.errstate(over="ignore", invalid="ignore"):
        value, slope = phi.phi(y), phi.derivative(y)
        square = float(value**2 @ mass)
        product = float(value * phi.phi(other) @ mass)
        inverse = batch / (batch - 3) if batch >= LEAST else math.inf
        trace = float(slope**2 * (1 - (1 + y * y) / batch) @ mass)
        mixed = float(slope * phi.derivative(other) * (1 + y * other) @ mass)
    if not all(map(math.isfinite, (square, product, trace, mixed))):
        raise FloatingPointError
    return BatchMeans(square, product, inverse * trace, inverse * (trace + mixed / batch))


class Responses(NamedTuple):
    """Responses of φ to fluctuations of the Gram matrix: means at variance 1.

    Attributes:
        lambda_o: λ of the off-diagonal, exact for the batch's size; o has the factor λ² per layer.
        lambda_d: λ of the diagonal; d has the factor λ² per layer.
        noise_d: n times the fresh part of d; that of o is 1.
        lambda_xo: Factor on x_o per layer; its fresh part is 1/n.
        lambda_xd: Factor on x_d per layer.
        noise_xd: n times the fresh part of x_d.
        noise_e: n times the fresh part of e.
        square_he4: E φ² He₄ / E φ².
        spread_he4: E (φ - E φ)² He₄ / Var φ.
        s2: s₂ = E φ′² He₂ / E φ′².
        s4: s₄ = E φ′² He₄ / E φ′².
    """

    lambda_o: float
    lambda_d: float
    noise_d: float
    lambda_xo: float
    lambda_xd: float
    noise_xd: float
    noise_e: float
    square_he4: float
    spread_he4: float
    s2: float
    s4: float


@lru_cache(maxsize=4096)
def responses(phi: Activation, batch: int) -> Responses:
    """Return the responses of an activation, for a batch of at least 4."""
    h, mass = resolved_rule(phi, 1.0)
    value, slope = phi.phi(h), phi.derivative(h)
    centred = value - value @ mass
    spread, steep, mean_slope = (float(each @ mass) for each in (centred**2, slope**2, slope))
    both_square = float((centred * slope) ** 2 @ mass)
    functions = np.stack([value**2, centred**2, slope**2])
    of_square, of_spread, of_slope = hermite(h, functions * mass, 5)
    y, other, share = _pairs(batch)
    a, b = phi.phi(y), phi.phi(other)
    # Given two coordinates, the mean of a third one, and of the product of two others.
    third = -(y + other) / (batch - 2)
    both = ((y + other) ** 2 - (batch - y * y - other * other)) / ((batch - 2) * (batch - 3))
    means = batch_means(phi, batch)
    off = (
        (batch - 1)
        / batch
        * float((a * y * b * other - 2 * a * y * b * third + a * b * both) @ share)
    )
    half, norm = of_spread[2] / math.sqrt(2), spread * steep
    result = Responses(
        lambda_o=off / (means.square - means.product),
        lambda_d=half / spread,
        noise_d=float((centred**2 - spread) ** 2 @ mass) / spread**2,
        lambda_xo=mean_slope**4 / norm * (batch - 1) / (batch + 1),
        lambda_xd=half**2 / norm,
        noise_xd=both_square / norm,
        noise_e=both_square / norm - 1,
        square_he4=of_square[4] * math.sqrt(24) / means.square,
        spread_he4=of_spread[4] * math.sqrt(24) / spread,
        s2=of_slope[2] * math.sqrt(2) / steep,
        s4=of_slope[4] * math.sqrt(24) / steep,
    )
    if not all(map(math.isfinite, result)):
        raise FloatingPointError
    return result


def correction(network: Network, shares: Sequence[float], excess: float) -> Correction:
    """Return the correction of order 1/n, for a batch of at least 4.

    Args:
        network: The question.
        shares: Share of the last branch in every layer's variance over the batch; 1 in plain
            stacks.
        excess: Kurtosis of the weights less 3.
    """
    batch, widths, depth = network.batch, network.widths, network.depth
    r = responses(network.phi, batch)
    d, o = _gram_variances(network, shares, r)
    # From here on o is half the relative variance of a unit's variance over the batch.
    o = o + d / batch + excess / (2 * np.array(widths[:-1], float))
    # The next order has another factor of these fluctuations. With 2v the relative variance of σ²,
    # E 1/σ² is 1 + 2v + 12v²: coefficients grow by 6 a power, those of smoother means by less.
    next_order = 4 * (d + np.abs(o))
    fourth, fourth_size = d / 8 - o / 4, d / 8 + np.abs(o) / 4  # change of E f per E f He₄
    variance = _from_below(r.square_he4 * fourth)
    variance_rest = _from_below(abs(r.square_he4) * fourth_size * next_order)
    variance_rest += np.abs(variance) * 3 / batch
    by_signal = o * (2 - r.s4 / 4) + r.s4 / 8 * d - _from_below(r.spread_he4 * fourth)
    sizes = np.abs(o) * (2 + abs(r.s4) / 4) + abs(r.s4) / 8 * d
    sizes += _from_below(abs(r.spread_he4) * fourth_size)
    # An entry is for the tangent that starts at that layer; it passes the steps k above.
    gradient, parts, gradient_rest = np.zeros((3, depth))
    x_o, x_d, e = np.zeros((3, depth))
    for k, n in enumerate(widths[1:-1]):
        begun = slice(0, k + 1)
        along = x_o[begun] + x_d[begun] / batch
        step = by_signal[k] - along * (2 + r.s2) + r.s2 * (e[begun] / 2 + x_d[begun])
        gradient[begun] += step
        parts[begun] += np.abs(step)
        gradient_rest[begun] += sizes[k] * next_order[k]
        e[begun] = r.lambda_d * (e[begun] + r.s2 / 2 * d[k]) + r.noise_e / n
        x_o[begun] = r.lambda_xo * x_o[begun] + 1 / n
        x_d[begun] = r.lambda_xd * x_d[begun] + r.noise_xd / n
    gradient_rest += parts**2 + parts * 3 / batch
    return Correction(np.array([variance, gradient]), np.array([variance_rest, gradient_rest]))


def _gram_variances(network: Network, shares: Sequence[float], r: Responses) -> tuple[Array, Array]:
    """Return d and o of every layer's input, the variances of the Gram matrix."""
    x, n = Entries.of(network.x_dist, 0.0, 1.0), network.widths[0]
    d, o = [(x.fourth / x.variance**2 - 1) / n], [1 / n]
    for n, share in zip(network.widths[1:-1], shares[1:], strict=True):
        stream = 1 - share
        d.append((stream + share * r.lambda_d) ** 2 * d[-1] + share**2 * r.noise_d / n)
        o.append((stream + share * r.lambda_o) ** 2 * o[-1] + share**2 / n)
    return np.array(d), np.array(o)


def _from_below(values: Array) -> Array:
    """Return values of every layer at the layer above; 0 at layer 1."""
    return np.append(0.0, values[:-1])


def _pairs(batch: int) -> tuple[Array, Array, Array]:
    """Return two coordinates of y at nodes, and the nodes' weights, each of shape (nodes,).

    In the plane of their sum and difference a point has the squared radius 1 - exp(-2s/(B-3)) with
    s from the exponential distribution, and a uniform angle; on a circle for B = 3.
    """
    angles = 2 * math.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES
    if batch == 2:
        return np.array([1.0, -1.0]), np.array([-1.0, 1.0]), np.array([0.5, 0.5])
    if batch == 3:
        radius, share = np.ones(1), np.ones(1)
    else:
        nodes, weights = np.polynomial.legendre.leggauss(16)
        half = np.diff(_PIECES)[:, None] / 2
        s = ((_PIECES[1:] + _PIECES[:-1])[:, None] / 2 + half * nodes).ravel()
        radius = np.sqrt(-np.expm1(-2 * s / (batch - 3)))
        share = (half * weights).ravel() * np.exp(-s)
    u = math.sqrt(batch - 2) * np.outer(radius, np.cos(angles)).ravel()
    v = math.sqrt(batch) * np.outer(radius, np.sin(angles)).ravel()
    mass = np.repeat(share / _ANGLES, _ANGLES)
    return (u + v) / math.sqrt(2), (u - v) / math.sqrt(2), mass
