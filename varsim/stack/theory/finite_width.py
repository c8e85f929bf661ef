"""Theory at finite width, by the kind of stack."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from varsim.catalog.distributions import raw_moment
from varsim.layer.theory import Entries
from varsim.stack.network import Network
from varsim.stack.theory import batch, chain, sphere
from varsim.stack.theory.batch import LEAST
from varsim.stack.theory.branches import Branches, corrections
from varsim.stack.theory.cells import (
    _LARGEST_OF_SERIES,
    _LARGEST_OF_UNKNOWN,
    LARGEST_SLACK,
    _ends,
    _Found,
    _Known,
    _unless,
    _unless_infinite,
)
from varsim.stack.theory.chain import Finite, Plain
from varsim.stack.theory.laws import NODES, Array, Rule, gamma, inverse_mean, mean_of
from varsim.stack.theory.limit import Limit, variance_of_weights
from varsim.stack.theory.weights import Law, law_of, shifts

# The fewest units on a sphere whose moments are worked out, by the norm that puts them there.
_LEAST = {"none": 16, "rms": 12, "layer": 24}

# The most layers of a residual stack whose correction is worked out.
_MOST_BRANCHES = 1500


def _finite(network: Network, at_limit: Limit) -> _Known:
    law = law_of(network)
    if network.norm == "batch":
        return _batch(network, at_limit, law)
    if network.residual is not None:
        return _residual(network, at_limit, law)
    return _exact(network, at_limit, law)


def _exact(network: Network, at_limit: Limit, law: Law) -> _Known:
    """Plain stacks: a chain of kernels, or renewals below a norm."""
    inner = min(network.widths[1:-1], default=math.inf)
    turned = law.kind == "orthogonal" and _turns(network)
    least = _LEAST[network.norm] if network.norm != "none" or turned else 0
    if inner < least:
        reason = f"theory needs layers of at least {least} units here"
        return _ends(network, at_limit, reason)
    found, coarse = (_at_width(network, at_limit, turned, nodes) for nodes in (NODES, NODES - 1))
    variance, fourth, gradient = (np.array(column) for column in zip(*found, strict=True))
    rough = [np.array(column) for column in zip(*coarse, strict=True)]
    pairs = (variance, rough[0]), (gradient, rough[2])
    slacks = [np.where(fine == other, 0.0, np.abs(other / fine - 1)) for fine, other in pairs]
    if network.norm != "none":  # which makes nothing of a layer or an input that is 0
        slacks = [slack + _dead(network, at_limit) for slack in slacks]
    widths = np.array(network.widths[1:], float)
    spread = _unless_infinite(fourth / variance**2 * (1.0 if turned else 1 + 2 / widths) - 1)
    if law.kind != "independent" and not turned:
        law = Law("unknown")
        off = [np.abs(variance / at_limit.kernels - 1), np.abs(gradient / at_limit.gradients - 1)]
        slacks = [slack + each for slack, each in zip(slacks, off, strict=True)]
    return _judged(network, at_limit, law, _Found([variance, gradient], slacks, spread))


def _dead(network: Network, at_limit: Limit) -> float:
    """Return the probability that an input, or a layer below the top, is 0 throughout."""
    alive = chain.alive_shares(_plain(network, at_limit, turned=False))[-1]
    empty = 0.5 ** network.widths[0] if network.x_dist == "rectified" else 0.0
    return 1 - alive + empty * (network.bias_std == 0.0)


def _at_width(network: Network, at_limit: Limit, turned: bool, nodes: int) -> list[Finite]:
    stack = _plain(network, at_limit, turned, nodes)
    return chain.finite(stack) if network.norm == "none" else sphere.finite(stack, network.norm)


def _plain(network: Network, at_limit: Limit, turned: bool, nodes: int = NODES) -> Plain:
    variances, bias = variance_of_weights(network), network.bias_std**2
    first = _first(network, variances[0], turned, nodes)
    inverse = float((first.weights / np.maximum(first.means, 1e-300)).sum())
    if network.x_dist == "normal":
        inverse = inverse_mean(_dof(network, turned), variances[0], bias)
    return Plain(
        network.phi, network.layers, variances, bias, first, inverse, at_limit.kernels, turned,
        nodes,
    )  # fmt: skip


def _dof(network: Network, turned: bool) -> int:
    """Return how many normal variables a normal input's length in the first layer is made of."""
    return min(network.widths[:2]) if turned else network.widths[0]


def _turns(network: Network) -> bool:
    """Tell whether every orthogonal W only turns what it gets, and the rest of theory is exact.

    Where W has more rows than columns it takes a part of its input; a bias is not turned. Normal
    inputs may be cut.
    """
    widths = network.widths if network.x_dist != "normal" else network.widths[1:]
    grows = all(a <= b for a, b in pairwise(widths))
    return grows and network.bias_std == 0.0


def _first(network: Network, variance: float, turned: bool, nodes: int = NODES) -> Rule:
    """Return the law of the first layer's kernel, of which the inputs' mean squares decide."""
    n, bias = network.widths[0], network.bias_std**2
    if network.x_dist == "normal":
        means, weights = gamma(_dof(network, turned))
    else:
        moments = [raw_moment(network.x_dist, 2 * k) for k in range(2 * NODES)]
        means, weights = mean_of(moments, n, nodes)
    return Rule(variance * means + bias, weights)


