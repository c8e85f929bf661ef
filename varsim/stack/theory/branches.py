"""Residual stacks of finite width: what the leading order in 1/n adds to the limit.

Branch m leads from h_m to h_{m+1}, and layers are counted from 0 here. Given the variances v_m of
the branches, units are independent sums of normal variables; but each v_m is a mean over units, and
fluctuates. Expanding in these fluctuations gives E h² and E (∂h)² to the order 1/n. A unit keeps
its history, so its own φ² at two layers are correlated: by Mehler's formula, from the coefficients
of functions in Hermite polynomials and ρ² = K_m / K_k. The gradient at a layer is a tangent t that
starts there. Derived here; the limit without a norm is that of Yang & Schoenholz (2017).

An RMS norm makes φ blind to the scale of h, so fluctuations have no part in the second Hermite
polynomial; layer norm takes their mean, the first one, too.
"""

from __future__ import annotations

import math
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.stack.theory.cells import Corrections
from varsim.stack.theory.chain import Grid
from varsim.stack.theory.laws import ORDERS, Array, hermite, resolved_rule

# Stacks of more layers are taken with fewer polynomials, at interpolated kernels.
_MANY, _FEWER_ORDERS = 128, 24


class ResidualStack(NamedTuple):
    """A residual stack.

    Attributes:
        phi: The activation.
        norm: ``none``, ``rms`` or ``layer``.
        kernels: K of every layer at infinite width, of shape (layers,).
        amplitudes: Of every branch, its factor squared times C, of shape (layers - 1,).
        n: The width.
        inputs: Variance of the first layer's kernel between inputs.
        on_sphere: E φ² over a sphere in n dimensions, which a norm hands to φ; None without one.
        first_step: What the first branch hands down of a squared gradient, over its amplitude,
            where it is known exactly.
    """

    phi: Activation
    norm: str
    kernels: Array
    amplitudes: Array
    n: int
    inputs: float
    on_sphere: float | None = None
    first_step: float | None = None


def corrections(stack: ResidualStack) -> tuple[Corrections, Array]:
    """Return the corrections of order 1/n, and the spread.

    The spread is the relative variance of Σh²/n between networks, for one input, of shape
    (layers,).

    The rests are the squares of all corrections and of each branch's part in them, by the sizes of
    their terms; these times the relative variance of the branch; and the next power of a kernel's
    relative variance v in what depends on it: E 1/(1+δ) is 1 + v + 3v² for a normal δ.
    """
    expansion = _Expansion(stack)
    return Corrections(*expansion.forward, *expansion.backward()), expansion.spread()


