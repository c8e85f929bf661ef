"""Layers of deep stacks in files: what is read is what was written, and nothing else is."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from varsim.storage.rows import parse

from tests.test_plots import counted_stack, stack, text_of
from varsim.errors import InputError
from varsim.stack.result import LAYERS
from varsim.stack.study import StackStudy
from varsim.storage.text import jsonl_text


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".json"])
def test_layers_are_read_as_they_were_written(suffix: str) -> None:
    """Every field is, to the last digit: histograms, and what is not known."""
    first = stack()[0]
    rows = [
        *counted_stack(),
        *stack(norm="batch", activation="relu", scale="he", gain=None),
        *stack(backward=False, residual=0.5),
        replace(first, median=None),
        replace(first, held_to=first.held_to._replace(gradient=-1.0)),  # as leading orders can be
    ]
    again = parse(text_of(rows, suffix), suffix)
    assert list(map(LAYERS.record, again)) == list(map(LAYERS.record, rows))


def test_a_record_has_the_names_of_the_schema_in_their_order() -> None:
    """The row can be built again from its record."""
    record = LAYERS.record(counted_stack()[0])
    assert list(record) == LAYERS.names
    assert LAYERS.record(LAYERS.row(record)) == record


@pytest.mark.parametrize(
    "change",
    [{"layer": 0}, {"layer": 6}, {"width": 0}, {"empirical": -1.0}, {"empirical": "1"},
     {"theory": None}, {"theory": float("nan")}, {"theory": 10**400}, {"networks": 1},
     {"networks": 2.0}, {"confidence": 1.0}, {"agrees": 1}, {"caveats": [{"id": 3}]},
     {"caveats": None}, {"counts": None}, {"counts": [1, 2]}, {"counts": 3},
     {"histogram": {"low": 0}}, {"saturated": 1.5}, {"key": 3}, {"more": 1},
     {"histogram": {"low": 0.0, "width": 0.0, "number": 100}}, {"median": -1.0}],
    ids=str,
)  # fmt: skip
def test_what_is_no_layer_is_one_sentence(change: dict[str, Any]) -> None:
    """It is refused, whatever a record holds instead."""
    record = LAYERS.record(counted_stack()[0])
    assert LAYERS.row(record)
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
        LAYERS.row({**record, **change})


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


@pytest.mark.parametrize("schema", [99, None, "3", True, 0])
def test_a_schema_that_is_not_known_is_refused(schema: Any) -> None:
    """A file of it is refused in a sentence that names the line."""
    text = text_of(stack()) + jsonl_text([{**LAYERS.record(stack()[0]), "schema": schema}])
    with pytest.raises(InputError, match=r"^line 6 cannot be used: its schema is [^\n]{10,200}$"):
        parse(text, ".jsonl")


@pytest.mark.parametrize("name", LAYERS.names)
@pytest.mark.parametrize("junk", [{}, [], [[]], "x", True, -1e999, {"low": []}], ids=str)
def test_junk_in_a_record_raises_nothing_else(name: str, junk: Any) -> None:
    """It is refused, or is a value that there can be; so is a record without the name."""
    record = LAYERS.record(counted_stack()[0])
    with suppress(InputError):
        LAYERS.row({**record, name: junk})
    with pytest.raises(InputError):
        LAYERS.row({key: value for key, value in record.items() if key != name})
