"""The command ``varsim merge``: files of rows with different seeds, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.collector import no_garbage_collector
from varsim.cli.options import OutputOptions
from varsim.cli.streams import DISAGREED, DONE, FAILED
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError
from varsim.statistics import check_probability, judge

if TYPE_CHECKING:
    from varsim import kinds
    from varsim.cli import files, publish
    from varsim.comparison import merging
    from varsim.comparison.merging import Merged
    from varsim.report import rows as report
    from varsim.study import B
else:
    publish = lazy("varsim.cli.publish")
    files, merging = lazy("varsim.cli.files"), lazy("varsim.comparison.merging")
    kinds = lazy("varsim.kinds")
    report = lazy("varsim.report.rows")

_EXAMPLES = [
    ("varsim merge laptop.jsonl server.jsonl -o both.jsonl", "Two machines, a seed each."),
    ("varsim merge seed*.csv --check", "Many runs, judged as one."),
]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MergeOptions(OutputOptions):
    """Values of the options of ``varsim merge``."""

    files: Sequence[Path]
    confidence: float
    alpha: float
    check: bool


@click.command("merge", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="FILES...")
@common.confidence
@common.alpha
@common.formats
@common.outputs
@common.view()
@common.check(help="Exit with 3 if a verdict disagrees.")
@common.quiet
def command(**given: Any) -> int:
    """Merge files of results that have different seeds.

    Rows of one experiment become one row, with the draws of all. Other rows stay unchanged.
    Verdicts are computed again. The files are .jsonl, .csv or .json, from varsim, varsim layers or
    varsim init or varsim model, or - for stdin.
    """
    with no_garbage_collector():
        return merge(MergeOptions(**given))


def merge(options: MergeOptions) -> int:
    """Merge files of rows; return the exit code."""
    alpha = check_probability("alpha", options.alpha)
    confidence = check_probability("confidence", options.confidence)
    publisher = publish.Publisher.of(options)
    if not options.files:
        raise InputError(
            f"{files.number_given(options.files)}; give one or more, each {files.WANTED}"
        )
    files.check_sources(options.files, options.output, "merged")
    groups = files.groups_in(options.files)
    kind, rows = groups[0].kind, [row for group in groups for row in group.rows]
    sources = [group.path for group in groups for _ in group.rows]
    _refuse_repeats(rows, sources)
    publisher.view.check(rows[0].schema)
    merged = merging.merge(kind, [row.at(confidence) for row in rows])
    judged = judge(merged.rows, alpha)
    tables = kinds.tables_of(judged)
    written = publisher.write(*tables)
    for note in _notes(merged):
        publisher.say(note)
    publisher.say_caveats(tables)
    publisher.say(_what_was_merged(len(options.files), len(rows), merged))
    for sentence in publish.summary(kind, judged):
        publisher.say(sentence)
    if not written:
        return FAILED
    disagrees = any(row.agrees is False for row in judged)
    return DISAGREED if options.check and disagrees else DONE


def _refuse_repeats(rows: Sequence[B], sources: Sequence[Path]) -> None:
    """Refuse rows that hold the same draws."""
    twice = merging.repeat(rows)
    if twice is None:
        return
    first, second = (files.file_name(sources[place]) for place in (twice.first, twice.second))
    where = f"twice in {first}" if first == second else f"in {first} and in {second}"
    raise InputError(
        f"seed {twice.seed} of {report.row_name(rows[twice.first])} is {where}, and the same draws "
        "count once; leave one out, or run it again with another --seed"
    )


def _notes(merged: Merged[B]) -> list[str]:
    """Return sentences about rows that could not be pooled as a whole."""
    apart: dict[str, list[B]] = {}
    for row, reason in merged.apart:
        apart.setdefault(reason, []).append(row)
    notes = [
        f"Note: Not pooled, since {reason}: {report.named(rows)}." for reason, rows in apart.items()
    ]
    if merged.uncounted:
        lost = report.named(merged.uncounted)
        notes.append(f"Note: Not all files have a histogram, so it is left out: {lost}.")
    return notes


def _what_was_merged(number_of_files: int, before: int, merged: Merged[B]) -> str:
    """Return the numbers of rows before and after, in a sentence."""
    of = (
        f"{before:,} row{'s' * (before > 1)} of {number_of_files} file{'s' * (number_of_files > 1)}"
    )
    if not merged.pooled:
        return f"{of}: none could be pooled, so all are as they were."
    unchanged = len(merged.rows) - merged.pooled
    return (
        f"{of} are now {len(merged.rows):,}: {merged.pooled:,} pooled, {unchanged:,} as "
        f"{'it was' if unchanged == 1 else 'they were'}."
    )
