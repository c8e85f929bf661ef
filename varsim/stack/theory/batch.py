"""Batch norm: the limit of infinite width, exact for the batch's size, and the correction in 1/n.

For exchangeable inputs, a unit's B values after the norm are a uniform point y of the sphere
Σy = 0, Σy² = B. At finite width the Gram matrix of a layer over its batch fluctuates, and so do
those of h with a tangent and of a tangent. A symmetric matrix on Σ = 0 has three components that
permutations of the inputs leave apart: its trace, a diagonal part, and the rest, of pairs; an
antisymmetric one is the fourth. To the order 1/n theory needs one variance for each component, and
its responses are exact for the batch's size. Of the next order it has the diagonal's part, by a
log-normal law. batch.md derives all of it.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory.cells import Correction
from varsim.stack.theory.chain import Grid
from varsim.stack.theory.exchangeable import (
    Means,
    Sums,
    fourth_moment,
    means_of_four,
    pairs,
    total,
)
from varsim.stack.theory.laws import Array, hermite, resolved_rule

if TYPE_CHECKING:
    from varsim.stack.theory.limit import Limit

LEAST = 4
"""The smallest batch whose gradients have a mean: E 1/σ² is infinite below."""

TRACE, DIAGONAL, PAIR, TURN = range(4)
"""Components of a matrix over the batch; the last one is antisymmetric."""

# The largest logarithm of an input's variance, relative to the batch, in the log-normal law.
_REACH = 3.0

# Each branch adds at most this times 1/n to a squared gradient through the history of its units,
# and this times 1/n to E φ²: batch.md, eq. (26).
_BY_HISTORY = np.array([0.5, 8.0])


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
    """Return the means for a batch: batch.md, eq. (4).

    Raises:
        FloatingPointError: A mean is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean = Means(phi, pairs(batch))
        square, spread = mean(total(phi=2)) / batch, mean(_spread(batch)) / (batch - 1)
        inverse = batch / (batch - 3) if batch >= LEAST else math.inf
        whole, passed = (mean(each) for each in _traces(batch))
    return BatchMeans(
        square, square - spread, inverse * whole / batch, inverse * passed / (batch - 1)
    )


def _spread(batch: int) -> Sums:
    """Return |ψ|², with ψ = φ less its mean over the batch."""
    return total(phi=2) - total(phi=1) * total(phi=1) / batch


def _traces(batch: int) -> tuple[Sums, Sums]:
    """Return tr DPD and tr GDPD, with G = 1 - 11ᵀ/B, P = G - yyᵀ/B and D = diag φ′."""
    whole = total(slope=2) - (total(slope=2) + total(slope=2, y=2)) / batch
    return whole, whole - _over_all(batch) / batch


def _over_all(batch: int) -> Sums:
    """Return 1ᵀDPD1."""
    slope, slope_y = total(slope=1), total(slope=1, y=1)
    return total(slope=2) - (slope * slope + slope_y * slope_y) / batch


class Step(NamedTuple):
    """Relative effects on a squared tangent in one step, by component; each of shape (4,).

    Attributes:
        signal: Of the variance v of the signal's Gram matrix.
        tangent: Of its covariance e with the tangent's.
        cross: Of the variance x of the Gram matrix of both.
    """

    signal: Array
    tangent: Array
    cross: Array


class Coefficients(NamedTuple):
    """Responses of one layer to fluctuations below, by component: batch.md, sections 4 to 7.

    Attributes:
        response: λ, of the Gram matrix of the signal; arrays have the shape (4,).
        noise: n times the fresh part of v.
        by_signal: ν, the response of the tangent's Gram matrix to the signal's.
        by_tangent: μ, its response to the tangent's below.
        tangent_noise: n times the fresh part of e.
        cross_noise: n times the fresh part of x.
        passed: The effects on a tangent's variance over the batch.
        whole: The effects on its mean square, as on top.
        square: Relative change of E φ² per v of the diagonal less v of pairs.
        spread: The same for the variance of φ over the batch.
    """

    response: Array
    noise: Array
    by_signal: Array
    by_tangent: Array
    tangent_noise: Array
    cross_noise: Array
    passed: Step
    whole: Step
    square: float
    spread: float


