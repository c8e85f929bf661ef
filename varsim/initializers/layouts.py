"""Layouts: how the parameters of modules act as matrices, x @ W forward and g @ Wᵀ backward.

A layout is data: the axes of a parameter, and the documented E w² of its entries. An axis is a
letter, or a product of letters in brackets, the slowest first:

====  ================================================================================
i…l   inputs that an output sums over
m…o   outputs, which are summed over backward
k     a tap of a kernel, once per spatial axis; forward and backward it is summed over
g     groups: independent matrices of one size, such as those of a grouped convolution
p     parts with names, such as the gates of an LSTM
====  ================================================================================

So ``"(g o) i k k"`` is the weight of a grouped two-dimensional convolution: an output sums
i · k · k inputs, and the gradient of an input o · k · k outputs: He et al. (2015), eqs. 9 and 13.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from varsim.compute import lazy
from varsim.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")

Fans: TypeAlias = Mapping[str, int]
"""Sizes by letter; ``k`` is the product of the taps of all axes."""

Law: TypeAlias = Callable[[Fans], tuple[str, float]]
"""The documented E w² of a parameter: a formula with its numbers, and its value."""

Masks: TypeAlias = "tuple[FloatArray, ...]"
"""Per spatial axis 0 and 1, of shape (positions, taps): whether a tap meets an entry there."""

_INPUTS, _OUTPUTS = "ijl", "mno"
_OF_LAYER = re.compile(r"(_l\d+(_reverse)?)?")
_AXIS = re.compile(r"\(([a-z ]+)\)|([a-z])")


@dataclass(frozen=True)
class Layout:
    """The layout of a parameter.

    Attributes:
        parameter: Its name, without the number of a layer or the name of a submodule.
        axes: Its axes: see this module.
        law: Its documented E w².
        parts: Names of its parts, in the order of ``p``; by default one, of the parameter's name.
        bias: Name of the bias that is added to its outputs; empty without one.
        bias_law: Its documented E b².
    """

    parameter: str
    axes: str
    law: Law | None = None
    parts: tuple[str, ...] = ()
    bias: str = ""
    bias_law: Law | None = None

    @property
    def letters(self) -> list[list[str]]:
        """The letters of each axis; those of taps are numbered: k0, k1, ..."""
        taps = 0
        axes = []
        for product, single in _AXIS.findall(self.axes):
            letters = (product or single).split()
            if letters == ["k"]:
                letters, taps = [f"k{taps}"], taps + 1
            axes.append(letters)
        return axes


class Taps(NamedTuple):
    """The kernel of a convolution, with a value per spatial axis.

    Attributes:
        kernel: Numbers of taps.
        stride: Strides.
        dilation: Distances of neighbouring taps.
        padding: Numbers of zeros before and after an axis.
        transposed: Whether an input is spread over outputs.
        circular: Whether an axis continues at its other end instead of with zeros.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    transposed: bool = False
    circular: bool = False

    def masks(self, lengths: Sequence[int] | None) -> tuple[Masks, Masks]:
        """Return the taps that meet an entry, forward and backward.

        Forward, a tap meets an input or, in the padding, none. With a stride, an output of a
        transposed convolution meets only some taps; so does the gradient of an input otherwise.

        Args:
            lengths: Sizes of the input; by default the interior of a large one.
        """
        axes = len(self.kernel)
        if lengths is not None and len(lengths) != axes:
            raise InputError(
                f"the input has {len(lengths)} sizes, and the kernel has {axes}; give one per "
                f"axis, such as {'x'.join(['12'] * axes)}"
            )
        each = [
            self._axis(axis, None if lengths is None else lengths[axis])
            for axis in range(len(self.kernel))
        ]
        gather, spread = (tuple(masks) for masks in zip(*each, strict=True))
        return (spread, gather) if self.transposed else (gather, spread)

    def _axis(self, axis: int, length: int | None) -> tuple[FloatArray, FloatArray]:
        """Return the masks of the side that gathers (a position of it sums over taps at fixed
        distances) and of the side that spreads.
        """  # noqa: D205
        kernel, stride, dilation = self.kernel[axis], self.stride[axis], self.dilation[axis]
        taps = np.arange(kernel) * dilation
        if length is None or self.circular:
            phases = np.arange(stride)[:, np.newaxis]
            return np.ones((1, kernel)), ((phases - taps) % stride == 0).astype(float)
        before, after = self.padding[axis]
        reach = dilation * (kernel - 1)
        if self.transposed:  # the input gathers the gradient
            gathering = length
            spreading = (length - 1) * stride - before - after + reach + 1
        else:
            gathering = (length + before + after - reach - 1) // stride + 1
            spreading = length
        if gathering < 1 or spreading < 1:
            raise InputError(f"an input of size {length} is too small for the kernel; give more")
        places = np.arange(gathering)[:, np.newaxis] * stride + taps - before
        gather = (places >= 0) & (places < spreading)
        offset = np.arange(spreading)[:, np.newaxis] + before - taps
        spread = (offset % stride == 0) & (offset >= 0) & (offset < gathering * stride)
        return gather.astype(float), spread.astype(float)


