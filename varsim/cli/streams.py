"""Streams: what a stream can show, sentences on stderr, and exit codes."""

from __future__ import annotations

import os
import sys
import textwrap
from functools import partial
from typing import TextIO

from varsim.errors import escape_control_characters
from varsim.report.formats import to_ascii

DONE, FAILED, MISUSED, DISAGREED, UNMET = 0, 1, 2, 3, 4
"""Exit codes, beside that of a signal."""


def reserve_stdout() -> None:
    """Keep stdout for data: ``sys.stdout`` gets a descriptor that no other code knows.

    What user code, its child processes and C libraries write to descriptor 1 goes to stderr.
    """
    stream = sys.__stdout__
    if stream is None or sys.stdout is not stream:  # closed, or replaced already
        return
    stream.flush()
    data = os.dup(stream.fileno())
    rest = os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
    os.dup2(rest, stream.fileno())
    sys.stdout = os.fdopen(
        data, "w", encoding=stream.encoding, errors=stream.errors,
        buffering=1 if os.isatty(data) else -1, closefd=False,
    )  # fmt: skip


def terminal_width(stream: TextIO) -> int:
    """Return the columns of a stream's terminal, or those of the variable COLUMNS."""
    try:
        return int(os.environ["COLUMNS"]) or _NO_WIDTH
    except (KeyError, ValueError):
        pass
    try:
        return os.get_terminal_size(stream.fileno()).columns or _NO_WIDTH
    except (OSError, ValueError):  # no terminal
        return _NO_WIDTH


_NO_WIDTH = 80


def is_terminal(stream: TextIO | None) -> bool:
    """Return whether a stream is a terminal."""
    return stream is not None and not stream.closed and stream.isatty()


def is_in_notebook() -> bool:
    """Return whether a cell of a notebook runs the command, as in ``!varsim``.

    Its stdout is a terminal nevertheless. Jupyter sets the first variable for its kernels, and
    IPython's kernel the second one for itself, under any other program too.
    """
    inline = "inline" in os.environ.get("MPLBACKEND", "")
    return inline or "JPY_PARENT_PID" in os.environ


def encodable(text: str, stream: TextIO | None) -> str:
    """Return the text, in ASCII where the stream's encoding cannot hold it."""
    try:
        text.encode("ascii" if stream is None else stream.encoding or "ascii")
    except UnicodeEncodeError:
        return to_ascii(text)
    return text


def wrapped(text: str, stream: TextIO, *, otherwise: int | None = None) -> str:
    """Return text in lines that fit a terminal, or of another width for any other stream."""
    width = terminal_width(stream) if is_terminal(stream) else otherwise
    if width is None:
        return text
    fill = partial(textwrap.fill, width=max(20, width))
    return "\n".join(map(fill, text.split("\n")))


def say_error(message: str) -> None:
    """Write an error to stderr, as a sentence."""
    say(f"Error: {message}" if message.endswith((".", "?")) else f"Error: {message}.")


def say(message: str) -> None:
    """Write a sentence to stderr, wrapped to the terminal."""
    if sys.stderr is not None:
        text = wrapped(escape_control_characters(message), sys.stderr)
        say_as_is(encodable(f"{text}\n", sys.stderr))


def say_as_is(text: str) -> None:
    """Write text to stderr, if anybody is there to read it."""
    stream = sys.stderr
    if stream is None:  # closed by the shell: 2>&-
        return
    try:
        stream.write(text)
        stream.flush()
    except OSError:
        abandon(stream)  # nobody is left to tell, and the data matter more


def abandon(stream: TextIO | None) -> None:
    """Let Python's own flush of a stream at exit go nowhere: it would fail a second time."""
    if stream is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
