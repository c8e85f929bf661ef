"""Publishing: what goes to stdout, what to a file, and what is said beside them on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from varsim.cli.files import write_whole
from varsim.cli.screen import draw, encodable, is_terminal
from varsim.experiment import Experiment, InputError, Result
from varsim.report.explain import explain
from varsim.report.formats import FOR_PEOPLE, FORMATS, SUFFIXES
from varsim.report.results import caveat_sentences, results_sheet
from varsim.report.sheet import Sheet

if TYPE_CHECKING:
    from varsim.cli.run import Run


@dataclass(frozen=True)
class Publisher:
    """Where results go, and how.

    Attributes:
        format_name: The format on stdout.
        output: A file that is written too, in the format of its suffix; or None.
        explain: Whether the reason follows the table.
        quiet: Whether nothing but errors is said on stderr.
    """

    format_name: str
    output: Path | None
    explain: bool
    quiet: bool

    def __post_init__(self) -> None:
        """Refuse a file of no known format before anything runs."""
        if self.output is not None and self.output.suffix.lower() not in SUFFIXES:
            raise InputError(
                f"output {str(self.output)!r} has no known suffix; take {', '.join(SUFFIXES)}"
            )

    def say(self, message: str) -> None:
        """Tell a person something beside the data."""
        if not self.quiet:
            _say(message)

    def report(self, experiments: Sequence[Experiment], finished: Run) -> bool:
        """Publish the rows that are done and say what a reader should know of them.

        Returns:
            Whether all could be written.
        """
        results = finished.results
        if not results:
            self.say("Interrupted before the first row was done.")
            return True
        prose = explain(experiments[: len(results)], results) if self.explain else ""
        written = self.write(results_sheet(results), prose)
        for sentence in caveat_sentences(results):
            self.say(f"Caveat: {sentence}")
        if finished.interrupted:
            self.say(f"Interrupted: {len(results)} of {len(experiments)} rows were done.")
        for sentence in _summary(results):
            self.say(sentence)
        return written

    def write(self, sheet: Sheet, prose: str = "") -> bool:
        """Write a sheet to stdout and to the file; a failure of one does not stop the other.

        Returns:
            Whether all could be written.
        """
        written = True
        try:
            self._write_stdout(sheet, prose)
        except BrokenPipeError:
            _abandon_stdout()  # the reader has all it wanted
        except OSError as error:
            _abandon_stdout()
            say_error(f"stdout could not be written: {error.strerror}; send it elsewhere")
            written = False
        if self.output is not None:
            try:
                write_whole(self.output, FORMATS[SUFFIXES[self.output.suffix.lower()]](sheet))
            except OSError as error:
                say_error(
                    f"{str(self.output)!r} could not be written: {error.strerror}; "
                    "choose another place with --output"
                )
                written = False
        return written

    def _write_stdout(self, sheet: Sheet, prose: str) -> None:
        stream = sys.stdout
        if self.format_name == "table" and is_terminal(stream):
            left_out = draw(sheet, stream)
            if left_out:
                names = ", ".join(left_out)
                self.say(f"The terminal is too narrow for: {names}; --format csv has them.")
        else:
            stream.write(encodable(FORMATS[self.format_name](sheet), stream))
        if prose and self.format_name in FOR_PEOPLE:
            stream.write(encodable(f"\n{prose}", stream))
        elif prose:
            self.say(prose)
        stream.flush()


def say_error(message: str) -> None:
    """Tell a person what went wrong, as a sentence."""
    _say(f"Error: {message}" if message.endswith((".", "?")) else f"Error: {message}.")


def _say(message: str) -> None:
    sys.stderr.write(encodable(f"{message}\n", sys.stderr))


def _summary(results: Sequence[Result]) -> Iterator[str]:
    wrong = [result for result in results if not result.agrees]
    if wrong:
        rows = "; ".join(f"D = {r.dim}, scale {r.scale}" for r in wrong[:5])
        more = "" if len(wrong) <= 5 else f"; and {len(wrong) - 5} more"
        yield f"{len(wrong)} of {len(results)} disagree with theory: {rows}{more}."
    else:
        yield f"{len(results)} of {len(results)} agree with theory."


def _abandon_stdout() -> None:
    """Let Python's own flush at exit go nowhere: it would complain a second time."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
