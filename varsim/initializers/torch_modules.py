"""Modules of torch: the layouts of their parameters, as documented in torch.nn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from varsim.compute import lazy
from varsim.errors import InputError
from varsim.initializers.layouts import Found, Layout, Taps, constant, found_in, uniform, xavier

torch = lazy("torch")

_LSTM = ("i", "f", "g", "o")
_GRU = ("r", "z", "n")


def _convolution(dimensions: int) -> tuple[Layout, ...]:
    axes = "(g o) i" + " k" * dimensions
    law = uniform("ik")
    return (Layout("weight", axes, law, bias="bias", bias_law=law),)


def _transposed(dimensions: int) -> tuple[Layout, ...]:
    # torch takes the fans of the stored shape, in which inputs and outputs are swapped.
    axes = "(g i) o" + " k" * dimensions
    law = uniform("ok")
    return (Layout("weight", axes, law, bias="bias", bias_law=law),)


def _recurrent(*gates: str) -> tuple[Layout, ...]:
    """Return the layouts of gates; F is the hidden size for all of them."""
    axes, law = "(p o) i" if gates else "o i", uniform("o")
    of_x, of_h = ([f"{gate} of {side}" for gate in gates] for side in "xh")
    return (
        Layout("weight_ih", axes, law, tuple(of_x), "bias_ih", law),
        Layout("weight_hh", axes, law, tuple(of_h), "bias_hh", law),
        Layout("weight_hr", "o i", uniform("i")),
    )


LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "Linear": (Layout("weight", "o i", uniform("i"), bias="bias", bias_law=uniform("i")),),
    "Bilinear": (Layout("weight", "o i b", uniform("i"), bias="bias", bias_law=uniform("i")),),
    "Conv1d": _convolution(1),
    "Conv2d": _convolution(2),
    "Conv3d": _convolution(3),
    "ConvTranspose1d": _transposed(1),
    "ConvTranspose2d": _transposed(2),
    "ConvTranspose3d": _transposed(3),
    "MultiheadAttention": (
        # One matrix of three projections: Xavier's fan-out is that of all of them.
        Layout(
            "in_proj_weight", "(p o) i", xavier("i", "po"), ("q", "k", "v"),
            "in_proj_bias",
        ),
        Layout("q_proj_weight", "o i", xavier("i", "o")),
        Layout("k_proj_weight", "o i", xavier("i", "o")),
        Layout("v_proj_weight", "o i", xavier("i", "o")),
        Layout("out_proj.weight", "o i", uniform("i"), bias="out_proj.bias"),
    ),
    "RNN": _recurrent(),
    "LSTM": _recurrent(*_LSTM),
    "GRU": _recurrent(*_GRU),
    "RNNCell": _recurrent(),
    "LSTMCell": _recurrent(*_LSTM),
    "GRUCell": _recurrent(*_GRU),
    # A lookup: an output is an entry of one row.
    "Embedding": (Layout("weight", "g o", constant(1.0)),),
}  # fmt: skip
"""The layouts of every module, by the name of its class."""


def named_weights(module: Any, lengths: tuple[int, ...] | None) -> dict[str, Found]:
    """Return the weights of a module and of its submodules whose class is in :data:`LAYOUTS`."""
    found: dict[str, Found] = {}
    known: list[str] = []
    for path, part in module.named_modules():
        name = type(part).__name__
        if name not in LAYOUTS or not type(part).__module__.startswith("torch.nn."):
            continue
        if any(path.startswith(above) for above in known):  # a part of a known module
            continue
        prefix = f"{path}." if path else ""
        known.append(prefix)
        shapes = {each: tuple(p.shape) for each, p in part.named_parameters()}
        taps, groups = _taps(part, lengths), getattr(part, "groups", 1)
        weights = found_in(LAYOUTS[name], shapes, groups=groups, taps=taps, lengths=lengths)
        if isinstance(part, torch.nn.Embedding) and part.padding_idx is not None:
            # One row is zeros, by documentation.
            rows = part.num_embeddings
            weights = {
                each: weight._replace(
                    piece=replace(weight.piece, documented=(f"1-1/{rows}", 1 - 1 / rows))
                )
                for each, weight in weights.items()
            }
        found |= {
            prefix + each: Found(
                prefix + weight.name, weight.piece, weight.bias and prefix + weight.bias
            )
            for each, weight in weights.items()
        }
    return found


def _convolutions() -> tuple[type, ...]:
    nn = torch.nn
    return (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d,
            nn.ConvTranspose3d)  # fmt: skip


def _taps(module: Any, lengths: tuple[int, ...] | None) -> Taps | None:
    """Return the kernel of a convolution; None for another module."""
    if not any(isinstance(module, kind) for kind in _convolutions()):
        return None
    if lengths is not None and module.padding_mode != "zeros":
        raise InputError(
            f"padding_mode is {module.padding_mode!r}, which repeats inputs at the borders; "
            "--input is for zeros"
        )
    kernel, transposed = module.kernel_size, module.transposed
    if isinstance(module.padding, str):  # "same" has the larger half behind
        totals = [d * (k - 1) for d, k in zip(module.dilation, kernel, strict=True)]
        same = module.padding == "same"
        padding = [(total // 2, total - total // 2) if same else (0, 0) for total in totals]
    else:
        padding = [
            (p, p - more) for p, more in zip(module.padding, module.output_padding, strict=True)
        ]
    return Taps(kernel, module.stride, module.dilation, tuple(padding), transposed)
