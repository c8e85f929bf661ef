"""Plain stacks with RMS or layer norm at finite width.

Whatever the layers below, h of a layer is an isotropic vector, so the normalised y is a uniform
point of a sphere, independent of everything below. Layers are renewals: each has a mean and a
factor on the gradient, and no fluctuation passes from one to the next. With D = diag φ′(y),
r = φ(y), P the projection off y (and off the mean) and q' = C|r|²/n + σ_b², the factor is

    E[C tr(D P D)/n / q' - C² r D P D r/n² / q'²] · n/(n - 2),

or n/(n - 3) with layer norm: E 1/ρ² of the next layer's h. sphere.md derives it, eq. (4).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from varsim.stack.theory.chain import Finite, PlainStack
from varsim.stack.theory.laws import Bond, LayerRules, layer_rules

_BONDS: dict[str, Bond] = {"rms": "sphere", "layer": "centred sphere"}


class Branch(NamedTuple):
    """Branches of a residual stack below a norm.

    Attributes:
        square: E φ².
        growth: E tr(D P D)/n · E 1/ρ², the first branch's factor on a squared gradient, over C.
        later: The same for a normal h of variance 1, as in later branches given their kernel.
    """

    square: float
    growth: float
    later: float


def finite(stack: PlainStack, norm: str) -> Finite:
    """Return theory at finite width, without the spread of gradients.

    The gradient of a layer follows from a tangent that starts there and goes up. The norm above
    divides it by ρ, the root mean square of h, and removes its part along h. No norm follows on
    top, where that part remains.

    Args:
        stack: The stack.
        norm: ``rms`` or ``layer``.
    """
    layers, bias, orthogonal = stack.layers, stack.bias, stack.orthogonal
    by_layer = [
        layer_rules(stack.phi, 1.0, layer.fan_in, _BONDS[norm], stack.nodes) for layer in layers[1:]
    ]
    kernels = [stack.first]
    for variance, rules in zip(stack.variances[1:], by_layer, strict=True):
        kernels.append(rules.signal.kernel(variance, bias))

    def inverse(n: int) -> float:
        return _inverse(norm, n, orthogonal=orthogonal)

    gradients, factor = [1.0], 1.0
    for place in range(len(layers) - 1, 0, -1):
        n, variance, rules = layers[place].fan_in, stack.variances[place], by_layer[place - 1]
        if place == len(layers) - 1:
            factor = variance * float(rules.trace.total)
        else:
            above = layers[place].fan_out
            across = above / (above - 1) if orthogonal else 1.0
            factor *= inverse(above) * across * _factor(rules, variance, bias)
        inverse_kernel = kernels[place - 1].inverse if place > 1 else stack.inverse
        growth = inverse(n) * inverse_kernel * factor
        gradients.append(growth * layers[-1].fan_out / n)
    means, squares = [kernel.mean for kernel in kernels], [kernel.mean_square for kernel in kernels]
    forward = stack.spread(means, squares)
    spread = np.stack([forward, np.full_like(forward, np.nan)])
    return Finite(np.array([means, gradients[::-1]]), spread, spread)


def branch(stack: PlainStack, norm: str) -> Branch:
    """Return the means of branches, as in ``finite``."""
    n = stack.layers[0].fan_out
    rules = layer_rules(stack.phi, 1.0, n, _BONDS[norm])
    inverse, trace = _inverse(norm, n, orthogonal=stack.orthogonal), float(rules.trace.total)
    growth, later = inverse * stack.inverse * trace, _inverse(norm, n) * trace
    return Branch(rules.signal.mean, growth, later)


def _inverse(norm: str, n: int, *, orthogonal: bool = False) -> float:
    """Return E 1/ρ² of h/√q in n dimensions: a normal vector or, if orthogonal, on a sphere.

    sphere.md, eq. (5) and section 3.
    """
    if not orthogonal:
        return n / (n - 2 if norm == "rms" else n - 3)
    return 1.0 if norm == "rms" else (n - 2) / (n - 3)


def _factor(rules: LayerRules, variance: float, bias: float) -> float:
    """Return E[C (trace/q' - C overlap/q'²)] with q' = C mean φ² + σ_b², the next kernel."""
    trace, overlap = rules.trace, rules.overlap
    of_trace, of_overlap = variance * trace.means + bias, variance * overlap.means + bias
    whole = trace.weights / of_trace
    along = [w / q**2 for w, q in zip(overlap.weights, of_overlap, strict=True) if w]
    return float(variance * whole.sum() - variance**2 * sum(along))
