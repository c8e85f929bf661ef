"""Layers of deep stacks in files: what is read is what was written, and nothing else is."""

from __future__ import annotations

import json
import zlib
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.program import parse
from tests.rows import record_of, text_of
from varsim import layers as simulate_layers
from varsim.errors import InputError
from varsim.stack.question import Network
from varsim.stack.result import LAYERS, LayerResult
from varsim.stack.study import StackStudy
from varsim.statistics import judge
from varsim.storage.text import jsonl_text


def network(**settings: Any) -> Network:
    plain: dict[str, Any] = {"activation": "tanh", "scale": "xavier", "networks": 16, "batch": 8}
    return Network(widths=(16,) * 6, **(plain | settings))


@cache
def stack(**settings: Any) -> list[LayerResult]:
    """A small stack of equal widths."""
    return simulate_layers(network(**settings), workers=1)


@cache
def counted_stack() -> list[LayerResult]:
    """A small stack with histograms."""
    study = StackStudy(network(), histogram=True)
    return judge(study.rows(study.empty().plus(*study.sample(range(16)))))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_layers_are_read_as_they_were_written(suffix: str) -> None:
    """Every field is, to the last digit: histograms, and what is not known."""
    first = stack()[0]
    rows = [
        *counted_stack(),
        *stack(norm="batch", activation="relu", scale="he", gain=None),
        *stack(backward=False, residual=0.5),
        replace(first, median=None),
        replace(first, prediction=first.prediction._replace(gradient=-1.0)),  # a leading order
    ]
    again = parse(text_of(rows, suffix), suffix)
    assert list(map(LAYERS.record, again)) == list(map(LAYERS.record, rows))


def test_a_record_has_the_names_of_the_schema_in_their_order() -> None:
    """The row can be built again from its record."""
    record = record_of(counted_stack()[0])
    assert list(record) == LAYERS.names
    assert record_of(LAYERS.row_of(record)) == record


def resealed(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the checksum of what it holds, as one has that was never written by varsim."""
    stored = {field.name: record[field.name] for field in LAYERS.fields if field.stored}
    return record | {"checksum": f"crc32:{zlib.crc32(json.dumps(stored).encode()):08x}"}


CHANGES: list[dict[str, Any]] = [
    {"layer": 0}, {"layer": 6}, {"layer": 2.5}, {"widths": [16]}, {"widths": [16, 0]},
    {"theory": float("nan")}, {"theory": "1"}, {"theory": 10**400}, {"theory_slack": -1.0},
    {"confidence": 1.0}, {"agrees": 1}, {"counts": None}, {"counts": [1, 2]}, {"counts": 3},
    {"histogram": {"low": 0}}, {"pooled": 3}, {"median_networks": -1}, {"next_check": -1},
    {"histogram": {"low": 0.0, "width": 0.0, "number": 100}}, {"median": -1.0},
    {"totals": {"networks": 1}}, {"totals": {"networks": 2.5}}, {"totals": {"square": -1.0}},
    {"totals": {"saturated": 1.5}}, {"totals": {"square_m2": -1.0}}, {"totals": {"within": "1"}},
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_is_no_layer_is_one_sentence(change: dict[str, Any]) -> None:
    """It is refused, whatever a record holds instead, and whatever its checksum says."""
    record = record_of(counted_stack()[0])
    assert LAYERS.row_of(resealed(record)) == LAYERS.row_of(record)
    if "totals" in change:
        change = {"totals": record["totals"] | change["totals"]}
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
        LAYERS.row_of(resealed(record | change))


@pytest.mark.parametrize(
    "change",
    [{"width": 0}, {"empirical": "1"}, {"caveats": 3}, {"networks": 2.5}, {"key": 3}, {"more": 1}],
    ids=str,
)
def test_what_follows_from_the_rest_is_computed_again(change: dict[str, Any]) -> None:
    """Whatever a record holds instead."""
    record = record_of(counted_stack()[0])
    assert record_of(LAYERS.row_of(record | change)) == record


def test_a_histogram_of_other_bins_is_not_added_to() -> None:
    """Of whatever layer: the row is measured anew."""
    rows = counted_stack()
    study = StackStudy(rows[0].question, histogram=True)
    assert study.resume(rows)[1] is not None
    bins = rows[1].histogram
    assert bins is not None
    assert (
        study.resume([rows[0], replace(rows[1], histogram=bins._replace(low=-9.0)), *rows[2:]])[1]
        is None
    )


@pytest.mark.parametrize("schema", [99, None, "3", 0])
def test_a_schema_that_is_not_known_is_refused(schema: Any) -> None:
    """A file of it is refused in a sentence that names the line."""
    text = text_of(stack()) + jsonl_text([{**LAYERS.record(stack()[0]), "schema": schema}])
    with pytest.raises(InputError, match=r"^line 6 cannot be used: its schema is [^\n]{10,200}$"):
        parse(text, ".jsonl")


STORED = [field.name for field in LAYERS.fields if field.stored]


@pytest.mark.parametrize("name", STORED)
@pytest.mark.parametrize("junk", [{}, [], [[]], "x", True, -1e999, {"low": []}], ids=str)
def test_junk_in_a_record_raises_nothing_else(name: str, junk: Any) -> None:
    """It is refused, or is a value that there can be; so is a record without the name."""
    record = record_of(counted_stack()[0])
    for sealed in (resealed, dict[str, Any]):
        with suppress(InputError):
            LAYERS.row_of(sealed({**record, name: junk}))
    with pytest.raises(InputError):
        LAYERS.row_of({key: value for key, value in record.items() if key != name})


def test_a_number_is_a_scale() -> None:
    """As for one layer, so the rows of 2 and of "2" are the same."""
    rows = [simulate_layers(network(scale=scale), workers=1) for scale in (2, "2")]
    assert text_of(rows[0]) == text_of(rows[1])
