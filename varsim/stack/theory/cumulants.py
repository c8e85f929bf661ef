"""Effects of the cumulants of a layer's h on means over its units.

Given the layers below, a unit is a sum over n independent weights: its third cumulant is of order
1/√n for skewed weights, its fourth of order 1/n for a kurtosis other than 3. Edgeworth's series
gives their effect on the mean of one unit. Below a norm they act through fluctuations of a layer's
means, too, which is of the order 1/n of that. weights.md derives both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation
from varsim.stack.theory.laws import Array, hermite, resolved_rule

# Number of Hermite polynomials: Edgeworth's series takes eleven, and fluctuations move them by six.
_ORDERS = 16

ROOTS = np.sqrt([float(math.factorial(p)) for p in range(_ORDERS)])


class Law(NamedTuple):
    """The law of the weights.

    Attributes:
        kind: ``independent`` entries; ``orthogonal``, uniform by Haar's measure; or ``unknown``.
        skewness: Of an entry; 0 where unknown.
        kurtosis: Of an entry; 3 where unknown.
    """

    kind: str
    skewness: float = 0.0
    kurtosis: float = 3.0

    @property
    def excess(self) -> float:
        """The kurtosis less 3, which is the fourth cumulant."""
        return self.kurtosis - 3.0

    @property
    def normal(self) -> bool:
        """Whether the entries are independent and have the moments of a normal variable."""
        return self == Law("independent")


class Means(NamedTuple):
    """Averages at a kernel, with ψ = φ - E φ below batch norm and ψ = φ elsewhere.

    Attributes:
        square: Coefficients of φ² in Hermite polynomials of h/√K, of unit norm.
        slope: Of φ′².
        spread: Of ψ².
        cube: Of r³, with r = ψ / √(E ψ²).
        fourth: Of r⁴.
        moments: E r^p for p = 0 to 6.
        cross: E ψφ′².
        both: E ψ²φ′².
    """

    square: Array
    slope: Array
    spread: Array
    cube: Array
    fourth: Array
    moments: Array
    cross: float
    both: float


@lru_cache(maxsize=4096)
def means_at(phi: Activation, kernel: float, *, centred: bool = False) -> Means:
    """Return the averages at a kernel; ``centred`` is for batch norm.

    Raises:
        FloatingPointError: Floats cannot hold a moment.
    """
    h, mass = resolved_rule(phi, kernel)
    plain, slope = phi.phi(h), phi.derivative(h) ** 2
    value = plain - plain @ mass if centred else plain
    square = value * value
    r = value / (math.sqrt(square @ mass) or 1.0)
    functions = np.stack([plain * plain, slope, square, r**3, r**4])
    coefficients = hermite(h / math.sqrt(kernel), functions * mass, _ORDERS)
    moments = r ** np.arange(7)[:, None] @ mass
    cross, both = float((value * slope) @ mass), float((square * slope) @ mass)
    if not (np.isfinite(coefficients).all() and np.isfinite([*moments, cross, both]).all()):
        raise FloatingPointError
    square_, slope_, spread, cube, fourth = coefficients
    return Means(square_, slope_, spread, cube, fourth, moments, cross, both)


class Effect(NamedTuple):
    """A relative change of a mean by the cumulants of h.

    Attributes:
        change: The change.
        beyond: Size of the next terms.
    """

    change: float = 0.0
    beyond: float = 0.0

    @property
    def factor(self) -> float:
        """The factor on the mean; where its floor counts, ``beyond`` is far larger."""
        return max(0.1, 1 + self.change)

    def plus(self, other: Effect) -> Effect:
        """Return the sum of two effects."""
        return Effect(self.change + other.change, self.beyond + other.beyond)


class Cumulants(NamedTuple):
    """Cumulants of h/√K, for a unit h of a layer.

    Attributes:
        third: κ₃.
        fourth: κ₄.
        fifth: κ₅, for the size of next terms.
        sixth: κ₆, for the size of next terms.
        third_error: Relative error of κ₃.
        fourth_error: Relative error of κ₄.
        third_with_kernel: Relative covariance of κ₃ and K, whose fluctuation no norm removes.
        fourth_with_kernel: Relative covariance of κ₄ and K.
        spread_change: Change of the relative variance of K, by the law of the weights.
    """

    third: float = 0.0
    fourth: float = 0.0
    fifth: float = 0.0
    sixth: float = 0.0
    third_error: float = 0.0
    fourth_error: float = 0.0
    third_with_kernel: float = 0.0
    fourth_with_kernel: float = 0.0
    spread_change: float = 0.0

    @classmethod
    def of_sum(
        cls, law: Law, n: int, moments: Sequence[float], errors: tuple[float, float]
    ) -> Cumulants:
        """Return the cumulants of Σ r w over n weights w: weights.md, eq. (2).

        κ₅ and κ₆ of a weight are taken as 2 κ₃ κ₄ and 4 κ₄², an estimate: exponential weights have
        24 and 120.

        Args:
            law: The law of the weights.
            n: Their number.
            moments: E r³ to E r⁶, for E r² = 1.
            errors: Relative errors of κ₃ and κ₄.
        """
        skew, excess = law.skewness, law.excess
        weights = (skew, excess, 2 * skew * excess, 4 * excess**2)
        third, fourth, fifth, sixth = (
            w * moment / n ** (p / 2)
            for p, (w, moment) in enumerate(zip(weights, moments, strict=True), start=1)
        )
        return cls(third, fourth, fifth, sixth, *errors)

    def times(self, share: float) -> Cumulants:
        """Return the cumulants of a part with this share of the variance."""
        return self._replace(
            third=self.third * share**1.5,
            fourth=self.fourth * share**2,
            fifth=self.fifth * share**2.5,
            sixth=self.sixth * share**3,
        )

    def plus(self, stream: Cumulants) -> Cumulants:
        """Return the cumulants of a sum with an independent part, whose errors do not count."""
        return self._replace(
            third=self.third + stream.third,
            fourth=self.fourth + stream.fourth,
            fifth=self.fifth + stream.fifth,
            sixth=self.sixth + stream.sixth,
        )

    def after(self, at: Means, law: Law, n: int) -> Cumulants:
        """Return the cumulants of the next h without stream and bias, below a norm.

        They are those of eq. (2) and (3) of weights.md.

        Args:
            at: Averages at this layer.
            law: The law of the weights.
            n: Number of units of this layer.
        """
        _, _, _, m3, m4, m5, m6 = at.moments.tolist()
        third, fourth = self._by_law(at)
        third_finite = (15 / 8 * (m4 - 1) - 3 / 2 * (m5 / m3 - 1)) / n if m3 else 0.0
        fourth_finite = (3 * (m4 - 1) - 2 * (m6 / m4 - 1)) / n if m4 else 0.0
        errors = (
            (float(np.abs(third).sum()) + abs(third_finite)) ** 2,
            (float(np.abs(fourth).sum()) + abs(fourth_finite)) ** 2,
        )
        m3 *= _factor(float(third.sum()) + third_finite)
        m4 *= _factor(float(fourth.sum()) + fourth_finite)
        return Cumulants.of_sum(law, n, (m3, m4, m5, m6), errors)

    def after_free(self, at: Means, law: Law, n: int, spread: float, share: float) -> Cumulants:
        """Return the cumulants of the next h without stream and bias, where no norm stands.

        They are those of eq. (2) and (3) of weights.md, with the covariances of eq. (6).

        Args:
            at: Averages at this layer.
            law: The law of the weights.
            n: Number of units of this layer.
            spread: Relative variance of this layer's kernel.
            share: Share of the branch in the next kernel.
        """
        _, _, _, m3, m4, m5, m6 = at.moments.tolist()
        third, fourth = self._by_law(at)
        errors = float(np.abs(third).sum()) ** 2, float(np.abs(fourth).sum()) ** 2
        # ∂log/∂log K of E φ², E φ³ and E φ⁴.
        square_response, third_response, fourth_response = (
            float(f[2]) / math.sqrt(2) / (mean or 1.0)
            for f, mean in ((at.square, at.square[0]), (at.cube, m3), (at.fourth, m4))
        )
        passed = square_response * spread
        by_square = edgeworth(at.square, self.third, self.fourth) / (at.square[0] or 1.0)
        change = m4 * (float(np.abs(fourth).sum()) + 2 * float(np.abs(by_square).sum())) / n
        return Cumulants.of_sum(
            law, n, (m3 * _factor(third.sum()), m4 * _factor(fourth.sum()), m5, m6), errors
        )._replace(
            third_with_kernel=share
            * (((m5 / m3 - 1) / n if m3 else 0.0) + passed * third_response),
            fourth_with_kernel=share
            * (((m6 / m4 - 1) / n if m4 else 0.0) + passed * fourth_response),
            spread_change=share**2 * (change + square_response**2 * self.spread_change),
        )

    def _by_law(self, at: Means) -> tuple[Array, Array]:
        """Return the relative changes of E r³ and E r⁴ by the cumulants of this layer."""
        third = edgeworth(at.cube, self.third, self.fourth) / (at.cube[0] or 1.0)
        return third, edgeworth(at.fourth, self.third, self.fourth) / (at.fourth[0] or 1.0)

    @property
    def next_powers(self) -> float:
        """Relative size of the next powers of κ₃² and κ₄: an estimate."""
        return (self.third**2 + abs(self.fourth)) / 2

    def effect(self, function: Array, spread: float) -> Effect:
        """Return the relative effect on a mean: weights.md, eq. (4) to (6).

        Args:
            function: Coefficients of a function in Hermite polynomials of unit norm.
            spread: Relative variance of the kernel.
        """
        if not function[0]:
            return Effect()
        k3, k4 = self.third, self.fourth
        terms = edgeworth(function, k3, k4) / function[0]
        # Fluctuations of the kernel add to the even cumulants, and covariances to all.
        k5 = self.fifth + 10 * k3 * self.third_with_kernel
        k6 = self.sixth + 15 * k4 * self.fourth_with_kernel
        both = k4 + 3 * spread
        odd = {5: k5 / 120, 7: k3 * both / 144, 9: k3**3 / 1296}
        even = {
            6: k6 / 720,
            8: (both**2 - (3 * spread) ** 2) / 1152 + k3 * k5 / 720,
            10: k3**2 * both / 1728,
            12: k3**4 / 31104,
        }
        scaled = function * ROOTS / function[0]
        beyond = abs(float(scaled[4])) * self.spread_change / 8
        for series in odd, even:
            parts = scaled[list(series)] * list(series.values())
            beyond += abs(float(parts.sum())) + self.next_powers * float(np.linalg.norm(parts))
        third, fourth, square = np.abs(terms).tolist()
        beyond += (third + 2 * square) * self.third_error + fourth * self.fourth_error
        return Effect(float(terms.sum()), beyond)

    def effect_of(self, by: Array, n: int) -> Effect:
        """Return the effect through fluctuations of n units: weights.md, eq. (8).

        Its next terms are relative to that of κ₄; the term of κ₃ is one of them.

        Args:
            by: Changes per cumulant, of shape (4,).
            n: Number of units.
        """
        third, fourth = abs(float(by[0] * self.third)), float(by[1] * self.fourth)
        size, relative = abs(fourth), self.next_powers + self.fourth_error + 2 / n
        return Effect(fourth, size * relative + third)


def _factor(change: float) -> float:
    """Return 1 + change to the first order; it stays positive, as for 3/(n + 2) in place of 3/n."""
    return 1 + change if change > 0 else 1 / (1 - change)


def edgeworth(function: Array, third: float, fourth: float) -> Array:
    """Return the changes of E f(z) by κ₃, by κ₄ and by κ₃²: weights.md, eq. (4).

    Args:
        function: Coefficients of f in Hermite polynomials of unit norm.
        third: κ₃ of z.
        fourth: κ₄ of z.
    """
    factors = [third / math.sqrt(6), fourth / math.sqrt(24), third**2 / 72 * math.sqrt(720)]
    changes: Array = function[[3, 4, 6]] * factors
    return changes


class Fluctuations(NamedTuple):
    """Effects of the cumulants of h through the fluctuations of a layer's means below a norm.

    They are relative, of order 1/n, and linear in standardised cumulants: arrays of the shape (4,)
    hold the change per κ₃ and κ₄ of h, and per κ₁₂ and κ₂₂ of h with the tangent.

    Attributes:
        square: Of E φ².
        slope: Of E φ′² t²/ρ².
        ratio: Of the tangent's square across the next h, over the next kernel.
        inverse: Of E 1/q, q the next kernel.
        scale: Of E φ′² t²/ρ², per relative change of ρ².
    """

    square: Array
    slope: Array
    ratio: Array
    inverse: Array
    scale: float


_NONE = np.zeros(4)
UNCHANGED = Fluctuations(_NONE, _NONE, _NONE, _NONE, 0.0)


@lru_cache(maxsize=256)
def fluctuations(phi: Activation, n: int, norm: str, share: float) -> Fluctuations:
    """Return the effects in a layer of n units: weights.md, eq. (9) to (12).

    Args:
        phi: The activation.
        n: Number of units.
        norm: ``rms`` or ``layer``.
        share: Share of the next kernel that is not the bias's.
    """
    z, mass = resolved_rule(phi, 1.0)
    value, derivative = phi.phi(z), phi.derivative(z)
    square, slope, cross = hermite(
        z, np.stack([value**2, derivative**2, value * derivative]) * mass, _ORDERS
    )
    centred = norm == "layer"
    # E φ²
    first = _by_scale(square)
    second = _by_scale(first) - first
    in_square = _signal(_times_square(first) - first + second)
    in_square[1] += second[0] / 2
    if centred:
        in_square += _signal(first + _second_derivative(square) / 2)
    # E φ′² t²/ρ²
    first = _by_scale(slope) - slope
    second = _by_scale(first) - 2 * first
    along = _times_square(slope)
    in_slope = _tangent(_times_square(first) - first + second - 2 * along) + _signal(along)
    in_slope += [0.0, second[0] / 2, 0.0, along[0]]
    if centred:
        in_slope += _tangent(
            2 * _by_scale(slope) - 2 * slope + _second_derivative(slope) / 2 - first
        ) + _signal(slope)
    # Fluctuations of the mean of φ², and of r·s with r = φ, s = φ′ t.
    noise = value**2 / square[0] - 1 + _by_scale(square)[0] / square[0] * (z**2 - 1)
    with_tangent = value * derivative - cross[1] * z
    if centred:
        noise = noise - noise @ (z * mass) * z
        with_tangent = with_tangent - cross[0]
    of_noise, of_product, of_scale, of_overlap = hermite(
        z,
        np.stack([noise**2, derivative**2 * noise, (z**2 - 1) * noise, with_tangent**2]) * mass,
        _ORDERS,
    )
    inverse = share**2 * _signal(of_noise)
    in_product = _tangent(of_product) + first[0] * _signal(of_scale)
    in_ratio = (
        inverse
        - share * in_product / slope[0]
        - share * _tangent(of_overlap) / (square[0] * slope[0])
    )
    return Fluctuations(
        in_square / (n * square[0]), in_slope / (n * slope[0]), in_ratio / n, inverse / n,
        float(first[0] / slope[0]),
    )  # fmt: skip


def _signal(function: Array) -> Array:
    """Return the changes of E f(z) per cumulant, from the coefficients of f."""
    return np.array([function[3] / math.sqrt(6), function[4] / math.sqrt(24), 0.0, 0.0])


def _tangent(function: Array) -> Array:
    """Return the changes of E f(z) t² per cumulant, for a tangent t of variance 1."""
    changes = _signal(function)
    changes[2:] = function[1], function[2] / math.sqrt(2)
    return changes


def _by_scale(function: Array) -> Array:
    """Return the coefficients of -z f′/2, the derivative of f(z e^{-s/2}) by s at 0."""
    p = np.arange(len(function))
    result: Array = -(p * function + _second_derivative(function)) / 2
    return result


def _second_derivative(function: Array) -> Array:
    """Return the coefficients of f″."""
    p = np.arange(len(function) - 2)
    return np.append(np.sqrt((p + 1) * (p + 2)) * function[2:], [0.0, 0.0])


def _times_square(function: Array) -> Array:
    """Return the coefficients of z² f."""
    p = np.arange(len(function))
    result = (2 * p + 1) * function + _second_derivative(function)
    result[2:] += np.sqrt(p[2:] * (p[2:] - 1)) * function[:-2]
    return result
