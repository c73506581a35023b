"""SIGTERM as an exception, so that a stopped run closes what it opened, as Ctrl-C already does."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(BaseException):
    """The process was asked to end (SIGTERM).

    Beside KeyboardInterrupt, not under Exception: code that copes with failures must not cope with this.
    """


@contextmanager
def graceful() -> Iterator[None]:
    """Within the block the first SIGTERM raises Terminated and the first Ctrl-C KeyboardInterrupt.

    From the first on, a second signal of either kind ends the process at once, by the signal's default action.
    Works in the main thread only, as Python's signal handlers do.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise Terminated
