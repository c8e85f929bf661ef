"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from varsim.catalog import FLOAT_TYPES
from varsim.cli.help import GroupedOption
from varsim.cli.types import COUNT, NUMBER, SCHEDULER, SEED, Name
from varsim.report.formats import FORMATS, SUFFIXES

HOW, OUT = "How it is sampled", "What comes out"


def option(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option in a group of the help."""
    return click.option(*flags, cls=GroupedOption, group=group, **kwargs)


def swept(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option that may be repeated."""
    return option(*flags, group=group, multiple=True, **kwargs)


seed = option(
    "--seed", type=SEED, default=0, show_default=True, group=HOW, metavar="SEED",
    help="Root of the random streams; random draws one and shows it.",
)  # fmt: skip

dtype = option(
    "--dtype", type=Name(list(FLOAT_TYPES)), default="float32", show_default=True, group=HOW,
    metavar="TYPE", help="float32 or float64, for all that is drawn and multiplied.",
)  # fmt: skip

workers = option(
    "-j", "--workers", type=COUNT, group=HOW, metavar="N",
    help="Threads: they change the time, not the numbers.  [default: one per CPU]",
)  # fmt: skip

scheduler = option(
    "--scheduler", type=SCHEDULER, group=HOW, metavar="ADDRESS",
    help="Compute on a Dask cluster, tcp://host:8786, or local for one of processes here; "
    "the numbers are the same.",
)  # fmt: skip

confidence = option(
    "--confidence", type=NUMBER, default=0.95, show_default=True, group=HOW, metavar="P",
    help="Level of every interval.",
)  # fmt: skip

alpha = option(
    "--alpha", type=NUMBER, default=0.001, show_default=True, group="How it is judged",
    metavar="P", help="False-alarm rate that all verdicts of the table share (Holm).",
)  # fmt: skip

resume = option(
    "--resume", is_flag=True, group=OUT,
    help="Add rows to the --output file (.jsonl or .csv) as they are done, and run only what is "
    "missing there.",
)  # fmt: skip

check = option("--check", is_flag=True, group=OUT, help="Exit with 3 if a verdict disagrees.")

formats = option(
    "-f", "--format", type=Name(list(FORMATS)), default="table", show_default=True, group=OUT,
    metavar="FORMAT", help=f"{', '.join(FORMATS)}; to stdout.",
)  # fmt: skip

outputs = swept(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), group=OUT, metavar="FILE",
    help=f"Also write FILE in the format of its suffix: {' '.join(SUFFIXES)}; repeats.",
)  # fmt: skip

quiet = option(
    "-q", "--quiet", is_flag=True, group=OUT, help="No progress, caveats or summary on stderr."
)
