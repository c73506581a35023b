"""The request budget of an account: so many requests in any sixty seconds, the first ones at once.

Written here and not taken from a library, because a run has to take over what the account's earlier runs spent, and a
wait has to end with the signal that ends the run: a sliding window of instants is all it takes.

The server counts a request some time between its sending and its answer. So it counts here from its answer on, and the
next one that takes its place is sent a whole minute later: whatever the network does, the server never counts more.
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
    """Lets ``per_minute`` requests through in any sixty seconds, of all threads, and makes the next one wait."""

    def __init__(
        self,
        per_minute: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.per_minute = per_minute
        self._monotonic = monotonic
        self._sleep = sleep
        self._spent: deque[float] = deque()
        self._lock = Lock()
        self._mine = local()

    def acquire(self) -> None:
        """Return when one more request may be sent, and count it."""
        while (wait := self._wait_or_acquire()) > 0:
            self._sleep(wait)

    def _wait_or_acquire(self) -> float:
        with self._lock:
            wait = self.wait()
            if wait <= 0:
                self._mine.moment = self._monotonic()
                self._spent.append(self._mine.moment)
            return wait

    def answered(self) -> None:
        """Count this thread's latest request from now on."""
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
        """Count requests that another run of the account sent, the last of them so many seconds ago.

        Only that moment is known, and they may all have been sent just before it.
        """
        moment = self._monotonic() - ended_ago
        self._spent = deque(sorted([*self._spent, *[moment] * min(requests, self.per_minute)]))

    def share(self) -> float:
        """Return how much of the budget was spent in the last sixty seconds, 1.0 being all of it."""
        since = self._monotonic() - MINUTE
        return sum(moment > since for moment in self._spent) / self.per_minute

    def seconds_for(self, requests: int) -> float:
        """Return the least time that so many requests take from a fresh start."""
        return max(0, (requests - 1) // self.per_minute) * MINUTE
