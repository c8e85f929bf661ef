"""Signals that end a program, while rows are measured and written."""

from __future__ import annotations

import signal
import threading
from contextlib import AbstractContextManager
from types import FrameType


class EndingSignals(AbstractContextManager["EndingSignals"]):
    """Lets the first signal that ends a program interrupt the run, and holds up those that follow.

    The finished rows are still to be written then. A hang-up that is ignored already
    (nohup) stays ignored. Only the main thread may set handlers, and only it is interrupted.

    Attributes:
        armed: Whether the next signal interrupts at once; else it is held up.
        received: Whether there was a signal.
    """

    def __enter__(self) -> EndingSignals:
        self.armed, self.received = True, False
        names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP
        numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
        if threading.current_thread() is not threading.main_thread():
            numbers = []
        handlers = {number: signal.getsignal(number) for number in numbers}
        self._before = {n: h or signal.SIG_DFL for n, h in handlers.items() if h != signal.SIG_IGN}
        for number in self._before:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Restore the handlers from before; an interrupted program goes on holding signals up."""
        for number, handler in self._before.items() if kind is None else ():
            signal.signal(number, handler)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        self.received = True
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
