"""Files of rows that a command reads, or stdin."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic

import click

from varsim.errors import InputError, quoted
from varsim.kinds import SCHEMAS, kind_of
from varsim.report.comparison import not_of_one_kind
from varsim.storage.reading import read, suffix_of
from varsim.storage.text import READABLE
from varsim.study import B, Kind

WANTED = f"a file of rows ({', '.join(READABLE)}) or - for stdin"

_LONGEST_PATH = 200


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
    return "stdin" if str(file) == "-" else quoted(file, _LONGEST_PATH)


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


@dataclass(frozen=True)
class Group(Generic[B]):
    """The rows of a file, and their kind.

    Attributes:
        path: The file.
        kind: The kind of its rows.
        rows: The rows.
    """

    path: Path
    kind: Kind[B]
    rows: list[B]


def groups_in(files: Sequence[Path]) -> list[Group[Any]]:
    """Return the rows of files, all of one kind, which the files decide.

    Raises:
        ClickException: A file cannot be read.
        InputError: A file holds something else, or two hold different kinds.
    """
    groups = [_group_in(file) for file in files]
    plurals = {group.kind.schema.plural: file_name(group.path) for group in groups}
    if len(plurals) > 1:
        two = list(plurals)[:2]
        raise InputError(not_of_one_kind([plurals[plural] for plural in two], two))
    return groups


def _group_in(path: Path) -> Group[Any]:
    """Return the rows of a file; ``-`` is stdin, in any of the formats."""
    name, is_stdin = file_name(path), str(path) == "-"
    if is_stdin and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        is_file = path.exists() and not path.is_dir()
        if not is_stdin and is_file and path.suffix.lower() not in READABLE:
            raise InputError(f"no suffix that can be read; give one of {', '.join(READABLE)}")
        text = sys.stdin.read() if is_stdin else path.read_text(encoding="utf-8")
        rows = read(text, suffix_of(text) if is_stdin else path.suffix.lower(), SCHEMAS)
    except OSError as error:
        raise click.ClickException(
            f"{name} cannot be read: {error.strerror}; give a file that varsim has written"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text; give a file that varsim has written") from None
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not rows:
        raise InputError(f"{name} holds no rows; give a file that varsim has written")
    return Group(path, kind_of(rows), rows)
