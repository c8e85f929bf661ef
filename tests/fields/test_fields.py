"""Fields: each is declared once, has a value, and says what it is."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from tests.rows import STUDIES, names_of, record_of, rows
from varsim.check.result import CHECKS, Acts
from varsim.fields import STATE, RowBase, Schema
from varsim.fields.field import Declared
from varsim.kinds import KINDS, SCHEMAS


def derived(schema: Schema[Any]) -> list[str]:
    return [field.name for field in schema.fields if not field.stored]


BY_SCHEMA = pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.name)


@BY_SCHEMA
def test_every_derived_field_has_a_value_in_some_row(schema: Schema[Any]) -> None:
    """So that the contract of files changes each of them."""
    of_schema = [rows(name)[-1] for name in names_of(schema.name)]
    if schema is CHECKS:  # the weight of a module, without its framework
        acts = Acts(2, 18, 0.5, 1.0, 0.0, "4·3 and 6·3")
        of_schema.append(dataclasses.replace(rows("orthogonal")[0], acts=acts))
    known = {name for row in of_schema for name in derived(schema) if record_of(row)[name]}
    assert known - {"caveats"} == set(derived(schema)) - {"caveats"}  # most rows have none


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
    row = rows(names_of(schema.name)[0])[-1]
    for field in schema.fields:
        assert getattr(row, field.name) == field.get(row), field.name
        declared = vars(type(row)).get(field.name)
        assert declared is field if isinstance(declared, Declared) else True
    assert set(STATE) <= {field.name for field in schema.fields if field.stored}
    assert set(STATE) <= set(RowBase.__dataclass_fields__)


def test_no_two_kinds_have_one_name() -> None:
    """Every record has it, and so says what it is."""
    assert len({schema.name for schema in SCHEMAS}) == len(SCHEMAS) == len(KINDS)


@BY_SCHEMA
def test_every_total_is_written(schema: Schema[Any]) -> None:
    """A total that a file does not hold would begin anew where a run is resumed."""
    row = rows(names_of(schema.name)[0])[0]
    is_tuple = isinstance(row.totals, tuple)
    fields = row.totals._fields if is_tuple else dataclasses.fields(row.totals)
    names = [getattr(field, "name", field) for field in fields]
    assert list(record_of(row)["totals"]) == names


@pytest.mark.parametrize("name", STUDIES)
def test_every_replicate_moves_every_total(name: str) -> None:
    """None keeps the value that it has before the first replicate, but for what is not known."""
    study = STUDIES[name]
    few = study.empty().plus(*study.sample(range(3)))
    for field in dataclasses.fields(few):
        before, after = (getattr(each, field.name) for each in (study.empty(), few))
        if after is not None and field.name != "next_check":
            assert not _same(before, after), field.name


def _same(a: Any, b: Any) -> bool:
    return a is b or (type(a) in {int, float} and a == b)
