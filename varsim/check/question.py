"""What is asked of an initializer: an experiment with whole W, at one shape."""

from __future__ import annotations

from varsim.layer.question import Experiment

MIN_DRAWS, MAX_DRAWS = 8, 10**6

BATCH = 64
"""Inputs x per W, and cotangents g."""


def question(
    init: str, dim: int, fan_out: int, seed: int = 0, dtype: str = "float32"
) -> Experiment:
    """Return the experiment that draws an initializer at a shape.

    Raises:
        InputError: A value is not allowed.
    """
    return Experiment(dim=dim, fan_out=fan_out, scale="none", init=init, seed=seed, dtype=dtype)
