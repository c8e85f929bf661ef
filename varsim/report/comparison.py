"""Comparisons as a sheet: two files side by side, and what a reader should know of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from varsim.catalog.scales import canonical_name
from varsim.comparison import (
    AGREES,
    DIFFERS,
    IDENTICAL,
    NOT_COMPARED,
    SAME_DRAWS,
    Comparison,
    Matching,
)
from varsim.layer.experiment import Result
from varsim.report.results import row_name, seeds, setting_columns, shared_settings, span
from varsim.report.rounding import significant, with_error
from varsim.report.table import Column, Sheet
from varsim.statistics import student

SCHEMA = 2
"""Number of the schema of the records; raised whenever their names change."""

CELLS = {verdict: verdict for verdict in (IDENTICAL, SAME_DRAWS, AGREES, NOT_COMPARED)} | {
    DIFFERS: "DIFFERS"
}
"""How a verdict reads in a table."""

_COUNTED = {
    IDENTICAL: "identical",
    SAME_DRAWS: "with the same draws but for rounding",
    AGREES: "within errors",
    NOT_COMPARED: "not compared",
}
_MOST_NAMED = 3

_SETTINGS = (
    *("design", "dim", "fan_out", "scale", "gain", "x", "w"),
    *("x_mean", "x_std", "w_mean", "w_std", "init"),
)
_OF_EACH = (
    *("varsim", "seed", "dtype", "k", "blocks", "samples", "theory", "empirical", "std_error"),
    *("expected_std_error", "conditional_theory", "key"),
)


class Names(NamedTuple):
    """What the two files are called."""

    a: str
    b: str


def comparison_sheet(comparisons: Sequence[Comparison], matching: Matching, names: Names) -> Sheet:
    """Return comparisons as a table: one file beside the other, row by row.

    Args:
        comparisons: The rows.
        matching: Where they come from, and what had no partner.
        names: The files.
    """
    confidence = comparisons[0].pair.a.confidence
    return Sheet(
        [
            *setting_columns([each.pair.a for each in comparisons]),
            *_seed_columns(comparisons),
            *_measured_columns(comparisons, confidence),
        ],
        list(_caption(comparisons, names)),
        [_record(each, confidence) for each in comparisons],
        list(_caveats(comparisons, matching, names)),
    )


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return the outcome in a sentence."""
    total = len(comparisons)
    wrong = [each for each in comparisons if each.verdict == DIFFERS]
    if wrong:
        return f"{len(wrong)} of {_pairs(total)} differ: {_named([w.pair.a for w in wrong])}."
    verdicts = [each.verdict for each in comparisons]
    counts = [f"{verdicts.count(v)} {text}" for v, text in _COUNTED.items() if v in verdicts]
    agreeing = total - verdicts.count(NOT_COMPARED)
    return f"{agreeing} of {_pairs(total)} agree: {', '.join(counts)}."


def no_pair(matching: Matching, names: Names) -> str:
    """Return the sentence for two files without a single pair."""
    return (
        f"no row of {names.a} measures what a row of {names.b} does "
        f"({row_name(matching.only_a[0])} against {row_name(matching.only_b[0])}); "
        "give files of the same experiments"
    )


def _seed_columns(comparisons: Sequence[Comparison]) -> Iterator[Column]:
    for side in ("a", "b"):
        of_rows = [getattr(each.pair, side).seed for each in comparisons]
        if len(set(of_rows)) > 1:
            yield Column(f"seed {side}", list(map(str, of_rows)), dispensable=2)


def _measured_columns(comparisons: Sequence[Comparison], confidence: float) -> Iterator[Column]:
    level = f"{100 * confidence:.12g}%"
    yield Column(f"a ± {level}", [_side(each, "a", confidence) for each in comparisons])
    yield Column(f"b ± {level}", [_side(each, "b", confidence) for each in comparisons])
    cells = [_difference(each, confidence) for each in comparisons]
    yield Column("difference, %", cells, dispensable=1)
    z = ["" if each.z is None else f"{each.z:+.2f}" for each in comparisons]
    yield Column("z", z, dispensable=0)
    yield Column("verdict", [CELLS[each.verdict] for each in comparisons], numeric=False)


