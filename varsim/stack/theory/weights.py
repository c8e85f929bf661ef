"""Weights that are not independent and normal, in a stack of finite width.

Their law changes means over units by the cumulants that :mod:`.cumulants` describes. Here are the
changes of a whole stack: kernels from the bottom up, and tangents from a layer up. weights.md
derives them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from varsim.catalog.distributions import DISTRIBUTIONS, find_distribution
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory.cells import LARGEST_SLACK, VARIANCE, Cells, Correction
from varsim.stack.theory.cumulants import (
    ROOTS,
    UNCHANGED,
    Cumulants,
    Effect,
    Law,
    edgeworth,
    fluctuations,
    means_at,
)
from varsim.stack.theory.laws import Array
from varsim.stack.theory.limit import Limit, kernel_means, stream_factors, variance_of_weights

# The largest allowance below batch norm, where theory is of the leading order in the batch, too: a
# choice.
_LARGEST_OF_SERIES = 0.03

# The largest allowance where the law of the weights is unknown: a choice.
_LARGEST_OF_UNKNOWN = 0.25


def law_of(network: Network) -> Law:
    """Return the law of a network's weights."""
    if network.init is None:
        base = DISTRIBUTIONS[network.w_dist or "normal"]
        return Law("independent", base.skewness, base.kurtosis)
    from varsim.initializers import find  # networks of independent weights start without

    kind, kurtosis = find(network.init).entries(*network.widths[:2])
    return Law(kind, 0.0, kurtosis)


def with_weight_law(network: Network, at_limit: Limit, law: Law, cells: Cells) -> Cells:
    """Return the cells for the law of the weights, from those for normal weights.

    Cells with too large an allowance are empty.

    Args:
        network: The question.
        at_limit: Its layers at infinite width.
        law: The law of its weights.
        cells: Cells for normal weights, or for orthogonal weights where these have a theory.
    """
    largest = LARGEST_SLACK if network.norm != "batch" else _LARGEST_OF_SERIES
    if law.kind == "unknown":
        largest = _LARGEST_OF_UNKNOWN
        cells = cells.allowing(_of_unknown(network, at_limit))
    elif law.kind == "independent" and not law.normal:
        if network.norm == "batch":
            cells = cells.corrected(_below_batch_norm(network, law, at_limit))
        else:
            cells = cells.corrected(correction(network, law, at_limit, cells.spread[VARIANCE]))
    return cells.within(largest)


def _of_unknown(network: Network, at_limit: Limit) -> Array:
    """Return the allowances for weights of unknown law: weights.md, section 6.

    A layer's law is taken to change the mean of φ² by 1/n, and that of φ′² by 1/n, or 3/n below a
    norm, which divides by the scale of h, too. These sizes are estimates for weights without
    skewness, whatever the dependence of their columns; changes of kernels pass on from layer to
    layer.
    """
    if network.norm == "batch":
        return _inverse_widths(network)
    kernels, variances = at_limit.kernels, variance_of_weights(network)
    skip, factor = stream_factors(network)
    normed = network.norm != "none"
    by_kernel, by_step = [0.0], [0.0]
    for place in range(1, network.depth):
        kernel, one = kernels[place - 1], 1 / network.widths[place]
        at = means_at(network.phi, 1.0 if normed else kernel)
        a = factor * variances[place]
        shift, divided = by_kernel[-1], kernel if normed else 1.0
        signal, slope = one, 3 * one
        if not normed:
            signal = one + abs(_log_response(at.square)) * shift
            slope = one + abs(_log_response(at.slope)) * shift
        by_kernel.append((skip * kernel * shift + a * at.square[0] * signal) / kernels[place])
        growth = a * at.slope[0] / divided
        by_step.append(growth / (skip + growth) * slope)
    passed = np.cumsum(by_step[::-1])[::-1]
    return np.array([by_kernel, np.append(passed[1:], 0.0)])


def _log_response(function: Array) -> float:
    """Return ∂log E f/∂log K, from the coefficients of f in Hermite polynomials."""
    return float(function[2]) / math.sqrt(2) / (float(function[0]) or 1.0)


def _inverse_widths(network: Network) -> Array:
    """Return Σ 1/fan-in by cell, over the W below for h, and 3 Σ 1/fan-in over all W for ∂h."""
    inverse = 1.0 / np.array(network.widths[:-1], float)
    below = np.concatenate([[0.0], np.cumsum(inverse[:-1])])
    gradient = np.full(network.depth, 3.0 * float(inverse.sum()))
    gradient[-1] = 0.0
    return np.array([below, gradient])


