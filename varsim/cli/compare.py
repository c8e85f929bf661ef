"""The command ``varsim compare``: two files of results against each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

# NumPy and what needs it are imported where they are used: help and completion start without.
from varsim.cli import options as common
from varsim.cli.exits import DISAGREED, DONE, FAILED
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option
from varsim.cli.publish import Publisher
from varsim.parsing import InputError
from varsim.storage.sources import READABLE, results_in

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

    Rows go together that measure the same, whatever their seeds and samples; the files are .jsonl,
    .csv or .json, as varsim writes them, or - for stdin. Says where they differ beyond their
    errors.
    """
    from varsim.comparison import DIFFERS, match
    from varsim.comparison import compare as compared
    from varsim.layer.inference import check_probability
    from varsim.report.comparison import Names, comparison_sheet, no_pair, summary

    alpha = check_probability("alpha", options["alpha"])
    publisher = Publisher(
        options["format"], options["output"], explain=False, quiet=options["quiet"]
    )
    files = _two(options["files"])
    _spare(files, options["output"])
    matching = match(*map(results_in, files))
    names = Names(*map(_name, files))
    if not matching.pairs:
        raise InputError(no_pair(matching, names))
    comparisons = compared(matching.pairs, alpha)
    sheet = comparison_sheet(comparisons, matching, names)
    written = publisher.write(sheet)
    for sentence in sheet.caveats:
        publisher.say(f"Caveat: {sentence}")
    publisher.say(summary(comparisons))
    differs = any(each.verdict == DIFFERS for each in comparisons)
    return FAILED if not written else DISAGREED if options["check"] and differs else DONE


def _two(files: Sequence[Path]) -> Sequence[Path]:
    if len(files) != 2:
        raise InputError(
            f"varsim compare takes two files of results ({', '.join(READABLE)}, or - for stdin), "
            f"and {len(files)} {'was' if len(files) == 1 else 'were'} given; name two"
        )
    if all(str(file) == "-" for file in files):
        raise InputError("stdin can be read only once, and - was given twice; name a file")
    return files


def _spare(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    """Refuse to replace what is compared."""
    sources = {os.path.realpath(file) for file in files if str(file) != "-"}
    for output in outputs:
        if os.path.realpath(output) in sources:
            raise InputError(
                f"output {str(output)!r} is one of the files that are compared, and would be "
                "replaced; choose another --output"
            )


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else repr(str(file))
