"""Comparison: two files of rows of the same questions, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from varsim.catalog import FLOAT_TYPES
from varsim.catalog.scales import canonical_name
from varsim.fields import Schema
from varsim.layer.check import CHECKS
from varsim.layer.result import RESULTS
from varsim.stack.result import LAYERS
from varsim.statistics import Estimate, holm
from varsim.statistics.moments import Totals

IDENTICAL, SAME_DRAWS, AGREES, DIFFERS = "identical", "same draws", "agrees", "differs"
NOT_COMPARED = "not compared"
VERDICTS = (IDENTICAL, SAME_DRAWS, AGREES, DIFFERS, NOT_COMPARED)
"""What can be said of a pair: see :attr:`Comparison.verdict`."""

# Other kernels of BLAS and NumPy, measured on one machine, differ by up to 1 allowance for rounding
# (FloatType.rounding); other draws by a standard error, which is some thousands of them.
_ALLOWANCES = 16


@dataclass(frozen=True)
class Kind:
    """How rows of one kind are compared.

    Attributes:
        schema: Their fields.
        replicates: Name of their number of replicates.
        measures: What is compared of a row: estimates by their names; None where there is none.
        more: Settings that say what was measured beside those that captions and names give.
    """

    schema: Schema[Any]
    replicates: str
    measures: Callable[[Any], dict[str, Estimate | None]]
    more: tuple[str, ...] = ()

    def measured(self, row: Any) -> dict[str, Any]:
        """Return the settings that say what was measured, but for dtype and seed.

        Not k: the scheme gives it, and powers differ in last digits.
        """
        names = dict.fromkeys((*self.more, *self.schema.named_by, *self.schema.settings))
        values = {name: getattr(row, name) for name in names if name != "dtype"}
        if "scale" in values:
            values["scale"] = canonical_name(values["scale"])
        return values


KINDS = (
    Kind(RESULTS, "blocks", lambda row: {"Var[x @ W]": row.estimate}),
    Kind(
        LAYERS, "networks", lambda row: {"Var[h]": row.forward, "Var[∂h]": row.back},
        more=("widths", "layer", "batch"),
    ),
    Kind(CHECKS, "draws", lambda row: {"x@W": row.estimate, "g@Wᵀ": row.back}),
)  # fmt: skip
"""Every kind of row that can be compared."""

_KIND_OF = {kind.schema.kind: kind for kind in KINDS}


def kind_of(row: Any) -> Kind:
    """Return the kind of a row."""
    return _KIND_OF[row.schema.kind]


class Pair(NamedTuple):
    """Two measurements of the same."""

    a: Any
    b: Any

    @property
    def same_streams(self) -> bool:
        """Whether both are from the same random streams, by all that these depend on."""
        return _streams(self.a) == _streams(self.b)

    @property
    def by_ratio(self) -> bool:
        """Whether the ratios to the theory given x are compared, since each has an x of its own."""
        return any(getattr(row, "conditional_theory", None) for row in self)


class Matching(NamedTuple):
    """How the rows of two files go together.

    Attributes:
        pairs: In the order of the first file.
        only_a: Rows of the first file without a partner.
        only_b: Rows of the second.
    """

    pairs: list[Pair]
    only_a: list[Any]
    only_b: list[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """What two measurements of one quantity say of each other.

    Attributes:
        pair: The rows.
        measure: What is compared of them.
        a: The first's value, or its ratio to the theory given x; None where it has none.
        b: The second's, or None.
        difference: b - a with its error; None where one of them has no value. After Welch (1947),
            eq. 28, and Satterthwaite (1946), eq. 17.
        draws: Whether the draws are "identical" or the "same draws" but for rounding; None for
            others, which are tested.
        differs: Whether they differ, Holm-adjusted over all pairs of other draws.
        alpha: False-alarm rate that all verdicts share.
    """

    pair: Pair
    measure: str
    a: Estimate | None
    b: Estimate | None
    difference: Estimate | None
    draws: str | None
    differs: bool
    alpha: float

    @property
    def p(self) -> float | None:
        """The p-value of the difference; None for the same draws and where nothing varies."""
        return None if self.tested is None else self.tested.joint_p

    @property
    def tested(self) -> Estimate | None:
        """The difference; None for the same draws and where nothing varies."""
        difference = self.difference
        if self.draws is not None or difference is None:
            return None
        nothing_varies = difference.std_error == difference.value == 0.0  # all of both x are 0
        return None if nothing_varies else difference

    @property
    def std_error(self) -> float | None:
        """Standard error of the difference; None where the draws are the same."""
        if self.draws is not None or self.difference is None:
            return None
        return self.difference.std_error or None

    @property
    def verdict(self) -> str:
        """One of :data:`VERDICTS`.

        "identical": the totals are, to the last bit. "same draws": but for rounding. "agrees":
        other draws, within errors. "differs": beyond them. "not compared": there is nothing to.
        """
        if self.differs:
            return DIFFERS
        return self.draws or (NOT_COMPARED if self.difference is None else AGREES)

    @property
    def redrawn(self) -> bool:
        """Whether the draws are others where they should be the same."""
        return self.pair.same_streams and self.verdict not in (IDENTICAL, SAME_DRAWS)


def match(a: Sequence[Any], b: Sequence[Any]) -> Matching:
    """Return which rows measure the same.

    They have the same settings, but for samples, precision and seed. Among several, rows of the
    same streams go together, then of the same seed, then the rest in the order of the files; and
    what is left at the end with rows of the other dtype.
    """
    partners: dict[int, int] = {}
    free = list(range(len(b)))
    for identity in _IDENTITIES:
        waiting: dict[Hashable, list[int]] = {}
        for j in reversed(free):
            waiting.setdefault(identity(b[j]), []).append(j)
        for i, row in enumerate(a):
            if waiting and i not in partners and (queue := waiting.get(identity(row))):
                partners[i] = queue.pop()
        taken = set(partners.values())
        free = [j for j in free if j not in taken]
    return Matching(
        [Pair(row, b[partners[i]]) for i, row in enumerate(a) if i in partners],
        [row for i, row in enumerate(a) if i not in partners],
        [b[j] for j in free],
    )


def compare(pairs: Sequence[Pair], alpha: float = 0.001) -> list[Comparison]:
    """Return what the pairs say of each other, with verdicts that share one false-alarm rate.

    If both files measure the same, the chance of any "differs" is at most alpha. Only pairs of
    independent draws are tested; pairs of the same streams whose numbers of replicates differ share
    their first ones, and differ by less than the error that is used here.
    """
    comparisons = [each for pair in pairs for each in _untested(pair, alpha)]
    tested = [each.tested for each in comparisons]
    p_values = [None if each is None else each.joint_p_up_to(alpha) for each in tested]
    alarms = iter(holm([p for p in p_values if p is not None], alpha))
    return [
        replace(each, differs=True) if p is not None and next(alarms) else each
        for each, p in zip(comparisons, p_values, strict=True)
    ]


def _untested(pair: Pair, alpha: float) -> Iterator[Comparison]:
    draws = _draws(pair)
    for name, a, b in _measured(pair):
        yield Comparison(
            pair=pair, measure=name, a=a, b=b, difference=_difference(a, b), draws=draws,
            differs=False, alpha=alpha,
        )  # fmt: skip


def _measured(pair: Pair) -> Iterator[tuple[str, Estimate | None, Estimate | None]]:
    """Yield what is compared of a pair, where at least one side has it."""
    measures = kind_of(pair.a).measures
    a, b = measures(pair.a), measures(pair.b)
    for name in a:
        if a[name] is not None or b[name] is not None:
            both = a[name], b[name]
            yield name, *(map(_in_theory, both) if pair.by_ratio else both)


def _in_theory(estimate: Estimate | None) -> Estimate | None:
    """Return the ratio of an estimate to its claim; None where that is 0."""
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
    """Return b - a, held to 0."""
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

    (a² + b²)² / (a⁴ / n + b⁴ / m), in shares of the whole, whose squares do not underflow.
    """
    whole = math.hypot(error_a, error_b)
    if not whole:
        return min(dofs)
    share_a, share_b = (error_a / whole) ** 2, (error_b / whole) ** 2
    return 1.0 / (share_a**2 / dofs[0] + share_b**2 / dofs[1])


