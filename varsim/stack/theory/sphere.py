"""Plain stacks with RMS or layer norm at finite width.

Whatever is below, h of a layer is an isotropic vector, so what the norm hands on is a uniform point
of a sphere, independent of everything below. Layers are renewals: each has its own mean and its own
factor on the gradient, and nothing fluctuates from one to the next. With D = diag φ′(y), r = φ(y),
P the projection off y (and off the mean) and q' = C|r|²/n + σ_b², the factor is

    E[C tr(D P D)/n / q' - C² r D P D r/n² / q'²] · n/(n - 2),

or n/(n - 3) with layer norm: E 1/ρ² of the next layer's h. Derived here.
"""

from __future__ import annotations

import numpy as np

from varsim.stack.theory.chain import Moments, PlainStack
from varsim.stack.theory.laws import Bond, GaussRule, LayerRules, layer_rules

_BONDS: dict[str, Bond] = {"rms": "sphere", "layer": "centred sphere"}


def finite(stack: PlainStack, norm: str) -> Moments:
    """Return what every layer has at finite width.

    The gradient of a layer is a tangent that is followed upwards. The norm divides it by ρ, the
    root mean square of h, and takes off what is along h, which φ's layer has turned a share of the
    tangent into. Only at the top is this share kept.
    """
    layers, bias, orthogonal = stack.layers, stack.bias, stack.orthogonal
    here = [
        layer_rules(stack.phi, 1.0, layer.fan_in, _BONDS[norm], stack.nodes) for layer in layers[1:]
    ]
    below = [stack.first]
    for variance, known in zip(stack.variances[1:], here, strict=True):
        below.append(GaussRule(variance * known.signal.means + bias, known.signal.weights))
    seconds = [float(law.means @ law.weights) for law in below]
    fourths = [float(law.means**2 @ law.weights) for law in below]

    def inverse(n: int) -> float:
        return _inverse(norm, n, orthogonal=orthogonal)

    gradients, passed = [1.0], 1.0
    for place in range(len(layers) - 1, 0, -1):
        n, variance, known = layers[place].fan_in, stack.variances[place], here[place - 1]
        if place == len(layers) - 1:
            passed = variance * float(known.trace.total)
        else:
            above = layers[place].fan_out
            across = above / (above - 1) if orthogonal else 1.0
            passed *= inverse(above) * across * _factor(known, variance, bias)
        law = below[place - 1]
        one_over = float((law.weights / law.means).sum()) if place > 1 else stack.inverse
        growth = inverse(n) * one_over * passed
        gradients.append(growth * layers[-1].fan_out / n)
    return Moments(np.array(seconds), np.array(fourths), np.array(gradients[::-1]))


def branch(stack: PlainStack, norm: str) -> tuple[float, float]:
    """Return E φ², and E tr(D P D)/n · E 1/ρ² of the first layer, as in ``finite``."""
    n = stack.layers[0].fan_out
    here = layer_rules(stack.phi, 1.0, n, _BONDS[norm])
    inverse = _inverse(norm, n, orthogonal=stack.orthogonal)
    step = inverse * stack.inverse * float(here.trace.total)
    return float(here.signal.means @ here.signal.weights), step


def _inverse(norm: str, n: int, *, orthogonal: bool = False) -> float:
    """Return E 1/ρ² of a normal vector of variance 1, or of one on a sphere, centred or not."""
    if not orthogonal:
        return n / (n - 2 if norm == "rms" else n - 3)
    return 1.0 if norm == "rms" else (n - 2) / (n - 3)


def _factor(known: LayerRules, variance: float, bias: float) -> float:
    """Return E[C (tr/q - C overlap/q²)] with q = C mean φ² + σ_b², the next layer's kernel."""
    trace, overlap = known.trace, known.overlap
    kernels, others = variance * trace.means + bias, variance * overlap.means + bias
    whole = trace.weights / kernels
    along = [w / q**2 for w, q in zip(overlap.weights, others, strict=True) if w]
    return float(variance * whole.sum() - variance**2 * sum(along))
