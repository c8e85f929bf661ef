"""The command ``varsim plot``: files of results to figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

# matplotlib, NumPy and what needs them are imported where they are used: help starts without.
from varsim.cli import options as common
from varsim.cli.exits import DONE, FAILED
from varsim.cli.help import GroupedCommand
from varsim.cli.options import OUT, option, swept
from varsim.cli.publish import say, say_error
from varsim.cli.types import Number
from varsim.parsing import InputError

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
        help="Dots an inch of a .png.")  # fmt: skip
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
    from varsim.storage.sources import rows_in

    _check(output, width, dpi)
    draw, encode = _pencils()
    drawn = draw(rows_in(results), width)
    written = [_write(path, encode(drawn.figure, path.suffix.lower(), dpi)) for path in output]
    if not quiet:
        for remark in drawn.remarks:
            say(f"Note: {remark}")
    return DONE if all(written) else FAILED


def _check(outputs: Sequence[Path], width: float, dpi: float) -> None:
    known = ", ".join(SUFFIXES)
    if not outputs:
        raise InputError(f"there is no --output to write to; name a file that ends in {known}")
    for output in outputs:
        if output.suffix.lower() not in SUFFIXES:
            raise InputError(f"output {str(output)!r} has no known suffix; take {known}")
    if not 2 <= width <= 40:
        raise InputError(f"width is {width:g}; give inches from 2 to 40, such as 3.4")
    if not 50 <= dpi <= 1200:
        raise InputError(f"dpi is {dpi:g}; give dots an inch from 50 to 1200, such as 300")


def _pencils() -> tuple[Any, Any]:
    try:
        from varsim.plots.figure import draw_any, encode
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise click.ClickException(
            "figures need matplotlib, which is not installed; run: pip install matplotlib"
        ) from None
    return draw_any, encode


def _write(path: Path, content: bytes) -> bool:
    from varsim.storage.files import write_whole

    try:
        write_whole(path, content)
    except OSError as error:
        say_error(
            f"{str(path)!r} could not be written: {error.strerror}; "
            "choose another place with --output"
        )
        return False
    return True
