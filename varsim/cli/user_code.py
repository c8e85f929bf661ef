"""Users' functions and frameworks: the contexts in which they are loaded and called."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from varsim.initializers import find
from varsim.layer.experiment import Experiment


@contextmanager
def user_code() -> Iterator[None]:
    """Let modules in the current folder be imported, as by ``python -m``.

    What they print goes to stderr, because stdout is for data.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with stdout_to_stderr():
            yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def stdout_to_stderr() -> AbstractContextManager[object]:
    """Return a context in which prints go to stderr."""
    return nullcontext() if sys.stderr is None else redirect_stdout(sys.stderr)


def running(inits: Iterable[str | None]) -> AbstractContextManager[object]:
    """Return a context for initializers to be loaded and called in.

    Modules in the current folder are importable only for users' functions: a framework must not
    import them by accident.
    """
    is_user = any(find(init).framework == "user" for init in inits if init is not None)
    return user_code() if is_user else stdout_to_stderr()


def load_initializers(experiments: Iterable[Experiment]) -> None:
    """Load the frameworks and functions of all initializers.

    Raises:
        InputError: One of them cannot be loaded, or takes other arguments.
    """
    for init in dict.fromkeys(e.init for e in experiments if e.init is not None):
        with running([init]):
            find(init).load()


def check_initializers(experiments: Iterable[Experiment]) -> None:
    """Draw W from every initializer, before anything runs.

    Raises:
        InputError: One of them fails, or its result is not allowed.
    """
    from varsim.layer.sampling import check_initializer  # loads NumPy

    for experiment in {e.init: e for e in experiments}.values():
        with running([experiment.init]):
            check_initializer(experiment)
