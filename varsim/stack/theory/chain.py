"""Plain stacks of finite width without norms: a Markov chain in one number, the kernel.

Given what is below, a layer's h is an isotropic normal vector (normal weights) or a uniform point
on a sphere (orthogonal weights), whose variance q is all that the layers above see of it. So E h²
follows from the law of q, layer by layer. The gradient is followed as a tangent t from the bottom:
by isotropy it has a part along h and one across, whose expected squares after the layers above are
two functions of q, A and B. With r = φ(h), s = φ′(h) t and the next q' = C|r|²/n + σ_b², each of
them is, for t along h or across,

    E[C/n (|s|² B(q') + (s·r)²/|r|² (1 - σ_b²/q') (A(q') - B(q')))],

since the part of s along r goes along the next h, but for what the bias turns away. Nothing is
expanded in 1/n: the rules of :mod:`varsim.stack.theory.laws` carry each step. Derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.stack.network import Layer
from varsim.stack.theory.laws import (
    NODES,
    STEP,
    Array,
    Bond,
    GaussRule,
    LayerRules,
    layer_rules,
    nearest,
    resolved_rule,
)

# Points of the polynomials that interpolate functions of q.
_POINTS = 6

# How far beyond the kernel of infinite width q is followed, in standard deviations of log q.
_DEVIATIONS, _MOST = 7.0, 24.0


class Moments(NamedTuple):
    """Moments at finite width, by layer; all have the shape (layers,).

    Attributes:
        variance: E h².
        fourth: E q², of the layer's kernel q.
        gradient: E (∂h)².
    """

    variance: Array
    fourth: Array
    gradient: Array


class PlainStack(NamedTuple):
    """A plain stack, for which normal and orthogonal weights have an exact theory.

    Attributes:
        phi: The activation.
        layers: The weight matrices.
        variances: C of each, the variance of its entries times fan-in.
        bias: Variance of the biases.
        first: The law of the first layer's kernel.
        inverse: The mean of one over that, which its rule is too coarse for.
        kernels: Those of every layer at infinite width.
        orthogonal: Whether weights turn what they get, so that its length stays.
        nodes: Nodes of the rules.
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


class _Step(NamedTuple):
    """A rule of every kernel of the grid, with the kernels that its nodes lead to.

    Attributes:
        means: The nodes, of shape (grid, nodes).
        weights: Their weights.
        kernels: The next layer's q.
        at: Where those are in the grid, of shape (grid, nodes, points).
        shares: The weights of interpolation there.
    """

    means: Array
    weights: Array
    kernels: Array
    at: np.ndarray
    shares: Array


class Grid:
    """Functions of a kernel, at equal steps of its logarithm."""

    def __init__(self, low: float, high: float) -> None:
        """Take the points from the logarithm ``low`` to ``high``, and a few beyond."""
        self._first = math.floor(low / STEP) - _POINTS
        self.size = math.ceil(high / STEP) + _POINTS - self._first
        self.kernels = np.array(
            [math.exp((self._first + i) * STEP) for i in range(self.size)]
        )  # as ``nearest`` has them

    def places(self, kernels: Array) -> tuple[np.ndarray, Array]:
        """Return the points and weights that interpolate at kernels; ends are not passed."""
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
        """Return for every point itself, or the next point that is within reach of a logarithm.

        What stands at the others does not matter: it has no share in any interpolation.
        """
        middles = np.unique(np.round(logarithms / STEP)) - self._first
        points = np.arange(self.size)
        away = np.abs(points[:, None] - middles).min(axis=1)
        near = np.flatnonzero(away <= reach / STEP + _POINTS + 1)
        found: list[int] = near[np.abs(points[:, None] - near).argmin(axis=1)].tolist()
        return found


def finite(stack: PlainStack) -> Moments:
    """Return the moments at finite width; those beyond what floats hold are not finite.

    Raises:
        ArithmeticError: A mean of φ is not finite.
    """
    scale_free = stack.phi.homogeneous and not stack.bias
    moments = _scale_free(stack) if scale_free else _on_grid(stack)
    alive = survival_probabilities(stack)
    alive[-1] = 1.0  # on top the gradient is given
    return moments._replace(gradient=moments.gradient * alive)


def survival_probabilities(stack: PlainStack) -> list[float]:
    """Return the probability that a layer's h is not 0 for an input, by layer.

    It is 0 where all units below are where φ is 0. A bias mends that.
    """
    phi = stack.phi
    if stack.bias or not phi.flat or np.any(phi.derivative(np.zeros(1))):
        return [1.0] * len(stack.layers)
    h, mass = resolved_rule(phi, 1.0)
    dead = float(mass[phi.phi(h) == 0.0].sum())
    shares = [1.0]
    for layer in stack.layers[1:]:
        shares.append(shares[-1] * (1.0 - dead**layer.fan_in))
    return shares


def _on_grid(stack: PlainStack) -> Moments:
    chain, first = _Chain(stack), stack.first
    at, shares = chain.grid.places(first.means)
    law = np.bincount(at.ravel(), (shares * first.weights[:, None]).ravel(), chain.grid.size)
    seconds = [float(first.means @ first.weights)]
    fourths = [float(first.means**2 @ first.weights)]
    laws = [law]
    for place in range(1, len(stack.layers)):
        step = chain.step(place, "signal")
        passed = law[:, None] * step.weights
        seconds.append(float((passed * step.kernels).sum()))
        fourths.append(float((passed * step.kernels**2).sum()))
        law = np.bincount(
            step.at.ravel(), (passed[..., None] * step.shares).ravel(), chain.grid.size
        )
        laws.append(law)
    gradients = [float(law @ growth) for law, growth in zip(laws, chain.growths(), strict=True)]
    return Moments(np.array(seconds), np.array(fourths), np.array(gradients))


