"""Plain stacks of finite width without norms: a Markov chain in one number, the kernel.

Given the layers below, a layer's h is an isotropic normal vector (normal weights) or a uniform
point on a sphere (orthogonal weights). The layers above depend on it through its variance q alone.
So E h² follows from the law of q, layer by layer. The gradient follows from a tangent that starts
at a layer and goes up: it has a part along h and one across h, whose expected squares at the top
are two functions of q, A and B. Nothing is expanded in 1/n: the rules of
:mod:`varsim.stack.theory.laws` give each step. Derived in ``chain.md``, whose equations are cited.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.activations import Activation
from varsim.stack.question import Layer
from varsim.stack.theory.cells import GRADIENT
from varsim.stack.theory.laws import (
    NODES,
    STEP,
    Array,
    Bond,
    GaussRule,
    LayerRules,
    layer_rules,
    nearest,
    positive_part,
    resolved_rule,
    rules_at,
)

Indices: TypeAlias = "NDArray[np.intp]"

# Points per polynomial that interpolates a function of q.
_POINTS = 6

# Reach of the grid beyond the kernel of infinite width: standard deviations of log q, and its cap.
_DEVIATIONS, _MOST = 7.0, 24.0


class PlainStack(NamedTuple):
    """A plain stack with normal or orthogonal weights, whose theory is exact.

    Attributes:
        phi: The activation.
        layers: The weight matrices.
        variances: C of each, the variance of its entries times fan-in.
        bias: Variance of the biases.
        first: The law of the first layer's kernel.
        inverse: E 1/q of that kernel, for which its rule is too coarse.
        kernels: Kernel of every layer at infinite width.
        orthogonal: Whether every W is an isometry of its input.
        nodes: Number of nodes of the rules.
    """

    phi: Activation
    layers: Sequence[Layer]
    variances: Sequence[float]
    bias: float
    first: GaussRule
    inverse: float
    kernels: Sequence[float]
    orthogonal: bool = False
    nodes: int = NODES

    def spread(self, means: Sequence[float], squares: Sequence[float]) -> Array:
        """Return the relative variance of Σh²/n, from E q and E q² of every layer.

        Normal units add to the relative variance of q; orthogonal W gives Σh²/n = q.
        """
        widths = np.array([layer.fan_out for layer in self.layers], float)
        units = 1.0 if self.orthogonal else 1 + 2 / widths
        return positive_part(np.array(squares) / np.array(means) ** 2 * units - 1)


class Finite(NamedTuple):
    """Theory at finite width, by layer.

    Attributes:
        value: E h² and E (∂h)², of shape (2, layers).
        spread: Relative variance of Σh²/n and of Σ(∂h)²/n between networks, for one input, of shape
            (2, layers); NaN where unknown.
        equal: Their relative covariance for two equal inputs with independent cotangents.
    """

    value: Array
    spread: Array
    equal: Array


class _Step(NamedTuple):
    """One factor's rules at every kernel of the grid, with the next layer's kernels.

    Attributes:
        means: Nodes of the rules, of shape (grid, nodes).
        weights: Their weights, of shape (grid, nodes).
        kernels: The next layer's q at the nodes, of shape (grid, nodes).
        at: Grid points that interpolate at those kernels, of shape (grid, nodes, points).
        shares: Their weights, of shape (grid, nodes, points).
    """

    means: Array
    weights: Array
    kernels: Array
    at: Indices
    shares: Array

    def expected(self, above: Array) -> Array:
        """Return E[factor · f(q')] from f on the grid, of the same shape (grid,)."""
        result: Array = (self.weights * (above[self.at] * self.shares).sum(axis=-1)).sum(axis=-1)
        return result


class _Steps(NamedTuple):
    """Steps to the next layer, by the factor of :class:`varsim.stack.theory.laws.LayerRules`."""

    signal: _Step
    trace: _Step
    overlap: _Step
    radial: _Step
    radial_overlap: _Step
    pair: _Step
    fourth: _Step


class Grid:
    """A grid for functions of a kernel, at equal steps of its logarithm."""

    def __init__(self, low: float, high: float) -> None:
        """Span the logarithms from ``low`` to ``high``, and a few points beyond."""
        self._first = math.floor(low / STEP) - _POINTS
        self.size = math.ceil(high / STEP) + _POINTS - self._first
        self.kernels = np.array(
            [math.exp((self._first + i) * STEP) for i in range(self.size)]
        )  # equal to ``nearest`` bit by bit

    def places(self, kernels: Array) -> tuple[Indices, Array]:
        """Return the points and weights that interpolate at kernels, which are clipped to the grid.

        Both have the shape (*kernels.shape, points).
        """
        with np.errstate(divide="ignore"):
            t = np.log(kernels) / STEP - self._first
        t = np.clip(t, 0.0, self.size - 1.0)
        start = np.clip(np.floor(t).astype(int) - _POINTS // 2 + 1, 0, self.size - _POINTS)
        offset = (t - start)[..., None] - np.arange(_POINTS)
        shares = np.ones_like(offset)
        for i in range(_POINTS):
            for j in range(_POINTS):
                if i != j:
                    shares[..., i] *= offset[..., j] / (i - j)
        return start[..., None] + np.arange(_POINTS), shares

    def near(self, logarithms: Array, reach: float) -> list[int]:
        """Return for every point the nearest point within reach of some logarithm.

        Values at points out of reach have no share in any interpolation.
        """
        middles = np.unique(np.round(logarithms / STEP)) - self._first
        points = np.arange(self.size)
        away = np.abs(points[:, None] - middles).min(axis=1)
        near = np.flatnonzero(away <= reach / STEP + _POINTS + 1)
        nearest_points: list[int] = near[np.abs(points[:, None] - near).argmin(axis=1)].tolist()
        return nearest_points


def finite(stack: PlainStack) -> Finite:
    """Return theory at finite width; values that floats cannot hold are not finite.

    Raises:
        ArithmeticError: A mean of φ is not finite.
    """
    scale_free = stack.phi.homogeneous and not stack.bias
    result = _scale_free(stack) if scale_free else _on_grid(stack)
    alive = survival_probabilities(stack)
    result.value[GRADIENT, :-1] *= alive[:-1]  # on top the gradient is given
    return result


def survival_probabilities(stack: PlainStack) -> list[float]:
    """Return the probability that a layer's h is not 0 throughout, for one input, by layer.

    Without a bias h is 0 if φ is 0 at all units of the layer below.
    """
    phi = stack.phi
    if stack.bias or not phi.flat or np.any(phi.derivative(np.zeros(1))):
        return [1.0] * len(stack.layers)
    h, mass = resolved_rule(phi, 1.0)
    dead = float(mass[phi.phi(h) == 0.0].sum())
    probabilities = [1.0]
    for layer in stack.layers[1:]:
        probabilities.append(probabilities[-1] * (1.0 - dead**layer.fan_in))
    return probabilities


def _on_grid(stack: PlainStack) -> Finite:
    """Return theory of any stack, from laws and functions of q on a grid."""
    chain, first = _Chain(stack), stack.first
    at, shares = chain.grid.places(first.means)
    law = np.bincount(at.ravel(), (shares * first.weights[:, None]).ravel(), chain.grid.size)
    means, squares = [first.mean], [first.mean_square]
    laws = [law]
    for place in range(1, len(stack.layers)):
        step = chain.steps(place).signal
        passed = law[:, None] * step.weights
        means.append(float((passed * step.kernels).sum()))
        squares.append(float((passed * step.kernels**2).sum()))
        law = np.bincount(
            step.at.ravel(), (passed[..., None] * step.shares).ravel(), chain.grid.size
        )
        laws.append(law)
    gradients = [float(law @ growth) for law, growth in zip(laws, chain.growths(), strict=True)]
    moments = np.array([each @ law for law, each in zip(laws, chain.moments(), strict=True)])
    return _finite(stack, means, squares, gradients, moments)


def _finite(
    stack: PlainStack,
    means: Sequence[float],
    squares: Sequence[float],
    gradients: Sequence[float],
    moments: Array,
) -> Finite:
    """Return theory from E q, E q², E (∂h)² of every layer, and :meth:`_Chain.moments`."""
    forward = stack.spread(means, squares)
    mean, square, pair = moments.T
    if stack.orthogonal:  # cotangents are normal
        square = square * (1 + 2 / np.array([layer.fan_out for layer in stack.layers]))
    one, equal = (positive_part(each / mean**2 - 1) for each in (square, pair))
    return Finite(
        np.array([means, gradients]), np.array([forward, one]), np.array([forward, equal])
    )


def _scale_free(stack: PlainStack) -> Finite:
    """Return theory for homogeneous φ: q is a product of factors, and A, B do not depend on q.

    A bias breaks that.
    """
    bond: Bond = "sphere" if stack.orthogonal else "free"
    by_layer = [
        layer_rules(stack.phi, 1.0, each.fan_in, bond, stack.nodes) for each in stack.layers[1:]
    ]
    means, squares = [stack.first.mean], [stack.first.mean_square]
    for variance, rules in zip(stack.variances[1:], by_layer, strict=True):
        means.append(means[-1] * variance * rules.signal.mean)
        squares.append(squares[-1] * variance**2 * rules.signal.mean_square)
    along = across = 1.0
    gradients, top = [1.0], stack.layers[-1].fan_out
    moments = [_moments_on_top(stack)]
    for variance, rules, layer in zip(
        stack.variances[:0:-1], by_layer[::-1], stack.layers[:0:-1], strict=True
    ):
        along, across = (
            variance * (float(whole.total) * across + (along - across) * _share(part))
            for whole, part in ((rules.radial, rules.radial_overlap), (rules.trace, rules.overlap))
        )
        n, start = layer.fan_in, across
        if stack.orthogonal:
            across = across * (n / (n - 1))
            start = along / n + across * (1 - 1 / n)
        gradients.append(start * top / n)
        used = rules.trace, rules.radial, rules.pair, rules.fourth
        factors = [rule.total.__mul__ for rule in used]
        moments.append(
            _moments_below(stack, len(stack.layers) - len(moments), moments[-1], factors)
        )
    return _finite(stack, means, squares, gradients[::-1], np.array(moments[::-1]))


def _moments_on_top(stack: PlainStack) -> Array:
    """Return the moments of :meth:`_Chain.moments` on top, where tangents are their start."""
    return np.array([1.0, 1.0 if stack.orthogonal else 1 + 2 / stack.layers[-1].fan_out, 1.0])


def _moments_below(
    stack: PlainStack, place: int, above: Array, factors: Sequence[Callable[[Array], Array]]
) -> Array:
    """Return the moments of :meth:`_Chain.moments` below layer ``place``: eq. (8).

    Args:
        stack: The stack.
        place: The layer above, counted from 0.
        above: Its moments.
        factors: Functions that give E[factor · f(q')] for f of the layer above, with the factors
            trace, radial, pair and fourth of :class:`varsim.stack.theory.laws.LayerRules`.
    """
    (mean, square, pair), (trace, radial, both, fourth) = above, factors
    variance, n = stack.variances[place], stack.layers[place].fan_in
    slopes, squares = trace(mean), both(square) + 2 * fourth(square)
    if stack.orthogonal:  # the trace is of tangents across h, whose entries are not normal
        slopes, squares = slopes + radial(mean) / n, squares * n / (n + 2)
    return np.stack([variance * slopes, variance**2 * squares, variance**2 * both(pair)])


def _share(overlap: GaussRule) -> float:
    """Return E[factor / mean of φ²] of an overlap, where the mean is not 0."""
    positive = overlap.means > 0.0
    return float((overlap.weights[positive] / overlap.means[positive]).sum())


class _Chain:
    """A stack's layers as steps on a grid of kernels."""

    def __init__(self, stack: PlainStack) -> None:
        self._stack = stack
        self._bond: Bond = "sphere" if stack.orthogonal else "free"
        kernels, reach = stack.kernels, _reach(stack)
        self.grid = Grid(math.log(min(kernels)) - reach, math.log(max(kernels)) + reach)
        near = self.grid.near(np.log(kernels), reach)
        self._places, self._at = np.unique(near, return_inverse=True)
        self._steps: dict[tuple[int, float], _Steps] = {}
        self._rules: dict[int, LayerRules] = {}

    def steps(self, place: int) -> _Steps:
        """Return the steps from the layer before to layer ``place``, counted from 0."""
        n, variance = self._stack.layers[place].fan_in, self._stack.variances[place]
        if (n, variance) not in self._steps:
            steps = _Steps(*(self._step(variance, rule) for rule in self._rules_of_width(n)))
            self._steps[n, variance] = steps
        return self._steps[n, variance]

    def _step(self, variance: float, rule: GaussRule) -> _Step:
        means, weights = rule.means[self._at], rule.weights[self._at]
        kernels = variance * means + self._stack.bias
        return _Step(means, weights, kernels, *self.grid.places(kernels))

    def _rules_of_width(self, n: int) -> LayerRules:
        """Return the rules at the places, with arrays of the shape (places, nodes)."""
        if n not in self._rules:
            kernels = self.grid.kernels[self._places].tolist()
            self._rules[n] = rules_at(self._stack.phi, kernels, n, self._bond, self._stack.nodes)
        return self._rules[n]

    def growths(self) -> list[Array]:
        """Return E (∂h)² of every layer as a function of its kernel.

        Of a tangent of mean square 1 at a layer, ``along`` is the expected mean square at the top
        if it points along h, and ``across`` if it is perpendicular to h.
        """
        along, across = np.ones((2, self.grid.size))
        layers = self._stack.layers
        growths, top = [np.ones(self.grid.size)], layers[-1].fan_out
        for place in range(len(layers) - 1, 0, -1):
            n = layers[place].fan_in
            variance, steps = self._stack.variances[place], self.steps(place)
            along, across = (
                self._expected_square(variance, steps.radial, steps.radial_overlap, along, across),
                self._expected_square(variance, steps.trace, steps.overlap, along, across),
            )
            start = across
            if self._stack.orthogonal:  # a tangent across h has n - 1 dimensions
                across = across * (n / (n - 1))
                start = along / n + across * (1 - 1 / n)
            growths.append(start * (top / n))
        return growths[::-1]

    def moments(self) -> list[Array]:
        """Return moments of tangents for every layer, as functions of its kernel: (3, grid).

        Of normal tangents t, t′ that start there with a mean square of 1, they are E |t|²/n,
        E |t|⁴/n² and E |t|²|t′|²/n² at the top. Their parts along h are not followed: eq. (8), (9).
        """
        on_top = _moments_on_top(self._stack)
        result, layers = [np.repeat(on_top[:, None], self.grid.size, axis=1)], self._stack.layers
        for place in range(len(layers) - 1, 0, -1):
            steps = self.steps(place)
            used = steps.trace, steps.radial, steps.pair, steps.fourth
            factors = [step.expected for step in used]
            result.append(_moments_below(self._stack, place, result[-1], factors))
        return result[::-1]

    def _expected_square(
        self, variance: float, whole: _Step, overlap: _Step, along: Array, across: Array
    ) -> Array:
        """Return A or B one layer lower, from A (``along``) and B (``across``), by kernel.

        The steps are those of |s|² and (s·r)²/|r|² in eq. (7).
        """
        gain = ((along - across)[overlap.at] * overlap.shares).sum(axis=-1)
        not_bias = (overlap.kernels - self._stack.bias) / np.maximum(overlap.kernels, 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(overlap.means > 0.0, overlap.weights / overlap.means, 0.0)
        result: Array = variance * (whole.expected(across) + (ratio * not_bias * gain).sum(axis=-1))
        return result


def _reach(stack: PlainStack) -> float:
    """Return the reach of the grid in log q, to both sides of the kernels of infinite width.

    The variance of log q gains that of the mean of φ² over n units per layer, and a layer passes on
    a share of it. On a sphere Σh² is fixed, so the part of φ² that is linear in h² adds nothing.
    """
    spread = worst = 2.0 / stack.layers[0].fan_in
    for place in range(1, len(stack.layers)):
        kernel, n = stack.kernels[place - 1], stack.layers[place].fan_in
        rules = layer_rules(stack.phi, nearest(kernel), n, "free")
        mean = rules.signal.mean
        if mean == 0.0:
            raise FloatingPointError
        # (φφ'h / φ²)², the square of the slope of log φ² in log q.
        slope = max(0.0, float(rules.radial_overlap.total)) * kernel / mean**2
        noise = rules.signal.mean_square / mean**2 - 1.0 - stack.orthogonal * 2 * slope / n
        without_bias = (stack.variances[place] * mean / stack.kernels[place]) ** 2
        spread = without_bias * (slope * spread + max(0.0, noise))
        worst = max(worst, spread)
    return min(_MOST, 0.5 + _DEVIATIONS * math.sqrt(worst) + 3 * worst)
