"""One W: found by its name, drawn from a random stream, and checked."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.calls import Call, parse
from varsim.catalog.dtypes import FLOAT_TYPES
from varsim.compute import OneThread, limit_blas
from varsim.compute.provenance import frameworks
from varsim.initializers import builtin, jax, keras, torch, user
from varsim.initializers.adapter import FloatArray, Maker, first_line
from varsim.parsing import InputError

_FINDERS: dict[str, Callable[[Call], Maker]] = {
    "torch": torch.find,
    "jax": jax.find,
    "keras": keras.find,
}


class Weights(NamedTuple):
    """What an initializer made.

    Attributes:
        weights: W, of shape (D, n).
        bias: Of shape (n,), or None where there is none.
    """

    weights: FloatArray
    bias: FloatArray | None


def package(init: str) -> str | None:
    """Return the framework of an initializer, with its version; None where it is of none.

    Does not load it, but names what Keras computes with once that is loaded.

    >>> package("orthogonal(gain=2)") is None
    True
    """
    framework = _framework(parse(init))
    if framework is None:
        return None
    version = f"{framework} {_version(framework)}"
    if framework == "keras" and framework in sys.modules:
        return f"{version} on {keras.backend()} {_version(keras.backend())}"
    return version


@cache
def find(init: str) -> Maker:
    """Return the initializer of a name; loads the framework that it is of.

    Raises:
        InputError: There is none, or the framework is not installed.
    """
    call = parse(init)
    framework = _framework(call)
    if framework is None:
        return user.find(call) if ":" in call.name else builtin.find(call)
    try:
        return _FINDERS[framework](call)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001  # not our code: a library that is missing, a setting
        raise InputError(
            f"{call.name} needs {framework}, which cannot be loaded ({first_line(error)}); "
            + _remedy(framework)
        ) from None


def draw(
    init: str, rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
) -> Weights:
    """Return W, and the bias if there is one, as an initializer makes them.

    Args:
        init: Its name, with arguments.
        rng: The random stream; frameworks take a seed from it.
        shape: (D, n).
        dtype: Of the arrays.

    Raises:
        InputError: It fails, or makes something else.
    """
    make = find(init)
    with _one_blas_thread, torch.one_thread():
        try:
            made = make(rng, shape, dtype)
            weights = np.asarray(made.weights)  # which is their code as well
        except (Exception, SystemExit) as error:  # noqa: BLE001  # not our code
            raise InputError(
                f"{init} fails for shape {shape}: {first_line(error)}; correct it or its arguments"
            ) from None
        bias = None if made.bias is None else _checked(init, made.bias, shape[1:], dtype)
        return Weights(_checked(init, weights, shape, dtype), bias)


def check(init: str, rng: Callable[[], Generator], shape: tuple[int, int], dtype: str) -> None:
    """Check that an initializer can be used, and that all it draws comes from the stream.

    Args:
        init: Its name, with arguments.
        rng: Gives a random stream, the same every time.
        shape: (D, n).
        dtype: Of the arrays.

    Raises:
        InputError: It cannot.
    """
    before = _loaded()
    first = draw(init, rng(), shape, np.dtype(dtype)).weights.copy()
    if before != _loaded():  # it loads what it needs, which had all threads the first time
        first = draw(init, rng(), shape, np.dtype(dtype)).weights.copy()
    if not np.array_equal(first, draw(init, rng(), shape, np.dtype(dtype)).weights):
        raise InputError(
            f"{init} gives other numbers when it is called again with the same rng; draw all of "
            "them from the rng that it is given"
        )


def _checked(
    init: str, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[np.floating]
) -> FloatArray:
    """Return an array of the wanted shape and type, or raise an InputError."""
    if array.shape != shape:
        turned = "; transpose it" if array.shape == shape[::-1] else ""
        raise InputError(
            f"{init} makes the shape {array.shape}, not {shape}, which is (fan-in, fan-out){turned}"
        )
    if not np.issubdtype(array.dtype, np.number) and array.dtype.name != "bfloat16":
        raise InputError(f"{init} makes {array.dtype}, not numbers; return an array of floats")
    if np.iscomplexobj(array):
        raise InputError(f"{init} makes complex numbers; return an array of floats")
    most = FLOAT_TYPES[dtype.name].largest
    # A comparison with NaN is false; float16 does not hold the bound itself.
    if not (-most <= float(array.min()) and float(array.max()) <= most):
        raise InputError(
            f"{init} makes NaN, infinity or numbers beyond {most:g}, where {dtype} is safe; give "
            "milder arguments"
        )
    result: FloatArray = array.astype(dtype, copy=False)
    return result


def _remedy(framework: str) -> str:
    if framework not in frameworks():
        return f"run: pip install 'varsim[{framework}]'"
    if framework == "keras" and (chosen := os.environ.get("KERAS_BACKEND")):
        return f"its backend is to be {chosen!r}: install that, or set KERAS_BACKEND to another"
    return "install it anew"


def _framework(call: Call) -> str | None:
    first = call.name.partition(".")[0]
    return first if ":" not in call.name and first in _FINDERS else None


@cache
def _version(framework: str) -> str:
    from importlib import metadata  # as slow to load as all of this

    try:
        return metadata.version(framework)
    except metadata.PackageNotFoundError:
        return "of unknown version"


def _loaded() -> frozenset[str]:
    """Return which libraries with threads of their own are loaded."""
    return _LIBRARIES.intersection(sys.modules)


# All that an initializer may compute with is held to one thread, and NumPy's BLAS is not the only:
# the last digits of a decomposition depend on the number of threads.
_LIBRARIES = frozenset({"scipy.linalg", "torch", "jax", "tensorflow"})
_one_blas_thread = OneThread(lambda: limit_blas(_loaded()))
