"""Deep stacks as tables: one row per layer, and a small chart of what grows and dies."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from varsim.report.rows import columns, row_name, seeds, shared_rate, shared_settings
from varsim.report.table import Column, Table
from varsim.stack.result import LAYERS, LayerResult

_AXIS = 15


def stack_table(rows: Sequence[LayerResult], remarks: Sequence[str] = ()) -> Table:
    """Return the layers of one stack as a table, from the input on.

    Args:
        rows: The layers.
        remarks: Further sentences of the caption.
    """
    return Table(
        [*columns(rows, LAYERS), _chart(rows)],
        [*_caption(rows), *shared_rate(rows), *remarks],
        list(map(LAYERS.record, rows)),
        list(_caveats(rows)),
    )


def _chart(rows: Sequence[LayerResult]) -> Column:
    """Return where every layer lies on a logarithmic axis that holds 1."""
    signals = [row.empirical for row in rows]
    gradients = [row.gradient for row in rows]
    known = [math.log10(v) for v in [*signals, *gradients] if v is not None and v > 0]
    low = min(-1, math.floor(min(known, default=0.0)))
    high = max(1, math.ceil(max(known, default=0.0)))
    marks = "h ● ∂h ○" if any(value is not None for value in gradients) else "h ●"
    header = f"1e{low:+03d} {marks} 1e{high:+03d}".center(_AXIS)
    width = max(_AXIS, len(header))

    def place(value: float | None) -> int | None:
        if value is None or value <= 0:
            return None
        return round((math.log10(value) - low) / (high - low) * (width - 1))

    cells = []
    for signal, gradient in zip(signals, gradients, strict=True):
        cell = [" "] * width
        cell[round(-low / (high - low) * (width - 1))] = "│"
        for at, mark in ((place(gradient), "○"), (place(signal), "●")):
            if at is not None:
                cell[at] = "◉" if cell[at] == "○" else mark
        cells.append("".join(cell))
    return Column(header, cells, numeric=False, drop_priority=-1, chart=True)


def _caption(rows: Sequence[LayerResult]) -> Iterator[str]:
    first = rows[0]
    settings = ", ".join([*shared_settings([first], LAYERS), seeds([first])])
    yield (
        f"{first.networks:,} networks of {first.depth:,} layers, with a batch of "
        f"{first.network.batch:,} inputs per network; {settings}."
    )
    yield (
        "Var[h] is over networks, inputs and units; median: of the typical network; within: over "
        "the units and inputs of one. Errors are between networks."
    )
    if any(row.gradient is not None for row in rows):
        slack = max(max(row.theory_slack, row.gradient_slack) for row in rows)
        yield (
            "∂h is the gradient from a cotangent of variance 1 on top; verdicts allow theory for "
            f"what it leaves out at finite width (up to {slack:.1%})."
        )


def _caveats(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield one caveat of each kind: of the layer that is farthest from where it begins."""
    last = {c.id: f"layer {row.layer}: {c.message}." for row in rows for c in row.caveats}
    first = {c.id: f"layer {row.layer}: {c.message}." for row in rows[::-1] for c in row.caveats}
    last |= {id_: first[id_] for id_ in first if "gradient" in id_}
    for sentence in last.values():
        yield f"{row_name(rows[0], LAYERS)}: {sentence}"
