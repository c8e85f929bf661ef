"""What the commands do that measure nothing: gains, comparisons, merged files and figures."""

from __future__ import annotations

import gc
import io
import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import click

from varsim.activations import ACTIVATIONS, find_activation
from varsim.activations.gains import check_variance
from varsim.cli.options import FIGURE_SUFFIXES
from varsim.cli.publish import DISAGREED, DONE, FAILED, Publisher, check_suffixes, say, write_output
from varsim.comparison import DIFFERS, Merged, match, repeat
from varsim.comparison import compare as compared
from varsim.comparison import merge as merged
from varsim.compute import lazy
from varsim.errors import InputError, quoted
from varsim.kinds import SCHEMAS, kind_of, tables_of
from varsim.parsing import split_calls
from varsim.report.comparison import Names, comparison_table, no_pair, not_of_one_kind, summary
from varsim.report.gains import critical_table, gains_table, line_table
from varsim.report.rows import named, row_name
from varsim.kinds import tables_of
from varsim.statistics import check_probability, judge
from varsim.storage.reading import read, suffix_of
from varsim.storage.text import READABLE
from varsim.table import Table
from varsim.usercode import stdout_to_stderr

plots, run = lazy("varsim.plots"), lazy("varsim.cli.run")

_LONGEST_TITLE = 200


