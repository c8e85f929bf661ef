"""Initializers of torch: ``torch.nn.init.*``, and the default of ``torch.nn.Linear``."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from varsim.compute import OneThread, lazy
from varsim.errors import InputError
from varsim.initializers import Adapter, Drawer, Function, RawWeights, seed_from
from varsim.initializers.layouts import Found, OpenSizes
from varsim.initializers.torch_modules import LAYOUTS, named_weights
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np
    from numpy.random import Generator

    from varsim.catalog.samplers import FloatArray

torch = lazy("torch")

_LINEAR = "torch.nn.Linear"

# Functions without a generator draw from torch's global stream; sparse_ draws from both.
_global_stream = threading.Lock()


def _limit() -> Callable[[], None] | None:
    if "torch" not in sys.modules:
        return None
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    return lambda: torch.set_num_threads(before)


# OpenMP has one setting per thread; a new thread gets the last value of any thread.
one_thread = OneThread(_limit, per_thread=True)


def _linear(*, bias: bool = False) -> None:
    """Stand for torch.nn.Linear, with the only argument that a call may give."""


class _Torch(Adapter):
    name = "torch"
    prefix = "torch.nn.init."
    layers = (_LINEAR,)
    layer_modules = ("torch.nn.",)
    reserved: ClassVar = {"generator": "leave it out"}
    modules: ClassVar = {f"torch.nn.{name}": layouts for name, layouts in LAYOUTS.items()}
    examples: ClassVar = {"torch.nn.init.sparse_": "torch.nn.init.sparse_(sparsity=0.1)"}

    @cached_property
    def functions(self) -> dict[str, Function]:
        members = inspect.getmembers(torch.nn.init, callable)
        in_place = {self.prefix + k: v for k, v in members if k.endswith("_") and k[0] != "_"}
        return {_LINEAR: _linear, **in_place}

    def leading(self, function: Function) -> int:
        return 0 if function is _linear else 1  # the tensor

    def has_bias(self, call: Call) -> bool:
        return call.name == _LINEAR and call.options.get("bias") is True

    def drawer(self, call: Call, function: Function) -> Drawer:
        """Return a drawer; torch stores weights as (out, in), so W is the transpose."""
        if function is _linear:
            return self._layer(call)
        has_generator = "generator" in inspect.signature(function).parameters

        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            dim, n = shape
            tensor = torch.empty(n, dim, dtype=getattr(torch, dtype.name), device="cpu")
            seed = seed_from(rng)
            seeded = {"generator": torch.Generator().manual_seed(seed)} if has_generator else {}
            with _global_stream, torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed + 1)  # the same seed would give the same numbers twice
                function(tensor, *call.positional, **call.options, **seeded)
            return RawWeights(tensor.numpy().T)

        return draw

    @contextmanager
    def seeded(self, seed: int) -> Iterator[None]:
        """Let torch's global stream start from a seed; it is one for all threads."""
        with _global_stream, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield

    def construct(self, call: Call, sizes: OpenSizes, seed: int, dtype: str) -> object:  # noqa: ARG002
        """Return the module of a call, with parameters of a dtype."""
        if sizes.inputs is not None:
            raise InputError(f"{call} names its inputs itself; leave 'inputs' out")
        module = getattr(torch.nn, call.name.rpartition(".")[2])
        return module(*call.positional, **{"dtype": getattr(torch, dtype), **call.options})

    def is_module(self, value: object) -> bool:
        """Return whether a value is a torch.nn.Module."""
        return isinstance(value, torch.nn.Module)

    def weights(self, module: Any, sizes: OpenSizes) -> dict[str, Found]:
        """Return the weights of a module and its submodules."""
        return named_weights(module, sizes.lengths)

    def array(self, module: Any, name: str) -> FloatArray:
        """Return a parameter of a module."""
        array: FloatArray = module.get_parameter(name).detach().numpy()
        return array

    def _layer(self, call: Call) -> Drawer:
        bias = call.options.get("bias", False)
        if not isinstance(bias, bool):
            raise InputError(f"{call} has bias={bias!r}; give bias=True or leave it out")

        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            with _global_stream, torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed_from(rng))
                layer = torch.nn.Linear(*shape, dtype=getattr(torch, dtype.name), device="cpu")
            weights = layer.weight.detach().numpy().T
            return RawWeights(weights, layer.bias.detach().numpy() if bias else None)

        return draw


ADAPTER = _Torch()
