"""Publishing: rows on stdout and in files, sentences on stderr, and exit codes."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, TextIO, TypeAlias

from varsim.cli.options import OutputOptions
from varsim.cli.streams import (
    abandon,
    encodable,
    is_terminal,
    say,
    say_as_is,
    say_error,
    terminal_width,
    wrapped,
)
from varsim.cli.terminal import draw, encoded
from varsim.compute import lazy
from varsim.errors import InputError, escape_control_characters, quoted
from varsim.report.formats import (
    FOR_PEOPLE,
    MACHINE,
    SUFFIXES,
    markdown_prose,
    omitted,
    text_of,
)
from varsim.storage.files import is_stream, write_file
from varsim.table import Table, View

if TYPE_CHECKING:
    from varsim.report import rows as report
    from varsim.study import B, Kind
else:
    report = lazy("varsim.report.rows")

_PAGE = 78

# What drawings are made of, where the encoding holds it.
_INK = "█│├─●┤"

Drawing: TypeAlias = Callable[[int, bool], str]
"""Draws as text of a width, in ASCII if asked."""


@dataclass(frozen=True)
class Publisher:
    """Writes tables to stdout and to files, and sentences to stderr.

    Attributes:
        format_name: The format on stdout.
        outputs: Further files, in the formats of their suffixes.
        quiet: Whether errors alone are written to stderr.
        view: The shown columns and their order. Files in machine formats have all fields, so that
            they can be read again.
        header: Whether CSV on stdout has its first line, with the names.
    """

    format_name: str
    outputs: Sequence[Path]
    quiet: bool
    view: View = field(default_factory=View)
    header: bool = True

    @classmethod
    def of(cls, options: OutputOptions, outputs: Sequence[Path] | None = None) -> Publisher:
        """Return the publisher for a command's options, with other outputs if given."""
        if options.no_header and options.format != "csv":
            raise InputError(
                f"--no-header is for --format csv, not {options.format}; add -f csv, or leave it "
                "out"
            )
        return cls(
            options.format,
            options.output if outputs is None else outputs,
            quiet=options.quiet,
            view=View(tuple(dict.fromkeys(options.columns)), options.sort or ""),
            header=not options.no_header,
        )

    def __post_init__(self) -> None:
        """Refuse a file of no known format before anything runs."""
        check_suffixes(self.outputs, SUFFIXES)

    @property
    def shows_captions(self) -> bool:
        """Whether a person sees the captions of the tables on a terminal."""
        return self.format_name == "table" and is_terminal(sys.stdout)

    def unwritable(self) -> Iterator[str]:
        """Yield a note per file that cannot be written, for the start of a long run."""
        for output in self.outputs:
            if reason := _why_unwritable(output):
                yield f"Note: {str(output)!r} cannot be written: {reason}."

    def say(self, message: str) -> None:
        """Write a sentence to stderr, unless quiet."""
        if not self.quiet:
            say(message)

    def say_caveats(self, tables: Iterable[Table]) -> None:
        """Write the caveats of tables to stderr, unless quiet."""
        for table in tables:
            for sentence in table.caveats:
                self.say(f"Caveat: {sentence}")

    def write(self, *tables: Table, prose: str = "", drawn: Drawing | None = None) -> bool:
        """Write tables to the files and then to stdout; a failure of one does not stop the other.

        Files come first: writing to stdout may block on a pager until an interrupt, and so may
        writing to a device or a pipe, which comes last.

        Args:
            tables: The tables, with records of one kind.
            prose: Paragraphs below them, for people.
            drawn: Draws below them.

        Returns:
            Whether all could be written.
        """
        written = self.write_files(*tables)
        return self.show(*tables, prose=prose, drawn=drawn) and written

    def write_files(self, *tables: Table) -> bool:
        """Write tables to the regular files; return whether all could be written."""
        return self._write_outputs(tables, [o for o in self.outputs if not is_stream(o)])

    def _write_outputs(self, tables: Iterable[Table], outputs: Iterable[Path]) -> bool:
        written = True
        for output in outputs:
            name = SUFFIXES[output.suffix.lower()]
            of_file = self.view.sorted if name in MACHINE else self.view.of
            written &= write_output(output, text_of(name, list(map(of_file, tables))))
        return written

    def show(self, *tables: Table, prose: str = "", drawn: Drawing | None = None) -> bool:
        """Write tables to stdout, then to devices and pipes; return whether that could be done."""
        shown = list(map(self.view.of, tables))
        self._say_omitted(shown)
        written = self._print(shown, prose, drawn)
        return self._write_outputs(tables, filter(is_stream, self.outputs)) and written

    def _print(self, shown: Sequence[Table], prose: str, drawn: Drawing | None) -> bool:
        try:
            self._write_stdout(shown, prose, drawn)
        except BrokenPipeError:
            abandon(sys.stdout)  # the reader has all it wanted
        except OSError as error:
            abandon(sys.stdout)
            say_error(f"stdout could not be written: {error.strerror}; send it elsewhere")
            return False
        return True

    def _say_omitted(self, tables: Sequence[Table]) -> None:
        """Name the columns that pages of stdout and of the files have no room for."""
        formats = [self.format_name, *(SUFFIXES[o.suffix.lower()] for o in self.outputs)]
        if headers := omitted(formats, tables):
            self.say(f"A page is too narrow for: {', '.join(headers)}; --columns all has them.")

    def _write_stdout(self, tables: Sequence[Table], prose: str, drawn: Drawing | None) -> None:
        stream = sys.stdout
        if stream is None:  # closed by the shell: >&-
            raise OSError(errno.EBADF, "it is closed")
        for_people = self.format_name in FOR_PEOPLE
        if for_people:
            tables = [replace(each, columns=encoded(each.columns, stream)) for each in tables]
        if self.shows_captions:
            left_out: dict[str, None] = {}
            for number, table in enumerate(tables):
                stream.write("\n" * (number > 0))
                left_out |= dict.fromkeys(draw(table, stream))
            if left_out:
                names = ", ".join(left_out)
                self.say(f"The terminal is too narrow for: {names}; --format csv has them.")
        else:
            text = text_of(self.format_name, tables)
            if not self.header:
                text = text.partition("\n")[2]
            stream.write(encodable(escape_control_characters(text), stream))
        if drawn and for_people:
            fence = "```\n" if self.format_name == "markdown" else ""
            stream.write(f"\n{fence}{_drawing(drawn, stream)}{fence}")
        elif drawn and sys.stderr is not None and not self.quiet:
            say_as_is(_drawing(drawn, sys.stderr))
        if prose and for_people:
            text = "\n" * bool(tables) + self._formatted(escape_control_characters(prose), stream)
            stream.write(encodable(text, stream))
        elif prose:
            self.say(prose.rstrip())
        stream.flush()

    def _formatted(self, prose: str, stream: TextIO) -> str:
        """Return paragraphs for people: in Markdown, or in lines that fit a stream."""
        if self.format_name == "markdown":
            return markdown_prose(prose)
        return wrapped(prose, stream, otherwise=_PAGE)


