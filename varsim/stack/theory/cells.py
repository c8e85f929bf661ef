"""Cells of theory by layer: E h² and E (∂h)², and the relative allowances for what they omit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from varsim.stack.network import Network
from varsim.stack.theory.laws import Array
from varsim.stack.theory.limit import Limit

# A cell that would have to allow for more than this is empty: its verdict could hardly fail.
LARGEST_SLACK = 0.01

# The same below batch norm, where theory is of the leading order in the batch, too, and for skewed
# weights, for which it is a series in 1/√n.
_LARGEST_OF_SERIES = 0.03

# The same where the law of the weights is not known.
_LARGEST_OF_UNKNOWN = 0.25


class _Known(NamedTuple):
    """Values by layer with the sizes of what is missing; None where nothing is known."""

    variance: Sequence[float | None]
    variance_slack: Sequence[float]
    spread: Sequence[float | None]
    gradient: Sequence[float | None]
    gradient_slack: Sequence[float]
    gap: str | None = None


class _Found(NamedTuple):
    """Arrays by layer, for normal weights: E h² and E (∂h)², and what is missing of each."""

    values: list[Array]
    slacks: list[Array]
    spread: Sequence[float | None]


def _unless_infinite(values: Array) -> list[float | None]:
    return _unless(~np.isfinite(values), values)


def _unless(gap: NDArray[np.bool_], values: Array) -> list[float | None]:
    return [None if missing else float(value) for missing, value in zip(gap, values, strict=True)]


def _ends(network: Network, at_limit: Limit, reason: str) -> _Known:
    """Return the little that is known whatever the widths: h of the first layer, ∂h of the last."""
    exact, nothing = [0.0] * network.depth, [None] * (network.depth - 1)
    return _Known(
        [at_limit.kernels[0], *nothing], exact, [None] * network.depth, [*nothing, 1.0], exact,
        reason,
    )  # fmt: skip
