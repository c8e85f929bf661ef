"""Catalog: floating-point types, scaling schemes, distributions and their samplers, designs."""

from varsim.catalog.floats import FLOAT_TYPES, MIN_PRECISION, FloatType

__all__ = ["FLOAT_TYPES", "MIN_PRECISION", "FloatType"]  # fmt: skip