def _draws(pair: Pair) -> str | None:
    """Return whether the draws are identical or the same but for rounding; None for others."""
    if not pair.same_streams:
        return None
    a, b = (_countless(row.totals) for row in pair)
    if a == b:
        return IDENTICAL
    if isinstance(a, Totals):
        same = _but_for_rounding(a, b, pair.a.dtype)
    else:
        same = _all_but_for_rounding(pair)
    return SAME_DRAWS if same else None


def _countless(totals: Any) -> Any:
    """Return totals without a histogram, which one file may have and the other not."""
    has_counts = isinstance(totals, Totals) and totals.counts is not None
    return totals._replace(counts=None) if has_counts else totals


def _all_but_for_rounding(pair: Pair) -> bool:
    """Tell whether all that is measured can be of the same draws, rounded otherwise.

    Rounding adds up over the layers of a stack. Other draws pass one of these by chance, seldom
    all.
    """
    tolerance = _ALLOWANCES * FLOAT_TYPES[pair.a.question.dtype].rounding
    tolerance *= getattr(pair.a, "layer", 1)
    return all(
        a is not None
        and b is not None
        and abs(a.value - b.value) <= tolerance * abs(a.value)
        and abs(a.std_error - b.std_error) <= tolerance * abs(a.value)
        for _, a, b in _measured(pair)
    )


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


def _streams(row: Any) -> Hashable:
    # Of one key, the numbers of blocks and samples give the size of a block.
    count = getattr(row, kind_of(row).replicates)
    return row.key, row.seed, count, getattr(row, "samples", None), getattr(row, "layer", None)


def _quantity(row: Any) -> Hashable:
    return tuple(kind_of(row).measured(row).values())


_IDENTITIES: tuple[Callable[[Any], Hashable], ...] = (
    _streams,
    lambda row: (row.key, row.seed, getattr(row, "layer", None)),
    lambda row: (_quantity(row), row.question.dtype, row.seed),
    lambda row: (_quantity(row), row.question.dtype),
    lambda row: (_quantity(row), row.seed),
    _quantity,
)
"""What rows must have in common to go together, from the strictest on."""