@lru_cache(maxsize=4096)
def coefficients(phi: Activation, batch: int) -> Coefficients:
    """Return the coefficients of an activation, for a batch of at least 4.

    Raises:
        FloatingPointError: A mean is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _Derivation(phi, batch).coefficients()


class _Derivation:
    """The coefficients of batch.md, by its symbols: M = B - 1, and s(f) = Σ_i f(y_i)."""

    def __init__(self, phi: Activation, batch: int) -> None:
        self.b, self.m = batch, batch - 1
        nodes = pairs(batch)
        self.two, self.four = Means(phi, nodes), means_of_four(phi, batch)
        self.cubes, self.fourths = nodes.cube_sum, nodes.fourth_sum
        self.whole, self.passed = _traces(batch)
        self.dimensions = np.array(
            [1, self.m, batch * (batch - 3) / 2, self.m * (self.m - 1) / 2], float
        )
        self.by_diagonal = batch / (batch - 2)  # eq. (2)
        self.psi = _spread(batch)

    def coefficients(self) -> Coefficients:
        by_signal, by_tangent = self._tangent_responses()
        noise, tangent_noise, cross_noise = self._noises()
        return Coefficients(
            self._responses(), noise, by_signal, by_tangent, tangent_noise, cross_noise,
            self._step(self.passed, over_all=False), self._step(self.whole, over_all=True),
            self._second_order(total(phi=2)), self._second_order(self.psi),
        )  # fmt: skip

    def _second_order(self, f: Sums) -> float:
        """Eq. (9)."""
        factor: float = self.m * (self.m + 2) / (8 * self.b * (self.b - 2))
        return factor * self.two(f, self.fourths) / self.two(f)

    def _parts(self, trace: float, diagonal: float, symmetric: float, turn: float = 0.0) -> Array:
        """Return means of squared components, over the dimensions: eq. (2).

        Args:
            trace: The mean of (tr A)².
            diagonal: The mean of Σ_i A_ii².
            symmetric: The mean of |A|² of the symmetric part.
            turn: The mean of |A|² of the antisymmetric part.
        """
        first = trace / self.m
        second = self.by_diagonal * (diagonal - trace / self.b)
        squares = np.array([first, second, symmetric - first - second, turn])
        parts: Array = squares / self.dimensions
        return parts

    def _responses(self) -> Array:
        """Eq. (8) and (16)."""
        b, y_phi, phi = self.b, total(phi=1, y=1), total(phi=1)
        z_phi = total(phi=1, y=2) - phi
        diagonal = total(phi=2, y=2) - total(phi=2) - 2 / b * phi * z_phi
        spread = self.two(self.psi)
        matrix = np.array(self._parts(
            b * spread, self.two(diagonal) + spread, self.two(y_phi * y_phi)
        ))  # fmt: skip
        matrix *= self.m**2 / (2 * b * spread)
        turn = (1 - 1 / b) * total(slope=1) * y_phi
        turn = turn - total(phi=1, slope=1, y=1) + phi * total(slope=1, y=1) / b
        matrix[TRACE] = 0.0
        matrix[TURN] = self.two(turn) * self.m / (2 * self.dimensions[TURN] * spread)
        return matrix

    def _noises(self) -> tuple[Array, Array, Array]:
        """Eq. (10), (14) and (18)."""
        b, m, four, phi = self.b, self.m, self.four, total(phi=1)
        spread, growth = four(self.psi) / m, four(self.passed) / m
        fourth = total(phi=4) - 4 / b * phi * total(phi=3) + 6 / b**2 * phi * phi * total(phi=2)
        fourth = fourth - 3 / b**3 * phi * phi * phi * phi
        square = four(self.psi * self.psi)
        noise = self._parts(square, four(fourth), square) / spread**2
        noise[TRACE] -= m
        both, along = four(self.psi * self.passed), four(self._along())
        diagonal = four(self._diagonal())
        tangent = self._parts(both, diagonal, along) / (spread * growth)
        tangent[TRACE] -= m
        cross = self._parts(along, diagonal, (both + along) / 2, (both - along) / 2)
        return noise, tangent, cross / (spread * growth)

    def _weighted(self, slope: int, y: int = 0) -> Sums:
        """Return Σ_i ψ_i² φ′_i^slope y_i^y."""
        phi, b = total(phi=1), self.b
        mixed = total(2, slope, y) - 2 / b * phi * total(1, slope, y)
        return mixed + phi * phi * total(0, slope, y) / b**2

    def _along(self) -> Sums:
        """Return ψᵀDPDψ."""
        phi, b = total(phi=1), self.b
        slope = total(phi=1, slope=1) - phi * total(slope=1) / b
        slope_y = total(phi=1, slope=1, y=1) - phi * total(slope=1, y=1) / b
        return self._weighted(2) - (slope * slope + slope_y * slope_y) / b

    def _diagonal(self) -> Sums:
        """Return Σ_i ψ_i² (GDPDG)_ii."""
        b, w = self.b, self._weighted
        rows = w(2) - w(1) * total(slope=1) / b - w(1, 1) * total(slope=1, y=1) / b
        return w(2) - (w(2) + w(2, 2)) / b - 2 / b * rows + self.psi * _over_all(b) / b**2

    def _tangent_responses(self) -> tuple[Array, Array]:
        """Eq. (13)."""
        b, m, two = self.b, self.m, self.two
        s, sy, syy = total(slope=1), total(slope=1, y=1), total(slope=1, y=2)
        square, square_y, fourth = total(slope=2), total(slope=2, y=2), total(slope=2, y=4)
        passed = two(self.passed)
        rows = square_y - square - (syy - s) * s / b - (total(slope=1, y=3) - sy) * sy / b
        diagonal = square_y - square - (fourth - square) / b - 2 / b * rows
        by_signal = self._parts(
            b * passed, two(diagonal) + passed, two(square_y - (sy * sy + syy * syy) / b)
        )
        by_signal *= (m - 2) / (2 * b) * m / passed
        by_signal[TRACE] = -1.0
        entries = square - 2 / b * (square + square_y)
        entries = entries + (s * s + 2 * sy * sy + syy * syy) / b**2
        trace = s - (s + syy) / b
        one = 1 - 2 / b
        diagonal = one**2 * square + fourth / b**2 - 2 * one / b * square_y
        diagonal = diagonal + (2 * one / b**2 + 1 / b**3) * (s * s + sy * sy)
        diagonal = diagonal - 2 / b**3 * (syy * s + total(slope=1, y=3) * sy)
        by_tangent = self._parts(passed, two(diagonal), two(entries + trace * trace) / 2)
        by_tangent *= m / passed
        return by_signal, by_tangent

    def _step(self, trace: Sums, *, over_all: bool) -> Step:
        """Eq. (11), (12) and (17)."""
        b, m, two, sizes = self.b, self.m, self.two, self.dimensions
        mean = two(trace)
        excess = (fourth_moment(b) - 1) * b + two(trace, self.fourths) / mean
        diagonal = excess / (b * (b - 2))
        squares = np.array([0.0, diagonal, 1 - 1 / m - diagonal, 0.0])
        signal = m * (m - 2) / 8 * squares - sizes * (1 / 4 - 1 / m)
        signal[[TRACE, TURN]] = 1 / m, 0.0
        by_diagonal = self._diagonal_weight(over_all=over_all) / (b * mean)
        tangent = np.array([-1 / m, by_diagonal, -by_diagonal - 1 / m, 0.0])
        tangent[1:3] *= (m - 2) / 2
        share = 1 / (b - 2) + by_diagonal
        cross = (m - 2) * np.array([0.0, share, 1 / 2 - share, 1 / 2]) - sizes / m
        return Step(signal, tangent, cross)

    def _diagonal_weight(self, *, over_all: bool) -> float:
        """Return the mean of tr DPZPD · B/(B-2), or of tr GDPZPD · B/(B-2): eq. (12)."""
        b, two = self.b, self.two
        excess = (fourth_moment(b) - 1) * b
        s, sy, square, square_y = (
            total(slope=1), total(slope=1, y=1), total(slope=2), total(slope=2, y=2)
        )  # fmt: skip
        weight = square_y - square - 2 / b * (total(slope=2, y=4) - square)
        value = two(weight + excess / b**2 * square_y)
        value += two(2 / b**2 * total(slope=2, y=1), self.cubes)
        value += two(square_y / b**2, self.fourths)
        if not over_all:
            with_y = (total(slope=1, y=2) - s) * s + (total(slope=1, y=3) - sy) * sy
            ones = two(square_y - square - 2 / b * with_y + excess / b**2 * sy * sy)
            ones += two(2 / b**2 * s * sy, self.cubes) + two(sy * sy / b**2, self.fourths)
            value -= ones / b
        return self.by_diagonal * value


SQUARE, SPREAD, SLOPE = range(3)
"""Functions of a :class:`Mixture`."""


class Mixture:
    """Means over inputs of different variance q: log-normal, of mean 1.

    They contain the next orders of the diagonal's fluctuations: batch.md, section 8.
    """

    def __init__(self, phi: Activation) -> None:
        """Tabulate E φ², Var φ, E φ′² and Var φ² at variances q, relative to those at 1.

        Raises:
            FloatingPointError: A mean is not finite.
        """
        self._grid = Grid(-_REACH, _REACH)
        h, mass = resolved_rule(phi, 1.0)
        center = float(phi.phi(h) @ mass)

        def functions(h: Array) -> Array:
            value = phi.phi(h)
            return np.stack([value**2, (value - center) ** 2, phi.derivative(h) ** 2])

        at_one = functions(h) @ mass
        rules = [resolved_rule(phi, float(kernel)) for kernel in self._grid.kernels]
        self._table = np.array([functions(h) @ mass / at_one for h, mass in rules])
        noise = np.array([functions(h)[SQUARE] ** 2 @ mass for h, mass in rules])
        self._noise = noise / at_one[SQUARE] ** 2 - self._table[:, SQUARE] ** 2
        self._noise_at_one = float(functions(h)[SQUARE] ** 2 @ mass / at_one[SQUARE] ** 2 - 1)
        moments = hermite(h, functions(h) * mass, 5) / at_one[:, None]
        self._slopes = moments[:, 2] / math.sqrt(2)
        self._curvatures = moments[:, 4] * math.sqrt(24) / 4
        z, weights = np.polynomial.hermite_e.hermegauss(12)
        self._z, self._weights = z, weights / weights.sum()
        if not np.isfinite(self._table).all():
            raise FloatingPointError

    def beyond(self, function: int, variance: float, covariance: Array) -> Array:
        """Return the relative change of a mean beyond the first order, of shape (starts,).

        Args:
            function: 0 for E φ², 1 for Var φ, 2 for E φ′².
            variance: That of q.
            covariance: Of q with a weight of the mean, of shape (starts,).
        """
        means = self._mean(self._table[:, function], variance, covariance)
        first = self._slopes[function] * covariance + self._curvatures[function] / 2 * variance
        result: Array = means - 1 - first
        return result

    def doubt(self, variance: float) -> float:
        """Return the relative change of the noise in q, less that of a log-normal q.

        batch.md, section 8.
        """
        noise = float(self._mean(self._noise, variance, np.zeros(1))[0])
        if not self._noise_at_one:
            return 0.0
        return abs(noise / self._noise_at_one / (1 + variance) - 1)

    def _mean(self, table: Array, variance: float, covariance: Array) -> Array:
        log_variance = math.log1p(variance)
        logs = covariance[:, None] - log_variance / 2 + math.sqrt(log_variance) * self._z
        at, shares = self._grid.places(np.exp(logs))
        mean: Array = (table[at] * shares).sum(axis=-1) @ self._weights
        return mean


@lru_cache(maxsize=256)
def mixture(phi: Activation) -> Mixture:
    """Return the means over inputs of different variance."""
    return Mixture(phi)


def correction(network: Network, at_limit: Limit, excess: float) -> Correction:
    """Return the correction of order 1/n, for a batch of at least 4: batch.md, section 9.

    Of residual stacks it leaves out the history of units, which its rest estimates.

    Args:
        network: The question.
        at_limit: Its layers at infinite width.
        excess: Kurtosis of the weights less 3.
    """
    ascent = _Ascent(network, at_limit, excess)
    for k, n in enumerate(network.widths[1:-1]):
        ascent.change_gradients(k, n)
        ascent.change_signals(k, n)
        ascent.pass_branch(k, n)
    return ascent.correction()


def spread(network: Network, at_limit: Limit) -> Array:
    """Return the relative variance of the batch's mean of Σh²/n in a plain stack, by layer.

    Given the batch's Gram matrix, a unit's Σh² over the batch has the relative variance
    2 Σ_ij c_ij²/B², with c the inputs' correlation and its fluctuation; the matrix has a mean of φ²
    over the batch and the units below: batch.md, section 9.
    """
    b, (first, *widths) = network.batch, network.widths
    c = np.array([1.0 if each is None else each for each in at_limit.correlations])
    x = Entries.of(network.x_dist, 0.0, 1.0)
    alike = (1 + (b - 1) * network.correlation**2) / b
    kernel = np.full(len(widths), (x.fourth / x.variance**2 - 1) * alike / first)
    mean = Means(network.phi, pairs(b))
    of_unit = mean(total(phi=2) * total(phi=2)) / mean(total(phi=2)) ** 2 - 1
    without_bias = 1 - network.bias_std**2 / np.array(at_limit.kernels)
    kernel[1:] = of_unit / np.array(widths[:-1], float) * without_bias[1:] ** 2
    by_layer, variance = coefficients(network.phi, b), 1 / first
    squares = np.empty(len(widths))
    for k, n in enumerate(widths):
        unshared = at_limit.unshared[k] / at_limit.kernels[k]
        squares[k] = c[k] ** 2 + unshared**2 * variance
        variance = by_layer.response[PAIR] ** 2 * variance + by_layer.noise[PAIR] / n
    result: Array = kernel + 2 * (1 + (b - 1) * squares) / b / np.array(widths, float)
    return result


class _Ascent:
    """The fluctuations on the way up, and what they change.

    Attributes:
        v: Of the signal's Gram matrix at a layer, by component, of shape (4,).
        e: Its covariance with the tangents' Gram matrices, by the layer where a tangent starts, of
            shape (4, layers).
        x: Of the Gram matrices of the signal with tangents, of the same shape.
        unshared: Relative change of κ.
        doubt: The next order of v of the diagonal, and of κ by it.
        history: Share of the branches in κ; 0 in plain stacks.
        change: Of E h², and of the logarithm of a squared tangent, of shape (2, layers).
        rest: Estimates of what is left out, of the same shape.
        by_pairs: Sum over the steps of the part by pairs and by the trace, of shape (layers,).
        resummed: Sum of what the log-normal law adds.
        by_law: Sum of what another law would change.
    """

    def __init__(self, network: Network, at_limit: Limit, excess: float) -> None:
        self.network, self.excess, depth = network, excess, network.depth
        self.residual = network.residual is not None
        self.c, self.mixture = coefficients(network.phi, network.batch), mixture(network.phi)
        self.shares = _Shares.of(network, at_limit)
        self.v = _first_variances(network)
        self.e, self.x = np.zeros((2, 4, depth))
        self.change, self.rest = np.zeros((2, 2, depth))
        self.by_pairs, self.resummed, self.by_law = np.zeros((3, depth))
        self.unshared = self.doubt = self.unshared_doubt = self.history = 0.0

    def correction(self) -> Correction:
        """Eq. (25)."""
        self.rest[1] += self.by_pairs**2 / 2 + np.maximum(np.abs(self.resummed) / 2, self.by_law)
        return Correction(np.stack([self.change[0], np.expm1(self.change[1])]), self.rest)

    def change_gradients(self, k: int, n: int) -> None:
        """Add the step at layer k: eq. (24)."""
        growth, some = self.shares.growth[k], slice(0, k + 1)
        on_top = k == self.network.depth - 2 and not self.residual
        trace, diagonal, pair, turn = self._terms(k, self.c.whole if on_top else self.c.passed)
        by_pairs = pair + turn
        beyond = self.mixture.beyond(SLOPE, self.v[DIAGONAL], self.e[DIAGONAL, some])
        factor = (1 + trace + diagonal + by_pairs + beyond) / (1 + self.unshared)
        self.change[1, some] += np.log1p(growth * (factor - 1))
        self.by_pairs[some] += growth * (trace + by_pairs)
        self.resummed[some] += growth * (beyond - self._beyond(SPREAD))
        self.by_law[some] += growth * (
            self.unshared_doubt + abs(self.c.passed.signal[DIAGONAL]) * self.doubt
        )
        size = np.abs(trace) + np.abs(diagonal) + np.abs(by_pairs)
        self.rest[1, some] += 3 * (growth * size) ** 2 + self.history * growth * _BY_HISTORY[1] / n
        if self.residual:
            self.rest[1, some] += growth * abs(self._scale(k))

    def _terms(self, k: int, step: Step) -> Array:
        """Return the effects of the fluctuations on the tangents, of shape (4, k + 1): eq. (24)."""
        # Kurtosis makes the scale of a unit vary: of h and of a tangent that passed the same W.
        scale = 0.0 if self.residual else self._scale(k)
        signal = self.v + scale * np.array([0, 0, 1, 0])
        older = scale / 3 * (np.arange(k + 1) < k)
        tangent = self.e[:, : k + 1] + np.outer([self.network.batch - 1, 0, 1, 0], older)
        cross = self.x[:, : k + 1] + np.outer([0, 0, 1, 1], older)
        terms: Array = (step.signal * signal)[:, None]
        return terms + step.tangent[:, None] * tangent + step.cross[:, None] * cross

    def _scale(self, k: int) -> float:
        """Return the fourth cumulant of a unit's weights, over its variance."""
        return self.excess / self.network.widths[k]

    def _beyond(self, function: int) -> float:
        return float(self.mixture.beyond(function, self.v[DIAGONAL], np.zeros(1))[0])

    def change_signals(self, k: int, n: int) -> None:
        """Add the branch at layer k to E h² and κ of the next layer."""
        pair, diagonal = self.v[PAIR] + self._scale(k), self.v[DIAGONAL]
        above, square = self.shares.whole[k], self._beyond(SQUARE)
        by_branch = self.c.square * (diagonal - pair) + square
        next_order = max(abs(square), abs(self.c.square) * self.doubt)
        next_order += abs(self.c.square) * (pair**2 + diagonal**2)
        next_order += self.history * _BY_HISTORY[0] / n
        for row, branch in ((self.change[0], by_branch), (self.rest[0], next_order)):
            row[k + 1] = (1 - above) * row[k] + above * branch
        share = self.shares.unshared[k]
        by_branch = self.c.spread * (diagonal - pair) + self._beyond(SPREAD)
        self.unshared = (1 - share) * self.unshared + share * by_branch
        self.unshared_doubt = (1 - share) * self.unshared_doubt
        self.unshared_doubt += share * abs(self.c.spread) * self.doubt

    def pass_branch(self, k: int, n: int) -> None:
        """Take the fluctuations to the next layer: eq. (19) to (21)."""
        c, some = self.c, slice(0, k + 1)
        share, growth = self.shares.unshared[k], self.shares.growth[k]
        response = 1 - share + share * c.response
        tangent = (1 - growth + growth * c.by_tangent)[:, None] * self.e[:, some]
        tangent += growth * (c.by_signal * self.v)[:, None]
        fresh = share * growth / n
        self.e[:, some] = response[:, None] * tangent + fresh * c.tangent_noise[:, None]
        self.x[:, some] = (response**2 * self.shares.ratio[k])[:, None] * self.x[:, some]
        self.x[:, some] += fresh * c.cross_noise[:, None]
        by_law = c.noise[DIAGONAL] * self.mixture.doubt(self.v[DIAGONAL])
        self.doubt = response[DIAGONAL] ** 2 * self.doubt + share**2 / n * by_law
        self.v = response**2 * self.v + share**2 / n * c.noise
        if self.residual:
            self.history = (1 - share) * self.history + share


