"""How an initializer is checked: a replicate is a whole W."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varsim.check.question import MAX_DRAWS, MIN_DRAWS
from varsim.check.result import InitializerCheck
from varsim.check.sampling import draw
from varsim.check.totals import CheckTotals, Draw
from varsim.initializers import find
from varsim.layer.question import Experiment, checked_whole
from varsim.layer.sampling import verify_initializer
from varsim.study import Resumed


@dataclass(frozen=True)
class CheckStudy:
    """How an initializer is checked: a replicate is a whole W.

    Attributes:
        question: Which initializer, at what shape.
        draws: Number of W.
        confidence: Level of the intervals.
    """

    question: Experiment
    draws: int = 64
    confidence: float = 0.95

    minimum = MIN_DRAWS
    """Replicates that an error bar needs."""

    batch = 1
    """Replicates that are best sampled in one go."""

    def __post_init__(self) -> None:
        """Check the number of draws."""
        object.__setattr__(self, "draws", checked_whole("draws", self.draws, MIN_DRAWS, MAX_DRAWS))

    @property
    def cost(self) -> int:
        """Entries of W."""
        return self.question.dim * self.question.n

    @property
    def memory(self) -> int:
        """Bytes of arrays per worker, about: W, its entries as float64, and squares."""
        return self.cost * (2 * np.dtype(self.question.dtype).itemsize + 16)

    def prepare(self) -> None:
        """Load and check the initializer, or raise an InputError."""
        verify_initializer(self.question)

    def empty(self) -> CheckTotals:
        """Return the totals of no draws."""
        return CheckTotals()

    def sample(self, indices: range) -> list[Draw]:
        """Return what consecutive W give."""
        return [draw(self.question, index) for index in indices]

    def next_check(self, totals: CheckTotals) -> int | None:
        """Return the number of draws at which to decide next, or None."""
        return self.draws if totals.draws < self.draws else None

    def rows(self, totals: CheckTotals) -> list[InitializerCheck]:
        """Return the row of the totals."""
        e = self.question
        initializer = find(str(e.init))
        claim = initializer.claim
        return [
            InitializerCheck(
                e,
                totals,
                self.draws,
                claim=None if claim is None else claim.formula,
                claimed=None if claim is None else claim.mean_square(e.dim, e.n),
                init_package=initializer.package,
                confidence=self.confidence,
            )
        ]

    def resume(
        self, rows: Sequence[InitializerCheck]
    ) -> Resumed[Draw, CheckTotals, InitializerCheck]:
        """Return how to continue from the row of a file.

        It is stale if it is of another package. A row with another claim, as of another version
        of varsim, is concluded again.
        """
        (row,) = rows
        if row.init_package != self.question.initializer.package:
            return Resumed(self, None, is_done=False)
        (now,) = self.rows(row.totals)
        same_claim = (row.claim, row.claimed) == (now.claim, now.claimed)
        return Resumed(self, row.totals, is_done=row.draws >= self.draws and same_claim)
