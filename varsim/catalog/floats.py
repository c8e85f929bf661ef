"""Floating-point types, with the ranges in which varsim is safe."""

from __future__ import annotations

from dataclasses import dataclass

MIN_PRECISION = 1e-6
"""Finest relative standard error that is allowed."""


@dataclass(frozen=True, slots=True)
class FloatType:
    """The limits of a floating-point type, with a margin for sums of products.

    Attributes:
        smallest: Smallest magnitude of entries and outputs; theory takes their fourth powers.
        largest: Largest magnitude of entries and outputs.
        mean_to_std: Largest ratio of a mean to its standard deviation.
        rounding: Allowance for the relative rounding error of a variance.
        precision: Finest relative standard error that its draws support.
    """

    smallest: float
    largest: float
    mean_to_std: float
    rounding: float
    precision: float


FLOAT_TYPES = {
    "float32": FloatType(1e-30, 1e30, 1e3, 2.0**-22, 1e-5),
    "float64": FloatType(1e-70, 1e70, 1e11, 2.0**-51, MIN_PRECISION),
}
"""The dtypes of samples, by name."""
