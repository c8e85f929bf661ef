"""Merging: rows of one question with different seeds become one row with pooled totals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from varsim.fields.field import R
from varsim.study import Kind


class Repeat(NamedTuple):
    """Two rows with the same draws: their places and the common seed."""

    first: int
    second: int
    seed: int


@dataclass(frozen=True)
class Merged(Generic[R]):
    """Rows after a merge.

    Attributes:
        rows: The rows; a pooled row is at the place of its first part.
        pooled: Number of pooled rows.
        apart: Rows of the question of an earlier row, each with the obstacle to adding them up.
        uncounted: Pooled rows without a histogram, since some of their parts have none.
    """

    rows: list[R]
    pooled: int
    apart: list[tuple[R, str]]
    uncounted: list[R]


def repeat(rows: Sequence[R]) -> Repeat | None:
    """Return the first two rows of one question and place with a common seed, or None."""
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


def merge(kind: Kind[R], rows: Sequence[R]) -> Merged[R]:
    """Return rows with those of one question pooled, without verdicts.

    Parts are added in the order of their seeds, so the order of the rows does not change the sums.

    Args:
        kind: The kind of the rows.
        rows: Rows without common draws: see :func:`repeat`.
    """
    groups: dict[int, list[R]] = {}
    apart = []
    for places in _by_question(rows).values():
        leaders: list[int] = []
        for place in places:
            row = rows[place]
            obstacles = [_obstacle(kind, rows[leader], row) for leader in leaders]
            if None in obstacles:
                groups[leaders[obstacles.index(None)]].append(row)
                continue
            apart += [(row, obstacle) for obstacle in obstacles[:1] if obstacle is not None]
            leaders.append(place)
            groups[place] = [row]
    merged = {place: _pooled(kind, sorted(group, key=_seed)) for place, group in groups.items()}
    uncounted = [
        merged[place]
        for place, group in groups.items()
        if any(map(kind.counts, group)) and not kind.counts(merged[place])
    ]
    pooled = sum(len(group) > 1 for group in groups.values())
    return Merged([merged[place] for place in sorted(merged)], pooled, apart, uncounted)


def _by_question(rows: Sequence[R]) -> dict[Hashable, list[int]]:
    """Return the places of rows by key and place in the question."""
    places: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault((row.question.key, row.place), []).append(place)
    return places


def _seed(row: R) -> int:
    return row.question.seed


def _obstacle(kind: Kind[R], a: R, b: R) -> str | None:
    """Return the obstacle to adding up two rows of one question, or None."""
    if a.init_package != b.init_package:
        return f"the initializer is of {a.init_package} in one and of {b.init_package} in the other"
    return kind.obstacle(a, b)


def _pooled(kind: Kind[R], parts: Sequence[R]) -> R:
    """Return the row of all draws of parts in the order of their seeds."""
    if len(parts) == 1:
        return parts[0]
    seeds = sorted(seed for part in parts for seed in part.seeds)
    versions = sorted({version for part in parts for version in part.varsim.split(" and ")})
    return kind.pooled(parts).of_seeds(tuple(seeds[1:]), " and ".join(versions))
