"""Laws of the mean of φ² over a layer's units, as Gauss rules.

Weights are independent of their input. So a layer's units enter the next one through their mean
square alone, and theory needs expectations of smooth functions of a mean over n units. A Gauss rule
from the moments of that mean gives them with an error of order n^-5.

The moments come from powers of truncated series: with m_k the moments of a unit's φ², the n-th
power of Σ m_k x^k / k! is the series of the sum's moments. Units on a sphere, as below a norm or
orthogonal weights, are independent under a Fourier integral over the bonds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.activations import Activation
from varsim.activations.quadrature import gaussian_rule

Array: TypeAlias = "NDArray[np.float64]"
Complex: TypeAlias = "NDArray[np.complex128] | NDArray[np.float64]"

Bond = Literal["free", "sphere", "centred sphere"]
"""Constraint on the units h of a layer of variance K: none; Σh² = nK; Σh² = nK and Σh = 0."""

ORDERS = 64
"""Number of Hermite polynomials in an expansion."""

NODES = 5
"""Number of nodes of a rule."""

STEP = 0.25
"""Spacing of the grid for functions of a kernel, in its logarithm."""

_MOMENTS = 2 * NODES
_FACTORIALS = np.array([math.factorial(k) for k in range(_MOMENTS)], float)

# The Fourier integral omits points with a smaller integrand than this, relative to the largest.
_NEGLIGIBLE = 1e-11
_MOST_POINTS = 6000

_MAX_HALVINGS = 6

# The narrowest law, relative to that of independent units, whose higher moments are not rounding.
_ROUNDING = 1e-6


def positive_part(variance: Array | float) -> Array:
    """Return a variance that was computed as a difference; 0 where rounding puts it below 0."""
    part: Array = np.maximum(variance, 0.0)
    return part


class GaussRule(NamedTuple):
    """A Gauss rule over the mean of φ²; arrays have the shape (nodes,).

    Attributes:
        means: The nodes.
        weights: Their weights, whose sum is the expectation of the rule's factor.
    """

    means: Array
    weights: Array

    @property
    def total(self) -> Array:
        """The expectation of the factor."""
        total: Array = self.weights.sum(axis=-1)
        return total

    def kernel(self, variance: float, bias: float) -> GaussRule:
        """Return the rule over the next kernel, C times the mean of φ² plus σ_b²."""
        return GaussRule(variance * self.means + bias, self.weights)

    @property
    def mean(self) -> float:
        """The mean, for the factor 1."""
        return float(self.means @ self.weights)

    @property
    def mean_square(self) -> float:
        """The mean square, for the factor 1."""
        return float(self.means**2 @ self.weights)

    @property
    def variance(self) -> float:
        """The variance, for the factor 1."""
        return float(positive_part(self.mean_square - self.mean**2))

    @property
    def inverse(self) -> float:
        """The mean of the inverse, for the factor 1."""
        return float((self.weights / self.means).sum())


class LayerRules(NamedTuple):
    """Rules for E[factor · f(mean of φ²)], by the factor.

    With D = diag φ′(h), r = φ(h) and P the projection off the directions that the bond fixes:

    Attributes:
        signal: 1.
        trace: tr(D P D) / n: mean square of D t for a tangent t of mean square 1 in P's space.
        overlap: r D P D r / n²: mean square of D t along r, over n.
        radial: |D h|² / (n K): as ``trace`` for a tangent along h.
        radial_overlap: (r D h)² / (n² K): as ``overlap`` for a tangent along h.
        pair: (tr D²)² / n²: mean of |D t|²|D t′|²/n² for two independent normal tangents.
        fourth: tr D⁴ / n²: half of what |D t|⁴/n² adds to that for one normal tangent.
    """

    signal: GaussRule
    trace: GaussRule
    overlap: GaussRule
    radial: GaussRule
    radial_overlap: GaussRule
    pair: GaussRule
    fourth: GaussRule


class _UnitSeries(NamedTuple):
    """Moments of one unit's φ², as truncated series by factor.

    Coefficient k of a series is E[factor · ((φ² - center)/spread)^k] / k!, at each point of the
    Fourier integral; the shape is (points, orders). Free units have one point, for every n. In the
    factors z = h/√K.

    Attributes:
        center: E φ².
        spread: Standard deviation of φ²; 1 where that is 0.
        weights: Weights of the points, of shape (points,).
        one: Series of the factor 1.
        slope: Of φ′².
        slope_square: Of φ′⁴.
        slope_h: Of φ′² z².
        slope_phi: Of φ′² φ².
        both: Of (φ′ φ z)².
        cross: Of φ′ φ z.
        across: Of φ′ φ.
    """

    center: float
    spread: float
    weights: Array
    one: Complex
    slope: Complex
    slope_square: Complex
    slope_h: Complex
    slope_phi: Complex
    both: Complex
    cross: Complex
    across: Complex


class _LayerSeries(NamedTuple):
    """Moments of Σφ² over a layer's units, as series with each factor of :class:`LayerRules`.

    All have the shape (points, orders); ``unprojected`` is ``overlap`` with P = 1.
    """

    signal: Complex
    trace: Complex
    overlap: Complex
    radial: Complex
    radial_overlap: Complex
    pair: Complex
    fourth: Complex
    unprojected: Complex


@lru_cache(maxsize=8192)
def layer_rules(
    phi: Activation, kernel: float, n: int, bond: Bond, nodes: int = NODES
) -> LayerRules:
    """Return the rules for n units of variance ``kernel``.

    Raises:
        FloatingPointError: Floats cannot hold a moment.
    """
    rules = rules_at(phi, [kernel], n, bond, nodes)
    return LayerRules(*(GaussRule(rule.means[0], rule.weights[0]) for rule in rules))


def rules_at(
    phi: Activation, kernels: Sequence[float], n: int, bond: Bond, nodes: int = NODES
) -> LayerRules:
    """Return the rules at several kernels, with arrays of the shape (kernels, nodes).

    Raises:
        FloatingPointError: Floats cannot hold a moment.
    """
    if phi.homogeneous and set(kernels) != {1.0}:
        return _scaled(layer_rules(phi, 1.0, n, bond, nodes), np.array(kernels)[:, None])
    center, spread, moments = _moments_at(phi, tuple(kernels), n, bond)
    rules = _rule(moments, center, spread, n, nodes)
    return LayerRules(*map(GaussRule, rules.means, rules.weights))


@lru_cache(maxsize=128)
def _moments_at(
    phi: Activation, kernels: tuple[float, ...], n: int, bond: Bond
) -> tuple[Array, Array, Array]:
    """Return centers, spreads, and moments by factor, of shape (factors, kernels, orders)."""
    if bond == "free":
        # Series of free units are small, do not depend on n, and are needed again.
        units = [_free_series(phi, kernel, 1, bond) for kernel in kernels]
        _centers, _spreads, weights, *series = zip(*units, strict=True)
        together = _UnitSeries(0.0, 1.0, weights[0], *map(np.stack, series))  # scales differ
        moments = _layer_moments(together, n, bond)
    else:
        units = [_bound_series(phi, kernel, n, bond) for kernel in kernels]
        moments = np.stack([_layer_moments(unit, n, bond) for unit in units], axis=1)
    center, spread = np.array([(unit.center, unit.spread) for unit in units]).T
    return center, spread, moments


def _layer_moments(unit: _UnitSeries, n: int, bond: Bond) -> Array:
    """Return the moments of n units with each factor, of shape (factors, ..., orders)."""
    series = (_moments(unit, each, n) for each in _layer_series(unit, n, bond))
    signal, trace, overlap, radial, radial_overlap, pair, fourth, unprojected = series
    is_rounding = overlap[..., :1] <= 1e-9 * unprojected[..., :1]
    overlap = np.where(is_rounding, 0.0, overlap)
    return np.stack([signal, trace, overlap, radial, radial_overlap, pair, fourth])


def _layer_series(unit: _UnitSeries, n: int, bond: Bond) -> _LayerSeries:
    """Return the series of n units.

    A factor involves one unit, or two different ones; the others have the factor 1.
    """
    power, others, all_but_two = (_power(unit.one, n - k) for k in range(3))
    trace, unprojected = _product(unit.slope, others), _product(unit.slope_phi, others)
    fourth = _product(unit.slope_square, others) / n
    pair = fourth + (1 - 1 / n) * _product(_product(unit.slope, unit.slope), all_but_two)
    radial = _product(unit.slope_h, others)
    radial_overlap = _product(unit.both, others) + (n - 1) * _product(
        _product(unit.cross, unit.cross), all_but_two
    )
    overlap = unprojected
    if bond != "free":
        trace = trace - radial / n
        overlap = overlap - radial_overlap / n
    if bond == "centred sphere":
        trace = trace - _product(unit.slope, others) / n
        along_mean = unprojected + (n - 1) * _product(
            _product(unit.across, unit.across), all_but_two
        )
        overlap = overlap - along_mean / n
    return _LayerSeries(
        power, trace, overlap / n, radial, radial_overlap / n, pair, fourth, unprojected / n
    )


def _moments(unit: _UnitSeries, series: Complex, n: int) -> Array:
    """Return the moments of Σ(φ² - center)/(spread √n) with a factor, of shape (..., orders)."""
    moments: Array = (
        np.real(unit.weights @ series) * _FACTORIALS / float(n) ** (np.arange(_MOMENTS) / 2)
    )
    return moments


def _rule(
    moments: Array, center: Array | float, spread: Array | float, n: int, nodes: int
) -> GaussRule:
    """Return the rule of a mean, from the moments of Σ(φ² - center)/(spread √n)."""
    x, weights = gauss(moments, nodes)
    center, spread = np.asarray(center)[..., None], np.asarray(spread)[..., None]
    return GaussRule(np.maximum(center + spread / math.sqrt(n) * x, 0.0), weights)


def _scaled(unit: LayerRules, kernel: Array) -> LayerRules:
    """Return the rules of a homogeneous φ from those at variance 1; its φ′ has no scale."""
    powers = 0, 0, 1, 0, 1, 0, 0  # of φ², in each factor
    return LayerRules(
        *(
            GaussRule(rule.means * kernel, rule.weights * kernel**power)
            for rule, power in zip(unit, powers, strict=True)
        )
    )


def gauss(moments: Array, nodes: int) -> tuple[Array, Array]:
    """Return nodes and weights of the Gauss rules of measures, from their first 2 nodes moments.

    The recurrence of its orthogonal polynomials by Chebyshev's algorithm, then Golub & Welsch
    (1969). A measure on fewer points has fewer nodes; the others get no weight.

    Args:
        moments: Of shape (..., orders).
        nodes: Number of nodes; the results have the shape (..., nodes).

    Raises:
        FloatingPointError: A moment is not finite.
    """
    if not np.isfinite(moments).all():
        raise FloatingPointError
    mass = moments[..., :1]
    now = moments / np.where(mass, mass, 1.0)
    before = np.zeros_like(now)
    diagonal = np.repeat(now[..., 1:2], nodes, axis=-1)
    squares = np.zeros_like(diagonal)
    has_more = mass[..., 0] != 0.0
    for k in range(1, nodes):
        some = slice(k, 2 * nodes - k)
        after = np.zeros_like(now)
        after[..., some] = (
            now[..., k + 1 : 2 * nodes - k + 1]
            - diagonal[..., k - 1, None] * now[..., some]
            - squares[..., k - 1, None] * before[..., some]
        )
        # A polynomial's mean square, which is rounding from the number of points on.
        has_more &= after[..., k] > _ROUNDING
        with np.errstate(all="ignore"):
            square = after[..., k] / now[..., k - 1]
            middle = after[..., k + 1] / after[..., k] - now[..., k] / now[..., k - 1]
        squares[..., k] = np.where(has_more, square, 0.0)
        diagonal[..., k] = np.where(has_more, middle, diagonal[..., k])
        before, now = now, after
    x, weights = _golub_welsch(diagonal, np.sqrt(squares[..., 1:]))
    return np.where(mass, x, 0.0), weights * mass


def _golub_welsch(diagonal: Array, beside: Array) -> tuple[Array, Array]:
    i = np.arange(diagonal.shape[-1])
    matrix = np.zeros((*diagonal.shape, i.size))
    matrix[..., i, i] = diagonal
    matrix[..., i[1:], i[:-1]] = beside  # the upper triangle is not read
    x, vectors = np.linalg.eigh(matrix)
    return x, vectors[..., 0, :] ** 2


def chi_square_rule(dof: float, nodes: int = 16) -> GaussRule:
    """Return the Gauss rule of a mean of ``dof`` squares of normal variables."""
    shape, k = dof / 2, np.arange(nodes, dtype=float)
    x, weights = _golub_welsch(2 * k + shape, np.sqrt(k[1:] * (k[1:] + shape - 1)))
    return GaussRule(x / shape, weights)


def inverse_mean(dof: int, variance: float, bias: float) -> float:
    """Return E 1/(C χ²/n + b), C the variance, χ² with n = ``dof``, b the bias; or infinity."""
    if not bias:
        return dof / (dof - 2) / variance if dof > 2 else math.inf
    log_mean = np.linspace(-40.0, 8.0, 4801)
    mean, shape = np.exp(log_mean), dof / 2
    density = np.exp(shape * (log_mean - mean + math.log(shape)) - math.lgamma(shape))
    return float(np.sum(density / (variance * mean + bias)) * (log_mean[1] - log_mean[0]))


def rule_of_mean(moments: Sequence[float], n: int, nodes: int = NODES) -> GaussRule:
    """Return the Gauss rule of a mean of n independent terms, from the raw moments of one."""
    center = moments[1]
    central = np.array(
        [
            sum(math.comb(k, j) * moments[j] * (-center) ** (k - j) for j in range(k + 1))
            for k in range(_MOMENTS)
        ]
    )
    spread = math.sqrt(positive_part(central[2])) or 1.0
    series = (central / spread ** np.arange(_MOMENTS) / _FACTORIALS)[None]
    scaled = _power(series, n)[0] * _FACTORIALS / float(n) ** (np.arange(_MOMENTS) / 2)
    return _rule(scaled, center, spread, n, nodes)


def _unit_series(phi: Activation, kernel: float, n: int, bond: Bond) -> _UnitSeries:
    """Return the series of a unit of variance ``kernel``, one of n."""
    h, mass = resolved_rule(phi, kernel)
    value, slope = phi.phi(h), phi.derivative(h)
    z, square = h / math.sqrt(kernel), value * value
    center = float(square @ mass)
    spread = math.sqrt((square - center) ** 2 @ mass) or 1.0
    powers = ((square - center) / spread) ** np.arange(_MOMENTS)[:, None] / _FACTORIALS[:, None]
    slopes, cross = slope * slope, slope * value
    factors = np.stack(
        [
            np.ones_like(z), slopes, slopes**2, slopes * z * z, cross * cross, (cross * z) ** 2,
            cross * z, cross,
        ]
    )  # fmt: skip
    table = (factors[:, None] * powers * mass).reshape(-1, z.size).T
    if not np.isfinite(table).all():
        raise FloatingPointError
    if bond == "free":
        series = table.sum(axis=0).reshape(len(factors), 1, _MOMENTS)
        return _UnitSeries(center, spread, np.ones(1), *series)
    omega, mu = fourier_points(n, bond == "centred sphere")
    blocks = []
    for start in range(0, omega.size, 256):
        some = slice(start, start + 256)
        angle = mu[some, None] * z - omega[some, None] * (z * z - 1)
        blocks.append(np.cos(angle) @ table + 1j * (np.sin(angle) @ table))
    series = np.concatenate(blocks).reshape(-1, len(factors), _MOMENTS).transpose(1, 0, 2)
    # Points and their mirror images have conjugate integrands: half of the plane is enough.
    share = np.where(omega == 0.0, 1.0, 2.0)
    weights = share / np.sum(share * np.real(series[0, :, 0] ** n))
    return _UnitSeries(center, spread, weights, *series)


_free_series = lru_cache(maxsize=8192)(_unit_series)
_bound_series = lru_cache(maxsize=256)(_unit_series)


def fourier_points(n: int, centred: bool, negligible: float = _NEGLIGIBLE) -> tuple[Array, Array]:
    """Return the points (ω ≥ 0, μ) of the trapezoidal rule for δ(Σz² - n) and δ(Σz).

    A spacing of 2π/T adds the densities at multiples of T to that at the bond; T is so large that
    they are negligible. The integrand of 1 has a modulus in closed form.
    """
    step = 2 * math.pi / (12 * math.sqrt(2 * n) + 100)
    reach = math.sqrt(max(0.0, negligible ** (-4 / n) - 1)) / 2
    omega = step * np.arange(min(math.ceil(reach / step), _MOST_POINTS) + 1, dtype=float)
    if not centred:
        return omega, 0.0 * omega
    step = 2 * math.pi / (14 * math.sqrt(n) + 10)
    width = 1 + 4 * omega**2
    reach = math.sqrt(-2 * math.log(negligible) / n * float(width.max()))
    mu = step * np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1)
    at, across = np.repeat(omega, mu.size), np.tile(mu, omega.size)
    width = 1 + 4 * at**2
    counts = n * (np.log(width) / 4 + across**2 / (2 * width)) < -math.log(negligible)
    return at[counts], across[counts]


def resolved_rule(phi: Activation, kernel: float) -> tuple[Array, Array]:
    """Return nodes and weights for means over h ~ N(0, kernel) that resolve the activation.

    Raises:
        FloatingPointError: φ² or φ′² has no finite mean.
    """
    return gaussian_rule(kernel, phi.kinks, _halvings(phi, nearest(kernel)))


def nearest(kernel: float) -> float:
    """Return the grid point nearest to a kernel; :data:`STEP` is the grid's spacing."""
    return math.exp(round(math.log(kernel) / STEP) * STEP)