def _side(comparison: Comparison, side: str, confidence: float) -> str:
    value: float | None = getattr(comparison, side)
    row: Result = getattr(comparison.pair, side)
    if value is None:
        return ""
    half_width = student.quantile(confidence, row.blocks - 1) * row.std_error
    unit = row.conditional_theory if comparison.by_ratio else 1.0
    return with_error(value, half_width / (unit or 1.0))


def _difference(comparison: Comparison, confidence: float) -> str:
    """Return the difference in percent of the first, with its interval where it has one."""
    if comparison.difference is None:
        return ""
    if comparison.difference == 0.0 or not comparison.a:
        return significant(comparison.difference)
    percent, half_width = 100 / abs(comparison.a), comparison.half_width(confidence)
    if half_width is None:
        return significant(percent * comparison.difference, 2)
    return with_error(percent * comparison.difference, percent * half_width)


def _caption(comparisons: Sequence[Comparison], names: Names) -> Iterator[str]:
    a, b = ([getattr(each.pair, side) for each in comparisons] for side in ("a", "b"))
    differing = [name for name in ("dtype", "varsim") if _values(name, a) != _values(name, b)]
    for letter, name, rows in zip("ab", names, (a, b), strict=True):
        samples = f"{span([row.samples for row in rows])} outputs a row"
        versions = [("varsim " if n == "varsim" else "") + _values(n, rows) for n in differing]
        yield f"{letter}: {', '.join([name, samples, seeds(rows), *versions])}."
    shared = ", ".join(shared_settings([*a, *b]))
    if shared:
        yield f"Both: {shared}."
    if any(each.by_ratio for each in comparisons):
        yield "Of fixed-x, a and b are ratios to the theory given x: every x has its own variance."
    alpha = comparisons[0].alpha
    yield f"The difference is b - a; verdicts share a false-alarm rate of {alpha:g} (Holm)."


def _values(name: str, rows: Sequence[Result]) -> str:
    return " and ".join(sorted({getattr(row, name) for row in rows}))


def _caveats(comparisons: Sequence[Comparison], matching: Matching, names: Names) -> Iterator[str]:
    redrawn = [each.pair.a for each in comparisons if each.redrawn]
    if redrawn:
        yield (
            f"{_pairs(len(redrawn))} of the same seed and samples "
            f"{_have(len(redrawn))} other draws, so NumPy, varsim or the machine has changed them: "
            f"{_named(redrawn)}."
        )
    mixed = [each.pair.a for each in comparisons if each.pair.a.dtype != each.pair.b.dtype]
    if mixed:
        yield f"{_pairs(len(mixed))} {_have(len(mixed))} different dtypes: {_named(mixed)}."
    for rows, name, other in (
        (matching.only_a, names.a, names.b),
        (matching.only_b, names.b, names.a),
    ):
        if rows:
            number = f"{len(rows):,} row{'s' * (len(rows) > 1)}"
            yield f"{number} of {name} {_have(len(rows))} no partner in {other}: {_named(rows)}."


def _pairs(number: int) -> str:
    return f"{number:,} pair{'s' * (number != 1)}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _named(rows: Sequence[Result]) -> str:
    more = len(rows) - _MOST_NAMED
    return "; ".join(map(row_name, rows[:_MOST_NAMED])) + (f"; and {more:,} more" * (more > 0))


def _record(comparison: Comparison, confidence: float) -> dict[str, Any]:
    a, b = comparison.pair
    half_width = comparison.half_width(confidence)
    difference = comparison.difference
    ends = (
        (None, None)
        if half_width is None or difference is None
        else (difference - half_width, difference + half_width)
    )
    return {
        "schema": SCHEMA,
        **{name: getattr(a, name) for name in _SETTINGS},
        "scale": canonical_name(a.scale),
        **{f"{name}_a": getattr(a, name) for name in _OF_EACH},
        **{f"{name}_b": getattr(b, name) for name in _OF_EACH},
        "same_streams": comparison.pair.same_streams,
        "compared": "ratio" if comparison.by_ratio else "variance",
        "a": comparison.a,
        "b": comparison.b,
        "difference": difference,
        "std_error": comparison.std_error,
        "ci_low": ends[0],
        "ci_high": ends[1],
        "confidence": confidence,
        "dof": comparison.dof,
        "z": comparison.z,
        "p": comparison.p,
        "verdict": comparison.verdict,
        "agrees": comparison.verdict != DIFFERS,
        "alpha": comparison.alpha,
    }
