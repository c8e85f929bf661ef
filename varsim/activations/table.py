"""The table of activations φ with their derivatives, as frameworks define them.

Each function maps an array to a new array of the same shape and dtype. The derivative is one-sided
at a kink, where continuous inputs are with probability 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from varsim.compute import lazy

if TYPE_CHECKING:
    from scipy import special as _special
else:
    _special = lazy("scipy.special")

FloatArray: TypeAlias = NDArray[np.floating]
Function: TypeAlias = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """An activation.

    Attributes:
        formula: φ(h), as text.
        phi: φ.
        derivative: φ′.
        kinks: The points where φ or one of its derivatives jumps; quadrature splits there.
        bounds: Infimum and supremum of φ.
        homogeneous: Whether φ(c h) = c φ(h) for every c > 0.
        flat: Whether φ′ = 0 on some interval, where units are dead.
        shared: Returns φ and φ′ at once; None if that is no faster than one after the other.
    """

    formula: str
    phi: Function
    derivative: Function
    kinks: tuple[float, ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)
    homogeneous: bool = False
    flat: bool = False
    shared: Callable[[FloatArray], tuple[FloatArray, FloatArray]] | None = None

    def both(self, h: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return φ and φ′."""
        return (self.phi(h), self.derivative(h)) if self.shared is None else self.shared(h)

    @property
    def bounded(self) -> bool:
        """Whether both bounds are finite."""
        return all(map(math.isfinite, self.bounds))


def _inside(h: FloatArray, low: float, high: float) -> FloatArray:
    return ((h > low) & (h < high)).astype(h.dtype)


def _where(condition: NDArray[np.bool_], yes: FloatArray, no: FloatArray | float) -> FloatArray:
    return np.where(condition, yes, np.asarray(no, yes.dtype))


def _logistic(h: FloatArray) -> FloatArray:
    # This form neither overflows nor cancels digits.
    half = h.dtype.type(0.5)
    return half + half * np.tanh(half * h)


def _softplus(h: FloatArray) -> FloatArray:
    return np.logaddexp(h, h.dtype.type(0))


def _tanh_and_slope(h: FloatArray) -> tuple[FloatArray, FloatArray]:
    phi = np.tanh(h)
    slope = phi * phi
    return phi, np.subtract(1, slope, out=slope)


def _sigmoid_and_slope(h: FloatArray) -> tuple[FloatArray, FloatArray]:
    half = h.dtype.type(0.5)
    odd = half * np.tanh(half * h)
    return half + odd, (half + odd) * (half - odd)


def _leaky_relu(slope: float = 0.01) -> Activation:
    """Maas et al. (2013)."""
    return Activation(
        formula=f"max(h, {slope:g} h)" if slope <= 1 else f"h or {slope:g} h below 0",
        phi=lambda h: _where(h > 0, h, h * h.dtype.type(slope)),
        derivative=lambda h: _where(h > 0, np.ones_like(h), slope),
        kinks=(0.0,),
        homogeneous=True,
    )


def _elu(alpha: float = 1.0, scale: float = 1.0, stretch: float = 1.0) -> Activation:
    """Scale · (h, or alpha (exp(h / stretch) - 1) below 0): Clevert et al. (2016), eq. 15."""

    def phi(h: FloatArray) -> FloatArray:
        below = np.expm1(np.minimum(h, 0) / h.dtype.type(stretch)) * h.dtype.type(alpha)
        return _where(h > 0, h, below) * h.dtype.type(scale)

    def derivative(h: FloatArray) -> FloatArray:
        below = np.exp(np.minimum(h, 0) / h.dtype.type(stretch)) * h.dtype.type(alpha / stretch)
        return _where(h > 0, np.ones_like(h), below) * h.dtype.type(scale)

    factor = "" if scale == 1 else f"{scale:.4g} · "
    inner = "h" if stretch == 1 else f"h / {stretch:g}"
    return Activation(
        formula=f"{factor}(h, or {alpha:.4g} (exp({inner}) - 1) below 0)",
        phi=phi,
        derivative=derivative,
        kinks=(0.0,),
        bounds=(-alpha * scale, math.inf),
    )


def _gated(
    formula: str, gate: Function, slope: Callable[[FloatArray, FloatArray], FloatArray], low: float
) -> Activation:
    """H · gate(h), where the gate has the derivative slope(h, gate(h))."""

    def shared(h: FloatArray) -> tuple[FloatArray, FloatArray]:
        value = gate(h)
        return h * value, value + h * slope(h, value)

    return Activation(
        formula=formula, phi=lambda h: h * gate(h), derivative=lambda h: shared(h)[1],
        bounds=(low, math.inf), shared=shared,
    )  # fmt: skip


def _silu(steepness: float = 1.0) -> Activation:
    """H · sigmoid(steepness h): Elfwing et al. (2018), eq. 3; 1.702 is Hendrycks & Gimpel's."""
    return _gated(
        formula="h sigmoid(h)" if steepness == 1 else f"h sigmoid({steepness:g} h)",
        gate=lambda h: _logistic(h * h.dtype.type(steepness)),
        slope=lambda h, s: s * (1 - s) * h.dtype.type(steepness),
        low=-0.2784645427610738 / steepness,
    )


def _tanh_gate(h: FloatArray) -> FloatArray:
    half, root = h.dtype.type(0.5), h.dtype.type(math.sqrt(2 / math.pi))
    return half + half * np.tanh(root * (h + h.dtype.type(0.044715) * h * h * h))


