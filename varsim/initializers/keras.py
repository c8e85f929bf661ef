"""Initializers of Keras: ``keras.initializers.*``, on its current backend."""

from __future__ import annotations

import inspect
import json
import os
import sys
from contextlib import nullcontext
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from varsim.compute import lazy
from varsim.compute.provenance import frameworks
from varsim.initializers import Adapter, Drawer, Function, RawWeights, seed_from, versioned
from varsim.initializers.jax import enabled
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

keras = lazy("keras")

_BACKENDS = ("tensorflow", "jax", "torch", "numpy")


class _Keras(Adapter):
    name = "keras"
    prefix = "keras.initializers."
    layer_modules = ("keras.layers.", "tf.keras.layers.")
    reserved: ClassVar = {"seed": "leave it out"}

    @cached_property
    def functions(self) -> dict[str, Function]:
        _choose_backend()
        base = keras.initializers.Initializer
        members = inspect.getmembers(keras.initializers, inspect.isclass)
        classes = {self.prefix + k: v for k, v in members if issubclass(v, base) and k[0] != "_"}
        return {name: member for name, member in classes.items() if member is not base}

    def drawer(self, call: Call, function: Function) -> Drawer:
        has_seed = "seed" in inspect.signature(function).parameters

        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            seed = {"seed": seed_from(rng, 32)} if has_seed else {}  # Keras takes 32 bits
            with enabled(dtype) if keras.backend.backend() == "jax" else nullcontext():
                initializer = function(*call.positional, **call.options, **seed)
                weights = initializer(shape, dtype=dtype.name)
                return RawWeights(keras.ops.convert_to_numpy(weights))

        return draw

    def package(self) -> str:
        text = versioned(self.name)
        return f"{text} on {versioned(keras.backend.backend())}" if "keras" in sys.modules else text

    def remedy(self) -> str:
        chosen = os.environ.get("KERAS_BACKEND")
        if chosen and self.name in frameworks():
            return f"install its backend {chosen!r}, or set KERAS_BACKEND to another"
        return super().remedy()


def _choose_backend() -> None:
    """Choose an installed backend, unless the user chose one or Keras is loaded."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    try:
        configured = json.loads((home / "keras.json").read_text()).get("backend", _BACKENDS[0])
    except (OSError, ValueError, AttributeError):
        configured = _BACKENDS[0]
    installed = [name for name in _BACKENDS if find_spec(name)]
    if configured not in installed:
        os.environ["KERAS_BACKEND"] = installed[0]  # at least NumPy


ADAPTER = _Keras()
