"""The account's budget of requests: so many in any minute, so many in any second."""

from __future__ import annotations

from collections import deque
from email.utils import formatdate
from math import ceil

from etl.sandbox.options import Options
from etl.sandbox.server.replies import Refusal

MESSAGE = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."


class Budget:
    """Remembers when requests were let through; those refused do not count."""

    def __init__(self) -> None:
        self._minute: deque[float] = deque()
        self._second: deque[float] = deque()

    def spend(self, options: Options, monotonic: float, now: float) -> None:
        """Count a request; raises Refusal if there is no budget left for it."""
        spans = (
            (self._minute, options.requests_per_minute, options.minute_seconds),
            (self._second, options.requests_per_second, 1.0),
        )
        for moments, most, span in spans:
            while moments and moments[0] <= monotonic - span:
                moments.popleft()
            if most and len(moments) >= most:
                raise exceeded(options, moments[-most] + span - monotonic, now)
        for moments, most, _ in spans:
            if most:
                moments.append(monotonic)


def exceeded(options: Options, wait: float, now: float) -> Refusal:
    """The refusal past the budget, which may tell how many seconds to wait."""
    told = {"seconds": str(ceil(wait)), "date": formatdate(ceil(now + wait), usegmt=True)}.get(options.retry_after)
    headers = {} if told is None else {"Retry-After": told}
    return Refusal(options.rate_limit_status, MESSAGE, 429, headers)
