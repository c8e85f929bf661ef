"""Python's collector of cycles, off while many rows are read or written."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_garbage_collector() -> Iterator[None]:
    """Switch Python's collector of cycles off, which looks at all rows time and again.

    Rows are in no cycles, so their memory is freed as before.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
