"""Means over a normal variable, by Gauss-Legendre quadrature on pieces between kinks.

Gauss-Hermite quadrature is exact for polynomials but poor at kinks: with 25 nodes its error in
E relu(z) is 1e-2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from varsim.activations import Function

# In deviations. Beyond, the normal density times the powers taken here is below rounding.
_REACH = 14.0
_NODES = 24
_MAX_HALVINGS = 9
_TOLERANCE = 1e-14


def gaussian_mean(
    functions: Function, variance: float, kinks: Iterable[float] = ()
) -> NDArray[np.float64]:
    """Return E f(h) for h ~ N(0, variance), for several f at once.

    Args:
        functions: Maps h of shape (nodes,) to the values of every f, of shape (..., nodes).
        variance: The variance of h, above 0.
        kinks: The points where some f or a derivative of it jumps.

    Returns:
        The means, of shape (...). They have about 13 digits if f is smooth between the kinks and
        oscillates at most about a hundred times per deviation.

    >>> float(gaussian_mean(lambda h: np.maximum(h, 0.0) ** 2, 4.0, [0.0]).round(12))
    2.0
    """
    deviation = math.sqrt(variance)
    # Activations change at the scale of h = 1 for every variance, so pieces are finer there.
    in_h = [sign * 2.0**power for power in range(-2, 6) for sign in (-1, 1)]
    inner = np.array([0.0, *in_h, *kinks]) / deviation
    whole = np.linspace(-_REACH, _REACH, 29)
    edges = np.unique(np.concatenate([whole, inner[np.abs(inner) < _REACH]]))
    mean, _ = _on_pieces(functions, deviation, edges)
    for _halving in range(_MAX_HALVINGS):
        before = mean
        edges = np.sort(np.concatenate([edges, (edges[1:] + edges[:-1]) / 2]))
        mean, size = _on_pieces(functions, deviation, edges)
        if np.all(np.abs(mean - before) <= _TOLERANCE * size):
            break
    return mean


def _on_pieces(
    functions: Function, deviation: float, edges: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the means of f and of |f|, from pieces between edges in deviations."""
    nodes, weights = _legendre(_NODES)
    half = np.diff(edges)[:, None] / 2
    z = ((edges[1:] + edges[:-1])[:, None] / 2 + half * nodes).ravel()
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    mass = (half * weights).ravel() * density
    values = np.asarray(functions(deviation * z), np.float64)
    return values @ mass, np.abs(values) @ mass


_legendre = cache(np.polynomial.legendre.leggauss)
