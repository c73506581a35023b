"""SIGTERM and Ctrl-C set a Stop, so that a stopped run closes what it opened.

The client looks at the Stop before each request and in each wait, and a request under way is cut. What was read is
stored first. Code that does not look, such as a long statement, has a few seconds; then the exception is raised in the
main thread, wherever that is. It is not raised at once, because an exception inside a library can leave a lock taken.
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
    """Within the block the first SIGTERM or Ctrl-C sets the Stop that is given, and a second one ends the process.

    After ``patience`` seconds (0: at once) Terminated or KeyboardInterrupt is raised in the block.
    Works in the main thread only, as Python's signal handlers do.
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
