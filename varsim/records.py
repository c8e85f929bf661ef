"""Results as plain records, and back: what the machine formats hold, and who reads them again."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from varsim.experiment import SCHEMA, Caveat, Experiment, InputError, Result

if TYPE_CHECKING:
    from varsim.moments import Bins, Totals

NAMES = [field.name for field in fields(Result)]
"""The names of a record, in their order."""

_TEXTS = frozenset({"varsim", "design", "scale", "x", "w", "dtype", "key"})
_OPTIONAL = frozenset(
    {"gain", "ratio", "z", "p", "agrees", "conditional_theory", "effective_samples", "alpha"}
    | {"samples_asked", "precision", "max_samples", "histogram"}
)


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
    if record.get("schema") != SCHEMA:
        raise InputError(
            f"its schema is {record.get('schema')!r}, and this varsim knows schema {SCHEMA}"
        )
    try:
        values = {name: _value(name, record[name]) for name in NAMES}
        if record.keys() != set(NAMES):
            raise ValueError
        result = Result(**values)
        expected = experiment_of(result).key
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        raise InputError("it is no row of results of varsim") from None
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
        w=result.w,
        x_mean=result.x_mean,
        x_std=result.x_std,
        w_mean=result.w_mean,
        w_std=result.w_std,
        design=result.design,
        samples=result.samples_asked,
        precision=result.precision,
        max_samples=result.max_samples,
        seed=result.seed,
        dtype=result.dtype,
    )


def parse_line(line: str, suffix: str) -> Result:
    """Return the result on a line of JSON Lines or CSV.

    Raises:
        InputError: It holds none.
    """
    try:
        record = json.loads(line) if suffix == ".jsonl" else _csv_record(line)
    except (ValueError, csv.Error, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise InputError("it is no row of results of varsim")
    return result_of(record)


def parse(
    text: str, suffix: str, check: Callable[[Result], None] = lambda _: None
) -> Iterator[Result]:
    """Yield the results in the text of a file.

    Args:
        text: Its text.
        suffix: Its format: ``.jsonl``, ``.csv`` or ``.json``.
        check: What every result must pass, or raises an InputError.

    Raises:
        InputError: A row cannot be read; the sentence names it.
    """
    unit, numbered = "row", list(enumerate(_json_rows(text) if suffix == ".json" else [], 1))
    if suffix != ".json":
        unit = "line"
        numbered = [(n, line) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    if suffix == ".csv":
        check_header(numbered.pop(0)[1] if numbered else "")
    for number, row in numbered:
        try:
            result = result_of(row) if isinstance(row, dict) else parse_line(row, suffix)
            check(result)
        except InputError as error:
            raise InputError(f"{unit} {number} cannot be used: {error}") from None
        yield result


def check_header(header: str) -> None:
    """Check the first line of a CSV file.

    Raises:
        InputError: It is not that of this schema.
    """
    if header.rstrip("\r").split(",") != NAMES:
        raise InputError(f"its header is not that of schema {SCHEMA} of varsim")


def _json_rows(text: str) -> list[Any]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise InputError("it is no list of results of varsim")
    return rows


def _csv_record(line: str) -> dict[str, Any]:
    cells = next(csv.reader(io.StringIO(line), strict=True))
    return {
        name: cell if name in _TEXTS else _csv_value(name, cell)
        for name, cell in zip(NAMES, cells, strict=True)
    }


def _csv_value(name: str, cell: str) -> Any:
    if cell == "":
        return [] if name == "caveats" else None
    return json.loads(cell)


def _value(name: str, value: Any) -> Any:
    """Return a field's value from a record's.

    Raises:
        ValueError: It is not of the field's kind.
    """
    if value is None and name in _OPTIONAL:
        return None
    kind: Callable[[Any], Any] = _KINDS.get(name, _number)
    return kind(value)


def _totals(value: Mapping[str, Any]) -> Totals:
    from varsim.moments import Totals  # loads NumPy, which help does without

    if value.keys() != set(Totals._fields):
        raise ValueError
    rest = {"blocks", "x_sums", "counts", "look"}
    x_sums, counts, look = value["x_sums"], value["counts"], value["look"]
    return Totals(
        blocks=_whole(value["blocks"]),
        x_sums=None if x_sums is None else (_number(x_sums[0]), _number(x_sums[1])),
        counts=None if counts is None else tuple(map(_whole, counts)),
        look=None if look is None else _whole(look),
        **{name: _number(value[name]) for name in value.keys() - rest},
    )


def _bins(value: Mapping[str, Any]) -> Bins:
    from varsim.moments import Bins

    return Bins(_number(value["low"]), _number(value["width"]), _whole(value["number"]))


def _caveats(value: list[Mapping[str, str]]) -> tuple[Caveat, ...]:
    return tuple(Caveat(_text(each["id"]), _text(each["message"])) for each in value)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


_WHOLE = ("schema", "seed", "dim", "fan_out", "blocks", "samples", "samples_asked", "max_samples")
_KINDS: dict[str, Callable[[Any], Any]] = {
    **dict.fromkeys(_TEXTS, _text),
    **dict.fromkeys(_WHOLE, _whole),
    "agrees": _truth,
    "caveats": _caveats,
    "totals": _totals,
    "histogram": _bins,
}
"""What makes a field's value of a record's; all others are numbers."""
