"""Memory: how much there is, and arrays that a thread takes again and again.

Large arrays that are freed go back to the operating system, and to touch them anew costs a page
fault every 4 KiB: up to twice the time of the random numbers they hold.
"""

from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from varsim.compute import loaded_libraries

_MIB = 2**20

# Addresses that OpenBLAS takes for the products of a thread, and a thread for its stack and heap.
# Where they are short, some releases of OpenBLAS end the process, and others try for ever.
_BLAS_BUFFER = 36 * _MIB
_THREAD = 72 * _MIB
_SCIPY = 160 * _MIB

# What Python takes besides, for modules that are still to be loaded and for rows.
_PYTHON = 32 * _MIB

_own = threading.local()


def check_workers_fit(workers: int, arrays: int, threads: int) -> None:
    """Check that every worker can hold arrays of so many bytes.

    Args:
        workers: How many there are.
        arrays: The bytes of each.
        threads: How many threads are started for them.

    Raises:
        MemoryError: This process or the machine has less.
    """
    buffers = 2 if "scipy.linalg" in loaded_libraries() else 1
    addresses = workers * (arrays + buffers * _BLAS_BUFFER) + threads * _THREAD + _PYTHON
    _check("the run", addresses, _addresses_left(), "ulimit -v leaves")
    _check("the run", workers * arrays, _available(), "the machine has")


def check_scipy_fits() -> None:
    """Check that SciPy can be loaded.

    Raises:
        MemoryError: It cannot.
    """
    _check("SciPy", _SCIPY, _addresses_left(), "ulimit -v leaves")


def _check(who: str, needed: int, left: float, where: str) -> None:
    if needed > left:
        raise MemoryError(
            f"{who} needs {needed // _MIB:,} MiB, and {where} {left // _MIB:,.0f} MiB"
        )


def _addresses_left() -> float:
    """Return how many bytes of addresses a limit leaves this process; infinity without one."""
    try:
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        pages, _ = Path("/proc/self/statm").read_text().split(maxsplit=1)
    except (ImportError, OSError):  # not on Linux
        return math.inf
    if limit == resource.RLIM_INFINITY:
        return math.inf
    return max(0, limit - int(pages) * os.sysconf("SC_PAGE_SIZE"))


def _available() -> float:
    """Return how many bytes the machine can give to programs; infinity where it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return math.inf
    kib = {name: int(rest.split()[0]) for name, _, rest in (line.partition(":") for line in lines)}
    return 1024 * (kib.get("MemAvailable", math.inf) + kib.get("SwapFree", 0))


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
