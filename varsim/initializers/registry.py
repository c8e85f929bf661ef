"""The registry: initializers by name; a search loads no framework."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from varsim.compute.provenance import FRAMEWORKS, frameworks
from varsim.errors import InputError, near, quoted
from varsim.initializers import theory
from varsim.initializers.adapter import Adapter
from varsim.initializers.documented import names
from varsim.initializers.initializer import Initializer, load_adapter
from varsim.initializers.layouts import OpenSizes
from varsim.initializers.modules import ModuleWeight, build, parse_weight
from varsim.parsing import Call, parse_call
from varsim.usercode import load_function, reraise_as_input_error

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
    if (weight := _weight(text)) is not None:
        return weight if weight.text == text else find(weight.text)
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
        places = tuple(place for a in adapters().values() for place in a.layer_modules)
        modules = [name for adapter in adapters().values() for name in adapter.modules]
        alike = [name for name in modules if _plain(name) == _plain(call.name)]
        alike = [] if call.name.startswith(places) else alike
        raise InputError(
            f"{call.name} is no module whose weights varsim knows; "
            + (
                f"write {' or '.join(alike)}, with its sizes in brackets"
                if alike
                else "write a function f(rng, shape) that returns its weight as a matrix of shape "
                "(D, fan-out), and give it as module:function"
            )
        )
    raise InputError(f"initializer {quoted(call.name)} is unknown; {_nearest(call.name)}")


def _weight(text: str) -> ModuleWeight | None:
    """Return the weight that a text names, or the only one of a module; None for no module.

    Raises:
        InputError: The module is unknown, or has several weights.
    """
    parts = parse_weight(text)
    if parts is not None:
        call, name, sizes = parts
        framework = "user" if ":" in call.name else _framework_of(call)
        if framework is None:
            raise InputError(
                f"{call.name} has no weights that varsim knows; see varsim help modules"
            )
        return ModuleWeight(call, framework, name, sizes)
    call = parse_call(text)
    framework = _framework_of(call)
    if framework is None:
        return None
    layouts = load_adapter(framework).modules[call.name]
    every = [part for layout in layouts for part in layout.parts or (layout.parameter,)]
    if len(every) > 1:
        raise InputError(
            f"{call} has several weights; name one, as in {call}[{every[0]}]: {', '.join(every)}"
        )
    return ModuleWeight(call, framework, every[0])


def _framework_of(call: Call) -> str | None:
    """Return the framework whose module a call makes; None for an initializer."""
    is_sized = bool(call.positional) or not set(call.options) <= {"bias"}
    for framework, adapter in adapters().items():
        if call.name in adapter.modules and (is_sized or call.name not in adapter.layers):
            return framework
    return None


def weights(text: str, sizes: OpenSizes) -> list[ModuleWeight] | None:
    """Return every weight of a module, or None for the text of something else; loads its framework.

    Args:
        text: A call of a framework's module, or of a user's function without required arguments.
        sizes: Sizes that the arguments leave open.

    Raises:
        InputError: The module cannot be built, or has no weight with a known layout.
    """
    named = parse_weight(text)
    call = parse_call(text) if named is None else named[0]
    framework = _framework_of(call)
    if framework is None and ":" in call.name and (named or _is_factory(call)):
        framework = "user"
    if framework is None:
        return None
    if framework == "user":
        sizes = sizes._replace(inputs=None)
    else:
        sizes = load_adapter(framework).open_sizes(sizes)
    if named is not None:
        _, name, given = named
        sizes = OpenSizes(given.lengths or sizes.lengths, given.inputs or sizes.inputs)
        weight = ModuleWeight(call, framework, name, sizes)
        has_taps = weight.piece.taps is not None
        return [weight if has_taps else replace(weight, sizes=sizes._replace(lengths=None))]
    found = build(call, framework, sizes, 0, "float32").weights()
    convolutions = sum(each.piece.taps is not None for each in found.values())
    if framework == "user" and sizes.lengths and convolutions > 1:
        raise InputError(
            f"{call} has several convolutions, whose inputs differ in size; leave --input out, or "
            "name one weight"
        )
    if not found:
        raise InputError(
            f"{call} has no weights that varsim knows how to read; write a function f(rng, shape) "
            "that returns one as a matrix, and give it as module:function"
        )
    return [
        ModuleWeight(
            call, framework, name, sizes if each.piece.taps else sizes._replace(lengths=None)
        )
        for name, each in found.items()
    ]


def _is_factory(call: Call) -> bool:
    """Return whether a user's function takes these arguments alone, and not f(rng, shape)."""
    signature = inspect.signature(load_function(call.name))
    streams = {"rngs": None} if "rngs" in signature.parameters else {}
    return not _binds(signature, call, None, None) and _binds(signature, call, **streams)


def _binds(signature: inspect.Signature, call: Call, *first: None, **more: None) -> bool:
    try:
        signature.bind(*first, *call.positional, **call.options, **more)
    except TypeError:
        return False
    return True


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
