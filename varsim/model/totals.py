"""Running totals of initializations: the sums behind the rows of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple, TypeAlias

from varsim.errors import InputError, quoted


class Module(NamedTuple):
    """A module of a model.

    Attributes:
        name: Its path, such as ``layers.0.conv``; that of the model itself is its type.
        type: Its class.
        shape: Shape of its output, of its first call.
    """

    name: str
    type: str
    shape: tuple[int, ...]


class Passed(NamedTuple):
    """The means of one module in one initialization, over the outputs y of all of its calls.

    None is unknown; NaN or infinity is an overflow.

    Attributes:
        module: The module.
        mean: Mean of y.
        square: Mean of y².
        naive: The squared standard error of square if all outputs were independent.
        zeros: Share of outputs that are 0.
        input: Mean of x² over its inputs; None without a floating-point input.
        theory: E y² by theory, given the inputs; None without one.
        ratio: square / theory.
        gradient: Mean of g² over the gradients at its outputs; None without gradients.
    """

    module: Module
    mean: float
    square: float
    naive: float
    zeros: float
    input: float | None
    theory: float | None
    ratio: float | None
    gradient: float | None

    @property
    def values(self) -> tuple[float | None, ...]:
        """The means, ordered as in :class:`ModuleTotals`."""
        return self[1:]

    @property
    def known(self) -> tuple[object, ...]:
        """The module, and whether each of the means is known."""
        return (self.module, *(value is None for value in self.values))


Mean: TypeAlias = float | None

_FIELDS = Passed._fields[1:]

_PAIRS = (("mean", "mean"), ("mean", "square"), ("square", "square"), ("ratio", "ratio"),
          ("gradient", "gradient"))  # fmt: skip

_PLACES = [(_FIELDS.index(a), _FIELDS.index(b)) for a, b in _PAIRS]


class ModuleTotals(NamedTuple):
    """Running totals of one module over initializations; NaN once a value is not finite.

    The first ones are means over initializations of the fields of :class:`Passed`.

    Attributes:
        inits: Number of initializations.
        mean_m2: Σ (m - mean m)² of the means m.
        mean_square: Σ (m - mean m) (q - mean q), with the mean squares q.
        square_m2: Σ (q - mean q)².
        ratio_m2: The same of ratios.
        gradient_m2: The same of the gradients' mean squares.
    """

    inits: int = 0
    mean: float = 0.0
    square: float = 0.0
    naive: float = 0.0
    zeros: float = 0.0
    input: float | None = 0.0
    theory: float | None = 0.0
    ratio: float | None = 0.0
    gradient: float | None = 0.0
    mean_m2: float = 0.0
    mean_square: float = 0.0
    square_m2: float = 0.0
    ratio_m2: float = 0.0
    gradient_m2: float = 0.0

    @property
    def means(self) -> tuple[Mean, ...]:
        """The means, in the order of :attr:`Passed.values`."""
        return self[1 : 1 + len(_FIELDS)]

    @property
    def sums(self) -> tuple[float, ...]:
        """The sums of products of deviations."""
        return self[1 + len(_FIELDS) :]  # type: ignore[return-value]  # the last ones are numbers

    def plus(self, values: Sequence[Mean]) -> ModuleTotals:
        """Return the totals after one more initialization."""
        count, before = self.inits + 1, self.means
        values = [None if value is None else _finite(value) for value in values]
        steps = [
            0.0 if v is None or m is None else v - m for v, m in zip(values, before, strict=True)
        ]
        means = [
            None if value is None else (mean or 0.0) + step / count
            for value, mean, step in zip(values, before, steps, strict=True)
        ]
        share = self.inits / count
        sums = [
            _finite(total + steps[a] * steps[b] * share)
            for total, (a, b) in zip(self.sums, _PLACES, strict=True)
        ]
        # A mean is None if and only if its values are.
        return ModuleTotals(count, *means, *sums)  # type: ignore[arg-type]

    @classmethod
    def pooled(cls, parts: Sequence[ModuleTotals]) -> ModuleTotals:
        """Return the totals of one module over the initializations of all parts."""
        count = sum(part.inits for part in parts)
        means = [
            None if each[0] is None else sum(
                part.inits / count * (mean or 0.0) for part, mean in zip(parts, each, strict=True)
            )
            for each in zip(*(part.means for part in parts), strict=True)
        ]  # fmt: skip
        sums = [
            sum(
                part.sums[place]
                + part.inits * ((part.means[a] or 0.0) - (means[a] or 0.0))
                * ((part.means[b] or 0.0) - (means[b] or 0.0))
                for part in parts
            )
            for place, (a, b) in enumerate(_PLACES)
        ]  # fmt: skip
        return cls(count, *means, *sums)  # type: ignore[arg-type]  # as above

    def error(self, m2: float) -> float:
        """Return the standard error of a mean, from its sum of squares."""
        return math.sqrt(max(0.0, m2) / (self.inits * (self.inits - 1)))


def _finite(value: float) -> float:
    """Return a value, or NaN for infinity."""
    return value if math.isfinite(value) else math.nan


@dataclass(frozen=True, slots=True)
class ModelTotals:
    """Running totals of all modules, added in the order of the initializations.

    Attributes:
        inits: Number of initializations.
        modules: The modules, in the order of their calls.
        totals: The totals of every module.
        next_check: Number of initializations at the next decision of the stopping rule, or None.
    """

    inits: int = 0
    modules: tuple[Module, ...] = ()
    totals: tuple[ModuleTotals, ...] = ()
    next_check: int | None = None

    @property
    def count(self) -> int:
        """Number of initializations."""
        return self.inits

    def with_check(self, check: int | None) -> ModelTotals:
        """Return the totals with another :attr:`next_check`."""
        return replace(self, next_check=check)

    def plus(self, *samples: Sequence[Passed]) -> ModelTotals:
        """Return the totals after more initializations.

        Raises:
            InputError: One has other modules than those before.
        """
        return reduce(ModelTotals._with, samples, self)

    def _with(self, sample: Sequence[Passed]) -> ModelTotals:
        modules = tuple(each.module for each in sample)
        before = self.totals or (ModuleTotals(),) * len(sample)
        if self.inits:
            self._check(sample)
        totals = tuple(t.plus(each.values) for t, each in zip(before, sample, strict=True))
        return replace(self, inits=self.inits + 1, modules=modules, totals=totals)

    def _check(self, sample: Sequence[Passed]) -> None:
        """Refuse an initialization with other modules, or with other known means."""
        known = [
            (module, *(mean is None for mean in totals.means))
            for module, totals in zip(self.modules, self.totals, strict=True)
        ]
        given = [each.known for each in sample]
        if known == given:
            return
        shared = min(len(known), len(given))
        place = next((i for i in range(shared) if known[i] != given[i]), shared)
        first = [*(each.module for each in sample), *self.modules[len(sample) :]][place]
        raise InputError(
            f"initialization {self.inits} has other modules than those before, from "
            f"{quoted(first.name)} on; return a model of one structure, and start a new file "
            "after a change"
        )
