"""Statistics: estimates with their errors and p-values, and verdicts that share one rate."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Protocol, TypeVar

from varsim.parsing import InputError
from varsim.statistics import student


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader of a row should know; ``id`` is stable, ``message`` is a sentence."""

    id: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A measured value with its error, and the claim that it is held to.

    Attributes:
        value: The measurement.
        std_error: Its standard error, from the spread between replicates.
        dof: Degrees of freedom of that error.
        claim: What theory says; None where nothing is known.
        slack: Relative allowance for what the claim leaves out.
        expected_error: The standard error that theory expects; 0 where nothing is known.
        expected_dof: Degrees of freedom of that error; ``dof`` by default.
    """

    value: float
    std_error: float
    dof: float
    claim: float | None = None
    slack: float = 0.0
    expected_error: float = 0.0
    expected_dof: float | None = None

    def half_width(self, confidence: float) -> float:
        """Return half the width of the interval at a level: Student's t times the error."""
        return student.quantile(confidence, self.dof) * self.std_error

    def rough_half_width(self, confidence: float) -> float:
        """Return :meth:`half_width` but for its last digits, which tables do not show."""
        return student.rough_quantile(confidence, self.dof) * self.std_error

    def interval(self, confidence: float) -> tuple[float, float]:
        """Return the ends of the interval at a level."""
        half_width = self.half_width(confidence)
        return self.value - half_width, self.value + half_width

    def ratio_interval(self, confidence: float) -> tuple[float, float] | None:
        """Return the ends of the interval of :attr:`ratio`, or None."""
        if not self.claim:
            return None
        low, high = self.interval(confidence)
        return low / self.claim, high / self.claim

    @property
    def relative_error(self) -> float:
        """The relative standard error; 0 where there is nothing to measure."""
        return self.std_error / self.value if self.value else 0.0

    @property
    def ratio(self) -> float | None:
        """The value over the claim."""
        return self.value / self.claim if self.claim else None

    @property
    def z(self) -> float | None:
        """The difference from the claim in standard errors."""
        if self.claim is None or not self.std_error:
            return None
        return (self.value - self.claim) / self.std_error

    @property
    def p(self) -> float | None:
        """Two-sided probability of a difference so far beyond the allowance; Student's t."""
        if self.claim is None or not self.std_error:
            return None
        return self._p(self.claim, self.std_error, self.dof)

    @property
    def joint_p(self) -> float | None:
        """The larger of two p-values: by the measured error, and by the expected one.

        From few or heavy-tailed samples a value and its measured error are small together, and the
        measured error alone would raise false alarms.
        """
        if self.claim is None:
            return None
        errors = {self.dof: self.std_error}
        dof = self.dof if self.expected_dof is None else self.expected_dof
        errors[dof] = max(errors.get(dof, 0.0), self.expected_error)
        if not any(errors.values()):  # nothing varies
            return 1.0 if self.value == self.claim else 0.0
        return max(self._p(self.claim, error, dof) for dof, error in errors.items() if error)

    def joint_p_up_to(self, limit: float) -> float | None:
        """Return :attr:`joint_p`, or 1 where it is plainly above a limit, at little cost.

        It is never below the tail of a normal distribution at the larger error.
        """
        error = max(self.std_error, self.expected_error)
        if self.claim is not None and error:
            normal = math.erfc(self._beyond(self.claim) / error / math.sqrt(2.0))
            if normal > 2.0 * limit:
                return 1.0
        return self.joint_p

    def _p(self, claim: float, error: float, dof: float) -> float:
        return student.two_sided_p(self._beyond(claim) / error, dof)

    def _beyond(self, claim: float) -> float:
        return max(0.0, abs(self.value - claim) - self.slack * claim)


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Return which p-values are significant, with a chance of at most alpha for any false one.

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
    """A row that a verdict can be passed on: a dataclass with ``agrees`` and ``alpha``."""

    @property
    def estimates(self) -> Sequence[Estimate]:
        """What the verdict is about."""


J = TypeVar("J", bound=Judged)


def judge(rows: Sequence[J], alpha: float = 0.001) -> list[J]:
    """Return rows with their verdicts, which share one false-alarm rate: Holm (1979).

    A row agrees where all of its estimates agree with their claims; without a claim it has no
    verdict. If every claim is right, the chance that any row disagrees is at most alpha.

    Args:
        rows: All rows that are read together, with or without verdicts.
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
    return [
        replace(row, agrees=agrees, alpha=alpha)  # type: ignore[type-var]  # see Judged
        for row, agrees in zip(rows, agreed, strict=True)
    ]


def check_probability(name: str, value: float) -> float:
    """Return a probability strictly between 0 and 1.

    Raises:
        InputError: It is not one.
    """
    if not (isinstance(value, Real) and 0.0 < value < 1.0):
        example = 0.95 if name == "confidence" else 0.001
        raise InputError(f"{name} is {value}; give a number between 0 and 1, such as {example}")
    return float(value)
