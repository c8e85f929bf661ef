"""Rows of every kind, and files of them."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varsim import Experiment
from varsim.check.question import question
from varsim.check.study import CheckStudy
from varsim.compute.streams import generator
from varsim.fields import CHECKSUM
from varsim.kinds import SCHEMAS
from varsim.layer.study import LayerStudy
from varsim.model.question import Model
from varsim.model.study import ModelStudy
from varsim.model.totals import Module, Passed
from varsim.runner import ResumePoint, RunOptions, run
from varsim.stack.question import Network
from varsim.stack.study import StackStudy
from varsim.storage.reading import read
from varsim.storage.text import csv_text, json_text, jsonl_text
from varsim.usercode import load_function, reraise_as_input_error

TINY = "1e12"
"""A divisor of W that makes variances of about 1e-24."""

_LAYER: dict[str, Any] = {"dim": 7, "scale": "D^0.5", "samples": 640}
_STACK: dict[str, Any] = {"widths": (8, 6), "networks": 12, "batch": 4, "seed": 1}
_NORMED: dict[str, Any] = {"norm": "batch", "residual": 0.5, "bias_std": 0.2, "init": "orthogonal"}
_EXPLODING: dict[str, Any] = {"activation": "relu", "scale": "lecun", "gain": 1e9}


class WithoutFramework(ModelStudy):
    """A model of two layers of NumPy, whose function makes W; one of tokens ends in ReLU."""

    def sample(self, indices: range) -> list[tuple[Passed, ...]]:
        with np.errstate(all="ignore"):
            return [self._network(index) for index in indices]

    def _network(self, index: int) -> tuple[Passed, ...]:
        asked = self.question
        rng = generator(asked.key, asked.seed, index)
        x, passed = rng.standard_normal(asked.input), []
        for layer in range(2):
            with reraise_as_input_error(lambda why: f"{asked.model} fails: {why}"):
                w = load_function(asked.model)(rng, (x.shape[1], 24))
            y = x @ w
            g = rng.standard_normal(y.shape) * np.abs(w).mean()
            rectified = asked.tokens is not None
            y = np.maximum(y, 0.0) if rectified else y
            q = float(np.square(y).mean())
            theory = float(np.square(w).mean() * np.square(x).sum(axis=1).mean())
            given = None if rectified else float(np.square(x).mean())
            module = Module(f"layers.{layer}", "ReLU" if rectified else "Linear", y.shape)
            passed.append(Passed(
                module, float(y.mean()), q, float(np.square(y).var()) / y.size,
                float((y == 0.0).mean()), given, None if rectified else theory,
                None if rectified else q / theory,
                None if rectified and layer else float(np.square(g).mean()),
            ))  # fmt: skip
            x = y
        return tuple(passed)


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """W of variance 1."""
    return rng.standard_normal(shape)


def exploding(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
    """W whose outputs are not finite."""
    return 1e308 * rng.standard_normal(shape)


_MODEL: dict[str, Any] = {"model": f"{__name__}:normal", "input": (4, 6), "inits": 12}

STUDIES: dict[str, Any] = {
    "crossed": LayerStudy(Experiment(**_LAYER, x_dist="laplace", x_mean=1.0), histogram=True),
    "fixed-x": LayerStudy(Experiment(**_LAYER | {"scale": "lecun", "gain": 5 / 3,
        "w_dist": "laplace", "design": "fixed-x"})),
    "tiny": LayerStudy(Experiment(**_LAYER | {"scale": TINY, "dtype": "float64"})),
    "init": LayerStudy(Experiment(dim=8, scale="sqrt", init="orthogonal", samples=4480)),
    "precise": LayerStudy(Experiment(dim=8, scale="sqrt", precision=0.08, max_samples=10**6)),
    "tanh": StackStudy(Network(**_STACK, activation="tanh")),
    "relu": StackStudy(Network(**_STACK, activation="relu", correlation=0.5), histogram=True),
    "tiny stack": StackStudy(
        Network(**_STACK, activation="relu", scale=TINY, dtype="float64", backward=False)),
    "normed": StackStudy(Network(**_STACK | _NORMED | {"widths": (6, 6, 6)})),
    "exploding": StackStudy(Network(**_STACK | _EXPLODING | {"widths": (8,) * 6})),
    "orthogonal": CheckStudy(question("orthogonal", 8, 4), draws=12),
    "tiny init": CheckStudy(
        question("trunc_normal(std=1e-12, bound=3)", 8, 4, dtype="float64"), draws=12),
    "model": WithoutFramework(Model(**_MODEL), between=(0.1, 10.0)),
    "exploding model": WithoutFramework(Model(**_MODEL | {"model": f"{__name__}:exploding"})),
    "rectified model": WithoutFramework(Model(**_MODEL, tokens=7, eval_mode=True, depth=1)),
}  # fmt: skip
"""Studies of every kind; in their rows every derived field has a value at least once."""

LARGER: dict[str, Any] = {
    "precise": LayerStudy(replace(STUDIES["precise"].question, precision=0.06)),
    "tanh": StackStudy(replace(STUDIES["tanh"].question, networks=16)),
    "orthogonal": replace(STUDIES["orthogonal"], draws=16),
    "model": replace(STUDIES["model"], question=replace(STUDIES["model"].question, inits=16)),
}
"""Studies of the same questions with more replicates, at least one of every kind."""

TEXTS = {".jsonl": jsonl_text, ".csv": csv_text, ".json": json_text}
"""Writers of the formats that hold every digit, by suffix."""


def totals_of(study: Any, replicates: int) -> Any:
    """Totals of the first replicates."""
    return study.empty().plus(*study.sample(range(replicates)))


def numbers_of(value: Any) -> list[float]:
    """All numbers of totals or of a replicate, one after the other."""
    if is_dataclass(value) and not isinstance(value, type):
        return numbers_of([getattr(value, field.name) for field in fields(value)])
    if isinstance(value, np.ndarray):
        return numbers_of(value.tolist())
    if isinstance(value, bytes):
        return numbers_of(np.frombuffer(value, "<f8"))
    if isinstance(value, tuple | list):
        return [number for each in value for number in numbers_of(each)]
    return [] if value is None else [value]


@cache
def rows(name: str) -> tuple[Any, ...]:
    """The rows of a study, with verdicts."""
    outcome = run([ResumePoint(STUDIES[name])], RunOptions(), nullcontext(map))
    return tuple(outcome.rows)


@cache
def names_of(kind: str) -> list[str]:
    """The names of the studies whose rows are of a kind."""
    return [name for name in STUDIES if rows(name)[0].schema.name == kind]


def rows_of(kind: str) -> list[Any]:
    """All rows of a kind."""
    return [row for name in names_of(kind) for row in rows(name)]


def record_of(row: Any) -> dict[str, Any]:
    """The record of a row, as JSON holds it."""
    record: dict[str, Any] = json.loads(json.dumps(row.schema.record(row)))
    return record


def records(some: Iterable[Any]) -> list[str]:
    """Rows as text, to the last digit, without verdicts: these depend on the rest of a table."""
    unjudged = (replace(row, agrees=None, alpha=None) for row in some)
    return [json.dumps(row.schema.record(row)) for row in unjudged]


def resealed(row: Any, record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with the checksum of what it holds, as one has that varsim never wrote."""
    stored = {field.name: record[field.name] for field in row.schema.fields if field.stored}
    return {**record, CHECKSUM: f"crc32:{zlib.crc32(json.dumps(stored).encode()):08x}"}


def text_of(some: Sequence[Any], suffix: str = ".jsonl") -> str:
    """The text of a file of rows."""
    return TEXTS[suffix](list(map(some[0].schema.record, some)))


def parse(text: str, suffix: str) -> list[Any]:
    """The rows in the text of a file, of whatever kind."""
    return read(text, suffix, SCHEMAS)
