"""The study of an initializer: a replicate is a whole W."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varsim.check.question import BATCH, MAX_DRAWS, MIN_DRAWS
from varsim.check.result import InitializerCheck, acts
from varsim.check.sampling import draw
from varsim.check.totals import CheckTotals, Draw
from varsim.initializers import ModuleWeight, find
from varsim.layer.question import Experiment, checked_whole
from varsim.layer.sampling import verify_initializer
from varsim.study import Resumed


@dataclass(frozen=True)
class CheckStudy:
    """The study of an initializer: a replicate is a whole W.

    Attributes:
        question: The initializer and the shape.
        draws: Number of W.
        confidence: Level of the intervals.
    """

    question: Experiment
    draws: int = 64
    confidence: float = 0.95

    minimum = MIN_DRAWS
    """Least number of replicates for an error bar."""

    batch = 1
    """Replicates per batch."""

    def __post_init__(self) -> None:
        """Check the number of draws."""
        object.__setattr__(self, "draws", checked_whole("draws", self.draws, MIN_DRAWS, MAX_DRAWS))

    @property
    def cost(self) -> int:
        """Entries per W."""
        return self.question.dim * self.question.n

    @property
    def memory(self) -> int:
        """Approximate bytes of arrays per worker.

        These are W with its proposals, its entries as float64 and their squares; x, g and x @ W.
        """
        itemsize = np.dtype(self.question.dtype).itemsize
        outputs = BATCH * (self.question.dim + 2 * self.question.n)
        return self.cost * (2 * itemsize + 16) + outputs * itemsize

    def prepare(self) -> None:
        """Load and check the initializer, or raise an InputError."""
        verify_initializer(self.question)

    def empty(self) -> CheckTotals:
        """Return the totals of no draws."""
        return CheckTotals()

    def sample(self, indices: range) -> list[Draw]:
        """Return the moments of the W of consecutive indices."""
        return [draw(self.question, index) for index in indices]

    def next_check(self, totals: CheckTotals) -> int | None:
        """Return the number of draws at the next check, or None if there are enough."""
        return self.draws if totals.draws < self.draws else None

    def rows(self, totals: CheckTotals) -> list[InitializerCheck]:
        """Return the row of the totals."""
        e = self.question
        initializer = find(str(e.init))
        claim = initializer.claim
        acting = None
        if isinstance(initializer, ModuleWeight):
            acting = acts(initializer.piece, bias=initializer.bias)
        return [
            InitializerCheck(
                e,
                totals,
                self.draws,
                claim=None if claim is None else claim.formula,
                claimed=None if claim is None else claim.mean_square(e.dim, e.n),
                init_package=initializer.package,
                confidence=self.confidence,
                acts=acting,
            )
        ]

    def resume(
        self, rows: Sequence[InitializerCheck]
    ) -> Resumed[Draw, CheckTotals, InitializerCheck]:
        """Return the study and the totals to continue from, given the row of a file.

        The row is stale if its initializer is of another package. A row with another claim is
        computed again from its totals.
        """
        (row,) = rows
        if row.init_package != self.question.initializer.package:
            return Resumed(self, None, is_done=False)
        (now,) = self.rows(row.totals)
        same_claim = (row.claim, row.claimed) == (now.claim, now.claimed)
        return Resumed(self, row.totals, is_done=row.draws >= self.draws and same_claim)
