"""Files of rows that a command reads, or stdin."""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from varsim.errors import InputError
from varsim.fields import RowBase
from varsim.report.comparison import not_of_one_kind
from varsim.storage import READABLE
from varsim.storage.rows import read, suffix_of

WANTED = f"a file of rows ({', '.join(READABLE)}) or - for stdin"


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    """Switch Python's collector of cycles off, which looks at all rows time and again.

    Rows are in no cycles, so their memory is freed as before.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def file_name(file: Path) -> str:
    """Return the name of a file in a sentence."""
    return "stdin" if str(file) == "-" else repr(str(file))


def number_given(files: Sequence[Path]) -> str:
    """Return the number of files in a sentence."""
    return f"{len(files)} {'file was' if len(files) == 1 else 'files were'} given"


def check_sources(files: Sequence[Path], outputs: Sequence[Path], verb: str) -> None:
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


def check_kinds(of_files: Sequence[tuple[Path, Sequence[RowBase]]]) -> None:
    """Refuse files of rows of different kinds."""
    kinds = {rows[0].schema.kind: path for path, rows in of_files}
    if len(kinds) > 1:
        two = list(kinds)[:2]
        raise InputError(not_of_one_kind([file_name(kinds[kind]) for kind in two], two))


def rows_in(path: Path) -> list[RowBase]:
    """Return the rows in a file, all of one kind; ``-`` is stdin, in any of the formats."""
    name, is_stdin = file_name(path), str(path) == "-"
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


def _read(file: Iterable[str], suffix: str, name: str) -> list[RowBase]:
    if suffix not in READABLE:
        raise InputError(
            f"{name} has no suffix that can be read; give one of {', '.join(READABLE)}"
        )
    try:
        return read(file, suffix)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
