"""Cells of a network at finite width, by the kind of stack."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from varsim.catalog.distributions import find_distribution
from varsim.stack.question import Network
from varsim.stack.theory import batch, branches, chain, sphere, spread
from varsim.stack.theory.cells import GRADIENT, VARIANCE, Cells
from varsim.stack.theory.chain import PlainStack
from varsim.stack.theory.cumulants import Law
from varsim.stack.theory.laws import (
    NODES,
    GaussRule,
    chi_square_rule,
    inverse_mean,
    rule_of_mean,
)
from varsim.stack.theory.limit import Limit, variance_of_weights
from varsim.stack.theory.weights import law_of, with_weight_law

# The fewest units per layer for moments on a sphere, by norm; "none": for orthogonal weights:
# choices.
_LEAST_UNITS = {"none": 16, "rms": 12, "layer": 24}

# The most layers of a residual stack, or of one with batch norm, with corrections.
_MOST_LAYERS = 1500


def cells_at_finite_width(network: Network, at_limit: Limit) -> Cells:
    """Return the cells of a network.

    Raises:
        ArithmeticError: Floats cannot hold a moment.
    """
    law = law_of(network)
    theory = _residual if network.residual is not None else _plain
    cells = (_batch_norm if network.norm == "batch" else theory)(network, at_limit, law)
    first = spread.first_layer(network, at_limit)
    for known, value in zip((cells.spread, cells.batch_spread), first, strict=True):
        if math.isnan(known[VARIANCE, 0]):
            known[VARIANCE, 0] = value
    return cells


def _plain(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Plain stacks: a chain of kernels, or renewals below a norm."""
    isometric = law.kind == "orthogonal" and is_isometry(network)
    least = _LEAST_UNITS[network.norm] if network.norm != "none" or isometric else 0
    if min(network.widths[1:-1], default=math.inf) < least:
        return _too_narrow(at_limit, least)
    exact, coarse = (
        chain.finite(stack) if network.norm == "none" else sphere.finite(stack, network.norm)
        for stack in _plain_stacks(network, at_limit, isometric)
    )
    with_other_rule = np.where(exact.value == coarse.value, 1.0, coarse.value / exact.value)
    cells = Cells.of(exact.value).allowing(np.abs(with_other_rule - 1))
    logs = spread.log_variances(network, at_limit, isometric=isometric)
    one = np.where(np.isnan(exact.spread), np.expm1(logs.one), exact.spread)
    equal = np.where(np.isnan(exact.equal), np.expm1(logs.equal), exact.equal)
    batch_spread = spread.of_batch(one, logs.pair_of(equal), network.batch)
    cells = cells._replace(spread=one, batch_spread=batch_spread)
    if network.norm != "none":
        cells = cells.allowing(_probability_of_zero(network, at_limit))
    if law.kind != "independent" and not isometric:
        law = Law("unknown")
        cells = cells.allowing(np.abs(cells.value / at_limit.cells.value - 1))
    return with_weight_law(network, at_limit, law, cells)


def _too_narrow(at_limit: Limit, least: int) -> Cells:
    return at_limit.cells.boundary_only(f"theory needs layers of at least {least} units here")


def _probability_of_zero(network: Network, at_limit: Limit) -> float:
    """Return the probability that an input, or a layer below the top, is 0 throughout.

    A norm is undefined there.
    """
    stack = _plain_stack(network, at_limit, isometric=False)
    zero_input = 0.5 ** network.widths[0] if network.x_dist == "rectified" else 0.0
    alive = chain.survival_probabilities(stack)[-1]
    return 1 - alive + zero_input * (network.bias_std == 0.0)


def _plain_stacks(network: Network, at_limit: Limit, isometric: bool) -> list[PlainStack]:
    """Return the stack with the finest rules, and with the next coarser ones."""
    return [_plain_stack(network, at_limit, isometric, nodes) for nodes in (NODES, NODES - 1)]


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
    if network.x_dist == "normal":
        mean = chi_square_rule(_input_dof(network, isometric))
    else:
        moment = find_distribution(network.x_dist).even_moment
        mean = rule_of_mean([moment(2 * k) for k in range(2 * NODES)], network.widths[0], nodes)
    return mean.kernel(variance, network.bias_std**2)


