"""What weights that are not independent and normal change in a stack of finite width.

Given what is below, a unit is a sum over n independent weights: its third cumulant is of order
1/√n where they are skewed, its fourth of order 1/n where their kurtosis is not 3. Edgeworth's
series gives what that changes, here to the order 1/n; a tangent's cumulants with h count, too.
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
from varsim.stack.network import Network
from varsim.stack.theory.laws import Array, hermite, resolved_rule
from varsim.stack.theory.limit import Limit


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


class Shifts(NamedTuple):
    """Relative changes by layer, and about how much of them is left out.

    Left out are the next powers of the cumulants κ₃² and κ₄ of a layer's h, and what the changes of
    two layers do together.

    Attributes:
        variance: Of E h².
        variance_rest: What is left out of that.
        gradient: Of E (∂h)².
        gradient_rest: What is left out of that.
    """

    variance: Array
    variance_rest: Array
    gradient: Array
    gradient_rest: Array


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
        spread: Of φ², of φ less its mean below batch norm, as is what follows.
        cube: Of φ³.
        fourth: E φ⁴.
        cross: E φφ′².
        both: E φ²φ′².
    """

    square: Array
    slope: Array
    spread: Array
    cube: Array
    fourth: float
    cross: float
    both: float


def shifts(network: Network, law: Law, at_limit: Limit, variances: Sequence[float]) -> Shifts:
    """Return what a law of independent entries changes in comparison with a normal one.

    Args:
        network: What is asked.
        law: The law of its weights.
        at_limit: The layers at infinite width.
        variances: C of every layer.
    """
    batch, kernels = network.norm == "batch", at_limit.kernels
    spreads, normed = at_limit.spreads if batch else kernels, network.norm != "none"
    kept = float(network.residual is not None)
    branch = 1.0 if network.residual is None else network.residual
    skew, excess = law.skewness, law.kurtosis - 3.0
    third, fourth = _first_cumulants(network, law, variances[0])
    shift, spread_shift, sizes = 0.0, 0.0, np.zeros(2)  # sizes: of what is there, and comes next
    relative, bounds, steps = [0.0], [sizes], []
    for place in range(1, network.depth):
        kernel, n, a = spreads[place - 1], network.widths[place], branch**2 * variances[place]
        unit = kernel if normed else 1.0
        at = _means(network.phi, kernel / unit, batch)
        k3, k4 = third / kernel**1.5, fourth / kernel**2
        # By how much φ² and φ′² follow the kernel, relatively: norms take that off.
        level = 0.0 if normed else at.square[2] / math.sqrt(2)
        slope_level = -1.0 if normed else at.slope[2] / math.sqrt(2) / at.slope[0]
        following, own = (k3**2 + abs(k4)) / 2, _edgeworth(at.slope, k3, k4) / at.slope[0]
        steps.append(
            _Step(
                growth=a * at.slope[0] / unit,
                own=float(own.sum()) + slope_level * spread_shift / kernel,
                following=following,
                turn=at.slope[1] / at.slope[0] / math.sqrt(kernel),
                bend=at.slope[2] / math.sqrt(2) / at.slope[0] / kernel,
                third=skew * a**1.5 * at.cross / unit / math.sqrt(n),
                fourth=excess * a**2 * at.both / unit / n,
            )
        )
        own = a * _edgeworth(at.square, k3, k4)
        spread_own = a * float(_edgeworth(at.spread, k3, k4).sum())
        spread_shift = (kept + a * level / kernel) * spread_shift + spread_own
        shift = (kept + a * level / kernel) * shift + float(own.sum())
        size = float(np.abs(own).sum())
        sizes = (kept + a * abs(level) / kernel) * sizes + np.array([size, size * following])
        relative.append(shift / kernels[place])
        bounds.append(sizes / kernels[place])
        cube = at.cube[0] + at.cube[3] * k3 / math.sqrt(6)
        third = kept * third + skew * a**1.5 * cube / math.sqrt(n)
        fourth = kept * fourth + excess * a**2 * at.fourth / n
    size, beyond = np.array(bounds).T
    return Shifts(np.array(relative), beyond + size**2 / 2, *_gradients(steps, kept))


def _first_cumulants(network: Network, law: Law, variance: float) -> tuple[float, float]:
    """Return the third and the fourth cumulant of h of the first layer, given its C.

    Below batch norm, of what the inputs of a batch do not share.
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
    """What one branch, and the layer below it, do to the square of a tangent.

    Attributes:
        growth: The square that it gives, over the tangent's.
        own: Its relative change by the cumulants of h and the shift of its kernel.
        following: About how much the next powers of those cumulants are of that.
        turn: Its relative change by a third cumulant of h with the tangent, over that.
        bend: The same by a fourth cumulant.
        third: What the branch gives to that third cumulant, over the tangent's square.
        fourth: What it gives to the fourth.
    """

    growth: float
    own: float
    following: float
    turn: float
    bend: float
    third: float
    fourth: float


def _edgeworth(coefficients: Array, k3: float, k4: float) -> Array:
    """Return what standardised cumulants change in a mean: by κ₃, by κ₄, and by κ₃²."""
    factors = [k3 / math.sqrt(6), k4 / math.sqrt(24), k3**2 / 72 * math.sqrt(720)]
    return coefficients[[3, 4, 6]] * factors


def _gradients(steps: Sequence[_Step], kept: float) -> tuple[Array, Array]:
    """Return the relative changes of E (∂h)² of every layer, and what is left out of them.

    Steps are counted from the bottom. A gradient at layer l is a tangent that starts there, so it
    meets the steps k from l on, and has the cumulants of the branches m from l to k - 1; in a plain
    stack those of the last branch alone.
    """
    if not steps:
        return np.zeros(1), np.zeros(1)
    growth, own, following, turn, bend, third, fourth = np.array(steps).T
    taken = growth / (kept + growth)
    size = len(growth)
    lags = np.tri(size, size, -1) - (0.0 if kept else np.tri(size, size, -2))
    grown = np.cumsum(np.log(np.append(1.0, kept + growth)))[:-1]
    handed = lags * np.exp(np.clip(lags * (grown[None, :] - grown[:, None]), -700.0, 700.0))
    pairs = handed * (np.outer(turn, third) + np.outer(bend, fourth))

    def from_top(own: Array, pairs: Array) -> Array:
        by_start = taken * own + (taken[:, None] * pairs).sum(axis=0)
        return np.append(np.cumsum(by_start[::-1])[::-1], 0.0)

    sizes = np.abs(own), np.abs(pairs)
    beyond = from_top(sizes[0] * following, sizes[1] * following[:, None])
    return from_top(own, pairs), beyond + from_top(*sizes) ** 2 / 2


@lru_cache(maxsize=4096)
def _means(phi: Activation, kernel: float, centred: bool) -> _Means:
    h, mass = resolved_rule(phi, kernel)
    plain, slope = phi.phi(h), phi.derivative(h) ** 2
    value = plain - plain @ mass if centred else plain
    square = value * value
    functions = np.stack([plain * plain, slope, square, square * value])
    found = hermite(h / math.sqrt(kernel), functions * mass, 7)
    others = [float(each @ mass) for each in (square * square, value * slope, square * slope)]
    if not (np.isfinite(found).all() and all(map(math.isfinite, others))):
        raise FloatingPointError
    return _Means(*found, *others)
