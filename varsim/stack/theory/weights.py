"""Weights that are not independent and normal, in a stack of finite width.

Given the layers below, a unit is a sum over n independent weights: its third cumulant is of order
1/√n for skewed weights, its fourth of order 1/n for a kurtosis other than 3. Edgeworth's series
gives their effect on means, here to the order 1/n, with a tangent's cumulants with h.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.catalog.distributions import DISTRIBUTIONS
from varsim.layer.theory import Entries
from varsim.stack.question import Network
from varsim.stack.theory.cells import LARGEST_SLACK, Cells, Correction
from varsim.stack.theory.laws import Array, hermite, resolved_rule
from varsim.stack.theory.limit import Limit, stream_factors, variance_of_weights

# The largest allowance below batch norm, where theory is of the leading order in the batch, too,
# and for skewed weights, for which it is a series in 1/√n.
_LARGEST_OF_SERIES = 0.03

# The largest allowance where the law of the weights is unknown.
_LARGEST_OF_UNKNOWN = 0.25


class Law(NamedTuple):
    """The law of the weights.

    Attributes:
        kind: ``independent`` entries; ``orthogonal``, uniform by Haar's measure; or ``unknown``.
        skewness: Of an entry; 0 where unknown.
        kurtosis: Of an entry; 3 where unknown.
    """

    kind: str
    skewness: float = 0.0
    kurtosis: float = 3.0

    @property
    def normal(self) -> bool:
        """Whether the entries are independent and have the moments of a normal variable."""
        return self == Law("independent")


def law_of(network: Network) -> Law:
    """Return the law of a network's weights."""
    if network.init is None:
        base = DISTRIBUTIONS[network.w_dist or "normal"]
        return Law("independent", base.skewness, base.kurtosis)
    from varsim.initializers import find  # networks of independent weights start without

    kind, kurtosis = find(network.init).entries(*network.widths[:2])
    return Law(kind, 0.0, kurtosis)


class _Means(NamedTuple):
    """Averages at a kernel.

    Attributes:
        square: Coefficients of φ² in Hermite polynomials of h/√K, of unit norm.
        slope: Of φ′².
        spread: Of ψ², with ψ = φ - E φ below batch norm, and ψ = φ elsewhere.
        cube: Of ψ³.
        fourth: E ψ⁴.
        cross: E ψφ′².
        both: E ψ²φ′².
    """

    square: Array
    slope: Array
    spread: Array
    cube: Array
    fourth: float
    cross: float
    both: float


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
        cells = cells.allowing(_inverse_widths(network))
    elif law.kind == "independent" and not law.normal:
        cells = cells.corrected(correction(network, law, at_limit))
        largest = max(largest, _LARGEST_OF_SERIES if law.skewness else 0.0)
    return cells.within(largest)


def _inverse_widths(network: Network) -> Array:
    """Return Σ 1/fan-in by cell, over the W below (for h) and over all W (for ∂h).

    A norm divides a gradient by a layer's scale ρ, too: E 1/ρ² is about 1 + 3/n.
    """
    inverse = 1.0 / np.array(network.widths[:-1], float)
    below = np.concatenate([[0.0], np.cumsum(inverse[:-1])])
    factor = 1.0 if network.norm == "none" else 3.0
    gradient = np.full(network.depth, factor * float(inverse.sum()))
    gradient[-1] = 0.0
    return np.array([below, gradient])


def correction(network: Network, law: Law, at_limit: Limit) -> Correction:
    """Return the correction for independent weights of any law, relative to normal ones.

    Its rest is the next powers of the cumulants κ₃² and κ₄ of a layer's h, and products of the
    corrections of two layers.

    Args:
        network: The question.
        law: The law of its weights.
        at_limit: Its layers at infinite width.
    """
    variances = variance_of_weights(network)
    batch, kernels = network.norm == "batch", at_limit.kernels
    unshared, normed = at_limit.unshared if batch else kernels, network.norm != "none"
    skip, factor = stream_factors(network)
    skew, excess = law.skewness, law.kurtosis - 3.0
    third, fourth = _first_cumulants(network, law, variances[0])
    shift, unshared_shift = 0.0, 0.0
    sizes = np.zeros(2)  # of the shift's terms, and of the next ones
    change, bounds, steps = [0.0], [sizes], []
    for place in range(1, network.depth):
        kernel, n, a = unshared[place - 1], network.widths[place], factor * variances[place]
        unit = kernel if normed else 1.0
        at = _means(network.phi, kernel / unit, batch)
        k3, k4 = third / kernel**1.5, fourth / kernel**2
        # K ∂E φ²/∂K, and ∂log(growth)/∂log K: a norm makes φ blind to K, and divides by it.
        square_response = 0.0 if normed else at.square[2] / math.sqrt(2)
        slope_response = -1.0 if normed else at.slope[2] / math.sqrt(2) / at.slope[0]
        next_powers = (k3**2 + abs(k4)) / 2
        by_cumulants = _edgeworth(at.slope, k3, k4) / at.slope[0]
        steps.append(
            _Step(
                growth=a * at.slope[0] / unit,
                change=float(by_cumulants.sum()) + slope_response * unshared_shift / kernel,
                next_powers=next_powers,
                third_response=at.slope[1] / at.slope[0] / math.sqrt(kernel),
                fourth_response=at.slope[2] / math.sqrt(2) / at.slope[0] / kernel,
                third=skew * a**1.5 * at.cross / unit / math.sqrt(n),
                fourth=excess * a**2 * at.both / unit / n,
            )
        )
        by_cumulants = a * _edgeworth(at.square, k3, k4)
        unshared_change = a * float(_edgeworth(at.spread, k3, k4).sum())
        unshared_shift = (skip + a * square_response / kernel) * unshared_shift + unshared_change
        shift = (skip + a * square_response / kernel) * shift + float(by_cumulants.sum())
        size = float(np.abs(by_cumulants).sum())
        sizes = (skip + a * abs(square_response) / kernel) * sizes
        sizes = sizes + np.array([size, size * next_powers])
        change.append(shift / kernels[place])
        bounds.append(sizes / kernels[place])
        cube = at.cube[0] + at.cube[3] * k3 / math.sqrt(6)
        third = skip * third + skew * a**1.5 * cube / math.sqrt(n)
        fourth = skip * fourth + excess * a**2 * at.fourth / n
    size, beyond = np.array(bounds).T
    gradient, gradient_rest = _gradients(steps, skip)
    result = Correction(
        np.array([change, gradient]), np.array([beyond + size**2 / 2, gradient_rest])
    )
    # Below a norm the law changes gradients in more ways, and below batch norm signals, too.
    in_doubt = [[batch], [batch or (normed and skew != 0.0)]]
    return result._replace(rest=np.where(in_doubt, result.size, result.rest))


