"""Residual stacks of finite width: the correction of order 1/n to the limit.

Branch m leads from h_m to h_{m+1}, and layers are counted from 0 here. The variances of the
branches are means over units and fluctuate; E h² and E (∂h)² are expanded in these fluctuations.
Derived in ``branches.md``, whose equations are cited; the limit without a norm is that of Yang &
Schoenholz (2017).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.stack.question import Network
from varsim.stack.theory.cells import Correction
from varsim.stack.theory.chain import Grid
from varsim.stack.theory.laws import ORDERS, Array, hermite, positive_part, resolved_rule
from varsim.stack.theory.limit import Limit, stream_factors, variance_of_weights
from varsim.stack.theory.sphere import Branch

# Stacks with more layers take fewer polynomials, at interpolated kernels.
_MANY, _FEWER_ORDERS = 128, 24


class _Terms(NamedTuple):
    """Changes of E φ′²/divisor at a layer k, by cause: eq. (11) to (14).

    Attributes:
        by_variance: By the variance of K_k, of shape (M,).
        steps: By other causes at k, of shape (causes, M).
        by_covariance: By the covariance of K_k with the growth at layers m below, of shape (M, M).
        pairs: By other causes at k and m, of shape (causes, M, M).
        scale: The cause among them by the covariance of a norm's divisors; 0 without a norm.
    """

    by_variance: Array
    steps: Array
    by_covariance: Array
    pairs: Array
    scale: Array


class Expansion:
    """The expansion in fluctuations of the branches.

    There are L layers, and M = L - 1 branches or layers below the top. A matrix of shape (M, M) has
    the element k, m for a layer k above a layer m. Functions are those of y = h/√K, and ξ_m is the
    fluctuation of the mean of φ² over the units of branch m.

    Attributes:
        n: The width.
        kernels: K of every layer at infinite width, of shape (L,).
        kernel: K below the top, of shape (M,).
        amplitude: a of every branch, its squared factor times C, of shape (M,).
        divisor: Square of the norm's divisor, K, or 1 without a norm, of shape (M,).
        square: Coefficients of φ² in Hermite polynomials, of shape (orders, M).
        slope: Coefficients of φ′², of shape (orders, M).
        cross: Coefficients of φφ′, of shape (orders, M).
        derivative: Coefficients of φ′, of shape (orders, M).
        square_noise: Coefficients of one unit's part in ξ, of shape (orders, M).
        slope_noise: Coefficients of its part in the fluctuation of the mean of φ′²/divisor.
        cross_noise: Coefficients of its part in the fluctuation of the mean of φφ′t.
        earlier: 1 where m < k and 0 elsewhere, of shape (M, M).
        rho: ρ, the correlation of a unit's h at two layers, of shape (M, M).
        powers: E c^p of two inputs by layer, of shape (orders, M); 1 for one input.
        squares: E c² of all layers, of shape (L,).
        kernel_growth: η_k = ∂K_k/∂K_0, of shape (L,).
        response: R, with ∂K_k/∂ξ_m = a_m η_k/η_{m+1} for m < k, of shape (L, M): eq. (4).
    """

    def __init__(
        self,
        network: Network,
        at_limit: Limit,
        inputs: float,
        on_sphere: Branch | None,
        powers: Sequence[Array] | None = None,
    ) -> None:
        """Expand about the limit of a residual stack without batch norm.

        Args:
            network: The question.
            at_limit: Its layers at infinite width.
            inputs: Variance of the first layer's kernel between inputs.
            on_sphere: Means of branches on a sphere in n dimensions, as below a norm; None without
                one.
            powers: E c^p of two inputs of the batch, layer by layer, each of shape
                (orders + 1,), for covariances of two inputs; by default they are of one.
        """
        _, factor = stream_factors(network)
        self.n, self.norm = network.widths[1], network.norm
        self.inputs, self.on_sphere = inputs, on_sphere
        self.kernels: Array = np.array(at_limit.kernels)
        self.kernel = self.kernels[:-1]
        self.amplitude = factor * np.array(variance_of_weights(network)[1:])
        self.normed = self.norm != "none"
        self.divisor = self.kernel if self.normed else np.ones_like(self.kernel)
        orders = ORDERS if self.kernel.size <= _MANY else _FEWER_ORDERS
        coefficients = _coefficients(network.phi, self.kernel / self.divisor)[:, :, :orders]
        self.square, self.slope, self.cross, self.derivative = coefficients.transpose(1, 2, 0)
        self._set_noise()
        size = len(self.kernel)
        self.earlier = np.tri(size, size, -1)
        low, high = (f.outer(self.kernel, self.kernel) for f in (np.minimum, np.maximum))
        self.rho = np.sqrt(low / high)
        of_layers: Array = np.ones((orders, size + 1))
        if powers is not None:
            of_layers = np.array(powers).T[:orders]
        self.powers, self.squares = of_layers[:, :-1], of_layers[2]
        self._lower = np.minimum.outer(np.arange(size), np.arange(size))
        # a ∂E φ²/∂K, by which a branch amplifies a fluctuation of K; below a norm it is 0.
        chi = 0.0 if self.normed else self.amplitude * self.square[2] / math.sqrt(2) / self.kernel
        self.kernel_growth = np.cumprod(np.append(1.0, 1.0 + chi + 0.0 * self.kernel))
        self.response = (
            np.tri(size + 1, size, -1)
            * self.kernel_growth[:, None]
            / self.kernel_growth[1:]
            * self.amplitude
        )

    def _set_noise(self) -> None:
        self.square_noise, self.slope_noise = self.square.copy(), self.slope.copy()
        self.cross_noise = self.cross.copy()
        self.square_noise[0] = self.slope_noise[0] = 0.0
        if self.normed:
            self.square_noise[2] = self.cross_noise[1] = 0.0
            # A larger h reduces φ′ through the norm, and the tangent by the division by its scale.
            self.slope_noise[2] -= math.sqrt(2) * self.slope[0] + self.slope[2]
        if self.norm == "layer":
            self.square_noise[1] = self.slope_noise[1] = self.cross_noise[0] = 0.0

    def covariance(self, above: Array, below: Array, start: int = 1) -> Array:
        """Return E[a(y_k) b(y_m)] = Σ_p a_p b_p E c^p ρ^p from p = ``start`` on: eq. (3).

        c is that of the lower layer; 1 for one input.

        Args:
            above: Coefficients of the function at layer k, of shape (orders, M).
            below: Coefficients of the function at layer m, of shape (orders, M).
            start: The lowest order.
        """
        total, power = np.zeros_like(self.rho), self.rho**start
        for p in range(start, len(above)):
            total += np.outer(above[p], below[p]) * power * self.powers[p][self._lower]
            power = power * self.rho
        return total

    @cached_property
    def fluctuations(self) -> Array:
        """Covariances of the kernels of all layers between networks, of shape (L, L): eq. (5)."""
        branches = self.covariance(self.square_noise, self.square_noise) / self.n
        inputs = self.inputs * np.outer(self.kernel_growth, self.kernel_growth)
        result: Array = self.response @ branches @ self.response.T + inputs
        return result

    def correction(self) -> Correction:
        """Return the correction of order 1/n.

        Its rest is an estimate of the order 1/n²: branches.md, section 6.
        """
        change, rest = np.stack([self.forward, self.backward], axis=1)
        return Correction(change, rest)

    @cached_property
    def forward(self) -> Array:
        """The relative correction of E h² and the size of its next terms, of shape (2, L).

        See eq. (6) and (9).
        """
        mean_square, curvature = self.square[0], _second_derivative(self.square)
        response = by_variance = next_power = np.zeros_like(self.kernel)
        if self.on_sphere is not None:
            shift = self.on_sphere.square - mean_square
            curvature = curvature - _times_y(_derivative(self.square))
        else:
            response = self.square[2] / math.sqrt(2) / self.kernel
            shift = self.square[4] * math.sqrt(24) / 8 * self.kernel_variance
            by_variance, next_power = np.abs(shift), 3 * self.kernel_variance
        history = self._by_history(curvature)
        size = by_variance + np.abs(history)
        beyond = by_variance * next_power + size * (size / mean_square + self.branch_variance)
        change = self._from_bottom(response, shift + history)
        rest = self._from_bottom(np.abs(response), size) ** 2
        return np.stack([change, rest + self._from_bottom(np.abs(response), beyond)])

    def _from_bottom(self, response: Array, changes: Array) -> Array:
        """Return the relative change of K of every layer, of shape (L,).

        Args:
            response: ∂E φ²/∂K at layers k, of shape (M,).
            changes: Changes of E φ² at layers k for a given K, of shape (M,).
        """
        shifts = [0.0]
        for a, slope, change in zip(self.amplitude, response, changes, strict=True):
            shifts.append(shifts[-1] * (1 + a * slope) + a * change)
        relative: Array = np.array(shifts) / self.kernels
        return relative

    @cached_property
    def branch_variance(self) -> Array:
        """Relative variance of the mean of φ² over a layer's units, of shape (M,)."""
        variance: Array = (self.square_noise**2).sum(axis=0) / self.square[0] ** 2 / self.n
        return variance

    @cached_property
    def kernel_variance(self) -> Array:
        """Relative variance of K, of shape (M,)."""
        return positive_part(np.diag(self.fluctuations)[:-1] / self.kernel**2)

    def _by_history(self, curvature: Array) -> Array:
        """Return the change of E f(y_k) by a unit's part in ξ below, of shape (M,): eq. (7), (8).

        Args:
            curvature: Coefficients of f″, below a norm of f″ along the sphere.
        """
        pairs = self.response[:-1] * self.covariance(curvature, self.square_noise)
        result: Array = pairs.sum(axis=1) / (2 * self.n * self.kernel)
        return result

    def log_variances(self, *, one_cotangent: bool) -> Array:
        """Return the variances of log Σh²/n and log Σ(∂h)²/n, of shape (2, L): eq. (20), (21).

        Args:
            one_cotangent: Whether they are of one input; else they are covariances of two, with
                independent cotangents.
        """
        kernels, both = self.kernels, 0.0
        if not self.normed:
            parts = self.square[2] * math.sqrt(2) * self.kernel * self.powers[2]
            both = (self.response * parts).sum(axis=1)
        signals = np.diag(self.fluctuations) + 2 * (kernels**2 * self.squares + both) / self.n
        growths = self._growth_fluctuations()
        of_cotangent = 2 / self.n if one_cotangent else 0.0
        from_start = np.cumsum(np.cumsum(growths[::-1, ::-1], axis=0), axis=1)
        gradients = np.append(np.diag(from_start)[::-1], 0.0) + of_cotangent
        gradients += self._of_gradients(one_cotangent=one_cotangent)
        return np.stack([signals / kernels**2, gradients])

    def _growth_fluctuations(self) -> Array:
        """Covariances of log g of layers between networks, of shape (M, M): eq. (15)."""
        response, s2 = self._growth_response, self.slope[2] * math.sqrt(2)
        by_kernel = response * (-self.slope[0] if self.normed else s2 / 2) / self.kernel
        kernels, from_units = self.fluctuations[:-1, :-1], self.response[:-1]
        mixed = from_units @ self.covariance(self.square_noise, self.slope_noise) / self.n
        mixed = by_kernel[:, None] * mixed * response
        slopes = self.covariance(self.slope_noise, self.slope_noise) / self.n
        result: Array = (
            np.outer(by_kernel, by_kernel) * kernels
            + mixed
            + mixed.T
            + np.outer(response, response) * slopes
        )
        return result

    def _of_gradients(self, *, one_cotangent: bool) -> Array:
        """Return the last sum of eq. (21), of shape (L,)."""
        amplitude, size = self.amplitude / self.divisor, self.kernel.size
        slopes = (self.derivative**2 * self.powers).sum(axis=0) * amplitude
        squares = (self.slope**2 * self.powers).sum(axis=0) * amplitude**2
        along = self._weighted_slopes() * amplitude
        fresh = (2 * along + squares) / self._tangent_growth**2 / self.n
        kept = ((1 + slopes) / self._tangent_growth) ** 2
        crossed = along if one_cotangent else slopes
        parts = (4 * crossed + 2 * squares) / self._tangent_growth**2 / self.n
        result, gamma_square = np.zeros(size + 1), 1.0 if one_cotangent else 1 / self.n
        for k in range(size - 1, -1, -1):
            result[k] = result[k + 1] + gamma_square * parts[k]
            if not one_cotangent:
                gamma_square = kept[k] * gamma_square + fresh[k]
        return result

    def _weighted_slopes(self) -> Array:
        """Return E g²φ′²/E g² of every layer, for g the gradient of the next layer: eq. (22)."""
        gradients = np.cumprod(np.append(1.0, self._tangent_growth[::-1]))[-2::-1]
        received = self.amplitude / self.divisor * gradients
        together = self.covariance(self.slope, self.slope, 0) * self.earlier
        weighted: Array = (self.slope[0] + received @ together) / gradients
        return weighted

    @cached_property
    def backward(self) -> Array:
        """The relative correction of E (∂h)² and the size of its next terms, of shape (2, L).

        See eq. (10) and what follows.
        """
        terms = self._normed_terms() if self.normed else self._plain_terms()
        steps = np.stack([terms.by_variance, *terms.steps])
        pairs = np.stack([terms.by_covariance, *terms.pairs])
        first = exact_first = None
        if self.on_sphere is not None and self.kernel.size:
            exact = self.amplitude[0] * self.on_sphere.growth
            expanded = (self.amplitude / self.divisor)[0] * self.slope[0, 0]
            first, exact_first = (exact - expanded) / self._tangent_growth[0], 0.0
        change = self._from_top(steps.sum(axis=0), pairs.sum(axis=0), first)
        size = self._from_top(np.abs(steps).sum(axis=0), np.abs(pairs).sum(axis=0), exact_first)
        next_power = 3 * self.kernel_variance
        beyond = self._from_top(
            np.abs(terms.by_variance) * next_power,
            np.abs(terms.by_covariance) * next_power[:, None] + np.abs(terms.scale) * 4 / self.n,
            exact_first,
        )
        return np.stack([change, size**2 + beyond])

    def _from_top(self, steps: Array, pairs: Array, first: float | None) -> Array:
        """Return the sum of a tangent's changes over its path, by the layer where it starts.

        Args:
            steps: Changes of E φ′² at layers k from the start on, of shape (M,).
            pairs: Changes at k by branches m < k from the start on, of shape (M, M).
            first: Relative change at the lowest layer in place of the first step's, or None.
        """
        changes = self._growth_response * steps
        if first is not None:
            changes[0] = first
        by_start = changes + (self._growth_response[:, None] * pairs * self.earlier).sum(axis=0)
        return np.append(np.cumsum(by_start[::-1])[::-1], 0.0)

    @cached_property
    def _tangent_growth(self) -> Array:
        """Growth of a tangent's square, g = 1 + a E φ′²/divisor, of shape (M,)."""
        growth: Array = 1 + self.amplitude / self.divisor * self.slope[0]
        return growth

    @cached_property
    def _growth_response(self) -> Array:
        """∂log g/∂E φ′², of shape (M,)."""
        response: Array = self.amplitude / self.divisor / self._tangent_growth
        return response

    def _plain_terms(self) -> _Terms:
        """Return the terms without a norm, eq. (11) to (14), with s_p = E φ′² He_p."""
        kernel, s2, s4 = self.kernel, self.slope[2] * math.sqrt(2), self.slope[4] * math.sqrt(24)
        shift = self.forward[0][:-1] * kernel
        kernel_response = self._growth_response * s2 / (2 * kernel)
        with_kernel, with_slope = self._growth_covariances(kernel_response)
        signal_squared, signal_and_slope = self._tangent_signal_covariance(_derivative(self.slope))
        history = self._by_history(_second_derivative(self.slope))
        column = (s2 / kernel)[:, None]
        return _Terms(
            by_variance=s4 / 8 * self.kernel_variance,
            steps=np.stack([s2 / (2 * kernel) * shift, history]),
            by_covariance=column / 2 * with_kernel,
            pairs=np.stack([with_slope, column * signal_squared, signal_and_slope]),
            scale=0.0 * self.rho,
        )

    def _normed_terms(self) -> _Terms:
        """Return the terms below a norm, whose divisor counts as part of φ′²: eq. (18), (19)."""
        kernel, n, s0 = self.kernel, self.n, self.slope[0]
        s2, units = self.slope[2] * math.sqrt(2), 0.0 * kernel
        if self.on_sphere is not None:
            units = self.on_sphere.later - s0
        shift = self.forward[0][:-1] * kernel
        with_kernel, with_slope = self._growth_covariances(-self._growth_response * s0 / kernel)
        signal_squared, signal_and_slope = self._tangent_signal_covariance(
            _derivative(self.slope) - _times_y(self.slope)
        )
        curvature = (
            _second_derivative(self.slope) - _times_y(_derivative(self.slope)) - 2 * self.slope
        )
        history = self._by_history(curvature)
        # A tangent that grew where h was small has met small scales more often.
        scale = 2 / n * (self._growth_response * s0 * kernel)[None, :] / kernel[:, None]
        by_scale, column = (s0 + s2 / 2)[:, None] * scale, -(s0 / kernel)[:, None]
        return _Terms(
            by_variance=s0 * self.kernel_variance,
            steps=np.stack([-s0 * shift / kernel, units, history]),
            by_covariance=column * with_kernel,
            pairs=np.stack([by_scale, with_slope, column * signal_squared, signal_and_slope]),
            scale=by_scale,
        )

    def _growth_covariances(self, kernel_response: Array) -> tuple[Array, Array]:
        """Return covariances of log g_m, eq. (15), with K_k and with φ′² at k, each (M, M).

        Args:
            kernel_response: ∂log g/∂K, of shape (M,).
        """
        kernels, response = self.fluctuations[:-1, :-1], self.response[:-1]
        mixed = self.covariance(self.slope, self.square_noise)
        with_kernel = (
            kernel_response * kernels + self._growth_response * (response @ mixed.T) / self.n
        )
        slopes = self.covariance(self.slope, self.slope_noise) * self._growth_response
        return with_kernel, ((mixed @ response.T) * kernel_response + slopes) / self.n

    def _tangent_signal_covariance(self, derivative: Array) -> tuple[Array, Array]:
        """Return E X_k²/T_k, eq. (16), and ``with_slope`` of eq. (17), each of shape (M, M).

        An element k, m is the term of m, the earliest branch in it: with c the covariances of a
        unit's part in ζ, E X_k²/T_k is Σ_m of

            η_k²/n T_m/T_k (w_m² c_mm + 2 Σ_{m<m'<k} w_m w_m' c_mm').

        Args:
            derivative: Coefficients of the derivative of φ′² along h, (φ′²)′ without a norm.
        """
        n, size = self.n, len(self.kernel)
        tangents = np.cumprod(np.append(1.0, self._tangent_growth))[:-1]
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.tril(tangents[None, :] / tangents[:, None], -1)
        weight = self.amplitude / np.sqrt(self.divisor) / self.kernel_growth[1:]
        pairs = self.covariance(self.cross_noise, self.cross_noise, 0) * np.outer(weight, weight)
        later = np.cumsum(np.triu(pairs, 1), axis=1)
        later = np.concatenate([np.zeros((size, 1)), later[:, :-1]], axis=1).T
        growth = self.kernel_growth[:-1, None]
        squared = ratio * (np.diag(pairs) + 2 * later) * growth**2 / n
        with_slope = ratio * self.covariance(derivative, self.cross_noise, 0) * growth * weight
        return squared, with_slope * 2 / n / np.sqrt(self.kernel)[:, None]


