"""What initializers claim and do, as a sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from varsim.initializers import find
from varsim.layer.check import Surveyed
from varsim.report.results import VERDICTS
from varsim.report.rounding import significant, with_error
from varsim.report.table import Column, Sheet
from varsim.statistics import student


def survey_sheet(rows: Sequence[Surveyed], remarks: Sequence[str] = ()) -> Sheet:
    """Return initializers as a table.

    Args:
        rows: The initializers.
        remarks: Further sentences of the caption.
    """
    return Sheet(
        list(_columns(rows)),
        [*_caption(rows), *remarks],
        list(map(_record, rows)),
        [
            f"{row.init}, D = {row.dim}, fan-out {row.fan_out}: {c.message}."
            for row in rows
            for c in row.caveats
        ],
    )


def _columns(rows: Sequence[Surveyed]) -> Iterator[Column]:
    level = f"{100 * rows[0].confidence:.12g}%"
    if len({(row.dim, row.fan_out) for row in rows}) > 1:
        yield Column("D", [str(row.dim) for row in rows])
        yield Column("fan-out", [str(row.fan_out) for row in rows])
    yield Column("of", [_framework(row) for row in rows], numeric=False)
    yield Column("initializer", [_short_name(row) for row in rows], numeric=False)
    yield Column("claims E w²", [row.claim or "" for row in rows], numeric=False)
    yield Column("std", [significant(row.mean_square**0.5, 4) for row in rows], dispensable=2)
    yield Column(
        "kurtosis",
        [_measured(row, row.kurtosis, row.kurtosis_error) for row in rows],
        dispensable=1,
    )
    yield Column("theory", [_optional(row.forward_theory) for row in rows], dispensable=3)
    yield Column(f"x@W ± {level}", [_measured(row, row.forward, row.forward_error) for row in rows])
    yield Column("theory", [_optional(row.backward_theory) for row in rows], dispensable=0)
    yield Column(
        f"g@Wᵀ ± {level}", [_measured(row, row.backward, row.backward_error) for row in rows]
    )
    yield Column("verdict", [_verdict(row) for row in rows], numeric=False)


def _caption(rows: Sequence[Surveyed]) -> Iterator[str]:
    first = rows[0]
    shapes = dict.fromkeys((row.dim, row.fan_out) for row in rows)
    shape = f"W of {first.dim} x {first.fan_out}, " if len(shapes) == 1 else ""
    packages = dict.fromkeys(row.init_package for row in rows if row.init_package)
    yield (
        f"{shape}{first.draws} draws each, {first.dtype}, seed {first.seed}"
        + "".join(f", {package}" for package in packages)
        + "."
    )
    yield (
        "E w² is as documented, std that of the entries about 0; x@W and g@Wᵀ are the variances "
        "forward and backward, for standard normal x and g. Verdicts are about x@W."
    )
    if first.alpha is not None or any(row.alpha is not None for row in rows):
        alpha = next(row.alpha for row in rows if row.alpha is not None)
        yield f"Verdicts share a false-alarm rate of {alpha:g} (Holm)."


def _framework(row: Surveyed) -> str:
    return find(row.init).framework


def _short_name(row: Surveyed) -> str:
    return find(row.init).short_name


def _verdict(row: Surveyed) -> str:
    return "" if row.agrees is None else VERDICTS[row.agrees]


def _measured(row: Surveyed, value: float | None, std_error: float | None) -> str:
    if value is None or std_error is None:
        return ""
    if not std_error:
        return significant(value)
    return with_error(value, student.quantile(row.confidence, row.draws - 1) * std_error)


def _optional(value: float | None) -> str:
    return "" if value is None else significant(value, 4)


def _record(row: Surveyed) -> dict[str, Any]:
    record = {field.name: getattr(row, field.name) for field in fields(Surveyed)}
    record["caveats"] = [{"id": c.id, "message": c.message} for c in row.caveats]
    return record
