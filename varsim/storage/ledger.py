"""The ledger: rows to disk the moment they are done, and back, so that nothing is done twice."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from varsim.errors import InputError
from varsim.fields import Schema
from varsim.runner import ResumePoint
from varsim.storage import csv_text, jsonl_text
from varsim.storage.files import (
    append_line,
    atomic_write,
    leads_to,
    open_locked,
    real_path,
    remove_temporary_files,
    write_again,
)
from varsim.storage.rows import Record, collect, parse, records_in

SUITABLE = (".jsonl", ".csv")
"""Suffixes of the files that rows can be added to one by one."""


class _Line(NamedTuple):
    """Where an intact row is in the file, which is all that is kept of it."""

    key: str
    seed: int
    layer: int | None
    start: int
    length: int


class Ledger(AbstractContextManager["Ledger"]):
    """A file of rows, one per line, that is locked by this process while it is open.

    Every row is synced to disk as it is added. A question is known by its key and its seed.

    Args:
        path: The file, with one of the suffixes in :data:`SUITABLE`; made if need be.
        schema: The kind of its rows.
        read_only: Whether to leave the file as it is, and unlocked; it must be there.

    Raises:
        InputError: The file holds something else; it is left as it is.
        BlockingIOError: Another process has locked the file.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path, schema: Schema[Any], *, read_only: bool = False) -> None:
        """Open the file, check all of it, and put a torn last line aside."""
        self.notes: list[str] = []
        """What a person should know of the file as it was found."""
        self.moved: list[str] = []
        """What a person should know of a file that went away while it was open."""
        self.path = path
        self._schema, self._read_only = schema, read_only
        self._path, self._suffix = real_path(path), path.suffix.lower()
        self._groups: dict[tuple[str, int], dict[int | None, Any]] = {}
        is_new = not self._path.exists()
        self._file = os.open(self._path, os.O_RDONLY) if read_only else open_locked(self._path)
        self._is_new = is_new and not os.fstat(self._file).st_size
        try:
            self._load()
            if not read_only:
                remove_temporary_files(self._path)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Unlock the file."""
        self.close()

    def close(self) -> None:
        """Unlock the file, and leave none where nothing was added to a new one."""
        if self._is_new and self.is_in_place:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    @property
    def is_in_place(self) -> bool:
        """Whether the name still leads to the file with the rows."""
        return leads_to(self._path, self._file)

    @property
    def is_elsewhere(self) -> bool:
        """Whether the rows are in a file of another name, since another file took theirs."""
        return self._path != real_path(self.path)

    def resume(self, study: Any) -> ResumePoint:
        """Return where a study begins, given what the file holds of its question.

        ``study.resume(rows)`` returns the study to continue with, the totals that replicates are
        added to (None where the rows are stale), and whether the rows are all that was asked.
        """
        held = self._groups.get((study.question.key, study.question.seed))
        if held is None:
            return ResumePoint(study)
        rows = [self._row(each) for each in held.values()]
        study, totals, is_done = study.resume(rows)
        if totals is None:
            return ResumePoint(study, stale=rows)
        if not is_done:
            return ResumePoint(study, totals)
        if not all(row.met for row in rows):  # of more than is asked for now
            rows = study.rows(totals)
        return ResumePoint(study, totals, done=_unjudged(study, rows))

    def add(self, rows: Sequence[Any]) -> None:
        """Add rows to the end of the file, or what replaces the rows of the same question.

        Raises:
            OSError: They could not be added; the file is as it was.
        """
        self._stay_in_place()
        text = self._text(rows)
        if os.fstat(self._file).st_size:
            text = text.removeprefix(self._head)
        append_line(self._file, text.encode())
        self._is_new = False

    def finalize(self, rows: Sequence[Any]) -> None:
        """Put the rows of a run in its order, with their verdicts; rows of other runs follow.

        Raises:
            OSError: It could not be written; the file is as it was.
        """
        self._stay_in_place()
        ours = {(row.key, row.seed) for row in rows}
        groups = [group for name, group in self._groups.items() if name not in ours]
        others = [held for group in groups for held in group.values()]
        content = self._text(rows).encode() + b"".join(map(self._line, others))
        if content != self._path.read_bytes():
            atomic_write(self._path, content)
            self._is_new = False

    def _stay_in_place(self) -> None:
        """Write the rows to a file again where theirs was deleted or replaced meanwhile.

        Raises:
            OSError: That could not be done.
        """
        if self.is_in_place:
            return
        name, is_gone = str(self.path), not os.path.lexists(self._path)
        self._file, self._path = write_again(self._path, self._file)
        self.moved.append(
            f"{name!r} was deleted while rows were added to it; it was written again"
            if is_gone
            else f"{name!r} was replaced while rows were added to it; the rows are in "
            f"{str(self._path)!r}, and the file that took its place is left as it is"
        )

    @property
    def _head(self) -> str:
        return ",".join(self._schema.names) + "\n" if self._suffix == ".csv" else ""

    def _text(self, rows: Sequence[Any]) -> str:
        records = list(map(self._schema.record, rows))
        return csv_text(records) if self._suffix == ".csv" else jsonl_text(records)

    def _line(self, held: Any) -> bytes:
        """Return the line of a row: as it is in the file, where it is intact."""
        if isinstance(held, _Line):
            os.lseek(self._file, held.start, os.SEEK_SET)
            return os.read(self._file, held.length).rstrip(b"\r\n") + b"\n"
        return self._text([held]).removeprefix(self._head).encode()

    def _row(self, held: Any) -> Any:
        if not isinstance(held, _Line):
            return held
        return parse(self._head + self._line(held).decode(), self._suffix)[0]

    def _load(self) -> None:
        lines = _Lines(self._file, self._is_row)

        def keep(schema: Schema[Any], record: Record) -> Any:
            if schema is not self._schema:
                return schema.intact_row(record)  # refused below
            return _Line(record["key"], record["seed"], record.get("layer"), *lines.place)

        try:
            held = collect(records_in(lines, self._suffix), "line", keep)
        except UnicodeDecodeError:
            raise self._refusal("it is not text") from None
        except InputError as error:
            raise self._refusal(str(error)) from None
        if held and not isinstance(held[0], _Line) and held[0].schema is not self._schema:
            raise self._refusal(f"it holds {held[0].schema.kind}, not {self._schema.kind}")
        if lines.torn:
            self._put_aside(lines.torn, at=sum(lines.place))
        if lines.lacks_newline and not self._read_only:
            append_line(self._file, b"\n")
        for row in held:  # a later one of the same question, and layer, replaces an earlier one
            group = self._groups.setdefault((row.key, row.seed), {})
            layer = getattr(row, "layer", None)
            group.pop(layer, None)
            group[layer] = row
        is_present = lines.first in (b"", self._head.encode())
        if self._head and not is_present and not self._read_only:
            # Rows of an older schema: a CSV file has one header for all of its rows.
            self._renew()

    def _renew(self) -> None:
        rows = [self._line(held) for group in self._groups.values() for held in group.values()]
        atomic_write(self._path, b"".join([self._head.encode(), *rows]))
        renewed = open_locked(self._path)
        os.close(self._file)
        self._file = renewed
        self._groups.clear()
        self._load()

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
        start = '{"schema": ' if self._suffix == ".jsonl" else self._head if at == 0 else ""
        written = torn.rstrip(b"\0")  # a power cut can leave the length without the bytes
        length = min(len(start), len(written))
        if written[:length] != start.encode()[:length]:
            raise self._refusal(f"its last line is not a row of {self._schema.kind}")
        if self._read_only:
            self.notes.append(f"The last line of {str(self.path)!r} is cut off.")
            return
        names = (f"{self._path.name}.torn{number or ''}" for number in count())
        aside = next(p for name in names if not (p := self._path.with_name(name)).exists())
        atomic_write(aside, torn)
        os.ftruncate(self._file, at)
        self.notes.append(
            f"The last line of {str(self.path)!r} was cut off; it was moved to {aside.name!r}, and "
            "its row will be run again."
        )

    def _refusal(self, reason: str) -> InputError:
        return InputError(
            f"{str(self.path)!r} was left as it is: {reason}; choose another --output"
        )


class _Lines:
    """The lines of an open file, one by one, without their ends.

    Attributes:
        first: The first line, with its end.
        place: Where the last line that was yielded begins, and its length in bytes.
        torn: The last line, if it was cut off; it is not yielded.
        lacks_newline: Whether the last line that was yielded has no end.
    """

    def __init__(self, handle: int, is_row: Callable[[bytes], bool]) -> None:
        self.first, self.torn, self.place, self.lacks_newline = b"", b"", (0, 0), False
        self._handle, self._is_row = handle, is_row

    def __iter__(self) -> Iterator[str]:
        os.lseek(self._handle, 0, os.SEEK_SET)
        with os.fdopen(self._handle, "rb", closefd=False) as file:
            for line in file:
                self.lacks_newline = not line.endswith(b"\n")
                if self.lacks_newline and not self._is_row(line):
                    self.torn, self.lacks_newline = line, False
                    return
                self.first = self.first or line
                self.place = sum(self.place), len(line)
                yield line.decode().removesuffix("\n")


def _unjudged(study: Any, rows: Sequence[Any]) -> list[Any]:
    """Return rows of a file as they are before a verdict, at the level that is asked for."""
    return [
        replace(row, confidence=study.confidence, agrees=None, alpha=None)
        for row in sorted(rows, key=lambda row: getattr(row, "layer", 0))
    ]