@lru_cache(maxsize=4096)
def _halvings(phi: Activation, kernel: float) -> int:
    """Return how often the pieces of the rule have to be halved."""
    before = np.full(2, math.nan)
    with np.errstate(over="ignore", invalid="ignore"):
        for halvings in range(_MAX_HALVINGS):
            h, mass = gaussian_rule(kernel, phi.kinks, halvings)
            means = np.stack([phi.phi(h) ** 2, phi.derivative(h) ** 2]) @ mass
            if not np.isfinite(means).all():
                raise FloatingPointError
            if np.all(np.abs(means - before) <= 1e-12 * means):
                return halvings - 1
            before = means
    return _MAX_HALVINGS - 1


def hermite(z: Array, weighted: Array, orders: int = ORDERS) -> Array:
    """Return coefficients in Hermite polynomials of unit norm, of shape (functions, orders).

    Args:
        z: Nodes of a standard normal variable, of shape (nodes,).
        weighted: Function values at the nodes times the nodes' weights, of shape
            (functions, nodes).
        orders: Number of polynomials.
    """
    before, now = np.zeros_like(z), np.ones_like(z)
    coefficients = np.empty((len(weighted), orders))
    for p in range(orders):
        coefficients[:, p] = weighted @ now
        before, now = now, (z * now - math.sqrt(p) * before) / math.sqrt(p + 1)
    return coefficients


def _product(a: Complex, b: Complex) -> Complex:
    """Return the product of two truncated series, of shape (..., orders)."""
    out = np.zeros_like(a * b)
    for k in range(_MOMENTS):
        out[..., k:] += a[..., k : k + 1] * b[..., : _MOMENTS - k]
    return out


def _power(series: Complex, n: int) -> Complex:
    """Return the n-th power of a truncated series by J. C. P. Miller's recurrence."""
    lead = series[..., :1]
    unit = series / lead
    out = np.zeros_like(unit)
    out[..., 0] = 1
    for k in range(1, _MOMENTS):
        terms = ((n * j - k + j) * unit[..., j] * out[..., k - j] for j in range(1, k + 1))
        out[..., k] = sum(terms) / k
    return out * lead**n
