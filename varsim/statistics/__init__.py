"""Statistics."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something a reader of a result should know; ``id`` is stable, ``message`` is a sentence."""

    id: str
    message: str
