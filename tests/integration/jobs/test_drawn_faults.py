"""Faults that drawn servers found, each as the smallest server that shows it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from etl.jobs.backfill import Period, plan
from etl.jobs.reconcile import reconcile
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror

LIMITED = {"max_range_days": 31.0, "days": 90.0}
by_field = pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
by_order = pytest.mark.parametrize("sort", ["obeyed", "ignored"])


@pytest.fixture
def mirror(sandbox, migrated_sqlite_url):
    return lambda **options: Mirror(sandbox(**{"tasks": 120, "shape": "eight", **options}), migrated_sqlite_url)


@pytest.mark.every_other
@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@by_order
@by_field
def test_no_job_asks_for_a_range_that_is_too_long(mirror, field, sort, ends):
    mirrored = mirror(window_field=field, sort=sort, ends=ends, granularity="second", **LIMITED)
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(update=3, insert=3, delete=1)
    assert mirrored.sync().exit_code == 0
    for deep in (False, True):
        assert mirrored.work("reconcile", lambda run, deep=deep: reconcile(run, deep=deep)).exit_code == 0
    assert mirrored.work("backfill", lambda run: {"plan": str(plan(run, Period()))}).exit_code == 0


@by_order
@by_field
def test_a_single_task_without_dates_is_read_in_limited_ranges(mirror, field, sort):
    mirrored = mirror(tasks=1, window_field=field, sort=sort, null_dates="unmatched", null_updated=1.0, **LIMITED)
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("totals", ["present", "missing"])
@by_order
@by_field
def test_a_full_sync_reads_undated_tasks_again(mirror, field, sort, totals):
    share = {"null_created" if field == "createdAt" else "null_updated": 0.3}
    mirrored = mirror(window_field=field, sort=sort, totals=totals, null_dates="unmatched", **share)
    assert mirrored.sync().exit_code == 0
    mirrored.server.rename("Open", "To do")
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


@by_order
@by_field
def test_a_full_sync_reads_tasks_whose_date_was_cleared(mirror, field, sort):
    mirrored = mirror(window_field=field, sort=sort, null_dates="unmatched")
    assert mirrored.sync().exit_code == 0
    mirrored.server.put([{**task, field: None, "name": "cleared"} for task in mirrored.server.tasks()[:5]])
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


@by_field
def test_backdated_tasks_are_found_in_limited_ranges(mirror, field):
    mirrored = mirror(window_field=field, tasks=240, cap=10, **LIMITED)
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(insert=12, days_ago=0.5)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


def test_a_reconcile_ends_the_search_for_missing_tasks(mirror):
    mirrored = mirror(window_field="updatedAt", sort="ignored", null_dates="unmatched", cap=10, tasks=900)
    mirrored.sync()
    known = mirrored.server.tasks()[:5]
    mirrored.server.put([{**task, "_id": f"ti-undated-{n}", "updatedAt": None} for n, task in enumerate(known)])
    assert mirrored.sync().exit_code == 3
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert mirrored.differences() == NONE


def test_dates_cut_to_the_minute_are_no_capability_drift(mirror):
    mirrored = mirror(tasks=0, ends="half_open", granularity="minute", null_dates="unmatched", quiet_seconds=86_400.0)
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(insert=60)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


@by_field
def test_a_full_sync_reads_history_where_no_clock_is_certain(mirror, field):
    mirrored = mirror(tasks=0, window_field=field, date_header="missing", clock_skew=3600.0)
    mirrored.server.change(insert=12, days_ago=0.5)
    assert mirrored.sync().exit_code == 0
    mirrored.server.rename("Open", "To do")
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


def test_a_filter_on_the_other_date_is_noticed_within_days(mirror):
    options = {"window_field": "updatedAt", "ends": "half_open", "granularity": "minute", "hidden": 0.02}
    mirrored = mirror(days=2.0, cap=10, null_updated=0.1, seed=167, tie_break="insertion", **options)
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
    assert outcome.requests <= 1000


def test_an_undated_row_above_tied_ones_stops_no_reading(mirror):
    mirrored = mirror(cap=10)
    assert mirrored.sync().exit_code == 0
    known, now = mirrored.server.tasks(), datetime.now(UTC)
    later = [{"updatedAt": format_time(now + timedelta(seconds=1 + n))} for n in range(6)]
    tied = [{"updatedAt": format_time(now - timedelta(seconds=1))} for _ in range(8)]
    changes = [*later, {"updatedAt": None}, *tied]  # without a date it stands where it was stored: between them
    mirrored.server.put(
        [{**task, "_id": f"ti-{n}", **change} for n, (task, change) in enumerate(zip(known, changes, strict=False))]
    )
    assert (mirrored.sync().exit_code, mirrored.differences()) == (0, NONE)
