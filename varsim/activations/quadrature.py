"""Means over a normal variable, by Gauss-Legendre quadrature on pieces between kinks.

Gauss-Hermite quadrature is exact for polynomials but poor at kinks: with 25 nodes its error in
E relu(z) is 1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.activations import Function
from varsim.errors import InputError

Means: TypeAlias = NDArray[np.float64]

# In deviations. Most integrands end before the first; at the last, the density underflows.
_REACHES = (14, 20, 26, 32, 38)
_NODES = 24
_MAX_NODES = 2**21

# Pieces are halved until a mean changes by less than this, relative to the mean of |f|.
_TOLERANCE = 1e-14
# After that many halvings of all pieces, only changing ones are halved, unless their change is
# rounding: below this part of the tolerance.
_HALVINGS = 3
_ROUNDING = 1e-2


class UnresolvedError(InputError, ArithmeticError):
    """A mean that quadrature cannot compute to the requested precision."""


class _Sums(NamedTuple):
    """Integrals of f and of |f| times the density: of shape (..., pieces), or over all pieces."""

    mean: Means
    size: Means


@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def gaussian_mean(
    functions: Function,
    variance: float,
    kinks: Iterable[float] = (),
    *,
    name: str = "the function",
    tolerance: float = 1e-10,
) -> Means:
    """Return E f(h) for h ~ N(0, variance), for several f at once.

    Args:
        functions: Maps h of shape (nodes,) to the values of every f, of shape (..., nodes).
        variance: The variance of h, above 0.
        kinks: The points where some f or a derivative of it jumps.
        name: Name of the f in error sentences.
        tolerance: The largest error that is allowed, relative to E |f|.

    Returns:
        The means, of shape (...). They have about 13 digits if f is smooth between the kinks and
        its rounding allows it.

    Raises:
        UnresolvedError: Some f is not finite at likely h, matters where the normal density
            underflows, or changes too often or too randomly.

    >>> float(gaussian_mean(lambda h: np.maximum(h, 0.0) ** 2, 4.0, [0.0]).round(12))
    2.0
    """
    integrand = _Integrand(functions, math.sqrt(variance), name)
    edges, mean = integrand.first(kinks)
    for _halving in range(_HALVINGS):
        before = mean
        edges = np.sort(np.concatenate([edges, (edges[1:] + edges[:-1]) / 2]))
        mean, size = integrand.over(edges)
        change = np.abs(mean - before)
        if np.all(change <= _TOLERANCE * size):
            return mean
    if np.all(change <= _ROUNDING * tolerance * size):
        return mean
    return integrand.refined(edges, tolerance)


def gaussian_rule(
    variance: float, kinks: Iterable[float] = (), halvings: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes h and weights for means over h ~ N(0, variance), finer by every halving."""
    deviation = math.sqrt(variance)
    edges = _edges(_REACHES[0], deviation, kinks)
    for _halving in range(halvings):
        edges = np.sort(np.concatenate([edges, (edges[1:] + edges[:-1]) / 2]))
    z, mass = _rule(edges[:-1], edges[1:])
    return deviation * z, mass


class _Integrand(NamedTuple):
    """Several f times the normal density, as functions of z = h / deviation."""

    functions: Function
    deviation: float
    name: str

    def first(self, kinks: Iterable[float]) -> tuple[NDArray[np.float64], Means]:
        """Return the edges of the first pieces, as far out as any f matters, and their means."""
        kinks = tuple(kinks)
        for reach in _REACHES:
            edges = _edges(reach, self.deviation, kinks)
            mean, size = self.over(edges)
            if not np.all(np.isfinite(size) & ((size == 0.0) | (size >= np.finfo(float).tiny))):
                raise self.unresolved("they are beyond the normal range of floats")
            outermost = self.on(edges[[0, -2]], edges[[1, -1]]).size
            if np.all(outermost <= _TOLERANCE * size[..., None]):
                return edges, mean
        raise self.unresolved(
            f"it grows so fast that h beyond {_REACHES[-1]} standard deviations counts"
        )

    def over(self, edges: NDArray[np.float64]) -> _Sums:
        """Return the integrals over all pieces between edges."""
        values, mass = self._at(edges[:-1], edges[1:])
        return _Sums(values @ mass, np.abs(values) @ mass)

    def on(self, low: NDArray[np.float64], high: NDArray[np.float64]) -> _Sums:
        """Return the integrals on every piece."""
        values, mass = self._at(low, high)
        pieces = (values * mass).reshape(*values.shape[:-1], -1, _NODES)
        return _Sums(pieces.sum(axis=-1), np.abs(pieces).sum(axis=-1))

    def refined(self, edges: NDArray[np.float64], tolerance: float) -> Means:
        """Return the means, with pieces halved until they no longer change."""
        low, high = edges[:-1], edges[1:]
        whole, sizes = self.on(low, high)
        size = sizes.sum(axis=-1)
        mean: Means = np.zeros_like(size)
        nodes = 0
        while low.size and (nodes := nodes + 2 * low.size * _NODES) <= _MAX_NODES:
            middle = (low + high) / 2
            low, high = np.concatenate([low, middle]), np.concatenate([middle, high])
            halves = self.on(low, high).mean
            change = halves[..., : middle.size] + halves[..., middle.size :] - whole
            steady = np.abs(change) <= _TOLERANCE * size[..., None]
            done = np.tile(np.all(steady, axis=tuple(range(steady.ndim - 1))), 2)
            mean += halves[..., done].sum(axis=-1)
            low, high, whole = low[~done], high[~done], halves[..., ~done]
        if low.size:
            if np.any(np.abs(change.sum(axis=-1)) > tolerance * size):
                raise self.unresolved(
                    "it changes too often, or is rounded too coarsely, for ten digits",
                    "compute in float64, or ",
                )
            mean += whole.sum(axis=-1)
        return mean

    def _at(
        self, low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the values of every f at the nodes of pieces, and the weight of every node."""
        z, mass = _rule(low, high)
        h = self.deviation * z
        values = np.asarray(self.functions(h), np.float64)
        finite = np.isfinite(values).reshape(-1, h.size).all(axis=0)
        if not finite.all():
            where = min(h[~finite], key=abs)
            raise self.unresolved(f"at h = {where:.4g} it or a power of it is not finite")
        return values, mass

    def unresolved(self, reason: str, advice: str = "") -> UnresolvedError:
        """Return the error for a reason."""
        return UnresolvedError(
            f"the averages of {self.name} at variance {self.deviation**2:g} cannot be computed: "
            f"{reason}; {advice}take another variance or activation"
        )


def _edges(reach: int, deviation: float, kinks: Iterable[float]) -> NDArray[np.float64]:
    """Return the ends of the pieces, in deviations."""
    # Activations change at the scale of h = 1 for every variance, so pieces are finer there.
    in_h = [sign * 2.0**power for power in range(-2, 6) for sign in (-1, 1)]
    inner = np.array([0.0, *in_h, *kinks]) / deviation
    whole = np.linspace(-reach, reach, 2 * reach + 1)
    return np.unique(np.concatenate([whole, inner[np.abs(inner) < reach]]))


def _rule(
    low: NDArray[np.float64], high: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return nodes on pieces, in deviations, and their weights with the normal density."""
    nodes, weights = _legendre(_NODES)
    half = (high - low)[:, None] / 2
    z = ((high + low)[:, None] / 2 + half * nodes).ravel()
    return z, (half * weights).ravel() * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


_legendre = cache(np.polynomial.legendre.leggauss)
