"""The request to end the process: SIGTERM and Ctrl-C set a Stop; code that calls a server or waits checks it.

The client checks the Stop before each request and in each wait; a running request is cut off. The run stores first what
it has read. Code that does not check, such as a long statement, has a few seconds. Then the main thread gets the
exception. It does not get it at once, because an exception inside a library can leave a lock taken.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event, Thread
from types import FrameType

_PATIENCE = 5.0  # seconds


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
        self.interrupts: list[Callable[[], object]] = []

    def request(self, kind: type[BaseException]) -> None:
        """Set the event, for KeyboardInterrupt or Terminated."""
        self.kind = kind
        self.set()
        for interrupt in [*self.interrupts]:
            interrupt()

    def check(self) -> None:
        """Raise KeyboardInterrupt or Terminated once the event is set."""
        if self.is_set():
            raise self.kind

    def sleep(self, seconds: float) -> None:
        """Wait for some seconds; raise like ``check`` once the event is set."""
        self.wait(seconds)
        self.check()


@contextmanager
def graceful(patience: float = _PATIENCE) -> Iterator[Stop]:
    """Give a Stop that the first SIGTERM or Ctrl-C sets; a second one ends the process.

    After ``patience`` seconds (0: at once) the block raises Terminated or KeyboardInterrupt.
    It works in the main thread only, like Python's signal handlers.
    """
    stop = Stop()

    def first(number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        kind = KeyboardInterrupt if number == signal.SIGINT else Terminated
        # In a thread: the main thread may be inside Event.wait, whose lock Event.set takes.
        Thread(target=stop.request, args=(kind,), daemon=True).start()
        if not patience:
            raise kind
        signal.setitimer(signal.ITIMER_REAL, patience)

    def late(_number: int, _frame: FrameType | None) -> None:
        raise stop.kind

    with handling({signal.SIGTERM: first, signal.SIGINT: first, signal.SIGALRM: late}):
        try:
            yield stop
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


@contextmanager
def handling(handlers: Mapping[signal.Signals, Callable[[int, FrameType | None], object]]) -> Iterator[None]:
    """Let these functions handle the signals during a block."""
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