@contextmanager
def _without_collector() -> Iterator[None]:
    """Return a context without Python's collector of cycles: it looks at all rows time and again.

    Rows are in no cycles, so their memory is freed as before.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def gains(options: dict[str, Any]) -> int:
    """Print the gains of activations: the command ``varsim gains``."""
    publisher = Publisher.of(options)
    names = list(chain.from_iterable(map(split_calls, options["activations"])))
    variances = list(chain.from_iterable(options["variance"]))
    for variance in variances:
        check_variance(variance)
    with stdout_to_stderr():
        activations = {name: find_activation(name) for name in names or ACTIVATIONS}
        if not options["critical"]:
            table = gains_table(activations, variances or [1.0])
        elif variances:
            table = line_table(activations, variances)
        else:
            table = critical_table(activations)
    return DONE if publisher.write(table) else FAILED


@_without_collector()
def compare(options: dict[str, Any]) -> int:
    """Compare two files: the command ``varsim compare``."""
    alpha = check_probability("alpha", options["alpha"])
    publisher = Publisher.of(options)
    files = options["files"]
    if len(files) != 2:
        raise InputError(f"{_given(files)}; give two, each {_FILE}")
    _check_sources(files, options["output"], "compared")
    names = Names(*map(_name, files))
    of_files = [(path, rows_in(path)) for path in files]
    _check_kinds(of_files)
    (_, rows_a), (_, rows_b) = of_files
    matching = match(kind_of(rows_a), rows_a, rows_b)
    if not matching.pairs:
        raise InputError(no_pair(matching, names))
    comparisons = compared(matching, alpha)
    table = comparison_table(comparisons, matching, names)
    written = publisher.write(table)
    for sentence in table.caveats:
        publisher.say(f"Caveat: {sentence}")
    publisher.say(summary(comparisons))
    if not written:
        return FAILED
    differs = any(each.verdict == DIFFERS for each in comparisons)
    return DISAGREED if options["check"] and differs else DONE


@_without_collector()
def merge(options: dict[str, Any]) -> int:
    """Merge files of rows: the command ``varsim merge``."""
    levels = {name: check_probability(name, options[name]) for name in ("alpha", "confidence")}
    publisher = Publisher.of(options)
    files = options["files"]
    if not files:
        raise InputError(f"{_given(files)}; give one or more, each {_FILE}")
    _check_sources(files, options["output"], "merged")
    of_files = [(path, rows_in(path)) for path in files]
    _check_kinds(of_files)
    sources = [path for path, rows in of_files for _ in rows]
    rows = [row for _, of_file in of_files for row in of_file]
    _refuse_repeats(rows, sources)
    publisher.view.check(rows[0].schema)
    kind = kind_of(rows)
    become = merged(kind, [row.at(levels["confidence"]) for row in rows])
    judged = judge(become.rows, levels["alpha"])
    tables = tables_of(judged)
    written = publisher.write(*tables)
    for sentence in chain(_merge_notes(become), *(_caveats(table) for table in tables)):
        publisher.say(sentence)
    publisher.say(_what_became(len(files), len(rows), become))
    for sentence in run.summary(kind, judged):
        publisher.say(sentence)
    if not written:
        return FAILED
    disagrees = any(row.agrees is False for row in judged)
    return DISAGREED if options["check"] and disagrees else DONE


def _refuse_repeats(rows: Sequence[Any], sources: Sequence[Path]) -> None:
    """Refuse rows that hold the same draws."""
    twice = repeat(rows)
    if twice is None:
        return
    first, second = (_name(sources[place]) for place in (twice.first, twice.second))
    where = f"twice in {first}" if first == second else f"in {first} and in {second}"
    raise InputError(
        f"seed {twice.seed} of {row_name(rows[twice.first])} is {where}, and the same draws count "
        "once; leave one out, or run it again with another --seed"
    )


def _caveats(table: Table) -> list[str]:
    return [f"Caveat: {sentence}" for sentence in table.caveats]


def _merge_notes(become: Merged) -> list[str]:
    """Return what a person should know of rows that could not be added up as a whole."""
    apart: dict[str, list[Any]] = {}
    for row, reason in become.apart:
        apart.setdefault(reason, []).append(row)
    notes = [f"Note: Not pooled, since {reason}: {named(rows)}." for reason, rows in apart.items()]
    if become.uncounted:
        lost = named(become.uncounted)
        notes.append(f"Note: Not all files have a histogram, so it is left out: {lost}.")
    return notes


def _what_became(files: int, before: int, become: Merged) -> str:
    """Return how many rows there were and are, in a sentence."""
    of = f"{before:,} row{'s' * (before > 1)} of {files} file{'s' * (files > 1)}"
    if not become.pooled:
        return f"{of}: none could be pooled, so all are as they were."
    unchanged = len(become.rows) - become.pooled
    return (
        f"{of} are now {len(become.rows):,}: {become.pooled:,} pooled, {unchanged:,} as "
        f"{'it was' if unchanged == 1 else 'they were'}."
    )


@_without_collector()
def plot(options: dict[str, Any]) -> int:
    """Draw rows as a figure: the command ``varsim plot``."""
    outputs, width, dpi = options["output"], options["width"], options["dpi"]
    known = ", ".join(FIGURE_SUFFIXES)
    if not outputs:
        meant = options["results"][-1]
        is_figure = meant.suffix.lower() in FIGURE_SUFFIXES
        hint = (
            f"write -o {quoted(meant)}" if is_figure else f"name a file that ends in one of {known}"
        )
        raise InputError(f"--output is missing; {hint}")
    check_suffixes(outputs, FIGURE_SUFFIXES)
    if not 2 <= width <= 40:
        raise InputError(f"width is {width:g}; give inches from 2 to 40, such as 3.4")
    if not 50 <= dpi <= 1200:
        raise InputError(f"dpi is {dpi:g}; give dots per inch from 50 to 1200, such as 300")
    if len(options["title"]) > _LONGEST_TITLE:
        raise InputError(
            f"title has {len(options['title']):,} characters; give at most {_LONGEST_TITLE}"
        )
    rows = [(path, rows_in(path)) for path in options["results"]]
    _check_kinds(rows)
    # What matplotlib logs about its caches is not about the figure; neither is a window's backend.
    logging.getLogger("matplotlib").addHandler(logging.NullHandler())
    os.environ["MPLBACKEND"] = "agg"
    try:
        # Saving a figure can change its layout, so each file has a figure of its own.
        every = [row for _, of_file in rows for row in of_file]
        look = {"title": options["title"], "captioned": not options["no_caption"]}
        kind = kind_of(every)
        if kind.figure is None:
            raise InputError(
                f"there is no figure of {kind.schema.plural}; give results of varsim or varsim layers"
            )
        drawn = [plots.draw(kind.figure, every, width, **look) for _ in outputs]
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
    if options["no_caption"]:
        stdout = Publisher("table", [], quiet=options["quiet"])
        written.append(stdout.write(prose=f"{drawn[0].caption}\n"))
    for remark in [] if options["quiet"] else drawn[0].remarks:
        say(f"Note: {remark}")
    return DONE if all(written) else FAILED


def rows_in(path: Path) -> list[Any]:
    """Return the rows in a file, all of one kind; ``-`` is stdin, in any of the formats."""
    name, is_stdin = _name(path), str(path) == "-"
    if is_stdin and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        with _opened(path) as (file, suffix):
            rows = _read(file, suffix, name)
    except OSError as error:
        raise click.ClickException(
            f"{name} cannot be read: {error.strerror}; give a file that varsim has written"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text; give a file that varsim has written") from None
    if not rows:
        raise InputError(f"{name} holds no rows; give a file that varsim has written")
    return rows


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Iterable[str], str]]:
    """Return a context with the lines of a file, or of stdin, and the suffix of its format."""
    if str(path) == "-":
        text = sys.stdin.read()
        yield io.StringIO(text), suffix_of(text)
        return
    with path.open(encoding="utf-8-sig") as file:
        yield file, path.suffix.lower()


def _read(file: Iterable[str], suffix: str, name: str) -> list[Any]:
    if suffix not in READABLE:
        raise InputError(
            f"{name} has no suffix that can be read; give one of {', '.join(READABLE)}"
        )
    try:
        return read("".join(file), suffix, SCHEMAS)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None


_FILE = f"a file of rows ({', '.join(READABLE)}) or - for stdin"


def _given(files: Sequence[Path]) -> str:
    return f"{len(files)} {'file was' if len(files) == 1 else 'files were'} given"


def _check_kinds(of_files: Sequence[tuple[Path, Sequence[Any]]]) -> None:
    """Refuse files of rows of different kinds."""
    kinds = {rows[0].schema.plural: path for path, rows in of_files}
    if len(kinds) > 1:
        two = list(kinds)[:2]
        raise InputError(not_of_one_kind([_name(kinds[kind]) for kind in two], two))


def _check_sources(files: Sequence[Path], outputs: Sequence[Path], verb: str) -> None:
    """Refuse stdin twice, and an output that would replace a file that is read."""
    if sum(str(file) == "-" for file in files) > 1:
        raise InputError("- was given twice, but stdin can be read only once; name a file")
    sources = {os.path.realpath(file) for file in files if str(file) != "-"}
    for output in outputs:
        if os.path.realpath(output) in sources:
            raise InputError(
                f"output {str(output)!r} is one of the files that are {verb}, and would be "
                "replaced; choose another --output"
            )


def _name(file: Path) -> str:
    return "stdin" if str(file) == "-" else repr(str(file))