def _tanh_gate_slope(h: FloatArray, gate: FloatArray) -> FloatArray:
    root = h.dtype.type(math.sqrt(2 / math.pi))
    return 2 * gate * (1 - gate) * root * (1 + h.dtype.type(3 * 0.044715) * h * h)


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(formula="h", phi=np.copy, derivative=np.ones_like, homogeneous=True),
    "relu": Activation(
        formula="max(h, 0)", phi=lambda h: np.maximum(h, 0),
        derivative=lambda h: (h > 0).astype(h.dtype), kinks=(0.0,), bounds=(0.0, math.inf),
        homogeneous=True, flat=True,
    ),
    "leaky_relu": _leaky_relu(),
    "elu": _elu(),
    # Klambauer et al. (2017), eq. 14: this maps mean 0 and variance 1 to themselves.
    "selu": _elu(1.6732632423543772848170429916717, 1.0507009873554804934193349852946),
    "celu": _elu(),
    "gelu": _gated(
        formula="h Φ(h)", low=-0.16997120747990369,
        gate=lambda h: _special.ndtr(h),  # SciPy is loaded when it is called
        slope=lambda h, gate: (
            np.exp(h * h * h.dtype.type(-0.5)) * h.dtype.type(1 / math.sqrt(2 * math.pi))
        ),
    ),
    "gelu_tanh": _gated(
        formula="h (1 + tanh(√(2/π) (h + 0.044715 h³))) / 2", gate=_tanh_gate,
        slope=_tanh_gate_slope, low=-0.17004075057125412,
    ),
    "quick_gelu": _silu(1.702),
    "silu": _silu(),
    "mish": _gated(
        formula="h tanh(softplus(h))", gate=lambda h: np.tanh(_softplus(h)),
        slope=lambda h, gate: (1 - gate * gate) * _logistic(h), low=-0.30884341301725,
    ),
    "softplus": Activation(
        formula="log(1 + exp(h))", phi=_softplus, derivative=_logistic, bounds=(0.0, math.inf),
    ),
    "softsign": Activation(
        formula="h / (1 + |h|)", phi=lambda h: h / (1 + np.abs(h)),
        derivative=lambda h: (1 + np.abs(h)) ** -2.0, kinks=(0.0,), bounds=(-1.0, 1.0),
    ),
    "sigmoid": Activation(
        formula="1 / (1 + exp(-h))", phi=_logistic,
        derivative=lambda h: _logistic(h) * _logistic(-h), bounds=(0.0, 1.0),
        shared=_sigmoid_and_slope,
    ),
    "tanh": Activation(
        formula="tanh(h)", phi=np.tanh, derivative=lambda h: 1 - np.tanh(h) ** 2,
        bounds=(-1.0, 1.0), shared=_tanh_and_slope,
    ),
    "hardtanh": Activation(
        formula="h within ±1", phi=lambda h: np.clip(h, -1, 1),
        derivative=lambda h: _inside(h, -1, 1), kinks=(-1.0, 1.0), bounds=(-1.0, 1.0), flat=True,
    ),
    "hardswish": Activation(
        formula="h min(max(h + 3, 0), 6) / 6",
        phi=lambda h: h * np.clip(h + 3, 0, 6) / h.dtype.type(6),
        derivative=lambda h: _where(
            h >= 3, np.ones_like(h), _where(h > -3, h / h.dtype.type(3) + h.dtype.type(0.5), 0.0)
        ),
        kinks=(-3.0, 3.0), bounds=(-0.375, math.inf), flat=True,
    ),
    "relu6": Activation(
        formula="min(max(h, 0), 6)", phi=lambda h: np.clip(h, 0, 6),
        derivative=lambda h: _inside(h, 0, 6), kinks=(0.0, 6.0), bounds=(0.0, 6.0), flat=True,
    ),
    "relu2": Activation(
        formula="max(h, 0)²", phi=lambda h: np.maximum(h, 0) ** 2,
        derivative=lambda h: 2 * np.maximum(h, 0), kinks=(0.0,), bounds=(0.0, math.inf), flat=True,
    ),
    "abs": Activation(
        formula="|h|", phi=np.abs, derivative=np.sign, kinks=(0.0,), bounds=(0.0, math.inf),
        homogeneous=True,
    ),
    "sin": Activation(formula="sin(h)", phi=np.sin, derivative=np.cos, bounds=(-1.0, 1.0)),
    "erf": Activation(
        formula="erf(h)",
        phi=lambda h: _special.erf(h),  # SciPy is loaded when it is called
        derivative=lambda h: h.dtype.type(2 / math.sqrt(math.pi)) * np.exp(-h * h),
        bounds=(-1.0, 1.0),
    ),
}  # fmt: skip
"""Every activation by name."""


PARAMETRIC: dict[str, Callable[[float], Activation]] = {
    "leaky_relu": _leaky_relu,
    "elu": _elu,
    "celu": lambda alpha: _elu(alpha, stretch=alpha),  # smooth for every alpha: Barron (2017)
}
"""Activations with a parameter, such as leaky_relu(0.2), elu(1.5) and celu(2)."""


ALIASES = {
    "linear": "identity",
    "swish": "silu",
    "leakyrelu": "leaky_relu",
    "relu_squared": "relu2",
}
"""Other names of activations."""
