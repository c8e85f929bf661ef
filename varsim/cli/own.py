"""Functions of the user's own and of frameworks: loaded from where they stand, and checked."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from pathlib import Path

from varsim.layer.experiment import Experiment


@contextmanager
def importable() -> Iterator[None]:
    """Let modules in the current folder be imported, as by ``python -m``.

    What they print goes to stderr: stdout is for data.
    """
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        with aside():
            yield
    finally:
        if folder in sys.path:
            sys.path.remove(folder)


def aside() -> AbstractContextManager[object]:
    """Return a context in which what others print goes to stderr."""
    return nullcontext() if sys.stderr is None else redirect_stdout(sys.stderr)


def using(inits: Iterable[str | None]) -> AbstractContextManager[object]:
    """Return a context for initializers to be loaded and called in.

    A framework's is not to find what happens to be in the current folder.
    """
    return importable() if any(":" in init for init in inits if init is not None) else aside()


def load_initializers(experiments: Iterable[Experiment]) -> None:
    """Load what initializers are of.

    Raises:
        InputError: One of them cannot be found.
    """
    for init in dict.fromkeys(e.init for e in experiments if e.init is not None):
        from varsim.initializers.registry import find  # only initializers need it

        with using([init]):
            find(init)


def check_initializers(experiments: Iterable[Experiment]) -> None:
    """Draw W once from every initializer, before anything runs.

    Raises:
        InputError: One of them cannot be used.
    """
    from varsim.layer.sampling import check_initializer  # loads NumPy

    for experiment in {e.init: e for e in experiments}.values():
        with using([experiment.init]):
            check_initializer(experiment)
