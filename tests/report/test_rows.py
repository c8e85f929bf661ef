"""Tables and caveats of rows."""

from __future__ import annotations

from typing import Any

import pytest

from varsim import sweep
from varsim.fields import Field, Schema
from varsim.layer.kind import LAYER
from varsim.layer.result import Result
from varsim.report import rows as rows_module
from varsim.report.formats import FORMATS
from varsim.report.rows import caveat_sentences
from varsim.table import View


def test_a_table_for_people_makes_no_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does a figure in text; a machine format makes each once."""
    made: list[Any] = []

    def record(_: object, row: Any) -> dict[str, Any]:
        made.append(row)
        return {"dim": row.dim}

    monkeypatch.setattr(Schema, "record", record)
    rows = sweep(dim=[4, 8], scale="sqrt", samples=640)
    table = View().of(LAYER.table(rows, ()))
    assert "verdict" in FORMATS["markdown"](table)
    assert made == []
    assert FORMATS["jsonl"](table).count("dim") == 2
    assert made == list(rows)


def test_a_sweep_is_looked_at_once_for_all_of_its_caveats(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its rows share is the same for every one of them."""
    rows = sweep(dim=range(4, 44), scale="sqrt", samples=64)
    looks: list[str] = []

    def varies(field: Field[Result, object], _: object) -> bool:
        looks.append(field.name)
        return False

    monkeypatch.setattr(rows_module, "varies", varies)
    *_, last = caveat_sentences(rows)
    assert last.startswith("37 more rows have the caveat 'few-samples'")
    assert len(looks) == len(set(looks)) > 5
