"""Layers of Keras: the layouts of their weights, as documented in keras.layers."""

from __future__ import annotations

import inspect
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from varsim.compute import lazy
from varsim.errors import InputError
from varsim.initializers import documented
from varsim.initializers.layouts import Found, Layout, Piece, Taps, found_in, same_padding
from varsim.parsing import Call

keras = lazy("keras")

_KERNEL = "kernel"


def _convolution(dimensions: int) -> tuple[Layout, ...]:
    return (Layout(_KERNEL, "k " * dimensions + "i (g o)"),)


def _transposed(dimensions: int) -> tuple[Layout, ...]:
    return (Layout(_KERNEL, "k " * dimensions + "o i"),)


def _depthwise(dimensions: int) -> tuple[Layout, ...]:
    return (Layout(_KERNEL, "k " * dimensions + "g o"),)


def _separable(dimensions: int) -> tuple[Layout, ...]:
    return (
        Layout("depthwise_kernel", "k " * dimensions + "g o"),
        Layout("pointwise_kernel", "k " * dimensions + "i o"),
    )


def _cell(*gates: str) -> tuple[Layout, ...]:
    axes = "i (p o)" if gates else "i o"
    of_x, of_h = (tuple(f"{gate} of {side}" for gate in gates) for side in "xh")
    return (Layout(_KERNEL, axes, parts=of_x), Layout("recurrent_kernel", axes, parts=of_h))


_LEAVES: Mapping[str, tuple[Layout, ...]] = {
    "Dense": (Layout(_KERNEL, "i o"),),
    "EinsumDense": (Layout(_KERNEL, ""),),  # its equation has the axes
    **{f"Conv{n}D": _convolution(n) for n in (1, 2, 3)},
    **{f"Conv{n}DTranspose": _transposed(n) for n in (1, 2, 3)},
    **{f"DepthwiseConv{n}D": _depthwise(n) for n in (1, 2)},
    **{f"SeparableConv{n}D": _separable(n) for n in (1, 2)},
    "SimpleRNNCell": _cell(),
    "LSTMCell": _cell("i", "f", "c", "o"),
    "GRUCell": _cell("z", "r", "h"),
    "Embedding": (Layout("embeddings", "g o"),),
}

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    **_LEAVES,
    **{name: _LEAVES[f"{name}Cell"] for name in ("SimpleRNN", "LSTM", "GRU")},
    "MultiHeadAttention": tuple(
        Layout(name, "") for name in ("query", "key", "value", "attention_output")
    ),
}
"""The layouts of every layer, by the name of its class."""

# The attribute that holds a weight's initializer, if that is not its name before "kernel".
_INITIALIZERS = {
    ("DepthwiseConv1D", _KERNEL): "depthwise_initializer",
    ("DepthwiseConv2D", _KERNEL): "depthwise_initializer",
    "depthwise_kernel": "depthwise_initializer",
    "pointwise_kernel": "pointwise_initializer",
    "recurrent_kernel": "recurrent_initializer",
    "embeddings": "embeddings_initializer",
}


# Arguments of initializers that are no part of a claim.
_NO_PART = {"seed", "input_axes", "output_axes"}


def build(layer: Any, inputs: int) -> None:
    """Build a layer for a number of inputs or of input channels."""
    if isinstance(layer, keras.layers.MultiHeadAttention):
        layer.build((None, None, inputs), (None, None, inputs))
    else:
        layer.build(_input_shape(layer, inputs))


def _input_shape(layer: Any, inputs: int) -> tuple[int | None, ...]:
    """Return the shape of an input, without the sizes that do not matter."""
    if isinstance(layer, keras.layers.Embedding):
        return (None, None)
    if isinstance(layer, keras.layers.EinsumDense):
        letters = layer.equation.partition(",")[0].replace("...", "")
        return (*[None] * (len(letters) - 1), inputs)
    dimensions = re.search(r"(\d)D", type(layer).__name__)
    if dimensions is None:
        rank = 1 if isinstance(layer, keras.layers.RNN) else 0
        return (None, *[None] * rank, inputs)
    inside = [None] * int(dimensions[1])
    first = layer.data_format == "channels_first"
    return (None, inputs, *inside) if first else (None, *inside, inputs)


def named_weights(layer: Any, lengths: tuple[int, ...] | None) -> dict[str, Found]:
    """Return the weights of a layer or a model, of its layers in :data:`LAYOUTS`, by name."""
    leaves = list(_known(layer))
    found = {}
    for index, (path, leaf) in enumerate(leaves):
        kind = type(leaf).__name__
        layouts = _of_einsum(leaf) if kind == "EinsumDense" else _LEAVES[kind]
        arrays = {layout.parameter: getattr(leaf, layout.parameter) for layout in layouts}
        shapes = {name: tuple(array.shape) for name, array in arrays.items()}
        for layout in layouts:
            # The pointwise kernel of a separable convolution has one tap, and no stride.
            taps = None if layout.parameter == "pointwise_kernel" else _taps(leaf, lengths)
            weights = found_in(
                [layout], shapes, groups=getattr(leaf, "groups", 1), taps=taps, lengths=lengths
            )
            for name, (parameter, piece, _) in weights.items():
                law = _documented(leaf, piece)
                alone = len(leaves) == 1
                label = name if alone else path if name == _KERNEL else f"{path}.{name}"
                place = f"{index}.{parameter}"
                found[label] = Found(place, replace(piece, documented=law), "")
    return found