def correction(network: Network, law: Law, at_limit: Limit, spread: Array) -> Correction:
    """Return the correction for independent weights of any law, relative to normal ones.

    It holds without batch norm: weights.md, eq. (2) to (13).

    Args:
        network: The question.
        law: The law of its weights.
        at_limit: Its layers at infinite width.
        spread: Relative variance of Σh²/n between networks with normal weights, of shape (layers,).
    """
    variances, kernels = variance_of_weights(network), at_limit.kernels
    normed, plain = network.norm != "none", network.residual is None
    (skip, factor), bias = stream_factors(network), network.bias_std**2
    k = _first_cumulants(network, law, variances[0] / kernels[0])
    kernel, beyond = kernels[0], 0.0  # beyond: size of the kernel's next terms
    change, rest, steps, starts = [0.0], [0.0], [], [Effect()]
    for place in range(1, network.depth):
        n, a = network.widths[place], factor * variances[place]
        # A norm makes φ blind to the kernel, and divides by it.
        limit_slope = kernel_means(network.phi, 1.0 if normed else kernels[place - 1]).slope
        at = means_at(network.phi, 1.0 if normed else kernel)
        fluctuation, below = 0.0, UNCHANGED
        if normed:
            share = variances[place] * at.square[0]
            share /= share + bias
            below = fluctuations(network.phi, n, network.norm, share if plain else 0.0)
        else:
            # Σh²/n has the factor 1 + 2/n on E q².
            fluctuation = max(0.0, (1 + float(spread[place - 1])) / (1 + 2 / n) - 1)
        unit = kernel if normed else 1.0
        through = below.slope + (below.ratio if place < network.depth - 1 else 0.0)
        by_slope = k.effect(at.slope, fluctuation).plus(k.effect_of(through, n))
        by_square = k.effect(at.square, fluctuation).plus(k.effect_of(below.square, n))
        starts.append(k.effect_of(below.inverse, n))
        growth = a * limit_slope / (kernels[place - 1] if normed else 1.0)
        now = a * at.slope[0] / unit
        by_kernel = 1.0 if normed else abs(float(at.slope[2])) / math.sqrt(2) / float(at.slope[0])
        third = (at.slope[1] + k.third * at.slope[4] * ROOTS[4] / 6) / at.slope[0]
        fourth = at.slope[2] / math.sqrt(2) / at.slope[0] + through[3]
        steps.append(
            _Step(
                growth=growth,
                change=math.log(now / growth * by_slope.factor),
                beyond=by_slope.beyond + by_kernel * beyond / kernel,
                next_powers=k.next_powers,
                third_response=third / math.sqrt(kernel),
                third_beyond=abs(through[2]) / math.sqrt(kernel),
                fourth_response=fourth / kernel,
                scale_response=below.scale / kernel,
                third=law.skewness * a**1.5 * at.cross / unit / math.sqrt(n),
                fourth=law.excess * a**2 * at.both / unit / n,
                scale=0.0 if plain else below.scale * growth * k.fourth * kernel / n,
            )
        )
        response = skip
        if not normed:
            response += a * abs(at.square[2]) / math.sqrt(2) / kernel
        beyond = response * beyond + a * at.square[0] * by_square.beyond
        stream = skip * kernel
        kernel = stream + a * float(at.square[0]) * by_square.factor + factor * bias
        change.append(kernel / kernels[place] - 1)
        rest.append(beyond / kernels[place])
        share = a * float(at.square[0]) / kernel
        branch = k.after(at, law, n) if normed else k.after_free(at, law, n, fluctuation, share)
        branch = branch.times(share)
        k = branch.plus(k.times(stream / kernel))
    total, gradient_rest, _ = _gradients(steps, skip)
    if plain:
        total = total + [start.change for start in starts]
        gradient_rest = gradient_rest + [start.beyond for start in starts]
    return Correction(np.array([change, np.expm1(total)]), np.array([rest, gradient_rest]))


def _below_batch_norm(network: Network, law: Law, at_limit: Limit) -> Correction:
    """Return the correction below batch norm, where the law has other effects, too.

    So its allowance is the size of the whole.
    """
    variances, kernels, unshared = variance_of_weights(network), at_limit.kernels, at_limit.unshared
    skip, factor = stream_factors(network)
    first = _first_cumulants(network, law, variances[0])
    third, fourth = first.third, first.fourth
    at = means_at(network.phi, 1.0, centred=True)
    spread = float(at.spread[0])
    shift, unshared_shift, sizes = 0.0, 0.0, np.zeros(2)
    change, bounds, steps = [0.0], [sizes], []
    for place in range(1, network.depth):
        kernel, n, a = unshared[place - 1], network.widths[place], factor * variances[place]
        k3, k4 = third / kernel**1.5, fourth / kernel**2
        next_powers = (k3**2 + abs(k4)) / 2
        by_slope = float(edgeworth(at.slope, k3, k4).sum()) / at.slope[0] - unshared_shift / kernel
        steps.append(
            _Step(
                growth=a * at.slope[0] / kernel,
                change=by_slope,
                beyond=abs(by_slope) * next_powers,
                next_powers=next_powers,
                third_response=at.slope[1] / at.slope[0] / math.sqrt(kernel),
                third_beyond=0.0,
                fourth_response=at.slope[2] / math.sqrt(2) / at.slope[0] / kernel,
                scale_response=0.0,
                third=law.skewness * a**1.5 * at.cross / kernel / math.sqrt(n),
                fourth=law.excess * a**2 * at.both / kernel / n,
                scale=0.0,
            )
        )
        by_square = a * edgeworth(at.square, k3, k4)
        shift = skip * shift + float(by_square.sum())
        unshared_shift = skip * unshared_shift + a * float(edgeworth(at.spread, k3, k4).sum())
        size = float(np.abs(by_square).sum())
        sizes = skip * sizes + np.array([size, size * next_powers])
        change.append(shift / kernels[place])
        bounds.append(sizes / kernels[place])
        cube = spread**1.5 * (at.cube[0] + at.cube[3] * k3 / math.sqrt(6))
        third = skip * third + law.skewness * a**1.5 * cube / math.sqrt(n)
        fourth = skip * fourth + law.excess * (a * spread) ** 2 * at.moments[4] / n
    size, beyond = np.array(bounds).T
    gradient, gradient_rest, gradient_size = _gradients(steps, skip)
    result = Correction(
        np.array([change, gradient]),
        np.array([beyond + size**2 / 2, gradient_rest + gradient_size**2 / 2]),
    )
    return result._replace(rest=result.size)


