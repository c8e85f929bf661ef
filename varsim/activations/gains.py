"""Gains of activations: the factors on W that preserve the variance of a layer's inputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import NamedTuple

import numpy as np

from varsim.activations import Activation, FloatArray, find_activation
from varsim.activations.quadrature import UnresolvedError, gaussian_mean
from varsim.errors import InputError, quoted


class TorchGain(NamedTuple):
    """A gain of ``torch.nn.init``, and its origin unless that is E φ² = 1 / gain²."""

    gain: float
    remark: str = ""


TORCH = {
    "identity": TorchGain(1.0),
    "sigmoid": TorchGain(1.0, "by convention"),
    "tanh": TorchGain(5 / 3, "empirical"),
    "relu": TorchGain(math.sqrt(2.0)),
    "leaky_relu": TorchGain(math.sqrt(2.0 / (1.0 + 0.01**2))),
    "selu": TorchGain(3 / 4, "empirical"),
}
"""All gains of torch, by the names of activations here."""


# Significant digits of a mean by quadrature.
_DIGITS = 14


@dataclass(frozen=True)
class Gains:
    """Moments for h ~ N(0, q): q itself, E φ(h), E φ(h)² and E φ′(h)²."""

    variance: float
    mean: float
    second_moment: float
    derivative_second_moment: float

    @property
    def gain(self) -> float:
        """G with g² E φ² = q, which keeps the variance between layers: He et al. (2015), eq. 9."""
        return math.sqrt(self.variance / self.second_moment)

    @property
    def std_gain(self) -> float | None:
        """G with g² Var φ = q, for layers that subtract the mean of φ, as a normalisation does.

        None if Var φ is below the rounding of E φ², as for a constant.
        """
        around_mean = self.second_moment - self.mean**2
        is_rounding = around_mean <= 1e-14 * self.second_moment
        return None if is_rounding else math.sqrt(self.variance / around_mean)

    @property
    def chi(self) -> float:
        """χ = g² E φ′² at the gain: the growth of squared gradients per layer, backwards."""
        return self.gain**2 * self.derivative_second_moment


def check_variance(variance: float) -> float:
    """Return a variance of inputs as a float.

    Raises:
        InputError: The variance is not allowed.
    """
    if not (isinstance(variance, Real) and 1e-12 <= variance <= 1e12):
        raise InputError(f"variance is {variance}; give a number from 1e-12 to 1e12")
    return float(variance)


def gain(text: str, variance: float = 1.0) -> float:
    """Return the gain g of an activation φ with g² E φ(h)² = q for h ~ N(0, q).

    A layer whose W has the standard deviation g/√D keeps the variance q of its inputs: He et al.
    (2015), section 2.2. The mean is computed by quadrature.

    Args:
        text: A name such as ``"gelu"``, a name with its parameter such as ``"leaky_relu(0.2)"``, a
            function of your own as ``"module:function"``, or ``"torch:tanh"`` for that of
            ``torch.nn.init.calculate_gain``, which does not depend on the variance.
        variance: q, from 1e-12 to 1e12.

    Raises:
        InputError: The activation is unknown, has no gain, or the variance is not allowed.

    >>> round(gain("gelu"), 6), gain("torch:tanh")
    (1.53353, 1.6666666666666667)
    """
    variance = check_variance(variance)
    origin, _, name = str(text).strip().partition(":")
    if origin != "torch":
        return gains(find_activation(text), variance).gain
    if name not in TORCH:
        raise InputError(f"torch has no gain for {quoted(name)}; it has {', '.join(TORCH)}")
    return TORCH[name].gain


def gains(activation: Activation, variance: float = 1.0) -> Gains:
    """Return the moments behind gains, for inputs of a variance.

    Raises:
        InputError: E φ² is 0, or cannot be computed.

    >>> from varsim.activations import ACTIVATIONS
    >>> round(gains(ACTIVATIONS["relu"]).gain ** 2, 12)
    2.0
    """

    def averages(h: FloatArray) -> FloatArray:
        phi = activation.phi(h)
        return np.stack([phi, phi * phi, activation.derivative(h) ** 2])

    means = gaussian_mean(averages, variance, activation.kinks, name=activation.formula)
    # Without the rounding of quadrature, so that the gain of ReLU is √2 to the last bit.
    result = Gains(variance, *(float(f"{mean:.{_DIGITS}g}") for mean in means))
    if not result.second_moment > 0:
        raise InputError(
            f"{activation.formula} has E φ² = {result.second_moment:g} at variance {variance:g}, "
            "so it has no gain; take another activation or variance"
        )
    return result


class Critical(NamedTuple):
    """An initialization at which gradients neither grow nor vanish with depth.

    W has variance C_W / fan-in, and the bias C_b, such that the pre-activations keep a variance K:
    K = C_b + C_W E φ². χ⊥ = C_W E φ′² is the factor per layer for gradients and for the distance of
    two near inputs, and χ∥ = C_W dE φ²/dK that for a small deviation of K.

    Attributes:
        kind: Of :func:`critical` or :func:`critical_at`.
        weights: C_W, or None.
        bias: C_b, which is negative if no such network exists; or None.
        variance: K; None if it is free or undefined.
        chi_perpendicular: χ⊥; None if there is no such initialization.
        chi_parallel: χ∥, or None.
    """

    kind: str
    weights: float | None = None
    bias: float | None = None
    variance: float | None = None
    chi_perpendicular: float | None = None
    chi_parallel: float | None = None


# Smaller relative differences are rounding, or the error of a numerical derivative.
_NOISE = 1e-9

# Logarithms of the variances K that are searched.
_LOG_K: list[float] = np.linspace(math.log(1e-4), math.log(1e6), 93).tolist()


def critical(activation: Activation) -> Critical:
    """Return the initialization at which both susceptibilities of an activation are 1.

    See Roberts, Yaida & Hanin (2022), The Principles of Deep Learning Theory, section 5.3. So K is
    a root of dE φ²/dK - E φ′², C_W = 1 / E φ′², and C_b = K - C_W E φ², which must not be negative.

    Returns:
        Its kind is ``scale-invariant``: at every K; ``half-stable``: at one K, which deviations to
        one side leave; ``K* = 0``: in the limit of small signals; ``line only``: nowhere, but χ⊥
        alone is 1 on a line, which begins where C_b = 0; or ``none``: χ⊥ = 1 needs a negative C_b
        at every K. K is searched from 1e-4 to 1e6.

    Raises:
        InputError: The averages of the activation cannot be computed.
    """
    if activation.homogeneous:
        weights = 1.0 / gains(activation).second_moment
        return Critical("scale-invariant", weights, 0.0, None, 1.0, 1.0)
    points = list(_points(activation))
    return (
        _scale_invariant(points)
        or _half_stable(activation, points)
        or _vanishing(activation)
        or _line_only(activation, points)
        or Critical("none")
    )


def critical_at(activation: Activation, variance: float) -> Critical:
    """Return the initialization with χ⊥ = 1 that keeps a variance K, where χ∥ may be any.

    All K give a line of (C_W, C_b), the edge of chaos: Poole et al. (2016), Schoenholz et al.
    (2017).

    Returns:
        Its kind is ``stable``, ``unstable`` or ``marginal``, for χ∥ below, above or at 1; or
        ``none``: C_b is negative, or E φ′² is 0.

    Raises:
        InputError: The averages of the activation cannot be computed.

    >>> from varsim.activations import ACTIVATIONS
    >>> at = critical_at(ACTIVATIONS["relu2"], 4.0)
    >>> at.kind, round(at.weights, 12), round(at.bias, 12), round(at.chi_parallel, 12)
    ('unstable', 0.125, 1.0, 1.5)
    """
    at = _Point.of(activation, variance)
    if not at.slope:
        return Critical("none", variance=variance)
    excess = at.chi_parallel - 1.0
    kind = "marginal" if abs(excess) <= _NOISE else "unstable" if excess > 0.0 else "stable"
    if at.bias < 0.0:
        kind = "none"
    return Critical(kind, at.weights, at.bias, variance, at.weights * at.slope, at.chi_parallel)


class _Point(NamedTuple):
    """The point of the line χ⊥ = 1 at a variance K, and the averages there.

    Attributes:
        variance: K.
        second: E φ².
        slope: E φ′².
        tilt: dE φ²/dK = E φ φ′ h / K.
    """

    variance: float
    second: float
    slope: float
    tilt: float

    @classmethod
    def of(cls, activation: Activation, variance: float) -> _Point:
        def averages(h: FloatArray) -> FloatArray:
            phi, slope = activation.phi(h), activation.derivative(h)
            return np.stack([phi * phi, slope * slope, phi * slope * h / variance])

        means = gaussian_mean(averages, variance, activation.kinks, name=activation.formula)
        return cls(variance, *map(float, means))

    @property
    def weights(self) -> float:
        """C_W; infinite where φ is flat."""
        return 1.0 / self.slope if self.slope else math.inf

    @property
    def bias(self) -> float:
        """C_b, without its rounding; minus infinity where φ is flat."""
        if not self.slope:
            return -math.inf
        bias = self.variance - self.weights * self.second
        return bias if abs(bias) > _NOISE * self.variance else 0.0

    @property
    def chi_parallel(self) -> float:
        """χ∥."""
        return self.weights * self.tilt

    @property
    def mismatch(self) -> float:
        """χ∥ - χ⊥."""
        return self.chi_parallel - 1.0 if self.slope else 0.0


def _points(activation: Activation) -> Iterator[_Point]:
    """Yield the line's points along K, as far as the averages there can be computed."""
    for place, log_k in enumerate(_LOG_K):
        try:
            yield _Point.of(activation, math.exp(log_k))
        except UnresolvedError:
            if place == 0:
                raise
            return


