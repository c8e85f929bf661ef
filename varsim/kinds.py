"""The tuple of kinds, one per study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from varsim.check.kind import CHECK
from varsim.fields.field import R
from varsim.layer.kind import LAYER
from varsim.stack.kind import STACK
from varsim.study import Kind, groups
from varsim.table import Table

KINDS: tuple[Kind[Any], ...] = (LAYER, STACK, CHECK)
"""All kinds of rows."""

SCHEMAS = [kind.schema for kind in KINDS]
"""The schemas of all kinds."""


def kind_of(rows: Sequence[R]) -> Kind[R]:
    """Return the kind of rows of one kind."""
    return next(kind for kind in KINDS if kind.schema is rows[0].schema)


def tables_of(rows: Sequence[R]) -> list[Table]:
    """Return the tables of rows of one kind: one per stack, one of all other rows."""
    kind = kind_of(rows)
    return [kind.table(group, ()) for group in groups(kind, rows)]
