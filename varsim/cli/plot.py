"""The command ``varsim plot``: files of rows as a figure."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varsim.cli import options as common
from varsim.cli.collector import no_garbage_collector
from varsim.cli.options import FIGURE_SUFFIXES, OUT, File, Values, option
from varsim.cli.streams import DONE, FAILED
from varsim.cli.usage import GroupedCommand
from varsim.compute import lazy
from varsim.errors import InputError, quoted
from varsim.settings import NUMBER

if TYPE_CHECKING:
    import logging

    from varsim import kinds, plots
    from varsim.cli import files, publish
    from varsim.report import gains as report
    from varsim.report.gains import NamedGains
    from varsim.study import Drawn
else:
    publish, report = lazy("varsim.cli.publish"), lazy("varsim.report.gains")
    logging = lazy("logging")
    plots, files = lazy("varsim.plots"), lazy("varsim.cli.files")
    kinds = lazy("varsim.kinds")

_LONGEST_TITLE = 200

# Characters of a .svg up to the name of its creator, and more.
_HEAD = 4096

_EXAMPLES = [
    ("varsim plot sweep.jsonl", "Write sweep.svg, as wide as a paper's column."),
    ("varsim -s sqrt -d 16:4096:x2 -f jsonl | varsim plot - -o sweep.svg", "Without a file."),
    ("varsim plot a.csv b.csv -o both.png --width 7", "Two files in one figure, over two columns."),
    ("varsim gains -f csv | varsim plot - -o gains.svg", "Gains of activations beside torch's."),
]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PlotOptions:
    """Values of the options of ``varsim plot``; width in inches, dpi in dots per inch."""

    results: Sequence[Path]
    output: Sequence[Path]
    width: float
    dpi: float
    title: str
    no_caption: bool
    open: bool
    quiet: bool


@click.command("plot", cls=GroupedCommand, examples=_EXAMPLES)
@click.argument("results", nargs=-1, type=click.Path(path_type=Path), metavar="RESULTS...")
@option("-o", "--output", type=File(), multiple=True, group=OUT, metavar="FILE",
        help=f"Write the figure to FILE: {' '.join(FIGURE_SUFFIXES)}; may be repeated.  "
        "[default: the name of the first file, with .svg]")  # fmt: skip
@option("--width", type=Values(NUMBER), default=3.4, show_default=True, group=OUT, metavar="INCHES",
        help="Width of the figure in inches, from 2 to 40; height and type follow.")  # fmt: skip
@option("--dpi", type=Values(NUMBER), default=300, show_default=True, group=OUT, metavar="N",
        help="Dots per inch of a .png.")  # fmt: skip
@option("--title", group=OUT, default="", metavar="TEXT", help="Title above the figure.")
@option("--no-caption", is_flag=True, group=OUT,
        help="Print the caption on stdout, and leave it out of the figure.")  # fmt: skip
@option("--open", is_flag=True, group=OUT, help="Show the first figure in its program.")
@common.quiet
def command(**given: Any) -> int:
    """Draw results of varsim as a figure.

    RESULTS are files of varsim, varsim layers, varsim init, varsim model or varsim gains (.jsonl,
    .csv or .json), or - for stdin. The sweep decides the figure: variance and its ratio to theory
    along D or another number, or by scheme or distribution. A single row of varsim --histogram
    gives the density of its outputs. Files of varsim layers give variances and gradients along the
    layers, and with --histogram the distribution of the activations. Files of varsim init give
    variances over their claims, files of varsim model the variances of every module, and files of
    varsim gains the gains beside torch's.
    """
    with no_garbage_collector():
        return plot(PlotOptions(**given))


def plot(options: PlotOptions) -> int:
    """Draw rows as a figure; return the exit code."""
    outputs = _outputs(options)
    _check(options, outputs)
    figure_of, rows = _drawn_rows(options.results)
    # What matplotlib logs about its caches is not about the figure; neither is a window's backend.
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())
    os.environ["MPLBACKEND"] = "agg"
    try:
        if not options.output:
            _check_default(outputs[0])
        # Saving a figure can change its layout, so each file has a figure of its own.
        figures = [
            kinds.drawn(
                figure_of,
                rows,
                options.width,
                title=options.title,
                captioned=not options.no_caption,
            )
            for _ in outputs
        ]
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise click.ClickException(str(error)) from None
    written = [
        publish.write_output(path, plots.encode(each.figure, path.suffix.lower(), options.dpi))
        for path, each in zip(outputs, figures, strict=True)
    ]
    publisher = publish.Publisher("table", [], quiet=options.quiet)
    if options.no_caption:
        written.append(publisher.write(prose=f"{figures[0].caption}\n"))
    for remark in figures[0].remarks:
        publisher.say(f"Note: {remark}")
    if not options.output and all(written):
        publisher.say(f"Wrote {outputs[0]}.")
    if options.open and all(written):
        _open(outputs[0], publisher)
    return DONE if all(written) else FAILED


def _drawn_rows(
    results: Sequence[Path],
) -> tuple[Callable[[Sequence[Any], float], Drawn], list[Any]]:
    """Return the function that draws the rows of files, and the rows."""
    sources = list(map(files.source_of, results))
    gains: dict[Path, list[NamedGains]] = {}
    for source in sources:
        with files.named(source.path):
            gains[source.path] = report.read_gains(source.text, source.suffix)
    if all(gains.values()):
        return plots.gains_figure, [row for of_file in gains.values() for row in of_file]
    if any(gains.values()):
        raise InputError("some files hold gains and some do not; give files of one kind")
    groups = files.groups_of(sources)
    return groups[0].kind.figure, [row for group in groups for row in group.rows]


def _outputs(options: PlotOptions) -> Sequence[Path]:
    """Return the figures to write: by default one beside the first file of results."""
    if not options.results:
        raise InputError(
            "no file of results is given; write one and draw it: "
            "varsim --dim 16:4096:x2 -o sweep.jsonl && varsim plot sweep.jsonl"
        )
    if options.output:
        return options.output
    meant = options.results[-1]
    if meant.suffix.lower() in FIGURE_SUFFIXES:
        raise InputError(f"{quoted(meant)} is a figure, not results; write -o {quoted(meant)}")
    first = options.results[0]
    output = Path("varsim.svg") if str(first) == "-" else first.with_suffix(".svg")
    return [output]


def _check_default(output: Path) -> None:
    """Refuse to replace a file that varsim did not draw, and that no option names."""
    if not output.is_file():
        return
    with output.open(encoding="utf-8", errors="replace") as file:
        is_ours = f"<dc:title>{plots.CREATOR}</dc:title>" in file.read(_HEAD)
    if not is_ours:
        raise InputError(
            f"{files.file_name(output)} exists, and varsim plot did not write it; name the figure "
            "with --output, which replaces any file"
        )


def _open(figure: Path, publisher: publish.Publisher) -> None:
    """Show a figure in its program; a sentence says if that is impossible."""
    needs_display = os.name == "posix" and sys.platform != "darwin"
    if needs_display and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        publisher.say(f"Note: {figure} is not shown: there is no display.")
    elif click.launch(str(figure)):
        publisher.say(f"Note: {figure} is not shown: no program for it was started.")


def _check(options: PlotOptions, outputs: Sequence[Path]) -> None:
    """Refuse what cannot be drawn, before a file is read."""
    for output in outputs:
        if output.suffix.lower() not in FIGURE_SUFFIXES:
            raise InputError(
                f"output {quoted(output)} is not a figure; give one of {', '.join(FIGURE_SUFFIXES)}"
            )
    kinds.check_width(options.width)
    if not 50 <= options.dpi <= 1200:
        raise InputError(f"dpi is {options.dpi:g}; give dots per inch from 50 to 1200, such as 300")
    if len(options.title) > _LONGEST_TITLE:
        raise InputError(
            f"title has {len(options.title):,} characters; give at most {_LONGEST_TITLE}"
        )
