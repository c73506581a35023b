"""Sliding-window rate limiter of an account: N requests in any 60 seconds, bursts allowed.

It is not a library's, because a run takes over the requests of the account's earlier runs, and a wait ends with the
signal that ends the run.

The server counts a request at some time between its sending and its answer. So a request counts here from its answer
on, and its place is free a whole minute later. The server never counts more, however slow the network is.
"""

from __future__ import annotations

import time
from collections import deque
from threading import Lock, local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60.0


class RateLimiter:
    """Allows ``per_minute`` requests of all threads in any 60 seconds; the next one waits."""

    def __init__(
        self,
        per_minute: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.per_minute = per_minute
        self._monotonic = monotonic
        self._sleep = sleep
        self._on_wait = on_wait
        self._spent: deque[float] = deque()
        self._lock = Lock()
        self._mine = local()

    def acquire(self) -> None:
        """Return when one more request may be sent, and count it."""
        while (wait := self._wait_or_acquire()) > 0:
            self._on_wait(wait)
            self._sleep(wait)

    def _wait_or_acquire(self) -> float:
        with self._lock:
            wait = self.wait()
            if wait <= 0:
                self._mine.moment = self._monotonic()
                self._spent.append(self._mine.moment)
            return wait

    def answered(self) -> None:
        """Count this thread's latest request from this moment on."""
        with self._lock:
            self._spent.remove(self._mine.moment)
            self._mine.moment = self._monotonic()
            self._spent.append(self._mine.moment)

    def wait(self) -> float:
        """Return the seconds until a request may be sent."""
        now = self._monotonic()
        while self._spent and self._spent[0] + MINUTE <= now:
            self._spent.popleft()
        if len(self._spent) < self.per_minute:
            return 0.0
        return self._spent[len(self._spent) - self.per_minute] + MINUTE - now

    def preload_usage(self, requests: int, ended_ago: float) -> None:
        """Count the requests of another run of the account; it sent the last one ``seconds`` ago.

        Only this time is known, and it may have sent all of them just before it.
        """
        moment = self._monotonic() - ended_ago
        self._spent = deque(sorted([*self._spent, *[moment] * min(requests, self.per_minute)]))

    def share(self) -> float:
        """Return the share of the budget that was spent in the last 60 seconds, from 0.0 to 1.0."""
        since = self._monotonic() - MINUTE
        return sum(moment > since for moment in self._spent) / self.per_minute

    def time_until(self, requests: int) -> float:
        """Return the seconds until the last of so many more requests may be sent."""
        with self._lock:
            self.wait()  # forgets what is over a minute ago
            place, minutes = len(self._spent) + requests - 1, 0
            while place >= len(self._spent):
                place, minutes = place - self.per_minute, minutes + 1
            if place < 0:
                return (minutes - 1) * MINUTE
            return self._spent[place] + minutes * MINUTE - self._monotonic()

    def seconds_for(self, requests: int) -> float:
        """Return the shortest time for a number of requests from a full budget."""
        return max(0, (requests - 1) // self.per_minute) * MINUTE
