"""The question of a check: an initializer at one shape, as an experiment with whole W."""

from __future__ import annotations

from varsim.layer.question import Experiment

MIN_DRAWS, MAX_DRAWS = 8, 10**6

BATCH = 64
"""Number of inputs x, and of cotangents g, per W."""


def question(
    init: str, dim: int, fan_out: int, seed: int = 0, dtype: str = "float32"
) -> Experiment:
    """Return the experiment of an initializer at a shape.

    Raises:
        InputError: A value is not allowed.
    """
    return Experiment(dim=dim, fan_out=fan_out, scale="none", init=init, seed=seed, dtype=dtype)
