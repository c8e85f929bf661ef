"""The question of a check: an initializer at one shape, as an experiment with whole W."""

from __future__ import annotations

from varsim.layer.question import Experiment

MIN_DRAWS, MAX_DRAWS = 8, 10**6

BATCH = 64
"""Number of inputs x, and of cotangents g, per W."""


# Most numbers of x and outputs per draw; of more groups, evenly spaced ones are taken.
_MOST_NUMBERS = 2**22


def sampled_groups(groups: int, size: int) -> int:
    """Return the number of groups of a module's weight that are sampled per draw.

    Args:
        groups: Number of groups.
        size: Inputs and outputs per group.
    """
    return max(1, min(groups, _MOST_NUMBERS // (BATCH * size)))


def question(
    init: str, dim: int, fan_out: int, seed: int = 0, dtype: str = "float32"
) -> Experiment:
    """Return the experiment of an initializer at a shape.

    Raises:
        InputError: A value is not allowed.
    """
    return Experiment(dim=dim, fan_out=fan_out, scale="none", init=init, seed=seed, dtype=dtype)
