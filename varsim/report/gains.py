"""Gains of activations as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from varsim.activations import Activation
from varsim.activations.gains import TORCH, Critical, Gains, critical, gains
from varsim.fields.rounding import significant
from varsim.report import Column, Table

SCHEMA = 1
"""Number of the schema of the records; raised whenever their names change."""

_OF_GAINS = ("variance", "mean", "second_moment", "gain", "std_gain", "derivative_second_moment",
             "chi")  # fmt: skip


def gains_table(activations: Mapping[str, Activation], variances: Sequence[float]) -> Table:
    """Return the gains of activations, for every variance of their inputs."""
    rows = [(name, gains(phi, q)) for q in variances for name, phi in activations.items()]
    at = ", ".join(significant(q) for q in variances)
    columns = [Column("activation", [name for name, _ in rows], numeric=False)]
    if len(variances) > 1:
        columns.append(Column("q", [significant(row.variance) for _, row in rows]))
    columns += [
        Column("φ(h)", [activations[name].formula for name, _ in rows], False, drop_priority=0),
        Column("E φ", [_near_zero(row.mean) for _, row in rows], drop_priority=4),
        Column("E φ²", [significant(row.second_moment) for _, row in rows], drop_priority=5),
        Column("gain", [significant(row.gain) for _, row in rows]),
        Column("std gain", [significant(row.std_gain) for _, row in rows], drop_priority=3),
        Column("E φ′²", [significant(row.derivative_second_moment) for _, row in rows],
               drop_priority=2),
        Column("χ", [significant(row.chi) for _, row in rows]),
        Column("torch", [_torch(name) for name, _ in rows], numeric=False, drop_priority=1),
    ]  # fmt: skip
    caption = [
        f"h normal with mean 0 and variance q = {at}. gain = √(q / E φ²) keeps the variance from "
        "layer to layer; std gain = √(q / Var φ) where the mean is taken off.",
        "χ = gain² E φ′²: the factor per layer by which the variance of gradients grows, "
        "backwards. torch: torch.nn.init.calculate_gain.",
    ]
    return Table(columns, caption, [_gains_record(name, row) for name, row in rows])


def critical_table(activations: Mapping[str, Activation]) -> Table:
    """Return where networks of activations are critical."""
    rows = {name: critical(activation) for name, activation in activations.items()}
    columns = [
        Column("activation", list(rows), numeric=False),
        Column("critical", [row.kind for row in rows.values()], numeric=False),
        Column("C_W", [_optional(row.weights) for row in rows.values()]),
        Column("C_b", [_optional(row.bias) for row in rows.values()]),
        Column("K*", ["any" if row.kind == "scale-invariant" else _optional(row.variance)
                      for row in rows.values()]),
    ]  # fmt: skip
    caption = [
        "W has variance C_W / fan-in and the bias C_b. There, a variance K* of the signal is kept "
        "from layer to layer, and that of gradients too (χ = 1).",
        "scale-invariant: at any K. K* = 0: the signal dies out slowly, as a power of the depth. "
        "none: no C_W and C_b do it.",
    ]
    return Table(columns, caption, [_critical_record(name, row) for name, row in rows.items()])


def _torch(name: str) -> str:
    entry = TORCH.get(name)
    if entry is None:
        return "-"
    near = Fraction(entry.gain).limit_denominator(9)
    text = str(near) if abs(near - entry.gain) < 1e-12 else significant(entry.gain)
    return " ".join(filter(None, [text, entry.remark]))


def _near_zero(value: float) -> str:
    return "0" if abs(value) < 1e-12 else significant(value)


def _optional(value: float | None) -> str:
    return "" if value is None else significant(value, 10)


def _gains_record(name: str, row: Gains) -> dict[str, Any]:
    entry = TORCH.get(name)
    values = {value: getattr(row, value) for value in _OF_GAINS}
    return {
        "schema": SCHEMA,
        "activation": name,
        **values,
        "torch_gain": None if entry is None else entry.gain,
        "torch_remark": None if entry is None or not entry.remark else entry.remark,
    }


def _critical_record(name: str, row: Critical) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "activation": name,
        "critical": row.kind,
        "weight_variance": row.weights,
        "bias_variance": row.bias,
        "variance": row.variance,
    }
