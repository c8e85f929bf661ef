"""Verdicts that share one false-alarm rate."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Protocol, Self, TypeVar

from varsim.errors import InputError
from varsim.statistics.estimate import Estimate


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return whether each p-value is significant, with family-wise error rate alpha.

    Holm (1979): the i-th smallest of m p-values, from i = 0, is significant while it is at most
    alpha / (m - i).

    >>> holm([0.01, 0.5, 0.02], 0.05)
    [True, False, True]
    """
    significant = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        if p_values[index] > alpha / (len(p_values) - rank):
            break
        significant[index] = True
    return significant


class Judged(Protocol):
    """A row with estimates and a verdict."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """The estimates that the verdict tests."""

    def judged(self, *, agrees: bool | None, alpha: float | None, tests: int | None) -> Self:
        """Return the row with a verdict."""


J = TypeVar("J", bound=Judged)


def judge(rows: Sequence[J], alpha: float = 0.001) -> list[J]:
    """Return rows with their verdicts, which share one false-alarm rate: Holm (1979).

    A row agrees if all of its estimates agree with their claims; without a claim it has no
    verdict. If every claim is right, the probability of any disagreement is at most alpha.

    Args:
        rows: All rows of a table, with or without verdicts.
        alpha: The false-alarm rate, between 0 and 1.

    Raises:
        InputError: ``alpha`` is not allowed.
    """
    alpha = check_probability("alpha", alpha)
    every = [[e.joint_p_up_to(alpha) for e in row.estimates] for row in rows]
    tests = [[p for p in row if p is not None] for row in every]
    alarms = iter(holm([p for row in tests for p in row], alpha))
    raised = [[next(alarms) for _ in row] for row in tests]
    agreed = [not any(row) if row else None for row in raised]
    count = sum(map(len, tests))
    return [
        row.judged(agrees=agrees, alpha=alpha, tests=count)
        for row, agrees in zip(rows, agreed, strict=True)
    ]


def check_probability(name: str, value: float) -> float:
    """Return a probability strictly between 0 and 1.

    Raises:
        InputError: ``value`` is not between 0 and 1.
    """
    if not (isinstance(value, Real) and 0.0 < value < 1.0):
        example = 0.95 if name == "confidence" else 0.001
        raise InputError(f"{name} is {value}; give a number between 0 and 1, such as {example}")
    return float(value)
