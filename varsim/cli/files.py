"""Files of rows that a command reads, or stdin."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
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
class Source:
    """The text of a file.

    Attributes:
        path: The file.
        text: Its text.
        suffix: The format of the text; that of stdin follows from its first character.
    """

    path: Path
    text: str
    suffix: str


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
    return groups_of(map(source_of, files))


def groups_of(sources: Iterable[Source]) -> list[Group[Any]]:
    """Return the rows in the texts of files, as :func:`groups_in` does."""
    groups = list(map(_group_of, sources))
    plurals = {group.kind.schema.plural: file_name(group.path) for group in groups}
    if len(plurals) > 1:
        two = list(plurals)[:2]
        raise InputError(not_of_one_kind([plurals[plural] for plural in two], two))
    return groups


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Return a context in which sentences about a text begin with the name of its file."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{file_name(path)}: {error}") from None


def source_of(path: Path) -> Source:
    """Return the text of a file; ``-`` is stdin, in any of the formats.

    Raises:
        ClickException: It cannot be read.
        InputError: It is not text, or its suffix is not that of a readable format.
    """
    name, is_stdin = file_name(path), str(path) == "-"
    if is_stdin and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        is_file = path.exists() and not path.is_dir()
        if not is_stdin and is_file and path.suffix.lower() not in READABLE:
            raise InputError(
                f"{name}: no suffix that can be read; give one of {', '.join(READABLE)}"
            )
        text = sys.stdin.read() if is_stdin else path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(
            f"{name} cannot be read: {error.strerror}; give a file that varsim has written"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is not text; give a file that varsim has written") from None
    return Source(path, text, suffix_of(text) if is_stdin else path.suffix.lower())


def _group_of(source: Source) -> Group[Any]:
    with named(source.path):
        rows = read(source.text, source.suffix, SCHEMAS)
    if not rows:
        raise InputError(
            f"{file_name(source.path)} holds no rows; give a file that varsim has written"
        )
    return Group(source.path, kind_of(rows), rows)
