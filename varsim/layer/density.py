"""The density of x @ W: exact if it can be computed, else the normal limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.catalog.distributions import ONE_HOT, truncated_moments
from varsim.layer.question import Experiment
from varsim.layer.result import Result
from varsim.layer.theory import predict
from varsim.parsing import name_and_number
from varsim.statistics.moments import Bins

Array: TypeAlias = NDArray[np.floating]

EXACT, NORMAL = "exact density", "normal with the variance of theory"
"""Names of densities."""

# Nodes of the sum's distribution: their number, and how many per bin and per product's deviation.
_CELLS, _CELLS_PER_BIN, _CELLS_PER_DEVIATION = 2**18, 32, 32
# Least span of the nodes, in deviations of the sum, for a negligible wrap-around of the FFT.
_SPAN = 30
_LATTICE = np.arange(-_CELLS // 2, _CELLS // 2 + 1)
_TABLE = np.linspace(0.0, 1.0, 2**14 + 1)
_GAUSS = np.polynomial.legendre.leggauss(16)


class Density(NamedTuple):
    """A theoretical density, averaged over bins.

    Attributes:
        name: :data:`EXACT`, or the name of the normal limit.
        heights: Mean density per bin, or per part of a bin, without the two open end bins.
        has_pole: Whether the density is infinite at 0.
    """

    name: str
    heights: Array
    has_pole: bool = False


class Shape(NamedTuple):
    """The density and the atoms of a base distribution.

    Attributes:
        pdf: Density of the continuous part, without its constant factor.
        low: Lower end of that part; below it the density is 0 or negligible.
        high: Upper end, likewise.
        atoms: Points of positive probability, each with its probability.
    """

    pdf: Callable[[Array], Array]
    low: float = 0.0
    high: float = 0.0
    atoms: tuple[tuple[float, float], ...] = ()


def _bell(b: Array) -> Array:
    return np.exp(-b * b / 2.0)


# The standard deviation of a normal truncated to ±2.
_TRUNCATED = math.sqrt(truncated_moments(2.0)[0])

SHAPES: dict[str, Shape] = {
    "normal": Shape(_bell, -10.0, 10.0),
    "uniform": Shape(np.ones_like, -math.sqrt(3.0), math.sqrt(3.0)),
    "truncated": Shape(lambda b: _bell(_TRUNCATED * b), -2.0 / _TRUNCATED, 2.0 / _TRUNCATED),
    "rademacher": Shape(np.zeros_like, atoms=((-1.0, 0.5), (1.0, 0.5))),
    "laplace": Shape(lambda b: np.exp(-math.sqrt(2.0) * np.abs(b)), -28.0, 28.0),
    "exponential": Shape(lambda b: np.exp(-b - 1.0), -1.0, 39.0),
    "rectified": Shape(_bell, 0.0, 10.0, atoms=((0.0, 0.5),)),
}
"""Shapes of the base distributions; tests compare their moments with those of the catalogue."""


def _student_t(dof: float) -> Shape:
    return Shape(lambda b: np.exp(-(dof + 1) / 2 * np.log1p(b * b / (dof - 2))), -100.0, 100.0)


FAMILIES: dict[str, Callable[[float], Shape]] = {
    "bernoulli": lambda p: Shape(np.zeros_like, atoms=((0.0, 1.0 - p), (1.0, p))),
    "student-t": _student_t,
}
"""Shapes of the families of distributions with a parameter."""

# A one-hot x is a single product: of an entry of W and 1.
_LOOKUP = Shape(np.zeros_like, atoms=((1.0, 1.0),))


def find_shape(name: str) -> Shape:
    """Return the shape of a canonical name, such as ``normal`` or ``bernoulli(0.1)``."""
    if name == ONE_HOT:
        return _LOOKUP
    if name in SHAPES:
        return SHAPES[name]
    family, parameter = name_and_number(name)
    return FAMILIES[family](parameter)


class _Part:
    """The continuous part of ``shift + factor * base``, and its atoms."""

    def __init__(self, name: str, shift: float, factor: float) -> None:
        shape = find_shape(name)
        self.atoms = [(shift + factor * value, mass) for value, mass in shape.atoms]
        self.mass = 1.0 - sum(mass for _, mass in self.atoms)
        self.low, self.high = shift + factor * shape.low, shift + factor * shape.high
        values = shape.pdf(shape.low + (shape.high - shape.low) * _TABLE)
        steps = np.concatenate([[0.0], np.cumsum(values[1:] + values[:-1])])
        self._cumulative = self.mass * steps / max(steps[-1], 1e-300)
        self._pdf, self._shift, self._factor = shape.pdf, shift, factor

    @property
    def reach(self) -> float:
        """The largest magnitude of the support."""
        return max(abs(v) for v in (self.low, self.high, *(value for value, _ in self.atoms)))

    @property
    def mean(self) -> float:
        """The mean, atoms included."""
        nodes, weights = self.nodes()
        return float(nodes @ weights)

    @property
    def is_dense_at_zero(self) -> bool:
        """Whether the density just beside 0 is positive."""
        return self.mass > 0.0 and self.low <= 0.0 <= self.high

    def cdf(self, v: Array) -> Array:
        """Return the probability of the continuous part below v."""
        if not self.mass:
            return np.zeros_like(v)
        places = (v - self.low) / (self.high - self.low)
        below: Array = np.interp(places, _TABLE, self._cumulative)
        return below

    def nodes(self) -> tuple[Array, Array]:
        """Return points and weights for expectations, dense near 0 where 1/v is steep."""
        values, masses = np.array(self.atoms or np.empty((0, 2))).T
        if not self.mass:
            return values, masses
        grades = self.reach * 2.0 ** -np.arange(0.0, 30.0, 0.5)
        edges = np.concatenate([np.linspace(self.low, self.high, 41), grades, -grades, [0.0]])
        edges = np.unique(np.clip(edges, self.low, self.high))
        half = np.diff(edges)[:, None] / 2.0
        points = (edges[:-1, None] + half * (1.0 + _GAUSS[0])).ravel()
        weights = (half * _GAUSS[1]).ravel() * self._pdf((points - self._shift) / self._factor)
        weights *= self.mass / weights.sum()
        return np.concatenate([values, points]), np.concatenate([masses, weights])


def density_of(result: Result, bins: Bins, parts: int = 1) -> Density:
    """Return the claimed density of the outputs of a result, averaged over parts of bins.

    For a fixed x it is normal about the mean of the outputs: 0 if W has mean 0, else the measured
    mean. A one-hot x looks up entries of W, whose density is that of all x.
    """
    if result.conditional_theory is None or result.question.looks_up:
        return density(result.question, bins, parts)
    mean = result.totals.mean if result.question.w_mean else 0.0
    name = f"{NORMAL}, given x"
    return normal(bins.split(parts), mean, result.conditional_theory, name)


def density(experiment: Experiment, bins: Bins, parts: int = 1) -> Density:
    """Return the density of an output of x @ W over x and W, averaged over parts of bins.

    The distribution of one product is an integral over the entries' distributions. That of the
    sum of D is the D-th power of its characteristic function, inverted by FFT. An atom at 0 is
    spread over the whole bin that contains 0.

    Args:
        experiment: The experiment.
        bins: The bins.
        parts: Number of equal parts per bin, with one height each.

    >>> density(Experiment(dim=2, scale="none"), Bins(-0.5, 1.0, 1)).heights.round(3)
    array([0.393])
    """
    theory, fine = predict(experiment), bins.split(parts)
    limit = normal(fine, theory.mean, theory.variance)
    if experiment.init is not None:  # the distribution of its entries is not known here
        return limit
    product, cell, unit = _Product.of(experiment), _cell(experiment, fine), _unit(experiment)
    terms = _terms(experiment)
    if product.is_lattice or _CELLS * cell < _SPAN * math.sqrt(terms):
        return limit
    cdf = product.cdf if terms == 1 else _sum_cdf(product, terms, cell)
    atom = product.atom**terms * np.array(bins.counts(np.zeros(1))[1:-1])
    masses = np.diff(cdf(fine.edges / unit)) + np.repeat(atom / parts, parts)
    has_pole = product.has_pole and (terms == 1 or product.atom > 0.0)
    return Density(EXACT, np.maximum(0.0, masses) / fine.width, has_pole)


def normal(bins: Bins, mean: float, variance: float, name: str = NORMAL) -> Density:
    """Return the normal density with this mean and variance, averaged over bins."""
    scale = math.sqrt(2.0 * variance) or 1e-300  # an x of zeros: all outputs are 0
    below = [math.erfc((mean - edge) / scale) / 2.0 for edge in bins.edges.tolist()]
    return Density(name, np.diff(below) / bins.width)


class _Product(NamedTuple):
    """One product x_d w_d, in units of its standard deviation."""

    x: _Part
    w: _Part

    @classmethod
    def of(cls, experiment: Experiment) -> _Product:
        unit = math.sqrt(_term_variance(experiment))
        name, mean, std = experiment.w_entries
        return cls(_Part(*experiment.x_entries), _Part(name, mean / unit, std / unit))

    @property
    def is_lattice(self) -> bool:
        """Whether it has atoms away from 0, so that sums of it have no density."""
        return any(a * b for a, _ in self.x.atoms for b, _ in self.w.atoms)

    @property
    def atom(self) -> float:
        """The probability of 0."""
        at_zero = [sum(m for v, m in part.atoms if v == 0.0) for part in self]
        return 1.0 - (1.0 - at_zero[0]) * (1.0 - at_zero[1])

    @property
    def has_pole(self) -> bool:
        """Whether its density is infinite at 0: both factors are dense there."""
        return self.x.is_dense_at_zero and self.w.is_dense_at_zero

    def cdf(self, y: Array) -> Array:
        """Return the probability below y, without the atom at 0."""
        values, masses = np.array(self.w.atoms or np.empty((0, 2))).T
        return _mixture(self.w, *self.x.nodes(), y) + _mixture(self.x, values, masses, y)


def _mixture(part: _Part, factors: Array, masses: Array, y: Array) -> Array:
    """Return the probability below y of the continuous part times a factor with these masses."""
    total = np.zeros_like(y)
    for factor, mass in zip(factors[factors != 0.0], masses[factors != 0.0], strict=True):
        below = part.cdf(y / factor)
        total += mass * (below if factor > 0.0 else part.mass - below)
    return total


def _sum_cdf(product: _Product, dim: int, cell: float) -> Callable[[Array], Array]:
    """Return the distribution function of the sum of D products, without the atom at 0."""
    mean = product.x.mean * product.w.mean
    centre = round(mean / cell)
    smooth = np.diff(_tabulated(product, mean)((centre + _LATTICE - 0.5) * cell))
    atom = np.where(centre + _LATTICE[:-1] == 0, product.atom, 0.0)
    # Rounding to cells spreads every product over a cell, and can move its mean.
    shift = mean - float(smooth @ (centre + _LATTICE[:-1])) * cell
    frequencies = np.fft.rfftfreq(_CELLS)
    spread = np.sinc(frequencies)
    back = np.exp(-2j * math.pi * frequencies * shift / cell) / spread
    spectrum = (_spectrum(smooth + atom) * back) ** dim - (_spectrum(atom) * back) ** dim
    masses = np.fft.fftshift(np.fft.irfft(spectrum * spread, _CELLS))
    ends = (dim * centre + _LATTICE - 0.5) * cell
    cumulative = np.concatenate([[0.0], np.cumsum(masses)])
    return lambda y: np.interp(y, ends, cumulative)


def _spectrum(masses: Array) -> NDArray[np.complex128]:
    return np.fft.rfft(np.fft.ifftshift(masses))


def _tabulated(product: _Product, mean: float) -> Callable[[Array], Array]:
    """Return the product's distribution function, interpolated in a table dense near 0."""
    reach = product.x.reach * product.w.reach
    steep = 1e-4 * np.sinh(np.linspace(0.0, math.asinh(1e4 * reach), 1000))
    y = np.unique(np.concatenate([-steep, steep, mean + np.linspace(-10.0, 10.0, 2001)]))
    values = product.cdf(y)
    return lambda v: np.interp(v, y, values)


def _unit(experiment: Experiment) -> float:
    """Return the standard deviation of one product of the sum."""
    return math.sqrt(_term_variance(experiment) / experiment.k_squared)


def _terms(experiment: Experiment) -> int:
    """Return the number of products in the sum."""
    return 1 if experiment.looks_up else experiment.dim


def _term_variance(experiment: Experiment) -> float:
    """Return the variance of one product of the sum, before W is divided by k."""
    return predict(experiment).product_variance * (experiment.dim // _terms(experiment))


def _cell(experiment: Experiment, bins: Bins) -> float:
    return min(bins.width / _unit(experiment) / _CELLS_PER_BIN, 1.0 / _CELLS_PER_DEVIATION)
