"""Windows are claimed by one worker at a time, and a lease that has run out proves nothing any more (PostgreSQL)."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Connection, Engine, text

from etl.errors import LockedError
from etl.jobs.run.fenced_transactions import MadeWayError, SourceStore
from etl.jobs.run.options import ADDED_UP, RunCounters
from etl.jobs.run.source_lease import hold_source, keep_runs_out
from etl.load.database.engine import open_engine
from etl.load.ledger import claims, runs, sources, watermarks
from etl.load.ledger.claims import Claim

NOW = datetime(2025, 5, 28, tzinfo=UTC)
SOURCE = ("host", "a-1", "s-1")
LONG = timedelta(minutes=1)
OVER = timedelta(seconds=-1)


@pytest.fixture
def engine(migrated_postgres_url: str) -> Iterator[Engine]:
    """A distributed run with ten windows of a day, and the last one."""
    engine = open_engine(migrated_postgres_url)
    ids = {"account_id": "a-1", "stream_id": "s-1"}
    with engine.begin() as connection:
        source = sources.register(connection, name="main", base_url="https://host", now=NOW, **ids).id
        run_id = runs.begin(connection, source, "backfill", settings={}, now=NOW)
        days = [NOW + timedelta(days=each) for each in range(11)]
        row = {"job": "backfill", "field": "createdAt", "strategy": "keyset", "opened_at": NOW, "run_id": run_id}
        claims.add(connection, source, [*pairwise(days), (days[-1], days[-1])], **row)
        runs.hand_over(connection, run_id)
    yield engine
    engine.dispose()


def claim(engine: Engine, lease: timedelta = LONG) -> Claim | None:
    with engine.begin() as connection:
        return claims.claim(connection, SOURCE, lease, ADDED_UP)


def claimed(engine: Engine, lease: timedelta = LONG) -> Claim:
    found = claim(engine, lease)
    assert found is not None
    return found


def finish(connection: Connection, window: Claim) -> None:
    query = text("update sync_windows set state = 'verified', claimable_at = null where id = :id")
    connection.execute(query, {"id": window.window_id})


def test_no_window_is_claimed_twice(engine: Engine) -> None:
    with ThreadPoolExecutor(5) as threads:
        found = [each for each in threads.map(lambda _: claim(engine), range(20)) if each is not None]
    assert len(found) == len({each.window_id for each in found}) == 10
    assert {each.attempt for each in found} == {1}


def test_a_window_that_another_one_is_claiming_is_skipped(engine: Engine) -> None:
    with engine.begin() as first, engine.begin() as second:
        windows = [claims.claim(each, SOURCE, LONG, ADDED_UP) for each in (first, second)]
    assert [each.start for each in windows if each is not None] == [NOW, NOW + timedelta(days=1)]


def test_the_last_window_waits_for_all_others(engine: Engine) -> None:
    windows = [claimed(engine) for _ in range(10)]
    with engine.begin() as connection:
        for each in windows[1:]:
            finish(connection, each)
    assert claim(engine) is None
    with engine.begin() as connection:
        finish(connection, windows[0])
    assert claimed(engine).is_last
    assert claim(engine) is None


def test_a_window_is_claimed_again_when_its_lease_runs_out(engine: Engine) -> None:
    first, second = claimed(engine, OVER), claimed(engine)
    assert (first.window_id, first.attempt, second.attempt) == (second.window_id, 1, 2)
    with engine.begin() as connection:
        claims.renew(connection, [first], LONG)
        assert not claims.release(connection, first)
        with pytest.raises(LockedError, match="the lease of window 1 has run out"):
            claims.require(connection, first)
        claims.require(connection, second)
    assert claimed(engine).window_id != second.window_id


def test_a_lease_that_has_run_out_is_not_renewed(engine: Engine) -> None:
    window = claimed(engine, OVER)
    with engine.begin() as connection:
        claims.renew(connection, [window], LONG)
        with pytest.raises(LockedError):
            claims.require(connection, window)


def test_a_renewed_lease_lasts(engine: Engine) -> None:
    window = claimed(engine, timedelta(seconds=20))
    with engine.begin() as connection:
        claims.renew(connection, [window], LONG)
    query = "select claimable_at > now() + interval '50 s' from sync_windows where attempts = 1"
    with engine.connect() as connection:
        assert connection.execute(text(query)).scalar_one()


def test_a_released_window_is_the_next_one(engine: Engine) -> None:
    window = claimed(engine)
    with engine.begin() as connection:
        assert claims.release(connection, window)
    assert (claimed(engine).window_id, claimed(engine).window_id) == (window.window_id, window.window_id + 1)


def test_another_backfill_ends_the_claims_of_the_run(engine: Engine) -> None:
    window = claimed(engine)
    with engine.begin() as connection:
        runs.begin(connection, window.source_id, "backfill", settings={}, now=NOW)
    assert claim(engine) is None
    with pytest.raises(LockedError, match="another run has taken over"):
        store(engine, window).write(watermarks.read)


def store(engine: Engine, window: Claim) -> SourceStore:
    return SourceStore(engine, "host a-1 s-1", window.source_id, window.run_id, RunCounters(), claim=window)


def test_a_worker_stores_nothing_while_or_after_a_sync(engine: Engine) -> None:
    window = claimed(engine)
    store(engine, window).write(watermarks.read)
    source = {"source": "host a-1 s-1", "name": "main"}
    for keeping in (hold_source(engine, "sync", **source), keep_runs_out(engine, **source)):
        with keeping, pytest.raises(MadeWayError, match="a sync of the source goes first"):
            store(engine, window).write(watermarks.read)
    store(engine, window).write(watermarks.read)
    with engine.begin() as connection:
        runs.begin(connection, window.source_id, "sync", settings={}, now=NOW)
    with pytest.raises(MadeWayError, match="has worked meanwhile"):
        store(engine, window).write(watermarks.read)


def test_a_sync_waits_for_a_worker_that_stores(engine: Engine) -> None:
    window = claimed(engine)
    with ThreadPoolExecutor(1) as threads:
        with store(engine, window).writing():
            waiting = threads.submit(begin_sync, engine)
            assert not waiting.done()
            with pytest.raises(TimeoutError):
                waiting.result(0.5)
        assert waiting.result(30)


def begin_sync(engine: Engine) -> bool:
    with hold_source(engine, "sync", source="host a-1 s-1", name="main"):
        return True
