"""Modules of frameworks: their weights, each as an initializer of a matrix of its own.

A weight is written as a call of its module and its name in brackets, such as
``torch.nn.LSTM(512, 512)[i of x]``; after the name there can be the sizes of a convolution's input,
and the number of a layer's inputs: ``keras.layers.Conv2D(64, 3)[kernel, 12x12, 32 inputs]``.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from varsim.compute import lazy
from varsim.compute.provenance import frameworks
from varsim.errors import InputError, nearest, quoted
from varsim.initializers.adapter import Adapter, Weights, seed_from
from varsim.initializers.documented import Claim, constant_claim
from varsim.initializers.initializer import Initializer, load_adapter
from varsim.initializers.layouts import Found, OpenSizes, Piece
from varsim.parsing import Call, parse_call
from varsim.usercode import load_function, plain_array, reraise_as_input_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")

_WEIGHT = re.compile(r"(?P<module>.*\)|[\w.:]+)\[(?P<name>[^\],]+)(?P<sizes>(?:, [^\],]+)*)\]")
_LENGTHS = re.compile(r"\d{1,6}(?:x\d{1,6}){0,2}")
_INPUTS = re.compile(r"(\d{1,9}) inputs")


_NO_SIZES = OpenSizes()


@dataclass(frozen=True)
class ModuleWeight(Initializer):
    """A weight of a module.

    Attributes:
        weight: Its name.
        sizes: Sizes that the arguments leave open.
    """

    weight: str = ""
    sizes: OpenSizes = _NO_SIZES

    @property
    def text(self) -> str:
        """The canonical spelling."""
        return f"{self.call}[{self.weight}{self.sizes}]"

    @property
    def short_name(self) -> str:
        """The spelling without the framework's module."""
        name = self.call.name if self.framework == "user" else self.call.name.rpartition(".")[2]
        return f"{self.call._replace(name=name)} {self.weight}{self.sizes}"

    @property
    def package(self) -> str | None:
        """The framework with its version; that of a user's function is loaded."""
        return super().package if self.framework != "user" else self._built.adapter.package()

    @property
    def bias(self) -> bool:
        """Whether the call asks for a bias."""
        return self.call.options.get("bias") is True

    @cached_property
    def piece(self) -> Piece:
        """How the weight acts; loads the framework and builds the module.

        Raises:
            InputError: The module cannot be built, or has no such weight.
        """
        return self._found.piece

    @cached_property
    def _built(self) -> Built:
        return self._build(0)

    @cached_property
    def _found(self) -> Found:
        weights = self._built.weights()
        if self.weight not in weights:
            raise InputError(
                f"{self.call} has no weight {quoted(self.weight)} that acts as a matrix; "
                + nearest(self.weight, weights)
            )
        return weights[self.weight]

    @cached_property
    def claim(self) -> Claim | None:
        """The documented E w², or None if it is unknown; loads the framework."""
        if self.piece.documented is None:
            return None
        return constant_claim(self.piece.documented[1], self.piece.documented[0])

    def load(self) -> None:
        """Load the framework and build the module once, or raise an InputError."""
        self.piece  # noqa: B018  # cached

    def check(self, design: str, dim: int, n: int) -> None:
        """Check the design and the number of entries; ``draw`` checks the shape."""
        super().check(design, dim, n)

    def entries(self, dim: int, n: int) -> tuple[str, float]:  # noqa: ARG002  # of any shape
        """Return that the law and the kurtosis of the entries are unknown."""
        return "unknown", 3.0

    def draw(self, rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Weights:
        """Build the module and return W of shape (D, outputs), with how it acts.

        Raises:
            InputError: The module cannot be built, or the weight has another shape.
        """
        name, piece, bias = self._found
        if shape != (piece.dim, piece.columns):
            raise InputError(
                f"{self.text} acts as W of {piece.dim:,} x {piece.columns:,}, not "
                f"{shape[0]:,} x {shape[1]:,}; leave dim and fan_out out"
            )
        built = self._build(seed_from(rng, 32), dtype.name)
        raw = built.array(name)
        if raw.shape != piece.shape or np.iscomplexobj(raw):
            raise InputError(
                f"{self.text} is {raw.dtype} of shape {raw.shape}; return a real one of shape "
                f"{piece.shape} each time"
            )
        acting = piece.act(raw.astype(dtype))
        matrix = acting.forward.transpose(1, 0, 2).reshape(shape)
        added = None
        if self.bias and bias:
            parts = max(1, len(piece.layout.parts))
            added = np.asarray(built.array(bias), dtype).reshape(parts, -1)[piece.part]
        return Weights(
            self._checked(matrix, shape, dtype),
            None if added is None else self._checked(added, shape[1:], dtype),
            acting,
        )

    def _build(self, seed: int, dtype: str = "float32") -> Built:
        return build(self.call, self.framework, self.sizes, seed, dtype)


@dataclass(frozen=True)
class Built:
    """A module that was built.

    Attributes:
        adapter: The adapter of its framework.
        module: The module, or a layer of a framework that calls it so.
        sizes: Sizes that its arguments leave open.
        documented: Whether its weights are as its framework documents; a user's function may have
            changed them.
    """

    adapter: Adapter
    module: Any
    sizes: OpenSizes
    documented: bool

    def weights(self) -> Mapping[str, Found]:
        """Return its weights by name."""
        with _read(self.module):
            found = self.adapter.weights(self.module, self.sizes)
        if self.documented:
            return found
        return {
            name: each._replace(piece=replace(each.piece, documented=None, bias=0.0))
            for name, each in found.items()
        }

    def array(self, name: str) -> FloatArray:
        """Return a parameter."""
        with _read(self.module):
            return plain_array(self.adapter.array(self.module, name))


def _read(module: Any) -> AbstractContextManager[None]:
    """Return a context in which every error is one about a module that cannot be read."""
    name = type(module).__name__
    return reraise_as_input_error(lambda why: f"the weights of {name} cannot be read: {why}")


def build(call: Call, framework: str, sizes: OpenSizes, seed: int, dtype: str) -> Built:
    """Build a module from a seed.

    Raises:
        InputError: The framework cannot be loaded, or refuses the arguments.
    """
    if framework != "user":
        adapter = load_adapter(framework)
        with (
            reraise_as_input_error(lambda why: f"{call} cannot be built: {why}; correct it"),
            adapter.seeded(seed),
        ):
            return Built(
                adapter, adapter.construct(call, sizes, seed, dtype), sizes, documented=True
            )
    function = load_function(call.name)
    with reraise_as_input_error(lambda why: f"{call} fails: {why}; correct it or its arguments"):
        loaded, module = _called(function, call, seed)
        if _loaded() != loaded:  # the function imported its framework, which had no seed yet
            loaded, module = _called(function, call, seed)
    for adapter in loaded:
        if adapter.is_module(module):
            return Built(adapter, module, sizes, documented=False)
    raise InputError(
        f"{call} returns {type(module).__name__}, and not a module of a framework; return one, "
        "such as torch.nn.Conv2d(64, 128, 3)"
    )


def _loaded() -> list[Adapter]:
    return [load_adapter(name) for name in frameworks() if name in sys.modules]


def _called(function: Callable[..., Any], call: Call, seed: int) -> tuple[list[Adapter], Any]:
    """Return the loaded adapters, and the result of a function under their seeds."""
    loaded, names = _loaded(), inspect.signature(function).parameters
    with ExitStack() as seeded:
        for adapter in loaded:
            seeded.enter_context(adapter.seeded(seed))
        streams = {k: v for adapter in loaded for k, v in adapter.streams(seed).items()}
        given = {name: value for name, value in streams.items() if name in names}
        return loaded, function(*call.positional, **call.options, **given)


def parse_weight(text: str) -> tuple[Call, str, OpenSizes] | None:
    """Return the parts of a weight's text; None for any other text.

    >>> parse_weight("torch.nn.Conv2d(3, 8, 3)[weight, 12x12]")[1:]
    ('weight', OpenSizes(lengths=(12, 12), inputs=None))
    """
    match = _WEIGHT.fullmatch(text.strip())
    if match is None:
        return None
    sizes = OpenSizes()
    for item in match["sizes"].split(", ")[1:]:
        inputs = _INPUTS.fullmatch(item)
        if inputs is not None:
            sizes = sizes._replace(inputs=int(inputs[1]))
        elif _LENGTHS.fullmatch(item):
            sizes = sizes._replace(lengths=tuple(map(int, item.split("x"))))
        else:
            raise InputError(
                f"{quoted(item)} is no size; write sizes after the name of the weight, like "
                "[kernel, 12x12, 32 inputs]"
            )
    return parse_call(match["module"]), match["name"].strip(), sizes
