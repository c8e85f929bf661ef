"""One initializer: a name with arguments, and the whole matrices W that it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from zlib import crc32

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.designs import DESIGNS, BlockShape
from varsim.compute import OneThread, lazy, limit_blas, loaded_libraries
from varsim.errors import InputError
from varsim.initializers import documented, theory
from varsim.initializers.adapter import Adapter, Drawer, Function, Weights
from varsim.initializers.documented import Claim
from varsim.parsing import Argument, Call
from varsim.usercode import plain_array, reraise_as_input_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator
    from numpy.typing import NDArray

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")

MAX_WEIGHTS = 2**28
"""The most entries of a W from an initializer."""

_MAX_BLOCKS = 1024  # more only if they are needed for enough outputs


class WeightSource(Protocol):
    """The source of W: an :class:`Initializer`, or independent entries."""

    @property
    def text(self) -> str | None:
        """The canonical spelling of an initializer, or None."""

    @property
    def package(self) -> str | None:
        """The framework with its version, or None."""

    @property
    def bias(self) -> bool:
        """Whether there is a bias in addition to W."""

    @property
    def settings(self) -> Mapping[str, str]:
        """The part of the settings that random streams start from."""

    def load(self) -> None:
        """Load the framework or the function and check the arguments, or raise an InputError."""

    def check(self, design: str, dim: int, n: int) -> None:
        """Check the design and the shape of W, or raise an InputError."""

    def draw(self, rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Weights:
        """Draw W of shape (D, n) and its bias, or raise an InputError."""

    def verify(
        self, rng: Callable[[], Generator], shape: tuple[int, int], dtype: np.dtype[np.floating]
    ) -> None:
        """Check that W can be drawn and depends on ``rng()`` alone, or raise an InputError."""

    def moments(self, dim: int, n: int) -> theory.Gram | None:
        """Return the exact moments of W of shape (dim, n), or None if they are unknown."""

    def divisor(self, k: float) -> float:
        """Return the divisor of W, given that of the scheme."""

    def blocks(self, design: str, dim: int, n: int, outputs: int) -> int:
        """Return the number of blocks for that many outputs."""

    def block(self, design: str, dim: int, n: int, outputs: int) -> BlockShape:
        """Return the shape of a block of that many outputs."""


@dataclass(frozen=True)
class Initializer:
    """An initializer: its name and arguments, and the :attr:`Adapter.name` of its framework."""

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
        """Whether it gives a bias in addition to W."""
        return self._adapter.has_bias(self.call)

    @property
    def package(self) -> str | None:
        """The framework with its version, and a loaded Keras with its backend; else None."""
        return self._adapter.package()

    @property
    def settings(self) -> dict[str, str]:
        """Its part of the settings that random streams start from."""
        return {"init": self.text}

    def check(self, design: str, dim: int, n: int) -> None:
        """Check the shape of W, and the arguments of a built-in; ``load`` checks the others.

        Raises:
            InputError: A shape or an argument is not allowed.
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

    def divisor(self, k: float) -> float:  # noqa: ARG002  # for independent entries
        """Return the divisor of W: 1, since W is used unchanged."""
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
        """Return the shape of a block: of at least that many outputs, unless x is fixed."""
        return BlockShape(1, 1 if DESIGNS[design].fixed_x else -(-outputs // n), n)

    def moments(self, dim: int, n: int) -> theory.Gram | None:
        """Return the exact moments of W of shape (dim, n); None if they are unknown.

        Raises:
            InputError: An argument is not allowed.
        """
        return theory.gram(self.call, dim, n) if self.framework == "varsim" else None

    def entries(self, dim: int, n: int) -> tuple[str, float]:
        """Return the law and the kurtosis of the entries of W of shape (dim, n)."""
        if self.framework == "user":
            return "unknown", 3.0
        return theory.entry_law(self.call, dim, n)

    def load(self) -> None:
        """Load the framework or the function and check the arguments, or raise an InputError."""
        self._drawer  # noqa: B018  # cached

    def draw(self, rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Weights:
        """Draw W of shape (D, n) and its bias, if any; frameworks are seeded from rng.

        Raises:
            InputError: The initializer cannot be loaded or fails, or its result has another
                shape, is not real, or is not finite.
        """
        from varsim.initializers.torch import one_thread  # that module imports this one

        drawer = self._drawer
        with _one_blas_thread, one_thread:
            with reraise_as_input_error(
                lambda why: (
                    f"{self.text} fails for shape {shape}: {why}; correct it or its arguments"
                )
            ):
                drawn = drawer(rng, shape, dtype)
                weights = plain_array(drawn.weights)
            weights = self._checked(weights, shape, dtype)
            if drawn.bias is None:
                return Weights(weights)
            return Weights(weights, self._checked(drawn.bias, shape[1:], dtype))

    def verify(
        self, rng: Callable[[], Generator], shape: tuple[int, int], dtype: np.dtype[np.floating]
    ) -> None:
        """Check that W of shape (D, n) can be drawn, and depends on the random stream alone.

        Args:
            rng: Returns the same stream on each call.
            shape: (D, n).
            dtype: Type of the entries.

        Raises:
            InputError: As for ``draw``, or a second draw from the same stream differs.
        """

        def drawn() -> int:  # a copy of a large W would take the memory of another worker
            return crc32(np.ascontiguousarray(self.draw(rng(), shape, dtype).weights).data)

        before, first = loaded_libraries(), drawn()
        if before != loaded_libraries():  # new libraries had all threads in the first draw
            first = drawn()
        if first != drawn():
            raise InputError(
                f"{self.text} returns other numbers when it is called again with the same rng; "
                "draw all of them from that rng"
            )

    @cached_property
    def claim(self) -> Claim | None:
        """The documented E w², or None if it is unknown; loads the framework."""
        if self.framework == "user":
            return None
        self.load()
        function = self._adapter.function(self.call.name)
        given = self._bound(function, self._adapter.leading(function))
        defaults = inspect.signature(function).parameters
        keywords = [(k, v) for k, v in given.items() if v != defaults[k].default]
        plain = Call(self._adapter.canonical_name(self.call.name), (), tuple(sorted(keywords)))
        every = {name: each.default for name, each in defaults.items()} | given
        return documented.claim(plain, every)

    @property
    def _adapter(self) -> Adapter:
        return load_adapter("builtin" if self.framework == "varsim" else self.framework)

    @cached_property
    def _drawer(self) -> Drawer:
        adapter = self._adapter
        with reraise_as_input_error(
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

    def _bound(self, function: Function, leading: int) -> dict[str, Argument]:
        """Return the arguments of the call by name, or raise an InputError."""
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
        # By kind, since timedelta64 is a subtype of integers in NumPy.
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
def load_adapter(module: str) -> Adapter:
    """Return the adapter of a module of this package; that of built-ins loads NumPy."""
    adapter: Adapter = import_module(f"varsim.initializers.{module}").ADAPTER
    return adapter


# The last digits of a decomposition depend on the number of threads.
_one_blas_thread = OneThread(limit_blas)
