"""Correlation of h between two inputs, in plain stacks of normal W, to the order 1/n².

Given the layers below, the pairs (h_i, h_j) of a layer's units are independent and bivariate
normal, with the covariances S = (S_ii, S_jj, S_ij). The next S is C times a mean over n units, plus
σ_b². Its mean and its cumulants of order 2 and 3 are expanded about the limit of infinite width.
Derived in ``correlation.md``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.activations import Activation, find_activation
from varsim.stack.question import Network
from varsim.stack.theory.cells import LARGEST_SLACK
from varsim.stack.theory.laws import Array, hermite, resolved_rule
from varsim.stack.theory.limit import MANY_ORDERS, Limit, kernel_means, variance_of_weights
from varsim.stack.theory.weights import law_of

Counts: TypeAlias = "NDArray[np.int64]"

# A derivative by S_ii, S_jj or S_ij: its factor, and the derivatives of the functions of h_i and of
# h_j. The latter are the powers of φ_i and of φ_j in these covariances, too.
_FACTORS = np.array([0.5, 0.5, 1.0])
_OF_I, _OF_J = np.array([2, 0, 1]), np.array([0, 2, 1])

# Powers of φ in third cumulants, and derivatives in fourth derivatives by S.
_POWERS, _DERIVATIVES = 6, 8

# Nodes for the part that all inputs share.
_SHARED_NODES = 40


class Correlations(NamedTuple):
    """Correlations of h between two inputs of a batch, by layer.

    Attributes:
        values: c; None where unknown.
        slacks: Relative allowances for the terms that theory omits; None where c is that of
            infinite width, and no claim.
        spreads: Variances between networks of (p - c q) / E q, with the batch's means p of h h′ and
            q of h², to leading order; None where unknown.
    """

    values: list[float | None]
    slacks: list[float | None]
    spreads: list[float | None]

    @classmethod
    def at_limit(cls, network: Network, limit: Limit) -> Correlations:
        """Return c at infinite width without allowances, as a claim."""
        slack, depth = 0.0 if 0.0 < network.correlation < 1.0 else None, len(limit.kernels)
        return cls(limit.correlations, [slack] * depth, [None] * depth)


def correlations(network: Network, at_limit: Limit) -> Correlations:
    """Return c of every layer to the order 1/n², and above the layers that have it, of the limit.

    The allowance is the term of order 1/n², of the layer up to this one where it is largest, and
    the change by a quarter of the polynomials: eq. (9).
    """
    depth = len(at_limit.kernels)
    result = Correlations(list(at_limit.correlations), [None] * depth, [None] * depth)
    is_plain = network.norm == "none" and network.residual is None and law_of(network).normal
    if not (is_plain and 0.0 < network.correlation < 1.0):
        return result
    largest, fewer = 0.0, 3 * MANY_ORDERS // 4
    expansions = (_terms(network, at_limit, orders) for orders in (MANY_ORDERS, fewer))
    for place, (fine, coarse) in enumerate(zip(*expansions, strict=True)):
        c = fine.limit + fine.first + fine.second
        largest = max(largest, abs(fine.second))
        unresolved = abs(fine.first - coarse.first) + abs(fine.second - coarse.second)
        slack = (largest + unresolved) / abs(c)
        if not slack <= LARGEST_SLACK:
            break
        result.values[place], result.slacks[place] = c, slack
        result.spreads[place] = fine.spread
    return result


class _Terms(NamedTuple):
    """The limit of c, its terms of order 1/n and 1/n², and the leading order of the spread."""

    limit: float
    first: float
    second: float
    spread: float


class _Cumulants(NamedTuple):
    """Cumulants of S over its limit K, by their order in 1/n; entries are S_ii, S_jj and S_ij.

    Attributes:
        mean: Shift of the mean, order 1/n; of shape (3,).
        mean2: Its term of order 1/n².
        cov: Covariances, order 1/n; of shape (3, 3).
        cov2: Their term of order 1/n².
        third: Third cumulants, order 1/n²; of shape (3, 3, 3).
    """

    mean: Array
    mean2: Array
    cov: Array
    cov2: Array
    third: Array


def _terms(network: Network, at_limit: Limit, orders: int) -> Iterator[_Terms]:
    """Yield the terms of c of every layer, with Hermite polynomials below ``orders``: eq. (8)."""
    identity = find_activation("identity")
    below = identity, 1.0, network.correlation
    none, of_batch = np.zeros((3, 3, 3)), np.zeros((2, 2))
    state = _Cumulants(none[0, 0], none[0, 0], none[0], none[0], none)
    variances, kernels = variance_of_weights(network), at_limit.kernels
    every_c = [c for c in at_limit.correlations if c is not None]  # all of them
    for place, (kernel, c) in enumerate(zip(kernels, every_c, strict=True)):
        units, n = _Units(*below, orders), network.widths[place]
        share = variances[place] * kernel_means(*below[:2]).square / kernel  # 1 without a bias
        state = units.next_layer(state, share, n)
        of_batch = units.next_batch(of_batch, share, n, network.batch)
        shift = state.mean[2] - c * state.mean[0]
        second = state.mean2[2] - c * state.mean2[0] - shift * state.mean[0]
        itself = _Units(identity, 1.0, c, orders)
        of_h = itself.next_batch(of_batch, 1.0, network.widths[place + 1], network.batch)
        ratio = np.array([-c, 1.0])
        yield _Terms(c, float(shift), float(second), float(ratio @ of_h @ ratio))
        below = network.phi, kernel, c


class _Units:
    """Means over a unit's pair (h_i, h_j) of variance K and correlation c, by Mehler's formula.

    In units of √K for h, and of the root of E φ² for φ.
    """

    def __init__(self, phi: Activation, kernel: float, c: float, orders: int) -> None:
        coefficients = _coefficients(phi, kernel)[..., :orders].reshape(-1, orders)
        powers = c ** (np.arange(orders) / 2)
        means = (coefficients * powers**2) @ coefficients.T
        shape = _POWERS + 1, _DERIVATIVES + 1
        self._means = means.reshape(shape + shape)
        # E φ and E φ² given the part that all inputs share.
        s, mass = _shared_rule()
        one, two = (coefficients.reshape(*shape, orders)[1:3, 0] * powers) @ s[:orders]
        self._of_three, self._of_four = mass @ (two * one**2), mass @ one**4

    def _derivatives(self, power_i: int, power_j: int, order: int) -> Array:
        """Return the derivatives of E φ_i^a φ_j^b by S, of shape (3,) * order: eq. (3)."""
        by_i, by_j, factors = _derivatives_by_s(order)
        derivatives: Array = self._means[power_i, by_i, power_j, by_j] * factors
        return derivatives

    def _moments(self, factors: int, order: int) -> Array:
        """Return derivatives of the raw moments of one unit's part of S, with that many factors.

        The shape is (3,) * (factors + order).
        """
        entries = product(range(3), repeat=factors)
        powers = ((_OF_I[list(e)].sum(), _OF_J[list(e)].sum()) for e in entries)
        moments = [self._derivatives(*each, order) for each in powers]
        return np.array(moments).reshape((3,) * (factors + order))

    def next_layer(self, below: _Cumulants, share: float, n: int) -> _Cumulants:
        """Return the cumulants of the next S, from n units: eq. (5) to (7).

        Args:
            below: Cumulants of the units' S.
            share: C E φ² over the next K.
            n: Number of units.
        """
        mean, slopes, curves, cubics, quartics = (self._moments(1, k) for k in range(5))
        cov, cov_slopes, cov_curves = self._covariance(mean, slopes, curves)
        m, v, t = below.mean, below.cov, below.third
        up = slopes @ below.mean2
        up += np.einsum("aij,ij->a", curves, below.cov2 + np.outer(m, m)) / 2
        up += np.einsum("aijk,i,jk->a", cubics, m, v) / 2
        up += np.einsum("aijk,ijk->a", cubics, t) / 6
        up += np.einsum("aijkl,ij,kl->a", quartics, v, v) / 8
        cross = np.einsum("ai,ij,bjk,k->ab", slopes, v, curves, m)
        cross += np.einsum("ai,bjk,ijk->ab", slopes, curves, t) / 2
        cross += np.einsum("ai,ij,bjkl,kl->ab", slopes, v, cubics, v) / 2
        cov2 = slopes @ below.cov2 @ slopes.T + cross + cross.T
        cov2 += np.einsum("aij,bkl,ik,jl->ab", curves, curves, v, v) / 2
        cov2 += (cov_slopes @ m + np.einsum("abij,ij->ab", cov_curves, v) / 2) / n
        passed = slopes @ v
        third = np.einsum("ai,bj,ck,ijk->abc", slopes, slopes, slopes, t)
        third += _symmetric(np.einsum("aij,bi,cj->abc", curves, passed, passed))
        third += _symmetric(np.einsum("ai,bci->abc", passed, cov_slopes)) / n
        third += self._third(mean, cov) / n**2
        return _Cumulants(
            share * (slopes @ m + np.einsum("aij,ij->a", curves, v) / 2),
            share * up,
            share**2 * (slopes @ v @ slopes.T + cov / n),
            share**2 * cov2,
            share**3 * third,
        )

    def next_batch(self, below: Array, share: float, n: int, batch: int) -> Array:
        """Return the covariances of the next layer's q and p: eq. (10).

        Args:
            below: Those of this layer, over the square of E q, of shape (2, 2).
            share: C E φ² over the next K.
            n: Number of units.
            batch: Number of inputs.
        """
        slopes = self._moments(1, 1)
        up = share * np.array([[slopes[0, 0], 0.0], [2 * slopes[2, 0], slopes[2, 2]]])
        two, three = self._means[2, 0, 2, 0], self._of_three
        fourth, third = self._means[4, 0, 0, 0], self._means[3, 0, 1, 0]
        mean = self._means[1, 0, 1, 0]
        pairs = max(1, batch * (batch - 1))
        q = (fourth + (batch - 1) * two) / batch - 1.0
        both = (2 * third + (batch - 2) * three) / batch - mean
        alike = 2 * two + (batch - 2) * (4 * three + (batch - 3) * self._of_four)
        p = alike / pairs - mean**2
        covariances: Array = up @ below @ up.T + share**2 / n * np.array([[q, both], [both, p]])
        return covariances

    def _covariance(self, mean: Array, slopes: Array, curves: Array) -> tuple[Array, Array, Array]:
        """Return the covariances of one unit's part of S, and their derivatives: eq. (4)."""
        moments = [self._moments(2, order) for order in range(3)]
        cross, beside = np.einsum("ai,b->abi", slopes, mean), np.einsum("aij,b->abij", curves, mean)
        both = np.einsum("ai,bj->abij", slopes, slopes)
        by_two = beside + beside.swapaxes(0, 1) + both + both.swapaxes(0, 1)
        products = np.outer(mean, mean), cross + cross.swapaxes(0, 1), by_two
        cov, cov_slopes, cov_curves = (m - p for m, p in zip(moments, products, strict=True))
        return cov, cov_slopes, cov_curves

    def _third(self, mean: Array, cov: Array) -> Array:
        """Return the third cumulants of one unit's part of S."""
        product_of_means = np.einsum("a,b,c->abc", mean, mean, mean)
        with_cov = _symmetric(np.einsum("a,bc->abc", mean, cov))
        third: Array = self._moments(3, 0) - with_cov - product_of_means
        return third


