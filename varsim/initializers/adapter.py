"""What a maker of W is, and the sentences for names and arguments that there are not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from varsim.calls import Call
from varsim.parsing import InputError, nearest

FloatArray: TypeAlias = NDArray[np.floating[Any]]


class Made(NamedTuple):
    """What an initializer made, before it is checked.

    Attributes:
        weights: W, of shape (D, n): anything that NumPy makes an array of.
        bias: Of shape (n,), or None.
    """

    weights: Any
    bias: Any = None


Maker: TypeAlias = Callable[[Generator, tuple[int, int], np.dtype[np.floating]], Made]
"""Called as ``maker(rng, (D, n), dtype)``: an initializer, seeded from a random stream."""


def seed_of(rng: Generator, bits: int = 63) -> int:
    """Return a seed for another library's random numbers."""
    return int(rng.integers(1 << bits, dtype=np.uint64))


def first_line(error: BaseException) -> str:
    """Return what an error of somebody else's code says, as a part of a sentence."""
    try:
        text = str(error).strip().partition("\n")[0].rstrip(".")
    except Exception:  # noqa: BLE001  # not our code
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def refuse_seeds(call: Call, *names: str) -> None:
    """Refuse an argument that would give every block the same W.

    Raises:
        InputError: There is one.
    """
    for name in names:
        if name in call.options:
            raise InputError(f"{call} has a {name}, and varsim passes its own; leave it out")


def check_arguments(call: Call, function: Callable[..., Any], *before: Any) -> None:
    """Check that a function takes the arguments of a call, after those that come before them.

    Raises:
        InputError: It does not.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:  # it has none to read
        return
    try:
        signature.bind(*before, *call.positional, **call.options)
    except TypeError as error:
        parameters = list(signature.parameters.values())[len(before) :]
        takes = ", ".join(str(p.replace(annotation=p.empty)) for p in parameters) or "none"
        raise InputError(f"{call} has wrong arguments ({error}); it takes: {takes}") from None


def unknown(call: Call, prefix: str, known: Iterable[str]) -> InputError:
    """Return the error for a name that a framework does not have."""
    name = call.name.removeprefix(prefix)
    hint = nearest(name, known)
    return InputError(f"{prefix.rstrip('.')} has no initializer {name!r}; {hint}")