def _residual(network: Network, at_limit: Limit, law: Law) -> _Known:
    """Residual stacks: the limit and its leading correction."""
    if network.depth > _MOST_BRANCHES:
        reason = f"theory takes at most {_MOST_BRANCHES:,} residual layers"
        return _ends(network, at_limit, reason)
    least = _LEAST[network.norm] if network.norm != "none" else 0
    if network.widths[1] < least:
        return _ends(network, at_limit, f"theory needs layers of at least {least} units here")
    variances, n = variance_of_weights(network), network.widths[1]
    kernels = np.array(at_limit.kernels)
    factor = (network.residual or 0.0) ** 2
    first = _first(network, variances[0], turned=False)
    inputs = float(first.means**2 @ first.weights) - float(first.means @ first.weights) ** 2
    step = rough = on_sphere = None
    if network.norm != "none":
        turned = law.kind == "orthogonal" and network.bias_std == 0.0
        (on_sphere, step), (_, rough) = (
            sphere.branch(_plain(network, at_limit, turned, nodes), network.norm)
            for nodes in (NODES, NODES - 1)
        )
    found = corrections(
        Branches(
            network.phi, network.norm, kernels, factor * np.array(variances[1:]), n, inputs,
            on_sphere, step,
        )
    )  # fmt: skip
    values = [
        kernels * (1 + found.variance), np.array(at_limit.gradients) * (1 + found.gradient)
    ]  # fmt: skip
    slacks = [found.variance_rest, found.gradient_rest]
    if step and rough is not None:
        slacks[1][0] += abs(rough / step - 1)
        slacks = [slack + _dead(network, at_limit) for slack in slacks]
    spread: list[float | None] = np.expm1(np.minimum(found.spread, 100.0)).tolist()
    if law.kind != "independent":  # the corrections are those of normal weights
        slacks = [slack + np.sqrt(slack) for slack in slacks]
        spread = [None] * network.depth
    return _judged(network, at_limit, law, _Found(values, slacks, spread))


def _one_per_width(network: Network) -> tuple[Array, Array]:
    """Return 1/fan-in of every W that the law of h of a layer depends on, or its gradient.

    A norm divides a gradient by a layer's scale, too: E 1/ρ² is about 1 + 3/n.
    """
    inverse = 1.0 / np.array(network.widths[:-1], float)
    below = np.concatenate([[0.0], np.cumsum(inverse[:-1])])
    factor = 1.0 if network.norm == "none" else 3.0
    gradient = np.full(network.depth, factor * float(inverse.sum()))
    gradient[-1] = 0.0
    return below, gradient


def _batch(network: Network, at_limit: Limit, law: Law) -> _Known:
    """Batch norm: the limit with its leading correction, or in residual stacks allowing for it."""
    if network.batch < LEAST:
        reason = f"theory of batch norm needs a batch of at least {LEAST}"
        if network.batch == 2:
            reason += ": 2 inputs are always ±1 below it, and no gradient passes"
        return _ends(network, at_limit, reason)
    spreads, kept = np.array(at_limit.spreads), network.residual is not None
    shares = 1 - np.append(0.0, spreads[:-1] / spreads[1:]) if kept else np.ones(network.depth)
    x = Entries.of(network.x_dist, 0.0, 1.0)
    found = batch.corrections(
        batch.Stack(
            network.phi, network.batch, network.widths, shares.tolist(),
            x.fourth / x.variance**2 - 1, law.kurtosis - 3,
        )
    )  # fmt: skip
    kernels = np.array(at_limit.kernels)
    values = [kernels, np.array(at_limit.gradients)]
    # What a branch has of E h², without the stream below and the bias.
    below = np.append(0.0, kernels[:-1]) if kept else 0.0
    scale = 1.0 if network.residual is None else network.residual**2
    part = (kernels - below - scale * network.bias_std**2) / kernels
    relative = [found.variance * part, found.gradient]
    slacks = [found.variance_rest * part, found.gradient_rest]
    if law.kind == "independent" and not kept:
        values = [value * (1 + change) for value, change in zip(values, relative, strict=True)]
    else:
        slacks = [np.abs(change) + rest for change, rest in zip(relative, slacks, strict=True)]
    return _judged(network, at_limit, law, _Found(values, slacks, [None] * network.depth))


def _judged(network: Network, at_limit: Limit, law: Law, found: _Found) -> _Known:
    """Return E h² and E (∂h)² with what the law of the weights changes, where that is enough."""
    values, slacks, spread = found
    largest = LARGEST_SLACK if network.norm != "batch" else _LARGEST_OF_SERIES
    if law.kind == "unknown":
        largest = _LARGEST_OF_UNKNOWN
        more = _one_per_width(network)
        slacks = [slack + each for slack, each in zip(slacks, more, strict=True)]
    elif law.kind == "independent" and not law.normal:
        changes = shifts(network, law, at_limit, variance_of_weights(network))
        relative = changes.variance, changes.gradient
        values = [value * (1 + change) for value, change in zip(values, relative, strict=True)]
        rests = [changes.variance_rest, changes.gradient_rest]
        # Below a norm they change gradients in more ways, and below batch norm signals, too.
        if network.norm == "batch" or (network.norm != "none" and law.skewness):
            rests[1] = rests[1] + np.abs(relative[1])
        if network.norm == "batch":
            rests[0] = rests[0] + np.abs(relative[0])
        slacks = [slack + rest for slack, rest in zip(slacks, rests, strict=True)]
        largest = max(largest, _LARGEST_OF_SERIES if law.skewness else 0.0)
    gaps = [
        np.logical_not((slack <= largest) & np.isfinite(value))
        for slack, value in zip(slacks, values, strict=True)
    ]
    allowed = [np.where(gap, 0.0, slack).tolist() for gap, slack in zip(gaps, slacks, strict=True)]
    reason = None
    if any(gap.any() for gap in gaps):
        reason = (
            f"theory of an empty cell would leave out more than {largest:.0%} at this width and "
            "depth; take wider layers"
        )
    forward, back = (_unless(gap, value) for gap, value in zip(gaps, values, strict=True))
    return _Known(forward, allowed[0], spread, back, allowed[1], reason)
