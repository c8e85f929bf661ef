"""Activations φ with their derivatives, as frameworks define them.

Every function maps an array to a new array of the same shape and dtype. At a kink the derivative
takes the value from one side; with continuous inputs that has probability 0.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]

# Klambauer et al. (2017), eq. 14: they map mean 0 and variance 1 to themselves.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation.

    Attributes:
        formula: φ(h), for people.
        phi: φ.
        derivative: φ′.
        kinks: Where φ or one of its derivatives jumps; quadrature splits there.
        bounds: Infimum and supremum of φ.
        homogeneous: Whether φ(c h) = c φ(h) for every c > 0.
        flat: Whether φ′ = 0 on some interval: units there are dead.
    """

    formula: str
    phi: Callable[[FloatArray], FloatArray]
    derivative: Callable[[FloatArray], FloatArray]
    kinks: tuple[float, ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)
    homogeneous: bool = False
    flat: bool = False

    @property
    def bounded(self) -> bool:
        """Whether φ has both bounds."""
        return all(map(math.isfinite, self.bounds))


def _step(h: FloatArray) -> FloatArray:
    return (h > 0).astype(h.dtype)


def _inside(h: FloatArray, low: float, high: float) -> FloatArray:
    return ((h > low) & (h < high)).astype(h.dtype)


def _where(condition: NDArray[np.bool_], yes: FloatArray, no: FloatArray | float) -> FloatArray:
    result: FloatArray = np.where(condition, yes, np.asarray(no, yes.dtype))
    return result


def _logistic(h: FloatArray) -> FloatArray:
    # By tanh, which neither overflows nor cancels.
    half = h.dtype.type(0.5)
    return half + half * np.tanh(half * h)


def _erf(h: FloatArray) -> FloatArray:
    from scipy.special import erf  # takes a quarter of a second to load

    result: FloatArray = erf(h)
    return result


def _normal_cdf(h: FloatArray) -> FloatArray:
    from scipy.special import ndtr

    result: FloatArray = ndtr(h)
    return result


def _normal_pdf(h: FloatArray) -> FloatArray:
    return np.exp(h * h * h.dtype.type(-0.5)) * h.dtype.type(1 / math.sqrt(2 * math.pi))


def _leaky_relu(slope: float = 0.01) -> Activation:
    """Maas et al. (2013)."""
    return Activation(
        f"max(h, {slope:g} h)" if slope <= 1 else f"h or {slope:g} h below 0",
        lambda h: _where(h > 0, h, h * h.dtype.type(slope)),
        lambda h: _where(h > 0, np.ones_like(h), slope),
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
        f"{factor}(h, or {alpha:.4g} (exp({inner}) - 1) below 0)",
        phi,
        derivative,
        kinks=(0.0,),
        bounds=(-alpha * scale, math.inf),
    )


def _celu(alpha: float = 1.0) -> Activation:
    """Barron (2017): an ELU whose derivative is continuous for every alpha."""
    return _elu(alpha, 1.0, alpha)


def _gated(
    formula: str,
    gate: Callable[[FloatArray], FloatArray],
    slope: Callable[[FloatArray, FloatArray], FloatArray],
    low: float,
) -> Activation:
    """H · gate(h), with slope(h, gate(h)) the derivative of the gate."""

    def derivative(h: FloatArray) -> FloatArray:
        open_ = gate(h)
        return open_ + h * slope(h, open_)

    return Activation(formula, lambda h: h * gate(h), derivative, bounds=(low, math.inf))


def _silu(steepness: float = 1.0) -> Activation:
    """H · sigmoid(steepness h): Elfwing et al. (2018), eq. 3; 1.702 is Hendrycks & Gimpel's."""
    return _gated(
        "h sigmoid(h)" if steepness == 1 else f"h sigmoid({steepness:g} h)",
        lambda h: _logistic(h * h.dtype.type(steepness)),
        lambda h, s: s * (1 - s) * h.dtype.type(steepness),
        low=-0.2784645427610738 / steepness,
    )


