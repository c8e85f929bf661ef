"""Statistics: estimates with errors and p-values, and verdicts with one false-alarm rate."""

from varsim.statistics.estimate import Caveat, Estimate
from varsim.statistics.verdicts import check_probability, holm, judge

__all__ = ["Caveat", "Estimate", "check_probability", "holm", "judge"]  # fmt: skip
