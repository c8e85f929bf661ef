"""The kind of a model's rows: their table, comparison, pooling and figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from varsim.compute import lazy
from varsim.model.result import ABOVE, BELOW, INSIDE, MODULES, UNKNOWN, ModuleResult
from varsim.model.totals import ModuleTotals
from varsim.report.rows import rows_table, settings, span, verdict_sentence
from varsim.study import Kind
from varsim.table import Table

if TYPE_CHECKING:
    from varsim.model import explanation
    from varsim.plots import model as figures
else:
    explanation, figures = lazy("varsim.model.explanation"), lazy("varsim.plots.model")

# Most modules that a sentence names.
_MOST_NAMES = 3


def model_table(rows: Sequence[ModuleResult], remarks: Sequence[str] = ()) -> Table:
    """Return the table of one model, one row per module in the order of calls."""
    first = rows[0]
    counts = span([row.inits for row in rows])
    package = f", {first.init_package}" if first.init_package else ""
    sentences = [
        f"{first.model}: {counts} initializations, {settings(rows)}{package}.",
        *_band_sentences(rows),
        *verdict_sentence(rows),
    ]
    return rows_table(rows, sentences, remarks, _caveats(rows), label="varsim-model")


def _caveats(rows: Sequence[ModuleResult]) -> Iterator[str]:
    """Yield one caveat per message, with the first modules that have it; none if all have."""
    modules: dict[str, list[str]] = {}
    for row in rows:
        for caveat in row.caveats:
            modules.setdefault(caveat.message, []).append(row.module)
    for message, names in modules.items():
        where = "" if len(names) == len(rows) else f"{_listed(names)}: "
        yield f"{rows[0].model}: {where}{message}."


def _listed(names: Sequence[str]) -> str:
    """Return the first names, and the number of others.

    >>> _listed(["a", "b"]), _listed(["a", "b", "c", "d", "e"])
    ('a, b', 'a, b, c and 2 more')
    """
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more


def _band_sentences(rows: Sequence[ModuleResult]) -> Iterator[str]:
    """Yield the number of modules inside the band, and the names of others."""
    if rows[0].between is None:
        return
    low, high = rows[0].between
    places = {
        f"{row.module} {side}": place
        for row in rows
        for side, place in (("forward", row.forward_band), ("backward", row.gradient_band))
        if place is not None
    }
    parts = []
    for place in (INSIDE, BELOW, ABOVE, UNKNOWN):
        names = [name for name, other in places.items() if other == place]
        if names:
            parts.append(f"{len(names)} {place}" + f" ({_listed(names)})" * (place != INSIDE))
    more = " More --inits decide what is not known yet." * (UNKNOWN in places.values())
    yield f"Between {low:g} and {high:g}: {', '.join(parts)}.{more}"


def _obstacle(a: ModuleResult, b: ModuleResult) -> str | None:
    if (a.part, a.modules) != (b.part, b.modules):
        return "their modules differ"
    known = [[mean is None for mean in row.totals.means] for row in (a, b)]
    if known[0] != known[1]:
        return "their modules differ"
    return None if a.between == b.between else "their bands differ"


def _pooled(parts: Sequence[ModuleResult]) -> ModuleResult:
    totals = ModuleTotals.pooled([part.totals for part in parts])
    return replace(parts[0], totals=totals, next_check=None)


MODEL = Kind(
    schema=MODULES,
    group="models",
    replicates="inits",
    table=model_table,
    explain=lambda rows: explanation.explain(rows),
    figure=lambda rows, width: figures.model_figure(rows, width),
    extent=lambda rows: f"{span([row.inits for row in rows])} initializations",
    measures=lambda row: {"Var[y]": row.forward, "Var[∂y]": row.back},
    same_quantity=("module",),
    same_totals=lambda a, b: repr(a.totals) == repr(b.totals),  # an overflow is NaN
    obstacle=_obstacle,
    pooled=_pooled,
    table_per_question=True,
    counted="modules ",
)
"""Rows of models: one per module."""
