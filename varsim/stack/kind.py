"""The kind of a deep stack's rows: their table, comparison, pooling and figures."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.report.rows import (
    members_in_words,
    row_name,
    rows_table,
    settings,
    span,
    verdict_sentence,
)
from varsim.stack.result import LAYERS, LayerResult
from varsim.stack.totals import LayerTotals
from varsim.study import Kind
from varsim.table import Column, Table

if TYPE_CHECKING:
    from varsim.plots import stack as figures
    from varsim.stack import explanation
else:
    explanation, figures = lazy("varsim.stack.explanation"), lazy("varsim.plots.stack")

# Characters of the chart column.
_AXIS = 15

# Caveats with numbers of their layer.
_WITH_NUMBERS = {"heavy-tails", "heavy-tailed-gradients", "precision-unmet", "unknown-law"}

# Relative tolerance of theory between two math libraries.
_SAME_THEORY = 1e-6


def stack_table(rows: Sequence[LayerResult], remarks: Sequence[str] = ()) -> Table:
    """Return the table of one stack, one row per layer from the input on, with remarks below."""
    first = rows[0]
    slack = max(
        max(row.theory_slack, row.gradient_slack, row.correlation_slack or 0.0) for row in rows
    )
    layers = f"{first.depth:,} layer{'s' * (first.depth > 1)}"
    caption = [
        f"{first.networks:,} networks of {layers}, batch {first.question.batch:,}; "
        f"{settings([first])}.",
        *verdict_sentence(rows, slack),
    ]
    return rows_table(
        rows, caption, remarks, _stack_caveats(rows), [_chart(rows)], label="varsim-layers"
    )


def _chart(rows: Sequence[LayerResult]) -> Column:
    """Return the chart column: every layer on a logarithmic axis that includes 1."""
    pairs = [(row.gradient, row.empirical) for row in rows]
    known = [math.log10(v) for pair in pairs for v in pair if v is not None and v > 0]
    low = min(-1, math.floor(min(known, default=0.0)))
    high = max(1, math.ceil(max(known, default=0.0)))
    marks = "h ● ∂h ○" if any(gradient is not None for gradient, _ in pairs) else "h ●"
    header = f"1e{low:+03d} {marks} 1e{high:+03d}".center(_AXIS)
    width = max(_AXIS, len(header))
    cells = []
    for pair in pairs:
        cell = [" "] * width
        cell[round(-low / (high - low) * (width - 1))] = "│"
        for value, mark in zip(pair, "○●", strict=True):
            if value is not None and value > 0:
                at = round((math.log10(value) - low) / (high - low) * (width - 1))
                cell[at] = "◉" if cell[at] == "○" else mark
        cells.append("".join(cell))
    return Column(header, cells, numeric=False, drop_priority=-1, chart=True)


def _stack_caveats(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield one caveat per kind, with the layers that have it.

    Where messages differ by numbers, it is that of the last layer in the direction of the signal.
    """
    kinds: dict[tuple[str, str], dict[int, str]] = {}
    for row in rows:
        for caveat in row.caveats:
            kind = caveat.id, "" if caveat.id in _WITH_NUMBERS else caveat.message
            kinds.setdefault(kind, {})[row.layer] = caveat.message
    for (id_, _message), messages in kinds.items():
        last = min(messages) if "gradient" in id_ else max(messages)
        source = f" (in layer {last})" if len(set(messages.values())) > 1 else ""
        where = "" if id_ == "no-theory" else f"{members_in_words('layer', list(messages))}: "
        yield f"{row_name(rows[0])}: {where}{messages[last]}{source}."


def _obstacle(a: LayerResult, b: LayerResult) -> str | None:
    ours, theirs = (
        (each.variance, each.gradient, each.variance_slack, each.gradient_slack, each.correlation)
        for each in (a.prediction, b.prediction)
    )
    same = all(
        x is y is None
        or (x is not None and y is not None and math.isclose(x, y, rel_tol=_SAME_THEORY))
        for x, y in zip(ours, theirs, strict=True)
    )
    return None if same else "their theories differ"


def _pooled(parts: Sequence[LayerResult]) -> LayerResult:
    """Return the row of all networks."""
    first = parts[0]
    counts = [p.counts for p in parts if p.counts is not None and p.histogram == first.histogram]
    counted = len(counts) == len(parts)
    return replace(
        first,
        totals=LayerTotals.pooled([part.totals for part in parts]),
        next_check=None,
        counts=tuple(map(sum, zip(*counts, strict=True))) if counted else None,
        histogram=first.histogram if counted else None,
    )


STACK = Kind(
    schema=LAYERS,
    group="stacks",
    replicates="networks",
    table=stack_table,
    explain=lambda rows: explanation.explain(rows),
    figure=lambda rows, width: figures.stack_figure(rows, width),
    extent=lambda rows: f"{span([row.networks for row in rows])} networks",
    measures=lambda row: {"Var[h]": row.forward, "Var[∂h]": row.back, "corr[h]": row.pairs},
    same_quantity=("widths", "layer", "batch"),
    counts=lambda row: row.counts is not None,
    same_totals=lambda a, b: repr(a.totals) == repr(b.totals),  # an overflow is NaN
    obstacle=_obstacle,
    pooled=_pooled,
    table_per_question=True,
    counted="layers ",
)
"""Rows of deep stacks: one per layer."""