def summary(kind: Kind[B], rows: Sequence[B]) -> Iterator[str]:
    """Yield how many rows agree with theory; initializers have claims, and no such sentence."""
    name = kind.counted
    if name is None:
        return
    known = sum(row.agrees is not None for row in rows)
    wrong = [row for row in rows if row.agrees is False]
    if wrong:
        yield f"{len(wrong)} of {known} {name}disagree with theory: {report.named(wrong, 5)}."
    else:
        yield f"{known} of {known} {name}agree with theory."


def _why_unwritable(output: Path) -> str:
    """Return why a file cannot be written, or nothing."""
    try:
        folder = Path(os.path.realpath(output)).parent
        if not os.access(folder, os.W_OK | os.X_OK):
            return f"{str(folder)!r} is missing or read-only"
        if output.is_file() and not output.stat().st_mode & 0o222:
            return "it is read-only"
    except OSError as error:  # a name that is too long, or a relative one in a deleted folder
        return error.strerror or "it has no place"
    return ""


def check_suffixes(outputs: Sequence[Path], known: Iterable[str]) -> None:
    """Refuse a file whose suffix is not known."""
    for output in outputs:
        if output.suffix.lower() not in known:
            raise InputError(
                f"output {quoted(output)} has no known suffix; give one of {', '.join(known)}"
            )


def write_output(path: Path, content: str | bytes) -> bool:
    """Write a file; if that fails, say why and return False."""
    try:
        write_file(path, content)
    except OSError as error:
        say_error(
            f"{str(path)!r} could not be written: {error.strerror}; "
            "choose another place with --output"
        )
        return False
    return True


def _drawing(drawn: Drawing, stream: TextIO) -> str:
    width = terminal_width(stream) if is_terminal(stream) else _PAGE
    return escape_control_characters(drawn(width, encodable(_INK, stream) != _INK))
