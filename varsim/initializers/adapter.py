"""Adapters: the initializers of a framework, of varsim or of users' code, by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from varsim.compute import lazy
from varsim.compute.provenance import frameworks, version
from varsim.errors import InputError, installation, nearest, quoted
from varsim.initializers.layouts import Acting, Found, Layout, OpenSizes
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")


class Weights(NamedTuple):
    """W of shape (D, n), the bias of shape (n,) or None, and how a module's weight acts."""

    weights: FloatArray
    bias: FloatArray | None = None
    acting: Acting | None = None


class RawWeights(NamedTuple):
    """Unchecked weights, which can be any array-like, and the bias or None."""

    weights: object
    bias: NDArray[np.floating] | None = None


Function: TypeAlias = Callable[..., Any]
"""A function or class of a framework or a user."""

Drawer: TypeAlias = "Callable[[Generator, tuple[int, int], np.dtype[np.floating]], RawWeights]"
"""Called as ``drawer(rng, (D, n), dtype)``."""


class Adapter(ABC):
    """A source of initializers: a framework, varsim itself, or users' code.

    Attributes:
        name: The package; ``"varsim"`` or ``"user"`` for the others.
        prefix: The module of the initializers, with a dot at its end.
        layers: Full names of initializers outside that module.
        layer_modules: Modules of layers, each with a dot at its end; other names in them are
            refused as layers.
        reserved: Arguments that varsim passes itself, such as seeds, each with a remedy.
        parameters: The usual number of leading parameters, which varsim passes itself.
        examples: Calls of initializers that need arguments, by full name.
        modules: The layouts of modules by full name; their weights are initializers too.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""
    layers: ClassVar[tuple[str, ...]] = ()
    layer_modules: ClassVar[tuple[str, ...]] = ()
    reserved: ClassVar[dict[str, str]] = {}
    parameters: ClassVar[int] = 0
    examples: ClassVar[dict[str, str]] = {}
    modules: ClassVar[Mapping[str, tuple[Layout, ...]]] = {}

    @cached_property
    def functions(self) -> dict[str, Function]:
        """Every initializer by its full name, with aliases; loads the framework."""
        return {}

    @abstractmethod
    def drawer(self, call: Call, function: Function) -> Drawer:
        """Return the drawer of a call with checked arguments."""

    def leading(self, function: Function) -> int:  # noqa: ARG002  # for subclasses
        """Return the number of leading parameters of a function, which varsim passes itself."""
        return self.parameters

    @property
    def patterns(self) -> list[str]:
        """Its names, as patterns for help and errors."""
        return [f"{self.prefix}*", *self.layers]

    def short_name(self, name: str) -> str:
        """Return a full name without its module."""
        return name.rpartition(".")[2] if name in self.layers else name.removeprefix(self.prefix)

    def function(self, name: str) -> Function:
        """Return the function or class of a full name, or raise an InputError."""
        if name in self.functions:
            return self.functions[name]
        hint = nearest(self.short_name(name), map(self.short_name, self.functions))
        raise InputError(
            f"{self.prefix.rstrip('.')} has no initializer {quoted(self.short_name(name))}; {hint}"
        )

    def canonical_name(self, name: str) -> str:
        """Return the canonical name among aliases: the function's ``__name__``, if it is one."""
        function = self.function(name)
        aliases = [alias for alias, other in self.functions.items() if other is function]
        preferred = self.prefix + function.__name__
        return preferred if preferred in aliases else aliases[0]

    def has_bias(self, call: Call) -> bool:  # noqa: ARG002  # for subclasses
        """Return whether a call gives a bias in addition to W."""
        return False

    def seeded(self, seed: int) -> AbstractContextManager[object]:  # noqa: ARG002  # for subclasses
        """Return a context in which the framework's global stream starts from a seed."""
        return nullcontext()

    def construct(self, call: Call, sizes: OpenSizes, seed: int, dtype: str) -> object:
        """Return the module of a call."""
        raise NotImplementedError

    def streams(self, seed: int) -> dict[str, Any]:  # noqa: ARG002  # for subclasses
        """Return further arguments of modules and their factories; most have none."""
        return {}

    def open_sizes(self, sizes: OpenSizes) -> OpenSizes:
        """Return those sizes that the arguments of a module leave open."""
        return sizes._replace(inputs=None)

    def is_module(self, value: object) -> bool:  # noqa: ARG002  # for subclasses
        """Return whether a value is a module of the framework, which is loaded."""
        return False

    def weights(self, module: Any, sizes: OpenSizes) -> dict[str, Found]:
        """Return the weights of a module whose layout is known, by name."""
        raise NotImplementedError

    def array(self, module: Any, name: str) -> FloatArray:
        """Return a parameter of a module."""
        raise NotImplementedError

    def package(self) -> str | None:
        """Return the package with its version, without loading it; None without a package."""
        return versioned(self.name) if self.prefix else None

    def remedy(self) -> str:
        """Return the remedy if the framework cannot be loaded."""
        if self.name in frameworks():
            return f"reinstall {self.name}"
        return f"run: {installation(self.name)}"


def seed_from(rng: Generator, bits: int = 63) -> int:
    """Draw a seed for another library's random numbers."""
    return int(rng.integers(1 << bits, dtype=np.uint64))


def versioned(package: str) -> str:
    """Return an installed package with its version."""
    return f"{package} {version(package) or 'of unknown version'}"