@cache
def _derivatives_by_s(order: int) -> tuple[Counts, Counts, Array]:
    """Return derivatives by h_i and by h_j, and factors, of those by S; of shape (3,) * order."""
    indices = np.indices((3,) * order).reshape(order, *(3,) * order)
    by_i, by_j = (of[indices].sum(axis=0) for of in (_OF_I, _OF_J))
    return by_i, by_j, _FACTORS[indices].prod(axis=0)


@cache
def _shared_rule() -> tuple[Array, Array]:
    """Return Hermite polynomials at nodes of a normal variable, and the nodes' weights."""
    nodes, mass = np.polynomial.hermite_e.hermegauss(_SHARED_NODES)
    return hermite(np.array(nodes), np.eye(nodes.size), MANY_ORDERS).T, mass / mass.sum()


def _symmetric(half: Array) -> Array:
    """Return the sum over the choices of the first index, of an array symmetric in the others."""
    total: Array = half + half.transpose(1, 0, 2) + half.transpose(2, 1, 0)
    return total


@lru_cache(maxsize=256)
def _coefficients(phi: Activation, kernel: float) -> Array:
    """Return the coefficients of derivatives of powers of φ in Hermite polynomials of h/√K.

    Of φ over the root of E φ²; the shape is (powers + 1, derivatives + 1, orders).
    """
    if phi.homogeneous and kernel != 1.0:
        return _coefficients(phi, 1.0)
    h, mass = resolved_rule(phi, kernel)
    values = phi.phi(h) / math.sqrt(kernel_means(phi, kernel).square)
    powers = values ** np.arange(1, _POWERS + 1)[:, None]
    result = np.zeros((_POWERS + 1, _DERIVATIVES + 1, MANY_ORDERS))
    result[0, 0, 0] = 1.0
    result[1:, 0] = hermite(h / math.sqrt(kernel), powers * mass, MANY_ORDERS)
    for k in range(1, _DERIVATIVES + 1):
        result[:, k, :-1] = result[:, k - 1, 1:] * np.sqrt(np.arange(1, MANY_ORDERS))
    return result
