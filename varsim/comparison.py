"""Comparison: two files of results of the same experiments, pair by pair."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from varsim.catalog.dtypes import FLOAT_TYPES
from varsim.catalog.scales import canonical_name
from varsim.layer.experiment import Result
from varsim.layer.inference import holm
from varsim.statistics import student
from varsim.statistics.moments import Totals

IDENTICAL, SAME_DRAWS, AGREES, DIFFERS = "identical", "same draws", "agrees", "differs"
NOT_COMPARED = "not compared"
VERDICTS = (IDENTICAL, SAME_DRAWS, AGREES, DIFFERS, NOT_COMPARED)
"""What can be said of a pair: see :attr:`Comparison.verdict`."""

# Other kernels of BLAS and NumPy, measured on one machine, differ by up to 1 allowance for rounding
# (FloatType.rounding); other draws by a standard error, which is some thousands of them.
_ALLOWANCES = 16


class Pair(NamedTuple):
    """Two measurements of one variance."""

    a: Result
    b: Result

    @property
    def same_streams(self) -> bool:
        """Whether both are from the same random streams, by all that these depend on."""
        return _streams(self.a) == _streams(self.b)


class Matching(NamedTuple):
    """How the rows of two files go together.

    Attributes:
        pairs: In the order of the first file.
        only_a: Rows of the first file without a partner.
        only_b: Rows of the second.
    """

    pairs: list[Pair]
    only_a: list[Result]
    only_b: list[Result]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What two measurements of one variance say of each other.

    Attributes:
        pair: The measurements.
        by_ratio: Whether the ratios to the theory given x are compared, since each has an x of its
            own; else the variances.
        a: What is compared of the first; None where its x is all zeros and the other's is not.
        b: What is compared of the second, or None.
        difference: b - a, or None.
        std_error: Standard error of the difference; None where the draws are the same.
        dof: Its degrees of freedom, after Welch and Satterthwaite; None with ``std_error``.
        z: The difference in standard errors; None where there are none.
        p: Two-sided probability of a difference at least so large between independent draws: the
            larger of two, as in :func:`varsim.layer.inference.judge`. None where it is no question.
        alpha: False-alarm rate that all verdicts share.
        verdict: One of :data:`VERDICTS`. "identical": the totals are, to the last bit. "same
            draws": but for rounding. "agrees": other draws, within errors. "differs": beyond them,
            Holm-adjusted over all pairs that have a ``p``. "not compared": there is nothing to.
    """

    pair: Pair
    by_ratio: bool
    a: float | None
    b: float | None
    difference: float | None
    std_error: float | None
    dof: float | None
    z: float | None
    p: float | None
    alpha: float
    verdict: str

    def half_width(self, confidence: float) -> float | None:
        """Return half the interval of the difference at a level, or None."""
        if self.std_error is None or self.dof is None:
            return None
        return student.quantile(confidence, self.dof) * self.std_error

    @property
    def redrawn(self) -> bool:
        """Whether the draws are others where they should be the same."""
        return self.pair.same_streams and self.verdict not in (IDENTICAL, SAME_DRAWS)


def match(a: Sequence[Result], b: Sequence[Result]) -> Matching:
    """Return which rows measure the same.

    They have the same settings, but for samples, precision and seed. Among several, rows of the
    same streams go together, then of the same seed, then the rest in the order of the files; and
    what is left at the end with rows of the other dtype.
    """
    partners: dict[int, int] = {}
    free = list(range(len(b)))
    for identity in _IDENTITIES:
        waiting: dict[Hashable, deque[int]] = {}
        for j in free:
            waiting.setdefault(identity(b[j]), deque()).append(j)
        for i, row in enumerate(a):
            if i not in partners and (queue := waiting.get(identity(row))):
                partners[i] = queue.popleft()
        taken = set(partners.values())
        free = [j for j in free if j not in taken]
    return Matching(
        [Pair(row, b[partners[i]]) for i, row in enumerate(a) if i in partners],
        [row for i, row in enumerate(a) if i not in partners],
        [b[j] for j in free],
    )


def compare(pairs: Sequence[Pair], alpha: float = 0.001) -> list[Comparison]:
    """Return the pairs with their verdicts, which share one false-alarm rate.

    If both files measure the same, the chance of any "differs" is at most alpha. Only pairs of
    independent draws are tested; pairs of the same streams whose numbers of blocks differ share
    their first blocks, and differ by less than the error that is used here.
    """
    draws = [_draws(pair) for pair in pairs]
    tests = [_test(pair, known) for pair, known in zip(pairs, draws, strict=True)]
    tested = [i for i, test in enumerate(tests) if test.p is not None]
    alarms = holm([test.p for test in tests if test.p is not None], alpha)
    differing = {i for i, alarm in zip(tested, alarms, strict=True) if alarm}
    return [
        Comparison(
            pair=pair,
            by_ratio=_by_ratio(pair),
            **test._asdict(),
            alpha=alpha,
            verdict=DIFFERS if i in differing else known or _without_alarm(test),
        )
        for i, (pair, known, test) in enumerate(zip(pairs, draws, tests, strict=True))
    ]


