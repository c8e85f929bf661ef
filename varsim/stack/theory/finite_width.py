"""Cells of a network at finite width, by the kind of stack."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory import batch, branches, chain, sphere
from varsim.stack.theory.cells import Cells, none_unless_finite
from varsim.stack.theory.chain import Moments, PlainStack
from varsim.stack.theory.laws import (
    NODES,
    Array,
    GaussRule,
    chi_square_rule,
    inverse_mean,
    rule_of_mean,
)
from varsim.stack.theory.limit import Limit, variance_of_weights
from varsim.stack.theory.weights import Law, law_of, with_weight_law

# The fewest units per layer for moments on a sphere, by norm; "none": for orthogonal weights.
_LEAST_UNITS = {"none": 16, "rms": 12, "layer": 24}

# The most layers of a residual stack with corrections.
_MOST_BRANCHES = 1500


def cells_at_finite_width(network: Network, at_limit: Limit) -> Cells:
    """Return the cells of a network.

    Raises:
        ArithmeticError: Floats cannot hold a moment.
    """
    law = law_of(network)
    if network.norm == "batch":
        return _batch_norm(network, at_limit, law)
    if network.residual is not None:
        return _residual(network, at_limit, law)
    return _plain(network, at_limit, law)


def _plain(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Plain stacks: a chain of kernels, or renewals below a norm."""
    isometric = law.kind == "orthogonal" and is_isometry(network)
    least = _LEAST_UNITS[network.norm] if network.norm != "none" or isometric else 0
    if min(network.widths[1:-1], default=math.inf) < least:
        return _too_narrow(network, at_limit, least)
    moments = _moments(network, at_limit, isometric, NODES)
    coarse = _moments(network, at_limit, isometric, NODES - 1)
    variance, fourth, gradient = moments
    widths = np.array(network.widths[1:], float)
    spread = fourth / variance**2 * (1.0 if isometric else 1 + 2 / widths) - 1
    cells = Cells.of(variance, gradient, none_unless_finite(spread)).allowing(
        _relative_difference(variance, coarse.variance),
        _relative_difference(gradient, coarse.gradient),
    )
    if network.norm != "none":  # a norm is undefined for a layer or an input that is 0
        dead = _probability_of_zero(network, at_limit)
        cells = cells.allowing(dead, dead)
    if law.kind != "independent" and not isometric:
        law = Law("unknown")
        cells = cells.allowing(
            np.abs(variance / at_limit.kernels - 1), np.abs(gradient / at_limit.gradients - 1)
        )
    return with_weight_law(network, at_limit, law, cells)


def _relative_difference(fine: Array, coarse: Array) -> Array:
    return np.where(fine == coarse, 0.0, np.abs(coarse / fine - 1))


def _too_narrow(network: Network, at_limit: Limit, least: int) -> Cells:
    reason = f"theory needs layers of at least {least} units here"
    return Cells.boundary_layers_only(at_limit.kernels[0], network.depth, reason)


def _probability_of_zero(network: Network, at_limit: Limit) -> float:
    """Return the probability that an input, or a layer below the top, is 0 throughout."""
    alive = chain.survival_probabilities(_plain_stack(network, at_limit, isometric=False))[-1]
    zero_input = 0.5 ** network.widths[0] if network.x_dist == "rectified" else 0.0
    return 1 - alive + zero_input * (network.bias_std == 0.0)


def _moments(network: Network, at_limit: Limit, isometric: bool, nodes: int) -> Moments:
    stack = _plain_stack(network, at_limit, isometric, nodes)
    return chain.finite(stack) if network.norm == "none" else sphere.finite(stack, network.norm)


def _plain_stack(
    network: Network, at_limit: Limit, isometric: bool, nodes: int = NODES
) -> PlainStack:
    variances, bias = variance_of_weights(network), network.bias_std**2
    first = _first_kernel(network, variances[0], isometric, nodes)
    inverse = float((first.weights / np.maximum(first.means, 1e-300)).sum())
    if network.x_dist == "normal":
        inverse = inverse_mean(_input_dof(network, isometric), variances[0], bias)
    return PlainStack(
        network.phi, network.layers, variances, bias, first, inverse, at_limit.kernels, isometric,
        nodes,
    )  # fmt: skip


def is_isometry(network: Network) -> bool:
    """Return whether every orthogonal W is an isometry of its input, and h = x W has no bias.

    Where W has more rows than columns it projects its input. The first W may project normal
    inputs, whose projection is normal again.
    """
    widths = network.widths if network.x_dist != "normal" else network.widths[1:]
    grows = all(a <= b for a, b in pairwise(widths))
    return grows and network.bias_std == 0.0


