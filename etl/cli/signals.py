"""SIGTERM as an exception, so that a stopped run closes what it opened, as Ctrl-C already does."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

_AGAIN = 0.02  # seconds


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
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_raise_again, hook)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    raise KeyboardInterrupt if number == signal.SIGINT else Terminated


def _raise_again(hook: Callable[[sys.UnraisableHookArgs], object], unraisable: sys.UnraisableHookArgs) -> None:
    """Raise a stop a moment later that came while Python tidied up objects, where no exception gets out."""
    stop = unraisable.exc_value
    if not isinstance(stop, KeyboardInterrupt | Terminated):
        hook(unraisable)
        return

    def again(_number: int, _frame: FrameType | None) -> None:
        raise type(stop)

    signal.signal(signal.SIGALRM, again)
    signal.setitimer(signal.ITIMER_REAL, _AGAIN)
