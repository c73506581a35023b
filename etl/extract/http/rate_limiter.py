"""Sliding-window rate limiter of an account: N requests in any 60 seconds, bursts allowed, and M in any hour if set.

All threads, processes and hosts that share a :class:`BudgetStore` share the budget. The server counts a request at some
time between its sending and its answer. So a request in flight counts until its deadline, and from its answer on for
one span more. The server never counts more, however slow the network is, and also where a process was killed.

A process takes several slots at once while half of the budget is free, and gives unused ones back. So most requests
cost no access to the store.

A backfill has only a part of the budget while syncs are due. The statement that grants its request decides this: it
fails if another request was granted meanwhile. A backfill takes no slots in advance.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock, get_ident
from typing import Protocol
from uuid import uuid4

from msgspec import Struct

from etl.extract.http.budget_usage import Held, Span, Usage

MINUTE = 60.0
HOUR = 3600.0
_POLL = 1.0  # seconds: a slot in use may come back at any time
_REUSE = 10.0  # seconds in which a slot that was taken in advance can be used
_IN_ADVANCE = 15  # a process takes at most this part of the budget in advance
_LONGEST_PAUSE = HOUR
_ALL = 100  # percent


class BudgetStore(Protocol):
    """Keeps the usage of one account's budget as a text with a version, for all that share the store."""

    def read(self) -> tuple[float, int, str]:
        """Return the store's clock in seconds, the version, and the text; version 0 is an empty text."""

    def replace(self, version: int, text: str) -> bool:
        """Store the text, and return True; store nothing and return False if ``version`` is not the latest."""

    def are_syncs_due(self) -> bool:
        """Tell whether a scheduled sync of the account is due or at work."""


class _InMemory:
    """A store for the threads of one process."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._version, self._text = 0, ""

    def read(self) -> tuple[float, int, str]:
        return self._monotonic(), self._version, self._text

    def replace(self, version: int, text: str) -> bool:
        if version != self._version:
            return False
        self._version, self._text = version + 1, text
        return True

    def are_syncs_due(self) -> bool:
        return False


class _Lease(Struct, eq=False):
    """Slots that this process holds until ``until`` by the store's clock, ``expires`` by its own."""

    since: float
    until: float
    expires: float
    unused: int
    in_flight: int = 0


