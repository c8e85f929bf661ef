"""Results as plain records, and back: what the machine formats hold, and who reads them again."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from varsim.layer.experiment import SCHEMA, Experiment, Result
from varsim.parsing import InputError
from varsim.statistics import Caveat

if TYPE_CHECKING:
    from varsim.statistics.moments import Bins, Totals

NAMES = [field.name for field in fields(Result)]
"""The names of a record, in their order."""

UNUSABLE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What is raised by what makes values of a record that holds something else."""

Row = TypeVar("Row")


def record_of(result: Result) -> dict[str, Any]:
    """Return a result as a record of plain values, in the order of the schema."""
    record = {name: getattr(result, name) for name in NAMES}
    record["caveats"] = [{"id": c.id, "message": c.message} for c in result.caveats]
    record["totals"] = result.totals._asdict()
    record["histogram"] = result.histogram and result.histogram._asdict()
    return record


def result_of(record: Mapping[str, Any]) -> Result:
    """Return the result that a record holds.

    Raises:
        InputError: It is not a record of this schema, or not of one experiment.
    """
    RESULTS.check_number(record)
    try:
        result = Result(**RESULTS.values(record))
        expected = experiment_of(result).key
    except UNUSABLE:
        raise InputError("it is no row of results of varsim") from None
    by_w = {result.w is None, result.w_mean is None, result.w_std is None}
    if by_w != {result.init is not None}:
        raise InputError("it has both an initializer and a distribution of W, or neither")
    if result.key != expected:
        raise InputError(
            f"its key {result.key:.8} is that of another experiment than its columns say"
        )
    if not 0.0 < result.confidence < 1.0 or min(result.std_error, result.empirical) < 0.0:
        raise InputError("it has a confidence, a variance or an error that there cannot be")
    return result


def experiment_of(result: Result) -> Experiment:
    """Return the experiment that a result came from."""
    return Experiment(
        dim=result.dim,
        scale=result.scale,
        fan_out=result.fan_out,
        gain=result.gain,
        x=result.x,
        w=Experiment.w if result.w is None else result.w,
        x_mean=result.x_mean,
        x_std=result.x_std,
        w_mean=Experiment.w_mean if result.w_mean is None else result.w_mean,
        w_std=Experiment.w_std if result.w_std is None else result.w_std,
        design=result.design,
        samples=result.samples_asked,
        precision=result.precision,
        max_samples=result.max_samples,
        seed=result.seed,
        dtype=result.dtype,
        init=result.init,
    )


