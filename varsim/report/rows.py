"""Rows as tables: which columns, what stands in them, and what a reader should know.

All of it follows from the fields of the rows, whatever kind they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from varsim.catalog.designs import DESIGNS
from varsim.fields import Field, Schema, level, many_seeds
from varsim.fields.rounding import needs_exponent, significant
from varsim.layer.experiment import Experiment
from varsim.layer.result import RESULTS, Result
from varsim.layer.sampling import block_bytes, block_numbers
from varsim.report import Column, Records, Table
from varsim.statistics.moments import Totals

if TYPE_CHECKING:
    from varsim.layer.check import InitializerCheck
    from varsim.stack.result import LayerResult

_MOST_CAVEATS = 3

# Columns of the small chart of a stack.
_AXIS = 15


def columns(rows: Sequence[Any]) -> list[Column]:
    """Return the columns of a table of rows: settings that vary, and what was measured."""
    found, schema = [], rows[0].schema
    table = [schema.by_name[name] for name in schema.table]
    fields = [field for field in table if not field.when_varying or _varies(field, rows)]
    for field in fields:
        alike = [each for each in fields if each.measured is field.measured]
        column = _column(field, rows, exponent=field.measured is not None and _large(alike, rows))
        if any(column.cells) or not field.optional or field.name == "agrees":
            found.append(column)
    return found


def setting_columns(rows: Sequence[Any]) -> list[Column]:
    """Return the columns that tell rows apart."""
    schema = rows[0].schema
    table = map(schema.by_name.__getitem__, schema.table)
    fields = [field for field in table if field.phrase and not field.derived]
    return [_column(f, rows) for f in fields if not f.when_varying or _varies(f, rows)]


def _large(fields: Sequence[Field], rows: Sequence[Any]) -> bool:
    """Tell whether some number of columns beside each other needs an exponent."""
    return any(needs_exponent(field.value(row) or 0.0) for field in fields for row in rows)


def _column(field: Field, rows: Sequence[Any], *, exponent: bool = False) -> Column:
    header = field.header.format(level=level(rows)) if "{" in field.header else field.header
    cells = [field.text(row, exponent=exponent) for row in rows]
    return Column(
        header, cells, field.numeric, field.drop_priority, shortenable=field.name == "init",
        note=field.note, name=field.name,
    )  # fmt: skip


def _hidden(rows: Sequence[Any]) -> Callable[[str], Column | None]:
    """Return what makes the column of a field that a table does not show by itself."""
    fields = rows[0].schema.by_name

    def column(name: str) -> Column | None:
        field = fields.get(name)
        return _column(field, rows) if field is not None and field.header else None

    return column


def shared_settings(rows: Sequence[Any]) -> list[str]:
    """Return the settings, but for the seed, that all rows share and that are worth a word."""
    shared, schema = [], rows[0].schema
    for field in map(schema.by_name.__getitem__, schema.settings):
        values = field.values(rows)
        if field.name not in ("init", "w_dist"):  # None is one way to make W; else it is no setting
            values -= {None}
        if len(values) != 1 or values == {None}:
            continue
        if field.always or not all(map(field.usual, rows)):
            shared.append(field.phrase.format(field.show(values.pop())))
    return shared


def _settings(rows: Sequence[Any]) -> str:
    return ", ".join([*shared_settings(rows), seeds(rows)])


def _records(rows: Sequence[Any]) -> Records:
    return Records(rows, rows[0].schema.record)


def seeds(rows: Sequence[Any]) -> str:
    """Return the seeds of rows, in words."""
    every = sorted({seed for row in rows for seed in row.seeds})
    return many_seeds(every) or f"seed {', '.join(map(str, every))}"


def row_name(row: Any, without: Sequence[str] = ()) -> str:
    """Return what a row is called in a sentence: each setting that names it or is not as usual."""
    schema: Schema[Any] = row.schema
    return schema.name_of(row, without)


def _without_saying(rows: Sequence[Any]) -> list[str]:
    """Return the settings that all rows of a table share, which its sentences leave out."""
    schema: Schema[Any] = rows[0].schema
    told = {*schema.named_by, "init"}
    return [n for n in schema.settings if n not in told and not _varies(schema.by_name[n], rows)]


def named(rows: Sequence[Any], most: int = 3) -> str:
    """Return what rows are called in a sentence, with their layers: so many, and how many more."""
    names = [
        row_name(row) + (f", layer {row.layer}" if "layer" in row.schema.by_name else "")
        for row in rows
    ]
    more = f"; and {len(rows) - most:,} more" if len(rows) > most else ""
    return "; ".join(names[:most]) + more


def span(values: Sequence[int]) -> str:
    """Return a count, or the range of counts, with thousands separated.

    >>> span([1000, 1000]), span([64, 1000])
    ('1,000', '64 to 1,000')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def caveat_sentences(rows: Sequence[Any]) -> Iterator[str]:
    """Yield what a reader of the table should know: the first caveats of each kind, by row."""
    kinds: dict[str, list[tuple[Any, str]]] = {}
    for row in rows:
        for caveat in row.caveats:
            kinds.setdefault(caveat.id, []).append((row, caveat.message))
    shared = _without_saying(rows) if kinds else []
    for kind, found in kinds.items():
        for row, message in found[:_MOST_CAVEATS]:
            yield f"{row_name(row, shared)}: {message}."
        if len(found) > _MOST_CAVEATS:
            more = len(found) - _MOST_CAVEATS
            have = "rows have" if more > 1 else "row has"
            yield f"{more} more {have} the caveat {kind!r}; --format csv shows all of them."


