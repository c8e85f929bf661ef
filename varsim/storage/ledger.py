"""The ledger: rows go to disk as soon as they are finished, and a later run resumes from them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, Generic

from varsim.errors import InputError, quoted
from varsim.fields import NUMBER, Schema
from varsim.fields.field import R
from varsim.runner import ResumePoint
from varsim.storage.files import (
    append_line,
    atomic_write,
    is_open_at,
    open_locked,
    open_regular,
    real_path,
    remove_temporary_files,
)
from varsim.storage.reading import read
from varsim.storage.text import csv_row, jsonl_line
from varsim.study import Rep, Study, Tot

SUITABLE = (".jsonl", ".csv")
"""Suffixes of files with one row per line, which a run can extend."""


class Ledger(AbstractContextManager["Ledger[R]"], Generic[R]):
    """A file of rows, one per line, locked by this process while it is open.

    Every added row is synced to disk. Key and seed identify a question.

    Args:
        path: The file, with one of the suffixes in :data:`SUITABLE`; created if missing.
        schema: The kind of its rows.
        known: Further kinds, for the error sentence about a file with other rows.
        read_only: Whether to leave the file unchanged and unlocked; it must exist.

    Raises:
        InputError: The file contains something else; it is left unchanged.
        BlockingIOError: Another process has locked the file.
        OSError: The file cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        schema: Schema[R],
        known: Sequence[Schema[Any]] = (),
        *,
        read_only: bool = False,
    ) -> None:
        self.notes: list[str] = []
        """Messages about the state of the file at opening."""
        self.path = path
        self._schema, self._known, self._read_only = schema, known, read_only
        self._path, self._suffix = real_path(path), path.suffix.lower()
        self._groups: dict[tuple[str, int], dict[int, R]] = {}
        is_new = not self._path.exists()
        self._file = open_regular(self._path, os.O_RDONLY) if read_only else open_locked(self._path)
        self._is_new = is_new and not os.fstat(self._file).st_size
        try:
            self._load()
            if not read_only:
                remove_temporary_files(self._path)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unlock the file, and delete a new one without rows."""
        if self._is_new and self.is_in_place:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    @property
    def is_in_place(self) -> bool:
        """Whether the name is still that of the file that rows were added to."""
        return is_open_at(self._path, self._file)

    def resume(self, study: Study[Rep, Tot, R]) -> ResumePoint[Rep, Tot, R]:
        """Return the point from which a study resumes, given its rows in the file."""
        group = self._groups.get((study.question.key, study.question.seed))
        if group is None:
            return ResumePoint(study)
        rows = [group[place] for place in sorted(group)]
        study, totals, is_done = study.resume(rows)
        if totals is None:
            return ResumePoint(study, stale=rows)
        if not is_done:
            return ResumePoint(study, totals)
        if not all(row.met for row in rows):  # they are of a larger request
            rows = study.rows(totals)
        unjudged = [row.judged(agrees=None, alpha=None, tests=None) for row in rows]
        done = [row.at(study.confidence) for row in unjudged]
        self._hold(done)  # the same rows once, and not twice, in memory
        return ResumePoint(study, totals, done=done)

    def add(self, rows: Sequence[R]) -> None:
        """Add rows to the end of the file; they replace earlier rows of the same question.

        Raises:
            OSError: The rows could not be added; the file is unchanged.
        """
        text = self._text(rows)
        if os.fstat(self._file).st_size:
            text = text.removeprefix(self._head)
        append_line(self._file, text.encode())
        self._is_new = False
        self._hold(rows)

    def failure(self, error: OSError) -> str:
        """Return the sentence about rows that could not be added."""
        return (
            f"the last row could not be added to {str(self.path)!r}: {error.strerror}; make room "
            "and run the same command again"
        )

    def finalize(self, rows: Sequence[R]) -> None:
        """Write the rows of a run in its order, with their verdicts; rows of other runs follow.

        A deleted file is restored.

        Raises:
            OSError: The file could not be written, or another file has its name.
        """
        ours = {(row.key, row.question.seed) for row in rows}
        groups = [group for name, group in self._groups.items() if name not in ours]
        others = [group[place] for group in groups for place in group]
        content = self._text([*rows, *others]).encode()
        if os.path.lexists(self._path):
            if not self.is_in_place:
                raise FileExistsError(0, "another file has taken its name")
            if content == self._path.read_bytes():
                return
        atomic_write(self._path, content)
        self._is_new = False

    @property
    def _head(self) -> str:
        return ",".join(self._schema.names) + "\n" if self._suffix == ".csv" else ""

    def _text(self, rows: Sequence[R]) -> str:
        line = csv_row if self._suffix == ".csv" else jsonl_line
        return self._head + "".join(map(line, map(self._schema.record, rows)))

    def _hold(self, rows: Sequence[R]) -> None:
        """Remember rows by question and place; a later row replaces an earlier one."""
        for row in rows:
            self._groups.setdefault((row.key, row.question.seed), {})[row.place] = row

    def _load(self) -> None:
        with os.fdopen(self._file, "rb", closefd=False) as file:
            content = file.read()
        whole, torn = self._split(content)
        names: set[str] = set()
        try:
            rows = read(whole.decode(), self._suffix, [self._schema, *self._known], names)
        except UnicodeDecodeError:
            raise self._refusal("it is not text") from None
        except InputError as error:
            raise self._refusal(str(error)) from None
        if rows and rows[0].schema is not self._schema:
            raise self._refusal(f"it holds {rows[0].schema.plural}, not {self._schema.plural}")
        if torn:
            self._put_aside(torn, at=len(whole))
        self._hold(rows)
        if self._read_only:
            return
        if names.difference(self._schema.names):
            self._keep_as_it_is(content, names.difference(self._schema.names))
        if self._head and whole and not content.startswith(self._head.encode()):
            self._renew(rows)  # rows cannot be added below another header
        elif whole and not whole.endswith(b"\n"):
            append_line(self._file, b"\n")

    def _keep_as_it_is(self, content: bytes, names: Iterable[str]) -> None:
        """Copy a file with further columns, which the rows of a run replace."""
        copy = self._free_name("before")
        atomic_write(copy, content)
        listed = ", ".join(map(quoted, sorted(names)))
        self.notes.append(
            f"{str(self.path)!r} has names that are not varsim's ({listed}); it was copied to "
            f"{copy.name!r}, and is written without them."
        )

    def _free_name(self, ending: str) -> Path:
        """Return the path of a new file beside this one, whose name has an ending more."""
        names = (f"{self._path.name}.{ending}{number or ''}" for number in count())
        return next(p for name in names if not (p := self._path.with_name(name)).exists())

    def _renew(self, rows: Sequence[R]) -> None:
        atomic_write(self._path, self._text(rows).encode())
        os.close(self._file)
        self._file = open_locked(self._path)

    def _split(self, content: bytes) -> tuple[bytes, bytes]:
        """Return the complete lines, and a last line that was cut off."""
        start = content.rfind(b"\n") + 1
        last = content[start:]
        if not last or self._is_row(last):
            return content, b""
        return content[:start], last

    def _is_row(self, line: bytes) -> bool:
        """Return whether an unterminated line is complete: editors can drop the last line end."""
        if self._suffix == ".csv":
            return False  # the last number may have lost digits
        try:
            json.loads(line)
        except (ValueError, RecursionError):
            return False
        return True

    def _put_aside(self, torn: bytes, at: int) -> None:
        begin = f'{{"schema": {NUMBER}, "kind": "{self._schema.name}"'
        start = begin if self._suffix == ".jsonl" else self._head if at == 0 else ""
        written = torn.rstrip(b"\0")  # a power cut can leave the length without the bytes
        length = min(len(start), len(written))
        if written[:length] != start.encode()[:length]:
            raise self._refusal(f"its last line is not a row of {self._schema.plural}")
        if self._read_only:
            self.notes.append(f"The last line of {str(self.path)!r} is cut off.")
            return
        aside = self._free_name("torn")
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