def _first_cumulants(network: Network, law: Law, share: float) -> Cumulants:
    """Return the cumulants of h/√K of the first layer.

    Below batch norm they are those of h less its mean over the batch.

    Args:
        network: The question.
        law: The law of its weights.
        share: C/K.
    """
    x, n = Entries.of(network.x_dist, 0.0, 1.0), network.widths[0]
    cube, square = x.third, x.fourth
    if network.norm == "batch":
        cube *= (1 - network.correlation) ** 1.5
        square *= (1 - network.correlation) ** 2
    else:
        cube += 3 * x.mean * x.variance + x.mean**3
        square = x.square_variance + x.mean_square**2
    sixth = find_distribution(network.x_dist).even_moment(6)
    moments = cube, square, cube * square, sixth  # E x⁵ is estimated
    if network.norm == "none":
        first = Cumulants.of_sum(law, n, moments, (0.0, 0.0))
        by_input = (sixth / (square * x.mean_square) - 1) / n
        first = first._replace(third_with_kernel=by_input, fourth_with_kernel=by_input)
    else:
        first = Cumulants.of_sum(law, n, moments, (2 / n, 2 / n))  # as for normal x
    return first.times(share)


class _Step(NamedTuple):
    """The effect of one branch on the square of a tangent.

    Attributes:
        growth: The branch's square over the tangent's.
        change: Its relative change by the cumulants of h and the shift of its kernel.
        beyond: Size of the next terms of that change.
        next_powers: Relative size of the next powers of those cumulants.
        third_response: Its relative change per third cumulant of h with the tangent.
        third_beyond: Size of the next terms of that response.
        fourth_response: Its relative change per fourth cumulant of h with the tangent.
        scale_response: Its relative change per covariance of Σh²/n with the tangent's square, which
            is relative.
        third: Third cumulant that the branch adds, over the tangent's square.
        fourth: Fourth cumulant that the branch adds, over the tangent's square.
        scale: Covariance that the branch adds by the fourth cumulant of h.
    """

    growth: float
    change: float
    beyond: float
    next_powers: float
    third_response: float
    third_beyond: float
    fourth_response: float
    scale_response: float
    third: float
    fourth: float
    scale: float


def _gradients(steps: Sequence[_Step], skip: float) -> tuple[Array, Array, Array]:
    """Return changes of E (∂h)² by layer, the sizes of their next terms, and their own sizes.

    Steps are counted from the bottom. The gradient at layer l is a tangent that starts there, so it
    passes the steps k from l on, and has the cumulants of the branches m from l to k - 1; in a
    plain stack (``skip`` 0) those of the last branch alone. Matrices have the shape (k, m).
    """
    if not steps:
        return np.zeros(1), np.zeros(1), np.zeros(1)
    (
        growth, change, beyond, next_powers, third_response, third_beyond, fourth_response,
        scale_response, third, fourth, scale,
    ) = np.array(steps).T  # fmt: skip
    share = growth / (skip + growth)
    count = len(growth)
    lags = np.tri(count, count, -1) - (0.0 if skip else np.tri(count, count, -2))
    log_square = np.cumsum(np.log(np.append(1.0, skip + growth)))[:-1]  # of a tangent
    ratio = lags * np.exp(
        np.clip(lags * (log_square[None, :] - log_square[:, None]), -700.0, 700.0)
    )
    pairs = ratio * (np.outer(third_response, third) + np.outer(fourth_response, fourth))
    pairs += ratio * np.outer(scale_response, scale)
    pairs_size = np.abs(pairs)
    pairs_beyond = pairs_size * next_powers[:, None] + ratio * np.abs(np.outer(third_beyond, third))

    def from_top(change: Array, pairs: Array) -> Array:
        by_start = share * change + (share[:, None] * pairs).sum(axis=0)
        return np.append(np.cumsum(by_start[::-1])[::-1], 0.0)

    return (
        from_top(change, pairs),
        from_top(beyond, pairs_beyond),
        from_top(np.abs(change), pairs_size),
    )
