"""The tuple of kinds: every study whose rows can be read, shown, compared and drawn."""

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
"""Every kind; a file decides which of them its rows are of."""

SCHEMAS = [kind.schema for kind in KINDS]
"""Their schemas."""


def kind_of(rows: Sequence[R]) -> Kind[R]:
    """Return the kind of rows of one kind."""
    return next(kind for kind in KINDS if kind.schema is rows[0].schema)


def tables_of(rows: Sequence[R]) -> list[Table]:
    """Return the tables of rows of one kind: one per stack, one of all other rows."""
    kind = kind_of(rows)
    return [kind.table(group, ()) for group in groups(kind, rows)]
