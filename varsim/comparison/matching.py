"""Matching: pairs of rows of two files that measure the same quantity."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple

from varsim.catalog.scales import canonical_name
from varsim.fields.field import R
from varsim.study import Kind


class Pair(NamedTuple, Generic[R]):
    """Two rows that measure the same quantity."""

    a: R
    b: R

    @property
    def same_streams(self) -> bool:
        """Whether both are from the same random streams."""
        return _streams(self.a) == _streams(self.b)

    @property
    def shares_draws(self) -> bool:
        """Whether some draws of both are the same, and others are not."""
        a, b = self.a, self.b
        common = a.question.key == b.question.key and not set(a.seeds).isdisjoint(b.seeds)
        return common and not self.same_streams


@dataclass(frozen=True)
class Matching(Generic[R]):
    """The rows of two files, in pairs.

    Attributes:
        kind: The kind of the rows.
        pairs: The pairs, in the order of the first file.
        only_a: Rows of the first file without a partner.
        only_b: Rows of the second file without a partner.
    """

    kind: Kind[R]
    pairs: list[Pair[R]]
    only_a: list[R]
    only_b: list[R]


def match(kind: Kind[R], a: Sequence[R], b: Sequence[R]) -> Matching[R]:
    """Return the pairs of rows that measure the same quantity, and the rows without a partner.

    Rows are paired by the first of these that they have in common:

    1. the streams,
    2. key and seed,
    3. quantity, dtype and seed,
    4. quantity and dtype,
    5. quantity and seed,
    6. quantity.
    """
    partners: dict[int, int] = {}
    free = list(range(len(b)))
    for identity in _identities(kind):
        waiting: dict[Hashable, list[int]] = {}
        for j in reversed(free):
            waiting.setdefault(identity(b[j]), []).append(j)
        for i, row in enumerate(a):
            if waiting and i not in partners and (queue := waiting.get(identity(row))):
                partners[i] = queue.pop()
        taken = set(partners.values())
        free = [j for j in free if j not in taken]
    return Matching(
        kind,
        [Pair(row, b[partners[i]]) for i, row in enumerate(a) if i in partners],
        [row for i, row in enumerate(a) if i not in partners],
        [b[j] for j in free],
    )


def quantity(kind: Kind[R], row: R) -> dict[str, object]:
    """Return the settings of the measured quantity, without dtype and seed.

    Without k, which the scheme gives: its last digits differ between machines.
    """
    schema = kind.schema
    names = dict.fromkeys((*kind.same_quantity, *schema.named_by, *schema.settings))
    values = {name: schema.by_name[name].get(row) for name in names if name != "dtype"}
    if "scale" in values:
        values["scale"] = canonical_name(str(values["scale"]))
    return values


def _streams(row: R) -> Hashable:
    # Key, seed, number of replicates and their size determine all draws.
    return row.key, row.question.seed, row.replicates, row.question.replicate_size, row.place


def _identities(kind: Kind[R]) -> tuple[Callable[[R], Hashable], ...]:
    """Return the identities of rows for :func:`match`, from the strictest on."""

    def what(row: R) -> Hashable:
        return tuple(quantity(kind, row).values())

    def member(row: R) -> Hashable:  # at one place there may be another module
        return tuple(kind.schema.by_name[name].get(row) for name in kind.same_quantity)

    return (
        lambda row: (_streams(row), member(row)),
        lambda row: (row.key, row.question.seed, row.place, member(row)),
        lambda row: (what(row), row.question.dtype, row.question.seed),
        lambda row: (what(row), row.question.dtype),
        lambda row: (what(row), row.question.seed),
        what,
    )
