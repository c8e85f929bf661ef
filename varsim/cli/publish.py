"""Publishing: what goes to stdout, what to a file, and what is said beside them on stderr."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from varsim.cli.terminal import draw, encodable, is_terminal, wrapped
from varsim.layer.experiment import Experiment, Result
from varsim.parsing import InputError
from varsim.report.formats import FOR_PEOPLE, SUFFIXES, text_of
from varsim.report.results import results_sheet, row_name
from varsim.report.table import Sheet
from varsim.storage.files import write_whole

if TYPE_CHECKING:
    from varsim.cli.run import Run
    from varsim.storage.ledger import Ledger


_PAGE = 78


@dataclass(frozen=True)
class Publisher:
    """Where results go, and how.

    Attributes:
        format_name: The format on stdout.
        outputs: Files that are written too, in the formats of their suffixes.
        explain: Whether the reason follows the table.
        plot: Whether the rows are drawn below the table.
        quiet: Whether nothing but errors is said on stderr.
    """

    format_name: str
    outputs: Sequence[Path]
    explain: bool
    quiet: bool
    plot: bool = False

    def __post_init__(self) -> None:
        """Refuse a file of no known format before anything runs."""
        for output in self.outputs:
            if output.suffix.lower() not in SUFFIXES:
                known = ", ".join(SUFFIXES)
                raise InputError(f"output {str(output)!r} has no known suffix; take {known}")

    def obstacles(self) -> Iterator[str]:
        """Yield what stands in the way of a file, to be known before a long run and not after."""
        for output in self.outputs:
            folder = Path(os.path.realpath(output)).parent
            if not os.access(folder, os.W_OK | os.X_OK):
                yield f"{str(output)!r} cannot be written: {str(folder)!r} is missing or read-only."
            elif output.is_file() and not output.stat().st_mode & 0o222:
                yield f"{str(output)!r} cannot be written: it is read-only."

    def say(self, message: str) -> None:
        """Tell a person something beside the data."""
        if not self.quiet:
            say(message)

    def report(
        self, experiments: Sequence[Experiment], finished: Run, ledger: Ledger | None = None
    ) -> bool:
        """Publish the rows that are done and say what a reader should know of them.

        Args:
            experiments: What was asked.
            finished: What came out.
            ledger: A file that holds the rows already and is to be put in order.

        Returns:
            Whether all could be written.
        """
        results = finished.results
        if not results:
            self.say("Not one row was done.")
            return True
        prose = _explained(experiments[: len(results)], results) if self.explain else ""
        remarks = []
        if len(results) < len(experiments):
            how = "Interrupted" if finished.interrupted else "Ended early"
            remarks = [f"{how}: {len(results)} of {len(experiments)} rows were done."]
        sheet = results_sheet(results, remarks)
        written = self.write(sheet, prose=prose, drawn=results if self.plot else ())
        if ledger is not None:
            written &= _settle(ledger, results)
        for sentence in sheet.caveats:
            self.say(f"Caveat: {sentence}")
        if not (self.format_name == "table" and is_terminal(sys.stdout)):
            for remark in remarks:  # a person who sees the table has read them below it
                self.say(remark)
        for row in finished.spared:
            self.say(
                f"Caveat: {row_name(row)}: the row in the file stays as it was, since what was "
                "measured anew is less precise."
            )
        for sentence in _summary(results):
            self.say(sentence)
        return written

    def write(self, *sheets: Sheet, prose: str = "", drawn: Sequence[Result] = ()) -> bool:
        """Write sheets to stdout and to the files; a failure of one does not stop the other.

        Args:
            sheets: The tables, with records of one kind.
            prose: What follows them for people.
            drawn: The rows that are drawn below.

        Returns:
            Whether all could be written.
        """
        failures = []
        try:
            self._write_stdout(sheets, prose, drawn)
        except BrokenPipeError:
            _abandon(sys.stdout)  # the reader has all it wanted
        except OSError as error:
            _abandon(sys.stdout)
            failures.append(f"stdout could not be written: {error.strerror}; send it elsewhere")
        for output in self.outputs:
            try:
                write_whole(output, text_of(SUFFIXES[output.suffix.lower()], sheets))
            except OSError as error:
                failures.append(
                    f"{str(output)!r} could not be written: {error.strerror}; "
                    "choose another place with --output"
                )
        for failure in failures:
            say_error(failure)
        return not failures

    def _write_stdout(self, sheets: Sequence[Sheet], prose: str, drawn: Sequence[Result]) -> None:
        stream = sys.stdout
        if stream is None:  # closed by the shell: >&-
            raise OSError(errno.EBADF, "it is closed")
        if self.format_name == "table" and is_terminal(stream):
            left_out: dict[str, None] = {}
            for number, sheet in enumerate(sheets):
                stream.write("\n" * (number > 0))
                left_out |= dict.fromkeys(draw(sheet, stream))
            if left_out:
                names = ", ".join(left_out)
                self.say(f"The terminal is too narrow for: {names}; --format csv has them.")
        else:
            stream.write(encodable(text_of(self.format_name, sheets), stream))
        for_people = self.format_name in FOR_PEOPLE
        if drawn and for_people:
            fence = "```\n" if self.format_name == "markdown" else ""
            stream.write(f"\n{fence}{_drawing(drawn, stream)}{fence}")
        elif drawn and sys.stderr is not None and not self.quiet:
            _say_as_is(_drawing(drawn, sys.stderr))
        if prose and for_people:
            stream.write(encodable(f"\n{wrapped(prose, stream, otherwise=_PAGE)}", stream))
        elif prose:
            self.say(prose.rstrip())
        stream.flush()


def say_error(message: str) -> None:
    """Tell a person what went wrong, as a sentence."""
    say(f"Error: {message}" if message.endswith((".", "?")) else f"Error: {message}.")


def say(message: str) -> None:
    """Tell a person something, wrapped to the terminal."""
    if sys.stderr is not None:
        _say_as_is(encodable(f"{wrapped(message, sys.stderr)}\n", sys.stderr))


def _drawing(rows: Sequence[Result], stream: TextIO) -> str:
    from varsim.report.bars import ASCII_INK, INK, drawing

    width = shutil.get_terminal_size().columns if is_terminal(stream) else _PAGE
    ink = INK if encodable("".join(INK), stream) == "".join(INK) else ASCII_INK
    return drawing(rows, width, ink)


def _say_as_is(text: str) -> None:
    stream = sys.stderr
    if stream is None:  # closed by the shell: 2>&-
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        _abandon(stream)  # nobody is left to tell, and the data matter more


def _explained(experiments: Sequence[Experiment], results: Sequence[Result]) -> str:
    from varsim.report.explain import explain

    return explain(experiments, results)


def _settle(ledger: Ledger, results: Sequence[Result]) -> bool:
    try:
        ledger.settle(results)
    except OSError as error:
        say_error(
            f"{str(ledger.path)!r} could not be put in order: {error.strerror}; the rows that were "
            "added are there, and the same command goes on"
        )
        return False
    return True


def _summary(results: Sequence[Result]) -> Iterator[str]:
    wrong = [result for result in results if not result.agrees]
    if wrong:
        rows = "; ".join(map(row_name, wrong[:5]))
        more = "" if len(wrong) <= 5 else f"; and {len(wrong) - 5} more"
        yield f"{len(wrong)} of {len(results)} disagree with theory: {rows}{more}."
    else:
        yield f"{len(results)} of {len(results)} agree with theory."


def _abandon(stream: TextIO | None) -> None:
    """Let Python's own flush of a stream at exit go nowhere: it would fail a second time."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
