"""Rows of every kind, and files of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from functools import cache
from typing import Any

from varsim import Experiment
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.kinds import SCHEMAS
from varsim.layer.study import LayerStudy
from varsim.runner import ResumePoint, RunOptions, run
from varsim.stack.question import Network
from varsim.stack.study import StackStudy
from varsim.storage.reading import read
from varsim.storage.text import csv_text, json_text, jsonl_text

TINY = "1e12"
"""A divisor of W that makes variances of about 1e-24."""

_STACK: dict[str, Any] = {"widths": (8, 6), "networks": 16, "batch": 4, "seed": 1}

STUDIES: dict[str, Any] = {
    "crossed": LayerStudy(Experiment(dim=8, scale="sqrt", samples=640), histogram=True),
    "fixed-x": LayerStudy(Experiment(dim=8, scale="he", design="fixed-x", samples=640)),
    "tiny": LayerStudy(Experiment(dim=8, scale=TINY, dtype="float64", samples=640)),
    "init": LayerStudy(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=640)),
    "tanh": StackStudy(Network(activation="tanh", **_STACK)),
    "relu": StackStudy(Network(activation="relu", **_STACK), histogram=True),
    "tiny stack": StackStudy(Network(activation="relu", scale=TINY, dtype="float64", **_STACK)),
    "orthogonal": CheckStudy(question("orthogonal", 8, 4)),
    "tiny init": CheckStudy(question("trunc_normal(std=1e-12)", 8, 4, dtype="float64")),
}
"""Studies of every kind; in their rows every derived field has a value at least once."""

TEXTS = {".jsonl": jsonl_text, ".csv": csv_text, ".json": json_text}
"""Writers of the formats that hold every digit, by suffix."""


@cache
def rows(name: str) -> tuple[Any, ...]:
    """The rows of a study, with verdicts."""
    outcome = run([ResumePoint(STUDIES[name])], RunOptions(), nullcontext(map))
    return tuple(outcome.rows)


def record_of(row: Any) -> dict[str, Any]:
    """The record of a row, as JSON holds it."""
    record: dict[str, Any] = json.loads(json.dumps(row.schema.record(row)))
    return record


def text_of(some: Sequence[Any], suffix: str = ".jsonl") -> str:
    """The text of a file of rows."""
    return TEXTS[suffix](list(map(some[0].schema.record, some)))


def parse(text: str, suffix: str) -> list[Any]:
    """The rows in the text of a file, of whatever kind."""
    return read(text, suffix, SCHEMAS)
