"""Makes SIGTERM and Ctrl-C set a Stop, so that a stopped run closes what it opened.

The client checks the Stop before each request and in each wait; a running request is cut off. The run stores first what
it has read. Code that does not check, such as a long statement, has a few seconds. Then the main thread gets the
exception. It does not get it at once, because an exception inside a library can leave a lock taken.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

from etl.stop import Stop, Terminated

_PATIENCE = 5.0  # seconds


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

    handlers = {signal.SIGTERM: first, signal.SIGINT: first, signal.SIGALRM: late}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield stop
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)
