"""The question of a row: the part of it that every kind has."""

from __future__ import annotations

from typing import Protocol


class Loadable(Protocol):
    """A weight source, as far as a run needs it."""

    def load(self) -> object:
        """Load it, or raise an InputError."""


class Question(Protocol):
    """The settings of a measurement: a frozen record, checked at construction."""

    @property
    def key(self) -> str:
        """A hash of the settings without the seed: with it, the root of all random streams."""

    @property
    def seed(self) -> int:
        """Root of all random streams."""

    @property
    def dtype(self) -> str:
        """Floating-point type of draws and products."""

    @property
    def init(self) -> str | None:
        """The initializer of W, or None."""

    @property
    def precision(self) -> float | None:
        """The requested relative standard error, or None."""

    @property
    def initializer(self) -> Loadable:
        """The source of W."""

    @property
    def replicate_size(self) -> int:
        """Size of a replicate, which the key omits; 0 if the key determines it."""

    @property
    def tried_once(self) -> tuple[str, ...]:
        """Names of initializers and activations that are called once before a run."""
