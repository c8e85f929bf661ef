"""Comparing: verdicts on pairs of rows of two files, with one false-alarm rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic

from varsim.comparison.matching import Matching, Pair
from varsim.fields.field import R
from varsim.statistics import Estimate, holm
from varsim.study import Kind

IDENTICAL, AGREES, DIFFERS, NOT_COMPARED = "identical", "agrees", "differs", "not compared"
VERDICTS = (IDENTICAL, AGREES, DIFFERS, NOT_COMPARED)
"""The verdicts on a pair: see :attr:`Comparison.verdict`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison(Generic[R]):
    """The comparison of two measurements of one quantity.

    Attributes:
        pair: The rows.
        measure: Name of the compared quantity.
        a: Value of the first row, or its ratio to the theory given x; None without one.
        b: The same of the second row.
        difference: b - a with its error; None if either has no value. Welch (1947), eq. 28;
            Satterthwaite (1946), eq. 17.
        identical: Whether the totals are equal to the last bit; other pairs are tested.
        differs: Whether they differ, Holm-adjusted over all pairs that are not identical.
        alpha: False-alarm rate that all verdicts share.
    """

    pair: Pair[R]
    measure: str
    a: Estimate | None
    b: Estimate | None
    difference: Estimate | None
    identical: bool
    differs: bool
    alpha: float

    @property
    def p(self) -> float | None:
        """The p-value of the difference; None for identical rows and if nothing varies."""
        return None if self.tested is None else self.tested.joint_p

    @property
    def tested(self) -> Estimate | None:
        """The difference; None for identical rows and if nothing varies."""
        difference = self.difference
        if self.identical or difference is None:
            return None
        nothing_varies = difference.std_error == difference.value == 0.0  # both x are 0 throughout
        return None if nothing_varies else difference

    @property
    def std_error(self) -> float | None:
        """Standard error of the difference; None for identical rows."""
        if self.identical or self.difference is None:
            return None
        return self.difference.std_error or None

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`.

        "identical": the totals are equal to the last bit. "agrees": the difference is within its
        error. "differs": it is beyond it. "not compared": there is no difference.
        """
        if self.differs:
            return DIFFERS
        if self.identical:
            return IDENTICAL
        return NOT_COMPARED if self.difference is None else AGREES


def compare(matching: Matching[R], alpha: float = 0.001) -> list[Comparison[R]]:
    """Return the comparisons of all pairs, with verdicts that share one false-alarm rate.

    If both files measure the same, the probability of any "differs" is at most alpha. Identical
    rows are not tested. Pairs of the same streams share draws, so their difference has a smaller
    error than the one used here.
    """
    comparisons = [
        each for pair in matching.pairs for each in _untested(matching.kind, pair, alpha)
    ]
    tested = [each.tested for each in comparisons]
    p_values = [None if each is None else each.joint_p_up_to(alpha) for each in tested]
    alarms = iter(holm([p for p in p_values if p is not None], alpha))
    return [
        replace(each, differs=True) if p is not None and next(alarms) else each
        for each, p in zip(comparisons, p_values, strict=True)
    ]


def _untested(kind: Kind[R], pair: Pair[R], alpha: float) -> Iterator[Comparison[R]]:
    """Yield the comparisons of a pair, one per quantity that at least one row has."""
    measured = kind.measures(pair.a), kind.measures(pair.b)
    identical = pair.same_streams and kind.same_totals(*pair)
    for name in measured[0]:
        a, b = measured[0][name], measured[1][name]
        if a is None and b is None:
            continue
        if by_ratio(kind, pair):
            a, b = _in_theory(a), _in_theory(b)
        yield Comparison(
            pair=pair, measure=name, a=a, b=b, difference=_difference(a, b), identical=identical,
            differs=False, alpha=alpha,
        )  # fmt: skip


def by_ratio(kind: Kind[R], pair: Pair[R]) -> bool:
    """Return whether ratios to the theory given x are compared, since the rows differ in x."""
    return any(map(kind.by_ratio, pair))


def _in_theory(estimate: Estimate | None) -> Estimate | None:
    """Return the ratio of an estimate to its claim; None without a claim other than 0."""
    if estimate is None or not estimate.claim:
        return None
    unit = estimate.claim
    return Estimate(
        value=estimate.value / unit,
        std_error=estimate.std_error / unit,
        dof=estimate.dof,
        expected_error=estimate.expected_error / unit,
    )


def _difference(a: Estimate | None, b: Estimate | None) -> Estimate | None:
    """Return b - a with the claim 0, or None."""
    if a is None or b is None:
        return None
    expected = a.expected_error, b.expected_error
    return Estimate(
        value=b.value - a.value,
        std_error=math.hypot(a.std_error, b.std_error),
        dof=_welch_dof(a.std_error, b.std_error, (a.dof, b.dof)),
        claim=0.0,
        expected_error=math.hypot(*expected),
        expected_dof=_welch_dof(*expected, (a.dof, b.dof)),
    )


def _welch_dof(error_a: float, error_b: float, dofs: tuple[float, float]) -> float:
    """Degrees of freedom of a difference: Welch (1947), eq. 28; Satterthwaite (1946), eq. 17.

    (a² + b²)² / (a⁴ / n + b⁴ / m), relative to a² + b², so that squares do not underflow.
    """
    whole = math.hypot(error_a, error_b)
    if not whole:
        return min(dofs)
    share_a, share_b = (error_a / whole) ** 2, (error_b / whole) ** 2
    return 1.0 / (share_a**2 / dofs[0] + share_b**2 / dofs[1])