@dataclass(frozen=True)
class Schema(Generic[Row]):
    """How rows of one kind stand in files.

    Attributes:
        rows: What they are called in a sentence.
        number: Number of the schema.
        names: The names of a record, in their order.
        kinds: What makes a field's value of a record's, or raises an error; else it is a number.
        optional: Names of fields that can be None.
        row_of: What makes a row of a record, or raises an InputError.
    """

    rows: str
    number: int
    names: Sequence[str]
    kinds: Mapping[str, Callable[[Any], Any]]
    optional: frozenset[str]
    row_of: Callable[[Mapping[str, Any]], Row]

    def check_number(self, record: Mapping[str, Any]) -> None:
        """Check that a record is of this schema; layers are told by a name that results lack.

        Raises:
            InputError: It is of another.
        """
        if ("layer" in record) != ("layer" in self.names):
            raise InputError(f"it is no row of {self.rows}")
        if record.get("schema") != self.number:
            raise InputError(
                f"its schema is {record.get('schema')!r}, and this varsim knows schema "
                f"{self.number}"
            )

    def values(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that a record holds.

        Raises:
            Exception: It has others, or one is not of its kind: one of :data:`UNUSABLE`.
        """
        values = {name: self._value(name, record[name]) for name in self.names}
        if record.keys() != values.keys():
            raise ValueError
        return values

    def parse(
        self, text: str, suffix: str, check: Callable[[Row], None] = lambda _: None
    ) -> Iterator[Row]:
        """Yield the rows in the text of a file.

        Args:
            text: Its text.
            suffix: Its format: ``.jsonl``, ``.csv`` or ``.json``.
            check: What every row must pass, or raises an InputError.

        Raises:
            InputError: A row cannot be read; the sentence names it.
        """
        unit, numbered = "row", list(enumerate(self._list(text) if suffix == ".json" else [], 1))
        if suffix != ".json":
            unit = "line"
            numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
        if suffix == ".csv":
            self._check_header(numbered.pop(0)[1] if numbered else "")
        for number, found in numbered:
            try:
                record = found if isinstance(found, dict) else self._record(found, suffix)
                row = self.row_of(record)
                check(row)
            except InputError as error:
                raise InputError(f"{unit} {number} cannot be used: {error}") from None
            yield row

    def _check_header(self, header: str) -> None:
        if header.rstrip("\r").split(",") != self.names:
            raise InputError(f"its header is not that of schema {self.number} of varsim")

    def _list(self, text: str) -> list[Any]:
        try:
            rows = json.loads(text)
        except (ValueError, RecursionError):
            rows = None
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise InputError(f"it is no list of {self.rows}")
        return rows

    def _record(self, line: str, suffix: str) -> dict[str, Any]:
        """Return the record on a line of JSON Lines or CSV."""
        try:
            record = json.loads(line) if suffix == ".jsonl" else self._csv_record(line)
        except (ValueError, csv.Error, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise InputError(f"it is no row of {self.rows}")
        return record

    def _csv_record(self, line: str) -> dict[str, Any]:
        cells = next(csv.reader(io.StringIO(line), strict=True))
        return {
            name: cell if cell and self.kinds.get(name) is text_of else _csv_value(name, cell)
            for name, cell in zip(self.names, cells, strict=True)
        }

    def _value(self, name: str, value: Any) -> Any:
        if value is None and name in self.optional:
            return None
        kind: Callable[[Any], Any] = self.kinds.get(name, number_of)
        return kind(value)


def first_names(text: str, suffix: str) -> set[str]:
    """Return the names of the first record in the text of a file; none where it has none."""
    first = next((line for line in text.split("\n") if line.strip()), "")
    if suffix == ".csv":
        return set(first.rstrip("\r").split(","))
    try:
        record = json.loads(first if suffix == ".jsonl" else text)
    except (ValueError, RecursionError):
        return set()
    if isinstance(record, list):
        record = record[0] if record else None
    return set(record) if isinstance(record, dict) else set()


def _csv_value(name: str, cell: str) -> Any:
    if cell == "":
        return [] if name == "caveats" else None
    return json.loads(cell)


def bins_of(value: Mapping[str, Any]) -> Bins:
    """Return where a histogram was counted, or raise one of :data:`UNUSABLE`."""
    from varsim.statistics.moments import Bins

    return Bins(number_of(value["low"]), number_of(value["width"]), whole_of(value["number"]))


def caveats_of(value: list[Mapping[str, str]]) -> tuple[Caveat, ...]:
    """Return caveats, or raise one of :data:`UNUSABLE`."""
    return tuple(Caveat(text_of(each["id"]), text_of(each["message"])) for each in value)


def whole_of(value: Any) -> int:
    """Return a whole number, or raise one of :data:`UNUSABLE`."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def number_of(value: Any) -> float:
    """Return a finite number, or raise one of :data:`UNUSABLE`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def text_of(value: Any) -> str:
    """Return a text, or raise one of :data:`UNUSABLE`."""
    if not isinstance(value, str):
        raise ValueError
    return value


def truth_of(value: Any) -> bool:
    """Return a truth value, or raise one of :data:`UNUSABLE`."""
    if not isinstance(value, bool):
        raise ValueError
    return value


def _totals(value: Mapping[str, Any]) -> Totals:
    from varsim.statistics.moments import Totals  # loads NumPy, which help does without

    if value.keys() != set(Totals._fields):
        raise ValueError
    rest = {"blocks", "x_sums", "counts", "look"}
    x_sums, counts, look = value["x_sums"], value["counts"], value["look"]
    return Totals(
        blocks=whole_of(value["blocks"]),
        x_sums=None if x_sums is None else (number_of(x_sums[0]), number_of(x_sums[1])),
        counts=None if counts is None else tuple(map(whole_of, counts)),
        look=None if look is None else whole_of(look),
        **{name: number_of(value[name]) for name in value.keys() - rest},
    )


_WHOLE = ("schema", "seed", "dim", "fan_out", "blocks", "samples", "samples_asked", "max_samples")
_TEXTS = ("varsim", "design", "scale", "x", "w", "dtype", "key", "init", "init_package")

RESULTS = Schema(
    rows="results of varsim",
    number=SCHEMA,
    names=NAMES,
    kinds={
        **dict.fromkeys(_TEXTS, text_of),
        **dict.fromkeys(_WHOLE, whole_of),
        "agrees": truth_of,
        "caveats": caveats_of,
        "totals": _totals,
        "histogram": bins_of,
    },
    optional=frozenset(
        {"gain", "ratio", "z", "p", "agrees", "conditional_theory", "effective_samples", "alpha"}
        | {"samples_asked", "precision", "max_samples", "histogram"}
        | {"w", "w_mean", "w_std", "init", "init_package", "init_theory"}
    ),
    row_of=result_of,
)
"""Results of one layer."""

parse = RESULTS.parse
"""Yield the results in the text of a file; see :meth:`Schema.parse`."""
