"""Initializers of Keras: ``keras.initializers.*``, on its current backend."""

from __future__ import annotations

import inspect
import json
import os
import random
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from varsim.compute import lazy
from varsim.compute.provenance import frameworks
from varsim.initializers import Adapter, Drawer, Function, RawWeights, seed_from, versioned
from varsim.initializers.jax import enabled
from varsim.initializers.keras_modules import LAYOUTS, array, build, named_weights
from varsim.initializers.layouts import Found, OpenSizes
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")

keras = lazy("keras")

# Python's stream is one for all threads.
_global_stream = threading.Lock()

_BACKENDS = ("tensorflow", "jax", "torch", "numpy")


class _Keras(Adapter):
    name = "keras"
    prefix = "keras.initializers."
    modules: ClassVar = {f"keras.layers.{name}": layouts for name, layouts in LAYOUTS.items()}
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
            with _with_dtype(dtype.name):
                initializer = function(*call.positional, **call.options, **seed)
                weights = initializer(shape, dtype=dtype.name)
                return RawWeights(keras.ops.convert_to_numpy(weights))

        return draw

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Let initializers take their seeds from a seed: they draw them from Python's stream."""
        with _global_stream:
            before = random.getstate()
            random.seed(seed)
            try:
                yield
            finally:
                random.setstate(before)

    def construct(self, call: Call, sizes: OpenSizes, seed: int, dtype: str) -> object:  # noqa: ARG002
        """Return the layer of a call, with weights for a number of inputs."""
        _choose_backend()
        kind = getattr(keras.layers, call.name.rpartition(".")[2])
        with _with_dtype(dtype):
            layer = kind(*call.positional, **{"dtype": dtype, **call.options})
            build(layer, sizes.inputs or 1)
        return layer

    def open_sizes(self, sizes: OpenSizes) -> OpenSizes:
        """Return all sizes: the arguments of a layer do not have its number of inputs."""
        return sizes

    def is_module(self, value: object) -> bool:
        """Return whether a value is a layer or a model."""
        return isinstance(value, keras.layers.Layer)

    def weights(self, module: Any, sizes: OpenSizes) -> dict[str, Found]:
        """Return the weights of a layer or a model, which is built."""
        return named_weights(module, sizes.lengths)

    def array(self, module: Any, name: str) -> FloatArray:
        """Return a weight of a layer."""
        values: FloatArray = array(module, name)
        return values

    def package(self) -> str:
        text = versioned(self.name)
        return f"{text} on {versioned(keras.backend.backend())}" if "keras" in sys.modules else text

    def remedy(self) -> str:
        chosen = os.environ.get("KERAS_BACKEND")
        if chosen and self.name in frameworks():
            return f"install its backend {chosen!r}, or set KERAS_BACKEND to another"
        return super().remedy()


def _with_dtype(dtype: str) -> AbstractContextManager[object]:
    """Return a context in which the backend has a dtype."""
    return enabled(np.dtype(dtype)) if keras.backend.backend() == "jax" else nullcontext()


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