def _first_kernel(
    network: Network, variance: float, isometric: bool, nodes: int = NODES
) -> GaussRule:
    """Return the law of the first layer's kernel, C Σx²/n + σ_b²."""
    n, bias = network.widths[0], network.bias_std**2
    if network.x_dist == "normal":
        means, weights = chi_square_rule(_input_dof(network, isometric))
    else:
        moment = DISTRIBUTIONS[network.x_dist].even_moment
        moments = [moment(2 * k) for k in range(2 * NODES)]
        means, weights = rule_of_mean(moments, n, nodes)
    return GaussRule(variance * means + bias, weights)


def _input_dof(network: Network, isometric: bool) -> int:
    """Return the degrees of freedom of a normal input's length in the first layer."""
    return min(network.widths[:2]) if isometric else network.widths[0]


def _residual(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Residual stacks: the limit and its correction of order 1/n."""
    if network.depth > _MOST_BRANCHES:
        reason = f"theory takes at most {_MOST_BRANCHES:,} residual layers"
        return Cells.boundary_layers_only(at_limit.kernels[0], network.depth, reason)
    least = _LEAST_UNITS[network.norm] if network.norm != "none" else 0
    if network.widths[1] < least:
        return _too_narrow(network, at_limit, least)
    variances, kernels = variance_of_weights(network), np.array(at_limit.kernels)
    factor = (network.residual or 0.0) ** 2
    first = _first_kernel(network, variances[0], isometric=False)
    inputs = float(first.means**2 @ first.weights) - float(first.means @ first.weights) ** 2
    step = coarse = on_sphere = None
    if network.norm != "none":
        isometric = law.kind == "orthogonal" and network.bias_std == 0.0
        (on_sphere, step), (_, coarse) = (
            sphere.branch(_plain_stack(network, at_limit, isometric, nodes), network.norm)
            for nodes in (NODES, NODES - 1)
        )
    corrections, spread = branches.corrections(
        branches.ResidualStack(
            network.phi, network.norm, kernels, factor * np.array(variances[1:]),
            network.widths[1], inputs, on_sphere, step,
        )
    )  # fmt: skip
    if step and coarse is not None:
        corrections.gradient_rest[0] += abs(coarse / step - 1)
    cells = Cells.of(
        kernels, np.array(at_limit.gradients), np.expm1(np.minimum(spread, 100.0)).tolist()
    ).corrected(corrections)
    if step and coarse is not None:
        dead = _probability_of_zero(network, at_limit)
        cells = cells.allowing(dead, dead)
    if law.kind != "independent":  # the corrections are those of normal weights
        cells = cells.allowing(np.sqrt(cells.variance_slack), np.sqrt(cells.gradient_slack))
        cells = cells._replace(spread=[None] * network.depth)
    return with_weight_law(network, at_limit, law, cells)


def _batch_norm(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Batch norm: the limit and its correction of order 1/n; in other stacks, an allowance for it.

    The correction holds for plain stacks with independent weights.
    """
    if network.batch < batch.LEAST:
        reason = f"theory of batch norm needs a batch of at least {batch.LEAST}"
        if network.batch == 2:
            reason += ": 2 inputs are always ±1 below it, and no gradient passes"
        return Cells.boundary_layers_only(at_limit.kernels[0], network.depth, reason)
    kernels, spreads = np.array(at_limit.kernels), np.array(at_limit.spreads)
    residual = network.residual is not None
    shares = 1 - np.append(0.0, spreads[:-1] / spreads[1:]) if residual else np.ones(network.depth)
    x = Entries.of(network.x_dist, 0.0, 1.0)
    corrections = batch.corrections(
        batch.BatchNormStack(
            network.phi, network.batch, network.widths, shares.tolist(),
            x.fourth / x.variance**2 - 1, law.kurtosis - 3,
        )
    )  # fmt: skip
    # The branch's share of E h², without the stream below and the bias.
    below = np.append(0.0, kernels[:-1]) if residual else 0.0
    scale = 1.0 if network.residual is None else network.residual**2
    share = (kernels - below - scale * network.bias_std**2) / kernels
    corrections = corrections._replace(
        variance=corrections.variance * share, variance_rest=corrections.variance_rest * share
    )
    cells = Cells.of(kernels, np.array(at_limit.gradients))
    if law.kind == "independent" and not residual:
        cells = cells.corrected(corrections)
    else:
        cells = cells.allowing(
            np.abs(corrections.variance) + corrections.variance_rest,
            np.abs(corrections.gradient) + corrections.gradient_rest,
        )
    return with_weight_law(network, at_limit, law, cells)
