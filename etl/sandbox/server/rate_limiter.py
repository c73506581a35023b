"""Sliding-window rate limiter: N requests in any minute, M in any second."""

from __future__ import annotations

from collections import deque
from email.utils import formatdate
from math import ceil

from etl.sandbox.options import Options
from etl.sandbox.server.replies import Refusal

MESSAGE = "You've exceeded the per-minute rate limit. Please wait for sometime before retrying."


class RateLimiter:
    """Remembers when requests were accepted; refused ones do not count."""

    def __init__(self) -> None:
        self._minute: deque[float] = deque()
        self._second: deque[float] = deque()

    def acquire(self, options: Options, monotonic: float, now: float) -> None:
        """Count a request; raises Refusal where a limit is reached."""
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
    """The refusal of a request past the limit; it may carry Retry-After."""
    retry_after = {"seconds": str(ceil(wait)), "date": formatdate(ceil(now + wait), usegmt=True)}.get(
        options.retry_after
    )
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Refusal(options.rate_limit_status, MESSAGE, 429, headers)
