"""The request budget, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.http.rate_limiter import HOUR, MINUTE, RateLimiter

seconds = st.floats(0, 200, allow_nan=False)


@dataclass
class Clock:
    """Seconds since the start, and how long was slept."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, wait: float) -> None:
        assert wait > 0
        self.slept.append(wait)
        self.now += wait

    def budget(self, per_minute: int, per_hour: int | None = None) -> RateLimiter:
        return RateLimiter(per_minute, per_hour, monotonic=lambda: self.now, sleep=self.sleep)


def most_in_a_minute(moments: list[float]) -> int:
    """How many moments there are in the fullest span of a minute, its beginning included."""
    return most_in(MINUTE, moments)


def most_in(span: float, moments: list[float]) -> int:
    ordered = sorted(moments)
    # A hair less than the span: sums of floats are not exact.
    return max(bisect_right(ordered, moment + span - 1e-6) - place for place, moment in enumerate(ordered))


def test_a_small_run_starts_at_once():
    clock = Clock()
    budget = clock.budget(50)
    for _ in range(50):
        budget.acquire()
    assert clock.slept == []


def test_the_next_one_waits_until_the_first_is_a_minute_old():
    clock = Clock()
    budget = clock.budget(3)
    for _ in range(3):
        budget.acquire()
        clock.now += 1
    budget.acquire()
    assert clock.slept == [MINUTE - 3]


def test_a_request_counts_from_its_answer_on():
    clock = Clock()
    budget = clock.budget(1)
    budget.acquire()
    clock.now += 25
    budget.answered()
    budget.acquire()
    assert clock.slept == [MINUTE]


@given(
    st.integers(1, 8),
    st.lists(st.tuples(seconds, st.floats(0, 90), st.floats(0, 1)), min_size=1, max_size=60),
)
def test_no_minute_ever_holds_more(per_minute, requests):
    clock = Clock()
    budget = clock.budget(per_minute)
    counted = []
    for pause, latency, share in requests:
        clock.now += pause
        budget.acquire()
        # The server counts at some moment between sending and answer.
        counted.append(clock.now + latency * share)
        clock.now += latency
        budget.answered()
    assert most_in_a_minute(counted) <= per_minute


@given(
    st.integers(1, 8),
    st.integers(0, 30),
    st.floats(0, 90),
    st.lists(st.floats(0, 30), min_size=1, max_size=30),
)
def test_an_earlier_runs_requests_count_in_the_minute(per_minute, spent, ended_ago, pauses):
    clock = Clock()
    budget = clock.budget(per_minute)
    budget.preload_usage(spent, ended_ago)
    earlier = [clock.now - ended_ago] * min(spent, per_minute)  # no budget lets more of them through at once
    sent = []
    for pause in pauses:
        clock.now += pause
        budget.acquire()
        sent.append(clock.now)
    assert most_in_a_minute(earlier + sent) <= per_minute


@given(st.integers(1, 50), st.integers(1, 200))
def test_as_many_as_the_budget_allows_go_through(per_minute, requests):
    clock = Clock()
    budget = clock.budget(per_minute)
    for _ in range(requests):
        budget.acquire()
    assert clock.now - 1000 == pytest.approx((requests - 1) // per_minute * MINUTE)
    assert budget.seconds_for(requests) == pytest.approx(clock.now - 1000)


@pytest.mark.parametrize(
    ("spent", "ended_ago", "wait"),
    [(9, 0, 0), (10, 0, 60), (10, 12.5, 47.5), (500, 12.5, 47.5), (500, 60, 0), (500, 3600, 0), (0, 0, 0)],
)
def test_what_an_earlier_run_spent_counts_from_its_end_on(spent, ended_ago, wait):
    budget = Clock().budget(10)
    budget.preload_usage(spent, ended_ago)
    assert budget.wait() == wait


def test_what_several_runs_spent_adds_up():
    budget = Clock().budget(10)
    budget.preload_usage(6, 20)
    budget.preload_usage(6, 50)
    assert budget.wait() == 10


@given(per_minute=st.integers(1, 7), used=st.integers(0, 15), more=st.integers(1, 20))
def test_the_time_until_further_requests_is_what_they_take(per_minute, used, more):
    clock = Clock()
    budget = clock.budget(per_minute)
    for _ in range(used):
        budget.acquire()
        clock.now += 3
    told, before = budget.time_until(more), clock.now
    for _ in range(more):
        budget.acquire()
    assert told == pytest.approx(clock.now - before)


def test_a_wait_is_told_before_it_begins():
    clock, told = Clock(), []
    budget = RateLimiter(1, monotonic=lambda: clock.now, sleep=clock.sleep, on_wait=told.append)
    budget.acquire()
    assert told == []
    budget.acquire()
    assert told == clock.slept == [MINUTE]


@given(st.integers(1, 5), st.integers(1, 20), st.lists(st.floats(0, 900), min_size=1, max_size=60))
def test_no_hour_ever_holds_more(per_minute, per_hour, pauses):
    clock = Clock()
    budget = clock.budget(per_minute, per_hour)
    sent = []
    for pause in pauses:
        clock.now += pause
        budget.acquire()
        sent.append(clock.now)
        budget.answered()
    assert most_in(HOUR, sent) <= per_hour
    assert most_in_a_minute(sent) <= per_minute


@pytest.mark.parametrize(
    ("spent", "ended_ago", "lasted", "wait"),
    [(99, 0, 1800, 0), (100, 0, 1800, 1800), (100, 600, 1800, 1200), (300, 0, 1800, 3000), (100, 1800, 1800, 0)],
)
def test_an_earlier_run_counts_in_the_hour_over_its_time(spent, ended_ago, lasted, wait):
    budget = Clock().budget(1000, 100)
    budget.preload_usage(spent, ended_ago, lasted)
    assert budget.wait() == pytest.approx(wait, abs=10)


def test_a_budget_counts_the_requests_of_all_threads():
    clock = Clock()
    budget = clock.budget(3)
    for _ in range(3):
        other = threading.Thread(target=lambda: (budget.acquire(), budget.answered()))
        other.start()
        other.join()
        clock.now += 1
    budget.acquire()
    assert clock.slept == [MINUTE - 3]


def test_a_request_of_another_thread_keeps_its_own_moment():
    clock = Clock()
    budget = clock.budget(2)
    budget.acquire()
    clock.now += 10
    other = threading.Thread(target=budget.acquire)
    other.start()
    other.join()
    clock.now += 10
    budget.answered()  # this thread's request counts from now on, the other's from ten seconds ago
    budget.acquire()
    assert clock.slept == [MINUTE - 10]