def _tanh_gate(h: FloatArray) -> FloatArray:
    half, root = h.dtype.type(0.5), h.dtype.type(math.sqrt(2 / math.pi))
    return half + half * np.tanh(root * (h + h.dtype.type(0.044715) * h * h * h))


def _tanh_gate_slope(h: FloatArray, gate: FloatArray) -> FloatArray:
    root = h.dtype.type(math.sqrt(2 / math.pi))
    return 2 * gate * (1 - gate) * root * (1 + h.dtype.type(3 * 0.044715) * h * h)


def _softplus(h: FloatArray) -> FloatArray:
    return np.logaddexp(h, h.dtype.type(0))


def _mish_slope(h: FloatArray, gate: FloatArray) -> FloatArray:
    return (1 - gate * gate) * _logistic(h)


def _hard_swish_derivative(h: FloatArray) -> FloatArray:
    middle = h / h.dtype.type(3) + h.dtype.type(0.5)
    return _where(h >= 3, np.ones_like(h), _where(h > -3, middle, 0.0))


ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation("h", np.copy, np.ones_like, homogeneous=True),
    "relu": Activation(
        "max(h, 0)", lambda h: np.maximum(h, 0), _step, (0.0,), (0.0, math.inf), True, True
    ),
    "leaky_relu": _leaky_relu(),
    "elu": _elu(),
    "selu": _elu(_SELU_ALPHA, _SELU_SCALE),
    "celu": _celu(),
    "gelu": _gated("h Φ(h)", _normal_cdf, lambda h, gate: _normal_pdf(h), -0.16997120747990369),
    "gelu_tanh": _gated(
        "h (1 + tanh(√(2/π) (h + 0.044715 h³))) / 2",
        _tanh_gate,
        _tanh_gate_slope,
        -0.17004075057125412,
    ),
    "quick_gelu": _silu(1.702),
    "silu": _silu(),
    "mish": _gated(
        "h tanh(softplus(h))",
        lambda h: np.tanh(_softplus(h)),
        _mish_slope,
        -0.30884341301725,
    ),
    "softplus": Activation("log(1 + exp(h))", _softplus, _logistic, bounds=(0.0, math.inf)),
    "softsign": Activation(
        "h / (1 + |h|)", lambda h: h / (1 + np.abs(h)), lambda h: (1 + np.abs(h)) ** -2.0,
        (0.0,), (-1.0, 1.0),
    ),
    "sigmoid": Activation(
        "1 / (1 + exp(-h))", _logistic, lambda h: _logistic(h) * _logistic(-h), bounds=(0.0, 1.0)
    ),
    "tanh": Activation("tanh(h)", np.tanh, lambda h: 1 - np.tanh(h) ** 2, bounds=(-1.0, 1.0)),
    "hardtanh": Activation(
        "h within ±1", lambda h: np.clip(h, -1, 1), lambda h: _inside(h, -1, 1), (-1.0, 1.0),
        (-1.0, 1.0), flat=True,
    ),
    "hardswish": Activation(
        "h min(max(h + 3, 0), 6) / 6", lambda h: h * np.clip(h + 3, 0, 6) / h.dtype.type(6),
        _hard_swish_derivative, (-3.0, 3.0), (-0.375, math.inf), flat=True,
    ),
    "relu6": Activation(
        "min(max(h, 0), 6)", lambda h: np.clip(h, 0, 6), lambda h: _inside(h, 0, 6), (0.0, 6.0),
        (0.0, 6.0), flat=True,
    ),
    "relu2": Activation(
        "max(h, 0)²", lambda h: np.maximum(h, 0) ** 2, lambda h: 2 * np.maximum(h, 0), (0.0,),
        (0.0, math.inf), flat=True,
    ),
    "abs": Activation("|h|", np.abs, np.sign, (0.0,), (0.0, math.inf), homogeneous=True),
    "sin": Activation("sin(h)", np.sin, np.cos, bounds=(-1.0, 1.0)),
    "erf": Activation(
        "erf(h)", _erf, lambda h: h.dtype.type(2 / math.sqrt(math.pi)) * np.exp(-h * h),
        bounds=(-1.0, 1.0),
    ),
}  # fmt: skip
"""Every activation by its name."""

