"""Requests are the price: how many of them a sync may cost, counted by the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.pool import Pool

from tests.integration.mirror import NONE, Mirror

MOST_AT_FIRST = 443  # of 20,000 tasks at 50 rows a request; 408 is the floor
FIELDS = {"dates on createdAt": "createdAt", "dates on updatedAt": "updatedAt"}


@pytest.fixture
def mirror(sandbox, migrated_sqlite_url):
    def make(settings=None, **options):
        return Mirror(sandbox(**{"tasks": 700, "shape": "eight", **options}), migrated_sqlite_url, **(settings or {}))

    return make


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_twenty_thousand_tasks_take_few_requests_more(mirror, field):
    mirrored = mirror(tasks=20_000, window_field=field)
    first = mirrored.sync()
    assert first.requests <= MOST_AT_FIRST
    assert (first.exit_code, mirrored.differences()) == (0, NONE)
    assert mirrored.sync().requests == 1


@pytest.mark.every_other
@pytest.mark.parametrize("has_more", ["present", "missing", "always_true"])
@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_totals_that_ignore_the_dates_take_few_requests_more(mirror, field, sort, has_more):
    mirrored = mirror(tasks=240, days=90.0, window_field=field, sort=sort, totals="all", has_more=has_more)
    first = mirrored.sync()
    assert first.requests <= (50 if sort == "obeyed" else 240)
    mirrored.server.change(insert=7)
    second = mirrored.sync()
    assert second.requests <= 32
    assert (first.exit_code, second.exit_code, mirrored.differences()) == (0, 0, NONE)


@pytest.fixture
def sqlite_steps() -> Iterator[Callable[[], int]]:
    """Tells how many steps SQLite's virtual machine took since it was asked last."""
    steps = [0]

    def count() -> None:
        steps[0] += 1

    def connect(connection: Any, _: Any) -> None:
        connection.set_progress_handler(count, 1)

    def used() -> int:
        number, steps[0] = steps[0], 0
        return number

    event.listen(Pool, "connect", connect)
    yield used
    event.remove(Pool, "connect", connect)


@pytest.mark.parametrize("changes", [0, 60])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_syncs_database_time_does_not_grow_with_its_tasks(sandbox, tmp_path, sqlite_steps, field, changes):
    steps = {}
    for tasks in (500, 4500):
        server = sandbox(tasks=tasks, shape="eight", window_field=field)
        mirrored = Mirror(server, f"sqlite:///{tmp_path}/{tasks}.db")
        for _ in range(3):
            mirrored.sync()
        server.change(update=changes)
        sqlite_steps()
        mirrored.sync()
        steps[tasks] = sqlite_steps()
        assert mirrored.differences() == NONE
    # Going by an index through all tasks, to count them, takes four steps for each.
    assert steps[4500] < 1.25 * steps[500] + 5 * 4000, steps


@pytest.mark.every_other
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="all told"),
        pytest.param({"totals": "missing"}, id="hasMore only"),
        pytest.param({"has_more": "missing"}, id="totals only"),
        pytest.param({"has_more": "null", "totals": "null"}, id="neither"),
        pytest.param({"cap": 10}, id="10 rows a request"),
        pytest.param({"cap_mode": "refuse"}, id="limit over 50 refused"),
        pytest.param({"granularity": "second"}, id="dates cut to the second"),
        pytest.param({"ends": "exclusive"}, id="ends not included"),
        pytest.param({"max_range_days": 31.0}, id="ranges over 31 days refused"),
        pytest.param({"date_header": "missing"}, id="no Date header"),
        pytest.param({"max_skip": 500}, id="skip+limit over 500 refused"),
    ],
)
def test_a_quiet_sync_costs_two_requests_even_after_a_burst(mirror, field, options):
    mirrored = mirror(window_field=field, **options)
    mirrored.sync()
    quiet = mirrored.sync()
    mirrored.server.change(update=300, insert=50)
    mirrored.sync()
    after = [mirrored.sync() for _ in range(2)]
    assert [quiet.requests <= 2, *(outcome.requests <= 2 for outcome in after)] == [True] * 3
    assert mirrored.differences() == NONE


