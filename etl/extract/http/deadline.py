"""Limits the time of a block: one thread sleeps until it may have to cut something."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import Lock, Thread

_SECONDS_BETWEEN_CUTS = 0.5


class Deadline:
    """Calls ``cut`` when a block lasts too long; for one block at a time.

    Most blocks end early, so the thread is not woken for each one. It sleeps until the deadline of an earlier block and
    then looks for the current one. Without a current block the thread ends.
    """

    def __init__(self, cut: Callable[[], None]) -> None:
        self._cut = cut
        self._lock = Lock()
        self._alarm: SimpleQueue[None] = SimpleQueue()
        self._ends: float | None = None
        self._is_over = False
        self._wakes: float | None = None  # None while there is no thread

    @contextmanager
    def limit(self, seconds: float) -> Iterator[Callable[[], bool]]:
        """Cut the block if it lasts longer; give a function that tells whether that happened."""
        self._begin(time.monotonic() + seconds)
        try:
            yield lambda: self._is_over
        finally:
            self._ends = None

    def close(self) -> None:
        """Let the thread end."""
        with self._lock:
            self._ends = None
            if self._wakes is not None:
                self._wakes = 0.0
                self._alarm.put(None)

    def _begin(self, ends: float) -> None:
        with self._lock:
            self._ends, self._is_over = ends, False
            if self._wakes is None:
                Thread(target=self._watch, name="kore-etl-watch", daemon=True).start()
                self._wakes = ends
            elif ends < self._wakes:
                self._alarm.put(None)

    def _watch(self) -> None:
        while (seconds := self._look()) is not None:
            with suppress(Empty):
                self._alarm.get(timeout=seconds)

    def _look(self) -> float | None:
        """Cut a block that lasts too long; return the seconds until the next check, None if there is no block."""
        with self._lock:
            now = time.monotonic()
            ends = self._ends
            if ends is None:
                if self._wakes is None or self._wakes <= now:
                    self._wakes = None
                    return None
                return self._wakes - now
            if ends <= now:
                self._is_over = True
                self._cut()
                ends = now + _SECONDS_BETWEEN_CUTS  # the connection may not have existed yet
            self._wakes = ends
            return ends - now
