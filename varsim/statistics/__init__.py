"""Statistics: estimates with their errors and p-values, and verdicts that share one rate."""

from varsim.statistics.estimate import Caveat, Estimate
from varsim.statistics.verdicts import check_probability, holm, judge

__all__ = ["Caveat", "Estimate", "check_probability", "holm", "judge"]  # fmt: skip
