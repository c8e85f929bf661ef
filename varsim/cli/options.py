"""Options that commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from varsim.cli.help import GroupedOption
from varsim.cli.params import Name, Number
from varsim.report.formats import FORMATS, SUFFIXES

OUT = "What comes out"


def option(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option in a group of the help."""
    return click.option(*flags, cls=GroupedOption, group=group, **kwargs)


def swept(*flags: str, group: str, **kwargs: Any) -> Callable[[Any], Any]:
    """Return an option that may be repeated."""
    return option(*flags, group=group, multiple=True, **kwargs)


alpha = option(
    "--alpha", type=Number(), default=0.001, show_default=True, group="How it is judged",
    metavar="P", help="False-alarm rate that all verdicts of the table share (Holm).",
)  # fmt: skip

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