class _Test(NamedTuple):
    """The fields of a :class:`Comparison` that come before a verdict."""

    a: float | None
    b: float | None
    difference: float | None = None
    std_error: float | None = None
    dof: float | None = None
    z: float | None = None
    p: float | None = None


class _Measure(NamedTuple):
    """A measured value with its standard error, measured and expected."""

    value: float
    std_error: float
    expected_error: float
    dof: int


def _test(pair: Pair, known: str | None) -> _Test:
    a, b = (_measure(row, in_theory=_by_ratio(pair)) for row in pair)
    if a is None or b is None:
        return _Test(None if a is None else a.value, None if b is None else b.value)
    difference = b.value - a.value
    if known is not None:
        return _Test(a.value, b.value, difference)
    std_error = math.hypot(a.std_error, b.std_error)
    if std_error == 0.0:  # all of both x are 0
        return _Test(a.value, b.value, difference, p=None if difference == 0.0 else 0.0)
    expected = _p(difference, a.expected_error, b.expected_error, (a.dof, b.dof))
    measured = _p(difference, a.std_error, b.std_error, (a.dof, b.dof))
    return _Test(
        a.value,
        b.value,
        difference,
        std_error,
        _welch_dof(a.std_error, b.std_error, (a.dof, b.dof)),
        difference / std_error,
        max(measured, expected),
    )


def _without_alarm(test: _Test) -> str:
    return NOT_COMPARED if test.difference is None else AGREES


def _by_ratio(pair: Pair) -> bool:
    return any(row.conditional_theory for row in pair)


def _measure(row: Result, *, in_theory: bool) -> _Measure | None:
    unit = row.conditional_theory if in_theory else 1.0
    if not unit:
        return None
    return _Measure(
        row.empirical / unit, row.std_error / unit, row.expected_std_error / unit, row.blocks - 1
    )


def _p(difference: float, error_a: float, error_b: float, dofs: tuple[int, int]) -> float:
    std_error = math.hypot(error_a, error_b)
    if std_error == 0.0:
        return 0.0  # leaves it to the other error
    return student.two_sided_p(difference / std_error, _welch_dof(error_a, error_b, dofs))


def _welch_dof(error_a: float, error_b: float, dofs: tuple[int, int]) -> float:
    """Degrees of freedom of a difference: Welch (1947), eq. 28; Satterthwaite (1946), eq. 17.

    (a² + b²)² / (a⁴ / n + b⁴ / m), in shares of the whole, whose squares do not underflow.
    """
    whole = math.hypot(error_a, error_b)
    share_a, share_b = (error_a / whole) ** 2, (error_b / whole) ** 2
    return 1.0 / (share_a**2 / dofs[0] + share_b**2 / dofs[1])


def _draws(pair: Pair) -> str | None:
    """Return whether the draws are identical or the same but for rounding; None for others."""
    if not pair.same_streams:
        return None
    a, b = (row.totals._replace(counts=None) for row in pair)
    if a == b:
        return IDENTICAL
    return SAME_DRAWS if _but_for_rounding(a, b, pair.a.dtype) else None


def _but_for_rounding(a: Totals, b: Totals, dtype: str) -> bool:
    """Tell whether two totals can be of the same draws, rounded otherwise.

    Let the outputs y differ by d, with a root mean square of t times that of y. Then their means
    differ by at most t rms(y), variances by 2 t std(y) rms(y) (Cauchy & Schwarz), and so do the
    spreads over blocks of the blocks' means and variances. Other draws pass one of these by
    chance, seldom all.
    """
    tolerance = _ALLOWANCES * FLOAT_TYPES[dtype].rounding
    std = math.sqrt(max(0.0, a.variance))
    size = math.hypot(std, a.mean)
    close = [
        abs(a.mean - b.mean) <= tolerance * size,
        abs(a.within - b.within) <= tolerance * size * std,
        abs(_spread(a.m2, a) - _spread(b.m2, b)) <= tolerance * size,
        abs(_spread(a.v2, a) - _spread(b.v2, b)) <= tolerance * size * std,
    ]
    if a.x_sums and b.x_sums:
        sums = zip(a.x_sums, b.x_sums, strict=True)
        close += [abs(ours - theirs) <= tolerance * ours for ours, theirs in sums]
    return all(close)


def _spread(squares: float, totals: Totals) -> float:
    return math.sqrt(max(0.0, squares) / totals.blocks)


def _streams(row: Result) -> Hashable:
    # Of one key, the numbers of blocks and samples give the size of a block.
    return row.key, row.seed, row.blocks, row.samples


def _quantity(row: Result) -> Hashable:
    """What was measured. Not k itself: the scheme gives it, and powers differ in last digits."""
    entries = row.x, row.x_mean, row.x_std, row.w, row.w_mean, row.w_std
    return row.dim, row.fan_out, canonical_name(row.scale), row.gain, row.design, row.init, entries


_IDENTITIES: tuple[Callable[[Result], Hashable], ...] = (
    _streams,
    lambda row: (row.key, row.seed),
    lambda row: (_quantity(row), row.dtype, row.seed),
    lambda row: (_quantity(row), row.dtype),
    lambda row: (_quantity(row), row.seed),
    _quantity,
)
"""What rows must have in common to go together, from the strictest on."""
