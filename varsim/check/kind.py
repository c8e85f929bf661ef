"""The kind of the rows of checks: their table, comparison, pooling and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from varsim.check.result import CHECKS, InitializerCheck
from varsim.check.totals import CheckTotals
from varsim.compute import lazy
from varsim.report.rows import rows_table, seeds, span, verdict_sentence
from varsim.study import Kind
from varsim.table import Table

if TYPE_CHECKING:
    from varsim.check import explanation
    from varsim.plots import check as figures
else:
    explanation, figures = lazy("varsim.check.explanation"), lazy("varsim.plots.check")


def checks_table(rows: Sequence[InitializerCheck], remarks: Sequence[str] = ()) -> Table:
    """Return the table of checks of initializers, one row per check, with remarks below."""
    first = rows[0]
    shapes = dict.fromkeys((row.dim, row.fan_out) for row in rows)
    shape = (
        f"W of {first.dim} x {first.fan_out}, " if len(shapes) == 1 and first.acts is None else ""
    )
    packages = "".join(f", {p}" for p in dict.fromkeys(r.init_package for r in rows) if p)
    draws = span([row.draws for row in rows])
    sentence = f"{shape}{draws} draws each, {first.dtype}, {seeds(rows)}{packages}."
    return rows_table(rows, [sentence, *verdict_sentence(rows)], remarks, label="varsim-init")


def _obstacle(a: InitializerCheck, b: InitializerCheck) -> str | None:
    return None if (a.claim, a.claimed) == (b.claim, b.claimed) else "their claims differ"


def _pooled(parts: Sequence[InitializerCheck]) -> InitializerCheck:
    return replace(parts[0], totals=CheckTotals.pooled([part.totals for part in parts]))


CHECK = Kind(
    schema=CHECKS,
    group="initializers",
    replicates="draws",
    table=checks_table,
    explain=lambda rows: explanation.explain(rows),
    figure=lambda rows, width: figures.check_figure(rows, width),
    extent=lambda rows: f"{span([row.draws for row in rows])} draws",
    measures=lambda row: {"x@W": row.estimate, "g@Wᵀ": row.back},
    same_totals=lambda a, b: a.totals == b.totals,
    obstacle=_obstacle,
    pooled=_pooled,
    counted=None,
)
"""Rows of initializers."""
