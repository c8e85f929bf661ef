"""Fields: a row is its question and its totals; all else follows, and no digit of these changes."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.rows import STUDIES, record_of, rows
from varsim import InputError
from varsim.check.totals import CheckTotals
from varsim.fields import CHECKSUM, NUMBER, STATE, RowBase, Schema
from varsim.fields.field import Declared
from varsim.kinds import KINDS, SCHEMAS
from varsim.layer.totals import Totals
from varsim.stack.totals import LayerTotals


def stored(record: dict[str, Any], schema: Schema[Any]) -> dict[str, Any]:
    """The part of a record that a reader takes from it."""
    return {field.name: record[field.name] for field in schema.fields if field.stored}


def derived(schema: Schema[Any]) -> list[str]:
    return [field.name for field in schema.fields if not field.stored]


BY_SCHEMA = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)


@BY_SCHEMA
def test_every_derived_field_has_a_value_in_some_row(schema: Schema[Any]) -> None:
    """So that the tests below change each of them."""
    of_schema = [rows(name)[-1] for name in STUDIES if rows(name)[-1].schema is schema]
    known = {name for row in of_schema for name in derived(schema) if record_of(row)[name]}
    assert known - {"caveats"} == set(derived(schema)) - {"caveats"}  # most rows have none


@pytest.mark.parametrize("name", STUDIES)
def test_a_row_is_read_as_it_was_written(name: str) -> None:
    """To the same record, digit for digit."""
    for row in rows(name):
        record = record_of(row)
        assert record_of(row.schema.row_of(record)) == record
        assert list(record) == row.schema.names


@pytest.mark.parametrize("name", STUDIES)
def test_a_derived_value_that_is_changed_is_ignored(name: str) -> None:
    """Whatever stands in its place, and where nothing does: it follows from the rest again."""
    row = rows(name)[-1]
    record = record_of(row)
    for field in derived(row.schema):
        for other in (None, 1.5, "text", True, [1.0], {"low": 0}):
            assert record_of(row.schema.row_of(record | {field: other})) == record
    bare = {"schema": NUMBER, "kind": row.schema.name, **stored(record, row.schema)}
    read = row.schema.row_of(bare | {CHECKSUM: record[CHECKSUM]})
    assert record_of(read) == record
    assert (read.totals, read.key, read.estimates) == (row.totals, row.key, row.estimates)


def other_values(value: Any) -> Iterator[Any]:
    """Every value that differs in one place, and there by as little as there can be."""
    if isinstance(value, dict):
        for name in value:
            yield from (value | {name: other} for other in other_values(value[name]))
    elif isinstance(value, list):
        for i in range(len(value)):
            yield from ([*value[:i], other, *value[i + 1 :]] for other in other_values(value[i]))
        yield [*value, value[-1] if value else 1]
    elif isinstance(value, bool) or value is None:
        yield not value
    elif isinstance(value, str):
        yield value[:-1] + chr(ord(value[-1]) ^ 1)
    else:
        yield math.nextafter(value, math.inf) if isinstance(value, float) else value + 1


@pytest.mark.parametrize("name", STUDIES)
def test_every_digit_of_a_row_is_held_by_its_checksum(name: str) -> None:
    """Settings, totals, histograms and texts: the least change of each stored value."""
    row = rows(name)[-1]
    record = record_of(row)
    for edited in other_values(stored(record, row.schema)):
        refused(row.schema, record | edited)
    for edited in other_values({CHECKSUM: record[CHECKSUM]}):
        refused(row.schema, record | edited)


@pytest.mark.parametrize("name", STUDIES)
def test_every_digit_of_a_file_is_held_by_its_checksum(name: str) -> None:
    """Each digit of the text of each stored value is another one in turn."""
    row = rows(name)[-1]
    record = record_of(row)
    for field, value in stored(record, row.schema).items():
        text = json.dumps(value)
        changed = 0
        for place in (match.start() for match in re.finditer(r"\d", text)):
            for digit in {"0", "1", "9"} - {text[place]}:
                try:
                    other = json.loads(text[:place] + digit + text[place + 1 :])
                except json.JSONDecodeError:  # no number begins with 0
                    continue
                if other != value:  # 17 digits may be those of one float
                    changed += 1
                    refused(row.schema, record | {field: other})
        assert changed or not re.search(r"\d", text), field


@pytest.mark.parametrize("name", STUDIES)
def test_a_stored_value_cannot_be_left_out(name: str) -> None:
    """Nor may another type stand in its place."""
    row = rows(name)[-1]
    record = record_of(row)
    others: list[Any] = [None, "text", [1.5], True, {}]
    for field in stored(record, row.schema):
        refused(row.schema, {key: value for key, value in record.items() if key != field})
        for other in others:
            if other != record[field] and not (other is None and field == "pooled"):
                refused(row.schema, record | {field: other})


@pytest.mark.parametrize("name", STUDIES)
def test_another_way_to_write_a_number_is_no_change(name: str) -> None:
    """As programs do that write 1 for 1.0 or 1.0 for 1, or names in another order."""
    row = rows(name)[-1]
    record = record_of(row)

    def with_wholes(value: Any) -> Any:
        if isinstance(value, dict):
            return {each: with_wholes(value[each]) for each in sorted(value)}
        if isinstance(value, list):
            return list(map(with_wholes, value))
        return int(value) if isinstance(value, float) and value.is_integer() else value

    def with_floats(value: Any) -> Any:
        if isinstance(value, dict):
            return {each: with_floats(value[each]) for each in reversed(value)}
        if isinstance(value, list):
            return list(map(with_floats, value))
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return float(value) if is_whole and int(float(value)) == value else value

    for rewritten in (with_wholes(record), with_floats(record)):
        assert json.dumps(rewritten) != json.dumps(record)
        assert record_of(row.schema.row_of(rewritten)) == record


def refused(schema: Schema[Any], record: dict[str, Any]) -> None:
    """It is, in one sentence."""
    with pytest.raises(InputError, match=r"^[^\n]{10,300}$"):
        schema.row_of(record)


@pytest.mark.parametrize("name", STUDIES)
def test_a_setting_that_is_changed_is_refused(name: str) -> None:
    """The checksum is that of the settings, too."""
    row = rows(name)[-1]
    record = record_of(row)
    for field, other in (("dim", 9), ("dtype", "float16"), ("scale", "1"), ("activation", "gelu")):
        if field in record:
            refused(row.schema, record | {field: other})


@BY_SCHEMA
def test_every_field_says_what_it_is(schema: Schema[Any]) -> None:
    """In one sentence; a schema's table, settings and names are fields of it."""
    for field in schema.fields:
        assert re.fullmatch(r".*[^.]\.", field.about), field.name
    brief = {name for _, name in schema.brief}
    named = {*schema.table, *schema.settings, *schema.named_by, *brief}
    assert named <= set(schema.by_name)
    assert len(schema.by_name) == len(schema.fields)


