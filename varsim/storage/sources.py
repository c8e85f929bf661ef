"""Files of results, read again."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from varsim.layer.experiment import Result
from varsim.layer.records import RESULTS, first_names
from varsim.parsing import InputError

if TYPE_CHECKING:
    from varsim.stack.result import LayerResult

Row = TypeVar("Row")

READABLE = (".jsonl", ".csv", ".json")
"""Suffixes of the formats that hold every digit."""


def results_in(path: Path) -> list[Result]:
    """Return the results in a file; ``-`` is stdin, in any of the formats.

    Raises:
        InputError: It holds none, or something else.
        click.ClickException: It cannot be read.
    """
    text, suffix = _read(path)
    if _holds_layers(text, suffix):
        raise InputError(
            f"{_name(path)} holds layers of deep stacks, and only results of varsim itself are "
            "compared; varsim plot draws stacks over each other"
        )
    return _results(path, text, suffix)


def rows_in(paths: Sequence[Path]) -> list[Result] | list[LayerResult]:
    """Return the rows in files, in their order: all are results, or all are layers.

    Raises:
        InputError: A file holds none, or something else, or some hold results and some layers.
        click.ClickException: One cannot be read.
    """
    files = [(path, *_read(path)) for path in paths]
    kinds = {_holds_layers(text, suffix): path for path, text, suffix in files}
    if len(kinds) > 1:
        raise InputError(
            f"{_name(kinds[True])} holds layers of deep stacks, and {_name(kinds[False])} does "
            "not; give files of one kind"
        )
    if True in kinds:
        return [row for file in files for row in _layers(*file)]
    return [row for file in files for row in _results(*file)]


def _read(path: Path) -> tuple[str, str]:
    """Return the text of a file and the suffix that tells its format."""
    name = _name(path)
    if str(path) == "-" and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is no text; give a file that varsim has written") from None
    suffix = _suffix_of(text) if str(path) == "-" else path.suffix.lower()
    if suffix not in READABLE:
        raise InputError(
            f"{name} has no suffix that can be read; give one of {', '.join(READABLE)}"
        )
    return text, suffix


def _holds_layers(text: str, suffix: str) -> bool:
    return "layer" in first_names(text, suffix)


def _results(path: Path, text: str, suffix: str) -> list[Result]:
    from varsim.layer.inference import check_consistent  # loads NumPy

    return _some(path, RESULTS.parse(text, suffix, check_consistent))


def _layers(path: Path, text: str, suffix: str) -> list[LayerResult]:
    from varsim.stack.records import LAYERS  # loads NumPy

    return _some(path, LAYERS.parse(text, suffix))


def _some(path: Path, rows: Iterable[Row]) -> list[Row]:
    try:
        kept = list(rows)
    except InputError as error:
        raise InputError(f"{_name(path)}: {error}") from None
    if not kept:
        raise InputError(f"{_name(path)} holds no results; give a file that varsim has written")
    return kept


def _name(path: Path) -> str:
    return "stdin" if str(path) == "-" else repr(str(path))


def _suffix_of(text: str) -> str:
    start = text.lstrip()[:1]
    return ".jsonl" if start == "{" else ".json" if start == "[" else ".csv"
