"""The command ``varsim compare``: two files of rows, pair by pair."""

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
from varsim.statistics import check_probability

if TYPE_CHECKING:
    from varsim import comparison
    from varsim.cli import files, publish
    from varsim.report import comparison as report
else:
    publish = lazy("varsim.cli.publish")
    comparison, files = lazy("varsim.comparison"), lazy("varsim.cli.files")
    report = lazy("varsim.report.comparison")

_EXAMPLES = [
    ("varsim compare before.jsonl after.jsonl", "The same sweep before and after an upgrade."),
    ("varsim compare laptop.csv server.csv --check", "Two machines, in a shell script."),
    ("varsim -f jsonl | varsim compare kept.jsonl -", "A run against a saved one."),
]

_EPILOG = (
    "Verdicts: identical: the same to the last bit; agrees: equal within their errors; DIFFERS: "
    "further apart than their errors allow; not compared: an x of zeros has no ratio. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a pair differs (with --check)."
)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CompareOptions(OutputOptions):
    """Values of the options of ``varsim compare``."""

    files: Sequence[Path]
    alpha: float
    check: bool


@click.command("compare", cls=GroupedCommand, examples=_EXAMPLES, epilog=_EPILOG)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="A B")
@common.alpha
@common.formats
@common.outputs
@common.view()
@common.check(help="Exit with 3 if a pair differs.")
@common.quiet
def command(**given: Any) -> int:
    """Compare two files of results, pair by pair.

    Rows that measure the same are pairs, whatever their seeds and samples. The verdict of a pair
    says whether it differs beyond its errors. The files are .jsonl, .csv or .json, from varsim,
    varsim layers, varsim init or varsim model, or - for stdin.
    """
    with no_garbage_collector():
        return compare(CompareOptions(**given))


def compare(options: CompareOptions) -> int:
    """Compare two files; return the exit code."""
    alpha = check_probability("alpha", options.alpha)
    publisher = publish.Publisher.of(options)
    if len(options.files) != 2:
        raise InputError(f"{files.number_given(options.files)}; give two, each {files.WANTED}")
    files.check_sources(options.files, options.output, "compared")
    names = report.Names(*map(files.file_name, options.files))
    a, b = files.groups_in(options.files)
    matching = comparison.match(a.kind, a.rows, b.rows)
    if not matching.pairs:
        raise InputError(report.no_pair(matching, names))
    comparisons = comparison.compare(matching, alpha)
    table = report.comparison_table(comparisons, matching, names)
    written = publisher.write(table)
    publisher.say_caveats([table])
    publisher.say(report.summary(comparisons))
    if not written:
        return FAILED
    differs = any(each.verdict == comparison.DIFFERS for each in comparisons)
    return DISAGREED if options.check and differs else DONE