def array(layer: Any, name: str) -> Any:
    """Return a weight by the place of its layer and its name."""
    place, _, parameter = name.partition(".")
    _, leaf = list(_known(layer))[int(place)]
    return keras.ops.convert_to_numpy(getattr(leaf, parameter))


def _known(layer: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers with a known layout, each with a name of its own.

    Keras numbers the layers without a name over all models; here they are numbered per model.
    """
    numbers: Counter[str] = Counter()
    for part in layer._flatten_layers():  # there is no public way
        kind = type(part)
        if kind.__name__ not in _LEAVES or not kind.__module__.startswith("keras."):
            continue
        usual = re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", kind.__name__)
        is_numbered = re.fullmatch(rf"{usual.lower()}_[0-9]+", part.name)
        name = usual.lower() if is_numbered else part.name
        number = numbers[name]
        numbers[name] += 1
        yield f"{name}_{number}" if number else name, part


def _of_einsum(layer: Any) -> list[Layout]:
    """Return the layout of a kernel by its equation, such as ``abc,cde->abde``."""
    inputs, kernel, outputs = re.split(",|->", layer.equation.replace("...", ""))
    free = {"in": iter("ijl"), "out": iter("omn")}
    axes = []
    for letter in kernel:
        side = "in" if letter not in outputs else "out" if letter not in inputs else ""
        axes.append(next(free[side], "?") if side else "g")
    if "?" in axes or axes.count("g") > 1:
        raise InputError(f"the equation {layer.equation!r} has more axes than varsim can read")
    return [Layout(_KERNEL, " ".join(axes))]


def _taps(layer: Any, lengths: tuple[int, ...] | None) -> Taps | None:
    """Return the kernel of a convolution; None for another layer."""
    if "Conv" not in type(layer).__name__:
        return None
    kernel, stride, dilation = layer.kernel_size, layer.strides, layer.dilation_rate
    transposed = type(layer).__name__.endswith("Transpose")
    padding = [(0, 0)] * len(kernel)
    if transposed and lengths is not None and not _is_plain(layer):
        raise InputError(
            "--input is not read for this transposed convolution; leave out output_padding, and "
            "take kernels no smaller than strides"
        )
    if layer.padding != "valid" and lengths is not None:
        each = zip(kernel, stride, dilation, lengths, strict=True)
        padding = (
            [(d * (k - 1), 0) for k, _, d, _ in each]
            if layer.padding == "causal"
            else [same_padding(axis, transposed=transposed) for axis in each]
        )
    return Taps(kernel, stride, dilation, tuple(padding), transposed)


def _is_plain(layer: Any) -> bool:
    """Return whether a transposed convolution has as many outputs as Keras documents by default."""
    sizes = zip(layer.kernel_size, layer.strides, strict=True)
    return layer.output_padding is None and all(k >= s for k, s in sizes)


def _documented(layer: Any, piece: Piece) -> tuple[str, float] | None:
    """Return the documented E w² of a weight, by its initializer and Keras's fans of its shape."""
    kind, parameter = type(layer).__name__, piece.layout.parameter
    attribute = _INITIALIZERS.get((kind, parameter)) or _INITIALIZERS.get(parameter)
    initializer = getattr(layer, attribute or "kernel_initializer")
    given = initializer.get_config()
    signature = inspect.signature(type(initializer)).parameters
    changed = {
        name: value
        for name, value in given.items()
        if name in signature and name not in _NO_PART and value != signature[name].default
    }
    name = f"keras.initializers.{type(initializer).__name__}"
    claim = documented.claim(Call(name, (), tuple(sorted(changed.items()))), given)
    if claim is None:
        return None
    if kind == "EinsumDense" and "input_axes" in given:  # Keras takes those of the equation
        fans = (piece.dim, piece.fan_out)
    else:
        fans = _fans(piece.shape, given.get("input_axes"), given.get("output_axes"))
    formula = re.sub(r"\bD\b|\bn\b", lambda match: str(fans[match[0] == "n"]), claim.formula)
    return formula, claim.mean_square(*fans)


def _fans(
    shape: Sequence[int], inputs: Sequence[int] | None, outputs: Sequence[int] | None
) -> tuple[int, int]:
    """Return Keras's fans of a shape: of its axes if they are known, else of a convolution."""
    if inputs is not None and outputs is not None:
        return math.prod(shape[axis] for axis in inputs), math.prod(shape[axis] for axis in outputs)
    taps = math.prod(shape[:-2])
    return shape[-2] * taps, shape[-1] * taps
