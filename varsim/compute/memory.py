"""Memory: arrays that a thread uses again and again.

Large arrays that are freed go back to the operating system, and new ones cost a page fault every
4 KiB: up to twice the time of the random numbers that fill them.
"""

from __future__ import annotations

import threading
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class _Buffers(threading.local):
    """The buffers of the calling thread, by name."""

    def __init__(self) -> None:
        self.by_name: dict[str, NDArray[np.uint8]] = {}


_buffers = _Buffers()


def scratch(name: str, count: int, dtype: np.dtype[Scalar] | type[Scalar]) -> NDArray[Scalar]:
    """Return an uninitialised array of shape (count,) that only the calling thread uses.

    The next call of the same thread with the same name may return the same memory.
    """
    size = count * np.dtype(dtype).itemsize
    buffer = _buffers.by_name.get(name)
    if buffer is None or buffer.size < size:
        buffer = _buffers.by_name[name] = np.empty(size, np.uint8)
    return buffer[:size].view(dtype)
