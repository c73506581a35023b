"""Several windows at once: exact, truthful after a crash, within the budget, and worth it where latency costs."""

from __future__ import annotations

import time

import pytest

from etl.jobs.backfill import Period, backfill
from etl.jobs.sync import sync
from tests.integration.mirror import NONE, Mirror

OPEN = "select count(*) from sync_windows where claimable_at is not null or state in ('pending', 'running')"
FIELDS = {"dates on createdAt": "createdAt", "dates on updatedAt": "updatedAt"}


@pytest.fixture
def mirror(sandbox, migrated_sqlite_url):
    return lambda settings=None, **options: Mirror(sandbox(**options), migrated_sqlite_url, **settings or {})


@pytest.mark.parametrize(("changes", "news"), [(5, 2), (20, 5)])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_many_workers_are_exact_while_tasks_change(mirror, field, changes, news):
    mirrored = mirror(
        tasks=4000, shape="eight", window_field=field, churn_every=3, churn_change=changes, churn_add=news
    )
    outcome = mirrored.work("sync", lambda run: sync(run, workers=8))
    mirrored.server.configure(churn_every=0)
    mirrored.sync()
    assert (mirrored.differences(), mirrored.gaps()) == (NONE, [])
    assert outcome.exit_code == 0 or (news > 2 and outcome.exit_code == 3)  # more than a page may come last
    assert "workers.started" in [event["event"] for event in outcome.log]


@pytest.mark.slow
def test_many_workers_are_exact_on_postgresql(sandbox, migrated_postgres_url):
    mirrored = Mirror(sandbox(tasks=2000, shape="eight", latency_ms=5.0), migrated_postgres_url)
    outcome = mirrored.work("sync", lambda run: sync(run, workers=8))
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps(), mirrored.value(OPEN)) == (0, NONE, [], 0)
    assert mirrored.value("select min(attempts) from sync_windows where job = 'first' and rows > 0") == 1


@pytest.mark.parametrize(("latency", "begin"), [(0.0, 0), (100.0, 1)])
def test_several_workers_begin_where_latency_costs(mirror, latency, begin):
    outcome = mirror(tasks=1200, shape="eight", latency_ms=latency).sync()
    assert [event["event"] for event in outcome.log].count("workers.started") == begin


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_a_backfill_by_many_workers_reads_all_of_its_period(mirror, sort):
    mirrored = mirror(tasks=4000, shape="eight", sort=sort)
    outcome = mirrored.work("backfill", lambda run: backfill(run, Period(), workers=4))
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)


def crowded(mirror, created):
    """Mirror a server on which all but ten tasks were created when ``created`` says, by their place."""
    mirrored = mirror(tasks=2000, shape="eight", window_field="createdAt", latency_ms=20.0)
    crowd = enumerate(mirrored.server.tasks()[10:])
    mirrored.server.put([{**task, "createdAt": created(place)} for place, task in crowd])
    return mirrored


def test_windows_without_a_task_are_finished(mirror):
    mirrored = crowded(mirror, lambda place: f"2026-03-01T00:00:00.{place % 1000:03}Z")
    outcome = mirrored.work("sync", lambda run: sync(run, workers=4))
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])
    assert mirrored.rows("select distinct state from sync_windows where rows = 0 and job = 'first'") == [("verified",)]


def test_a_window_with_nearly_all_is_shared_by_idle_workers(mirror):
    mirrored = crowded(mirror, lambda place: f"2026-03-01T{place // 60 % 24:02}:{place % 60:02}:00.{place % 1000:03}Z")
    outcome = mirrored.work("sync", lambda run: sync(run, workers=4))
    (begun,) = [event["windows"] for event in outcome.log if event["event"] == "workers.started"]
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps(), mirrored.value(OPEN)) == (0, NONE, [], 0)
    assert mirrored.value("select count(*) from sync_windows where job = 'first' and state = 'verified'") > begun + 2
    assert mirrored.value(OPEN) == 0
    ends = mirrored.rows("select start_at, checkpoint_at from sync_windows where job = 'first' order by start_at, id")
    assert [start for start, _ in ends[1:]] == [end for _, end in ends[:-1]]


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_first_sync_after_an_outage_has_no_gap(mirror, field):
    mirrored = mirror({"deadline": "1"}, tasks=4000, shape="eight", window_field=field, outage_after=50)
    cut_off = mirrored.work("sync", lambda run: sync(run, workers=8))
    assert cut_off.exit_code == 5
    assert 0 < mirrored.value("select count(*) from tasks") < 4000
    assert mirrored.value(OPEN) == 0
    mirrored.server.configure(outage_after=0)
    resumed = mirrored.sync()
    assert (resumed.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])


def test_eight_workers_are_several_times_as_fast_as_one(mirror):
    seconds = {}
    mirrored = mirror(tasks=5000, shape="eight")
    mirrored.sync()
    for workers in (1, 8):
        mirrored.server.configure(latency_ms=200.0)
        began = time.monotonic()
        mirrored.work("backfill", lambda run, workers=workers: backfill(run, Period(), workers=workers))
        seconds[workers] = time.monotonic() - began
    assert seconds[1] / seconds[8] >= 2  # 6 and more where nothing else is at work: see make bench
