"""The question of a row: the part of it that every kind has."""

from __future__ import annotations

from typing import Protocol


class Loadable(Protocol):
    """A weight source, as far as a run needs it."""

    def load(self) -> object:
        """Load it, or raise an InputError."""


class Question(Protocol):
    """What is asked: a frozen record, checked when it is made."""

    @property
    def key(self) -> str:
        """What is measured, without the seed: the root of all random streams beside it."""

    @property
    def seed(self) -> int:
        """Root of all random streams."""

    @property
    def dtype(self) -> str:
        """Floating-point type of draws and products."""

    @property
    def init(self) -> str | None:
        """The initializer that makes W, or None."""

    @property
    def precision(self) -> float | None:
        """The relative standard error that is asked for, or None."""

    @property
    def initializer(self) -> Loadable:
        """The source of W."""

    @property
    def replicate_size(self) -> int:
        """Size of a replicate that the key leaves open; 0 where it leaves none."""

    @property
    def tried_once(self) -> tuple[str, ...]:
        """Names of what is called once before a run: initializers and activations."""
