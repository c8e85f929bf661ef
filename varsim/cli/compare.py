"""The command ``varsim compare``: two files of results against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option
from varsim.compute.lazy import lazy

tables = lazy("varsim.cli.tables")

_EXAMPLES = [
    ("varsim compare before.jsonl after.jsonl", "The same sweep before and after an upgrade."),
    ("varsim compare laptop.csv server.csv --check", "Two machines, in a shell script."),
    ("varsim -f jsonl | varsim compare kept.jsonl -", "A run against one that was kept."),
]

_EPILOG = (
    "Verdicts: identical: the same to the last bit; same draws: but for rounding, as between two "
    "CPUs; agrees: other draws, within errors; DIFFERS: beyond them; not compared: an x of zeros "
    "has no ratio. "
    "Exit codes: 0 done, 1 run-time error, 2 wrong usage, 3 a pair differs (with --check)."
)


@click.command("compare", cls=GroupedCommand, examples=_EXAMPLES, epilog=_EPILOG)
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="A B")
@common.alpha
@common.formats
@common.outputs
@option("--check", is_flag=True, group=OUT, help="Exit with 3 if a pair differs.")
@common.quiet
def compare(**options: Any) -> int:
    """Compare two files of results, pair by pair.

    Rows that measure the same are compared, whatever their seeds and samples. The files are .jsonl,
    .csv or .json, as varsim, varsim layers or varsim init write them, or - for stdin. A verdict
    says where they differ beyond their errors.
    """
    code: int = tables.compare(options)
    return code
