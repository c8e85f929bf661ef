"""Which initializers there are: ours, and those of the frameworks that are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

from varsim.provenance import frameworks
from varsim.weights import builtin, of_jax, of_keras, of_torch

_EXAMPLES = {
    "torch.nn.init.sparse_": "torch.nn.init.sparse_(0.1)",
    "jax.nn.initializers.variance_scaling": (
        'jax.nn.initializers.variance_scaling(1, "fan_in", "normal")'
    ),
}
"""Arguments where there are no defaults for them."""


def installed() -> Iterator[str]:
    """Yield every initializer by one name; loads the frameworks, and leaves out what cannot be."""
    yield from builtin.DRAWS
    for framework in frameworks():
        names: list[str] = []
        with suppress(Exception):  # a framework fails in any way where a part of it is missing
            names = list(_CATALOGUES[framework]())
        yield from (_EXAMPLES.get(name, name) for name in names)


def _torch() -> Iterator[str]:
    yield "torch.nn.Linear"
    yield from (of_torch.PREFIX + name for name in of_torch.names())


def _jax() -> Iterator[str]:
    import jax

    return _once(of_jax.PREFIX, of_jax.names(), jax.nn.initializers)


def _keras() -> Iterator[str]:
    names = of_keras.names()
    import keras

    return _once(of_keras.PREFIX, names, keras.initializers)


def _once(prefix: str, names: list[str], module: Any) -> Iterator[str]:
    """Yield one name of each thing: its own where it is among them."""
    aliases: dict[int, list[str]] = {}
    for name in names:
        aliases.setdefault(id(getattr(module, name)), []).append(name)
    for same in aliases.values():
        own = getattr(module, same[0]).__name__
        yield prefix + (own if own in same else same[0])


_CATALOGUES: dict[str, Callable[[], Iterator[str]]] = {
    "torch": _torch,
    "jax": _jax,
    "keras": _keras,
}
