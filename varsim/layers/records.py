"""Layers as plain records: what the machine formats hold."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from varsim.layers.inference import LayerResult

NAMES = [field.name for field in fields(LayerResult)]
"""The names of a record, in their order."""


def record_of(result: LayerResult) -> dict[str, Any]:
    """Return a layer as a record of plain values, in the order of the schema."""
    record = {name: getattr(result, name) for name in NAMES}
    record["caveats"] = [{"id": c.id, "message": c.message} for c in result.caveats]
    record["histogram"] = result.histogram and result.histogram._asdict()
    record["counts"] = None if result.counts is None else list(result.counts)
    return record