def _input_dof(network: Network, isometric: bool) -> int:
    """Return the degrees of freedom of a normal input's length in the first layer."""
    return min(network.widths[:2]) if isometric else network.widths[0]


def _residual(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Residual stacks: the limit and its correction of order 1/n."""
    if network.depth > _MOST_LAYERS:
        return at_limit.cells.boundary_only(
            f"theory takes at most {_MOST_LAYERS:,} residual layers"
        )
    least = _LEAST_UNITS[network.norm] if network.norm != "none" else 0
    if network.widths[1] < least:
        return _too_narrow(at_limit, least)
    first = _first_kernel(network, variance_of_weights(network)[0], isometric=False)
    on_sphere, rule_error, dead = None, 0.0, 0.0
    if network.norm != "none":
        isometric = law.kind == "orthogonal" and network.bias_std == 0.0
        on_sphere, coarse = (
            sphere.branch(stack, network.norm)
            for stack in _plain_stacks(network, at_limit, isometric)
        )
        if on_sphere.growth:
            rule_error = abs(coarse.growth / on_sphere.growth - 1)
            dead = _probability_of_zero(network, at_limit)
    expansion = branches.Expansion(network, at_limit, first.variance, on_sphere)
    correction = expansion.correction()
    correction.rest[GRADIENT, 0] += rule_error
    cells = at_limit.cells.corrected(correction).allowing(dead)
    if law.kind == "independent":
        cells = _with_spread(network, at_limit, first.variance, expansion, cells)
    else:  # the correction is that of normal weights; the root is an estimate
        cells = cells.allowing(np.sqrt(cells.slack))
    return with_weight_law(network, at_limit, law, cells)


def _with_spread(
    network: Network, at_limit: Limit, inputs: float, expansion: branches.Expansion, cells: Cells
) -> Cells:
    """Return the cells of a residual stack with their spread.

    Args:
        network: The question.
        at_limit: Its layers at infinite width.
        inputs: Variance of the first layer's kernel between inputs.
        expansion: The expansion for one input.
        cells: The cells.
    """
    powers = spread.powers_of_pair(network, at_limit)
    of_pair = branches.Expansion(network, at_limit, inputs * network.correlation**2, None, powers)
    one, pair = (
        np.expm1(np.minimum(logs, 100.0))
        for logs in (
            expansion.log_variances(one_cotangent=True),
            of_pair.log_variances(one_cotangent=False),
        )
    )
    return cells._replace(spread=one, batch_spread=spread.of_batch(one, pair, network.batch))


def _batch_norm(network: Network, at_limit: Limit, law: Law) -> Cells:
    """Batch norm: the limit and its correction of order 1/n; in other stacks, an allowance for it.

    The correction holds for plain stacks with independent weights.
    """
    if network.batch < batch.LEAST:
        reason = f"theory of batch norm needs a batch of at least {batch.LEAST}"
        if network.batch == 2:
            reason += ": of 2 inputs it makes ±1, and no gradient passes it"
        return at_limit.cells.boundary_only(reason)
    if network.depth > _MOST_LAYERS:
        return at_limit.cells.boundary_only(
            f"theory of batch norm takes at most {_MOST_LAYERS:,} layers"
        )
    correction = batch.correction(network, at_limit, law.kurtosis - 3)
    if law.kind == "independent" and network.residual is None:
        cells = at_limit.cells.corrected(correction)
        forward = batch.spread(network, at_limit)
        of_batch = np.stack([forward, np.full_like(forward, np.nan)])
        cells = cells._replace(batch_spread=of_batch)
    else:
        cells = at_limit.cells.allowing(correction.size)
    return _without_what_depends_on_empty_cells(with_weight_law(network, at_limit, law, cells))


def _without_what_depends_on_empty_cells(cells: Cells) -> Cells:
    """Return the cells, empty above an empty E h², and below an empty E (∂h)²."""
    known = np.isfinite(cells.value)
    known[VARIANCE] = np.logical_and.accumulate(known[VARIANCE])
    known[GRADIENT] = np.logical_and.accumulate(known[GRADIENT, ::-1])[::-1]
    return cells if cells.gap is None else cells.only(known, cells.gap)
