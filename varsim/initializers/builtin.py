"""Built-in initializers: samplers of W; they share no facts with ``varsim.initializers.theory``."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.catalog.samplers import FloatArray, fill_normal, fill_within, truncated_std
from varsim.catalog.scales import deviation
from varsim.compute import lazy
from varsim.compute.memory import scratch
from varsim.initializers import Adapter, Drawer, Function, RawWeights
from varsim.parsing import Call

if TYPE_CHECKING:
    from scipy.linalg import lapack
else:
    lapack = lazy("scipy.linalg.lapack")


def draw_orthogonal(rng: Generator, out: FloatArray, gain: float = 1.0) -> None:
    """Fill with orthonormal columns times g, or orthonormal rows if n > D.

    Q is a product of random Householder reflections: Stewart (1980), section 3. That is half the
    work of a QR decomposition of a normal matrix. The signs of the diagonal of that R make Q
    uniform: Mezzadri (2007), section 5.
    """
    dim, n = out.shape
    tall = np.empty((max(dim, n), min(dim, n)), out.dtype)
    fill_normal(rng, tall.reshape(-1))
    out[:] = _orthonormal(tall).T if n > dim else _orthonormal(tall)
    out *= out.dtype.type(gain)


def _orthonormal(normal: FloatArray) -> FloatArray:
    """Return orthonormal columns; column j uses the numbers from the diagonal down."""
    dtype, (rows, columns) = normal.dtype, normal.shape
    reflectors = np.asfortranarray(np.tril(normal))
    heads = np.diagonal(reflectors).astype(np.float64)
    signs = np.where(heads < 0, -1.0, 1.0)
    norms = signs * np.sqrt(np.einsum("ij,ij->j", reflectors, reflectors, dtype=np.float64))
    norms[norms == 0.0] = 1.0  # a column of one number can be 0
    # 1 - tau v vᵀ with v = (1, ...) maps a column to -norm e₁, the diagonal of R.
    reflectors /= (heads + norms).astype(dtype)
    taus = ((heads + norms) / norms).astype(dtype)
    if rows == columns:
        taus[-1], signs[-1] = 0.0, -signs[-1]  # the last column has one number, an entry of R
    form = lapack.sorgqr if dtype == np.float32 else lapack.dorgqr
    formed: FloatArray
    # A workspace for 64 columns at a time.
    formed, _, _ = form(reflectors, taus, lwork=64 * columns, overwrite_a=True)
    return formed * (-signs).astype(dtype)


def draw_sparse(rng: Generator, out: FloatArray, sparsity: float = 0.1, std: float = 0.01) -> None:
    """Fill with normals, then put ⌈sparsity n⌉ zeros into each row."""
    n = out.shape[1]
    zeros = math.ceil(sparsity * n)
    fill_normal(rng, out.reshape(-1))
    out *= out.dtype.type(std)
    if zeros <= n // 2:
        out[_chosen(rng, out.shape, zeros)] = 0.0
    else:
        out[~_chosen(rng, out.shape, n - zeros)] = 0.0


def _chosen(rng: Generator, shape: tuple[int, ...], count: int) -> NDArray[np.bool_]:
    """Choose ``count`` entries per row at random: Floyd's algorithm, Bentley (1987)."""
    rows, n = shape
    chosen = np.zeros(shape, np.bool_)
    if rows < 32:  # a shuffle of whole rows is faster than one NumPy call per chosen entry
        chosen[:, :count] = True
        return rng.permuted(chosen, axis=1)
    every = np.arange(rows)
    for last in range(n - count, n):
        drawn = rng.integers(last + 1, size=rows)
        chosen[every, np.where(chosen[every, drawn], last, drawn)] = True
    return chosen


def draw_truncated_normal(
    rng: Generator, out: FloatArray, std: float | str = 1.0, bound: float = 2.0
) -> None:
    """Fill with normals truncated at ±bound deviations, and rescaled to the deviation std."""
    fill_within(rng, out.reshape(-1), bound)
    out *= out.dtype.type(deviation(std, *out.shape) / truncated_std(bound))


def draw_trunc_normal(
    rng: Generator, out: FloatArray, std: float | str = 1.0, bound: float = 2.0
) -> None:
    """Fill with normals of deviation std truncated at ±bound."""
    before = deviation(std, *out.shape)
    fill_within(rng, out.reshape(-1), bound / before)
    out *= out.dtype.type(before)


DRAWS: dict[str, Callable[..., None]] = {
    "orthogonal": draw_orthogonal,
    "sparse": draw_sparse,
    "truncated_normal": draw_truncated_normal,
    "trunc_normal": draw_trunc_normal,
}
"""The sampler of each built-in initializer, by name."""


class _BuiltIn(Adapter):
    name = "varsim"
    parameters = 2  # rng and out

    @property
    def functions(self) -> dict[str, Function]:
        return dict(DRAWS)

    def drawer(self, call: Call, function: Function) -> Drawer:
        if function is draw_orthogonal:
            lapack.sorgqr  # noqa: B018  # only a loaded BLAS is limited to one thread in the draw

        def draw(
            rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]
        ) -> RawWeights:
            out: FloatArray = scratch("whole", shape[0] * shape[1], dtype).reshape(shape)
            function(rng, out, *call.positional, **call.options)
            return RawWeights(out)

        return draw

    def remedy(self) -> str:
        return "reinstall scipy"


ADAPTER = _BuiltIn()
