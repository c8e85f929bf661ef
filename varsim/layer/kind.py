"""The kind of one layer's rows: their table, comparison, pooling and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.layer.result import RESULTS, Result
from varsim.layer.totals import Totals
from varsim.report.rows import rows_table, settings, span, verdict_sentence
from varsim.study import Kind
from varsim.table import Table

if TYPE_CHECKING:
    from varsim.layer import explanation
    from varsim.plots import layer as figures
    from varsim.report import bars
else:
    explanation, figures = lazy("varsim.layer.explanation"), lazy("varsim.plots.layer")
    bars = lazy("varsim.report.bars")


def results_table(results: Sequence[Result], remarks: Sequence[str] = ()) -> Table:
    """Return the table of theory and measurement, one row per result, with remarks below."""
    samples, blocks = span([r.samples for r in results]), span([r.blocks for r in results])
    targets = sorted({p for r in results if (p := r.question.precision) is not None})
    aim = ", to " + " and ".join(f"{100 * t:g}%" for t in targets) if targets else ""
    sentence = f"{samples} outputs per row, in {blocks} blocks{aim}; {settings(results)}."
    return rows_table(results, [sentence, *verdict_sentence(results)], remarks)


def _obstacle(a: Result, b: Result) -> str | None:
    if a.totals.x_sums is not None:
        return "with fixed-x each seed has an x of its own"
    if a.question.block != b.question.block:
        return "their blocks have different sizes"
    return None


def _same_totals(a: Result, b: Result) -> bool:
    """Return whether totals are identical, apart from a histogram that one file may lack."""
    return replace(a.totals, counts=None) == replace(b.totals, counts=None)


def _pooled(parts: Sequence[Result]) -> Result:
    return replace(parts[0], totals=Totals.pooled([part.totals for part in parts]))


LAYER = Kind(
    schema=RESULTS,
    group="rows",
    replicates="blocks",
    table=results_table,
    explain=lambda rows: explanation.explain(rows),
    figure=lambda rows, width: figures.layer_figure(rows, width),
    drawing=lambda rows, width, ascii_only: bars.drawing(
        rows, width, bars.ASCII_INK if ascii_only else bars.INK
    ),
    extent=lambda rows: f"{span([row.samples for row in rows])} outputs per row",
    compared=(
        "k",
        "samples",
        "theory",
        "empirical",
        "std_error",
        "expected_std_error",
        "conditional_theory",
    ),
    measures=lambda row: {"Var[x @ W]": row.estimate},
    by_ratio=lambda row: bool(row.conditional_theory),
    same_totals=_same_totals,
    counts=lambda row: row.totals.counts is not None,
    obstacle=_obstacle,
    pooled=_pooled,
)
"""Rows of one layer."""
