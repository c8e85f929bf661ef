"""Predictions for every layer of a network."""

from __future__ import annotations

import math
from itertools import repeat
from typing import NamedTuple

import numpy as np

from varsim.stack.question import Network
from varsim.stack.theory.cells import VARIANCE, Cells
from varsim.stack.theory.correlation import Correlations, correlations
from varsim.stack.theory.finite_width import cells_at_finite_width
from varsim.stack.theory.laws import Array
from varsim.stack.theory.limit import Limit, layers_in_limit


class LayerTheory(NamedTuple):
    """Theory of one layer. None stands for an unknown value.

    Attributes:
        variance: E h², over inputs, networks and units.
        variance_slack: Relative allowance for the terms that ``variance`` omits.
        spread: Relative variance of Σh²/n between networks, for one input.
        gradient: E (∂h)², from a cotangent of variance 1 on top.
        gradient_slack: Relative allowance for the terms that ``gradient`` omits.
        batch_spread: Relative variance of the batch's mean of Σh²/n between networks.
        gradient_spread: Relative variance of the batch's mean of Σ(∂h)²/n between networks.
        gap: Reason of an unknown variance or gradient, or None.
        correlation: c, the correlation of h between two inputs of a batch: E h h′ / E h².
        correlation_slack: Relative allowance for the terms that ``correlation`` omits; None where
            it is that of infinite width and no claim.
        correlation_spread: Variance between networks of (p - c q) / E q, with the batch's means p
            of h h′ and q of h².
        chi: χ⊥, the growth of squared gradients from the next layer down to this one, at infinite
            width and equal widths; None on top.
    """

    variance: float | None = None
    variance_slack: float = 0.0
    spread: float | None = None
    gradient: float | None = None
    gradient_slack: float = 0.0
    batch_spread: float | None = None
    gradient_spread: float | None = None
    gap: str | None = None
    correlation: float | None = None
    correlation_slack: float | None = None
    correlation_spread: float | None = None
    chi: float | None = None


def predict(network: Network, *, infinite_width: bool = False) -> list[LayerTheory]:
    """Return the theory of every layer.

    Theory ends below the first layer whose variance floats cannot hold. Then no gradient is known
    except that on top, where gradients start.

    Args:
        network: The question.
        infinite_width: Whether to take the limit of infinite width, without allowances.

    Raises:
        InputError: The activation cannot be used.
    """
    with np.errstate(all="ignore"):
        at_limit = layers_in_limit(network)
        layers = _layers_in_floats(network, at_limit, infinite_width=infinite_width)
    if len(layers) == network.depth:
        return layers
    end = at_limit.end
    if len(layers) < len(at_limit.kernels):
        end = f"a moment of layer {len(layers) + 1} is beyond what floats hold"
    end = f"{end}, where theory ends"
    lower = [
        each._replace(
            gradient=None, gradient_slack=0.0, gap=each.gap if each.variance is None else end
        )
        for each in layers
    ]
    upper = [LayerTheory(gap=end)] * (network.depth - len(layers))
    upper[-1] = LayerTheory(gradient=1.0, gradient_slack=_rounding(network), gap=end)
    return lower + upper


def _layers_in_floats(
    network: Network, at_limit: Limit, *, infinite_width: bool
) -> list[LayerTheory]:
    """Return the theory of the lowest layers, as many as floats hold, by bisection."""
    layers: list[LayerTheory] = []
    at, least, beyond = len(at_limit.kernels), 0, len(at_limit.kernels) + 1
    while beyond - least > 1:
        lower, its_limit = network.lower(at), at_limit.lower(at)
        try:
            if infinite_width:
                cells, pairs = its_limit.cells, Correlations.at_limit(lower, its_limit)
            else:
                cells = cells_at_finite_width(lower, its_limit)
                pairs = correlations(lower, its_limit)
            layers = _layers(lower, its_limit, cells, pairs)
        except ArithmeticError:
            beyond = at
        else:
            least = at
        at = (least + beyond) // 2
    return layers


def _rounding(network: Network) -> float:
    """Return the allowance for rounding, the only error of isometries of inputs of one length."""
    return 2 * float(np.finfo(network.dtype).eps) * network.depth


def _layers(
    network: Network, at_limit: Limit, cells: Cells, pairs: Correlations
) -> list[LayerTheory]:
    """Return the theory layer by layer, with an allowance for rounding.

    Networks weigh in the mean correlation by their h²: correlation.md, eq. (11).
    """
    rounding = _rounding(network)
    variance, gradient = map(_none_unless_finite, cells.value)
    variance_slack, gradient_slack = (cells.slack + rounding).tolist()
    pair_slack = [None if slack is None else slack + rounding for slack in pairs.slacks]
    batch_spread, gradient_spread = map(_none_unless_finite, cells.batch_spread)
    pair_spread = np.array(pairs.spreads, float) * (1 + cells.batch_spread[VARIANCE])
    return [
        LayerTheory(*layer)
        for layer in zip(
            variance, variance_slack, _none_unless_finite(cells.spread[VARIANCE]), gradient,
            gradient_slack, batch_spread, gradient_spread, repeat(cells.gap),
            pairs.values, pair_slack, _none_unless_finite(pair_spread), at_limit.chis,
        )
    ]  # fmt: skip


def _none_unless_finite(values: Array) -> list[float | None]:
    """Return an array as a list, with None in place of infinities and NaN."""
    return [value if math.isfinite(value) else None for value in values.tolist()]
