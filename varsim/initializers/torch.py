"""Initializers of torch, as installed: ``torch.nn.init.*`` and ``torch.nn.Linear`` itself."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.random import Generator

from varsim.calls import Call
from varsim.initializers.adapter import Made, Maker, check_arguments, refuse_seeds, seed_of, unknown
from varsim.parsing import InputError

PREFIX = "torch.nn.init."

# What has no generator of its own draws from the one that all threads share; sparse_ from both.
_shared = threading.Lock()


class _OneThread:
    """Holds torch to one thread, on every thread that draws.

    The number is OpenMP's, of which each thread has its own; torch gives the last one that was set
    anywhere to a thread that is new to it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._holders, self._before = 0, 1

    @contextmanager
    def __call__(self) -> Iterator[None]:
        torch = sys.modules.get("torch")
        if torch is None:
            yield
            return
        with self._lock:
            if self._holders == 0:
                self._before = torch.get_num_threads()
            self._holders += 1
            torch.set_num_threads(1)
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if self._holders == 0:  # others may be amid a decomposition
                    torch.set_num_threads(self._before)


one_thread = _OneThread()
"""Gives a context in which torch has one thread, if it is loaded."""


def names() -> list[str]:
    """Return the names of the functions that initialize a tensor in place."""
    import torch

    found = (name for name in dir(torch.nn.init) if name.endswith("_") and name[0] != "_")
    return [name for name in found if callable(getattr(torch.nn.init, name))]


def find(call: Call) -> Maker:
    """Return the initializer that a call names.

    torch keeps weights as (out, in), so W is what it makes transposed.

    Raises:
        InputError: There is none, or it takes other arguments.
    """
    refuse_seeds(call, "generator")
    return _linear(call) if call.name == "torch.nn.Linear" else _in_place(call)


def _in_place(call: Call) -> Maker:
    import torch

    name = call.name.removeprefix(PREFIX)
    if name not in names():
        raise unknown(call, PREFIX, names())
    function = getattr(torch.nn.init, name)
    check_arguments(call, function, None)
    has_generator = "generator" in inspect.signature(function).parameters

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        dim, n = shape
        tensor = torch.empty(n, dim, dtype=getattr(torch, dtype.name), device="cpu")
        seed = seed_of(rng)
        own = {"generator": torch.Generator().manual_seed(seed)} if has_generator else {}
        with _shared, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # not the same numbers again
            function(tensor, *call.positional, **call.options, **own)
        return Made(tensor.numpy().T)

    return make


def _linear(call: Call) -> Maker:
    import torch

    taken = {name: value for name, value in call.options.items() if name != "bias"}
    with_bias = call.options.get("bias", False)
    allowed = not taken and not call.positional and isinstance(with_bias, bool)
    if call.name != "torch.nn.Linear" or not allowed:
        raise InputError(
            f"{call} is not what varsim makes of torch.nn.Linear: write torch.nn.Linear for its "
            "weight alone, or torch.nn.Linear(bias=True) for its bias too"
        )

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        wanted: Any = getattr(torch, dtype.name)
        with _shared, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(rng))
            layer = torch.nn.Linear(*shape, dtype=wanted, device="cpu")
        return Made(
            layer.weight.detach().numpy().T, layer.bias.detach().numpy() if with_bias else None
        )

    return make