def same_padding(axis: tuple[int, int, int, int], *, transposed: bool) -> tuple[int, int]:
    """Return the zeros before and after an axis for which outputs are as many as steps.

    Args:
        axis: Taps, stride, dilation and length of the axis.
        transposed: Whether an input is spread over outputs.
    """
    kernel, stride, dilation, length = axis
    steps = length if transposed else -(-length // stride)
    size = length * stride if transposed else length
    total = (steps - 1) * stride + dilation * (kernel - 1) + 1 - size
    before = max(0, total) // 2
    return before, total - before


def share(masks: Masks) -> float:
    """Return the mean share of taps that meet an entry."""
    return math.prod((float(mask.mean()) for mask in masks), start=1.0)


class Acting(NamedTuple):
    """A weight as it acts.

    Attributes:
        forward: Matrices W of shape (groups, D, outputs).
        backward: The same entries as matrices of shape (groups, inputs, n).
        forward_masks: Masks of the taps that D contains.
        backward_masks: Masks of the taps that n contains.
        kernel: Numbers of taps; empty without any.
    """

    forward: FloatArray
    backward: FloatArray
    forward_masks: Masks = ()
    backward_masks: Masks = ()
    kernel: tuple[int, ...] = ()


@dataclass(frozen=True)
class Piece:
    """A weight of a module that acts as a matrix: a parameter, or a part of it.

    Attributes:
        layout: The layout of the parameter.
        shape: The shape of the parameter.
        groups: Number of groups.
        part: Number of the part.
        taps: The kernel of a convolution.
        lengths: Sizes of the input of a convolution; None for its interior.
        documented: The documented E w² of the entries, as a formula and a value.
        bias: The documented E b² that is added to an output.
    """

    layout: Layout
    shape: tuple[int, ...]
    groups: int = 1
    part: int = 0
    taps: Taps | None = None
    lengths: tuple[int, ...] | None = None
    documented: tuple[str, float] | None = None
    bias: float = 0.0
    sizes: Mapping[str, int] = field(init=False)

    def __post_init__(self) -> None:
        known = {"g": self.groups, "p": max(1, len(self.layout.parts))}
        sizes = dict(known)
        for letters, size in zip(self.layout.letters, self.shape, strict=True):
            (free,) = [letter for letter in letters if letter not in known] or [""]
            rest = math.prod(known[letter] for letter in letters if letter in known)
            if free:
                sizes[free] = size // rest
            else:
                sizes["g"] = size
        object.__setattr__(self, "sizes", sizes)

    @property
    def fans(self) -> Fans:
        """The sizes by letter, with ``k`` for all taps."""
        return {"k": self._product("k"), "j": 1, "m": 1, **self.sizes}

    def _product(self, letters: str) -> int:
        return math.prod(size for letter, size in self.sizes.items() if letter[0] in letters)

    @property
    def dim(self) -> int:
        """D: number of entries that an output sums over, with all taps."""
        return self._product(_INPUTS + "k")

    @property
    def columns(self) -> int:
        """Number of outputs, of all groups."""
        return self.sizes["g"] * self._product(_OUTPUTS)

    @property
    def fan_out(self) -> int:
        """n: number of entries that the gradient of an input sums over, with all taps."""
        return self._product(_OUTPUTS + "k")

    @property
    def masks(self) -> tuple[Masks, Masks]:
        """The masks of taps, forward and backward."""
        return ((), ()) if self.taps is None else self.taps.masks(self.lengths)

    @property
    def sums(self) -> str:
        """What D and n are products of, such as ``16·3·3 and 32·3·3``."""
        taps = [str(size) for letter, size in self.sizes.items() if letter[0] == "k"]
        sides = (self._product(_INPUTS), self._product(_OUTPUTS))
        return " and ".join("·".join([str(side), *taps]) for side in sides)

    def act(self, parameter: FloatArray) -> Acting:
        """Return the weight as it acts.

        Args:
            parameter: The whole parameter.
        """
        axes = self.layout.letters
        letters = [letter for axis in axes for letter in axis]
        whole = parameter.reshape([self.sizes[letter] for letter in letters])
        if "p" in letters:
            whole = np.take(whole, self.part, axis=letters.index("p"))
            letters.remove("p")
        inputs, taps, outputs = (
            [letter for letter in letters if letter[0] in kind] for kind in (_INPUTS, "k", _OUTPUTS)
        )
        groups = [letter for letter in letters if letter == "g"]
        order = [letters.index(letter) for letter in (*groups, *inputs, *taps, *outputs)]
        ordered = whole.transpose(order)
        g, n = self.sizes["g"], self.fan_out
        forward = ordered.reshape(g, self.dim, self._product(_OUTPUTS))
        backward = ordered.reshape(g, self._product(_INPUTS), n)
        kernel = tuple(self.sizes[letter] for letter in taps)
        return Acting(forward, backward, *self.masks, kernel)


class Found(NamedTuple):
    """A parameter of a module with its layout.

    Attributes:
        name: The full name of the parameter.
        piece: How it acts.
        bias: The full name of its bias, or empty.
    """

    name: str
    piece: Piece
    bias: str


class OpenSizes(NamedTuple):
    """Sizes that the arguments of a module leave open.

    Attributes:
        lengths: Spatial sizes of its input; None for the interior of a large one.
        inputs: Number of inputs or of input channels; None if the arguments have it.
    """

    lengths: tuple[int, ...] | None = None
    inputs: int | None = None

    def __str__(self) -> str:
        """Return them as they are written after the name of a weight."""
        text = "" if self.lengths is None else f", {'x'.join(map(str, self.lengths))}"
        return text + ("" if self.inputs is None else f", {self.inputs} inputs")


def found_in(
    layouts: Iterable[Layout],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    groups: int = 1,
    taps: Taps | None = None,
    lengths: tuple[int, ...] | None = None,
) -> dict[str, Found]:
    """Return the weights of a module by name: of the part, or else of the parameter.

    Args:
        layouts: The layouts of the module.
        shapes: The shapes of its parameters. ``weight_ih_l1`` has the layout of ``weight_ih``.
        groups: Number of groups.
        taps: The kernel of a convolution.
        lengths: Sizes of the input of a convolution.
    """
    found = {}
    for layout in layouts:
        for name, shape in shapes.items():
            suffix = name.removeprefix(layout.parameter)
            if not name.startswith(layout.parameter) or not _OF_LAYER.fullmatch(suffix):
                continue
            bias = layout.bias + suffix if layout.bias + suffix in shapes else ""
            for number, part in enumerate(layout.parts or (layout.parameter,)):
                piece = Piece(layout, shape, groups, number, taps, lengths)
                if layout.law is not None:
                    piece = replace(piece, documented=layout.law(piece.fans))
                if bias and layout.bias_law is not None:
                    piece = replace(piece, bias=layout.bias_law(piece.fans)[1])
                label = part if suffix in ("", "_l0") else f"{part} in {suffix[1:]}"
                found[label] = Found(name, piece, bias)
    return found


def uniform(fan: str) -> Law:
    """Return the law of a uniform distribution on ±1/√F, the default of torch.

    Args:
        fan: The letters whose sizes are the factors of F.
    """

    def law(sizes: Fans) -> tuple[str, float]:
        f = math.prod(sizes[letter] for letter in fan)
        return f"1/(3·{f})", 1 / (3 * f)

    return law


def xavier(fan_in: str, fan_out: str) -> Law:
    """Return the law of Xavier for fans that are products of sizes by letter."""

    def law(sizes: Fans) -> tuple[str, float]:
        fans = [math.prod(sizes[letter] for letter in fan) for fan in (fan_in, fan_out)]
        return f"2/({fans[0]}+{fans[1]})", 2 / sum(fans)

    return law


def lecun(fan: str) -> Law:
    """Return LeCun's law, 1/F, the default of Flax.

    Args:
        fan: The letters whose sizes are the factors of F.
    """

    def law(sizes: Fans) -> tuple[str, float]:
        f = math.prod(sizes[letter] for letter in fan)
        return f"1/{f}", 1 / f

    return law


def constant(value: float) -> Law:
    """Return the law of entries with a mean square that no size changes."""

    def law(_: Fans) -> tuple[str, float]:
        return f"{value:g}", value

    return law
