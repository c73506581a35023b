"""Windows of a distributed backfill are read to their end, however little of the budget is free."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from sqlalchemy import insert
from structlog.testing import capture_logs

from etl.cli.client_factory import Builder
from etl.cli.worker_windows import WindowWork
from etl.extract.http.rate_limiter import RateLimiter
from etl.jobs.backfill import Period
from etl.jobs.distributed_backfill import distribute
from etl.load.schema.ledger_tables import sources
from etl.settings import SourceSettings, load_settings
from etl.times import now
from tests.integration.mirror import NONE, Mirror

LONG = 60.0  # seconds
STATE = "select state from sync_runs where command = 'backfill'"


@pytest.fixture
def mirror(sandbox, migrated_postgres_url):
    def make(**options) -> Mirror:
        mirrored = Mirror(sandbox(**{"tasks": 300, "shape": "eight", "days": 1, **options}), migrated_postgres_url)
        mirrored.work("backfill", lambda run: {"windows": distribute(run, Period())})
        return mirrored

    return make


def work_of(mirrored: Mirror, budget: RateLimiter) -> tuple[WindowWork, SourceSettings]:
    """What a worker does about windows, and the source whose windows it reads."""
    settings = load_settings(None, mirrored.settings, {}).settings
    (source,) = settings.sources
    builder = Builder(settings, mirrored.engine, budgets={source.account_id: budget})
    return WindowWork(mirrored.engine, settings, builder, timedelta(minutes=1)), source


def read_all(mirrored: Mirror, budget: RateLimiter) -> None:
    """Read windows as a worker does, until the run has ended."""
    work, source = work_of(mirrored, budget)
    end = time.monotonic() + LONG
    while mirrored.value(STATE) == "distributed" and time.monotonic() < end:
        if not work.read_one(source):
            time.sleep(0.02)


def test_a_piece_of_more_requests_than_a_minute_has_ends(mirror):
    """Rows of one day cannot be split. The worker that begins them reads on, also once the budget is used up."""
    mirrored = mirror(tasks=600, days=2, granularity="day", sort="ignored")
    read_all(mirrored, RateLimiter(5, minute=0.5))
    assert mirrored.value(STATE) == "finished"
    assert mirrored.differences() == NONE


def test_a_source_that_left_the_settings_holds_up_no_window(mirror):
    mirrored = mirror(tasks=1500, days=400)
    (source,) = load_settings(None, mirrored.settings, {}).settings.sources
    gone = {"name": "gone", "base_url": "https://gone", "host": "gone", "stream_id": "st-gone", "created_at": now()}
    due = {"every": 300, "next_due_at": now() - timedelta(days=3), "account_id": source.account_id}
    with mirrored.engine.begin() as connection:
        connection.execute(insert(sources).values(**gone, **due))
    read_all(mirrored, RateLimiter(1_000_000))
    assert mirrored.value(STATE) == "finished"
    assert mirrored.value("select max(attempts) from sync_windows where start_at < end_at") == 1


def test_a_worker_with_other_keys_to_drop_stores_nothing(mirror):
    mirrored = mirror()
    mirrored.settings["KORE_ETL_DROP_FIELDS"] = "name"
    work, source = work_of(mirrored, RateLimiter(1_000_000))
    with capture_logs() as log:
        assert not work.read_one(source)
    (failed,) = [each for each in log if each["event"] == "window.failed"]
    assert failed["reason"].startswith("drop_fields: another run of the source has used other ones meanwhile;")
    assert mirrored.value("select count(*) from tasks") == 0
