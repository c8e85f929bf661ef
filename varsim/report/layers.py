"""Layers of a deep stack as a sheet: a row a layer, and a small picture of what grows and dies."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from varsim.report.results import VERDICTS
from varsim.report.rounding import significant, with_error
from varsim.report.table import Column, Sheet
from varsim.stack.records import record_of
from varsim.stack.result import LayerResult
from varsim.statistics import student

_AXIS = 15

_SETTINGS: tuple[tuple[str, Callable[[LayerResult], str]], ...] = (
    ("activation", lambda row: row.activation),
    ("scale", lambda row: f"scale {row.scale}"),
    ("gain", lambda row: "" if row.gain is None else f"gain {significant(row.gain)}"),
    ("bias", lambda row: f"bias std {significant(row.bias_std)}" if row.bias_std else ""),
    ("norm", lambda row: f"{row.norm} norm" if row.norm != "none" else ""),
    (
        "residual",
        lambda row: "" if row.residual is None else f"residual {significant(row.residual)}",
    ),
    ("init", lambda row: f"init {row.init}" if row.init else ""),
    ("x", lambda row: f"x {row.x}"),
    ("w", lambda row: f"W {row.w}" if row.w else ""),
    ("dtype", lambda row: row.dtype),
    ("seed", lambda row: f"seed {row.seed}"),
)


def layers_sheet(rows: Sequence[LayerResult]) -> Sheet:
    """Return the layers of one stack as a table, from the input on."""
    return Sheet(
        list(_columns(rows)),
        list(_caption(rows)),
        list(map(record_of, rows)),
        list(_caveats(rows)),
    )


def stack_name(row: LayerResult) -> str:
    """Return what the stack of a layer is called in a sentence."""
    return ", ".join(filter(None, (text(row) for _, text in _SETTINGS[:7])))


def _columns(rows: Sequence[LayerResult]) -> Iterator[Column]:
    level = f"{100 * rows[0].confidence:.12g}%"
    yield Column("layer", [str(row.layer) for row in rows])
    yield Column("width", [str(row.width) for row in rows], dispensable=4)
    yield Column("Var[h] theory", [significant(row.theory, 4) for row in rows])
    forward = [_with_interval(row, row.empirical, row.std_error) for row in rows]
    yield Column(f"empirical ± {level}", forward)
    yield Column("z", [_z(row.z) for row in rows], dispensable=6)
    yield Column("median", [_short(row.median) for row in rows], dispensable=1)
    yield Column("within", [_short(row.within) for row in rows], dispensable=0)
    yield Column("rms φ", [_short(row.rms_activation) for row in rows], dispensable=5)
    for name in ("saturated", "dead"):
        shares = [getattr(row, name) for row in rows]
        if shares[0] is not None:
            yield Column(name, [_percent(share) for share in shares], dispensable=3)
    if any(row.gradient is not None for row in rows):
        yield Column("Var[∂h] theory", [_short(row.gradient_theory) for row in rows])
        backward = [_with_interval(row, row.gradient, row.gradient_std_error) for row in rows]
        yield Column(f"∂h ± {level}", backward)
        yield Column("∂h z", [_z(row.gradient_z) for row in rows], dispensable=6)
    yield Column("verdict", [VERDICTS[row.agrees] for row in rows], numeric=False)
    yield _picture(rows)


def _picture(rows: Sequence[LayerResult]) -> Column:
    """Return where every layer lies on a logarithmic axis that holds 1."""
    signals = [row.empirical for row in rows]
    gradients = [row.gradient for row in rows]
    known = [math.log10(v) for v in [*signals, *gradients] if v is not None and v > 0]
    low = min(-1, math.floor(min(known, default=0.0)))
    high = max(1, math.ceil(max(known, default=0.0)))
    marks = "h ● ∂h ○" if any(value is not None for value in gradients) else "h ●"
    header = f"1e{low:+03d} {marks} 1e{high:+03d}".center(_AXIS)
    width = max(_AXIS, len(header))

    def place(value: float | None) -> int | None:
        if value is None or value <= 0:
            return None
        return round((math.log10(value) - low) / (high - low) * (width - 1))

    cells = []
    for signal, gradient in zip(signals, gradients, strict=True):
        cell = [" "] * width
        cell[round(-low / (high - low) * (width - 1))] = "│"
        for at, mark in ((place(gradient), "○"), (place(signal), "●")):
            if at is not None:
                cell[at] = "◉" if cell[at] == "○" else mark
        cells.append("".join(cell))
    return Column(header, cells, numeric=False, dispensable=2)


def _caption(rows: Sequence[LayerResult]) -> Iterator[str]:
    first = rows[0]
    settings = ", ".join(filter(None, (text(first) for _, text in _SETTINGS)))
    yield (
        f"{first.networks:,} networks of {first.depth:,} layers, a batch of {first.batch:,} each; "
        f"{settings}."
    )
    yield (
        "Var[h] is over networks, inputs and units; median: of the typical network; within: over "
        "the units and inputs of one. Errors are between networks."
    )
    slack = max(max(row.theory_slack, row.gradient_slack) for row in rows)
    if any(row.gradient is not None for row in rows):
        yield (
            "∂h is the gradient from a cotangent of variance 1 on top; verdicts allow theory for "
            f"what it leaves out at finite width (up to {slack:.1%})."
        )
    if first.alpha is not None:
        yield f"Verdicts share a false-alarm rate of {first.alpha:g} (Holm)."


def _caveats(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield a caveat of each kind: of the layer that is farthest from where it begins."""
    last = {c.id: f"layer {row.layer}: {c.message}." for row in rows for c in row.caveats}
    first = {c.id: f"layer {row.layer}: {c.message}." for row in rows[::-1] for c in row.caveats}
    last |= {id_: first[id_] for id_ in first if "gradient" in id_}
    name = stack_name(rows[0])
    for sentence in last.values():
        yield f"{name}: {sentence}"


def _with_interval(row: LayerResult, value: float | None, std_error: float | None) -> str:
    if value is None or std_error is None:
        return ""
    return with_error(value, student.quantile(row.confidence, row.networks - 1) * std_error)


def _short(value: float | None) -> str:
    return "" if value is None else significant(value, 4)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _z(z: float | None) -> str:
    return "" if z is None else f"{z:+.2f}"
