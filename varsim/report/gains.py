"""Tables of the gains of activations and of critical initializations, and gains in files."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from varsim.activations import Activation
from varsim.activations.gains import TORCH, Critical, Gains, critical, critical_at, gains
from varsim.errors import InputError
from varsim.fields import NUMBER
from varsim.fields.rounding import significant
from varsim.storage.reading import records_in
from varsim.table import Column, Table


class NamedGains(NamedTuple):
    """The gains of an activation with its name."""

    name: str
    gains: Gains


def read_gains(content: str, suffix: str) -> list[NamedGains]:
    """Return the gains in the text of a file; none if its first record is of another kind.

    Args:
        content: Its text.
        suffix: Its format: ``.jsonl``, ``.csv`` or ``.json``.

    Raises:
        InputError: A record cannot be read; the sentence names it.
    """
    records = records_in(content, suffix)
    first = next(records, None)
    if first is None or first.record.get("kind") != "gain":
        return []
    unit = "row" if suffix == ".json" else "line"
    return [_read(number, record, unit) for number, record in (first, *records)]


def _read(number: int, record: Mapping[str, Any], unit: str) -> NamedGains:
    try:
        read = Gains(*(float(record[name]) for name in Gains.__dataclass_fields__))
        if (record["schema"], record["kind"]) != (NUMBER, "gain") or not (
            0.0 < read.variance < math.inf
            and 0.0 < read.second_moment < math.inf
            and 0.0 <= read.derivative_second_moment < math.inf
        ):
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{unit} {number} cannot be used: this is not a gain") from None
    return NamedGains(str(record["activation"]), read)


def gains_table(activations: Mapping[str, Activation], variances: Sequence[float]) -> Table:
    """Return the table of gains of activations, for each variance of their inputs."""
    rows = [(name, gains(phi, q)) for q in variances for name, phi in activations.items()]
    at = ", ".join(significant(q) for q in variances)
    columns = [Column("activation", [name for name, _ in rows], numeric=False, name="activation")]
    if len(variances) > 1:
        cells = [significant(row.variance) for _, row in rows]
        columns.append(Column("q", cells, name="variance"))
    columns += [
        Column("φ(h)", [activations[name].formula for name, _ in rows], False, drop_priority=0),
        Column("E φ", [_mean(row) for _, row in rows], drop_priority=4, name="mean"),
        Column("E φ²", [significant(row.second_moment) for _, row in rows], drop_priority=5,
               name="second_moment"),
        Column("gain", [significant(row.gain) for _, row in rows], name="gain"),
        Column("std gain", [_optional(row.std_gain, 6) for _, row in rows], drop_priority=3,
               name="std_gain"),
        Column("E φ′²", [significant(row.derivative_second_moment) for _, row in rows],
               drop_priority=2, name="derivative_second_moment"),
        Column("χ", [significant(row.chi) for _, row in rows], name="chi"),
        Column("torch", [_torch(name) for name, _ in rows], numeric=False, drop_priority=1,
               name="torch_gain"),
    ]  # fmt: skip
    caption = [
        f"h normal with mean 0 and variance q = {at}. gain = √(q / E φ²) keeps the variance from "
        "layer to layer; std gain = √(q / Var φ) where the mean is taken off.",
        "χ = gain² E φ′²: the factor per layer by which the variance of gradients grows, "
        "backwards. torch: torch.nn.init.calculate_gain.",
    ]
    records = [_gains_record(name, row) for name, row in rows]
    return Table(columns, caption, records, label="varsim-gains")


def critical_table(activations: Mapping[str, Activation]) -> Table:
    """Return the table of initializations with both susceptibilities 1, per activation."""
    rows = [(name, critical(activation)) for name, activation in activations.items()]
    variances = [_fixed_point(row) for _, row in rows]
    name, kind, *others = _critical_columns(rows, "critical", 2)
    columns = [name, kind, *others[:2], Column("K*", variances, name="variance"), *others[2:]]
    caption = [
        "W has variance C_W / fan-in and the bias C_b. Layers keep a signal of variance "
        "K* = C_b + C_W E φ². There both susceptibilities are 1, except for line only: "
        "χ⊥ = C_W E φ′², the factor per layer of gradients, and χ∥ = C_W dE φ²/dK, that of a small "
        "change of K.",
        "scale-invariant: at any K*. half-stable: at one K*; a variance on one side of it slowly "
        "returns, one on the other side leaves. K* = 0: for ever smaller signals, which change "
        "more slowly than exponentially. line only: at no K*, but χ⊥ alone can be 1, from this K* "
        "on. none: neither can be 1, as C_b would be negative.",
        "--variance K gives the C_W and C_b with χ⊥ = 1 alone that keep K: a line, the edge of "
        "chaos.",
    ]
    return _critical_table(rows, columns, caption)


def line_table(activations: Mapping[str, Activation], variances: Sequence[float]) -> Table:
    """Return the table of initializations with χ⊥ = 1 and given variances as fixed points."""
    rows = [(name, critical_at(phi, k)) for k in variances for name, phi in activations.items()]
    name, *others = _critical_columns(rows, "K is", 6)
    columns = [
        name,
        Column("K", [_optional(row.variance) for _, row in rows], name="variance"),
        *others,
    ]
    caption = [
        "W has variance C_W / fan-in and the bias C_b. Layers keep a signal of variance "
        "K = C_b + C_W E φ², and χ⊥ = C_W E φ′², the factor per layer of gradients, is 1. Over all "
        "K this is a line, the edge of chaos.",
        "χ∥ = C_W dE φ²/dK is the factor per layer of a small change of K. stable: below 1. "
        "unstable: above 1. marginal: 1. none: C_b is negative, so no such network exists.",
    ]
    return _critical_table(rows, columns, caption)


def _critical_columns(rows: Sequence[tuple[str, Critical]], kind: str, digits: int) -> list[Column]:
    return [
        Column("activation", [name for name, _ in rows], numeric=False, name="activation"),
        Column(kind, [row.kind for _, row in rows], numeric=False, name="critical"),
        Column("C_W", [_optional(row.weights) for _, row in rows], name="weight_variance"),
        Column("C_b", [_bias(row) for _, row in rows], name="bias_variance"),
        Column("χ⊥", [_optional(row.chi_perpendicular) for _, row in rows], drop_priority=0,
               name="chi_perpendicular"),
        Column("χ∥", [_chi_parallel(row, digits) for _, row in rows], drop_priority=1,
               name="chi_parallel"),
    ]  # fmt: skip


def _critical_table(
    rows: Sequence[tuple[str, Critical]], columns: Sequence[Column], caption: Sequence[str]
) -> Table:
    records = [_critical_record(name, row) for name, row in rows]
    return Table(columns, caption, records, label="varsim-gains-critical")


def _torch(name: str) -> str:
    """Return torch's gain of an activation, as a fraction if it is a simple one."""
    entry = TORCH.get(name)
    if entry is None:
        return "-"
    near = Fraction(entry.gain).limit_denominator(9)
    text = str(near) if abs(near - entry.gain) < 1e-12 else significant(entry.gain)
    return " ".join(filter(None, [text, entry.remark]))


