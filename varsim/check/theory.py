"""Theory of a check: the expected error of outputs."""

from __future__ import annotations

from varsim.check.question import BATCH
from varsim.layer.question import Experiment


def block_error2(asked: Experiment) -> float:
    """Return the relative variance of the mean square of x @ W over a batch, for normal W.

    [2 + (κx κw - 3)/D + (n-1)(κx-1)/D + (r-1)(κw-1)/D] / (r n) with kurtoses of 3.
    """
    shared = 3.0 + (asked.n - 1) + (BATCH - 1)
    return 2.0 * (1.0 + shared / asked.dim) / (BATCH * asked.n)
