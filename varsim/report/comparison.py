"""Comparisons as a table: two files side by side, with caveats."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from varsim.comparison import (
    AGREES,
    DIFFERS,
    IDENTICAL,
    NOT_COMPARED,
    VERDICTS,
    Comparison,
    Matching,
    by_ratio,
    quantity,
)
from varsim.fields import NUMBER, interval_text, level
from varsim.fields.field import R
from varsim.fields.rounding import needs_exponent, significant, with_error
from varsim.report.rows import named, row_name, seeds, setting_columns, shared_settings
from varsim.study import Kind
from varsim.table import Column, Records, Table

CELLS = {verdict: "DIFFERS" if verdict == DIFFERS else verdict for verdict in VERDICTS}
"""The words of verdicts in tables."""

_COUNTED = {
    IDENTICAL: "identical",
    AGREES: "within errors",
    NOT_COMPARED: "not compared",
}


class Names(NamedTuple):
    """The names of the two files."""

    a: str
    b: str


def comparison_table(
    comparisons: Sequence[Comparison[R]], matching: Matching[R], names: Names
) -> Table:
    """Return the table of comparisons, one row per pair."""
    kind = matching.kind
    return Table(
        list(_columns(comparisons, kind)),
        list(_caption(comparisons, kind, names)),
        Records(comparisons, partial(_record, kind=kind)),
        list(_caveats(comparisons, matching, names)),
        label="varsim-compare",
    )


def summary(comparisons: Sequence[Comparison[R]]) -> str:
    """Return the outcome in a sentence."""
    total = len(comparisons)
    wrong = [each for each in comparisons if each.verdict == DIFFERS]
    if wrong:
        return f"{len(wrong)} of {_pairs(total)} differ: {named([w.pair.a for w in wrong])}."
    verdicts = [each.verdict for each in comparisons]
    counts = [f"{verdicts.count(v)} {text}" for v, text in _COUNTED.items() if v in verdicts]
    agreeing = total - verdicts.count(NOT_COMPARED)
    return f"{agreeing} of {_pairs(total)} agree: {', '.join(counts)}."


def no_pair(matching: Matching[R], names: Names) -> str:
    """Return the sentence for two files without a single pair."""
    a, b = matching.only_a[0], matching.only_b[0]
    return (
        f"no row of {names.a} measures what a row of {names.b} does ({named([a], 1)} against "
        f"{named([b], 1)}); give files of the same experiments"
    )


def not_of_one_kind(names: Iterable[str], kinds: Iterable[str]) -> str:
    """Return the sentence for two files whose rows are of different kinds."""
    holds = [f"{name} holds {kind}" for name, kind in zip(names, kinds, strict=True)]
    return f"{', and '.join(holds)}; give files of one kind"


def _columns(comparisons: Sequence[Comparison[R]], kind: Kind[R]) -> Iterator[Column]:
    rows = [each.pair.a for each in comparisons]
    confidence = rows[0].confidence
    alike = all(each.pair.a.seeds == each.pair.b.seeds for each in comparisons)
    if kind.schema.member:
        names = [row_name(row) for row in rows]
        if len(set(names)) > 1:
            yield Column("stack", names, numeric=False, shortenable=True)
        yield Column(kind.schema.member, [str(row.place) for row in rows], name=kind.schema.member)
    else:
        yield from (each for each in setting_columns(rows) if alike or each.name != "seed")
    if len({each.measure for each in comparisons}) > 1:
        measures = [each.measure for each in comparisons]
        yield Column("of", measures, numeric=False, name="measure")
    sides = () if alike else (("a", rows), ("b", [each.pair.b for each in comparisons]))
    for side, rows_of_side in sides:
        cells = ["+".join(map(str, row.seeds)) for row in rows_of_side]
        if len(set(cells)) > 1:
            yield Column(f"seed {side}", cells, drop_priority=2, name=f"seed_{side}")
    measured = {"a": [each.a for each in comparisons], "b": [each.b for each in comparisons]}
    exponent = any(needs_exponent(e.value) for of_side in measured.values() for e in of_side if e)
    for side, estimates in measured.items():
        cells = [interval_text(e, confidence, exponent=exponent) if e else "" for e in estimates]
        yield Column(f"{side} ± {level(rows)}", cells, name=side)
    cells = [_difference(each, confidence) for each in comparisons]
    yield Column("difference, %", cells, drop_priority=1, name="difference")
    tested = [each.difference if each.std_error else None for each in comparisons]
    cells = [f"{d.z or 0.0:+.2f}" if d else "" for d in tested]
    yield Column("z", cells, drop_priority=0, name="z")
    cells = [CELLS[each.verdict] for each in comparisons]
    yield Column("verdict", cells, numeric=False, name="verdict")


def _difference(comparison: Comparison[R], confidence: float) -> str:
    """Return the difference in percent of the first, with its interval if it has one."""
    difference, a = comparison.difference, comparison.a
    if difference is None or a is None:
        return ""
    if difference.value == 0.0 or not a.value:
        return significant(difference.value)
    percent = 100 / abs(a.value)
    if comparison.std_error is None:
        return significant(percent * difference.value, 2)
    return with_error(percent * difference.value, percent * difference.rough_half_width(confidence))


def _caption(comparisons: Sequence[Comparison[R]], kind: Kind[R], names: Names) -> Iterator[str]:
    a, b = [each.pair.a for each in comparisons], [each.pair.b for each in comparisons]
    dtypes, versions = (_dtypes(a), _dtypes(b)), (_versions(a), _versions(b))
    for letter, name, rows in zip("ab", names, (a, b), strict=True):
        parts = [name, kind.extent(rows), seeds(rows)]
        parts += [_dtypes(rows)] if len(set(dtypes)) > 1 else []
        parts += [f"varsim {_versions(rows)}"] if len(set(versions)) > 1 else []
        yield f"{letter}: {', '.join(parts)}."
    shared = ", ".join(shared_settings([*a, *b]))
    if shared:
        yield f"Both: {shared}."
    if any(by_ratio(kind, each.pair) for each in comparisons):
        yield "With fixed-x, a and b are ratios to the theory given x: each x has its own variance."
    alpha = comparisons[0].alpha
    yield (
        "The difference is b - a. agrees: it lies within the errors; if no pair truly differs, the "
        f"chance of any DIFFERS in this table is at most {100 * alpha:.12g}% (Holm)."
    )


def _dtypes(rows: Sequence[R]) -> str:
    return " and ".join(sorted({row.question.dtype for row in rows}))


def _versions(rows: Sequence[R]) -> str:
    return " and ".join(sorted({row.varsim for row in rows}))


def _caveats(
    comparisons: Sequence[Comparison[R]], matching: Matching[R], names: Names
) -> Iterator[str]:
    drawn_again = (e.pair for e in comparisons if e.pair.same_streams and not e.identical)
    redrawn = list({id(pair): pair.a for pair in drawn_again}.values())  # a pair has many measures
    if redrawn:
        yield (
            f"{_pairs(len(redrawn))} of the same seed and samples "
            f"{_are(len(redrawn))} not identical: another version of NumPy or varsim gives other "
            f"draws, and another machine other last digits: {named(redrawn)}."
        )
    sharing = [pair.a for pair in matching.pairs if pair.shares_draws]
    if sharing:
        yield (
            f"{_pairs(len(sharing))} {_have(len(sharing))} draws in common, of the same seeds, so "
            f"the difference is smaller than its error says: {named(sharing)}."
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


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _record(comparison: Comparison[R], kind: Kind[R]) -> dict[str, object]:
    a, b = comparison.pair
    difference, confidence = comparison.difference, a.confidence
    tested = difference if comparison.std_error else None
    ends = tested.interval(confidence) if tested else (None, None)
    fields = kind.schema.by_name
    of_each = ("varsim", "seed", "dtype", kind.replicates, "key", *kind.compared)
    what = {name: list(v) if isinstance(v, tuple) else v for name, v in quantity(kind, a).items()}
    return {
        "schema": NUMBER,
        "kind": "comparison",
        **what,
        **{f"{name}_a": fields[name].to_json(a) for name in of_each},
        **{f"{name}_b": fields[name].to_json(b) for name in of_each},
        "same_streams": comparison.pair.same_streams,
        "measure": comparison.measure,
        "compared": "ratio" if by_ratio(kind, comparison.pair) else "variance",
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
