"""The sandbox's budget is a sliding minute, and a sliding second."""

from __future__ import annotations

import pytest

from etl.sandbox.options import Options
from etl.sandbox.server.requests_and_replies import Refusal
from etl.sandbox.server.tokens_and_limits import RateLimiter

NOW = 1_750_000_000.5


def refused(limiter, options, moment):
    try:
        limiter.acquire(options, moment, NOW)
    except Refusal as refusal:
        return refusal
    return None


def test_a_request_past_the_minutes_limit_is_refused():
    limiter, options = RateLimiter(), Options(requests_per_minute=2)
    outcomes = [refused(limiter, options, moment) is None for moment in (0, 10, 20, 59.9, 60, 60.1, 70)]
    assert outcomes == [True, True, False, False, True, False, True]


def test_a_second_has_a_limit_of_its_own():
    limiter, options = RateLimiter(), Options(requests_per_minute=0, requests_per_second=2)
    outcomes = [refused(limiter, options, moment) is None for moment in (0, 0.1, 0.2, 1.05, 1.06, 1.2)]
    assert outcomes == [True, True, False, True, False, True]


def test_without_a_limit_nothing_is_refused():
    limiter, options = RateLimiter(), Options(requests_per_minute=0)
    assert not any(refused(limiter, options, 0) for _ in range(1000))


@pytest.mark.parametrize(
    ("form", "headers"),
    [
        ("none", {}),
        ("seconds", {"Retry-After": "41"}),
        ("date", {"Retry-After": "Sun, 15 Jun 2025 15:07:21 GMT"}),
    ],
    ids=["none", "seconds", "date"],
)
def test_the_refusal_may_tell_how_long_to_wait(form, headers):
    limiter, options = RateLimiter(), Options(requests_per_minute=1, retry_after=form, rate_limit_status=503)
    limiter.acquire(options, 0, NOW)
    refusal = refused(limiter, options, 19.5)
    assert refusal.status == 503
    assert "rate limit" in refusal.message
    assert refusal.headers == headers
