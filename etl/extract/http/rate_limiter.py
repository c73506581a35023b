"""Sliding-window rate limiter of an account: N requests in any 60 seconds, bursts allowed, and M in any hour if set.

It is not a library's, because a run takes over the requests of the account's earlier runs, and a wait ends with the
signal that ends the run.

The server counts a request at some time between its sending and its answer. So a request counts here from its answer
on, and its place is free a whole minute later. The server never counts more, however slow the network is.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from threading import Lock, local
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE = 60.0
HOUR = 3600.0


@dataclass(slots=True)
class _Span:
    """At most ``limit`` requests in any ``seconds``; ``spent`` holds when each was made, in order."""

    limit: int
    seconds: float
    spent: deque[float] = field(default_factory=deque)

    def wait(self, now: float) -> float:
        while self.spent and self.spent[0] + self.seconds <= now:
            self.spent.popleft()
        if len(self.spent) < self.limit:
            return 0.0
        return self.spent[len(self.spent) - self.limit] + self.seconds - now

    def time_until(self, requests: int, now: float) -> float:
        self.wait(now)  # forgets what is over
        place, rounds = len(self.spent) + requests - 1, 0
        while place >= len(self.spent):
            place, rounds = place - self.limit, rounds + 1
        return (rounds - 1) * self.seconds if place < 0 else self.spent[place] + rounds * self.seconds - now

    def add(self, moments: list[float]) -> None:
        self.spent = deque(sorted([*self.spent, *moments]))


class RateLimiter:
    """Allows ``per_minute`` requests of all threads in any 60 seconds, and ``per_hour`` in any hour; the next waits.

    ``hour`` is the length of that hour in seconds; tests shorten it.
    """

    def __init__(
        self,
        per_minute: int,
        per_hour: int | None = None,
        *,
        hour: float = HOUR,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self.per_minute = per_minute
        self.per_hour = per_hour
        self.hour = hour
        self._monotonic = monotonic
        self._sleep = sleep
        self._on_wait = on_wait
        self._minute = _Span(per_minute, MINUTE)
        self._spans = [self._minute] if per_hour is None else [self._minute, _Span(per_hour, hour)]
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
                for span in self._spans:
                    span.spent.append(self._mine.moment)
            return wait

    def answered(self) -> None:
        """Count this thread's latest request from this moment on."""
        with self._lock:
            now = self._monotonic()
            for span in self._spans:
                span.spent.remove(self._mine.moment)
                span.spent.append(now)
            self._mine.moment = now

    def wait(self) -> float:
        """Return the seconds until a request may be sent."""
        now = self._monotonic()
        return max(span.wait(now) for span in self._spans)

    def preload_usage(
        self, requests: int, ended_ago: float, lasted: float = 0.0, *, in_minute: int | None = None
    ) -> None:
        """Count the requests of another run of the account; it sent the last one ``ended_ago`` seconds ago.

        For the minute only this time is known: it may have sent all of them just before it, or ``in_minute`` of them.
        For the hour they count as spread over the time that the run ``lasted``.
        """
        end = self._monotonic() - ended_ago
        self._minute.add([end] * min(requests if in_minute is None else in_minute, self.per_minute))
        for span in self._spans[1:]:
            steps = range(max(0, requests - span.limit), requests)
            span.add([end - lasted * (requests - 1 - step) / max(1, requests - 1) for step in steps])

    def share(self) -> float:
        """Return the share of the budget that was spent in the last 60 seconds, from 0.0 to 1.0."""
        since = self._monotonic() - MINUTE
        return sum(moment > since for moment in self._minute.spent) / self.per_minute

    def time_until(self, requests: int) -> float:
        """Return the seconds, about, until the last of a number of requests may be sent."""
        with self._lock:
            now = self._monotonic()
            return max(span.time_until(requests, now) for span in self._spans)

    def seconds_for(self, requests: int) -> float:
        """Return the shortest time for a number of requests from a full budget."""
        return max(max(0, (requests - 1) // span.limit) * span.seconds for span in self._spans)
