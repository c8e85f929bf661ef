"""The study of a model: a replicate is a whole initialization."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from varsim.errors import InputError
from varsim.layer.study import MARGIN
from varsim.model.question import MAX_INITS, MIN_INITS, Model, check_band
from varsim.model.result import ModuleResult
from varsim.model.sampling import sample_model
from varsim.model.theory import expected_square
from varsim.model.totals import ModelTotals, Passed
from varsim.study import Resumed


@dataclass(frozen=True)
class ModelStudy:
    """The study of a model: a replicate is a whole initialization.

    Attributes:
        question: The model and its inputs.
        confidence: Level of the intervals.
        between: The band of variances that every module has to be in, or None.
    """

    question: Model
    confidence: float = 0.95
    between: tuple[float, float] | None = None

    minimum = MIN_INITS
    """Least number of replicates for an error bar."""

    batch = 1
    """Replicates per batch."""

    cost = 2**20
    """Random numbers per replicate: a guess, since the size of a model is unknown before a call."""

    def __post_init__(self) -> None:
        """Check the band."""
        check_band(self.between)

    @property
    def memory(self) -> int:
        """Bytes of the inputs; the size of a model is unknown before a call."""
        return 8 * math.prod(self.question.input)

    def prepare(self) -> None:
        """Load the function and build the model twice, or raise an InputError."""
        first, second = (self.sample(range(1)) for _ in range(2))
        if repr(first) != repr(second):
            raise InputError(
                f"{self.question.model} returns other weights when it is called again with the "
                "same seed of torch; draw all of them from torch's generator"
            )

    def empty(self) -> ModelTotals:
        """Return the totals of no initializations."""
        return ModelTotals()

    def sample(self, indices: range) -> list[tuple[Passed, ...]]:
        """Return the means of the modules in the initializations of consecutive indices."""
        return [sample_model(self.question, index, expected_square) for index in indices]

    def next_check(self, totals: ModelTotals) -> int | None:
        """Return the number of initializations at the next check, or None if there are enough."""
        count, precision = totals.inits, self.question.precision
        if count < self.question.inits:
            return self.question.inits
        if precision is None or count >= MAX_INITS:
            return None
        error = max((row.relative_error for row in self.rows(totals)), default=0.0)
        if error <= precision:
            return None
        return min(MAX_INITS, math.ceil(count * MARGIN * (error / precision) ** 2))

    def rows(self, totals: ModelTotals) -> list[ModuleResult]:
        """Return one row per module."""
        return [
            ModuleResult(
                self.question, place, module, of_module,
                modules=len(totals.modules),
                next_check=totals.next_check,
                between=self.between,
                confidence=self.confidence,
                init_package=self.question.initializer.package,
            )
            for place, (module, of_module) in enumerate(
                zip(totals.modules, totals.totals, strict=True), 1
            )
        ]  # fmt: skip

    def resume(
        self, rows: Sequence[ModuleResult]
    ) -> Resumed[tuple[Passed, ...], ModelTotals, ModuleResult]:
        """Return the study and the totals to continue from, given the rows of a file.

        The rows are stale if a module is missing, or if torch has another version. Rows with
        another band are computed again from their totals.
        """
        question, first = self.question, rows[0]
        package = question.initializer.package
        whole = [row.place for row in rows] == list(range(1, first.modules + 1))
        same = {(row.totals.inits, row.init_package) for row in rows}
        if not whole or same != {(first.totals.inits, package)}:
            return Resumed(self, None, is_done=False)
        totals = ModelTotals(
            first.totals.inits,
            tuple(row.part for row in rows),
            tuple(row.totals for row in rows),
            first.next_check,
        )
        asked = (first.question.precision, first.question.inits)
        if question.precision is None or asked != (question.precision, question.inits):
            totals = replace(totals, next_check=None)
        done = totals.next_check is None and self.next_check(totals) is None
        same_band = all(row.between == self.between for row in rows)
        return Resumed(self, totals, is_done=done and same_band)
