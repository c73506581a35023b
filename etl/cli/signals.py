"""SIGTERM as an exception, so that a stopped run closes what it opened, as Ctrl-C already does.

Python raises such an exception wherever the process happens to be. Between the taking of a lock and the ``with`` that
lets go of it, deep in a library, the lock stays taken: a queue's for ever, a transaction's until the process ends. In a
weak reference's callback the exception is lost. So a stop is raised in this program's own code and where it waits for
the network or sleeps, not while the database is at work; anywhere else it waits a moment.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import FrameType

_OWN = ("etl", "__main__")
_WAITING = ("http.client", "selectors", "socket", "ssl", "subprocess", "tenacity", "urllib3.util")
_NOT_BELOW = ("sqlalchemy",)
_PATIENCE = 5.0  # seconds; what takes longer is broken off
_AGAIN = 0.01  # seconds


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
    before[signal.SIGALRM] = signal.getsignal(signal.SIGALRM)
    hook = sys.unraisablehook
    sys.unraisablehook = partial(_raise_again, hook)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _Stop(KeyboardInterrupt if number == signal.SIGINT else Terminated)(number, frame)


class _Stop:
    """A stop that is raised as soon as it does no harm; called as a signal handler."""

    def __init__(self, kind: type[BaseException]) -> None:
        self._kind = kind
        self._latest = time.monotonic() + _PATIENCE

    def __call__(self, _number: int, frame: FrameType | None) -> None:
        if _does_no_harm(frame) or time.monotonic() >= self._latest:
            raise self._kind
        self.come_again()

    def come_again(self) -> None:
        signal.signal(signal.SIGALRM, self)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)


def _does_no_harm(frame: FrameType | None) -> bool:
    """Tell whether the code that runs may be broken off."""
    modules = [str(each.f_globals.get("__name__", "")) for each in _outwards(frame)]
    if not any(_is_of(module, _OWN + _WAITING) for module in modules[:1]):
        return False
    return not any(_is_of(module, _NOT_BELOW) for module in modules)


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _is_of(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _raise_again(hook: Callable[[sys.UnraisableHookArgs], object], unraisable: sys.UnraisableHookArgs) -> None:
    """Let a stop come again that was raised where no exception gets out; leave others to the hook."""
    if isinstance(unraisable.exc_value, KeyboardInterrupt | Terminated):
        _Stop(type(unraisable.exc_value)).come_again()
    else:
        hook(unraisable)
