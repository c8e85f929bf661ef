"""Layers as plain records, and back: what the machine formats hold, and who reads them again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from varsim.layer import records
from varsim.layer.records import UNUSABLE, Schema
from varsim.parsing import InputError
from varsim.stack.result import SCHEMA, LayerResult

NAMES = [field.name for field in fields(LayerResult)]
"""The names of a record, in their order."""


def record_of(result: LayerResult) -> dict[str, Any]:
    """Return a layer as a record of plain values, in the order of the schema."""
    record = {name: getattr(result, name) for name in NAMES}
    record["caveats"] = [{"id": c.id, "message": c.message} for c in result.caveats]
    record["histogram"] = result.histogram and result.histogram._asdict()
    record["counts"] = None if result.counts is None else list(result.counts)
    return record


def result_of(record: Mapping[str, Any]) -> LayerResult:
    """Return the layer that a record holds.

    Raises:
        InputError: It is not a record of this schema, or not of one layer.
    """
    LAYERS.check_number(record)
    try:
        result = LayerResult(**LAYERS.values(record))
    except UNUSABLE:
        raise InputError("it is no row of results of varsim layers") from None
    _check(result)
    return result


def _check(result: LayerResult) -> None:
    if (result.w is None) != (result.init is not None):
        raise InputError("it has both an initializer and a distribution of W, or neither")
    if not 1 <= result.layer <= result.depth or min(result.fan_in, result.width, result.batch) < 1:
        raise InputError(
            f"it is layer {result.layer} of {result.depth}, from {result.fan_in} units to "
            f"{result.width}, which there cannot be"
        )
    squares = [getattr(result, name) for name in _SQUARES]
    shares = [value for value in (result.saturated, result.dead) if value is not None]
    if (
        not 0.0 < result.confidence < 1.0
        or result.networks < 2
        or any(value < 0.0 for value in squares if value is not None)
        or any(not 0.0 <= share <= 1.0 for share in shares)
    ):
        raise InputError("it has a confidence, a variance or an error that there cannot be")
    bins, counts = result.histogram, result.counts
    if (bins is None) != (counts is None) or (
        bins is not None
        and counts is not None
        and (not bins.width > 0.0 or len(counts) != bins.number + 2 or min(counts) < 0)
    ):
        raise InputError("it has a histogram that there cannot be")


def _counts(value: list[int]) -> tuple[int, ...]:
    return tuple(map(records.whole_of, value))


# Theory to leading order can be negative in a stack too narrow for it.
_SQUARES = ("theory_slack", "empirical", "std_error", "within", "median", "spread",
            "spread_theory", "rms_activation", "gradient_slack", "gradient",
            "gradient_std_error", "gradient_median")  # fmt: skip
_TEXTS = ("varsim", "activation", "scale", "norm", "x", "w", "dtype", "key",
          "init", "init_package")  # fmt: skip
_WHOLE = ("schema", "seed", "layer", "depth", "fan_in", "width", "batch", "networks")

LAYERS = Schema(
    rows="results of varsim layers",
    number=SCHEMA,
    names=NAMES,
    kinds={
        **dict.fromkeys(_TEXTS, records.text_of),
        **dict.fromkeys(_WHOLE, records.whole_of),
        "agrees": records.truth_of,
        "caveats": records.caveats_of,
        "histogram": records.bins_of,
        "counts": _counts,
    },
    optional=frozenset(
        {"gain", "residual", "empirical", "std_error", "z", "p", "within", "median", "spread"}
        | {"spread_theory", "mean", "rms_activation", "saturated", "dead", "agrees", "alpha"}
        | {"gradient_theory", "gradient", "gradient_std_error", "gradient_z", "gradient_p"}
        | {"gradient_median", "histogram", "counts", "w", "init", "init_package"}
    ),
    row_of=result_of,
)
"""Layers of deep stacks."""
