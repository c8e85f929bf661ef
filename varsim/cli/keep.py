"""The file that rows are added to as they are done: what a person should know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from varsim.layer.inference import Start
from varsim.report.results import row_name
from varsim.storage.ledger import Ledger


def opened(path: Path) -> Ledger:
    """Open the file that rows are added to.

    Raises:
        InputError: It holds something else.
        click.ClickException: It cannot be opened, or another process owns it.
    """
    try:
        return Ledger(path)
    except OSError as error:
        raise click.ClickException(
            f"{str(path)!r} cannot be opened: {error.strerror}; choose another --output"
        ) from None


def remarks(ledger: Ledger, starts: Sequence[Start]) -> Iterator[str]:
    """Yield what a person should know of a ledger before a run."""
    for note in ledger.notes:
        yield f"Note: {note}"
    done = sum(start.done is not None for start in starts)
    if done:
        yield f"Note: {done} of {len(starts)} rows are done already."
    for start in starts:
        if start.redone is not None:
            yield (
                f"Caveat: {row_name(start.redone)}: the row in the file cannot be gone on with, "
                "and is measured anew."
            )
