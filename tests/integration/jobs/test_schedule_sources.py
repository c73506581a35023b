"""Which sources are due, in which order, and which intervals a request budget carries."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, insert, update

from etl.errors import ConfigError
from etl.jobs.schedule_sources import due_sources, make_broken_off_due, put_schedule
from etl.load.database.engine import open_engine, reading
from etl.load.ledger import schedules
from etl.load.schema.ledger_tables import sources, sync_runs
from etl.settings import SourceSettings

NOW = datetime(2026, 3, 3, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
identities = st.tuples(st.just("h"), st.just("a"), st.text("0123456789", min_size=1, max_size=8))


@given(identities, st.integers(1, 90_000), st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1)))  # noqa: DTZ001
def test_a_source_is_due_once_in_each_interval(source, seconds, after):
    every, after = timedelta(seconds=seconds), after.replace(tzinfo=UTC)
    first = schedules.next_due(source, every, after)
    assert after < first <= after + every
    assert schedules.next_due(source, every, first) == first + every


def test_sources_with_one_interval_are_due_at_different_times():
    due = {schedules.next_due(("h", "a", f"st-{number}"), 60 * MINUTE, NOW) for number in range(100)}
    assert len(due) > 90


def source(number: int, account_id: str = "a-1") -> SourceSettings:
    ids = {"account_id": account_id, "stream_id": f"st-{number}", "client_id": "cs-1", "client_secret": "x"}
    return SourceSettings(name=f"source-{number}", base_url="https://example.com", **ids)


@pytest.fixture
def engine(migrated_url: str) -> Iterator[Engine]:
    engine = open_engine(migrated_url)
    yield engine
    engine.dispose()


def put(engine: Engine, number: int, *, every: timedelta = 5 * MINUTE, rate: float = 1.0, account: str = "a-1") -> None:
    with engine.begin() as connection:
        put_schedule(connection, source(number, account), every, rate=rate, now=NOW)


def change(engine: Engine, number: int, **values: object) -> None:
    with engine.begin() as connection:
        connection.execute(update(sources).where(sources.c.name == f"source-{number}").values(**values))


def due(engine: Engine, numbers: range, **options: timedelta) -> list[str]:
    configured = [source(number) for number in numbers]
    return [each.name for each in due_sources(engine, configured, clock=lambda: NOW, **options)]


def test_the_latest_source_comes_first_and_each_but_once(engine):
    for number, late in enumerate((1, 3, 2, -1)):
        put(engine, number)
        change(engine, number, next_due_at=NOW - late * MINUTE)
    assert due(engine, range(4)) == ["source-1", "source-2", "source-0"]
    assert due(engine, range(4)) == []
    with reading(engine) as connection:
        assert all(each.next_due_at > NOW for each in schedules.read_all(connection))


def test_paused_and_unknown_sources_are_left_out(engine):
    for number in range(3):
        put(engine, number)
        change(engine, number, next_due_at=NOW - MINUTE)
    change(engine, 1, paused=True)
    assert due(engine, range(2)) == ["source-0"]


def test_a_source_that_is_paused_meanwhile_is_left_out(engine):
    for number in range(2):
        put(engine, number)
        change(engine, number, next_due_at=NOW - (2 - number) * MINUTE)
    found = due_sources(engine, [source(0), source(1)], clock=lambda: NOW)
    assert next(found).name == "source-0"
    change(engine, 1, paused=True)
    assert list(found) == []


@pytest.mark.parametrize(("minutes_ago", "is_due"), [(None, True), (4, True), (2, False)])
def test_a_sync_that_was_claimed_and_never_began_is_due(engine, minutes_ago, is_due):
    """The worker died between the claim and the first row of the run; its job names the account."""
    put(engine, 1)
    change(engine, 1, next_due_at=NOW + 2 * MINUTE)
    if minutes_ago is not None:
        began = NOW - minutes_ago * MINUTE
        run = {"state": "finished", "command": "sync", "started_at": began, "finished_at": began}
        with engine.begin() as connection:
            connection.execute(insert(sync_runs).values(source_id=1, version="1", settings="{}", **run))
    make_broken_off_due(engine, ["a-2"], now=NOW)
    assert due(engine, range(2)) == []
    make_broken_off_due(engine, ["a-1"], now=NOW)
    assert due(engine, range(2)) == (["source-1"] if is_due else [])


def test_an_account_is_busy_while_a_sync_is_due_or_at_work(engine):
    put(engine, 1)
    change(engine, 1, next_due_at=NOW)
    assert is_busy(engine)
    assert not is_busy(engine, account="a-2")
    for hours, busy in ((23, True), (24, False)):  # the latter is that of a source that nobody syncs any more
        change(engine, 1, next_due_at=NOW - 60 * hours * MINUTE)
        assert is_busy(engine) is busy
    change(engine, 1, paused=True, next_due_at=NOW)
    assert not is_busy(engine)
    change(engine, 1, paused=False, next_due_at=NOW + MINUTE)
    assert not is_busy(engine)
    for state, command, hours, busy in (
        ("finished", "sync", 0, False),
        ("running", "backfill", 0, False),
        ("running", "sync", 24, False),
        ("running", "sync", 23, True),
    ):
        run = {"state": state, "command": command, "started_at": NOW - 60 * hours * MINUTE}
        with engine.begin() as connection:
            connection.execute(insert(sync_runs).values(source_id=1, version="1", settings="{}", **run))
        assert is_busy(engine) is busy


def is_busy(engine: Engine, account: str = "a-1") -> bool:
    with reading(engine) as connection:
        return schedules.is_sync_due(connection, account, NOW, or_at_work=True)


def test_two_processes_share_what_is_due(engine):
    for number in range(4):
        put(engine, number)
        change(engine, number, next_due_at=NOW - (4 - number) * MINUTE)
    configured = [source(number) for number in range(4)]
    one, other = (due_sources(engine, configured, clock=lambda: NOW) for _ in range(2))
    found = [next(each).name for each in (one, other, one, other)]
    assert sorted(found) == [f"source-{number}" for number in range(4)]


def test_nothing_begins_after_the_time_is_over(engine):
    for number in range(3):
        put(engine, number)
        change(engine, number, next_due_at=NOW - MINUTE)
    moments = iter([NOW, NOW, NOW + 50 * timedelta(seconds=1), NOW + MINUTE])
    configured = [source(number) for number in range(3)]
    found = due_sources(engine, configured, clock=lambda: next(moments), most=timedelta(seconds=55))
    assert len(list(found)) == 2


def test_an_interval_that_the_budget_cannot_carry_is_refused(engine):
    put(engine, 0, every=timedelta(seconds=4), rate=1.0)  # two requests each: half of the budget
    put(engine, 1, every=timedelta(seconds=1), rate=2.0, account="a-2")
    with pytest.raises(
        ConfigError, match="every 3s is more than the account's budget can carry; accepted: 4s or longer"
    ):
        put(engine, 2, every=timedelta(seconds=3), rate=1.0)
    put(engine, 2, every=timedelta(seconds=4), rate=1.0)
    with pytest.raises(ConfigError, match="its other sources use it up"):
        put(engine, 3, rate=1.0)
    put(engine, 2, every=timedelta(seconds=8), rate=1.0)  # its own old interval does not count


def test_a_rate_that_only_rounding_exceeds_is_accepted(engine):
    """Two requests at 2 / 3.0000002 a second take a little more than three seconds: no reason for a fourth one."""
    put(engine, 0, every=timedelta(seconds=3), rate=2 / 3.0000002)
    with pytest.raises(ConfigError, match="accepted: 4s or longer"):
        put(engine, 1, every=timedelta(seconds=3), rate=2 / 3.000002, account="a-2")


def test_what_the_latest_syncs_took_decides(engine):
    put(engine, 0)
    run = {"source_id": 1, "command": "sync", "state": "finished", "started_at": NOW, "version": "1", "settings": "{}"}
    with engine.begin() as connection:
        connection.execute(insert(sync_runs).values(**run, requests=500))  # the first sync
        for requests in (8, 11):
            connection.execute(insert(sync_runs).values(**run, requests=requests, watermark_before=NOW))
    with pytest.raises(ConfigError, match="accepted: 10s or longer"):
        put(engine, 0, every=timedelta(seconds=9), rate=1.0)