def test_pages_of_new_changes_are_not_looked_up(mirror):
    mirrored = mirror(window_field="updatedAt")
    mirrored.sync()
    mirrored.server.change(update=300)
    looked_up = []

    def note(_connection, _cursor, statement, *_others):
        looked_up.extend([statement] * statement.startswith("SELECT tasks._id, tasks.updated_at"))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        assert mirrored.sync().requests > 6
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert len(looked_up) == 1
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_ten_changes_after_a_burst_take_four_requests(mirror, field):
    mirrored = mirror(tasks=3000, window_field=field)
    mirrored.sync()
    assert mirrored.sync().requests == 1
    mirrored.server.change(update=1000)
    mirrored.sync()
    for _ in range(3):
        mirrored.server.change(update=7, insert=3)
        assert mirrored.sync().requests <= 4
        assert mirrored.differences() == NONE
        assert mirrored.sync().requests == 1


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_late_rows_of_the_lookback_are_found_by_its_count(mirror, field):
    mirrored = mirror(tasks=3000, window_field=field)
    mirrored.sync()
    mirrored.server.change(update=1000)
    mirrored.sync()
    burst = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    late = {**burst[10], "name": "late", "updatedAt": burst[2400]["updatedAt"]}
    mirrored.server.put([late])
    mirrored.server.change(update=1)
    mirrored.sync()
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_a_deletion_does_not_make_up_for_a_late_row(mirror, field):
    mirrored = mirror(tasks=3000, window_field=field)
    mirrored.sync()
    mirrored.server.change(update=1000)
    mirrored.sync()
    burst = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    mirrored.server.put([{**burst[10], "name": "late", "updatedAt": burst[2400]["updatedAt"]}])
    mirrored.server.remove([burst[2500]["_id"]])
    mirrored.server.change(update=1)
    mirrored.sync()
    assert mirrored.differences().stale == set()


def test_a_late_second_change_is_found_within_the_hour(mirror):
    mirrored = mirror(tasks=3000)
    mirrored.sync()
    mirrored.server.change(update=1000)
    mirrored.sync()
    burst = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    mirrored.server.put([{**burst[2400], "name": "late", "updatedAt": burst[2500]["updatedAt"]}])
    mirrored.server.change(update=1)
    mirrored.sync()
    mirrored.change("update watermarks set lookback_read_at = '2026-01-01 00:00:00.000'")
    mirrored.sync()
    assert mirrored.differences() == NONE


def test_a_killed_first_sync_repeats_a_quarter_at_most(sandbox, migrated_sqlite_url, start_cli):
    server = sandbox(tasks=20_000, shape="eight")
    mirrored = Mirror(server, migrated_sqlite_url)
    process = start_cli("sync", env=mirrored.settings)
    until = time.monotonic() + 120
    while server.request_count < 300:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < until
        time.sleep(0.002)  # until the server has counted them
    process.kill()
    process.wait()
    spent = server.request_count
    resumed = mirrored.sync()
    assert (resumed.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])
    assert spent + resumed.requests <= 1.25 * MOST_AT_FIRST


@pytest.mark.parametrize("longest", [0.0, 31.0], ids=["any range", "ranges over 31 days refused"])
@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_five_empty_years_cost_few_requests(mirror, field, sort, longest):
    began = datetime.now(UTC) - timedelta(days=5 * 365 + 30)
    mirrored = mirror(
        {"start": f"{began:%Y-%m-%d}"}, tasks=100, days=30.0, window_field=field, sort=sort, max_range_days=longest
    )
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])
    assert outcome.requests <= (60 if not longest else 90)


def test_the_beginning_of_history_is_found_without_being_set(mirror):
    mirrored = mirror(tasks=200, days=3000.0, window_field="updatedAt", sort="ignored")
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])
    assert outcome.requests <= 45


@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_short_ranges_are_not_read_from_1970_on(mirror, field):
    mirrored = mirror(tasks=300, window_field=field, sort="ignored", max_range_days=30.0)
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences(), mirrored.gaps()) == (0, NONE, [])
    assert outcome.requests <= 75  # two years are 25 ranges, counted once and read once


@pytest.mark.parametrize("longest", [0.0, 30.0], ids=["any range", "ranges over 30 days refused"])
@pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
def test_more_than_a_page_without_dates_costs_few_requests(mirror, field, longest):
    share = {"null_created" if field == "createdAt" else "null_updated": 0.3}
    mirrored = mirror(tasks=300, window_field=field, null_dates="unmatched", max_range_days=longest, **share)
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
    assert outcome.requests <= 55
    assert mirrored.sync().requests <= 2
