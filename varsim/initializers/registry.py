"""The registry: initializers by name; a search loads no framework."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.errors import InputError, near, quoted
from varsim.initializers import theory
from varsim.initializers.adapter import Adapter
from varsim.initializers.documented import names
from varsim.initializers.initializer import Initializer, load_adapter
from varsim.parsing import parse_call
from varsim.usercode import reraise_as_input_error

# The beginnings of layers' names without a module.
_LAYER_PREFIXES = ("conv", "dense", "embedding")


def adapters() -> dict[str, Adapter]:
    """Return the adapters of all frameworks by name; loads no framework."""
    return {name: load_adapter(name) for name in FRAMEWORKS}


def patterns() -> list[str]:
    """Return the patterns of all names.

    >>> patterns()[0], patterns()[-1]
    ('orthogonal', 'module:function')
    """
    known = [pattern for adapter in adapters().values() for pattern in adapter.patterns]
    return [*theory.INITIALIZERS, *known, "module:function"]


@cache
def find(text: str) -> Initializer:
    """Return the initializer of a text, with its name checked; loads no framework.

    The text is the name of a built-in or of a framework's initializer, or ``module:function`` for
    a function ``f(rng, shape)``; with arguments as in ``orthogonal(gain=2)``.

    Raises:
        InputError: The text is not a call, or the name is unknown.

    >>> find("sparse( std=1, sparsity=1/2 )").text
    'sparse(sparsity=0.5, std=1)'
    """
    call = parse_call(text)
    if str(call) != text:
        return find(str(call))
    if ":" in call.name:
        return Initializer(call, "user")
    if call.name in theory.INITIALIZERS:
        return Initializer(call, "varsim")
    for framework, adapter in adapters().items():
        if call.name in adapter.layers or call.name.startswith(adapter.prefix):
            return Initializer(call, framework)
    if _is_layer(call.name):
        raise InputError(
            f"{call.name} is not an initializer, and W must be two-dimensional; write a function "
            "f(rng, shape) that returns its weight, reshaped to shape = (D, fan-out), and give it "
            "as module:function"
        )
    raise InputError(f"initializer {quoted(call.name)} is unknown; {_nearest(call.name)}")


def _nearest(name: str) -> str:
    """Return a hint: the full names with that ending, or the nearest, or the patterns of all."""
    known, word = names(), _plain(name)
    same = [full for full in known if _plain(full) == word]
    if same := same or [full for full in known if word and _plain(full).startswith(word)]:
        return f"write {' or '.join(same)}"
    close = near(word, map(_plain, known), least=0.8)
    if close is None:
        module, dot, function = name.rpartition(".")
        is_users = dot and not name.startswith(FRAMEWORKS)
        advice = f"write {module}:{function} for a function of your own; " if is_users else ""
        return f"{advice}known are {', '.join(patterns())}"
    return f"did you mean {' or '.join(full for full in known if _plain(full) == close)}?"


def _plain(name: str) -> str:
    """Return a name without module, case and underscores: HeNormal and he_normal are one."""
    return name.rpartition(".")[2].lower().replace("_", "")


def _is_layer(name: str) -> bool:
    """Return whether a name looks like a layer, and not like a misspelt initializer."""
    modules = tuple(module for a in adapters().values() for module in a.layer_modules)
    known = [layer for adapter in adapters().values() for layer in adapter.layers]
    is_class = name.rpartition(".")[2][:1].isupper()
    if name.startswith(modules):
        return is_class and near(name, known, least=0.9) is None
    return _plain(name).startswith(_LAYER_PREFIXES)


def installed() -> Iterator[str]:
    """Yield the canonical name of every initializer, with example arguments where it needs some.

    All frameworks are loaded; :func:`unloadable` ones are left out.
    """
    yield from theory.INITIALIZERS
    for adapter in (load_adapter(name) for name in frameworks() if name not in unloadable()):
        for name in dict.fromkeys(map(adapter.canonical_name, adapter.functions)):
            yield adapter.examples.get(name, name)


@cache
def unloadable() -> dict[str, str]:
    """Return the error of each installed framework that cannot be loaded."""
    reasons = {}
    for framework in frameworks():
        try:
            with reraise_as_input_error(str):
                load_adapter(framework).functions  # noqa: B018  # loads it
        except InputError as error:
            reasons[framework] = str(error)
    return reasons
