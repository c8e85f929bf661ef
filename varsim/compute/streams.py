"""Random streams: one for whatever a key names, and one for every index within it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.random import SFC64, Generator, SeedSequence
from numpy.typing import NDArray

BIT_GENERATOR = SFC64
"""The source of random bits: the fastest of NumPy's, with 256 bits of state for every stream."""

# The constants of NumPy's SeedSequence, after O'Neill's seed_seq_fe (2015).
_INIT_A, _MULT_A, _INIT_B, _MULT_B = 0x43B0D7E5, 0x931E8875, 0x8B51F9DD, 0x58F38DED
_MIX_L, _MIX_R, _SHIFT, _POOL = 0xCA01F9DD, 0x4973F715, 16, 4
_WORD = 2**32

# Rounds that SFC64 is stepped when it is seeded.
_ROUNDS = 12

Words = NDArray[np.uint64]


def generator(key: str, seed: int, *index: int) -> Generator:
    """Return the random stream of what a key names, and of an index within it."""
    return Generator(BIT_GENERATOR(SeedSequence(seed, spawn_key=(*_key_words(key), *index))))


def generators(key: str, seed: int, family: tuple[int, ...], indices: range) -> Iterator[Generator]:
    """Yield ``generator(key, seed, *family, index)`` for every index: one object, set anew.

    SeedSequence would hash the key again for each of them, which takes longer than a small block.
    """
    if indices[-1:] and indices[-1] >= _WORD:  # an index of more than one word
        yield from (generator(key, seed, *family, index) for index in indices)
        return
    bits = BIT_GENERATOR(0)
    rng = Generator(bits)
    for state in _states(key, seed, family, indices):
        bits.state = {
            "bit_generator": "SFC64", "state": {"state": state}, "has_uint32": 0, "uinteger": 0,
        }  # fmt: skip
        yield rng


def _key_words(key: str) -> tuple[int, ...]:
    return tuple(int(key[i : i + 8], 16) for i in range(0, 32, 8))


def _states(key: str, seed: int, family: tuple[int, ...], indices: range) -> Words:
    """Return the states of SFC64 for every index, of shape (indices, 4)."""
    pool, constant = _pool(key, seed, family)
    mixed = [np.full(len(indices), word, np.uint64) for word in pool]
    _mix_in(mixed, [np.asarray(indices, np.uint64)], constant)
    words, constant = [], _INIT_B
    for place in range(6):
        word = mixed[place % _POOL] ^ np.uint64(constant)
        constant = constant * _MULT_B % _WORD
        word = word * np.uint64(constant) % np.uint64(_WORD)
        words.append(word ^ (word >> np.uint64(_SHIFT)))
    high = np.uint64(32)
    a, b, c = (words[place] | (words[place + 1] << high) for place in (0, 2, 4))
    for count in range(1, _ROUNDS + 1):
        total = a + b + np.uint64(count)
        a = b ^ (b >> np.uint64(11))
        b = c + (c << np.uint64(3))
        c = ((c << np.uint64(24)) | (c >> np.uint64(40))) + total
    return np.stack([a, b, c, np.full_like(a, _ROUNDS + 1)], axis=1)


@lru_cache(maxsize=1024)
def _pool(key: str, seed: int, family: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return what SeedSequence has mixed before the index, and the constant it goes on with."""
    entropy = [word for value in (seed,) for word in _words_of(value)]
    entropy += [0] * (_POOL - len(entropy))
    entropy += [word for value in (*_key_words(key), *family) for word in _words_of(value)]
    constant = _INIT_A
    pool = []
    for word in entropy[:_POOL]:
        hashed, constant = _hashed(np.array([word], np.uint64), constant)
        pool.append(hashed)
    for source in range(_POOL):
        for target in range(_POOL):
            if source != target:
                hashed, constant = _hashed(pool[source], constant)
                pool[target] = _mixed(pool[target], hashed)
    constant = _mix_in(pool, [np.array([w], np.uint64) for w in entropy[_POOL:]], constant)
    return tuple(int(word[0]) for word in pool), constant


def _mix_in(pool: list[Words], entropy: list[Words], constant: int) -> int:
    """Mix words into a pool, in place; return the constant to go on with."""
    for word in entropy:
        for place in range(_POOL):
            hashed, constant = _hashed(word, constant)
            pool[place] = _mixed(pool[place], hashed)
    return constant


def _hashed(word: Words, constant: int) -> tuple[Words, int]:
    word = word ^ np.uint64(constant)
    constant = constant * _MULT_A % _WORD
    word = word * np.uint64(constant) % np.uint64(_WORD)
    return word ^ (word >> np.uint64(_SHIFT)), constant


def _mixed(x: Words, y: Words) -> Words:
    mixed = (np.uint64(_MIX_L) * x - np.uint64(_MIX_R) * y) % np.uint64(_WORD)
    return mixed ^ (mixed >> np.uint64(_SHIFT))


def _words_of(value: int) -> list[int]:
    """Return a number in words of 32 bits, the lowest first; 0 is one word."""
    words = [value % _WORD]
    while value := value // _WORD:
        words.append(value % _WORD)
    return words
