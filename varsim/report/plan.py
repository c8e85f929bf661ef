"""What a run would do, before it does it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from varsim.layer.experiment import Experiment
from varsim.layer.inference import planned_blocks
from varsim.layer.sampling import block_bytes, block_numbers
from varsim.layer.theory import predict
from varsim.report.results import setting_columns, settings_sentence
from varsim.report.rounding import significant
from varsim.report.table import Column, Sheet


def plan_sheet(experiments: Sequence[Experiment], workers: int) -> Sheet:
    """Return the experiments with what each will cost and how precise it will be."""
    records = list(_records(experiments, workers))
    columns = [
        *setting_columns(experiments),
        Column("blocks", [f"{record['blocks']:,}" for record in records]),
        Column("outputs", [f"{record['samples']:,}" for record in records]),
        Column("numbers to draw", [f"{record['numbers']:,}" for record in records], dispensable=1),
        Column("expected error", [f"{record['relative_error']:.2%}" for record in records]),
        Column(
            "memory",
            [f"{significant(record['memory'] / 2**20, 2)} MiB" for record in records],
            dispensable=0,
        ),
    ]
    numbers = sum(record["numbers"] for record in records)
    caption = [
        f"{len(records):,} to run, {numbers:,} random numbers to draw; nothing was run.",
        f"Settings: {settings_sentence(experiments)}.",
        "The expected error is the relative standard error; memory is that of the arrays of "
        f"{workers} worker{'s' * (workers > 1)}.",
    ]
    return Sheet(columns, caption, records)


def _records(experiments: Sequence[Experiment], workers: int) -> Iterator[Mapping[str, Any]]:
    for e in experiments:
        prediction, blocks = predict(e), planned_blocks(e)
        yield {
            "design": e.design,
            "dim": e.dim,
            "fan_out": e.n,
            "scale": e.scale,
            "k": e.k,
            "gain": e.g,
            "x": e.x,
            "w": e.w if e.init is None else None,
            "dtype": e.dtype,
            "blocks": blocks,
            "samples": blocks * e.block.outputs,
            "numbers": blocks * block_numbers(e),
            "theory": prediction.variance,
            "relative_error": prediction.relative_error(blocks),
            "memory": workers * block_bytes(e),
            "x_mean": e.x_mean,
            "x_std": e.x_std,
            "w_mean": e.w_mean if e.init is None else None,
            "w_std": e.w_std if e.init is None else None,
            "precision": e.precision,
            "init": e.init,
        }
