"""Samplers of the entries of x and W, in float32 and float64.

Each function fills a contiguous one-dimensional array with independent draws of one base
distribution. Neither this module nor :mod:`varsim.catalog.distributions` reads the other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.compute.memory import scratch
from varsim.parsing import name_and_number

FloatArray: TypeAlias = NDArray[np.floating]

_TRUNCATION = 2.0


def _random_words(rng: Generator, count: int) -> NDArray[np.uint64]:
    """Return the next 64-bit words of a generator."""
    words: NDArray[np.uint64] = rng.bit_generator.random_raw(count)
    return words


def fill_normal(rng: Generator, out: FloatArray) -> None:
    """Fill with standard normals: Box & Muller (1958) in float32, NumPy's ziggurat in float64.

    The float32 path takes 32 random bits per number, and NumPy's SIMD log, sqrt, sin and cos.
    The radius comes from a 32-bit uniform, so no draw exceeds sqrt(2 · 33 log 2) = 6.76.
    """
    if out.dtype != np.float32:
        rng.standard_normal(out=out)
    elif out.size % 2:
        even = scratch("even", out.size + 1, np.float32)
        _box_muller(rng, even)
        out[:] = even[:-1]
    else:
        _box_muller(rng, out)


def _box_muller(rng: Generator, out: FloatArray) -> None:
    half = out.size // 2
    halves = _random_words(rng, half).view(np.uint32)
    radius, angle = out[:half], out[half:]
    np.copyto(radius, halves[:half], casting="unsafe")
    np.copyto(angle, halves[half:].view(np.int32), casting="unsafe")
    # Reuses the memory of the words, which is in the cache.
    cosine = halves[:half].view(np.float32)
    radius += np.float32(0.5)
    radius *= np.float32(2.0**-32)
    np.log(radius, out=radius)
    radius *= np.float32(-2.0)
    np.sqrt(radius, out=radius)
    angle *= np.float32(math.pi * 2.0**-31)
    np.cos(angle, out=cosine)
    np.sin(angle, out=angle)
    angle *= radius
    radius *= cosine


def fill_uniform(rng: Generator, out: FloatArray) -> None:
    """Fill with uniforms on ±√3."""
    rng.random(out=out, dtype=out.dtype.type)
    out -= out.dtype.type(0.5)
    out *= out.dtype.type(math.sqrt(12.0))


def fill_truncated(rng: Generator, out: FloatArray) -> None:
    """Fill with standard normals truncated at ±2 and rescaled to variance 1."""
    fill_within(rng, out, _TRUNCATION)
    out *= out.dtype.type(1.0 / truncated_std(_TRUNCATION))


def fill_within(rng: Generator, out: FloatArray, bound: float) -> None:
    """Fill with standard normals truncated at ±bound, by rejection.

    Proposals are normal for a bound above 1, and uniform below: at least three of five pass.
    """
    filled = 0
    while filled < out.size:
        missing = out.size - filled
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
        out[filled : filled + accepted.size] = accepted
        filled += accepted.size


def truncated_std(bound: float) -> float:
    """Return the deviation of a standard normal truncated at ±a: √(1 - 2 a φ(a) / (2 Φ(a) - 1))."""
    inside = math.erf(bound / math.sqrt(2.0))
    density = math.exp(-bound * bound / 2.0) / math.sqrt(2.0 * math.pi)
    return math.sqrt(1.0 - 2.0 * bound * density / inside)


def fill_rademacher(rng: Generator, out: FloatArray) -> None:
    """Fill with ±1, each with probability ½, from one random bit each."""
    words = _random_words(rng, -(-out.size // 64))
    np.copyto(out, np.unpackbits(words.view(np.uint8), count=out.size))
    out *= out.dtype.type(2.0)
    out -= out.dtype.type(1.0)


def fill_laplace(rng: Generator, out: FloatArray) -> None:
    """Fill with Laplace draws of variance 1: an exponential magnitude with a random sign."""
    signs = scratch("signs", out.size, out.dtype)
    fill_rademacher(rng, signs)
    _fill_log_uniform(rng, out)
    signs *= out.dtype.type(math.sqrt(0.5))
    out *= signs


def fill_exponential(rng: Generator, out: FloatArray) -> None:
    """Fill with exponential draws of mean 1, less 1."""
    _fill_log_uniform(rng, out)
    np.subtract(out.dtype.type(-1.0), out, out=out)


def _fill_log_uniform(rng: Generator, out: FloatArray) -> None:
    """Fill with logarithms of uniforms on (0, 1] of 53 bits; float32 resolves the small ones."""
    uniform = scratch("doubles", out.size, np.float64)
    rng.random(out=uniform)
    np.subtract(1.0, uniform, out=out, casting="same_kind")
    np.log(out, out=out)


def fill_rectified(rng: Generator, out: FloatArray) -> None:
    """Fill with max(z, 0), z standard normal."""
    fill_normal(rng, out)
    np.maximum(out, out.dtype.type(0.0), out=out)


SAMPLERS: dict[str, Callable[[Generator, FloatArray], None]] = {
    "normal": fill_normal,
    "uniform": fill_uniform,
    "truncated": fill_truncated,
    "rademacher": fill_rademacher,
    "laplace": fill_laplace,
    "exponential": fill_exponential,
    "rectified": fill_rectified,
}
"""The sampler of each distribution, by name."""


def fill_bernoulli(rng: Generator, out: FloatArray, probability: float) -> None:
    """Fill with 1 with this probability, else 0, from uniforms of 53 bits."""
    uniform = scratch("doubles", out.size, np.float64)
    rng.random(out=uniform)
    np.less(uniform, probability, out=out)


def fill_student_t(rng: Generator, out: FloatArray, dof: float) -> None:
    """Fill with Student's t over its deviation: Bailey (1994), theorem 1.

    √(ν (U^(-2/ν) - 1)) cos 2πV has ν degrees of freedom, for uniforms U and V. U has 53 bits, so
    that the tail is cut where its probability is 1e-16.
    """
    cosine = scratch("cosine", out.size, out.dtype)
    rng.random(out=cosine, dtype=out.dtype.type)
    cosine *= out.dtype.type(2.0 * math.pi)
    np.cos(cosine, out=cosine)
    _fill_log_uniform(rng, out)
    out *= out.dtype.type(-2.0 / dof)
    np.expm1(out, out=out)
    out *= out.dtype.type(dof - 2.0)
    np.sqrt(out, out=out)
    out *= cosine


FAMILIES: dict[str, Callable[[Generator, FloatArray, float], None]] = {
    "bernoulli": fill_bernoulli,
    "student-t": fill_student_t,
}
"""The sampler of each family of distributions with a parameter, by name."""


def find_sampler(name: str) -> Callable[[Generator, FloatArray], None]:
    """Return the sampler of a canonical name, such as ``normal`` or ``bernoulli(0.1)``."""
    if name in SAMPLERS:
        return SAMPLERS[name]
    family, parameter = name_and_number(name)
    return lambda rng, out: FAMILIES[family](rng, out, parameter)