PARAMETRIC: dict[str, Callable[[float], Activation]] = {
    "leaky_relu": _leaky_relu,
    "elu": partial(_elu, scale=1.0),
    "celu": _celu,
}
"""Activations that take a parameter: leaky_relu(0.2), elu(1.5), celu(2)."""

ALIASES = {
    "linear": "identity",
    "swish": "silu",
    "leakyrelu": "leaky_relu",
    "relu_squared": "relu2",
}
"""Further names."""

_CALL = re.compile(r"(\w+)\(([^()]*)\)")


def find_activation(text: str) -> Activation:
    """Return the activation that a text names.

    Args:
        text: A name; one with its parameter, such as ``leaky_relu(0.2)``; or ``module:function``
            for a function of one's own, with ``module:function:derivative`` where its derivative
            is one too. It maps float64 arrays to arrays of the same shape.

    Raises:
        KeyError: The name is unknown.
        ValueError: The parameter is not one, or the function cannot be used: a sentence why.

    >>> find_activation("leaky_relu(0.2)").phi(np.array([-1.0, 3.0]))
    array([-0.2,  3. ])
    """
    if ":" in text:
        return _own(*text.split(":"))
    call = _CALL.fullmatch(text)
    name = call[1] if call else text
    name = ALIASES.get(name.lower(), name.lower())
    if call is None:
        return ACTIVATIONS[name]
    if name not in PARAMETRIC:
        takers = ", ".join(PARAMETRIC)
        raise ValueError(f"{text!r} has a parameter, and only {takers} take one; leave it out")
    try:
        parameter = float(call[2])
    except ValueError:
        parameter = math.nan
    if not math.isfinite(parameter) or (parameter <= 0 and name == "celu"):
        raise ValueError(f"{text!r} has no number as its parameter; write it like {name}(0.2)")
    return PARAMETRIC[name](parameter)


def _own(module: str, function: str, derivative: str = "", *rest: str) -> Activation:
    text = ":".join(filter(None, [module, function, derivative, *rest]))
    if rest:
        raise ValueError(f"{text!r} has too many parts; write module:function[:derivative]")
    phi = _wrapped(text, _loaded(text, module, function))
    if derivative:
        return Activation(text, phi, _wrapped(text, _loaded(text, module, derivative)))
    return Activation(text, phi, partial(_difference, phi))


def _loaded(text: str, module: str, name: str) -> Callable[[FloatArray], FloatArray]:
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{text!r} cannot be loaded: {error}") from None
    if not callable(found):
        raise ValueError(f"{text!r} is no function: {name} is {type(found).__name__}")
    return found  # type: ignore[no-any-return]


def _wrapped(
    text: str, function: Callable[[FloatArray], FloatArray]
) -> Callable[[FloatArray], FloatArray]:
    """Return a function of the user's own, checked on its first array and held to dtypes."""

    def checked(h: FloatArray) -> FloatArray:
        try:
            values = np.asarray(function(h))
        except Exception as error:  # noqa: BLE001  # not our code
            raise ValueError(
                f"{text!r} fails on an array of {h.dtype}: {type(error).__name__}: {error}"
            ) from None
        if values.shape != h.shape or not np.issubdtype(values.dtype, np.number):
            raise ValueError(
                f"{text!r} maps shape {h.shape} to {values.shape}; it must keep shapes"
            )
        return values.astype(h.dtype, copy=False)

    return checked


def _difference(phi: Callable[[FloatArray], FloatArray], h: FloatArray) -> FloatArray:
    """Central differences, in float64: their error is about 1e-10."""
    exact = h.astype(np.float64)
    step = 6e-6 * np.maximum(1.0, np.abs(exact))
    slope: FloatArray = (phi(exact + step) - phi(exact - step)) / (2 * step)
    return slope.astype(h.dtype)