@BY_SCHEMA
def test_every_field_is_an_attribute_of_its_row(schema: Schema[Any]) -> None:
    """By its name: as one of a row it is the value, and of the class it is the field."""
    name = next((name for name in STUDIES if rows(name)[-1].schema is schema), "")
    assert name, f"tests/rows.py has no study of {schema.plural}"
    row = rows(name)[-1]
    for field in schema.fields:
        assert getattr(row, field.name) == field.get(row), field.name
        declared = vars(type(row)).get(field.name)
        assert declared is field if isinstance(declared, Declared) else True
    assert set(STATE) <= {field.name for field in schema.fields if field.stored}
    assert set(STATE) <= set(RowBase.__dataclass_fields__)


def test_a_file_says_what_its_rows_are() -> None:
    """No two kinds have one name, and every record begins with its schema and its kind."""
    assert len({schema.name for schema in SCHEMAS}) == len(SCHEMAS) == len(KINDS)
    for name in STUDIES:
        row = rows(name)[-1]
        assert list(record_of(row).items())[:2] == [("schema", 1), ("kind", row.schema.name)]
        assert list(record_of(row))[-1] == CHECKSUM


@pytest.mark.parametrize("totals", [Totals, LayerTotals, CheckTotals])
def test_every_total_is_written(totals: type[Any]) -> None:
    """A total that a file does not hold would begin anew where a run is resumed."""
    row = next(row for name in STUDIES if isinstance((row := rows(name)[-1]).totals, totals))
    written = json.loads(json.dumps(row.schema.record(row)))["totals"]
    names = (
        [each.name for each in dataclasses.fields(totals)]
        if totals is not LayerTotals
        else (LayerTotals._fields)
    )
    assert list(written) == list(names)


@pytest.mark.parametrize("name", STUDIES)
def test_every_replicate_moves_every_total(name: str) -> None:
    """None keeps the value that it has before the first replicate, but for what is not known."""
    study = STUDIES[name]
    few = study.empty().plus(*study.sample(range(3)))
    for field in dataclasses.fields(few):
        before, after = (getattr(each, field.name) for each in (study.empty(), few))
        if after is not None and field.name not in {"next_check", "medians", "median_networks"}:
            assert not _same(before, after), field.name


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) in {int, float} and a == b)