class _Expansion:
    """The matrices have the shape (layers below the top)²: what layer m does at a layer k above.

    Functions are those of y = h/√K; ``square``, ``slope`` and ``cross`` are the coefficients of φ²,
    φ′² and φφ′, of shape (orders, layers), and the same names with ``noise`` those of the unit's
    part in the fluctuation of a branch.
    """

    def __init__(self, stack: ResidualStack) -> None:
        self.stack, self.n = stack, stack.n
        self.kernel, self.amplitude = stack.kernels[:-1], stack.amplitudes
        self.normed = stack.norm != "none"
        self.unit = self.kernel if self.normed else np.ones_like(self.kernel)
        orders = ORDERS if self.kernel.size <= _MANY else _FEWER_ORDERS
        found = _coefficients(stack.phi, self.kernel / self.unit)[:, :, :orders]
        self.square, self.slope, self.cross = found.transpose(1, 2, 0)
        self._take_noise()
        size = len(self.kernel)
        self.below = np.tri(size, size, -1)
        low, high = (f.outer(self.kernel, self.kernel) for f in (np.minimum, np.maximum))
        self.rho = np.sqrt(low / high)
        # What a fluctuation of a kernel grows by, to every layer; norms hand nothing on.
        level = 0.0 if self.normed else self.amplitude * self.square[2] / math.sqrt(2) / self.kernel
        self.handed = np.cumprod(np.append(1.0, 1.0 + level + 0.0 * self.kernel))
        # What the fluctuation of branch m adds to the kernel of every layer, the top included.
        self.response = (
            np.tri(size + 1, size, -1) * self.handed[:, None] / self.handed[1:] * self.amplitude
        )

    def _take_noise(self) -> None:
        self.square_noise, self.slope_noise = self.square.copy(), self.slope.copy()
        self.cross_noise = self.cross.copy()
        self.square_noise[0] = self.slope_noise[0] = 0.0
        if self.normed:
            self.square_noise[2] = self.cross_noise[1] = 0.0
            # A larger h makes both φ′ of its norm and the division by its scale smaller.
            self.slope_noise[2] -= math.sqrt(2) * self.slope[0] + self.slope[2]
        if self.stack.norm == "layer":
            self.square_noise[1] = self.slope_noise[1] = self.cross_noise[0] = 0.0

    def covariance(self, above: Array, below: Array, start: int = 1) -> Array:
        """Return E[a(y_k) b(y_m)] from the coefficients of order ``start`` on."""
        total, power = np.zeros_like(self.rho), self.rho**start
        for p in range(start, len(above)):
            total += np.outer(above[p], below[p]) * power
            power = power * self.rho
        return total

    @cached_property
    def fluctuations(self) -> Array:
        """Covariances of the kernels of all layers between networks."""
        branches = self.covariance(self.square_noise, self.square_noise) / self.n
        inputs = self.stack.inputs * np.outer(self.handed, self.handed)
        result: Array = self.response @ branches @ self.response.T + inputs
        return result

    @cached_property
    def forward(self) -> tuple[Array, Array]:
        """The relative correction of E h², and what is left out."""
        kernel = self.kernel
        bent = _second(self.square)
        level = np.zeros_like(kernel)
        second = self.square[0]
        if self.stack.on_sphere is not None:
            constant = self.stack.on_sphere - second
            bent = bent - _times(_once(self.square))
        else:
            level = self.square[2] / math.sqrt(2) / kernel
            constant = self.square[4] * math.sqrt(24) / 8 * self.variance
        history = self._with_history(bent)
        next_power = 0.0 * kernel if self.normed else 3 * self.variance
        found, sizes, rest = [0.0], [0.0], [0.0]
        for k, a in enumerate(self.amplitude):
            found.append(found[-1] * (1 + a * level[k]) + a * (constant[k] + history[k]))
            own = 0.0 if self.normed else abs(constant[k])
            size = own + abs(history[k])
            sizes.append(sizes[-1] * (1 + a * abs(level[k])) + a * size)
            beyond = own * next_power[k] + size * (size / second[k] + self.own_variance[k])
            rest.append(rest[-1] * (1 + a * abs(level[k])) + a * beyond)
        relative, size, beyond = (
            np.array(each) / self.stack.kernels for each in (found, sizes, rest)
        )
        return relative, size**2 + beyond

    @cached_property
    def own_variance(self) -> Array:
        """Relative variance of what the mean of φ² over a layer's own units adds to a branch."""
        own: Array = (self.square_noise**2).sum(axis=0) / self.square[0] ** 2 / self.n
        return own

    @cached_property
    def variance(self) -> Array:
        """Relative variance of the kernel of every layer below the top."""
        variance: Array = np.diag(self.fluctuations)[:-1] / self.kernel**2
        return variance

    def _with_history(self, bent: Array) -> Array:
        """Return what a unit's own part in the branches below does, by half of a second derivative.

        ``bent`` are the coefficients of that derivative.
        """
        pairs = self.response[:-1] * self.covariance(bent, self.square_noise)
        result: Array = pairs.sum(axis=1) / (2 * self.n * self.kernel)
        return result

    def spread(self) -> Array:
        """Return the relative variance of Σh²/n: of the kernel, of the units, and of both."""
        kernels = self.stack.kernels
        both = 0.0 * kernels
        if not self.normed:
            both = (self.response * (self.square[2] * math.sqrt(2) * self.kernel)).sum(axis=1)
        return (np.diag(self.fluctuations) + 2 * (kernels**2 + both) / self.n) / kernels**2

    def backward(self) -> tuple[Array, Array]:
        """Return the relative correction of E (∂h)², and what is left out."""
        steps, pairs = self._normed_terms() if self.normed else self._plain_terms()
        alpha = self.amplitude / self.unit
        first = None
        if self.stack.first_step is not None and alpha.size:
            exact = self.amplitude[0] * self.stack.first_step
            first = (exact - alpha[0] * self.slope[0, 0]) / self._growth[0]
        sizes = [np.abs(steps), np.abs(pairs)]
        known = None if first is None else 0.0
        size = self._from_top(sizes[0].sum(axis=0), sizes[1].sum(axis=0), known)
        # The second step and the first pair are those by the kernel's variance.
        next_power = 3 * self.variance
        beyond = self._from_top(sizes[0][1] * next_power, sizes[1][0] * next_power[:, None], known)
        found = self._from_top(np.sum(steps, axis=0), np.sum(pairs, axis=0), first)
        return found, size**2 + beyond

    def _from_top(self, steps: Array, pairs: Array, first: float | None) -> Array:
        """Sum what a tangent meets: steps k from its layer on, and pairs with its own m < k."""
        own = self._taken * steps
        if first is not None:
            own[0] = first
        by_start = own + (self._taken[:, None] * pairs * self.below).sum(axis=0)
        return np.append(np.cumsum(by_start[::-1])[::-1], 0.0)

    @cached_property
    def _growth(self) -> Array:
        """By how much a branch grows the square of a tangent, itself included."""
        growth: Array = 1 + self.amplitude / self.unit * self.slope[0]
        return growth

    @cached_property
    def _taken(self) -> Array:
        taken: Array = self.amplitude / self.unit / self._growth
        return taken

    def _plain_terms(self) -> tuple[list[Array], list[Array]]:
        kernel, second = self.kernel, self.slope[2] * math.sqrt(2)
        fourth = self.slope[4] * math.sqrt(24)
        shift = self.forward[0][:-1] * kernel
        with_kernel, with_slope = self._tangents(self._taken * second / (2 * kernel))
        turned, slanted = self._crossings(_once(self.slope))
        steps = [
            second / (2 * kernel) * shift,
            fourth / 8 * self.variance,
            self._with_history(_second(self.slope)),
        ]
        column = (second / kernel)[:, None]
        return steps, [column / 2 * with_kernel, with_slope, column * turned, slanted]

    def _normed_terms(self) -> tuple[list[Array], list[Array]]:
        kernel, n, flat = self.kernel, self.n, self.slope[0]
        second, fourth = self.slope[2] * math.sqrt(2), self.slope[4] * math.sqrt(24)
        shift = self.forward[0][:-1] * kernel
        with_kernel, with_slope = self._tangents(-self._taken * flat / kernel)
        turned, slanted = self._crossings(_once(self.slope) - _times(self.slope))
        bent = _second(self.slope) - _times(_once(self.slope)) - 2 * self.slope
        steps = [
            -flat * shift / kernel,
            flat * self.variance,
            (flat - second - fourth / 4) / n,
            self._with_history(bent),
        ]
        # A tangent that grew where h was small has met small scales more often.
        scale = 2 / n * (self._taken * flat * kernel)[None, :] / kernel[:, None]
        pairs = [
            -(flat / kernel)[:, None] * with_kernel,
            (flat + second / 2)[:, None] * scale,
            with_slope,
            -(flat / kernel)[:, None] * turned,
            slanted,
        ]
        return steps, pairs

    def _tangents(self, follows: Array) -> tuple[Array, Array]:
        """Return covariances of what a tangent gained at m: with the kernel of k, with φ′² there.

        A tangent's gain follows the kernel by ``follows``.
        """
        kernels, response = self.fluctuations[:-1, :-1], self.response[:-1]
        mixed = self.covariance(self.slope, self.square_noise)
        with_kernel = follows * kernels + self._taken * (response @ mixed.T) / self.n
        own = self.covariance(self.slope, self.slope_noise) * self._taken
        return with_kernel, ((mixed @ response.T) * follows + own) / self.n

    def _crossings(self, turn: Array) -> tuple[Array, Array]:
        """Return what the covariance X of a tangent with h does at k, by the earliest branch m.

        Its square counts, and its covariance with a unit's own φ′² t, whose derivative along h is
        ``turn``.
        """
        n, size = self.n, len(self.kernel)
        grown = np.cumprod(np.append(1.0, self._growth))[:-1]
        with np.errstate(over="ignore", invalid="ignore"):
            ratio = np.tril(grown[None, :] / grown[:, None], -1)  # of squared tangents at m and k
        weight = self.amplitude / np.sqrt(self.unit) / self.handed[1:]
        pairs = self.covariance(self.cross_noise, self.cross_noise, 0) * np.outer(weight, weight)
        later = np.cumsum(np.triu(pairs, 1), axis=1)
        later = np.concatenate([np.zeros((size, 1)), later[:, :-1]], axis=1).T
        rise = self.handed[:-1, None]
        turned = ratio * (np.diag(pairs) + 2 * later) * rise**2 / n
        slanted = ratio * self.covariance(turn, self.cross_noise, 0) * rise * weight
        return turned, slanted * 2 / n / np.sqrt(self.kernel)[:, None]


