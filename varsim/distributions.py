"""Distributions of the entries of x and W: how to draw them, and their exact moments.

Every base distribution is standardised to mean 0 and variance 1, except ``rectified``, which is
what a ReLU hands to the next layer. An experiment's entries are ``mean + std * base``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.floating[Any]]

_ALL_ONES = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_TRUNCATION = 2.0


@dataclass(frozen=True, slots=True)
class Distribution:
    """A base distribution: its exact moments, and a function that fills an array with draws.

    Attributes:
        summary: What it is, in a few words.
        mean: E b.
        variance: E (b - mean)^2.
        skewness: E (b - mean)^3 / variance^1.5.
        kurtosis: E (b - mean)^4 / variance^2; 3 for the normal distribution.
        fill: Called as ``fill(rng, out)``; overwrites the contiguous one-dimensional float32 or
            float64 array ``out`` with independent draws.
        for_weights: Whether it can stand for the entries of W too.
    """

    summary: str
    mean: float
    variance: float
    skewness: float
    kurtosis: float
    fill: Callable[[Generator, FloatArray], None]
    for_weights: bool = True


def _random_words(rng: Generator, count: int) -> NDArray[np.uint32]:
    """Return at least ``count`` uniform 32-bit words."""
    words = rng.integers(_ALL_ONES, size=(count + 1) // 2, dtype=np.uint64, endpoint=True)
    return words.view(np.uint32)


def _fill_unit_interval(rng: Generator, out: FloatArray) -> None:
    """Fill with uniforms on (0, 1], fit for a logarithm: 32 random bits each in float32."""
    if out.dtype == np.float32:
        # float32 conversion keeps all 32 bits of the small values, where the logarithm is steep.
        np.copyto(out, _random_words(rng, out.size)[: out.size], casting="unsafe")
        out += np.float32(0.5)
        out *= np.float32(2.0**-32)
    else:
        rng.random(out=out)
        np.subtract(1.0, out, out=out)


def _fill_normal(rng: Generator, out: FloatArray) -> None:
    """Fill with standard normals: Box & Muller (1958) in float32, NumPy's ziggurat in float64.

    The float32 path spends one 32-bit word a number and NumPy's SIMD log, sqrt, sin and cos. Its
    radius comes from a 32-bit uniform, so no draw is beyond sqrt(2 * 33 * log 2) = 6.76.
    """
    if out.dtype != np.float32:
        rng.standard_normal(out=out)
    elif out.size % 2:
        even = np.empty(out.size + 1, np.float32)
        _box_muller(rng, even)
        out[:] = even[:-1]
    else:
        _box_muller(rng, out)


def _box_muller(rng: Generator, out: FloatArray) -> None:
    half = out.size // 2
    words = _random_words(rng, out.size)
    radius, angle = out[:half], out[half:]
    np.copyto(radius, words[:half], casting="unsafe")
    np.copyto(angle, words[half:].view(np.int32), casting="unsafe")
    # The words are used up: their memory holds the cosines, and no second buffer is allocated.
    cosine = words.view(np.float32)[:half]
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


def _fill_uniform(rng: Generator, out: FloatArray) -> None:
    if out.dtype == np.float32:
        words = _random_words(rng, out.size)[: out.size]
        np.copyto(out, words.view(np.int32), casting="unsafe")
        out *= np.float32(math.sqrt(12.0) * 2.0**-32)
    else:
        rng.random(out=out)
        out -= 0.5
        out *= math.sqrt(12.0)


def _fill_truncated(rng: Generator, out: FloatArray) -> None:
    filled = 0
    while filled < out.size:
        missing = out.size - filled
        proposals = np.empty(missing + missing // 16 + 16, out.dtype)
        _fill_normal(rng, proposals)
        accepted = proposals[np.abs(proposals) <= _TRUNCATION][:missing]
        out[filled : filled + accepted.size] = accepted
        filled += accepted.size
    out *= out.dtype.type(1.0 / math.sqrt(_truncated_moments()[0]))


def _truncated_moments() -> tuple[float, float]:
    """Return E z^2 and E z^4 of a standard normal z kept where \\|z\\| <= 2."""
    a = _TRUNCATION
    inside = math.erf(a / math.sqrt(2.0))
    density = math.exp(-a * a / 2.0) / math.sqrt(2.0 * math.pi)
    second = 1.0 - 2.0 * a * density / inside
    return second, 3.0 * second - 2.0 * a**3 * density / inside


def _fill_signs(rng: Generator, out: FloatArray) -> None:
    words = _random_words(rng, -(-out.size // 32))
    bits = np.unpackbits(words.view(np.uint8), count=out.size)
    np.copyto(out, bits)
    out *= out.dtype.type(2.0)
    out -= out.dtype.type(1.0)


def _fill_laplace(rng: Generator, out: FloatArray) -> None:
    signs = np.empty_like(out)
    _fill_signs(rng, signs)
    _fill_unit_interval(rng, out)
    np.log(out, out=out)
    signs *= out.dtype.type(1.0 / math.sqrt(2.0))
    out *= signs


def _fill_exponential(rng: Generator, out: FloatArray) -> None:
    _fill_unit_interval(rng, out)
    np.log(out, out=out)
    np.subtract(out.dtype.type(-1.0), out, out=out)


def _fill_rectified(rng: Generator, out: FloatArray) -> None:
    _fill_normal(rng, out)
    np.maximum(out, out.dtype.type(0.0), out=out)


def _truncated() -> Distribution:
    second, fourth = _truncated_moments()
    return Distribution(
        "normal kept within ±2σ, then rescaled",
        mean=0.0,
        variance=1.0,
        skewness=0.0,
        kurtosis=fourth / second**2,
        fill=_fill_truncated,
    )


def _rectified() -> Distribution:
    # With z standard normal and b = max(z, 0): E b^n = E|z|^n / 2.
    m1, m2, m3, m4 = 1 / math.sqrt(2 * math.pi), 0.5, math.sqrt(2 / math.pi), 1.5
    variance = m2 - m1**2
    return Distribution(
        "ReLU of a standard normal, not standardised: E x² = ½",
        mean=m1,
        variance=variance,
        skewness=(m3 - 3 * m1 * m2 + 2 * m1**3) / variance**1.5,
        kurtosis=(m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4) / variance**2,
        fill=_fill_rectified,
        for_weights=False,
    )


DISTRIBUTIONS: dict[str, Distribution] = {
    "normal": Distribution("normal (Gaussian)", 0.0, 1.0, 0.0, 3.0, _fill_normal),
    "uniform": Distribution("uniform on ±√3", 0.0, 1.0, 0.0, 1.8, _fill_uniform),
    "truncated": _truncated(),
    "rademacher": Distribution("±1, a fair coin", 0.0, 1.0, 0.0, 1.0, _fill_signs),
    "laplace": Distribution("Laplace (two-sided exponential)", 0.0, 1.0, 0.0, 6.0, _fill_laplace),
    "exponential": Distribution(
        "exponential, centred: skewed", 0.0, 1.0, 2.0, 9.0, _fill_exponential
    ),
    "rectified": _rectified(),
}
"""Every distribution by its name; the samplers' law tests run over this table."""
