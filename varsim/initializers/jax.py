"""Initializers of JAX: ``jax.nn.initializers.*``."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from varsim.compute import lazy
from varsim.initializers import Adapter, Drawer, Function, RawWeights, seed_from
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

jax = lazy("jax")


class _Jax(Adapter):
    name = "jax"
    prefix = "jax.nn.initializers."
    layer_modules = ("equinox.nn.", "haiku.")
    reserved: ClassVar = {"dtype": "leave it out, and take --dtype float32 or float64: W is real"}
    examples: ClassVar = {
        "jax.nn.initializers.variance_scaling": (
            'jax.nn.initializers.variance_scaling(distribution="normal", mode="fan_in", scale=1)'
        )
    }

    @cached_property
    def functions(self) -> dict[str, Function]:
        members = inspect.getmembers(jax.nn.initializers, inspect.isfunction)
        return {self.prefix + name: function for name, function in members if name[0] != "_"}

    def leading(self, function: Function) -> int:
        """Return 3 for an initializer such as ``zeros``: key, shape, dtype. Else 0."""
        return 3 if next(iter(inspect.signature(function).parameters), "") == "key" else 0

    def drawer(self, call: Call, function: Function) -> Drawer:
        is_initializer = self.leading(function) > 0

        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            with enabled(dtype):
                key = jax.random.fold_in(jax.random.key(seed_from(rng, 32)), seed_from(rng, 32))
                if is_initializer:
                    return RawWeights(function(key, shape, dtype, *call.positional, **call.options))
                return RawWeights(function(*call.positional, **call.options)(key, shape, dtype))

        return draw


def enabled(dtype: np.dtype[np.floating]) -> AbstractContextManager[object]:
    """Return a context in which JAX has a dtype; by default it has no float64."""
    if dtype.name == "float32":
        return nullcontext()
    # Older versions have it in jax.experimental.
    module = jax if hasattr(jax, "enable_x64") else import_module("jax.experimental")
    context: AbstractContextManager[object] = module.enable_x64(True)
    return context


ADAPTER = _Jax()
