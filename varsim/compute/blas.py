"""BLAS: one thread per library while workers compute."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Hashable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController


class OneThread:
    """A context in which a library has one thread; the last holder restores the number.

    Args:
        limit: Sets one thread, and returns the function that restores the number, or None if
            nothing was set.
        per_thread: Whether each thread of this process has a setting of its own.
    """

    def __init__(
        self, limit: Callable[[], Callable[[], None] | None], *, per_thread: bool = False
    ) -> None:
        """Start without holders."""
        self._limit, self._per_thread = limit, per_thread
        self._lock = threading.Lock()
        self._holders = 0
        self._restore: Callable[[], None] | None = None

    def __enter__(self) -> None:
        """Set one thread, unless another holder has."""
        with self._lock:
            if self._per_thread or self._restore is None:
                restore = self._limit()
                self._restore = self._restore or restore  # only the first saw the original number
            self._holders += 1

    def __exit__(self, *_: object) -> None:
        """Restore the number, unless there is another holder."""
        with self._lock:
            self._holders -= 1
            if self._holders == 0 and self._restore is not None:
                self._restore()
                self._restore = None


def loaded_libraries() -> frozenset[str]:
    """Return the loaded libraries that have a BLAS or threads of their own."""
    known = {"scipy.linalg", "scipy.special", "torch", "jax", "tensorflow"}
    return frozenset(sys.modules.keys() & known)


_BLAS_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")

_started_with_one: set[str] = set()


def start_with_one_blas_thread() -> None:
    """Let NumPy's BLAS start with one thread, if it is not loaded yet.

    That start is faster, and saves the search for loaded libraries. A user's setting stays.
    """
    if "numpy" not in sys.modules and not any(name in os.environ for name in _BLAS_VARIABLES):
        os.environ |= dict.fromkeys(_BLAS_VARIABLES, "1")
        _started_with_one.add("numpy")


def limit_blas() -> Callable[[], None]:
    """Limit every loaded BLAS to one thread, and return the function that restores the limits."""
    if _started_with_one and not loaded_libraries():
        return lambda: None
    limits = _blas_libraries(loaded_libraries()).limit(limits=1, user_api="blas")
    restore: Callable[[], None] = limits.restore_original_limits
    return restore


@cache
def _blas_libraries(loaded: Hashable) -> ThreadpoolController:  # noqa: ARG001  # only a key
    """Search for libraries once per key, since that takes as long as a small experiment."""
    import numpy as np  # noqa: F401  # only a loaded BLAS is found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


one_blas_thread = OneThread(limit_blas)
"""More threads would fight the workers for the cores, and could change the last digits."""