class RateLimiter:
    """Allows ``per_minute`` requests in any 60 seconds, and ``per_hour`` in any hour; the next waits.

    ``minute`` and ``hour`` are their lengths in seconds; tests shorten them.
    """

    def __init__(  # noqa: PLR0913 tests replace time
        self,
        per_minute: int,
        per_hour: int | None = None,
        *,
        store: BudgetStore | None = None,
        minute: float = MINUTE,
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
        self._store = store or _InMemory(monotonic)
        self._spans = [Span(per_minute, minute), *([] if per_hour is None else [Span(per_hour, hour)])]
        self._longest = max(span.seconds for span in self._spans)
        self._lock = Lock()
        self._me = uuid4().hex[:12]
        self._leases: list[_Lease] = []
        self._in_flight: dict[int, _Lease] = {}  # by thread
        self._answered: list[float] = []  # by this process's clock, not stored yet
        self._may_come_back = False
        self.is_paused = False

    def acquire(self, within: float = 0.0, *, longest: float | None = None, percent: int = _ALL) -> float:
        """Return 0.0 when one more request may be sent, and count it; its answer comes ``within`` this many seconds.

        Return the seconds to wait, and count nothing, if they are more than ``longest``. All requests with a
        ``percent`` under 100 have no more than this part of the budget while syncs are due, but one at least.
        """
        while (wait := self._take(within, percent)) > 0:
            if longest is not None and wait > longest:
                return wait
            self._on_wait(wait)
            self._sleep(min(wait, _POLL) if self._may_come_back else wait)
        return 0.0

    def answered(self) -> None:
        """Count this thread's request from this moment on."""
        with self._lock:
            self._in_flight.pop(get_ident()).in_flight -= 1
            self._answered.append(self._monotonic())

    def unanswered(self) -> None:
        """Count this thread's request from its deadline on: the server may still count it until then."""
        with self._lock:
            self._in_flight.pop(get_ident())

    def pause(self, seconds: float) -> None:
        """Let nobody send a request of this account for some seconds: the server has refused one as too many."""
        with self._lock:
            self._update(pause=min(seconds, _LONGEST_PAUSE))

    def give_back(self) -> None:
        """Give the unused slots back, and store what was answered."""
        with self._lock:
            if self._leases or self._answered:
                self._update()

    def wait(self) -> float:
        """Return the seconds until a request may be sent."""
        return self._usage().wait(self._spans)

    def share(self) -> float:
        """Return the share of the budget that was spent in the last minute, from 0.0 to 1.0."""
        return self._usage().share(self._spans[0])

    def has_spare(self, share: float) -> bool:
        """Tell whether a request could be sent at once, and less than this share of the minute's budget is spent."""
        usage = self._usage()
        return usage.free(self._spans) > 0 and usage.share(self._spans[0]) < share

    def time_until(self, requests: int) -> float:
        """Return the seconds, about, until the last of a number of requests may be sent."""
        usage = self._usage()
        return max(0.0, *(usage.time_until(span, requests) for span in self._spans))

    def rate(self) -> float:
        """Return how many requests a second the budget allows in the long run."""
        return min(span.limit / span.seconds for span in self._spans)

    def seconds_for(self, requests: int) -> float:
        """Return the shortest time for a number of requests from a full budget."""
        return max(max(0, (requests - 1) // span.limit) * span.seconds for span in self._spans)

    def _take(self, within: float, percent: int) -> float:
        with self._lock:
            now = self._monotonic()
            usable = (each for each in self._leases if each.unused and now + within <= each.expires)
            lease = next(usable, None) if percent == _ALL else None
            wait = 0.0
            if lease is None:
                wait, lease = self._update(within=within, percent=percent)
            if lease is not None:
                lease.unused -= 1
                lease.in_flight += 1
                self._in_flight[get_ident()] = lease
            return wait

    def _update(
        self, *, within: float | None = None, percent: int = _ALL, pause: float = 0.0
    ) -> tuple[float, _Lease | None]:
        """Store this process's part of the usage; with ``within`` also take slots, or return the wait for one."""
        while True:
            read, (now, version, text) = self._monotonic(), self._store.read()
            usage = self._with_mine(Usage.of(now, text), read)
            if pause:
                usage.pause = max(usage.pause, (now, now + pause), key=lambda each: each[1])
            wait, lease = 0.0, None
            if within is not None:
                wait = usage.wait(self._spans)
                if not wait and percent < _ALL and self._must_leave(usage, percent):
                    wait = _POLL
                if not wait:
                    lasts = within + _REUSE
                    lease = _Lease(now, now + lasts, read + lasts, self._slots(usage) if percent == _ALL else 1)
                    usage.held.setdefault(self._me, []).append(Held(lease.since, lease.until, lease.unused))
                    if percent < _ALL:
                        usage.background.append((now, 1))
                self._may_come_back = any(each.until > now for several in usage.held.values() for each in several)
                self.is_paused = usage.pause[1] > now
                is_known = not (usage.is_corrected or self._answered or any(each.unused for each in self._leases))
                if wait and is_known:
                    return wait, None
            if self._store.replace(version, usage.text(self._spans)):
                break
        self._answered.clear()
        for each in self._leases:
            each.unused = 0
        in_flight = [each for each in self._leases if each.in_flight and each.expires > read - self._longest]
        self._leases = in_flight if lease is None else [*in_flight, lease]
        return wait, lease

    def _usage(self) -> Usage:
        """Return the account's usage, without the unused slots of this process."""
        with self._lock:
            read, (now, _, text) = self._monotonic(), self._store.read()
            return self._with_mine(Usage.of(now, text), read)

    def _with_mine(self, usage: Usage, read: float) -> Usage:
        """Replace this process's part. An answer is as old as it was before the store's clock was read, or older."""
        usage.answered += [(usage.now - (read - moment), 1) for moment in self._answered]
        usage.held[self._me] = [Held(each.since, each.until, each.in_flight) for each in self._leases if each.in_flight]
        return usage

    def _must_leave(self, usage: Usage, percent: int) -> bool:
        """Tell whether a request has to be left to syncs."""
        return usage.is_background_over(percent, self._spans) and self._store.are_syncs_due()

    def _slots(self, usage: Usage) -> int:
        """Return how many slots to take: several while half of the budget is free."""
        spare = min(span.limit for span in self._spans)
        return max(1, min(usage.free(self._spans) - spare // 2, spare // _IN_ADVANCE))
