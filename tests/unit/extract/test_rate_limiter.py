"""The request budget, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading
from bisect import bisect_right
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.http.budget_usage import Span, Usage
from etl.extract.http.rate_limiter import HOUR, MINUTE, RateLimiter

seconds = st.floats(0, 200, allow_nan=False)


@dataclass
class Store:
    """What several limiters share, with a clock of its own, which is ``ahead`` of theirs."""

    clock: Clock
    ahead: float = 0.0
    version: int = 0
    text: str = ""
    accesses: int = 0
    syncs_due: bool = False

    def read(self) -> tuple[float, int, str]:
        self.accesses += 1
        return self.clock.now + self.ahead, self.version, self.text

    def replace(self, version: int, text: str) -> bool:
        if version != self.version:
            return False
        self.version, self.text = version + 1, text
        return True

    def are_syncs_due(self) -> bool:
        return self.syncs_due


@dataclass
class Clock:
    """Seconds since the start, and how long was slept."""

    now: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, wait: float) -> None:
        assert wait > 0
        self.slept.append(wait)
        self.now += wait

    def budget(self, per_minute: int, per_hour: int | None = None, store: Store | None = None) -> RateLimiter:
        return RateLimiter(per_minute, per_hour, store=store, monotonic=lambda: self.now, sleep=self.sleep)

    def ask(self, budget: RateLimiter, *, latency: float = 0.0, percent: int = 100) -> None:
        """Send a request and get its answer."""
        budget.acquire(latency, percent=percent)
        self.now += latency
        budget.answered()


def most_in(span: float, moments: list[float]) -> int:
    """How many moments there are in the fullest span of this length, its beginning included."""
    ordered = sorted(moments)
    # A hair less than the span: sums of floats are not exact.
    return max(bisect_right(ordered, moment + span - 1e-6) - place for place, moment in enumerate(ordered))


def test_a_small_run_starts_at_once():
    clock = Clock()
    budget = clock.budget(50)
    for _ in range(50):
        clock.ask(budget)
    assert clock.slept == []


def test_the_next_one_waits_until_the_first_is_a_minute_old():
    clock = Clock()
    budget = clock.budget(3)
    for _ in range(3):
        clock.ask(budget)
        clock.now += 1
    clock.ask(budget)
    assert clock.slept == [MINUTE - 3]


def test_a_request_counts_from_its_answer_on():
    clock = Clock()
    budget = clock.budget(1)
    clock.ask(budget, latency=25)
    clock.ask(budget)
    assert clock.slept == [MINUTE]


def test_an_unanswered_request_counts_from_its_deadline_on():
    clock = Clock()
    budget = clock.budget(1)
    before = clock.now
    budget.acquire(30.0)
    budget.unanswered()
    budget.acquire()
    assert clock.now - before >= 30 + MINUTE


@dataclass(frozen=True)
class Request:
    """Who sends it after which pause, how long it takes, when the server counts it, and whether an answer comes."""

    who: int
    pause: float
    latency: float
    share: float
    is_answered: bool


requests = st.builds(Request, st.integers(0, 2), seconds, st.floats(0, 90), st.floats(0, 1), st.booleans())


@given(st.integers(1, 40), st.integers(20, 60), st.lists(requests, min_size=1, max_size=60))
def test_no_minute_and_no_hour_ever_hold_more(per_minute, per_hour, sent):
    """Three processes share a store, whose clock is another one; some die, and some give their slots back."""
    clock = Clock()
    store = Store(clock, ahead=12345.6)
    budgets = [clock.budget(per_minute, per_hour, store) for _ in range(3)]
    counted = []
    for each in sent:
        clock.now += each.pause
        budget = budgets[each.who]
        budget.acquire(90.0)
        # The server counts at some moment between sending and answer.
        counted.append(clock.now + each.latency * each.share)
        if each.is_answered:
            clock.now += each.latency
            budget.answered()
            if each.share > 0.5:
                budget.give_back()
        else:  # it is killed, and another takes over
            budgets[each.who] = clock.budget(per_minute, per_hour, store)
    assert most_in(MINUTE, counted) <= per_minute
    assert most_in(HOUR, counted) <= per_hour


@given(st.integers(1, 50), st.integers(1, 200))
def test_as_many_as_the_budget_allows_go_through(per_minute, requests):
    clock = Clock()
    budget = clock.budget(per_minute)
    for _ in range(requests):
        clock.ask(budget)
    assert clock.now - 1000 == pytest.approx((requests - 1) // per_minute * MINUTE)
    assert budget.seconds_for(requests) == pytest.approx(clock.now - 1000)


@given(per_minute=st.integers(1, 7), used=st.integers(0, 15), more=st.integers(1, 20))
def test_the_time_until_further_requests_is_what_they_take(per_minute, used, more):
    clock = Clock()
    budget = clock.budget(per_minute)
    for _ in range(used):
        clock.ask(budget)
        clock.now += 3
    told, before = budget.time_until(more), clock.now
    for _ in range(more):
        clock.ask(budget)
    assert told == pytest.approx(clock.now - before, abs=0.1)


def test_a_request_under_way_is_expected_to_be_answered_at_once():
    clock = Clock()
    budget = clock.budget(1)
    budget.acquire(30.0)
    assert budget.time_until(1) == pytest.approx(MINUTE)


def test_a_wait_is_told_before_it_begins():
    clock, told = Clock(), []
    budget = RateLimiter(1, monotonic=lambda: clock.now, sleep=clock.sleep, on_wait=told.append)
    clock.ask(budget)
    assert told == []
    clock.ask(budget)
    assert told == clock.slept == [MINUTE]


def test_a_wait_takes_a_request_in_flight_as_answered_now():
    clock = Clock()
    store = Store(clock)
    clock.budget(1, store=store).acquire(90.0)
    assert clock.budget(1, store=store).wait() == pytest.approx(MINUTE)


def test_a_wait_that_is_too_long_is_not_begun():
    clock = Clock()
    budget = clock.budget(100, 2)
    for _ in range(2):
        clock.ask(budget)
    assert budget.acquire(longest=MINUTE) == HOUR
    assert clock.slept == []


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
    budget.acquire(10.0)
    other = threading.Thread(target=clock.ask, args=(budget,))
    other.start()
    other.join()
    clock.now += 20
    budget.answered()  # this thread's request counts from now on, the other's from twenty seconds ago
    budget.acquire()
    assert clock.slept == [MINUTE - 20]


def test_slots_that_were_not_used_go_back():
    clock = Clock()
    store = Store(clock)
    one, other = (clock.budget(60, store=store) for _ in range(2))
    clock.ask(one)
    assert other.share() > 1 / 60
    one.give_back()
    assert other.share() == 1 / 60


@pytest.mark.parametrize("per_hour", [None, 1800])
def test_a_few_requests_cost_two_accesses_to_the_store(per_hour):
    clock = Clock()
    store = Store(clock)
    budget = clock.budget(60, per_hour, store)
    for _ in range(4):
        clock.ask(budget, latency=0.1)
    budget.give_back()
    assert store.accesses == 2


def test_a_refusal_pauses_everybody():
    clock = Clock()
    store = Store(clock)
    one, other = (clock.budget(60, store=store) for _ in range(2))
    clock.ask(one)
    one.pause(20.0)
    clock.ask(other)
    assert sum(clock.slept) == pytest.approx(20.0, abs=0.01)
    clock.ask(one)
    assert sum(clock.slept) == pytest.approx(20.0, abs=0.01)


def test_a_pause_lasts_an_hour_at_most():
    clock = Clock()
    budget = clock.budget(60)
    budget.pause(1e9)
    assert budget.wait() == HOUR


def test_requests_count_though_the_clock_went_back():
    clock = Clock()
    store = Store(clock, ahead=1e6)
    clock.ask(clock.budget(1, store=store))
    store.ahead = 0.0
    later = clock.budget(1, store=store)
    clock.ask(later)
    assert clock.now - 1000 == pytest.approx(MINUTE + 10, abs=1.1)  # the slot was not given back


def test_many_moments_take_little_room():
    clock = Clock()
    store = Store(clock)
    budget = clock.budget(500, 100_000, store)
    for _ in range(1500):
        clock.ask(budget, latency=0.1)
    budget.give_back()
    assert len(store.text) < 3000
    assert clock.now - 1000 < 3 * MINUTE


def test_many_moments_are_never_counted_too_early():
    clock = Clock()
    budget = clock.budget(250, 600, Store(clock))
    counted = []
    for number in range(900):
        clock.now += number % 7 / 50
        clock.ask(budget, latency=0.01)
        counted.append(clock.now)
    assert most_in(MINUTE, counted) <= 250
    assert most_in(HOUR, counted) <= 600


grants = st.tuples(st.integers(0, 1), st.booleans(), st.floats(0, 20), st.floats(0, 5))


@given(st.integers(1, 60), st.integers(1, 99), st.lists(grants, min_size=1, max_size=60))
def test_backfills_never_exceed_their_part(per_minute, percent, sent):
    """Two processes, each with backfills and syncs, share a store."""
    clock = Clock()
    store = Store(clock, syncs_due=True)
    budgets = [clock.budget(per_minute, store=store) for _ in range(2)]
    counted, granted = [], []
    for who, is_backfill, pause, latency in sent:
        clock.now += pause
        budgets[who].acquire(latency, percent=percent if is_backfill else 100)
        granted += [clock.now] if is_backfill else []
        clock.now += latency
        budgets[who].answered()
        counted.append(clock.now)
    assert most_in(MINUTE, counted) <= per_minute
    assert not granted or most_in(MINUTE, granted) <= max(1, per_minute * percent // 100)


def test_a_backfill_has_the_whole_budget_while_no_sync_is_due():
    clock = Clock()
    budget = clock.budget(50, store=Store(clock))
    for _ in range(50):
        clock.ask(budget, percent=30)
    assert clock.slept == []


def test_a_backfill_goes_on_a_second_after_the_last_sync():
    clock = Clock()
    store = Store(clock, syncs_due=True)
    backfill, sync = (clock.budget(10, store=store) for _ in range(2))
    for _ in range(3):
        clock.ask(backfill, percent=30)
    assert backfill.acquire(percent=30, longest=0.0) == 1.0
    for _ in range(5):
        clock.ask(sync)
    store.syncs_due = False
    clock.ask(backfill, percent=30)
    assert clock.slept == []
    store.syncs_due = True
    clock.ask(sync)
    assert clock.slept == [], "the last of the budget is a sync's"


def test_a_backfill_has_its_part_also_of_a_full_account():
    """Syncs that use all they get do not stop it."""
    clock = Clock()
    store = Store(clock, syncs_due=True)
    backfill, sync = (clock.budget(10, store=store) for _ in range(2))
    for _ in range(7):
        clock.ask(sync)
    for _ in range(3):
        clock.ask(backfill, percent=30)
    assert clock.slept == []


def test_a_pause_is_over_at_its_end():
    usage = Usage(now=70.0, pause=(10.0, 70.0))
    assert usage.free([Span(50, 60.0)]) == 50


def test_the_hour_holds_after_a_process_that_does_not_know_it():
    clock = Clock()
    store = Store(clock)
    by_hour = clock.budget(50, 100, store=store)
    for _ in range(100):
        clock.ask(by_hour)
    by_hour.give_back()
    clock.now += 120
    other = clock.budget(50, store=store)
    clock.ask(other)
    other.give_back()
    assert clock.budget(50, 100, store=store).wait() > 1000
