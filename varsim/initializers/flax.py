"""Modules of Flax, flax.nnx: the layouts of their weights, as documented there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from varsim.compute import lazy
from varsim.errors import InputError
from varsim.initializers import Adapter, Drawer, Function
from varsim.initializers.jax import enabled
from varsim.initializers.layouts import (
    Found,
    Layout,
    OpenSizes,
    Taps,
    found_in,
    lecun,
    same_padding,
)
from varsim.parsing import Call

if TYPE_CHECKING:
    import numpy as np

    from varsim.catalog.samplers import FloatArray
else:
    np = lazy("numpy")

nnx, jnp = lazy("flax.nnx"), lazy("jax.numpy")

_KERNEL = "kernel"


def _convolution(dimensions: int) -> Layout:
    return Layout(_KERNEL, "k " * dimensions + "i (g o)", lecun("ik"))


def _transposed(dimensions: int) -> Layout:
    return Layout(_KERNEL, "k " * dimensions + "i o", lecun("ik"))


_ATTENTION = tuple(
    Layout(f"{name}.kernel", axes, lecun(fan))
    for name, axes, fan in (
        ("query", "i o m", "i"), ("key", "i o m", "i"), ("value", "i o m", "i"),
        ("out", "i j o", "ij"),
    )
)  # fmt: skip

LAYOUTS: Mapping[str, tuple[Layout, ...]] = {
    "Linear": (Layout(_KERNEL, "i o", lecun("i")),),
    "Conv": (_convolution(2),),
    "ConvTranspose": (_transposed(2),),
    "MultiHeadAttention": _ATTENTION,
    # The fan of a table is its number of features, not of rows.
    "Embed": (Layout("embedding", "g o", lecun("o")),),
}
"""The layouts of every module, by the name of its class; those of convolutions for two axes."""


class _Flax(Adapter):
    name = "flax"
    prefix = "flax.nnx.initializers."
    layer_modules = ("flax.linen.", "flax.nnx.")
    modules: ClassVar = {f"flax.nnx.{name}": layouts for name, layouts in LAYOUTS.items()}

    @property
    def patterns(self) -> list[str]:
        return []

    def drawer(self, call: Call, function: Function) -> Drawer:  # noqa: ARG002
        """Refuse: the initializers of Flax are those of JAX, and have its names."""
        raise InputError(f"{call.name} is not known; write jax.nn.initializers in its place")

    def streams(self, seed: int) -> dict[str, Any]:
        """Return the argument ``rngs`` of a module."""
        return {"rngs": nnx.Rngs(seed)}

    def construct(self, call: Call, sizes: OpenSizes, seed: int, dtype: str) -> object:  # noqa: ARG002
        """Return the module of a call."""
        module = getattr(nnx, call.name.rpartition(".")[2])
        with enabled(np.dtype(dtype)):
            given = {"param_dtype": getattr(jnp, dtype), **call.options, **self.streams(seed)}
            return module(*call.positional, **given)

    def is_module(self, value: object) -> bool:
        """Return whether a value is an nnx.Module."""
        return isinstance(value, nnx.Module)

    def weights(self, module: Any, sizes: OpenSizes) -> dict[str, Found]:
        """Return the weights of a module and of its submodules."""
        found: dict[str, Found] = {}
        known: list[str] = []
        for path, part in sorted(_named(module).items()):
            kind = type(part).__name__
            is_ours = kind in LAYOUTS and type(part).__module__.startswith("flax.nnx.")
            if not is_ours or any(path.startswith(above) for above in known):
                continue
            prefix = f"{path}." if path else ""
            known.append(prefix)
            for name, each in _weights(part, kind, sizes.lengths).items():
                found[prefix + name] = each._replace(name=prefix + each.name)
        return found

    def array(self, module: Any, name: str) -> FloatArray:
        """Return a parameter of a module."""
        path, _, parameter = name.rpartition(".")
        return np.asarray(getattr(_named(module)[path], parameter)[...])


def _named(module: Any) -> dict[str, Any]:
    """Return a module and its submodules by path."""
    return {".".join(map(str, path)): part for path, part in nnx.iter_modules(module)}


def _weights(part: Any, kind: str, lengths: tuple[int, ...] | None) -> dict[str, Found]:
    """Return the weights of a module of a known kind."""
    if kind == "MultiHeadAttention":
        shapes = {
            f"{name}.kernel": tuple(getattr(part, name).kernel.shape)
            for name in ("query", "key", "value", "out")
        }
        return found_in(LAYOUTS[kind], shapes)
    layouts, taps, groups = LAYOUTS[kind], None, 1
    if kind in ("Conv", "ConvTranspose"):
        kernel = tuple(part.kernel_size)
        if kind == "ConvTranspose" and part.transpose_kernel:
            raise InputError("varsim does not read transpose_kernel=True; leave it out")
        layouts = ((_convolution if kind == "Conv" else _transposed)(len(kernel)),)
        taps = _taps(part, kernel, lengths, transposed=kind == "ConvTranspose")
        groups = 1 if kind == "ConvTranspose" else part.feature_group_count
    parameter = layouts[0].parameter
    shapes = {parameter: tuple(getattr(part, parameter).shape)}
    return found_in(layouts, shapes, groups=groups, taps=taps, lengths=lengths)


def _taps(
    part: Any, kernel: tuple[int, ...], lengths: tuple[int, ...] | None, *, transposed: bool
) -> Taps:
    """Return the kernel of a convolution."""

    def per_axis(value: Any) -> tuple[int, ...]:
        return tuple(value) if isinstance(value, list | tuple) else (value or 1,) * len(kernel)

    stride, dilation = per_axis(part.strides), per_axis(part.kernel_dilation)
    padding = [(0, 0)] * len(kernel)
    if lengths is not None:
        if transposed or part.padding not in ("SAME", "VALID"):
            raise InputError(
                "varsim reads --input for Conv of Flax with padding SAME or VALID alone; leave it "
                "out"
            )
        if part.padding == "SAME":
            each = zip(kernel, stride, dilation, lengths, strict=True)
            padding = [same_padding(axis, transposed=False) for axis in each]
    return Taps(kernel, stride, dilation, tuple(padding), transposed)


ADAPTER = _Flax()
