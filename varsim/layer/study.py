"""The study of one layer: a replicate is a block."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from varsim.layer.question import MIN_BLOCKS, Experiment
from varsim.layer.result import Result, conclude, histogram_bins
from varsim.layer.sampling import (
    batch_size,
    block_bytes,
    block_numbers,
    sample_blocks,
    verify_initializer,
)
from varsim.layer.theory import predict
from varsim.layer.totals import Block, Totals
from varsim.statistics.moments import Bins
from varsim.study import Resumed, batches

# Blocks per expected block with a precision: stopping where the error happens to look small makes
# intervals cover less.
MARGIN = 1.2


def planned_blocks(experiment: Experiment) -> int:
    """Return the planned number of blocks; with a precision it follows from the expected error."""
    if experiment.precision is None:
        return experiment.blocks
    expected = math.ceil(MARGIN * predict(experiment).block_error2 / experiment.precision**2)
    return min(max(MIN_BLOCKS, expected), experiment.blocks)


@dataclass(frozen=True)
class LayerStudy:
    """The study of an experiment: a replicate is a block.

    Attributes:
        question: The experiment.
        confidence: Level of the interval.
        histogram: Whether the outputs are counted in a histogram.
    """

    question: Experiment
    confidence: float = 0.95
    histogram: bool = False

    minimum = MIN_BLOCKS
    """Least number of replicates for an error bar."""

    @cached_property
    def cost(self) -> int:
        """Random numbers per block."""
        return block_numbers(self.question)

    @property
    def memory(self) -> int:
        """Approximate bytes of arrays per worker."""
        return block_bytes(self.question)

    @cached_property
    def batch(self) -> int:
        """Replicates per batch."""
        return batch_size(self.question)

    def prepare(self) -> None:
        """Load and check the initializer, or raise an InputError."""
        verify_initializer(self.question)

    def empty(self) -> Totals:
        """Return the totals of no blocks."""
        return Totals()

    def sample(self, indices: range) -> list[Block]:
        """Return the blocks of consecutive indices."""
        parts = batches(indices, self.batch)
        return [block for part in parts for block in sample_blocks(self.question, part, self._bins)]

    def next_check(self, totals: Totals) -> int | None:
        """Return the number of blocks at the next check, or None if there are enough.

        With a precision the first check is where theory expects it to be met. Every later check
        follows from the error measured at the one before: a function of the experiment and its
        blocks alone, never of time or workers.
        """
        experiment, first = self.question, planned_blocks(self.question)
        if totals.blocks < first:
            return first
        if experiment.precision is None or totals.blocks >= experiment.blocks:
            return None
        error = Result(experiment, totals).relative_error
        if error <= experiment.precision:
            return None
        needed = math.ceil(totals.blocks * MARGIN * (error / experiment.precision) ** 2)
        return min(needed, experiment.blocks)

    def rows(self, totals: Totals) -> list[Result]:
        """Return the row of the totals."""
        return [conclude(self.question, totals, self.confidence)]

    def resume(self, rows: Sequence[Result]) -> Resumed[Block, Totals, Result]:
        """Return the study and the totals to continue from, given the row of a file.

        The row is stale if its initializer is of another package, if its blocks have another size,
        or if it lacks a requested histogram.
        """
        (row,), asked = rows, self.question
        if row.init_package != asked.initializer.package:
            return Resumed(self, None, is_done=False)
        pending = self._pending_check(row)
        met = pending is None and row.met and row.relative_error <= (asked.precision or math.inf)
        finest = replace(self, question=row.question) if met and row.question != asked else self
        if self.histogram and row.histogram is None:
            return Resumed(finest, None, is_done=False)  # to no less precision than the row has
        study = replace(finest, histogram=row.histogram is not None)
        if met:
            return Resumed(study, row.totals, is_done=True)
        if row.question.block != asked.block:
            return Resumed(self, None, is_done=False)
        return Resumed(study, row.totals.with_check(pending), is_done=False)

    def _pending_check(self, row: Result) -> int | None:
        """Return the check that an interrupted row was heading for, or None.

        An uninterrupted run decides there, so a resumed run does too.
        """
        asked, check = self.question, row.totals.next_check
        same = (row.question.precision, row.question.block) == (asked.precision, asked.block)
        return check if same and check is not None and check <= asked.blocks else None

    @cached_property
    def _bins(self) -> Bins | None:
        return histogram_bins(self.question) if self.histogram else None
