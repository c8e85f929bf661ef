"""Activations: the table, users' functions, quadrature and gains."""

from varsim.activations.lookup import canonical_name, find_activation
from varsim.activations.table import (
    ACTIVATIONS,
    ALIASES,
    PARAMETRIC,
    Activation,
    FloatArray,
    Function,
)

__all__ = [
    "ACTIVATIONS", "ALIASES", "PARAMETRIC", "Activation", "FloatArray", "Function",
    "canonical_name", "find_activation",
]  # fmt: skip
