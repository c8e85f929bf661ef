"""Scratch memory: arrays that a thread takes again and again.

Large arrays that are freed go back to the operating system, and to touch them anew costs a page
fault every 4 KiB: up to twice the time of the random numbers they hold.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_own = threading.local()


def scratch(name: str, count: int, dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialised one-dimensional array, the calling thread's own.

    The next call of the same thread with the same name may return the same memory.
    """
    size = count * np.dtype(dtype).itemsize
    buffer = getattr(_own, name, None)
    if buffer is None or buffer.size < size:
        buffer = np.empty(size, np.uint8)
        setattr(_own, name, buffer)
    return buffer[:size].view(dtype)
