"""Tables of tolerances: limits of a variance, and the numbers with which a test sees errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

from varsim.fields import NUMBER
from varsim.fields.rounding import rounded, significant
from varsim.layer.question import MAX_DIM, Experiment, checked_whole
from varsim.table import Column, Table
from varsim.tolerance import MAX_COUNT, Squares, of_entries, of_outputs


class Rule(NamedTuple):
    """What a test promises.

    Attributes:
        false_failure: The probability of a failure if the claim is right.
        power: The probability of a failure if the variance has an error to see.
        errors: The relative errors to see; a negative one as it is, a positive one either way.
    """

    false_failure: float
    power: float
    errors: Sequence[float]


class _Row(NamedTuple):
    settings: Mapping[str, object]
    low: float
    high: float
    needed: Sequence[int]

    @property
    def tolerance(self) -> float:
        return max(1.0 - self.low, self.high - 1.0)


def entries_table(counts: Sequence[int], dists: Sequence[str], rule: Rule) -> Table:
    """Return the table of tolerances of the mean square of independent entries."""
    needed = cache(lambda squares: _needed(squares, rule))
    rows = []
    for count in counts:
        checked_whole("entries", count, 1, MAX_COUNT)
        for dist in dists:
            name, squares = of_entries(dist)
            settings = {"entries": count, "dist": name, "kurtosis": squares.sigma**2 + 1.0}
            limits = squares.limits(count, rule.false_failure)
            rows.append(_Row(settings, *limits, needed(squares)))
    columns = [
        Column("entries", [f"{row.settings['entries']:,}" for row in rows], name="entries"),
        Column("dist", [str(row.settings["dist"]) for row in rows], numeric=False, name="dist"),
        Column("κ", [f"{row.settings['kurtosis']:.4g}" for row in rows], name="kurtosis"),
    ]
    caption = [
        "low to high: the mean square of independent entries over its claim, outside of which a "
        f"test fails, with probability {rule.false_failure:g} if the claim is right.",
        _sees("entries", rule),
    ]
    return _table(columns, rows, rule, caption)


def outputs_table(questions: Sequence[Experiment], rows_of_x: Sequence[int], rule: Rule) -> Table:
    """Return the table of tolerances of the variance of the outputs of one draw of X @ W.

    Args:
        questions: Shapes, and distributions of x and W.
        rows_of_x: Numbers of x through one W.
        rule: What the test promises.
    """
    rows = []
    for question, count in product(questions, rows_of_x):
        checked_whole("rows", count, 1, MAX_DIM)
        squares = of_outputs(question, count)
        settings = {
            "dim": question.dim, "fan_out": question.n, "rows": count, "x_dist": question.x_dist,
            "w_dist": question.w_dist, "relative_error": squares.sigma,
        }  # fmt: skip
        limits = squares.limits(1, rule.false_failure)
        rows.append(_Row(settings, *limits, _needed(squares, rule)))

    def column(header: str, name: str, *, numeric: bool = True) -> Column:
        return Column(header, [str(row.settings[name]) for row in rows], numeric, name=name)

    columns = [
        column("D", "dim"), column("fan-out", "fan_out"), column("rows", "rows"),
        column("x", "x_dist", numeric=False), column("W", "w_dist", numeric=False),
    ]  # fmt: skip
    caption = [
        "low to high: the variance of the outputs of one draw of X @ W over its claim, outside of "
        f"which a test fails, with a probability of about {rule.false_failure:g} if the claim is "
        "right.",
        _sees("independent draws of X and W", rule),
    ]
    return _table(columns, rows, rule, caption)


def _table(
    columns: Sequence[Column], rows: Sequence[_Row], rule: Rule, caption: Sequence[str]
) -> Table:
    errors = [f"{100 * error:g}%" for error in rule.errors]

    def limit(name: str) -> list[str]:
        return [rounded(getattr(row, name), (row.high - row.low) / 200.0) for row in rows]

    columns = [
        *columns,
        Column("low", limit("low"), name="low"),
        Column("high", limit("high"), name="high"),
        Column("tolerance", [f"± {significant(100 * row.tolerance, 4)}%" for row in rows],
               name="tolerance"),
        *(Column(f"sees {error}", [f"{row.needed[place]:,}" for row in rows],
                 name=f"sees_{error}", drop_priority=place)
          for place, error in enumerate(errors)),
    ]  # fmt: skip
    records = [
        {
            "schema": NUMBER,
            "kind": "tolerance",
            **row.settings,
            "false_failure": rule.false_failure,
            "power": rule.power,
            "low": row.low,
            "high": row.high,
            "tolerance": row.tolerance,
            **{f"sees_{error}": row.needed[place] for place, error in enumerate(errors)},
        }
        for row in rows
    ]
    return Table(columns, caption, records, label="varsim-tolerance")


def _needed(squares: Squares, rule: Rule) -> list[int]:
    return [squares.needed(error, rule.false_failure, rule.power) for error in rule.errors]


def _sees(units: str, rule: Rule) -> str:
    return (
        f"sees: the number of {units} with which a test fails with probability {rule.power:g} if "
        "the variance is wrong by this much, either way; with a minus sign, if it is too small."
    )
