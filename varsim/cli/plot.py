"""The command ``varsim plot``: files of results to figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from varsim.cli import options as common
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option, swept
from varsim.cli.types import Number
from varsim.compute.lazy import lazy

tables = lazy("varsim.cli.tables")

SUFFIXES = (".svg", ".png", ".pdf")
"""What figures are written as."""

_EXAMPLES = [
    ("varsim plot sweep.jsonl -o sweep.pdf", "A figure as wide as a paper's column."),
    ("varsim -s sqrt -d 16:4096:x2 -f jsonl | varsim plot - -o sweep.svg", "Without a file."),
    ("varsim plot a.csv b.csv -o both.png --width 7", "Two files in one figure, over two columns."),
]


@click.command("plot", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument(
    "results", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RESULTS..."
)
@swept("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), group=OUT,
       metavar="FILE",
       help=f"Write the figure to FILE: {' '.join(SUFFIXES)}; repeats.  [required]")  # fmt: skip
@option("--width", type=Number(), default=3.4, show_default=True, group=OUT, metavar="INCHES",
        help="Width of the figure.")  # fmt: skip
@option("--dpi", type=Number(), default=300, show_default=True, group=OUT, metavar="N",
        help="Dots per inch of a .png.")  # fmt: skip
@common.quiet
def plot(
    results: Sequence[Path], output: Sequence[Path], width: float, dpi: float, quiet: bool
) -> int:
    """Draw results of varsim as a figure.

    RESULTS are files that varsim wrote (.jsonl, .csv or .json), or - for stdin. What was swept
    decides the figure: variance and its ratio to theory along D or another number, or by scheme
    or distribution. A single row of varsim --histogram gives the density of its outputs. Files of
    varsim layers give variances and gradients along the layers, and with --histogram the
    distribution of the activations.
    """
    return tables.plot(results, output, width, dpi, quiet=quiet)  # type: ignore[no-any-return]