def _coefficients(phi: Activation, kernels: Array) -> Array:
    """Return those of φ², φ′² and φφ′ in Hermite polynomials of h/√K.

    They have the shape (kernels, 3, orders); of many kernels they are interpolated.
    """
    if phi.homogeneous:
        scales = np.stack([kernels, np.ones_like(kernels), np.sqrt(kernels)], axis=1)
        scaled: Array = scales[:, :, None] * _at(phi, 1.0)
        return scaled
    known = sorted(set(kernels.tolist()))
    if len(known) <= _MANY:
        by_kernel = {kernel: _at(phi, kernel) for kernel in known}
        return np.array([by_kernel[k] for k in kernels.tolist()]).reshape(-1, 3, ORDERS)
    grid = Grid(math.log(known[0]), math.log(known[-1]))
    at, shares = grid.places(kernels)
    found = np.array([_at(phi, float(kernel)) for kernel in grid.kernels])
    result: Array = np.einsum("kp,kpij->kij", shares, found[at])
    return result


@lru_cache(maxsize=4096)
def _at(phi: Activation, kernel: float) -> Array:
    h, mass = resolved_rule(phi, kernel)
    value, slope = phi.phi(h), phi.derivative(h)
    functions = np.stack([value**2, slope**2, value * slope]) * mass
    coefficients = hermite(h / math.sqrt(kernel), functions)
    if not np.isfinite(coefficients).all():
        raise FloatingPointError
    return coefficients


def _once(f: Array) -> Array:
    """Return the coefficients of f′ from those of f, of shape (orders, layers)."""
    p = np.arange(1, len(f))[:, None]
    return np.concatenate([f[1:] * np.sqrt(p), np.zeros_like(f[:1])])


def _second(f: Array) -> Array:
    """Return the coefficients of f″."""
    return _once(_once(f))


def _times(f: Array) -> Array:
    """Return the coefficients of y f."""
    p = np.sqrt(np.arange(1, len(f)))[:, None]
    product = np.zeros_like(f)
    product[1:] += f[:-1] * p
    product[:-1] += f[1:] * p
    return product
