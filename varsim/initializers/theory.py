"""Built-in initializers: exact moments of W; :mod:`varsim.initializers.builtin` draws W.

The entries of W may be dependent. Theory needs moments of M = W Wᵀ, since the mean square of x @ W
is x M xᵀ / n. Neither module reads the other.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from varsim.catalog.distributions import truncated_moments
from varsim.catalog.scales import deviation
from varsim.errors import InputError
from varsim.parsing import Call


class Gram(NamedTuple):
    """Moments of M = W Wᵀ for W of shape (D, n) with exchangeable rows of random sign.

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
        """Return the moments of W with each w² multiplied by a factor."""
        return Gram(self.trace * factor, *(moment * factor**2 for moment in self[1:]))


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """A built-in initializer.

    Attributes:
        summary: Its arguments, and a short description.
        gram: Called as ``gram(D, n, **arguments)``; returns the moments of W.
    """

    summary: str
    gram: Callable[..., Gram]


def independent(dim: int, n: int, variance: float = 1.0, kurtosis: float = 3.0) -> Gram:
    """Return the moments of W of shape (dim, n) with independent entries of mean 0."""
    diagonal = dim * n * (n - 1 + kurtosis)
    square = diagonal + dim * (dim - 1) * n
    return Gram(dim * n, dim * n * (kurtosis - 1.0), square, diagonal).scaled(variance)


def _orthogonal(dim: int, n: int, gain: float = 1.0) -> Gram:
    """Orthonormal columns (rows if n > D) times g, uniform by Haar's measure.

    M is g² times a projection onto min(D, n) dimensions. For n < D its diagonal entries are
    Beta(n/2, (D - n)/2), like the squared length of n coordinates of a random unit vector.
    """
    _check_positive("gain", gain)
    rank = min(dim, n)
    diagonal = dim if n >= dim else n * (n + 2) / (dim + 2)
    return Gram(rank, 0.0, rank, diagonal).scaled(gain**2)


def _sparse(dim: int, n: int, sparsity: float = 0.1, std: float = 0.01) -> Gram:
    """Normal, with ⌈sparsity n⌉ zeros at random places per row: Martens (2010)."""
    _check_positive("std", std)
    if isinstance(sparsity, bool) or not isinstance(sparsity, int | float) or not 0 <= sparsity < 1:
        raise InputError(f"sparsity is {sparsity!r}; give a number from 0 to below 1")
    nonzero = n - math.ceil(sparsity * n)
    if not nonzero:
        raise InputError(
            f"sparsity is {sparsity!r}, which zeroes all {n} outputs; give a smaller one"
        )
    diagonal = dim * nonzero * (nonzero + 2)
    square = diagonal + dim * (dim - 1) * nonzero**2 / n
    return Gram(dim * nonzero, 2 * dim * nonzero, square, diagonal).scaled(std**2)


def _truncated_normal(dim: int, n: int, std: float | str = 1.0, bound: float = 2.0) -> Gram:
    """Normal truncated at ±bound deviations, and rescaled to the deviation std."""
    _, kurtosis = truncated_moments(_in_deviations(bound, 1.0))
    return independent(dim, n, deviation(std, dim, n) ** 2, kurtosis)


def _trunc_normal(dim: int, n: int, std: float | str = 1.0, bound: float = 2.0) -> Gram:
    """Normal of deviation std truncated at ±bound, not rescaled."""
    before = deviation(std, dim, n)
    variance, kurtosis = truncated_moments(_in_deviations(bound, before))
    return independent(dim, n, before**2 * variance, kurtosis)


def _in_deviations(bound: float, deviation: float) -> float:
    _check_positive("bound", bound)
    relative = bound / deviation
    if relative < 0.01:
        raise InputError(f"bound is {bound!r}, {relative:.2g} deviations; give at least 0.01")
    return relative


def _check_positive(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1e-30 <= value <= 1e30:
        raise InputError(f"{name} is {value!r}; give a number above 0")


INITIALIZERS: dict[str, BuiltIn] = {
    "orthogonal": BuiltIn("(gain=1): orthonormal columns, by Haar's measure", _orthogonal),
    "sparse": BuiltIn("(sparsity=0.1, std=0.01): normal, with zeros in each row", _sparse),
    "truncated_normal": BuiltIn(
        "(std=1, bound=2): truncated at ±bound deviations and rescaled, as in JAX and Keras",
        _truncated_normal,
    ),
    "trunc_normal": BuiltIn(
        "(std=1, bound=2): truncated at ±bound and not rescaled, as in torch", _trunc_normal
    ),
}
"""Every built-in initializer by name. A std may be a scheme, such as "he", and is then its 1/k."""


def gram(call: Call, dim: int, n: int) -> Gram:
    """Return the moments of W of shape (dim, n) of a built-in initializer.

    Raises:
        InputError: An argument is unknown or not allowed.
    """
    known = INITIALIZERS[call.name]
    try:
        inspect.signature(known.gram).bind(dim, n, *call.positional, **call.options)
    except TypeError:
        raise InputError(
            f"{call} has wrong arguments; write {call.name}{known.summary.partition(':')[0]}"
        ) from None
    return known.gram(dim, n, *call.positional, **call.options)


_FAMILIES = ("glorot", "xavier", "he", "kaiming", "lecun")


def entry_law(call: Call, dim: int, n: int) -> tuple[str, float]:
    """Return the law of the entries of an initializer of shape (dim, n), from its full name.

    Returns:
        ``independent`` entries of mean 0, ``orthogonal`` by Haar's measure, or ``unknown``; and
        the kurtosis of an entry, which is 3 if it is unknown.

    >>> entry_law(Call("torch.nn.init.kaiming_uniform_"), 8, 8)
    ('independent', 1.8)
    """
    package, _, name = call.name.rpartition(".")
    name = name.lower().replace("_", "")
    if name == "orthogonal":
        return "orthogonal", 3.0
    if call.name in ("truncated_normal", "trunc_normal"):
        moments = gram(call, dim, n)
        return "independent", 1 + dim * n * moments.trace_variance / moments.trace**2
    in_family = name.startswith(_FAMILIES)
    if (in_family and name.endswith("uniform")) or call.name == "torch.nn.Linear":
        return "independent", 1.8
    if in_family and name.endswith("normal"):
        cut = not package.startswith("torch")  # JAX and Keras cut at two deviations
        return "independent", truncated_moments(2)[1] if cut else 3.0
    centred = not call.positional and "mean" not in call.options
    if package and name in ("normal", "randomnormal") and centred:
        return "independent", 3.0
    return "unknown", 3.0