def _coefficients(phi: Activation, kernels: Array) -> Array:
    """Return the coefficients of φ², φ′², φφ′ and φ′ in Hermite polynomials of h/√K.

    Their shape is (kernels, 4, orders). For many kernels they are interpolated.
    """
    if phi.homogeneous:
        ones = np.ones_like(kernels)
        scales = np.stack([kernels, ones, np.sqrt(kernels), ones], axis=1)
        scaled: Array = scales[:, :, None] * _coefficients_at(phi, 1.0)
        return scaled
    distinct = sorted(set(kernels.tolist()))
    if len(distinct) <= _MANY:
        by_kernel = {kernel: _coefficients_at(phi, kernel) for kernel in distinct}
        return np.array([by_kernel[k] for k in kernels.tolist()]).reshape(-1, 4, ORDERS)
    grid = Grid(math.log(distinct[0]), math.log(distinct[-1]))
    at, shares = grid.places(kernels)
    on_grid = np.array([_coefficients_at(phi, float(kernel)) for kernel in grid.kernels])
    result: Array = np.einsum("kp,kpij->kij", shares, on_grid[at])
    return result


@lru_cache(maxsize=4096)
def _coefficients_at(phi: Activation, kernel: float) -> Array:
    h, mass = resolved_rule(phi, kernel)
    value, slope = phi.phi(h), phi.derivative(h)
    functions = np.stack([value**2, slope**2, value * slope, slope]) * mass
    coefficients = hermite(h / math.sqrt(kernel), functions)
    if not np.isfinite(coefficients).all():
        raise FloatingPointError
    return coefficients


def _derivative(f: Array) -> Array:
    """Return the coefficients of f′ from those of f, of shape (orders, layers)."""
    p = np.arange(1, len(f))[:, None]
    return np.concatenate([f[1:] * np.sqrt(p), np.zeros_like(f[:1])])


def _second_derivative(f: Array) -> Array:
    """Return the coefficients of f″."""
    return _derivative(_derivative(f))


def _times_y(f: Array) -> Array:
    """Return the coefficients of y f."""
    p = np.sqrt(np.arange(1, len(f)))[:, None]
    product = np.zeros_like(f)
    product[1:] += f[:-1] * p
    product[:-1] += f[1:] * p
    return product
