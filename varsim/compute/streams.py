"""Random streams: one per key and index."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.random import SFC64, Generator, SeedSequence
from numpy.typing import NDArray

BIT_GENERATOR = SFC64
"""The source of random bits: the fastest of NumPy's, with 256 bits of state per stream."""

_WORD = 2**32
_POOL = 4

# Number of consecutive indices whose states are computed together, by array operations.
_TOGETHER = 64

# Steps of SFC64 after it is seeded.
_ROUNDS = 12


def generator(key: str, seed: int, *index: int) -> Generator:
    """Return the random stream of a key and an index."""
    return Generator(BIT_GENERATOR(SeedSequence(seed, spawn_key=(*_key_words(key), *index))))


def generators(key: str, seed: int, family: tuple[int, ...], indices: range) -> Iterator[Generator]:
    """Yield ``generator(key, seed, *family, index)`` per index: one object with new states.

    SeedSequence would hash the key again per index, which takes longer than a small block.
    """
    if indices[-1:] and indices[-1] >= _WORD:  # an index of more than one word
        yield from (generator(key, seed, *family, index) for index in indices)
        return
    bits = BIT_GENERATOR(0)
    rng = Generator(bits)
    for index in indices:
        state = _states(key, seed, family, index // _TOGETHER)[index % _TOGETHER]
        bits.state = {
            "bit_generator": "SFC64", "state": {"state": state}, "has_uint32": 0, "uinteger": 0,
        }  # fmt: skip
        yield rng


def _key_words(key: str) -> tuple[int, ...]:
    return tuple(int(key[i : i + 8], 16) for i in range(0, 32, 8))


class _Hash:
    """Consecutive calls of the hash of NumPy's SeedSequence: O'Neill's seed_seq_fe (2015).

    Args:
        start: Constant of the very first call.
        factor: Growth factor of the constant per call.
        before: Number of earlier calls.
        count: Number of these calls.
    """

    def __init__(self, start: int, factor: int, before: int, count: int) -> None:
        """Compute the constants of these calls, one per row."""
        calls = range(before, before + count + 1)
        constants = [[start * pow(factor, call, _WORD) % _WORD] for call in calls]
        self._constants = np.array(constants, np.uint32)

    def __call__(self, words: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Return the hash of row i, or of the only row, by call i."""
        return _folded((words ^ self._constants[:-1]) * self._constants[1:])


_OUTPUT = _Hash(0x8B51F9DD, 0x58F38DED, 0, 6)
_MIX_L, _MIX_R = np.array([0xCA01F9DD, 0x4973F715], np.uint32)


def _folded(words: NDArray[np.uint32]) -> NDArray[np.uint32]:
    return words ^ (words >> np.uint32(16))


@lru_cache(maxsize=64)
def _states(key: str, seed: int, family: tuple[int, ...], group: int) -> NDArray[np.uint64]:
    """Return the states of SFC64 for the indices of a group, of shape (indices, 4).

    Only the index differs between them: SeedSequence mixes the words before it once.
    """
    before = (*_key_words(key), *family)
    pool = SeedSequence(seed, spawn_key=before).pool[:, np.newaxis]
    calls = _POOL * (max(_POOL, _words(seed)) + sum(map(_words, before)))
    indices = np.arange(group * _TOGETHER, (group + 1) * _TOGETHER, dtype=np.uint32)
    hashed = _Hash(0x43B0D7E5, 0x931E8875, calls, _POOL)(indices)
    mixed = _folded(_MIX_L * pool - _MIX_R * hashed)
    low, high = (
        _OUTPUT(mixed[[0, 1, 2, 3, 0, 1]]).astype(np.uint64).reshape(3, 2, -1).swapaxes(0, 1)
    )
    return _stepped(*(low | (high << np.uint64(32))))


def _stepped(
    a: NDArray[np.uint64], b: NDArray[np.uint64], c: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Return the states of SFC64 after seeding with three words each."""
    for count in range(1, _ROUNDS + 1):
        total = a + b + np.uint64(count)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + total
    return np.stack([a, b, c, np.full_like(a, _ROUNDS + 1)], axis=1)


def _words(value: int) -> int:
    """Return the number of 32-bit words of a number; 0 has one."""
    return max(1, -(-value.bit_length() // 32))
