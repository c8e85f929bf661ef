"""The ledger: rows to disk the moment they are done, and back, so that nothing is done twice."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from varsim.fields import Schema
from varsim.parsing import InputError
from varsim.runner import ResumePoint
from varsim.storage import csv_text, jsonl_text
from varsim.storage.files import (
    append_line,
    atomic_write,
    open_locked,
    real_path,
    remove_temporary_files,
)
from varsim.storage.rows import parse

SUITABLE = (".jsonl", ".csv")
"""Suffixes of the files that rows can be added to one by one."""


class Ledger(AbstractContextManager["Ledger"]):
    """A file of rows, one per line, that is locked by this process while it is open.

    Every row is synced to disk as it is added. A question is known by its key and its seed.

    Args:
        path: The file, with one of the suffixes in :data:`SUITABLE`; made if need be.
        schema: The kind of its rows.

    Raises:
        InputError: The file holds something else; it is left as it is.
        BlockingIOError: Another process has locked the file.
        OSError: It cannot be read or written.
    """

    def __init__(self, path: Path, schema: Schema[Any]) -> None:
        """Open the file, check all of it, and put a torn last line aside."""
        self.notes: list[str] = []
        """What a person should know of the file as it was found."""
        self.path = path
        self._schema = schema
        self._path, self._suffix = real_path(path), path.suffix.lower()
        self._groups: dict[tuple[str, int], list[Any]] = {}
        is_new = not self._path.exists()
        self._file = open_locked(self._path)
        self._is_new = is_new and not os.fstat(self._file).st_size
        try:
            self._load()
            remove_temporary_files(self._path)
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        """Unlock the file."""
        self.close()

    def close(self) -> None:
        """Unlock the file, and leave none where nothing was added to a new one."""
        if self._is_new:
            self._path.unlink(missing_ok=True)
        os.close(self._file)

    def resume(self, study: Any) -> ResumePoint:
        """Return where a study begins, given what the file holds of its question.

        ``study.resume(rows)`` returns the study to continue with, the totals that replicates are
        added to (None where the rows are stale), and whether the rows are all that was asked.
        """
        rows = self._groups.get((study.question.key, study.question.seed))
        if rows is None:
            return ResumePoint(study)
        study, totals, is_done = study.resume(rows)
        if totals is None:
            return ResumePoint(study, stale=rows)
        return ResumePoint(study, totals, done=_unjudged(study, rows) if is_done else None)

    def add(self, rows: Sequence[Any]) -> None:
        """Add rows to the end of the file, or what replaces the rows of the same question.

        Raises:
            OSError: They could not be added; the file is as it was.
        """
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
        ours = {(row.key, row.seed) for row in rows}
        others = [row for name, group in self._groups.items() if name not in ours for row in group]
        text = self._text([*rows, *others])
        if text.encode() != self._path.read_bytes():
            atomic_write(self._path, text)
            self._is_new = False

    @property
    def _head(self) -> str:
        return ",".join(self._schema.names) + "\n" if self._suffix == ".csv" else ""

    def _text(self, rows: Sequence[Any]) -> str:
        records = list(map(self._schema.record, rows))
        return csv_text(records) if self._suffix == ".csv" else jsonl_text(records)

    def _load(self) -> None:
        content = self._path.read_bytes()
        whole, newline, torn = content.rpartition(b"\n")
        whole += newline
        lacks_newline = bool(torn) and self._is_row(torn)
        if lacks_newline:
            whole, torn = content + b"\n", b""
        rows = self._rows(whole)
        if torn:
            self._put_aside(torn, at=len(whole))
        if lacks_newline:
            append_line(self._file, b"\n")
        for row in rows:  # a later one of the same question, and layer, replaces an earlier one
            group = self._groups.setdefault((row.key, row.seed), [])
            layer = getattr(row, "layer", None)
            group[:] = [*(other for other in group if getattr(other, "layer", None) != layer), row]
        if self._head and whole and not whole.startswith(self._head.encode()):
            # Rows of an older schema: a CSV file has one header for all of its rows.
            atomic_write(self._path, self._text([r for g in self._groups.values() for r in g]))
            renewed = open_locked(self._path)
            os.close(self._file)
            self._file = renewed

    def _rows(self, content: bytes) -> list[Any]:
        try:
            rows = parse(content.decode(), self._suffix)
        except UnicodeDecodeError:
            raise self._refusal("it is not text") from None
        except InputError as error:
            raise self._refusal(str(error)) from None
        if rows and rows[0].schema is not self._schema:
            raise self._refusal(f"it holds {rows[0].schema.kind}, not {self._schema.kind}")
        return rows

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


def _unjudged(study: Any, rows: Sequence[Any]) -> list[Any]:
    """Return rows of a file as they are before a verdict, at the level that is asked for."""
    return [
        replace(row, confidence=study.confidence, agrees=None, alpha=None)
        for row in sorted(rows, key=lambda row: getattr(row, "layer", 0))
    ]
