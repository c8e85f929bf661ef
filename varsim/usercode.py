"""Users' code: ``module:function``, its errors in one sentence, its output on stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from contextvars import ContextVar
from functools import reduce
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder
from inspect import iscoroutinefunction
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn, TextIO
from warnings import catch_warnings, simplefilter

from varsim.errors import InputError, error_summary, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray


def load_function(text: str) -> Callable[..., Any]:
    """Return the function of a text ``module:function`` or ``module:Class.method``.

    It can import modules of the current folder, also while it is called.

    Raises:
        InputError: The module cannot be imported, or has no such function.

    >>> load_function("math:sqrt")(4.0)
    2.0
    """
    module, _, path = text.partition(":")
    if not all(map(str.isidentifier, [*module.split("."), *path.split(".")])):
        raise InputError(
            f"{quoted(text)} does not name a function; write module:function, such as mylayers:phi"
        )
    with (
        _current_folder_on(),
        reraise_as_input_error(
            lambda why: f"{quoted(text)} cannot be loaded ({why}); give module:function"
        ),
    ):
        function: object = reduce(getattr, path.split("."), import_module(module))
    if not callable(function):
        raise InputError(
            f"{quoted(text)} is not a function but {type(function).__name__}; give module:function"
        )
    if iscoroutinefunction(function):
        raise InputError(f"{quoted(text)} is an async function; give one that returns an array")
    return _current_folder_on()(function)


def refuse_leaving() -> None:
    """Let ``os._exit`` in other code raise SystemExit, since it would end the run without a word.

    Child processes can still leave.
    """
    process, leave = os.getpid(), os._exit

    def refuse(status: int) -> NoReturn:
        if os.getpid() != process:
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refuse


def plain_array(value: Any) -> NDArray[Any]:
    """Return the result of other code as an array.

    Raises:
        TypeError: It is masked: the hidden entries would count.
    """
    import numpy as np  # the help starts without it

    if isinstance(value, np.ma.MaskedArray):
        raise TypeError("it is a masked array")
    array: NDArray[Any] = np.asarray(value)  # which can run other code as well
    return array


@contextmanager
def reraise_as_input_error(sentence: Callable[[str], str]) -> Iterator[None]:
    """Reraise every error of other code as an InputError, except an interrupt or a MemoryError.

    Other code can call ``sys.exit``, or raise a ``BaseException`` of any class.

    Args:
        sentence: Returns the message, given the type and the first line of the error.
    """
    try:
        yield
    except (InputError, KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001  # of any class
        raise InputError(sentence(error_summary(error))) from None


class _CurrentFolder:
    """The finder of modules in the current folder, for users' code alone, and asked last.

    On ``sys.path``, a user's ``queue.py`` would replace that of the standard library.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,  # noqa: ARG002  # the protocol has it
    ) -> ModuleSpec | None:
        if path is not None or not _in_user_code.get():
            return None
        return PathFinder.find_spec(fullname, [""])


_in_user_code = ContextVar("in_user_code", default=False)
_current_folder = _CurrentFolder()


@contextmanager
def _current_folder_on() -> Iterator[None]:
    """Allow imports from the current folder, of modules whose name is not taken elsewhere."""
    if _current_folder not in sys.meta_path:
        sys.meta_path.append(_current_folder)
    before = _in_user_code.set(True)
    try:
        yield
    finally:
        _in_user_code.reset(before)


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send the output of other code to stderr, since stdout is for data; drop its warnings.

    ``PYTHONWARNINGS`` brings the warnings back.
    """
    with catch_warnings(), _copy_of_stderr() as copy, redirect_stdout(copy):
        if not sys.warnoptions:
            simplefilter("ignore")
        yield


def _copy_of_stderr() -> AbstractContextManager[TextIO | None]:
    """Return another stream to stderr: other code can close it."""
    stream = sys.stderr
    try:
        handle = os.dup(stream.fileno())
    except (AttributeError, OSError):  # it is closed, or no file
        return nullcontext(stream)
    return os.fdopen(handle, "w", 1, stream.encoding, stream.errors)