class _Shares(NamedTuple):
    """Shares of the branch at every layer below the top, each of shape (layers - 1,).

    Attributes:
        unshared: In the next layer's variance over the batch; 1 in a plain stack.
        whole: In its E h².
        growth: In a squared tangent; 1 in a plain stack.
        ratio: Growth of the variance over the batch, over that of a squared tangent.
    """

    unshared: Array
    whole: Array
    growth: Array
    ratio: Array

    @classmethod
    def of(cls, network: Network, at_limit: Limit) -> _Shares:
        skip = 0.0 if network.residual is None else 1.0
        branch = 1.0 if network.residual is None else network.residual**2
        unshared, kernels = np.array(at_limit.unshared), np.array(at_limit.kernels)
        chis = np.array([math.inf if chi is None else chi for chi in at_limit.chis[:-1]])
        growths = skip + branch * chis
        bias = branch * network.bias_std**2
        return cls(
            1 - skip * unshared[:-1] / unshared[1:],
            1 - (skip * kernels[:-1] + bias) / kernels[1:],
            branch * chis / growths,
            unshared[1:] / unshared[:-1] / growths,
        )


def _first_variances(network: Network) -> Array:
    """Return v of the first layer, by component: batch.md, eq. (7)."""
    x, batch = Entries.of(network.x_dist, 0.0, 1.0), network.batch
    excess = x.fourth / x.variance**2 - 3
    m, each = batch - 1, (1 - 1 / batch) ** 2
    by_trace = excess * batch * each / m
    diagonal = excess * ((1 - 1 / batch) ** 4 + m / batch**4) * batch
    by_diagonal = batch / (batch - 2) * (diagonal - by_trace * m / batch) / m
    pair = (by_trace - by_diagonal) * m - by_trace
    pair *= 2 / (batch * (batch - 3))
    return (2 + np.array([by_trace, by_diagonal, pair, -2])) / network.widths[0]
