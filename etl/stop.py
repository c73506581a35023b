"""The request to end the process; code that calls a server or waits checks it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event


class Terminated(BaseException):
    """SIGTERM asked the process to end.

    Like KeyboardInterrupt it is no Exception, because code that handles failures must not handle it.
    """


class Stop(Event):
    """An event that SIGTERM or Ctrl-C sets once.

    Another thread then calls ``interrupts``, which break off calls to a server.
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
        """Wait for some seconds; raise like ``check`` once the event is set."""
        self.wait(seconds)
        self.check()
