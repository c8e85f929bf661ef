"""What the commands do that measure nothing: gains, comparisons and figures."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import click

from varsim.activations import ACTIVATIONS, find_activation
from varsim.cli.commands import FIGURE_SUFFIXES
from varsim.cli.publish import DISAGREED, DONE, FAILED, Publisher, check_suffixes, say, write_output
from varsim.comparison import DIFFERS, match
from varsim.comparison import compare as compared
from varsim.compute import lazy
from varsim.parsing import InputError, contained, split_calls
from varsim.report.comparison import Names, comparison_table, no_pair, not_of_one_kind, summary
from varsim.report.gains import critical_table, gains_table, line_table
from varsim.statistics import check_probability
from varsim.storage import READABLE
from varsim.storage.rows import parse, suffix_of

plots = lazy("varsim.plots")


def gains(options: dict[str, Any]) -> int:
    """Print the gains of activations: the command ``varsim gains``."""
    publisher = Publisher(options["format"], options["output"], quiet=options["quiet"])
    names = list(chain.from_iterable(map(split_calls, options["activations"])))
    variances = list(chain.from_iterable(options["variance"]))
    for variance in variances:
        if not 1e-12 <= variance <= 1e12:
            raise InputError(f"variance is {variance:g}; give numbers from 1e-12 to 1e12")
    with contained():
        activations = {name: find_activation(name) for name in names or ACTIVATIONS}
        if not options["critical"]:
            table = gains_table(activations, variances or [1.0])
        elif variances:
            table = line_table(activations, variances)
        else:
            table = critical_table(activations)
    return DONE if publisher.write(table) else FAILED


def compare(options: dict[str, Any]) -> int:
    """Compare two files: the command ``varsim compare``."""
    alpha = check_probability("alpha", options["alpha"])
    publisher = Publisher(options["format"], options["output"], quiet=options["quiet"])
    files = options["files"]
    _check_files(files, options["output"])
    matching = match(*map(rows_in, files))
    names = Names(*map(_name, files))
    if not matching.pairs:
        raise InputError(no_pair(matching, names))
    comparisons = compared(matching.pairs, alpha)
    table = comparison_table(comparisons, matching, names)
    written = publisher.write(table)
    for sentence in table.caveats:
        publisher.say(f"Caveat: {sentence}")
    publisher.say(summary(comparisons))
    if not written:
        return FAILED
    differs = any(each.verdict == DIFFERS for each in comparisons)
    return DISAGREED if options["check"] and differs else DONE


def plot(options: dict[str, Any]) -> int:
    """Draw rows as a figure: the command ``varsim plot``."""
    outputs, width, dpi = options["output"], options["width"], options["dpi"]
    known = ", ".join(FIGURE_SUFFIXES)
    if not outputs:
        raise InputError(f"--output is missing; name a file that ends in one of {known}")
    check_suffixes(outputs, FIGURE_SUFFIXES)
    if not 2 <= width <= 40:
        raise InputError(f"width is {width:g}; give inches from 2 to 40, such as 3.4")
    if not 50 <= dpi <= 1200:
        raise InputError(f"dpi is {dpi:g}; give dots per inch from 50 to 1200, such as 300")
    rows = [(path, rows_in(path)) for path in options["results"]]
    kinds = {of_file[0].schema.kind: path for path, of_file in rows}
    if len(kinds) > 1:
        two = list(kinds)[:2]
        raise InputError(not_of_one_kind([_name(kinds[kind]) for kind in two], two))
    try:
        # Saving a figure can change its layout, so each file has a figure of its own.
        every = [row for _, of_file in rows for row in of_file]
        drawn = [plots.draw_any(every, width) for _ in outputs]
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "matplotlib":
            raise
        raise click.ClickException(
            "figures need matplotlib, which is not installed; run: pip install matplotlib"
        ) from None
    written = [
        write_output(path, plots.encode(each.figure, path.suffix.lower(), dpi))
        for path, each in zip(outputs, drawn, strict=True)
    ]
    for remark in [] if options["quiet"] else drawn[0].remarks:
        say(f"Note: {remark}")
    return DONE if all(written) else FAILED


def rows_in(path: Path) -> list[Any]:
    """Return the rows in a file, all of one kind; ``-`` is stdin, in any of the formats."""
    name, is_stdin = _name(path), str(path) == "-"
    if is_stdin and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        text = sys.stdin.read() if is_stdin else path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise click.ClickException(
            f"{name} cannot be read: {error.strerror}; give a file that varsim has written"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text; give a file that varsim has written") from None
    suffix = suffix_of(text) if is_stdin else path.suffix.lower()
    if suffix not in READABLE:
        raise InputError(
            f"{name} has no suffix that can be read; give one of {', '.join(READABLE)}"
        )
    try:
        rows = parse(text, suffix)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not rows:
        raise InputError(f"{name} holds no rows; give a file that varsim has written")
    return rows


def _check_files(files: Sequence[Path], outputs: Sequence[Path]) -> None:
    if len(files) != 2:
        raise InputError(
            f"{len(files)} {'file was' if len(files) == 1 else 'files were'} given; give two, each "
            f"a file of rows ({', '.join(READABLE)}) or - for stdin"
        )
    if all(str(file) == "-" for file in files):
        raise InputError("- was given twice, but stdin can be read only once; name a file")
    sources = {os.path.realpath(file) for file in files if str(file) != "-"}
    for output in outputs:
        if os.path.realpath(output) in sources:
            raise InputError(
                f"output {str(output)!r} is one of the files that are compared, and would be "
                "replaced; choose another --output"
            )


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else repr(str(file))