def _mean(row: Gains) -> str:
    is_rounding = abs(row.mean) < 1e-12 * math.sqrt(row.second_moment)
    return "0" if is_rounding else significant(row.mean)


def _optional(value: float | None, digits: int = 10) -> str:
    return "" if value is None else significant(value, digits)


def _fixed_point(row: Critical) -> str:
    is_free = row.variance is None and row.kind != "none"
    return "any" if is_free else _optional(row.variance)


def _bias(row: Critical) -> str:
    """Return C_b without the digits that cancel in the difference K - C_W E φ²."""
    if not row.bias or not row.variance:
        return _optional(row.bias)
    lost = math.floor(math.log10(row.variance / abs(row.bias)))
    return _optional(row.bias, min(10, max(1, 12 - lost)))


def _chi_parallel(row: Critical, digits: int) -> str:
    value = row.chi_parallel
    return "0" if value is not None and abs(value) < 1e-12 else _optional(value, digits)


def _gains_record(name: str, row: Gains) -> dict[str, object]:
    entry = TORCH.get(name)
    return {
        "schema": NUMBER,
        "kind": "gain",
        "activation": name,
        "variance": row.variance,
        "mean": row.mean,
        "second_moment": row.second_moment,
        "gain": row.gain,
        "std_gain": row.std_gain,
        "derivative_second_moment": row.derivative_second_moment,
        "chi": row.chi,
        "torch_gain": None if entry is None else entry.gain,
        "torch_remark": None if entry is None or not entry.remark else entry.remark,
    }


def _critical_record(name: str, row: Critical) -> dict[str, object]:
    return {
        "schema": NUMBER,
        "kind": "critical",
        "activation": name,
        "critical": row.kind,
        "weight_variance": row.weights,
        "bias_variance": row.bias,
        "variance": row.variance,
        "chi_perpendicular": row.chi_perpendicular,
        "chi_parallel": row.chi_parallel,
    }