def _first_cumulants(network: Network, law: Law, variance: float) -> tuple[float, float]:
    """Return the third and the fourth cumulant of h of the first layer, given its C.

    Below batch norm they are those of h less its mean over the batch.
    """
    x, n = Entries.of(network.x_dist, 0.0, 1.0), network.widths[0]
    cube, square = x.third, x.fourth
    if network.norm == "batch":
        cube *= (1 - network.correlation) ** 1.5
        square *= (1 - network.correlation) ** 2
    else:
        cube += 3 * x.mean * x.variance + x.mean**3
        square = x.square_variance + x.mean_square**2
    return (
        law.skewness * variance**1.5 * cube / math.sqrt(n),
        (law.kurtosis - 3.0) * variance**2 * square / n,
    )


class _Step(NamedTuple):
    """The effect of one branch on the square of a tangent.

    Attributes:
        growth: The branch's square over the tangent's.
        change: Its relative change by the cumulants of h and the shift of its kernel.
        next_powers: Relative size of the next powers of those cumulants.
        third_response: Its relative change per third cumulant of h with the tangent.
        fourth_response: Its relative change per fourth cumulant of h with the tangent.
        third: Third cumulant that the branch adds, over the tangent's square.
        fourth: Fourth cumulant that the branch adds, over the tangent's square.
    """

    growth: float
    change: float
    next_powers: float
    third_response: float
    fourth_response: float
    third: float
    fourth: float


def _edgeworth(coefficients: Array, k3: float, k4: float) -> Array:
    """Return the changes of a mean by standardised cumulants: by κ₃, by κ₄ and by κ₃²."""
    factors = [k3 / math.sqrt(6), k4 / math.sqrt(24), k3**2 / 72 * math.sqrt(720)]
    return coefficients[[3, 4, 6]] * factors


def _gradients(steps: Sequence[_Step], skip: float) -> tuple[Array, Array]:
    """Return the relative changes of E (∂h)² by layer, and the sizes of their next terms.

    Steps are counted from the bottom. The gradient at layer l is a tangent that starts there, so it
    passes the steps k from l on, and has the cumulants of the branches m from l to k - 1; in a
    plain stack (``skip`` 0) those of the last branch alone. Matrices have the shape (k, m).
    """
    if not steps:
        return np.zeros(1), np.zeros(1)
    growth, change, next_powers, third_response, fourth_response, third, fourth = np.array(steps).T
    share = growth / (skip + growth)
    size = len(growth)
    lags = np.tri(size, size, -1) - (0.0 if skip else np.tri(size, size, -2))
    log_square = np.cumsum(np.log(np.append(1.0, skip + growth)))[:-1]  # of a tangent
    ratio = lags * np.exp(
        np.clip(lags * (log_square[None, :] - log_square[:, None]), -700.0, 700.0)
    )
    pairs = ratio * (np.outer(third_response, third) + np.outer(fourth_response, fourth))

    def from_top(change: Array, pairs: Array) -> Array:
        by_start = share * change + (share[:, None] * pairs).sum(axis=0)
        return np.append(np.cumsum(by_start[::-1])[::-1], 0.0)

    sizes = np.abs(change), np.abs(pairs)
    beyond = from_top(sizes[0] * next_powers, sizes[1] * next_powers[:, None])
    return from_top(change, pairs), beyond + from_top(*sizes) ** 2 / 2


@lru_cache(maxsize=4096)
def _means(phi: Activation, kernel: float, centred: bool) -> _Means:
    h, mass = resolved_rule(phi, kernel)
    plain, slope = phi.phi(h), phi.derivative(h) ** 2
    value = plain - plain @ mass if centred else plain
    square = value * value
    functions = np.stack([plain * plain, slope, square, square * value])
    coefficients = hermite(h / math.sqrt(kernel), functions * mass, 7)
    others = [float(each @ mass) for each in (square * square, value * slope, square * slope)]
    if not (np.isfinite(coefficients).all() and all(map(math.isfinite, others))):
        raise FloatingPointError
    return _Means(*coefficients, *others)
