"""The plan of a dry run: the remaining work, its cost and its expected precision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from varsim.fields import NUMBER
from varsim.fields.rounding import significant
from varsim.layer.question import Experiment
from varsim.layer.result import RESULTS, Result
from varsim.layer.sampling import block_numbers
from varsim.layer.totals import Totals
from varsim.report.rows import setting_columns, settings
from varsim.runner import Left
from varsim.table import Column, Table


class Plan(NamedTuple):
    """The cost and the precision of an experiment.

    Attributes:
        row: The experiment, as a row without blocks.
        blocks: Number of remaining blocks.
        samples: Number of their outputs.
        numbers: Number of their random numbers.
        relative_error: The expected relative standard error at the end.
        memory: Bytes of the arrays of all workers.
    """

    row: Result
    blocks: int
    samples: int
    numbers: int
    relative_error: float
    memory: int


def plan_table(experiments: Sequence[Experiment], left: Sequence[Left], workers: int) -> Table:
    """Return the table of the remaining work, its cost and its expected precision.

    Args:
        experiments: All experiments of the run.
        left: The remaining work of the unfinished ones.
        workers: Number of workers.
    """
    rows = [Result(experiments[each.place], Totals()) for each in left]
    plans = [_plan(row, workers, each) for row, each in zip(rows, left, strict=True)]
    numbers = sum(plan.numbers for plan in plans)
    caption = [
        f"{len(plans):,} to run, {numbers:,} random numbers to draw; nothing was run.",
        f"Settings: {settings(rows)}.",
        "The expected error is the relative standard error; memory is that of the arrays of "
        f"{workers} worker{'s' * (workers > 1)}.",
    ]
    memory = [f"{significant(plan.memory / 2**20, 2)} MiB" for plan in plans]
    return Table(
        [
            *setting_columns(rows),
            Column("blocks", [f"{plan.blocks:,}" for plan in plans]),
            Column("outputs", [f"{plan.samples:,}" for plan in plans]),
            Column("numbers to draw", [f"{plan.numbers:,}" for plan in plans], drop_priority=1),
            Column("expected error", [f"{100 * plan.relative_error:.2g}%" for plan in plans]),
            Column("memory", memory, drop_priority=0),
        ],
        caption,
        list(map(_record, plans)),
        label="varsim-dry-run",
    )


_SETTINGS = ("design", "dim", "fan_out", "scale", "k", "gain", "x_dist", "w_dist", "dtype")
_FURTHER = ("x_mean", "x_std", "w_mean", "w_std", "precision", "init")


def _plan(row: Result, workers: int, left: Left) -> Plan:
    blocks = left.end - left.begun
    return Plan(
        row,
        blocks=blocks,
        samples=blocks * row.question.block.outputs,
        numbers=blocks * block_numbers(row.question),
        relative_error=row.prediction.relative_error(left.end),
        memory=workers * left.memory,
    )


def _record(plan: Plan) -> dict[str, object]:
    fields, row = RESULTS.by_name, plan.row
    return {
        "schema": NUMBER,
        "kind": "plan",
        **{name: fields[name].to_json(row) for name in _SETTINGS},
        "blocks": plan.blocks,
        "samples": plan.samples,
        "numbers": plan.numbers,
        "theory": row.theory,
        "relative_error": plan.relative_error,
        "memory": plan.memory,
        **{name: fields[name].to_json(row) for name in _FURTHER},
    }
