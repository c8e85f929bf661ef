"""Initializers of Keras, as installed: ``keras.initializers.*``, on the backend that is set."""

from __future__ import annotations

import inspect
import json
import os
import sys
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from varsim.calls import Call
from varsim.initializers.adapter import (
    Made,
    Maker,
    check_arguments,
    refuse_seeds,
    seed_of,
    unknown,
)
from varsim.initializers.jax import wide

PREFIX = "keras.initializers."

_BACKENDS = ("tensorflow", "jax", "torch", "numpy")


def names() -> list[str]:
    """Return the names of the classes of initializers, with their aliases."""
    return [name for name in dir(_initializers()) if name[0] != "_" and _class(name)]


def find(call: Call) -> Maker:
    """Return the initializer that a call names.

    Keras takes seeds of 32 bits.

    Raises:
        InputError: There is none, or it takes other arguments.
    """
    refuse_seeds(call, "seed")
    kind = _class(call.name.removeprefix(PREFIX))
    if kind is None:
        raise unknown(call, PREFIX, names())
    check_arguments(call, kind)
    seeded = "seed" in inspect.signature(kind).parameters
    import keras

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        seed = {"seed": seed_of(rng, 32)} if seeded else {}
        with _wide(dtype):
            made = kind(*call.positional, **call.options, **seed)(shape, dtype=dtype.name)
            return Made(keras.ops.convert_to_numpy(made))

    return make


def backend() -> str:
    """Return what Keras computes with."""
    _choose_backend()
    import keras

    return str(keras.backend.backend())


def _initializers() -> Any:
    _choose_backend()
    import keras

    return keras.initializers


def _class(name: str) -> Any:
    base, kind = _initializers().Initializer, getattr(_initializers(), name, None)
    return kind if isinstance(kind, type) and issubclass(kind, base) and kind is not base else None


def _choose_backend() -> None:
    """Set a backend that is installed, where none was chosen but Keras' own default."""
    if "keras" in sys.modules or os.environ.get("KERAS_BACKEND"):
        return
    home = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser()
    try:
        configured = json.loads((home / "keras.json").read_text()).get("backend", _BACKENDS[0])
    except (OSError, ValueError, AttributeError):
        configured = _BACKENDS[0]
    installed = [name for name in _BACKENDS if find_spec(name)]
    if configured not in installed:
        os.environ["KERAS_BACKEND"] = installed[0]  # NumPy, at the least


def _wide(dtype: np.dtype[np.floating]) -> AbstractContextManager[Any]:
    return wide(dtype) if backend() == "jax" else nullcontext()
