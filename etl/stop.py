"""The request to end the process: whoever asks a server or waits looks at it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event


class Terminated(BaseException):
    """The process was asked to end (SIGTERM).

    Beside KeyboardInterrupt, not under Exception: code that handles failures must not handle this.
    """


class Stop(Event):
    """An event that is set once, when SIGTERM or Ctrl-C comes.

    ``interrupts`` are called then, from another thread: they break off what waits for a server.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kind: type[BaseException] = Terminated
        self.interrupts: list[Callable[[], None]] = []

    def request(self, kind: type[BaseException]) -> None:
        """Set the event, for KeyboardInterrupt or Terminated."""
        self.kind = kind
        self.set()
        for interrupt in self.interrupts:
            interrupt()

    def check(self) -> None:
        """Raise KeyboardInterrupt or Terminated once the event is set."""
        if self.is_set():
            raise self.kind

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds, or until the event is set: then raise as ``check`` does."""
        self.wait(seconds)
        self.check()
