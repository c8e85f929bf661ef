"""Sources of initializers: what a framework, varsim or users' code offers under which names."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from varsim.compute import lazy
from varsim.compute.provenance import frameworks, version
from varsim.errors import InputError, nearest, quoted
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

else:
    np = lazy("numpy")


class Weights(NamedTuple):
    """W of shape (D, n), and the bias of shape (n,) or None."""

    weights: Any
    bias: Any = None


Drawer: TypeAlias = "Callable[[Generator, tuple[int, int], np.dtype[np.floating]], Weights]"
"""Called as ``drawer(rng, (D, n), dtype)``; returns unchecked weights: any array-like."""


class Adapter(ABC):
    """A source of initializers: a framework, varsim itself, or users' code.

    Attributes:
        name: The package; ``"varsim"`` or ``"user"`` for the others.
        prefix: The module of the initializers, with a dot at its end.
        layers: Full names outside that module.
        layer_modules: Modules of layers, which are refused but for those, each with a dot.
        reserved: Arguments that varsim passes itself, such as seeds, and what to do instead.
        parameters: The usual number of parameters before those that a call gives.
        examples: Calls of initializers that have arguments without defaults.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""
    layers: ClassVar[tuple[str, ...]] = ()
    layer_modules: ClassVar[tuple[str, ...]] = ()
    reserved: ClassVar[dict[str, str]] = {}
    parameters: ClassVar[int] = 0
    examples: ClassVar[dict[str, str]] = {}

    @cached_property
    def functions(self) -> dict[str, Any]:
        """Every function or class by its full name, aliases included; loads the framework."""
        return {}

    @abstractmethod
    def drawer(self, call: Call, function: Any) -> Drawer:
        """Return the drawer of a call whose arguments are checked."""

    def leading(self, function: Any) -> int:  # noqa: ARG002  # for subclasses
        """Return the number of parameters of a function before those that a call gives."""
        return self.parameters

    @property
    def patterns(self) -> list[str]:
        """The names it has, as patterns for help and errors."""
        return [f"{self.prefix}*", *self.layers]

    def short_name(self, name: str) -> str:
        """Return a full name without its module."""
        return name.rpartition(".")[2] if name in self.layers else name.removeprefix(self.prefix)

    def function(self, name: str) -> Any:
        """Return the function or class of a full name, or raise an InputError."""
        if name in self.functions:
            return self.functions[name]
        hint = nearest(self.short_name(name), map(self.short_name, self.functions))
        raise InputError(
            f"{self.prefix.rstrip('.')} has no initializer {quoted(self.short_name(name))}; {hint}"
        )

    def canonical_name(self, name: str) -> str:
        """Return the one name of an initializer that has aliases: the name it gives itself."""
        function = self.function(name)
        aliases = [alias for alias, other in self.functions.items() if other is function]
        preferred = self.prefix + function.__name__
        return preferred if preferred in aliases else aliases[0]

    def has_bias(self, call: Call) -> bool:  # noqa: ARG002  # for subclasses
        """Return whether a call returns a bias beside W."""
        return False

    def package(self) -> str | None:
        """Return the package with its version, without loading it; None for other code."""
        return versioned(self.name) if self.prefix else None

    def remedy(self) -> str:
        """Return what to do when the framework cannot be loaded."""
        return f"{'reinstall' if self.name in frameworks() else 'run: pip install'} {self.name}"


def seed_from(rng: Generator, bits: int = 63) -> int:
    """Draw a seed for another library's random numbers."""
    return int(rng.integers(1 << bits, dtype=np.uint64))


def versioned(package: str) -> str:
    """Return an installed package with its version."""
    return f"{package} {version(package) or 'of unknown version'}"
