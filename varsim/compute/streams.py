"""Random streams: one per key and index."""

from __future__ import annotations

from numpy.random import SFC64, Generator, SeedSequence

BIT_GENERATOR = SFC64
"""The source of random bits: the fastest of NumPy's, with 256 bits of state per stream."""


def generator(key: str, seed: int, *index: int) -> Generator:
    """Return the random stream of a key (32 hexadecimal digits) and an index."""
    return Generator(BIT_GENERATOR(SeedSequence(seed, spawn_key=(int(key, 16), *index))))
