"""Built-in initializers: how their W are drawn.

What theory says of them is in :mod:`varsim.initializers.theory`, which knows nothing of this.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.calls import Call
from varsim.catalog.samplers import fill_normal
from varsim.catalog.scales import deviation
from varsim.compute.memory import scratch
from varsim.initializers.adapter import FloatArray, Made, Maker

# Below, a call of NumPy for every number of a row costs more than a shuffle of all.
_FEW_ROWS = 32

# Columns that LAPACK reflects at a time; the workspace for it.
_LAPACK_BLOCK = 64


def draw_orthogonal(rng: Generator, out: FloatArray, gain: float = 1.0) -> None:
    """Fill with orthonormal columns times g, or rows where there are more columns.

    As a product of random Householder reflections, Stewart (1980), section 3: the factor Q of a
    normal matrix without the matrix, for half the work. The factor R that would belong to it has a
    diagonal whose signs make Q uniform: Mezzadri (2007), section 5.
    """
    dim, n = out.shape
    tall = _normal(rng, (max(dim, n), min(dim, n)), out.dtype)
    if n > dim:
        out[:] = _orthonormal(tall).T
    else:
        out[:] = _orthonormal(tall)
    out *= out.dtype.type(gain)


def _orthonormal(normal: FloatArray) -> FloatArray:
    """Return orthonormal columns; column j takes its numbers from the diagonal on."""
    from scipy.linalg import lapack

    dtype, (rows, columns) = normal.dtype, normal.shape
    reflectors = np.asfortranarray(np.tril(normal))
    heads = np.diagonal(reflectors).astype(np.float64)
    signs = np.where(heads < 0, -1.0, 1.0)
    norms = signs * np.sqrt(np.einsum("ij,ij->j", reflectors, reflectors, dtype=np.float64))
    norms[norms == 0.0] = 1.0  # where one number is left, it can be 0
    # 1 - tau v vᵀ with v = (1, ...) maps a column to -norm e₁, the diagonal of R.
    reflectors /= (heads + norms).astype(dtype)
    taus = ((heads + norms) / norms).astype(dtype)
    if rows == columns:
        taus[-1], signs[-1] = 0.0, -signs[-1]  # one number is nothing to reflect: it is R's
    form = lapack.sorgqr if dtype == np.float32 else lapack.dorgqr
    formed, _, _ = form(reflectors, taus, lwork=_LAPACK_BLOCK * columns, overwrite_a=True)
    result: FloatArray = formed * (-signs).astype(dtype)
    return result


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
    """Return which entries are chosen, ``count`` of every row: Floyd's, in Bentley (1987)."""
    rows, n = shape
    chosen = np.zeros(shape, np.bool_)
    if rows < _FEW_ROWS:
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
    """Fill with normals kept within ±bound deviations, of which std is left."""
    _fill_within(rng, out, bound)
    flat = out.reshape(-1)
    inside = math.erf(bound / math.sqrt(2.0))
    density = math.exp(-bound * bound / 2.0) / math.sqrt(2.0 * math.pi)
    left = math.sqrt(1.0 - 2.0 * bound * density / inside)
    flat *= out.dtype.type(deviation(std, *out.shape) / left)


def draw_trunc_normal(
    rng: Generator, out: FloatArray, std: float | str = 1.0, bound: float = 2.0
) -> None:
    """Fill with normals of deviation std kept within ±bound."""
    before = deviation(std, *out.shape)
    _fill_within(rng, out, bound / before)
    out *= out.dtype.type(before)


def _fill_within(rng: Generator, out: FloatArray, bound: float) -> None:
    """Fill with standard normals kept where |z| <= bound, by rejection.

    Of normals where most are within, else of uniforms: at least three of five pass.
    """
    flat, filled = out.reshape(-1), 0
    while filled < flat.size:
        missing = flat.size - filled
        proposals = scratch("proposals", missing + missing // 16 + 16, out.dtype)
        if bound > 1.0:
            fill_normal(rng, proposals)
            passed = np.abs(proposals) <= bound
        else:
            rng.random(out=proposals, dtype=out.dtype.type)
            proposals *= out.dtype.type(2.0 * bound)
            proposals -= out.dtype.type(bound)
            passed = rng.random(proposals.size) <= np.exp(-0.5 * np.square(proposals))
        accepted = proposals[passed][:missing]
        flat[filled : filled + accepted.size] = accepted
        filled += accepted.size


def _normal(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> FloatArray:
    out = np.empty(shape, dtype)
    fill_normal(rng, out.reshape(-1))
    return out


DRAWS: dict[str, Callable[..., None]] = {
    "orthogonal": draw_orthogonal,
    "sparse": draw_sparse,
    "truncated_normal": draw_truncated_normal,
    "trunc_normal": draw_trunc_normal,
}
"""The sampler of every built-in initializer, by its name."""


def find(call: Call) -> Maker:
    """Return the built-in initializer of a call, whose arguments were checked before."""
    fill = DRAWS[call.name]
    if fill is draw_orthogonal:
        import scipy.linalg  # noqa: F401  # takes a fifth of a second; before threads are limited

    def make(rng: Generator, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> Made:
        out: FloatArray = scratch("made", shape[0] * shape[1], dtype).reshape(shape)
        fill(rng, out, *call.positional, **call.options)
        return Made(out)

    return make
