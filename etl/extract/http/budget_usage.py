"""What the request budget of an account is used for: answered requests, and slots that somebody holds."""

from __future__ import annotations

from typing import NamedTuple

import orjson
from msgspec import Struct, field

_SHORTEST_WAIT = 0.001  # seconds: the difference of two times may be rounded to 0
_KEPT = 3600.0  # seconds at least: another process may count by the hour
_MOST_MOMENTS = 200  # that are kept for a span; more are counted together, by at most this part of the span too long


class Span(NamedTuple):
    """At most ``limit`` requests in any ``seconds``."""

    limit: int
    seconds: float


class Held(NamedTuple):
    """Slots of requests that are in flight or not sent yet: each counts as sent at ``until``, its deadline."""

    since: float
    until: float
    slots: int


class Usage(Struct):
    """What an account's budget is used for at ``now``, by the store's clock.

    ``answered`` has (time, requests) of answered requests, ``held`` the slots of each holder. ``background`` has (time,
    requests) of what was granted to backfills; ``answered`` and ``held`` have these requests as well.
    """

    now: float
    answered: list[tuple[float, int]] = field(default_factory=list)
    held: dict[str, list[Held]] = field(default_factory=dict)
    background: list[tuple[float, int]] = field(default_factory=list)
    pause: tuple[float, float] = (0.0, 0.0)
    is_corrected: bool = False

    @classmethod
    def of(cls, now: float, text: str) -> Usage:
        """Read the stored text. A time after ``now`` shows that the clock went back: it then begins now."""
        usage = cls(now)
        if not text:
            return usage
        stored = orjson.loads(text)
        usage.answered = [(usage._moved(moment, moment)[1], requests) for moment, requests in stored["answered"]]
        usage.held = {
            holder: [Held(*usage._moved(since, until), slots) for since, until, slots in several]
            for holder, several in stored["held"].items()
        }
        usage.background = [(usage._moved(moment, moment)[1], requests) for moment, requests in stored["background"]]
        usage.pause = usage._moved(*stored["pause"])
        return usage

    def _moved(self, since: float, until: float) -> tuple[float, float]:
        if since <= self.now:
            return since, until
        self.is_corrected = True
        return self.now, self.now + until - since

    def text(self, spans: list[Span]) -> str:
        """Return the text to store, without what no span counts any more."""
        longest = self.now - max(_KEPT, *(span.seconds for span in spans))
        held = {
            holder: [tuple(each) for each in several if each.until > longest] for holder, several in self.held.items()
        }
        stored = {
            "answered": _summed([each for each in self.answered if each[0] > longest], self.now, spans),
            "held": {holder: several for holder, several in held.items() if several},
            "background": _summed([each for each in self.background if each[0] > longest], self.now, spans),
            "pause": self.pause,
        }
        return orjson.dumps(stored).decode()

    def moments(self, seconds: float, *, earliest: bool = False) -> list[tuple[float, int]]:
        """Return (time, requests) that count in the last ``seconds``, newest first.

        A held slot counts at its deadline, or now if ``earliest``: its answer may come at once.
        """
        held = [
            (min(each.until, self.now) if earliest else each.until, each.slots)
            for several in self.held.values()
            for each in several
        ]
        return sorted((each for each in [*self.answered, *held] if each[0] > self.now - seconds), reverse=True)

    def free(self, spans: list[Span]) -> int:
        """Return how many requests may be sent now."""
        if self.pause[1] > self.now:
            return 0
        return min(span.limit - sum(slots for _, slots in self.moments(span.seconds)) for span in spans)

    def is_background_over(self, percent: int, spans: list[Span]) -> bool:
        """Tell whether one more request would let backfills have more than this part of a limit, but one at least."""
        return any(
            sum(requests for moment, requests in self.background if moment > self.now - span.seconds)
            >= max(1, span.limit * percent // 100)
            for span in spans
        )

    def share(self, span: Span) -> float:
        """Return the share of a span's limit that is used, from 0.0 to 1.0."""
        return min(1.0, sum(slots for _, slots in self.moments(span.seconds)) / span.limit)

    def wait(self, spans: list[Span]) -> float:
        """Return the least seconds until a request may be sent."""
        if self.free(spans) > 0:
            return 0.0
        return max(_SHORTEST_WAIT, self.pause[1] - self.now, *(self._wait(span) for span in spans))

    def _wait(self, span: Span) -> float:
        left = span.limit
        for moment, slots in self.moments(span.seconds, earliest=True):
            left -= slots
            if left <= 0:
                return moment + span.seconds - self.now
        return 0.0

    def time_until(self, span: Span, requests: int) -> float:
        """Return the seconds, about, until the last of a number of requests may be sent, as far as a span allows."""
        moments = [
            moment for moment, slots in reversed(self.moments(span.seconds, earliest=True)) for _ in range(slots)
        ]
        slot, rounds = len(moments) + requests - 1, 0
        while slot >= len(moments):
            slot, rounds = slot - span.limit, rounds + 1
        return (rounds - 1) * span.seconds if slot < 0 else moments[slot] + rounds * span.seconds - self.now


def _summed(answered: list[tuple[float, int]], now: float, spans: list[Span]) -> list[tuple[float, int]]:
    """Count moments together, at the end of a short step, where there are many: never too early."""
    if len(answered) <= _MOST_MOMENTS:
        return answered
    shortest, longest = min(span.seconds for span in spans), max(_KEPT, *(span.seconds for span in spans))
    summed: dict[float, int] = {}
    for moment, requests in answered:
        is_recent = moment > now - shortest
        step = (shortest if is_recent else longest) / _MOST_MOMENTS
        # What only the longer span counts does not begin to count in the shorter one again.
        end = min(now if is_recent else now - shortest, -(-moment // step) * step)
        summed[end] = summed.get(end, 0) + requests
    return list(summed.items())