def _scale_free(stack: PlainStack) -> Moments:
    """Return the same where φ has no scale: q is a product, and growths do not depend on it."""
    bond: Bond = "sphere" if stack.orthogonal else "free"
    second, fourth = (float(stack.first.means**p @ stack.first.weights) for p in (1, 2))
    here = [
        layer_rules(stack.phi, 1.0, each.fan_in, bond, stack.nodes) for each in stack.layers[1:]
    ]
    seconds, fourths = [second], [fourth]
    for variance, known in zip(stack.variances[1:], here, strict=True):
        seconds.append(seconds[-1] * variance * float(known.signal.means @ known.signal.weights))
        square = float(known.signal.means**2 @ known.signal.weights)
        fourths.append(fourths[-1] * variance**2 * square)
    along = across = 1.0
    gradients, top = [1.0], stack.layers[-1].fan_out
    for variance, known, layer in zip(
        stack.variances[:0:-1], here[::-1], stack.layers[:0:-1], strict=True
    ):
        along, across = (
            variance * (float(whole.total) * across + (along - across) * _share(part))
            for whole, part in ((known.radial, known.radial_overlap), (known.trace, known.overlap))
        )
        n, start = layer.fan_in, across
        if stack.orthogonal:
            across = across * (n / (n - 1))
            start = along / n + across * (1 - 1 / n)
        gradients.append(start * top / n)
    return Moments(np.array(seconds), np.array(fourths), np.array(gradients[::-1]))


def _share(overlap: GaussRule) -> float:
    """Return E (r D h)²/Σφ² and the like."""
    met = overlap.means > 0.0
    return float((overlap.weights[met] / overlap.means[met]).sum())


class _Chain:
    def __init__(self, stack: PlainStack) -> None:
        self._stack = stack
        self._bond: Bond = "sphere" if stack.orthogonal else "free"
        kernels, reach = stack.kernels, _reach(stack)
        self.grid = Grid(math.log(min(kernels)) - reach, math.log(max(kernels)) + reach)
        self._places = self.grid.near(np.log(kernels), reach)
        self._steps: dict[tuple[int, float, str], _Step] = {}
        self._known: dict[int, list[LayerRules]] = {}

    def step(self, place: int, factor: str) -> _Step:
        """Return how a layer's kernel follows from that of the layer before."""
        n, variance = self._stack.layers[place].fan_in, self._stack.variances[place]
        key = n, variance, factor
        if key not in self._steps:
            known = [getattr(each, factor) for each in self._rules(n)]
            means, weights = (np.stack([rule[i] for rule in known]) for i in (0, 1))
            kernels = variance * means + self._stack.bias
            self._steps[key] = _Step(means, weights, kernels, *self.grid.places(kernels))
        return self._steps[key]

    def _rules(self, n: int) -> list[LayerRules]:
        if n not in self._known:  # a deep stack has more of them than are cached
            kernels, nodes = self.grid.kernels.tolist(), self._stack.nodes
            known = {
                place: layer_rules(self._stack.phi, kernels[place], n, self._bond, nodes)
                for place in dict.fromkeys(self._places)
            }
            self._known[n] = [known[place] for place in self._places]
        return self._known[n]

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
            along, across = (
                self._passed(place, ("radial", "radial_overlap"), along, across),
                self._passed(place, ("trace", "overlap"), along, across),
            )
            start = across
            if self._stack.orthogonal:  # a tangent across h has n - 1 dimensions
                across = across * (n / (n - 1))
                start = along / n + across * (1 - 1 / n)
            growths.append(start * (top / n))
        return growths[::-1]

    def _passed(self, place: int, factors: tuple[str, str], along: Array, across: Array) -> Array:
        """Return the expected square of a tangent that one more layer has passed.

        Its share along φ(h) goes along the next h, but for what the bias turns away from it.
        """
        variance = self._stack.variances[place]
        whole, part = (self.step(place, factor) for factor in factors)
        squares = (across[whole.at] * whole.shares).sum(axis=-1)
        gain = ((along - across)[part.at] * part.shares).sum(axis=-1)
        kept = (part.kernels - self._stack.bias) / np.maximum(part.kernels, 1e-300)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(part.means > 0.0, part.weights / part.means, 0.0)
        result: Array = variance * (
            (whole.weights * squares).sum(axis=-1) + (ratio * kept * gain).sum(axis=-1)
        )
        return result


def _reach(stack: PlainStack) -> float:
    """Return how far log q is followed to both sides of infinite width.

    Its variance is that of the mean of φ² over n units, and what a layer hands on of it. A sphere
    takes from φ² what is linear in h²: in it, Σh² is given.
    """
    spread = worst = 2.0 / stack.layers[0].fan_in
    for place in range(1, len(stack.layers)):
        kernel, n = stack.kernels[place - 1], stack.layers[place].fan_in
        here = layer_rules(stack.phi, nearest(kernel), n, "free")
        mean = float(here.signal.means @ here.signal.weights)
        if mean == 0.0:
            raise FloatingPointError
        square = float(here.signal.means**2 @ here.signal.weights)
        handed = max(0.0, float(here.radial_overlap.total)) * kernel / mean**2
        noise = square / mean**2 - 1.0 - stack.orthogonal * 2 * handed / n
        # (φφ'h / φ²)², the square of the slope of log φ² in log q.
        kept = (stack.variances[place] * mean / stack.kernels[place]) ** 2
        spread = kept * (handed * spread + max(0.0, noise))
        worst = max(worst, spread)
    return min(_MOST, 0.5 + _DEVIATIONS * math.sqrt(worst) + 3 * worst)
