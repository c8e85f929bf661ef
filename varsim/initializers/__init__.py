"""Initializers: whole matrices W from varsim, from frameworks, and from users' functions.

:func:`find` returns the :class:`Initializer` of a text. Each source of initializers has an
:class:`Adapter` in a module of its own. Frameworks and NumPy are loaded when W is first drawn.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias
from zlib import crc32

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.designs import DESIGNS, BlockShape
from varsim.compute import OneThread, lazy, limit_blas, loaded_libraries
from varsim.compute.provenance import FRAMEWORKS, frameworks, version
from varsim.initializers import theory
from varsim.initializers.documented import CLAIMS, Claim, names
from varsim.parsing import (
    Call,
    InputError,
    error_summary,
    near,
    nearest,
    parse_call,
    quoted,
    told_as,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")


MAX_WEIGHTS = 2**28
"""The most entries of a W that is made as a whole."""

_LAYERS = ("conv", "dense", "embedding")
"""How names of layers begin that are not given with their module."""

_MAX_BLOCKS = 1024  # the most that are taken for precision alone


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


@dataclass(frozen=True)
class Initializer:
    """An initializer: its name and arguments, and the :attr:`Adapter.name` of its source."""

    call: Call
    framework: str

    @property
    def text(self) -> str:
        """The canonical spelling."""
        return str(self.call)

    @property
    def short_name(self) -> str:
        """The spelling without the framework's module."""
        return str(self.call._replace(name=self._adapter.short_name(self.call.name)))

    @property
    def bias(self) -> bool:
        """Whether it returns a bias beside W."""
        return self._adapter.has_bias(self.call)

    @property
    def package(self) -> str | None:
        """The framework with its version, and Keras's backend once it is loaded; else None."""
        return self._adapter.package()

    @property
    def settings(self) -> dict[str, str]:
        """What it adds to the settings that a random stream starts from."""
        return {"init": self.text}

    def check(self, design: str, dim: int, n: int) -> None:
        """Check the shape of W, and the arguments of a built-in; ``load`` checks other ones.

        Raises:
            InputError: They are not allowed.
        """
        self.moments(dim, n)
        if design == "paired":
            raise InputError(
                f"design is paired, but {self.call.name} makes one W for many outputs; take "
                "crossed or fixed-x"
            )
        if dim * n > MAX_WEIGHTS:
            raise InputError(
                f"{self.call.name} makes a W of {dim:,} x {n:,} at once, and {MAX_WEIGHTS:,} "
                "entries are allowed; take a smaller dim or fan_out"
            )

    def divisor(self, k: float) -> float:  # noqa: ARG002  # what independent entries have
        """Return what W is divided by: 1, since it is used as it comes."""
        return 1.0

    def blocks(self, design: str, dim: int, n: int, outputs: int) -> int:
        """Return the number of blocks, each with a whole W of shape (dim, n).

        More than D rows per W would add outputs but little precision.
        """
        least = -(-outputs // DESIGNS[design].largest)
        if DESIGNS[design].fixed_x:
            return max(least, -(-outputs // n))
        return max(least, min(-(-outputs // (dim * n)), _MAX_BLOCKS))

    def block(self, design: str, dim: int, n: int, outputs: int) -> BlockShape:  # noqa: ARG002
        """Return the shape of a block; of at least that many outputs unless x is fixed."""
        return BlockShape(1, 1 if DESIGNS[design].fixed_x else -(-outputs // n), n)

    def moments(self, dim: int, n: int) -> theory.Gram | None:
        """Return the exact moments of W of shape (dim, n); None where they are unknown.

        Raises:
            InputError: An argument is not allowed.
        """
        return theory.gram(self.call, dim, n) if self.framework == "varsim" else None

    def entries(self, dim: int, n: int) -> tuple[str, float]:
        """Return the law and the kurtosis of the entries of W of shape (dim, n), where known."""
        if self.framework == "user":
            return "unknown", 3.0
        return theory.entry_law(self.call, dim, n)

    def load(self) -> None:
        """Load the framework or the function and check the arguments, or raise an InputError."""
        self._drawer  # noqa: B018  # cached

    def draw(self, rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Weights:
        """Draw W of shape (D, n), and its bias if there is one; frameworks are seeded from rng.

        Raises:
            InputError: It cannot be loaded or fails, or the result has another shape, is not
                real, or is not finite.
        """
        from varsim.initializers.torch import one_thread  # it needs the classes above

        drawer = self._drawer
        with _one_blas_thread, one_thread:
            with told_as(
                lambda why: (
                    f"{self.text} fails for shape {shape}: {why}; correct it or its arguments"
                )
            ):
                drawn = drawer(rng, shape, dtype)
                weights = np.asarray(drawn.weights)  # can run other code, too
            weights = self._checked(weights, shape, dtype)
            if drawn.bias is None:
                return Weights(weights)
            return Weights(weights, self._checked(drawn.bias, shape[1:], dtype))

    def verify(
        self, rng: Callable[[], Generator], shape: tuple[int, int], dtype: np.dtype[np.floating]
    ) -> None:
        """Check that W of shape (D, n) can be drawn, and depends on the random stream alone.

        ``rng()`` returns the same stream on each call.

        Raises:
            InputError: As for ``draw``, or a second draw from the same stream differs.
        """

        def drawn() -> int:  # a copy of a large W would take the memory of another worker
            return crc32(np.ascontiguousarray(self.draw(rng(), shape, dtype).weights).data)

        before, first = loaded_libraries(), drawn()
        if before != loaded_libraries():  # what the first draw loaded had all threads
            first = drawn()
        if first != drawn():
            raise InputError(
                f"{self.text} returns other numbers when it is called again with the same rng; "
                "draw all of them from that rng"
            )

    @cached_property
    def claim(self) -> Claim | None:
        """What its documentation says of E w², where that is known; ``load`` is called for it."""
        if self.framework == "user":
            return None
        self.load()
        function = self._adapter.function(self.call.name)
        given = self._bound(function, self._adapter.leading(function))
        defaults = inspect.signature(function).parameters
        keywords = [(k, v) for k, v in given.items() if v != defaults[k].default]
        plain = Call(self._adapter.canonical_name(self.call.name), (), tuple(sorted(keywords)))
        return next((claim for text, claim in CLAIMS.items() if parse_call(text) == plain), None)

    @property
    def _adapter(self) -> Adapter:
        return _adapter("builtin" if self.framework == "varsim" else self.framework)

    @cached_property
    def _drawer(self) -> Drawer:
        adapter = self._adapter
        with told_as(
            lambda why: (
                f"{self.call.name} needs {self.framework}, which cannot be loaded ({why}); "
                f"{adapter.remedy()}"
            )
        ):
            self._check_reserved(self.call.options)
            function = adapter.function(self.call.name)
            self._check_reserved(self._bound(function, adapter.leading(function)))
            return adapter.drawer(self.call, function)

    def _check_reserved(self, names: Iterable[str]) -> None:
        for name, remedy in self._adapter.reserved.items():
            if name in names:
                raise InputError(f"{self.text} has a {name}, but varsim passes its own; {remedy}")

    def _bound(self, function: Any, leading: int) -> dict[str, Any]:
        """Return the arguments that the call gives by their names, or raise an InputError."""
        try:
            signature = inspect.signature(function)
            bound = signature.bind(*[None] * leading, *self.call.positional, **self.call.options)
        except ValueError:  # some functions of C have no signature
            return self.call.options
        except TypeError as error:
            parameters = list(signature.parameters.values())[leading:]
            takes = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters) or "none"
            raise InputError(
                f"{self.text} has wrong arguments ({error}); it takes: {takes}"
            ) from None
        return dict(list(bound.arguments.items())[leading:])

    def _checked(
        self, array: NDArray[Any], shape: tuple[int, ...], dtype: np.dtype[np.floating]
    ) -> FloatArray:
        if array.shape != shape:
            advice = "transpose it" if array.shape == shape[::-1] else "return that shape"
            raise InputError(
                f"{self.text} returns shape {array.shape}, not (fan-in, fan-out) = {shape}; "
                + advice
            )
        if np.iscomplexobj(array):
            raise InputError(f"{self.text} returns complex numbers; return an array of floats")
        # By its kind: NumPy holds timedelta64 to be a kind of integer.
        if array.dtype.kind not in "fiu" and array.dtype.name != "bfloat16":
            raise InputError(f"{self.text} returns {array.dtype}; return an array of floats")
        most = FLOAT_TYPES[dtype.name].largest
        # A comparison with NaN is false; float16 does not hold the bound itself.
        if not (-most <= float(array.min()) and float(array.max()) <= most):
            raise InputError(
                f"{self.text} returns NaN, infinity or numbers beyond {most:g}, the largest that "
                f"{dtype} allows here; give arguments that lead to smaller ones"
            )
        return array.astype(dtype, copy=False)


@cache
def _adapter(module: str) -> Adapter:
    # These modules need the classes above, and the built-ins need NumPy.
    adapter: Adapter = import_module(f"varsim.initializers.{module}").ADAPTER
    return adapter


def adapters() -> dict[str, Adapter]:
    """Return the adapters of all frameworks by name; loads no framework."""
    return {name: _adapter(name) for name in FRAMEWORKS}


def patterns() -> list[str]:
    """Return which names there are, in short.

    >>> patterns()[0], patterns()[-1]
    ('orthogonal', 'module:function')
    """
    known = [pattern for adapter in adapters().values() for pattern in adapter.patterns]
    return [*theory.INITIALIZERS, *known, "module:function"]


@cache
def find(text: str) -> Initializer:
    """Return the initializer of a text, with its name checked; loads no framework.

    The text is a name, with arguments as in ``orthogonal(gain=2)``: of a built-in, of a framework's
    initializer, or ``module:function`` for a function ``f(rng, shape)``.

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
    """Return a hint: the full names that end in a name, or the nearest, or the patterns of all."""
    known, word = names(), _plain(name)
    same = [full for full in known if _plain(full) == word]
    if same := same or [full for full in known if word and _plain(full).startswith(word)]:
        return f"write {' or '.join(same)}"
    close = near(word, map(_plain, known), least=0.8)
    if close is None:
        module, dot, function = name.rpartition(".")
        is_users = dot and not name.startswith(FRAMEWORKS)
        own = f"write {module}:{function} for a function of your own; " if is_users else ""
        return f"{own}known are {', '.join(patterns())}"
    return f"did you mean {' or '.join(full for full in known if _plain(full) == close)}?"


def _plain(name: str) -> str:
    """Return what frameworks have in common of a name: HeNormal and he_normal are one."""
    return name.rpartition(".")[2].lower().replace("_", "")


def _is_layer(name: str) -> bool:
    """Tell whether a name reads like that of a layer of a framework, and not like a slip of one."""
    modules = tuple(module for a in adapters().values() for module in a.layer_modules)
    known = [layer for adapter in adapters().values() for layer in adapter.layers]
    is_class = name.rpartition(".")[2][:1].isupper()
    if name.startswith(modules):
        return is_class and near(name, known, least=0.9) is None
    return _plain(name).startswith(_LAYERS)


def installed() -> Iterator[str]:
    """Yield every initializer by one name, with example arguments where it needs some.

    Loads all frameworks; those that are :func:`unloadable` are left out.
    """
    yield from theory.INITIALIZERS
    for adapter in (_adapter(name) for name in frameworks() if name not in unloadable()):
        for name in dict.fromkeys(map(adapter.canonical_name, adapter.functions)):
            yield adapter.examples.get(name, name)


@cache
def unloadable() -> dict[str, str]:
    """Return the installed frameworks that cannot be loaded, each with the error."""
    reasons = {}
    for framework in frameworks():
        try:
            _adapter(framework).functions  # noqa: B018  # loads it
        except (Exception, SystemExit) as error:  # noqa: BLE001  # frameworks can raise anything
            reasons[framework] = error_summary(error)
    return reasons


def seed_from(rng: Generator, bits: int = 63) -> int:
    """Draw a seed for another library's random numbers."""
    return int(rng.integers(1 << bits, dtype=np.uint64))


def versioned(package: str) -> str:
    """Return an installed package with its version."""
    return f"{package} {version(package) or 'of unknown version'}"


# The last digits of a decomposition depend on the number of threads.
_one_blas_thread = OneThread(limit_blas)