def verdict_sentence(rows: Sequence[Any]) -> list[str]:
    """Return what the verdicts of rows mean; nothing where none is passed."""
    alpha = next((row.alpha for row in rows if row.agrees is not None), None)
    if alpha is None:
        return []
    return [
        "agrees: theory lies within the sampling error; if all theories hold, the chance of any "
        f"DISAGREES in this table is at most {100 * alpha:.12g}% (Holm)."
    ]


def results_table(results: Sequence[Result], remarks: Sequence[str] = ()) -> Table:
    """Return results as a table: theory against measurement, row by row; remarks go below."""
    samples, blocks = span([r.samples for r in results]), span([r.blocks for r in results])
    targets = sorted({p for r in results if (p := r.question.precision) is not None})
    aim = ", to " + " and ".join(f"{100 * t:g}%" for t in targets) if targets else ""
    sentence = (
        f"{samples} outputs per row, in {blocks} independent blocks{aim}; {_settings(results)}."
    )
    for design in dict.fromkeys(r.question.design for r in results):
        sentence += f" {design}: {DESIGNS[design].meaning}."
    return Table(
        columns(results),
        [sentence, *verdict_sentence(results)],
        _records(results),
        list(caveat_sentences(results)),
        remarks,
        _hidden(results),
    )


def checks_table(rows: Sequence[InitializerCheck], remarks: Sequence[str] = ()) -> Table:
    """Return checks of initializers as a table; remarks go below."""
    first = rows[0]
    shapes = dict.fromkeys((row.dim, row.fan_out) for row in rows)
    shape = f"W of {first.dim} x {first.fan_out}, " if len(shapes) == 1 else ""
    packages = "".join(f", {p}" for p in dict.fromkeys(r.init_package for r in rows) if p)
    draws = span([row.draws for row in rows])
    return Table(
        columns(rows),
        [
            f"{shape}{draws} draws each, {first.dtype}, {seeds(rows)}{packages}.",
            *verdict_sentence(rows),
        ],
        _records(rows),
        list(caveat_sentences(rows)),
        remarks,
        _hidden(rows),
    )


def stack_table(rows: Sequence[LayerResult], remarks: Sequence[str] = ()) -> Table:
    """Return the layers of one stack as a table, from the input on; remarks go below."""
    first = rows[0]
    caption = [
        f"{first.networks:,} networks of {first.depth:,} layers, with a batch of "
        f"{first.question.batch:,} inputs per network; {_settings([first])}. Errors are between "
        "networks.",
        *verdict_sentence(rows),
    ]
    slack = max(max(row.theory_slack, row.gradient_slack) for row in rows)
    if slack >= 0.0005:
        allowed = (
            f"Verdicts allow theory for what it leaves out at finite width, at most {slack:.1%}"
        )
        if any(row.is_loose for row in rows):
            allowed += ": how the weights depend on each other is not known"
        caption.append(allowed + ".")
    return Table(
        [*columns(rows), _chart(rows)],
        caption,
        _records(rows),
        list(_stack_caveats(rows)),
        remarks,
        _hidden(rows),
    )


_TABLES: dict[str, Callable[[Sequence[Any], Sequence[str]], Table]] = {
    "effective_samples": results_table, "layer": stack_table, "mean_square": checks_table,
}  # fmt: skip
"""The table of every kind of row, by the marker of its schema."""


def table_of(rows: Sequence[Any], remarks: Sequence[str] = ()) -> Table:
    """Return rows of one kind as a table; of stacks, the layers of one. Remarks go below."""
    return _TABLES[rows[0].schema.marker](rows, remarks)


