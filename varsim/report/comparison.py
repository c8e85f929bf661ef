"""Comparisons as a table: two files side by side, and what a reader should know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from varsim.comparison import (
    AGREES,
    DIFFERS,
    IDENTICAL,
    NOT_COMPARED,
    SAME_DRAWS,
    VERDICTS,
    Comparison,
    Kind,
    Matching,
    kind_of,
)
from varsim.fields import interval_text, level
from varsim.fields.rounding import needs_exponent, significant, with_error
from varsim.layer.result import RESULTS
from varsim.report import Column, Records, Table
from varsim.report.rows import named, row_name, seeds, setting_columns, shared_settings, span
from varsim.stack.result import LAYERS

SCHEMA = 3
"""Number of the schema of the records; raised whenever their names change."""

CELLS = {verdict: "DIFFERS" if verdict == DIFFERS else verdict for verdict in VERDICTS}
"""How a verdict reads in a table."""

_COUNTED = {
    IDENTICAL: "identical",
    SAME_DRAWS: "with the same draws but for rounding",
    AGREES: "within errors",
    NOT_COMPARED: "not compared",
}

_OF_RESULTS = ("k", "samples", "theory", "empirical", "std_error", "expected_std_error",
               "conditional_theory")  # fmt: skip


class Names(NamedTuple):
    """What the two files are called."""

    a: str
    b: str


def comparison_table(comparisons: Sequence[Comparison], matching: Matching, names: Names) -> Table:
    """Return comparisons as a table: one file beside the other, row by row."""
    kind = kind_of(comparisons[0].pair.a)
    return Table(
        list(_columns(comparisons, kind)),
        list(_caption(comparisons, kind, names)),
        Records(comparisons, partial(_record, kind=kind)),
        list(_caveats(comparisons, matching, names)),
    )


def summary(comparisons: Sequence[Comparison]) -> str:
    """Return the outcome in a sentence."""
    total = len(comparisons)
    wrong = [each for each in comparisons if each.verdict == DIFFERS]
    if wrong:
        return f"{len(wrong)} of {_pairs(total)} differ: {named([w.pair.a for w in wrong])}."
    verdicts = [each.verdict for each in comparisons]
    counts = [f"{verdicts.count(v)} {text}" for v, text in _COUNTED.items() if v in verdicts]
    agreeing = total - verdicts.count(NOT_COMPARED)
    return f"{agreeing} of {_pairs(total)} agree: {', '.join(counts)}."


def no_pair(matching: Matching, names: Names) -> str:
    """Return the sentence for two files without a single pair."""
    a, b = matching.only_a[0], matching.only_b[0]
    kinds = kind_of(a).schema.kind, kind_of(b).schema.kind
    if kinds[0] != kinds[1]:
        return not_of_one_kind(names, kinds)
    return (
        f"no row of {names.a} measures what a row of {names.b} does ({named([a], 1)} against "
        f"{named([b], 1)}); give files of the same experiments"
    )


def not_of_one_kind(names: Iterable[str], kinds: Iterable[str]) -> str:
    """Return the sentence for two files whose rows are of different kinds."""
    holds = [f"{name} holds {kind}" for name, kind in zip(names, kinds, strict=True)]
    return f"{', and '.join(holds)}; give files of one kind"


def _columns(comparisons: Sequence[Comparison], kind: Kind) -> Iterator[Column]:
    rows = [each.pair.a for each in comparisons]
    confidence = rows[0].confidence
    if kind.schema is LAYERS:
        names = [row_name(row) for row in rows]
        if len(set(names)) > 1:
            yield Column("stack", names, numeric=False, shortenable=True)
        yield Column("layer", [str(row.layer) for row in rows], name="layer")
    else:
        yield from setting_columns(rows)
    if len({each.measure for each in comparisons}) > 1:
        measures = [each.measure for each in comparisons]
        yield Column("of", measures, numeric=False, name="measure")
    for side in ("a", "b"):
        cells = ["+".join(map(str, getattr(each.pair, side).seeds)) for each in comparisons]
        if len(set(cells)) > 1:
            yield Column(f"seed {side}", cells, drop_priority=2, name=f"seed_{side}")
    sides = {side: [getattr(each, side) for each in comparisons] for side in ("a", "b")}
    exponent = any(needs_exponent(e.value) for of_side in sides.values() for e in of_side if e)
    for side, estimates in sides.items():
        cells = [interval_text(e, confidence, exponent=exponent) if e else "" for e in estimates]
        yield Column(f"{side} ± {level(rows)}", cells, name=side)
    cells = [_difference(each, confidence) for each in comparisons]
    yield Column("difference, %", cells, drop_priority=1, name="difference")
    tested = [each.difference if each.std_error else None for each in comparisons]
    cells = [f"{d.z or 0.0:+.2f}" if d else "" for d in tested]
    yield Column("z", cells, drop_priority=0, name="z")
    cells = [CELLS[each.verdict] for each in comparisons]
    yield Column("verdict", cells, numeric=False, name="verdict")


def _difference(comparison: Comparison, confidence: float) -> str:
    """Return the difference in percent of the first, with its interval where it has one."""
    difference, a = comparison.difference, comparison.a
    if difference is None or a is None:
        return ""
    if difference.value == 0.0 or not a.value:
        return significant(difference.value)
    percent = 100 / abs(a.value)
    if comparison.std_error is None:
        return significant(percent * difference.value, 2)
    return with_error(percent * difference.value, percent * difference.rough_half_width(confidence))


def _caption(comparisons: Sequence[Comparison], kind: Kind, names: Names) -> Iterator[str]:
    a, b = ([getattr(each.pair, side) for each in comparisons] for side in ("a", "b"))
    differing = [name for name in ("dtype", "varsim") if _texts(name, a) != _texts(name, b)]
    count, of = ("samples", "outputs per row") if kind.schema is RESULTS else (kind.replicates,) * 2
    for letter, name, rows in zip("ab", names, (a, b), strict=True):
        extent = f"{span([getattr(row, count) for row in rows])} {of}"
        versions = [("varsim " if n == "varsim" else "") + _texts(n, rows) for n in differing]
        yield f"{letter}: {', '.join([name, extent, seeds(rows), *versions])}."
    shared = ", ".join(shared_settings([*a, *b]))
    if shared:
        yield f"Both: {shared}."
    if any(each.pair.by_ratio for each in comparisons):
        yield "With fixed-x, a and b are ratios to the theory given x: each x has its own variance."
    alpha = comparisons[0].alpha
    yield (
        "The difference is b - a. agrees: it lies within the errors; if no pair truly differs, the "
        f"chance of any DIFFERS in this table is at most {100 * alpha:.12g}% (Holm)."
    )


def _texts(name: str, rows: Sequence[Any]) -> str:
    values = {row.varsim if name == "varsim" else row.question.dtype for row in rows}
    return " and ".join(sorted(values))


def _caveats(comparisons: Sequence[Comparison], matching: Matching, names: Names) -> Iterator[str]:
    redrawn = [each.pair.a for each in comparisons if each.redrawn]
    if redrawn:
        yield (
            f"{_pairs(len(redrawn))} of the same seed and samples "
            f"{_have(len(redrawn))} other draws, so NumPy, varsim or the machine has changed them: "
            f"{named(redrawn)}."
        )
    mixed = [pair.a for pair in matching.pairs if pair.a.question.dtype != pair.b.question.dtype]
    if mixed:
        yield f"{_pairs(len(mixed))} {_have(len(mixed))} different dtypes: {named(mixed)}."
    only = matching.only_a, matching.only_b
    for rows, (name, other) in zip(only, (names, names[::-1]), strict=True):
        if rows:
            number = f"{len(rows):,} row{'s' * (len(rows) > 1)}"
            yield f"{number} of {name} {_have(len(rows))} no partner in {other}: {named(rows)}."


def _pairs(number: int) -> str:
    return f"{number:,} pair{'s' * (number != 1)}"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _record(comparison: Comparison, kind: Kind) -> dict[str, Any]:
    a, b = comparison.pair
    difference, confidence = comparison.difference, a.confidence
    tested = difference if comparison.std_error else None
    ends = tested.interval(confidence) if tested else (None, None)
    more = _OF_RESULTS if kind.schema is RESULTS else ()
    of_each = ("varsim", "seed", "dtype", kind.replicates, "key", *more)
    return {
        "schema": SCHEMA,
        **{name: list(v) if isinstance(v, tuple) else v for name, v in kind.measured(a).items()},
        **{f"{name}_a": getattr(a, name) for name in of_each},
        **{f"{name}_b": getattr(b, name) for name in of_each},
        "same_streams": comparison.pair.same_streams,
        "measure": comparison.measure,
        "compared": "ratio" if comparison.pair.by_ratio else "variance",
        "a": None if comparison.a is None else comparison.a.value,
        "b": None if comparison.b is None else comparison.b.value,
        "difference": None if difference is None else difference.value,
        "std_error": comparison.std_error,
        "ci_low": ends[0],
        "ci_high": ends[1],
        "confidence": confidence,
        "dof": tested.dof if tested else None,
        "z": tested.z if tested else None,
        "p": comparison.p,
        "verdict": comparison.verdict,
        "agrees": comparison.verdict != DIFFERS,
        "alpha": comparison.alpha,
    }
