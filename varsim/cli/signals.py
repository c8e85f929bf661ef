"""The signals that end the program: one rule, from its first line to its last."""

from __future__ import annotations

import _thread
import signal
import sys
import time
from os import _exit as leave
from types import FrameType

TYPE_CHECKING = False  # as in varsim: typing takes long to load
if TYPE_CHECKING:
    from sys import UnraisableHookArgs

# A run that is not held up and still goes on after this time has lost its interrupt.
_SWALLOWED_S = 2.0

INTERRUPTED = 130
"""Exit code of a program that a signal ended."""


class EndingSignals:
    """Handles the signals that end the program: SIGINT, SIGTERM and SIGHUP.

    Before a command and after it, they end the program at once. During a command, which is a
    context, the first one raises KeyboardInterrupt, and those that follow are held up: finished
    rows are still to be written then. A later one raises again if other code swallowed the first.

    Attributes:
        received: Whether there was a signal during the command.
    """

    def __init__(self) -> None:
        self.received = self._in_command = self._holds = False
        self._armed, self._raised = True, 0.0

    def install(self) -> None:
        """Set the handlers; a signal that is ignored already, as by nohup, stays ignored."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._handle)
        sys.unraisablehook = self._raise_again

    def __enter__(self) -> None:
        self.received, self._in_command = False, True
        self.release()

    def __exit__(self, *_: object) -> None:
        self._in_command = False

    def hold(self) -> None:
        """Hold up all signals until :meth:`release`: rows are being written to files."""
        self._armed, self._holds = False, True

    def release(self) -> None:
        """Let the next signal raise."""
        self._armed, self._holds = True, False

    def _raise_again(self, ignored: UnraisableHookArgs) -> None:
        """Raise again what Python ignores: what is raised in a destructor or a callback."""
        if not isinstance(ignored.exc_value, KeyboardInterrupt):
            sys.__unraisablehook__(ignored)
            return
        self._armed = True
        _thread.start_new_thread(_interrupt_soon, (_thread.get_ident(),))

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._in_command:
            leave(INTERRUPTED)
        self.received = True
        now = time.monotonic()
        if self._armed or (not self._holds and now - self._raised > _SWALLOWED_S):
            self._armed, self._raised = False, now
            raise KeyboardInterrupt


def _interrupt_soon(thread: int) -> None:
    time.sleep(0.05)  # until the destructor has ended
    if sys.platform == "win32":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(thread, signal.SIGINT)  # which also ends a call of the system


signals = EndingSignals()
"""The handler of this process."""
