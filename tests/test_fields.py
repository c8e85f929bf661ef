"""Fields: a row is what follows from its question and totals, and an edited one is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from typing import Any

import pytest

from varsim import Experiment, InputError
from varsim.check.question import question
from varsim.check.result import CHECKS
from varsim.check.study import CheckStudy
from varsim.fields import Schema
from varsim.layer.result import RESULTS
from varsim.layer.study import LayerStudy
from varsim.runner import ResumePoint, RunOptions, run
from varsim.stack.question import Network
from varsim.stack.result import LAYERS
from varsim.stack.study import StackStudy

TINY = "1e12"
"""A divisor of W that makes variances of about 1e-24."""

STACK: dict[str, Any] = {"widths": (8, 6), "networks": 16, "batch": 4, "seed": 1}

STUDIES: dict[str, Any] = {
    "crossed": LayerStudy(Experiment(dim=8, scale="sqrt", samples=640), histogram=True),
    "fixed-x": LayerStudy(Experiment(dim=8, scale="he", design="fixed-x", samples=640)),
    "tiny": LayerStudy(Experiment(dim=8, scale=TINY, dtype="float64", samples=640)),
    "init": LayerStudy(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=640)),
    "tanh": StackStudy(Network(activation="tanh", **STACK)),
    "relu": StackStudy(Network(activation="relu", **STACK), histogram=True),
    "tiny stack": StackStudy(Network(activation="relu", scale=TINY, dtype="float64", **STACK)),
    "orthogonal": CheckStudy(question("orthogonal", 8, 4)),
    "tiny init": CheckStudy(question("trunc_normal(std=1e-12)", 8, 4, dtype="float64")),
}
"""What gives rows in which every derived field has a value at least once."""

SCHEMAS: tuple[Schema[Any], ...] = (RESULTS, LAYERS, CHECKS)


@cache
def rows(name: str) -> tuple[Any, ...]:
    """The rows of a study, as a file holds them."""
    outcome = run([ResumePoint(STUDIES[name])], RunOptions(), nullcontext(map))
    return tuple(outcome.rows)


def record_of(row: Any) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(json.dumps(row.schema.record(row)))
    return record


def edits() -> Iterator[Any]:
    """Every derived field of the last row of every study, but those that are not known there."""
    for name in STUDIES:
        row = rows(name)[-1]
        record = record_of(row)
        for field in row.schema.fields:
            if field.derived and record[field.name] is not None:
                yield pytest.param(name, field.name, id=f"{name}: {field.name}")


EDITS = list(edits())


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.kind)
def test_every_derived_field_is_edited_below(schema: Schema[Any]) -> None:
    """No derived field is empty in all the rows."""
    derived = {field.name for field in schema.fields if field.derived}
    of_schema = [name for name in STUDIES if rows(name)[-1].schema is schema]
    edited = {field for name, field in (edit.values for edit in EDITS) if name in of_schema}
    assert edited == derived


@pytest.mark.parametrize("name", STUDIES)
def test_a_row_is_read_as_it_was_written(name: str) -> None:
    """To the same record, digit for digit."""
    for row in rows(name):
        record = record_of(row)
        assert record_of(row.schema.row(record)) == record
        assert list(record) == row.schema.names


@pytest.mark.parametrize(("name", "field"), EDITS)
def test_a_derived_number_that_is_one_percent_off_is_refused(name: str, field: str) -> None:
    """By its name, or as no row at all; however small it is."""
    row = rows(name)[-1]
    record = record_of(row)
    value = record[field]
    assert value, f"{field} is {value}: another row must show it"
    if isinstance(value, dict):
        other: Any = value | {"width": 1.01 * value["width"]}
    else:
        other = value + 1 if isinstance(value, int) else 1.01 * value
    refused(row.schema, record | {field: other}, field)


@pytest.mark.parametrize(("name", "field"), EDITS)
def test_a_derived_number_cannot_be_left_out_or_put_in(name: str, field: str) -> None:
    """Nor may another type stand in its place."""
    row = rows(name)[-1]
    for other in (None, "1", [1.0], True):
        refused(row.schema, record_of(row) | {field: other}, field)


def other_values(value: Any) -> Iterator[Any]:
    """Every value that differs in one place, and there by as little as there can be."""
    if isinstance(value, dict):
        for name in value:
            yield from (value | {name: other} for other in other_values(value[name]))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in other_values(value[i]))
    elif isinstance(value, bool) or value is None:
        yield not value
    elif isinstance(value, str):
        yield value[:-1] + chr(ord(value[-1]) ^ 1)
    else:
        yield math.nextafter(value, math.inf) if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", STUDIES)
def test_every_digit_of_a_row_is_held_by_its_checksum(name: str) -> None:
    """Settings, totals, histograms, texts and what follows: the last digit of each."""
    row = rows(name)[-1]
    for edited in other_values(record_of(row)):
        with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
            row.schema.row(edited)


@pytest.mark.parametrize("name", STUDIES)
def test_another_way_to_write_a_number_is_no_change(name: str) -> None:
    """As programs do that write 1 for 1.0, or names in another order."""
    row = rows(name)[-1]
    record = record_of(row)

    def rewritten(value: Any) -> Any:
        if isinstance(value, dict):
            return {each: rewritten(value[each]) for each in sorted(value)}
        return int(value) if isinstance(value, float) and value.is_integer() else value

    assert rewritten(record) != list(record)
    assert record_of(row.schema.row(rewritten(record))) == record


def refused(schema: Schema[Any], record: dict[str, Any], field: str) -> None:
    known = rf"{field} is .*, but .* follows from the rest of the row: the row was changed"
    no_row = rf"this is not a row of {schema.kind}|invalid row: .*"
    with pytest.raises(InputError) as told:
        schema.row(record)
    assert re.fullmatch(f"{known}|{no_row}", str(told.value))


@pytest.mark.parametrize("name", STUDIES)
def test_an_unknown_field_is_refused_where_a_number_is_put(name: str) -> None:
    """What does not follow from the totals is not said."""
    row = rows(name)[-1]
    record = record_of(row)
    unknown = [f.name for f in row.schema.fields if f.derived and record[f.name] is None]
    for field in unknown:
        refused(row.schema, record | {field: 1.0}, field)


@pytest.mark.parametrize("name", STUDIES)
def test_a_setting_that_is_changed_is_refused(name: str) -> None:
    """The key is that of the settings."""
    row = rows(name)[-1]
    record = record_of(row)
    for field, other in (("dim", 9), ("dtype", "float16"), ("scale", "1"), ("activation", "gelu")):
        if field in record:
            with pytest.raises(InputError):
                row.schema.row(record | {field: other})


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.kind)
def test_every_field_says_what_it_is(schema: Schema[Any]) -> None:
    """In one sentence; a schema's table, settings and names are fields of it."""
    for field in schema.fields:
        assert re.fullmatch(r".*[^.]\.", field.about), field.name
    named = {schema.marker, *schema.table, *schema.settings, *schema.named_by}
    assert named <= set(schema.by_name)
    assert len(schema.by_name) == len(schema.fields)


def test_no_two_kinds_of_rows_have_one_marker() -> None:
    """So that a file says what its rows are."""
    for schema in SCHEMAS:
        others = [other for other in SCHEMAS if other is not schema]
        assert all(schema.marker not in other.by_name for other in others)