def tables_of(rows: Iterable[Any]) -> list[Table]:
    """Return the tables of rows, in their order: one for each stack, and one for other rows."""

    def of(row: Any) -> tuple[str, object]:
        return row.schema.marker, row.question if "layer" in row.schema.by_name else None

    return [table_of(list(group)) for _, group in groupby(rows, of)]


def _chart(rows: Sequence[LayerResult]) -> Column:
    """Return where every layer lies on a logarithmic axis that holds 1."""
    pairs = [(row.gradient, row.empirical) for row in rows]
    known = [math.log10(v) for pair in pairs for v in pair if v is not None and v > 0]
    low = min(-1, math.floor(min(known, default=0.0)))
    high = max(1, math.ceil(max(known, default=0.0)))
    marks = "h ● ∂h ○" if any(gradient is not None for gradient, _ in pairs) else "h ●"
    header = f"1e{low:+03d} {marks} 1e{high:+03d}".center(_AXIS)
    width = max(_AXIS, len(header))
    cells = []
    for pair in pairs:
        cell = [" "] * width
        cell[round(-low / (high - low) * (width - 1))] = "│"
        for value, mark in zip(pair, "○●", strict=True):
            if value is not None and value > 0:
                at = round((math.log10(value) - low) / (high - low) * (width - 1))
                cell[at] = "◉" if cell[at] == "○" else mark
        cells.append("".join(cell))
    return Column(header, cells, numeric=False, drop_priority=-1, chart=True)


def _stack_caveats(rows: Sequence[LayerResult]) -> Iterator[str]:
    """Yield one caveat of each kind: of the layer that is farthest from where it begins."""
    last = {c.id: f"layer {row.layer}: {c.message}." for row in rows for c in row.caveats}
    first = {c.id: f"layer {row.layer}: {c.message}." for row in rows[::-1] for c in row.caveats}
    last |= {id_: first[id_] for id_ in first if "gradient" in id_}
    gaps = {c.id: f"{c.message}." for row in rows for c in row.caveats if c.id == "no-theory"}
    for sentence in (last | gaps).values():
        yield f"{row_name(rows[0])}: {sentence}"


def plan_table(
    experiments: Sequence[Experiment], workers: int, extents: Sequence[tuple[int, int]]
) -> Table:
    """Return experiments with what each will cost and how precise it will be.

    Args:
        experiments: What is to run.
        workers: Number of workers.
        extents: Of each, the number of blocks there are already, and that it is to have.
    """
    planned = [Result(experiment, Totals()) for experiment in experiments]
    records = [_plan(row, workers, *extent) for row, extent in zip(planned, extents, strict=True)]
    numbers = sum(record["numbers"] for record in records)
    caption = [
        f"{len(records):,} to run, {numbers:,} random numbers to draw; nothing was run.",
        f"Settings: {_settings(planned)}.",
        "The expected error is the relative standard error; memory is that of the arrays of "
        f"{workers} worker{'s' * (workers > 1)}.",
    ]
    return Table(
        [
            *setting_columns(planned),
            Column("blocks", [f"{record['blocks']:,}" for record in records]),
            Column("outputs", [f"{record['samples']:,}" for record in records]),
            Column("numbers to draw", [f"{r['numbers']:,}" for r in records], drop_priority=1),
            Column("expected error", [f"{record['relative_error']:.2%}" for record in records]),
            Column(
                "memory", [f"{significant(r['memory'] / 2**20, 2)} MiB" for r in records],
                drop_priority=0,
            ),
        ],
        caption,
        records,
    )  # fmt: skip


def _plan(row: Result, workers: int, begun: int, end: int) -> dict[str, Any]:
    e = row.question
    blocks = end - begun
    settings = ("design", "dim", "fan_out", "scale", "k", "gain", "x_dist", "w_dist", "dtype")
    entries = [name for name in RESULTS.names if name.endswith(("_mean", "_std"))]
    return {
        **{name: getattr(row, name) for name in settings},
        "blocks": blocks,
        "samples": blocks * e.block.outputs,
        "numbers": blocks * block_numbers(e),
        "theory": row.theory,
        "relative_error": row.prediction.relative_error(end),
        "memory": workers * block_bytes(e),
        **{name: getattr(row, name) for name in (*entries, "precision", "init")},
    }


def _varies(field: Field, rows: Sequence[Any]) -> bool:
    """Tell whether a setting tells rows apart, and does not only follow another column."""
    values = field.values(rows)
    if field.name != "init":
        values -= {None}
    return len(values) > 1 and not all(map(field.usual, rows))
