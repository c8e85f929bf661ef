"""Merging: rows of one question with different seeds become one row, by their totals."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from varsim.comparison import kind_of
from varsim.layer.check import CHECKS, InitializerCheck
from varsim.layer.result import RESULTS, Result
from varsim.stack.result import LayerResult

# Theory that another libm computed differs by less.
_SAME_THEORY = 1e-6


class Repeat(NamedTuple):
    """Two rows that hold the same draws: their places, and the seed that both have."""

    first: int
    second: int
    seed: int


class Merged(NamedTuple):
    """What rows became.

    Attributes:
        rows: In the order of the first of each; a pooled row stands where its first part stood.
        pooled: Number of rows that hold several.
        apart: Rows that measure what an earlier row does, and why each cannot be added to it.
        uncounted: Pooled rows that have lost a histogram, which not all of their parts have.
    """

    rows: list[Any]
    pooled: int
    apart: list[tuple[Any, str]]
    uncounted: list[Any]


def repeat(rows: Sequence[Any]) -> Repeat | None:
    """Return two rows of one question, and layer, that share a seed, or None."""
    for places in _by_question(rows).values():
        first_with: dict[int, int] = {}
        repeats = [
            Repeat(first, place, seed)
            for place in places
            for seed in rows[place].seeds
            if (first := first_with.setdefault(seed, place)) != place
        ]
        if repeats:
            return min(repeats)
    return None


def merge(rows: Sequence[Any]) -> Merged:
    """Return rows with those of one question added up, before verdicts.

    Parts are added in the order of their seeds, so the order of the rows does not change the sums.

    Args:
        rows: Rows of one kind, of which no two share draws: see :func:`repeat`.
    """
    groups: dict[int, list[Any]] = {}
    apart = []
    for places in _by_question(rows).values():
        leaders: list[int] = []
        for place in places:
            row = rows[place]
            obstacles = [_obstacle(rows[leader], row) for leader in leaders]
            if None in obstacles:
                groups[leaders[obstacles.index(None)]].append(row)
                continue
            apart += [(row, obstacle) for obstacle in obstacles[:1] if obstacle is not None]
            leaders.append(place)
            groups[place] = [row]
    merged = {place: _pooled(sorted(group, key=_seed)) for place, group in groups.items()}
    uncounted = [
        merged[place]
        for place, group in groups.items()
        if any(part.histogram for part in group if hasattr(part, "histogram"))
        and merged[place].histogram is None
    ]
    pooled = sum(len(group) > 1 for group in groups.values())
    return Merged([merged[place] for place in sorted(merged)], pooled, apart, uncounted)


def _by_question(rows: Sequence[Any]) -> dict[Hashable, list[int]]:
    """Return the places of rows by what they measure."""
    places: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault((row.question.key, getattr(row, "layer", None)), []).append(place)
    return places


def _seed(row: Any) -> int:
    return int(row.question.seed)


def _obstacle(a: Any, b: Any) -> str | None:
    """Return why two rows of one question cannot be added up; None where they can."""
    if a.init_package != b.init_package:
        return f"the initializer is of {a.init_package} in one and of {b.init_package} in the other"
    if kind_of(a).schema is RESULTS:
        return _obstacle_of_results(a, b)
    if kind_of(a).schema is CHECKS:
        return _obstacle_of_checks(a, b)
    return None if _same_theory(a, b) else "their theories differ"


def _obstacle_of_results(a: Result, b: Result) -> str | None:
    if a.totals.x_sums is not None:
        return "with fixed-x each seed has an x of its own"
    if a.question.block != b.question.block:
        return "their blocks have different sizes"
    return None


def _obstacle_of_checks(a: InitializerCheck, b: InitializerCheck) -> str | None:
    if a.totals.reference is None or b.totals.reference is None:
        return "one is of an older version, whose totals cannot be added to"
    if (a.claim, a.claimed) != (b.claim, b.claimed):
        return "their claims differ"
    return None


def _same_theory(a: LayerResult, b: LayerResult) -> bool:
    """Tell whether two layers are held to the same."""
    ours, theirs = (
        (row.held_to.variance, row.held_to.gradient, row.held_to.variance_slack,
         row.held_to.gradient_slack)
        for row in (a, b)
    )  # fmt: skip
    return all(
        x is y is None
        or (x is not None and y is not None and math.isclose(x, y, rel_tol=_SAME_THEORY))
        for x, y in zip(ours, theirs, strict=True)
    )


def _pooled(parts: Sequence[Any]) -> Any:
    """Return the row of all draws of its parts, which are in the order of their seeds."""
    first = parts[0]
    if len(parts) == 1:
        return first
    seeds = sorted(seed for part in parts for seed in part.seeds)
    versions = sorted({version for part in parts for version in part.varsim.split(" and ")})
    return replace(
        first,
        totals=type(first.totals).pooled([part.totals for part in parts]),
        pooled=tuple(seeds[1:]),
        varsim=" and ".join(versions),
        **(_beside_totals(parts) if isinstance(first, LayerResult) else {}),
    )


def _beside_totals(parts: Sequence[LayerResult]) -> dict[str, Any]:
    """Return what a layer holds beside its totals: medians cannot be added up, counts can."""
    largest = max(parts, key=lambda part: part.median_networks)
    counts = [part.counts for part in parts if part.histogram == parts[0].histogram]
    counted = len(counts) == len(parts) and None not in counts
    return {
        "median": largest.median,
        "gradient_median": largest.gradient_median,
        "median_networks": largest.median_networks,
        "next_check": None,
        "counts": tuple(map(sum, zip(*counts, strict=True))) if counted else None,
        "histogram": parts[0].histogram if counted else None,
    }
