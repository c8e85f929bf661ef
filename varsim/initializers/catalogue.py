"""Which initializers there are: ours, and those of the frameworks that are installed."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from typing import Any

from varsim.calls import Call, parse
from varsim.compute.provenance import frameworks
from varsim.initializers import builtin, jax, keras, torch

EXAMPLES = {
    "torch.nn.init.sparse_": "torch.nn.init.sparse_(sparsity=0.1)",
    "jax.nn.initializers.variance_scaling": (
        'jax.nn.initializers.variance_scaling(distribution="normal", mode="fan_in", scale=1)'
    ),
}
"""Arguments where there are no defaults for them."""

_LINEAR = "torch.nn.Linear"


_FRAMEWORKS = {
    "torch": (torch.PREFIX, torch.names),
    "jax": (jax.PREFIX, jax.names),
    "keras": (keras.PREFIX, keras.names),
}

# What an initializer is called with before the arguments that it is asked for with.
_BEFORE = {"tensor": 1, "key": 3}


def installed() -> Iterator[str]:
    """Yield every initializer by one name; loads the frameworks."""
    yield from builtin.DRAWS
    for framework in frameworks():
        if framework not in unloadable():
            yield from [_LINEAR] if framework == "torch" else []
            for name in dict.fromkeys(_one_name(framework, n) for n in _things(framework)):
                yield EXAMPLES.get(name, name)


@cache
def unloadable() -> dict[str, str]:
    """Return why frameworks that are installed cannot be loaded, where they cannot."""
    reasons = {}
    for framework in frameworks():
        try:
            _things(framework)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a module can fail in any way
            reasons[framework] = f"{type(error).__name__}: {error}".partition("\n")[0]
    return reasons


def plain(init: str) -> Call:
    """Return what is asked of an initializer: arguments by name, less those at their defaults.

    Under its one name in :func:`installed`; loads the framework that it is of.

    >>> str(plain("orthogonal(gain=1)")), str(plain("sparse(0.5)"))
    ('orthogonal', 'sparse(sparsity=0.5)')
    """
    call = parse(init)
    framework = call.name.partition(".")[0]
    if ":" in call.name:
        return call
    if call.name == _LINEAR:  # varsim's, which makes no bias by default
        return Call(_LINEAR, (), (("bias", True),) if call.options.get("bias") else ())
    if framework not in _FRAMEWORKS:
        return Call(call.name, (), _given(call, builtin.DRAWS[call.name], 2))
    thing = _things(framework)[call.name]
    before = _BEFORE.get(next(iter(inspect.signature(thing).parameters), ""), 0)
    return Call(_one_name(framework, call.name), (), _given(call, thing, before))


def _things(framework: str) -> dict[str, Any]:
    """Return what a framework has, by its names; aliases are several names of one thing."""
    prefix, names = _FRAMEWORKS[framework]
    found = names()  # which loads it
    module = import_module(prefix.rstrip("."))
    return {prefix + name: getattr(module, name) for name in found}


def _one_name(framework: str, name: str) -> str:
    """Return the name that a thing gives itself, where it has that, else the first of its names."""
    things = _things(framework)
    same = [other for other, thing in things.items() if thing is things[name]]
    own = _FRAMEWORKS[framework][0] + things[name].__name__
    return own if own in same else same[0]


def _given(call: Call, thing: Any, before: int) -> tuple[tuple[str, Any], ...]:
    """Return the arguments of a call by their names, less those at their defaults."""
    signature = inspect.signature(thing)
    bound = signature.bind_partial(*[None] * before, *call.positional, **call.options)
    given = list(bound.arguments.items())[before:]
    return tuple(sorted((k, v) for k, v in given if v != signature.parameters[k].default))
