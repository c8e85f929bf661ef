"""The ledger: results to disk the moment they are done, and back, so that nothing is done twice."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from varsim.layer.experiment import Experiment, Result
from varsim.layer.inference import Start, check_consistent, package_of
from varsim.layer.records import NAMES, experiment_of, parse, record_of
from varsim.parsing import InputError
from varsim.report.formats import csv_line, jsonl_line
from varsim.storage.files import add_line, own, real_path, remove_drafts, replace_whole

_LINES: dict[str, Callable[[dict[str, Any]], str]] = {
    ".jsonl": jsonl_line,
    ".csv": lambda record: csv_line(record.values()),
}

SUITABLE = tuple(_LINES)
"""Suffixes of the files that rows can be added to one by one."""


class Ledger:
    """A file of results, one a line, that is this process's own while it is open.

    Every row is synced to disk as it is added. A row is known by its experiment's key and its seed.

    Args:
        path: The file, with one of the suffixes in :data:`SUITABLE`; made if need be.

    Raises:
        InputError: The file holds something else; it is left as it is.
        BlockingIOError: Another process owns the file.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        """Open the file, check all of it, and put a torn last line aside."""
        self.notes: list[str] = []
        """What a person should know of the file as it was found."""
        self.path = path
        self._path, self._suffix = real_path(path), path.suffix.lower()
        self._rows: dict[tuple[str, int], Result] = {}
        self._is_new = not self._path.exists()
        self._file = own(self._path)
        try:
            self._load()
            remove_drafts(self._path)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Begin to use it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the file back."""
        self.close()

    def close(self) -> None:
        """Give the file back, and leave none where nothing was added to a new one."""
        if self._is_new:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def start(self, experiment: Experiment, *, histogram: bool = False) -> Start:
        """Return where an experiment begins.

        A row with a finer error than is asked for is all that was asked.

        Args:
            experiment: What is asked.
            histogram: Whether the outputs are to be counted too.
        """
        row = self._rows.get((experiment.key, experiment.seed))
        if row is None:
            return Start(experiment)
        asked = experiment_of(row)
        if row.init_package != package_of(experiment.init):
            return Start(experiment, redone=row)
        is_met = row.met and row.relative_error <= (experiment.precision or math.inf)
        if histogram and row.histogram is None:
            # Measured anew, but not to less than there is already.
            return Start(asked if is_met else experiment, redone=row)
        if is_met:
            return Start(experiment, done=row, totals=row.totals)
        if asked.block != experiment.block:
            return Start(experiment, redone=row)
        same = asked.precision == experiment.precision
        return Start(experiment, totals=row.totals if same else row.totals._replace(look=None))

    def add(self, result: Result) -> None:
        """Add a row to the end of the file, or what replaces the row of the same experiment.

        Raises:
            OSError: It could not be added; the file is as it was.
        """
        head = "" if os.fstat(self._file).st_size else self._head
        add_line(self._file, (head + self._line(result)).encode())
        self._is_new = False

    def settle(self, results: Sequence[Result]) -> None:
        """Put the rows of a run in its order, with their verdicts; rows of other runs follow.

        Raises:
            OSError: It could not be written; the file is as it was.
        """
        ours = {(result.key, result.seed): result for result in results}
        others = {name: row for name, row in self._rows.items() if name not in ours}
        rows = [*ours.values(), *others.values()]
        text = self._head + "".join(map(self._line, rows)) if rows else ""
        if text.encode() != self._read():
            replace_whole(self._path, text)
            self._is_new = False

    @property
    def _head(self) -> str:
        return ",".join(NAMES) + "\n" if self._suffix == ".csv" else ""

    def _line(self, result: Result) -> str:
        return _LINES[self._suffix](record_of(result))

    def _read(self) -> bytes:
        return self._path.read_bytes()

    def _load(self) -> None:
        content = self._read()
        whole, newline, torn = content.rpartition(b"\n")
        whole += newline
        lacks_newline = bool(torn) and self._is_row(torn)
        if lacks_newline:
            whole, torn = content + b"\n", b""
        try:
            rows = list(parse(whole.decode(), self._suffix, check_consistent)) if whole else []
        except UnicodeDecodeError:
            raise InputError(_refusal(self.path, "it is no text")) from None
        except InputError as error:
            raise InputError(_refusal(self.path, str(error))) from None
        if torn:
            self._put_aside(torn, at=len(whole))
        if lacks_newline:
            add_line(self._file, b"\n")
        self._rows = {(row.key, row.seed): row for row in rows}

    def _is_row(self, line: bytes) -> bool:
        """Tell whether a line is whole though it does not end: an editor cut off its last byte."""
        if self._suffix == ".csv":
            return False  # the last number may have lost digits
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return False
        return True

    def _put_aside(self, torn: bytes, at: int) -> None:
        start = (self._head if at == 0 and self._head else self._lines_start).encode()
        written = torn.rstrip(b"\0")  # a power cut can leave the length without the bytes
        length = min(len(start), len(written))
        if written[:length] != start[:length]:
            raise InputError(_refusal(self.path, "its last line is no row of results of varsim"))
        aside = next(path for path in self._asides() if not path.exists())
        replace_whole(aside, torn)
        os.ftruncate(self._file, at)
        self.notes.append(
            f"The last line of {str(self.path)!r} was cut off; it is in {aside.name!r} now, and "
            "its row is run again."
        )

    def _asides(self) -> Iterator[Path]:
        for number in count():
            suffix = f".torn{number}" if number else ".torn"
            yield self._path.with_name(self._path.name + suffix)

    @property
    def _lines_start(self) -> str:
        return '{"schema": ' if self._suffix == ".jsonl" else ""


def _refusal(path: Path, reason: str) -> str:
    return f"{str(path)!r} was left as it is: {reason}; choose another --output"
