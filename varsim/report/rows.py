"""Rows as tables: columns, captions and caveats from the fields of any kind of row."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from varsim.fields import Field, Schema, level, many_seeds
from varsim.fields.field import R
from varsim.fields.rounding import needs_exponent, percent
from varsim.table import Column, Records, Table

_MOST_CAVEATS = 3

# Most runs of neighbouring members that a sentence lists.
_MOST_RUNS = 4

# The smallest allowance that a caption tells.
_SHOWN = 0.0005


def schema_of(rows: Sequence[R]) -> Schema[R]:
    """Return the schema of rows of one kind."""
    return rows[0].schema


def rows_table(  # noqa: PLR0913  # the parts of a table
    rows: Sequence[R],
    sentences: Sequence[str],
    remarks: Sequence[str],
    caveats: Iterable[str] | None = None,
    charts: Sequence[Column] = (),
    *,
    label: str = "varsim",
) -> Table:
    """Return the table of rows of one kind.

    Args:
        rows: The rows.
        sentences: The sentences below the table.
        remarks: Further sentences.
        caveats: The sentences of caveats; by default those of the rows.
        charts: Columns after those of the fields.
        label: The name in references of a paper.
    """
    shown, schema = columns(rows), schema_of(rows)
    names = {column.name for column in shown}
    unlisted = [field for field in schema.fields if field.header and field.name not in names]
    return Table(
        [*shown, *charts],
        sentences,
        Records(rows, schema.record),
        list(caveat_sentences(rows) if caveats is None else caveats),
        remarks,
        [_column(field, rows) for field in unlisted],
        label,
    )


def columns(rows: Sequence[R]) -> list[Column]:
    """Return the columns of a table of rows: varying settings and measurements."""
    shown, schema = [], schema_of(rows)
    table = [schema.by_name[name] for name in schema.table]
    fields = [field for field in table if not field.when_varying or varies(field, rows)]
    for field in fields:
        alike = [each for each in fields if each.measured is field.measured]
        column = _column(field, rows, exponent=field.measured is not None and _large(alike, rows))
        if any(column.cells) or not field.value_type.is_optional or field.name == "agrees":
            shown.append(column)
    return shown


def setting_columns(rows: Sequence[R]) -> list[Column]:
    """Return the columns of the settings that name rows or vary."""
    schema = schema_of(rows)
    table = map(schema.by_name.__getitem__, schema.table)
    fields = [field for field in table if field.phrase and field.stored]
    return [_column(f, rows) for f in fields if not f.when_varying or varies(f, rows)]


def _float(value: object) -> float:
    return value if isinstance(value, float) else 0.0


def _large(fields: Sequence[Field[R, object]], rows: Sequence[R]) -> bool:
    """Return whether any number in these columns needs an exponent."""
    return any(needs_exponent(_float(field.get(row))) for field in fields for row in rows)


def _column(field: Field[R, object], rows: Sequence[R], *, exponent: bool = False) -> Column:
    header = field.header.format(level=level(rows)) if "{" in field.header else field.header
    cells = [field.text(row, exponent=exponent) for row in rows]
    return Column(
        header, cells, field.numeric, field.drop_priority, shortenable=field.name == "init",
        name=field.name,
    )  # fmt: skip


def shared_settings(rows: Sequence[R]) -> list[str]:
    """Return the settings, without the seed, that all rows share and captions name."""
    shared, schema = [], schema_of(rows)
    for field in map(schema.by_name.__getitem__, schema.settings):
        values = field.values(rows)
        if field.name not in ("init", "w_dist"):  # for these two None is a value
            values -= {None}
        if len(values) != 1 or values == {None}:
            continue
        if field.always_in_caption or not all(map(field.is_default, rows)):
            shared.append(field.phrase.format(field.show(values.pop())))
    return shared


def settings(rows: Sequence[R]) -> str:
    """Return the settings that all rows share, and their seeds."""
    return ", ".join([*shared_settings(rows), seeds(rows)])


def seeds(rows: Sequence[R]) -> str:
    """Return the seeds of rows, in words."""
    every = sorted({seed for row in rows for seed in row.seeds})
    return many_seeds(every) or f"seed {', '.join(map(str, every))}"


def row_name(row: R, without: Sequence[str] = ()) -> str:
    """Return the name of a row in a sentence: naming settings and those that are not defaults."""
    return schema_of([row]).name_of(row, without)


def _without_saying(rows: Sequence[R]) -> list[str]:
    """Return the settings that all rows of a table share, which its sentences omit."""
    schema = schema_of(rows)
    named_always = {*schema.named_by, "init"}
    return [
        n for n in schema.settings if n not in named_always and not varies(schema.by_name[n], rows)
    ]


def named(rows: Sequence[R], most: int = 3) -> str:
    """Return the names of the first rows and the number of further ones, for a sentence.

    Rows of one question are named together, such as the layers of a stack.
    """
    names, member = list(map(row_name, rows)), schema_of(rows).member
    if member:
        places: dict[str, list[int]] = {}
        for name, row in zip(names, rows, strict=True):
            places.setdefault(name, []).append(row.place)
        names = [f"{name}, {members_in_words(member, each)}" for name, each in places.items()]
    more = f"; and {len(names) - most:,} more" if len(names) > most else ""
    return "; ".join(names[:most]) + more


def members_in_words(member: str, places: Sequence[int]) -> str:
    """Return ascending places in words: every run of neighbours, or their range if there are many.

    >>> members_in_words("layer", [5]), members_in_words("layer", [1, 28, 29, 30])
    ('layer 5', 'layers 1 and 28 to 30')
    """
    runs = [
        [place for _, place in run]
        for _, run in groupby(enumerate(places), lambda each: each[1] - each[0])
    ]
    if len(runs) > _MOST_RUNS:
        return f"some of {member}s {places[0]} to {places[-1]}"
    words = [str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}" for run in runs]
    listed = " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))
    return f"{member}{'s' * (len(places) > 1)} {listed}"


def span(values: Sequence[int]) -> str:
    """Return a count, or the range of counts, with thousands separated.

    >>> span([1000, 1000]), span([64, 1000])
    ('1,000', '64 to 1,000')
    """
    low, high = min(values), max(values)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def caveat_sentences(rows: Sequence[R]) -> Iterator[str]:
    """Yield the sentences of the first caveats of each kind, by row."""
    kinds: dict[str, list[tuple[R, str]]] = {}
    for row in rows:
        for caveat in row.caveats:
            kinds.setdefault(caveat.id, []).append((row, caveat.message))
    shared = _without_saying(rows) if kinds else []
    for kind, given in kinds.items():
        for row, message in given[:_MOST_CAVEATS]:
            yield f"{row_name(row, shared)}: {message}."
        if len(given) > _MOST_CAVEATS:
            more = len(given) - _MOST_CAVEATS
            have = "rows have" if more > 1 else "row has"
            yield f"{more} more {have} the caveat {kind!r}; --format csv shows all of them."


def verdict_sentence(rows: Sequence[R], allowance: float = 0.0) -> list[str]:
    """Return the sentence about the verdicts of rows; empty without verdicts.

    Args:
        rows: The rows.
        allowance: The largest relative allowance of a theory.
    """
    alpha = next((row.alpha for row in rows if row.agrees is not None), None)
    if alpha is None:
        return []
    allowed = f" and its allowance of at most {allowance:.1%}" if allowance >= _SHOWN else ""
    judged = [row for row in rows if row.agrees is not None]
    least = [row.least_deviation(row.tests or 1) or math.inf for row in judged]
    finite = math.isfinite(max(least))
    seen = f"a deviation of {percent(max(least))} would be seen; " if finite else ""
    return [
        f"agrees: theory is within the sampling error{allowed}; {seen}at most "
        f"{_share_of_tables(alpha)} a false alarm."
    ]


def _share_of_tables(alpha: float) -> str:
    """Return a share of tables in words.

    >>> _share_of_tables(0.001), _share_of_tables(0.03)
    ('1 table in 1,000 has', '3% of tables have')
    """
    tables = round(1 / alpha)
    if math.isclose(alpha * tables, 1.0):
        return f"1 table in {tables:,} has"
    return f"{100 * alpha:.12g}% of tables have"


def varies(field: Field[R, object], rows: Sequence[R]) -> bool:
    """Return whether a setting differs between rows and does not merely follow another column."""
    values = field.values(rows)
    if field.name != "init":
        values -= {None}
    return len(values) > 1 and not all(map(field.is_default, rows))
