"""Rows: a question, its totals, and the columns computed from them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

from varsim import __version__
from varsim.fields.field import Columns
from varsim.fields.rounding import percent
from varsim.fields.values import (
    NUMBER,
    READ_ERRORS,
    TEXT,
    TRUTH,
    WHOLE,
    ValueType,
    mapping,
    optional,
    sequence,
)
from varsim.statistics import Caveat, Estimate

if TYPE_CHECKING:
    from varsim.fields.question import Question
    from varsim.fields.schema import Schema

VERDICTS = {True: "agrees", False: "DISAGREES", None: "pending"}
"""The words of verdicts; None is a verdict that other rows can still change."""

_LISTED_SEEDS = 8

WEAK = 0.2
"""A verdict that could miss this relative deviation has a caveat."""

STATE = ("confidence", "varsim", "init_package", "agrees", "alpha", "pooled")
"""The stored fields of a row beside its question and its totals."""

_CAVEAT = mapping(id=TEXT, message=TEXT)

_CAVEATS: ValueType[tuple[Caveat, ...]] = ValueType(
    lambda value: tuple(Caveat(**_CAVEAT.read(each)) for each in value),
    lambda caveats: [{"id": c.id, "message": c.message} for c in caveats],
)

_WHOLES = sequence(WHOLE)

_SEEDS: ValueType[tuple[int, ...]] = ValueType(
    lambda value: () if value is None else _WHOLES.read(value),  # CSV has no empty lists
    list,
)

_column: Columns[RowBase] = Columns()


class _Parts:
    """Declares the question, whose type differs between kinds of rows."""

    question: Question


@dataclass(frozen=True, kw_only=True, repr=False)
class RowBase(_Parts, Mapping[str, Any]):
    """A row: its fields are attributes, such as ``row.z`` and ``row.dim``.

    It is also a mapping of the fields with single values, so that ``dict(row)`` is a record.

    Attributes:
        confidence: Level of the intervals.
        varsim: Version of varsim that measured it.
        init_package: Package of the initializer, with its version; None without one.
        agrees: The verdict, Holm-adjusted over the table at ``alpha``; None before judgement and
            without a claim.
        alpha: False-alarm rate that all verdicts of the table share; None before judgement.
        tests: Number of tests that share it, which files omit: a row is the same alone and in a
            sweep.
        pooled: Further seeds, whose replicates are also in the totals.
    """

    schema: ClassVar[Schema[Any]]
    """The fields of this kind of row; ``Any``, since a class variable cannot name its class."""

    confidence: float = 0.95
    varsim: str = __version__
    init_package: str | None = None
    agrees: bool | None = None
    alpha: float | None = None
    tests: int | None = field(default=None, compare=False)
    pooled: tuple[int, ...] = ()

    # fmt: off
    _agrees = _column(
        optional(TRUTH), "The verdict, Holm-adjusted over the table at alpha.", lambda r: r.agrees,
        name="agrees", stored=True, header="verdict", numeric=False, cell=lambda r: r.verdict)
    _caveats = _column(_CAVEATS, "What a reader should know.", lambda r: r.caveats, name="caveats")
    _confidence = _column(
        NUMBER, "Level of the intervals.", lambda r: r.confidence, name="confidence", stored=True)
    _alpha = _column(
        optional(NUMBER), "False-alarm rate that all verdicts of the table share.",
        lambda r: r.alpha, name="alpha", stored=True)
    detectable = _column(
        optional(NUMBER),
        "Least relative deviation that would be called DISAGREES nine times in ten, of this row "
        "alone; empty without a verdict, or if none would.",
        lambda r: r.least_deviation(), header="detectable", show=percent)
    _key = _column(TEXT, "What was measured, without the seed.", lambda r: r.key, name="key")
    _pooled = _column(
        _SEEDS, "Further seeds, whose draws the totals hold too.", lambda r: r.pooled,
        name="pooled", stored=True)
    _init_package = _column(
        optional(TEXT), "Package of the initializer, with its version.", lambda r: r.init_package,
        name="init_package", stored=True)
    _varsim = _column(
        TEXT, "Version of varsim that measured the row.", lambda r: r.varsim, name="varsim",
        stored=True)
    # fmt: on

    @property
    def place(self) -> int:
        """Place among the rows of one question, from 1 on."""
        return 1

    @property
    def key(self) -> str:
        """The key of the question, followed by further pooled seeds: ``key+1+2``.

        So a pooled row is never mistaken for a row of its first seed alone.
        """
        return "+".join([self.question.key, *map(str, self.pooled)])

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of all replicates in the totals."""
        return (self.question.seed, *self.pooled)

    @property
    def replicates(self) -> int:
        """Number of independent replicates, the unit of the errors."""
        raise NotImplementedError

    @property
    def estimates(self) -> Sequence[Estimate]:
        """The estimates that the verdict tests."""
        raise NotImplementedError

    @property
    def relative_error(self) -> float:
        """The largest relative standard error of the estimates; 0 without any."""
        return max((each.relative_error for each in self.estimates), default=0.0)

    @property
    def met(self) -> bool:
        """Whether the requested precision or number of replicates is reached."""
        raise NotImplementedError

    @cached_property
    def caveats(self) -> tuple[Caveat, ...]:
        """The caveats of the row."""
        raise NotImplementedError

    @property
    def is_outside(self) -> bool:
        """Whether a measured value is outside the band that was asked for, beyond its error."""
        return False

    @property
    def has_claim(self) -> bool:
        """Whether any estimate has a claim, so that there is a verdict."""
        return any(estimate.claim is not None for estimate in self.estimates)

    @property
    def verdict(self) -> str:
        """The verdict in a word; empty without a claim."""
        return VERDICTS[self.agrees] if self.has_claim else ""

    @property
    def variances(self) -> Sequence[Estimate]:
        """The estimates of variances, whose deviations are relative to the claim."""
        return self.estimates

    def least_deviation(self, tests: int = 1) -> float | None:
        """Return the least deviation that the row would show: :meth:`Estimate.detectable`.

        Args:
            tests: Number of tests that share alpha.
        """
        if self.agrees is None or self.alpha is None:
            return None
        significance = self.alpha / tests  # the first step of Holm's method
        tested = [each for each in self.variances if each.claim is not None]
        least = max((e.detectable(significance) or math.inf for e in tested), default=math.inf)
        return least if math.isfinite(least) else None

    def judged(self, *, agrees: bool | None, alpha: float | None, tests: int | None) -> Self:
        """Return the row with a verdict."""
        return self._with(agrees=agrees, alpha=alpha, tests=tests)

    def at(self, confidence: float) -> Self:
        """Return the row with another confidence level."""
        return self._with(confidence=confidence)

    def _with(self, **state: object) -> Self:
        """Return the row with another state; its cached estimates stay, its caveats may differ."""
        row = object.__new__(type(self))
        vars(row).update(vars(self), **state)
        vars(row).pop("caveats", None)
        return row

    def of_seeds(self, pooled: tuple[int, ...], varsim: str) -> Self:
        """Return the row with these pooled seeds and the versions of varsim behind them."""
        return replace(self, pooled=pooled, varsim=varsim)

    def weakness(self, replicates: str) -> tuple[Caveat, ...]:
        """Return the caveat of a verdict that could have missed a large deviation.

        Args:
            replicates: What there should be more of, such as "networks".
        """
        is_relative = any(each.claim for each in self.variances)  # not to 0
        if not self.agrees or not is_relative or (self.detectable or math.inf) <= WEAK:
            return ()
        message = f"the verdict could miss a deviation of {percent(WEAK)}; take more {replicates}"
        return (Caveat("weak-verdict", message),)

    def pooling(self) -> tuple[Caveat, ...]:
        """Return the caveat of a pooled row."""
        if not self.pooled:
            return ()
        *most, last = map(str, self.seeds)
        listed = many_seeds(self.seeds) or f"seeds {', '.join(most)} and {last}"
        message = f"the totals of {listed} are pooled"
        if " and " in self.varsim:
            message += f"; they are of varsim {self.varsim}"
        return (Caveat("pooled", message),)

    def to_dict(self) -> dict[str, Any]:
        """Return the scalar fields: a record for ``pandas.DataFrame``.

        Names and values are those of the machine formats; an unknown value is None. Running totals,
        histograms and lists are omitted.
        """
        return dict(self)

    def __getitem__(self, name: str) -> Any:
        """Return the value of a scalar field."""
        return self.schema.scalars[name].get(self)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the scalar fields."""
        return iter(self.schema.scalars)

    def __len__(self) -> int:
        """Return the number of scalar fields."""
        return len(self.schema.scalars)

    def __repr__(self) -> str:
        """Return one line: settings, measurement, theory and verdict."""
        try:
            return f"{type(self).__name__}({self.schema.line(self)})"
        except READ_ERRORS:  # a debugger also shows rows with empty totals
            return f"{type(self).__name__}({self.schema.name_of(self)})"

    def _repr_html_(self) -> str:
        from varsim.notebook import rendered  # a notebook asks rows; tables stand above them

        return rendered([self], "html")

    def _repr_markdown_(self) -> str:
        from varsim.notebook import rendered  # as above

        return rendered([self], "markdown")


def many_seeds(seeds: Sequence[int]) -> str:
    """Return the number of seeds with the first and the last in words, or "" for a few.

    >>> many_seeds(range(8)), many_seeds(range(20_000))
    ('', '20,000 seeds from 0 to 19999')
    """
    few = len(seeds) <= _LISTED_SEEDS
    return "" if few else f"{len(seeds):,} seeds from {min(seeds)} to {max(seeds)}"


def level(rows: Sequence[RowBase]) -> str:
    """Return the level of the rows' intervals, such as ``95%``."""
    return f"{100 * rows[0].confidence:.12g}%"
