"""Activations by text: a name, a name with a parameter, or a user's function."""

from __future__ import annotations

import math
from functools import cache, partial

import numpy as np

from varsim import synonyms
from varsim.activations.table import (
    ACTIVATIONS,
    ALIASES,
    PARAMETRIC,
    Activation,
    FloatArray,
    Function,
)
from varsim.errors import InputError, nearest, quoted, shortened
from varsim.parsing import parse_call
from varsim.usercode import load_function, plain_array, reraise_as_input_error


@cache
def canonical_name(text: str) -> str:
    """Return the canonical spelling of an activation; users' functions are not loaded.

    Raises:
        InputError: The name is unknown, or its parameter is not allowed.

    >>> canonical_name("Swish"), canonical_name("leaky_relu( 1/5 )"), canonical_name("elu(2.0)")
    ('silu', 'leaky_relu(0.2)', 'elu(2)')
    """
    text = text.strip()
    name, colon, parameter = text.partition(":")
    if colon and name.lower() in PARAMETRIC and parameter[:1] in "-.0123456789":
        raise InputError(f"{quoted(text)} is no activation; write {name}({parameter})")
    if colon:
        return text
    call = parse_call(text)
    name = ALIASES.get(call.name.lower(), call.name.lower())
    if name not in ACTIVATIONS:
        hint = nearest(call.name, [*ACTIVATIONS, *ALIASES], synonyms.ACTIVATIONS)
        raise InputError(f"activation {quoted(text)} is unknown; {hint}")
    if str(call) == call.name:
        return name
    if name not in PARAMETRIC:
        takers = ", ".join(PARAMETRIC)
        raise InputError(
            f"{quoted(text)} has a parameter, and only {takers} take one; leave it out"
        )
    value = call.parameter
    if value is None or (value <= 0 and name == "celu"):
        limit = "number above 0" if name == "celu" else "finite number"
        raise InputError(f"{name} takes one {limit} as its parameter; write {name}(0.2)")
    return f"{name}({repr(value).removesuffix('.0')})"


def find_activation(text: str) -> Activation:
    """Return an activation.

    Args:
        text: A name; a name with its parameter, such as ``leaky_relu(0.2)``; or
            ``module:function`` or ``module:function:derivative`` for users' functions, which map
            float arrays to float arrays of the same shape. The default derivative is by central
            differences.

    Raises:
        InputError: The name is unknown, its parameter is not allowed, or a function cannot be
            loaded.

    >>> find_activation("leaky_relu(0.2)").phi(np.array([-1.0, 3.0]))
    array([-0.2,  3. ])
    """
    if not isinstance(text, str):
        raise InputError(
            f"activation is {shortened(repr(text))}; give a name, such as 'tanh', or "
            "'module:function'"
        )
    return _activation(canonical_name(text))


@cache
def _activation(name: str) -> Activation:
    """Return an activation of a canonical name."""
    if ":" not in name:
        call = parse_call(name)
        parameter = call.parameter
        return ACTIVATIONS[name] if parameter is None else PARAMETRIC[call.name](parameter)
    module, function, *derivatives = name.split(":")
    if len(derivatives) > 1:
        raise InputError(f"{quoted(name)} has too many parts; write module:function[:derivative]")
    phi = _checked(f"{module}:{function}")
    derivative = (
        partial(_in_dtype, _checked(f"{module}:{derivatives[0]}"))
        if derivatives
        else partial(_central_difference, phi)
    )
    return Activation(formula=name, phi=partial(_in_dtype, phi), derivative=derivative)


def _in_dtype(function: Function, h: FloatArray) -> FloatArray:
    return function(h).astype(h.dtype)  # a copy: the function may return the same array again


def _checked(text: str) -> Function:
    """Return a user's function, with its shape checked and all its errors as InputErrors."""
    function = load_function(text)

    def checked(h: FloatArray) -> FloatArray:
        with reraise_as_input_error(
            lambda why: f"{text!r} fails on a NumPy array of {h.dtype}: {why}; correct it"
        ):
            values = plain_array(function(h.copy()))  # it may change its argument
        if values.shape != h.shape:
            raise InputError(
                f"{text!r} maps shape {h.shape} to {values.shape}; return the shape it is given"
            )
        if values.dtype.kind not in "fiu":  # by kind: timedelta64 is a subtype of integers
            raise InputError(f"{text!r} returns {values.dtype}; return an array of floats")
        return values

    return checked


def _central_difference(phi: Function, h: FloatArray) -> FloatArray:
    """Return the derivative by central differences, with an error of about 1e-10 in float64.

    The step is that for the precision of φ: JAX, for one, takes float64 and returns float32.
    """
    exact = h.astype(np.float64)
    given = phi(exact.ravel()[:1]).dtype
    rounding = np.finfo(given if given.kind == "f" else np.float64).eps
    factor = max(1.0, math.cbrt(float(rounding) / 2.0**-52))
    step = 6e-6 * factor * np.maximum(1.0, np.abs(exact))
    slope: FloatArray = (_in_dtype(phi, exact + step) - _in_dtype(phi, exact - step)) / (2 * step)
    return slope.astype(h.dtype)
