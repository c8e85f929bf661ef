"""Initializers of JAX, as installed: ``jax.nn.initializers.*``."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from typing import Any

import numpy as np
from numpy.random import Generator

from varsim.calls import Call
from varsim.initializers.adapter import Made, Maker, check_arguments, seed_of, unknown

PREFIX = "jax.nn.initializers."


def names() -> list[str]:
    """Return the names of the initializers and of their factories."""
    import jax

    found = (name for name in dir(jax.nn.initializers) if name[0] != "_")
    return [name for name in found if inspect.isfunction(getattr(jax.nn.initializers, name))]


def find(call: Call) -> Maker:
    """Return the initializer that a call names: made by a factory, or ready as ``zeros`` is.

    Raises:
        InputError: There is none, or it takes other arguments.
    """
    import jax

    name = call.name.removeprefix(PREFIX)
    if name not in names():
        raise unknown(call, PREFIX, names())
    function = getattr(jax.nn.initializers, name)
    is_ready = next(iter(inspect.signature(function).parameters), "") == "key"
    check_arguments(call, function, *[None] * (3 if is_ready else 0))

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        with wide(dtype):
            key = jax.random.fold_in(jax.random.key(seed_of(rng, 32)), seed_of(rng, 32))
            if is_ready:
                return Made(function(key, shape, dtype, *call.positional, **call.options))
            return Made(function(*call.positional, **call.options)(key, shape, dtype))

    return make


def wide(dtype: np.dtype[np.floating]) -> AbstractContextManager[Any]:
    """Return a context in which JAX makes arrays of that type, also where it is float64."""
    import jax

    if dtype == np.float32:
        return nullcontext()
    where: Any = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    context: AbstractContextManager[Any] = where.enable_x64(True)
    return context