def _root(
    activation: Activation, left: _Point, right: _Point, value: Callable[[_Point], float]
) -> _Point:
    """Return the point between two at which a value changes its sign, to the last bit of log K."""
    low, high = math.log(left.variance), math.log(right.variance)
    at = right
    while low < (middle := (low + high) / 2) < high:
        between = _Point.of(activation, math.exp(middle))
        if (value(between) > 0.0) == (value(right) > 0.0):
            high, at = middle, between
        else:
            low = middle
    return at


def _scale_invariant(points: Sequence[_Point]) -> Critical | None:
    if any(abs(at.mismatch) > _NOISE or at.bias != 0.0 for at in points):
        return None
    return Critical("scale-invariant", points[-1].weights, 0.0, None, 1.0, 1.0)


def _half_stable(activation: Activation, points: Sequence[_Point]) -> Critical | None:
    clear = [at for at in points if abs(at.mismatch) > _NOISE]
    for left, right in pairwise(clear):
        if (left.mismatch > 0) != (right.mismatch > 0):
            at = _root(activation, left, right, lambda at: at.mismatch)
            if at.bias >= 0.0:
                return Critical("half-stable", at.weights, at.bias, at.variance, 1.0, 1.0)
    return None


def _vanishing(activation: Activation) -> Critical | None:
    # The limit K -> 0 depends on the two one-sided slopes at 0 alone.
    around = np.array([-1e-15, 0.0, 1e-15])
    left, _, right = activation.derivative(around) ** 2
    slope = float(left + right) / 2.0
    if activation.phi(around)[1] != 0.0 or slope < _NOISE:
        return None
    return Critical("K* = 0", 1.0 / slope, 0.0, 0.0, 1.0, 1.0)


def _line_only(activation: Activation, points: Sequence[_Point]) -> Critical | None:
    if points[0].bias >= 0.0:
        return Critical("line only", chi_perpendicular=1.0)
    for left, right in pairwise(at for at in points if at.bias != 0.0):
        if left.bias < 0.0 < right.bias:
            at = _root(activation, left, right, lambda at: at.variance - at.weights * at.second)
            return Critical("line only", at.weights, 0.0, at.variance, 1.0, at.chi_parallel)
    return None
