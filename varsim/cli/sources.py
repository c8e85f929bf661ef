"""Files of results, read again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from varsim.experiment import InputError, Result
from varsim.records import parse

READABLE = (".jsonl", ".csv", ".json")
"""Suffixes of the formats that hold every digit."""


def results_in(path: Path) -> list[Result]:
    """Return the results in a file; ``-`` is stdin, in any of the formats.

    Raises:
        InputError: It holds none, or something else.
        click.ClickException: It cannot be read.
    """
    name = "stdin" if str(path) == "-" else repr(str(path))
    if str(path) == "-" and sys.stdin is None:  # closed by the shell: <&-
        raise click.ClickException("stdin cannot be read: it is closed; give a file")
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{name} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{name} is no text; give a file that varsim has written") from None
    suffix = _suffix_of(text) if str(path) == "-" else path.suffix.lower()
    from varsim.inference import check_consistent  # loads NumPy

    if suffix not in READABLE:
        raise InputError(
            f"{name} has no suffix that can be read; give one of {', '.join(READABLE)}"
        )
    try:
        results = list(parse(text, suffix, check_consistent))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if not results:
        raise InputError(f"{name} holds no results; give a file that varsim has written")
    return results


def _suffix_of(text: str) -> str:
    start = text.lstrip()[:1]
    return ".jsonl" if start == "{" else ".json" if start == "[" else ".csv"
