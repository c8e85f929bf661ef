"""Means over an exchangeable batch: y uniform on the sphere Σy = 0, Σy² = B.

A unit's B values after batch norm are such a point y, if no two inputs differ in law. A symmetric
function of y is a polynomial in sums over the batch, Σ_i φ(y_i)^p φ′(y_i)^q y_i^r, and the mean of
a product of k sums is one over k coordinates: batch.md, eq. (3). Two coordinates are integrated in
polar coordinates, four by a lattice, or of a large batch by Fourier integrals.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from varsim.activations import Activation, FloatArray
from varsim.stack.theory.laws import Array, Complex, fourier_points, resolved_rule

Powers: TypeAlias = tuple[int, int, int]
"""Exponents of φ, φ′ and y."""

_ANGLES = 512
_PIECES = np.array([0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 40.0])

LEAST_FOURIER = 12
"""The smallest batch for Fourier integrals, which converge slowly for small ones."""

# A Fourier integral omits points with a smaller integrand than this, relative to the largest.
_NEGLIGIBLE = 1e-5

# Points of the lattice: means over four coordinates of a small batch have an error of about 1 %.
_POINTS = 2**16

# 1/x of x⁵ = 1 + x: its powers generate a lattice in 4 dimensions that fills the cube evenly.
_GENERATOR = 1 / 1.1673039782614187


class Nodes(NamedTuple):
    """A quadrature rule for some coordinates of y.

    Attributes:
        batch: B.
        y: Of shape (coordinates, nodes).
        mass: Of shape (nodes,).
    """

    batch: int
    y: Array
    mass: Array

    @property
    def cube_sum(self) -> Array:
        """The mean of Σ_i y_i³, given the two coordinates, of shape (nodes,): eq. (5)."""
        rest, mean, square = self._others
        cube: Array = (self.y * self.y * self.y).sum(axis=0) + rest * mean**3 + 3 * mean * square
        return cube

    @property
    def fourth_sum(self) -> Array:
        """The mean of Σ_i y_i⁴ - E Σ_i y_i⁴, given the two coordinates, of shape (nodes,)."""
        rest, mean, square = self._others
        fourth = (1 - 1 / rest) ** 2 * 3 / ((rest - 1) * (rest + 1))  # of a unit vector's entry
        by_others = rest * (mean**4 + square**2 * fourth) + 6 * mean**2 * square
        total: Array = (
            ((self.y**2) ** 2).sum(axis=0) + by_others - fourth_moment(self.batch) * self.batch
        )
        return total

    @property
    def _others(self) -> tuple[int, Array, Array]:
        """Number of the other coordinates, their mean, and their Σ(y - mean)²."""
        rest = self.batch - 2
        mean = -self.y.sum(axis=0) / rest
        square = self.batch - (self.y**2).sum(axis=0) - rest * mean**2
        return rest, mean, np.maximum(square, 0.0)


def fourth_moment(batch: int) -> float:
    """Return E y⁴ of one coordinate, 3 (B-1)/(B+1)."""
    return 3 * (batch - 1) / (batch + 1)


def pairs(batch: int) -> Nodes:
    """Return nodes for two coordinates.

    In the plane of their sum and difference a point has the squared radius 1 - exp(-2s/(B-3)) with
    s from the exponential distribution, and a uniform angle; on a circle for B = 3.
    """
    at = 2 * math.pi * (np.arange(_ANGLES) + 0.5) / _ANGLES
    if batch == 2:
        return Nodes(batch, np.array([[1.0, -1.0], [-1.0, 1.0]]), np.array([0.5, 0.5]))
    if batch == 3:
        radius, share = np.ones(1), np.ones(1)
    else:
        nodes, weights = np.polynomial.legendre.leggauss(16)
        half = np.diff(_PIECES)[:, None] / 2
        s = ((_PIECES[1:] + _PIECES[:-1])[:, None] / 2 + half * nodes).ravel()
        radius = np.sqrt(-np.expm1(-2 * s / (batch - 3)))
        share = (half * weights).ravel() * np.exp(-s)
    u = math.sqrt(batch - 2) * np.outer(radius, np.cos(at)).ravel()
    v = math.sqrt(batch) * np.outer(radius, np.sin(at)).ravel()
    mass = np.repeat(share / _ANGLES, _ANGLES)
    return Nodes(batch, np.stack([u + v, u - v]) / math.sqrt(2), mass)


def quadruples(batch: int) -> Nodes:
    """Return nodes for four coordinates, of a batch of at least 4.

    Of a uniform point on the sphere in B - 1 dimensions, a first pair of orthonormal coordinates
    has the squared radius 1 - U^(2/(B-3)) and a uniform angle; the next pair has the share
    1 - U^(2/(B-5)) of the rest. For B = 4 it is one coordinate, for B = 5 all of the rest.
    """
    u = np.outer(_GENERATOR ** np.arange(1, 5), np.arange(1, _POINTS + 1)) % 1
    first = 1 - u[0] ** (2 / (batch - 3))
    second = (1 - u[1] ** (2 / (batch - 5)) if batch > 5 else 1.0) * (1 - first)
    angles = 2 * math.pi * np.stack([u[2], u[3] if batch > 4 else np.round(u[3]) / 2])
    radii = np.sqrt(batch * np.stack([first, second]))
    z = np.concatenate([radii * np.cos(angles), radii * np.sin(angles)])[[0, 2, 1, 3]]
    if batch == 4:  # the fourth coordinate is that of the ones, which Σy = 0 removes
        axes = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2
        y = axes[:, 1:] @ z[:3]
    else:
        y = z - (1 - math.sqrt(1 - 4 / batch)) * z.mean(axis=0)
    return Nodes(batch, y, np.full(_POINTS, 1 / _POINTS))


@dataclass(frozen=True)
class Sums:
    """A polynomial in sums over the batch.

    Attributes:
        terms: Coefficients of products of sums, by the sorted powers of the factors.
    """

    terms: Mapping[tuple[Powers, ...], float]

    def __add__(self, other: Sums) -> Sums:
        """Return the sum."""
        terms = dict(self.terms)
        for key, coefficient in other.terms.items():
            terms[key] = terms.get(key, 0.0) + coefficient
        return Sums(terms)

    def __sub__(self, other: Sums) -> Sums:
        """Return the difference."""
        return self + -1 * other

    def __mul__(self, other: Sums) -> Sums:
        """Return the product."""
        terms: dict[tuple[Powers, ...], float] = {}
        for a, x in self.terms.items():
            for b, y in other.terms.items():
                key = tuple(sorted(a + b))
                terms[key] = terms.get(key, 0.0) + x * y
        return Sums(terms)

    def __rmul__(self, factor: float) -> Sums:
        """Return the product with a number."""
        return Sums({key: factor * value for key, value in self.terms.items()})

    def __truediv__(self, divisor: float) -> Sums:
        """Return the quotient by a number."""
        return 1 / divisor * self


def total(phi: int = 0, slope: int = 0, y: int = 0) -> Sums:
    """Return Σ_i φ(y_i)^phi φ′(y_i)^slope y_i^y."""
    return Sums({((phi, slope, y),): 1.0})


class Means:
    """Means of polynomials in sums over the batch, from nodes."""

    def __init__(self, phi: Activation, nodes: Nodes) -> None:
        """Evaluate an activation at nodes.

        Args:
            phi: The activation.
            nodes: Nodes for as many coordinates as a product has factors, at least.
        """
        self._nodes = nodes
        self._values = phi.phi(nodes.y), phi.derivative(nodes.y), nodes.y
        self._products: dict[tuple[int, Powers], Array] = {}

    def __call__(self, sums: Sums, weight: Array | float = 1.0) -> float:
        """Return the mean, times a weight at every node: batch.md, eq. (3).

        Raises:
            FloatingPointError: The mean is not finite.
        """
        mass = self._nodes.mass * weight

        def of_blocks(blocks: list[Powers]) -> float:
            factors = (self._at(i, powers) for i, powers in enumerate(blocks))
            return float(math.prod(factors, start=mass).sum())

        return _mean(sums, self._nodes.batch, of_blocks)

    def _at(self, coordinate: int, powers: Powers) -> Array:
        """Return φ^p φ′^q y^r of a coordinate at the nodes; most products share some."""
        if (coordinate, powers) not in self._products:
            values = [each[coordinate] for each in self._values]
            self._products[coordinate, powers] = _monomial(values, powers)
        return self._products[coordinate, powers]


class FourierMeans:
    """Means of polynomials in sums over a large batch, as Fourier integrals over both constraints.

    Under the integral coordinates are independent: batch.md, eq. (6). Kinks are resolved.
    """

    def __init__(self, phi: Activation, batch: int) -> None:
        """Integrate for a batch of at least :data:`LEAST_FOURIER`."""
        self._batch = batch
        y, mass = resolved_rule(phi, 1.0)
        self._values = phi.phi(y), phi.derivative(y), y
        omega, mu = fourier_points(batch, True, _NEGLIGIBLE)
        angle = mu[:, None] * y - omega[:, None] * (y * y - 1)
        self._cosines, self._sines = np.cos(angle) * mass, np.sin(angle) * mass
        self._transforms: dict[Powers, Complex] = {}
        one = self._at((0, 0, 0))
        weights = np.where(omega == 0.0, 1.0, 2.0) * one ** (batch - 4)
        self._weights = weights / float((weights * one**4).real.sum())

    def __call__(self, sums: Sums) -> float:
        """Return the mean.

        Raises:
            FloatingPointError: The mean is not finite.
        """

        def of_blocks(blocks: list[Powers]) -> float:
            all_four = [*blocks, *[(0, 0, 0)] * (4 - len(blocks))]
            return float(math.prod(map(self._at, all_four), start=self._weights).real.sum())

        return _mean(sums, self._batch, of_blocks)

    def _at(self, powers: Powers) -> Complex:
        """Return the transform of φ^p φ′^q y^r, of shape (points,)."""
        if powers not in self._transforms:
            values = _monomial(self._values, powers)
            self._transforms[powers] = self._cosines @ values + 1j * (self._sines @ values)
        return self._transforms[powers]


def means_of_four(phi: Activation, batch: int) -> Callable[[Sums], float]:
    """Return the means of products of up to four sums, for a batch of at least 4."""
    if batch >= LEAST_FOURIER:
        return FourierMeans(phi, batch)
    return Means(phi, quadruples(batch))


def _monomial(values: Sequence[FloatArray], powers: Powers) -> Array:
    product: Array = np.ones(values[0].shape)
    for factor, power in zip(values, powers, strict=True):
        for _ in range(power):
            product = product * factor
    return product


def _mean(sums: Sums, batch: int, of_blocks: Callable[[list[Powers]], float]) -> float:
    """Return the mean of a polynomial, from those of products over distinct coordinates."""
    mean = 0.0
    for key, coefficient in sums.terms.items():
        for blocks in _partitions(key):
            mean += coefficient * math.perm(batch, len(blocks)) * of_blocks(blocks)
    if not math.isfinite(mean):
        raise FloatingPointError
    return mean


def _partitions(factors: tuple[Powers, ...]) -> Iterator[list[Powers]]:
    """Yield the products of the factors in each block of every partition of the factors."""
    if not factors:
        yield []
        return
    (p, q, r), *others = factors
    for blocks in _partitions(tuple(others)):
        yield [(p, q, r), *blocks]
        for i, (a, b, c) in enumerate(blocks):
            yield [*blocks[:i], (a + p, b + q, c + r), *blocks[i + 1 :]]
