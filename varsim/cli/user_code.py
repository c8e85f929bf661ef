"""Users' functions and frameworks: the context in which they are loaded and called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path


@contextmanager
def user_code() -> Iterator[None]:
    """Let modules in the current folder be imported, as by ``python -m``.

    What they print goes to stderr, because stdout is for data.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with _stdout_to_stderr():
            yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def in_user_context(names: Iterable[str | None]) -> AbstractContextManager[object]:
    """Return a context for initializers and activations of these names to be loaded and called in.

    Modules in the current folder are importable only for users' functions, ``module:function``: a
    framework must not import them by accident.
    """
    is_user = any(":" in name.partition("(")[0] for name in names if name is not None)
    return user_code() if is_user else _stdout_to_stderr()


def _stdout_to_stderr() -> AbstractContextManager[object]:
    return nullcontext() if sys.stderr is None else redirect_stdout(sys.stderr)
