"""Built-in initializers: the exact moments of the W that they make.

An initializer makes a whole W, whose entries need not be independent. What theory needs of it are
moments of M = W Wᵀ, since x @ W has the mean square x M xᵀ / n. How W is drawn is in
:mod:`varsim.initializers.builtin`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from varsim.calls import Call
from varsim.catalog.distributions import truncated_moments
from varsim.catalog.scales import deviation

_LEAST_BOUND = 0.01


class Gram(NamedTuple):
    """Moments of M = W Wᵀ, for a W of shape (D, n) whose rows are alike, each with a random sign.

    Attributes:
        trace: E tr M = D n E w².
        trace_variance: Var tr M.
        square: E tr M².
        diagonal_square: E Σ M_dd².
    """

    trace: float
    trace_variance: float
    square: float
    diagonal_square: float

    def scaled(self, factor: float) -> Gram:
        """Return the moments with every w² times a factor."""
        return Gram(self.trace * factor, *(moment * factor**2 for moment in self[1:]))


@dataclass(frozen=True, slots=True)
class Initializer:
    """An initializer.

    Attributes:
        summary: What it is, in a few words.
        gram: Called as ``gram(D, n, **arguments)``; raises a ValueError, a sentence, for arguments
            that cannot be.
    """

    summary: str
    gram: Callable[..., Gram]


def independent(dim: int, n: int, variance: float = 1.0, kurtosis: float = 3.0) -> Gram:
    """Return the moments for independent entries of mean 0."""
    diagonal = dim * n * (n - 1 + kurtosis)
    square = diagonal + dim * (dim - 1) * n
    return Gram(dim * n, dim * n * (kurtosis - 1.0), square, diagonal).scaled(variance)


def _orthogonal(dim: int, n: int, gain: float = 1.0) -> Gram:
    """Orthonormal columns times g (rows, where n > D), uniform by Haar's measure.

    M is g² times a projection on min(D, n) dimensions; for n < D a diagonal entry of that is
    Beta(n/2, (D - n)/2), as the squared length of n coordinates of a random direction.
    """
    _check_positive("gain", gain)
    rank = min(dim, n)
    diagonal = dim if n >= dim else n * (n + 2) / (dim + 2)
    return Gram(rank, 0.0, rank, diagonal).scaled(gain**2)


def _sparse(dim: int, n: int, sparsity: float = 0.1, std: float = 0.01) -> Gram:
    """Normal but for ⌈sparsity n⌉ zeros at random in each of the D rows: Martens (2010)."""
    _check_positive("std", std)
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 <= sparsity < 1:
        raise ValueError(f"sparsity is {sparsity!r}; give a share from 0 to below 1")
    left = n - math.ceil(sparsity * n)
    if not left:
        raise ValueError(f"sparsity {sparsity!r} leaves none of {n} outputs; give a smaller one")
    diagonal = dim * left * (left + 2)
    square = diagonal + dim * (dim - 1) * left**2 / n
    return Gram(dim * left, 2 * dim * left, square, diagonal).scaled(std**2)


def _truncated_normal(dim: int, n: int, std: float | str = 1.0, bound: float = 2.0) -> Gram:
    """Normal kept within ±bound deviations and rescaled, so that the deviation is std."""
    _, kurtosis = truncated_moments(_relative("bound", bound, 1.0))
    return independent(dim, n, deviation(std, dim, n) ** 2, kurtosis)


def _trunc_normal(dim: int, n: int, std: float | str = 1.0, bound: float = 2.0) -> Gram:
    """Normal with the deviation std, kept within ±bound and not rescaled."""
    before = deviation(std, dim, n)
    variance, kurtosis = truncated_moments(_relative("bound", bound, before))
    return independent(dim, n, before**2 * variance, kurtosis)


def _relative(name: str, value: float, unit: float) -> float:
    _check_positive(name, value)
    if value / unit < _LEAST_BOUND:
        raise ValueError(
            f"{name} is {value!r}, {value / unit:.2g} deviations; give at least {_LEAST_BOUND}"
        )
    return value / unit


def _check_positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-30 <= value <= 1e30:
        raise ValueError(f"{name} is {value!r}; give a number above 0")


INITIALIZERS: dict[str, Initializer] = {
    "orthogonal": Initializer("(gain=1): orthonormal columns, by Haar's measure", _orthogonal),
    "sparse": Initializer("(sparsity=0.1, std=0.01): normal, with zeros in every row", _sparse),
    "truncated_normal": Initializer(
        "(std=1, bound=2): within ±bound deviations and rescaled, as JAX and Keras scale it",
        _truncated_normal,
    ),
    "trunc_normal": Initializer(
        "(std=1, bound=2): within ±bound itself and not rescaled, as in torch", _trunc_normal
    ),
}
"""Every built-in initializer by its name; a std can be a scheme, "he", for its 1/k."""


def gram(call: Call, dim: int, n: int) -> Gram | None:
    """Return the moments of what a call makes; None where it is not of this table.

    Raises:
        ValueError: Its arguments cannot be: a sentence.
    """
    known = INITIALIZERS.get(call.name)
    if known is None:
        return None
    try:
        inspect.signature(known.gram).bind(dim, n, *call.positional, **call.options)
    except TypeError:
        raise ValueError(
            f"{call} has arguments that {call.name} does not take: {call.name}{known.summary}"
        ) from None
    return known.gram(dim, n, *call.positional, **call.options)
