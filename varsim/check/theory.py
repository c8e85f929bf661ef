"""Theory of a check: the expected error of outputs."""

from __future__ import annotations

from varsim.check.question import BATCH
from varsim.layer.question import Experiment


def block_error2(
    asked: Experiment, *, groups: int = 1, outputs: int | None = None, share: float = 1.0
) -> float:
    """Return the relative variance of the mean square of x @ W over a batch, for normal W.

    [2 + (κx κw - 3)/D + (n-1)(κx-1)/D + (r-1)(κw-1)/D] / (r n) with kurtoses of 3.

    Args:
        asked: The initializer and the shape.
        groups: Number of sampled groups of a module's weight, whose inputs are independent.
        outputs: n, number of outputs per group; by default all.
        share: Share of D that meets an entry.
    """
    n = asked.n if outputs is None else outputs
    shared = 3.0 + (n - 1) + (BATCH - 1)
    return 2.0 * (1.0 + shared / (asked.dim * share)) / (BATCH * n * groups)
