"""Comparison: pairs of rows of two files, and pooled rows of one question."""

from varsim.comparison.comparing import (
    AGREES,
    DIFFERS,
    IDENTICAL,
    NOT_COMPARED,
    VERDICTS,
    Comparison,
    by_ratio,
    compare,
)
from varsim.comparison.matching import Matching, Pair, match, quantity
from varsim.comparison.merging import Merged, Repeat, merge, repeat

__all__ = [
    "AGREES", "DIFFERS", "IDENTICAL", "NOT_COMPARED", "VERDICTS", "Comparison", "Matching",
    "Merged", "Pair", "Repeat", "by_ratio", "compare", "match", "merge", "quantity", "repeat",
]  # fmt: skip
