"""Theory of every layer of a network, as far up as floats hold it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from varsim.stack.network import Network
from varsim.stack.theory.cells import _Known, _unless_infinite
from varsim.stack.theory.finite_width import _finite
from varsim.stack.theory.limit import Limit, layers_in_limit, shares_of_batch


class LayerTheory(NamedTuple):
    """What theory says of one layer.

    Attributes:
        variance: E h², over inputs, networks and units; None where it is not known.
        variance_slack: Relative allowance for what is left out of it.
        spread: Relative variance of Σh²/n between networks, for one input; None where it is not
            known.
        batch_spread: The same of the mean over the batch.
        gradient: E (∂h)², from a cotangent of variance 1 on top; None where it is not known.
        gradient_slack: Relative allowance for what is left out of it.
        gap: Why one of them is not known, or None.
        correlation: c, that of h between two inputs of a batch, at infinite width.
        chi: χ⊥, by which squared gradients grow from the next layer down to this one, at infinite
            width and equal widths; None on top.
    """

    variance: float | None
    variance_slack: float
    spread: float | None
    gradient: float | None
    gradient_slack: float
    batch_spread: float | None = None
    gap: str | None = None
    correlation: float | None = None
    chi: float | None = None


def predict(network: Network, *, infinite_width: bool = False) -> list[LayerTheory]:
    """Return what theory says of every layer.

    Where the variance of a layer is beyond what floats hold, nothing is known of it and of those
    above; and of no gradient but that on top, which comes from there.

    Args:
        network: What is asked.
        infinite_width: Whether to take the limit of infinite width, and allow for nothing.

    Raises:
        InputError: The activation cannot be used.
    """
    with np.errstate(all="ignore"):
        at_limit = layers_in_limit(network)
        known = _in_floats(network, at_limit, infinite_width=infinite_width)
    if len(known) == network.depth:
        return known
    end = at_limit.end
    if len(known) < len(at_limit.kernels):
        end = f"a moment of layer {len(known) + 1} is beyond what floats hold"
    end = f"{end}, where theory ends"
    lower = [
        each._replace(
            gradient=None, gradient_slack=0.0, gap=each.gap if each.variance is None else end
        )
        for each in known
    ]
    upper = [LayerTheory(None, 0.0, None, None, 0.0, gap=end)] * (network.depth - len(known))
    upper[-1] = upper[-1]._replace(gradient=1.0, gradient_slack=_rounding(network))
    return lower + upper


def _in_floats(network: Network, at_limit: Limit, *, infinite_width: bool) -> list[LayerTheory]:
    """Return theory of the first layers, of as many as have all that it needs in floats."""
    known: list[LayerTheory] = []
    at, least, beyond = len(at_limit.kernels), 0, len(at_limit.kernels) + 1
    while beyond - least > 1:
        lower = network.lower(at), at_limit.lower(at)
        try:
            known = _layers(*lower, _at_limit(lower[1]) if infinite_width else _finite(*lower))
        except ArithmeticError:
            beyond = at
        else:
            least = at
        at = (least + beyond) // 2
    return known


def _rounding(network: Network) -> float:
    """Return all that varies where W only turns a signal whose length is given."""
    return 2 * float(np.finfo(network.dtype).eps) * network.depth


def _layers(network: Network, at_limit: Limit, known: _Known) -> list[LayerTheory]:
    shares, rounding = shares_of_batch(network, at_limit), _rounding(network)
    return [
        LayerTheory(
            variance=known.variance[place],
            variance_slack=known.variance_slack[place] + rounding,
            spread=known.spread[place],
            gradient=known.gradient[place],
            gradient_slack=known.gradient_slack[place] + rounding,
            batch_spread=None if (one := known.spread[place]) is None else one * shares[place],
            gap=known.gap,
            correlation=at_limit.correlations[place],
            chi=at_limit.chis[place],
        )
        for place in range(network.depth)
    ]


def _at_limit(at_limit: Limit) -> _Known:
    exact = [0.0] * len(at_limit.kernels)
    gradients = _unless_infinite(np.array(at_limit.gradients))
    gap = "the variance of gradients is beyond what floats hold" if None in gradients else None
    return _Known(at_limit.kernels, exact, [None] * len(exact), gradients, exact, gap)
