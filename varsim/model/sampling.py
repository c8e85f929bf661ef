"""Sampling of a model: one initialization, its modules' outputs and their gradients."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from varsim.compute import lazy
from varsim.compute.streams import generator
from varsim.errors import InputError
from varsim.initializers import seed_from
from varsim.initializers.torch import ADAPTER, one_thread
from varsim.model.question import Model
from varsim.model.totals import Module, Passed
from varsim.usercode import reraise_as_input_error

torch = lazy("torch")

Theory: TypeAlias = Callable[[Any, Any, Any], float | None]
"""Returns E y² of a module with inputs x and outputs y, or None."""

# Extra spawn-key words of the streams of inputs and cotangents, which differ from that of weights.
_STREAM_OF_INPUTS, _STREAM_OF_COTANGENTS = 1, 2


def sample_model(asked: Model, index: int, theory: Theory) -> tuple[Passed, ...]:
    """Return the means of all modules in initialization ``index``.

    torch's global stream starts from a seed of this initialization. Inputs and the cotangent are
    from streams of their own, so that they are the same for another version of the model.

    Raises:
        InputError: The function fails, or returns no module that can be called with the inputs.
    """
    make = asked.initializer.load()
    seed = seed_from(generator(asked.key, asked.seed, index))
    failed = f"{asked.model} fails for input {asked.shape}"
    with (
        one_thread,
        ADAPTER.seeded(seed),
        torch.enable_grad(),
        reraise_as_input_error(lambda why: f"{failed}: {why}; correct it or --input"),
    ):
        model = make()
        if not ADAPTER.is_module(model):
            raise InputError(
                f"{asked.model} returns {type(model).__name__}; return a torch.nn.Module"
            )
        model = model.double() if asked.dtype == "float64" else model.float()
        if asked.eval_mode:
            model.eval()
        recorder = _Recorder(model, asked.depth, theory)
        output = _tensor(model(_inputs(asked, index)))
        recorder.close()
        if output is None:
            raise InputError(
                f"{asked.model} returns a model without floating-point outputs; return them first"
            )
        if output.requires_grad:
            rng = generator(asked.key, asked.seed, index, _STREAM_OF_COTANGENTS)
            cotangent = torch.from_numpy(rng.standard_normal(tuple(output.shape)))
            output.backward(cotangent.to(output.dtype))
        passed = recorder.passed()
    if not passed:
        raise InputError(
            f"{asked.model} returns a model whose modules are not called; call them as functions"
        )
    return passed


def _inputs(asked: Model, index: int) -> Any:
    """Return the inputs of an initialization."""
    rng = generator(asked.key, asked.seed, index, _STREAM_OF_INPUTS)
    if asked.tokens is not None:
        return torch.from_numpy(rng.integers(asked.tokens, size=asked.input, dtype=np.int64))
    x = torch.from_numpy(rng.standard_normal(asked.input)).to(getattr(torch, asked.dtype))
    # A copy, which modules may change in place.
    return x.requires_grad_().clone()


def _tensor(value: Any) -> Any:
    """Return the first floating-point tensor of an output or of arguments, or None."""
    if isinstance(value, torch.Tensor):
        return value if value.is_floating_point() else None
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        return next((t for t in map(_tensor, value) if t is not None), None)
    return None


@dataclass(slots=True)
class _Sums:
    """Sums of powers of the entries of one tensor, or of several."""

    count: int = 0
    first: float = 0.0
    second: float = 0.0
    fourth: float = 0.0
    zeros: int = 0

    def add(self, tensor: Any) -> None:
        """Add the entries of a tensor."""
        values = tensor.detach().double()
        squares = values.square()
        self.count += values.numel()
        self.first += float(values.sum())
        self.second += float(squares.sum())
        self.fourth += float(squares.square().sum())
        self.zeros += values.numel() - int(torch.count_nonzero(values))

    @property
    def square(self) -> float | None:
        """The mean square; None without entries."""
        return self.second / self.count if self.count else None


@dataclass(slots=True)
class _Calls:
    """The calls of one module in one initialization."""

    module: Any
    count: int = 0
    shape: tuple[int, ...] = ()
    theory: float | None = None
    inputs: _Sums = field(default_factory=_Sums)
    outputs: _Sums = field(default_factory=_Sums)
    gradients: _Sums = field(default_factory=_Sums)

    def passed(self, name: str) -> Passed:
        """Return the means over all calls."""
        y = self.outputs
        square, theory = y.second / y.count, self.theory if self.count == 1 else None
        naive = (y.fourth / y.count - square * square) / y.count
        ratio = None
        if theory is not None:
            ratio = square / theory if theory else 1.0 if square == 0.0 else float("inf")
        return Passed(
            Module(name, type(self.module).__name__, self.shape), y.first / y.count, square,
            max(0.0, naive), y.zeros / y.count, self.inputs.square, theory, ratio,
            self.gradients.square,
        )  # fmt: skip


class _Recorder:
    """Hooks on the modules of a model, which measure those that call no other.

    With a depth, modules below it have no hooks, so that those of this depth call no other.
    """

    def __init__(self, model: Any, depth: int | None, theory: Theory) -> None:
        modules = {
            name: module
            for name, module in model.named_modules()
            # Weights that are computed from others are modules, too.
            if "parametrizations" not in name.split(".")
            and (depth is None or name.count(".") < depth)
        }
        users = Counter(id(p) for m in model.modules() for p in m._parameters.values())
        self._theory = theory
        self._calls: dict[str, _Calls] = {}
        self._open: list[str] = []
        self._handles: list[Any] = []
        self._callers: set[str] = set()
        for path, module in modules.items():
            name = path or type(module).__name__
            alone = all(users[id(p)] == 1 for p in module._parameters.values() if p is not None)
            self._handles += [
                module.register_forward_pre_hook(self._before(name), with_kwargs=True),
                module.register_forward_hook(self._after(name, alone=alone), with_kwargs=True),
            ]

    def close(self) -> None:
        """Remove the hooks: checkpoints call modules again on the way back."""
        for handle in self._handles:
            handle.remove()

    def passed(self) -> tuple[Passed, ...]:
        """Return the means of all measured modules, in the order of their first calls."""
        return tuple(
            calls.passed(name) for name, calls in self._calls.items() if self._is_leaf(name)
        )

    def _is_leaf(self, name: str) -> bool:
        return name not in self._callers and self._calls[name].count > 0

    def _before(self, name: str) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any) -> None:
            self._callers.update(self._open[-1:])
            self._open.append(name)
            calls = self._calls.setdefault(name, _Calls(module))
            x = _tensor((args, kwargs))
            if x is not None:
                calls.inputs.add(x)  # now, since the module may change it in place

        return hook

    def _after(self, name: str, *, alone: bool) -> Callable[..., None]:
        def hook(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            self._open.pop()
            calls, y = self._calls[name], _tensor(output)
            if name in self._callers or y is None or not y.numel():
                return
            calls.count += 1
            calls.outputs.add(y)
            calls.shape = calls.shape or tuple(y.shape)
            if y.requires_grad:  # the hook sees this value's gradient, whatever changes it later
                y.register_hook(calls.gradients.add)
            if alone and calls.count == 1 and isinstance(output, torch.Tensor):
                with torch.no_grad():
                    calls.theory = self._theory(module, _tensor((args, kwargs)), y)

        return hook
