"""Reading a range of history again: resumable, planned ahead, beside the scheduled syncs."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import update

from etl.jobs.backfill import Period, plan
from etl.jobs.maintenance.forget_task import forget
from etl.jobs.reconcile import reconcile
from etl.jobs.sync import sync
from etl.load.schema.ledger_tables import sources
from etl.times import parse_time
from tests.integration.mirror import NONE, Mirror

ALL = Period()


@pytest.fixture
def mirror(sandbox, migrated_url):
    return lambda **options: Mirror(sandbox(**{"tasks": 500, "shape": "eight", **options}), migrated_url)


def wait_until(condition, what):
    until = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < until, what
        time.sleep(0.005)


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_killed_backfill_goes_on_from_the_last_committed_page(sandbox, migrated_sqlite_url, start_cli, field):
    server = sandbox(tasks=3000, shape="eight", window_field=field, latency_ms=20)  # so that the kill comes in time
    mirrored = Mirror(server, migrated_sqlite_url)
    process = start_cli("backfill", env=mirrored.settings)
    wait_until(lambda: server.request_count >= 40 or process.poll() is not None, "40 requests")
    process.kill()
    process.wait()
    server.configure(latency_ms=0)
    spent = server.request_count
    resumed = mirrored.backfill(ALL)
    assert (resumed.exit_code, mirrored.differences()) == (0, NONE)
    assert resumed.requests + spent <= 3000 / 49 + 12 + 6
    again = mirrored.backfill(ALL)
    assert again.requests >= 3000 / 50, "a finished one begins anew"


def test_restart_reads_from_the_beginning(sandbox, migrated_sqlite_url, start_cli):
    server = sandbox(tasks=2000, shape="eight")
    mirrored = Mirror(server, migrated_sqlite_url)
    process = start_cli("backfill", env=mirrored.settings)
    wait_until(lambda: server.request_count >= 30 or process.poll() is not None, "30 requests")
    process.kill()
    process.wait()
    assert mirrored.backfill(ALL, restart=True).requests >= 2000 / 50
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_the_latest_tasks_alone_hide_no_earlier_change(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    mirrored.server.change(update=30)
    time.sleep(1.1)  # a range begins at a whole second
    since = datetime.now(UTC)
    mirrored.server.change(update=0, insert=60)
    assert mirrored.backfill(Period(since)).exit_code == 0
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


def test_a_plan_asks_twice_at_most_and_stores_nothing(mirror):
    mirrored = mirror()
    for _ in range(2):
        mirrored.server.reset_requests()
        planned = mirrored.work("backfill", lambda run: plan(run, ALL) and None)
        assert planned.exit_code == 0
    assert 1 <= planned.requests <= 2
    assert max(request["rows"] for request in mirrored.server.requests) == 1
    for table in ("tasks", "sync_windows", "watermarks", "rejected_records"):
        assert mirrored.value(f"select count(*) from {table}") == 0, table
    assert mirrored.value("select sum(fetched) from sync_runs") == 0


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_plan_counts_the_rows_of_its_period(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    dates = sorted(parse_time(task[field]) for task in mirrored.server.tasks())
    until, found = dates[300], []
    for period in (ALL, Period(until=until), Period(dates[100], until)):
        mirrored.work("backfill", lambda run, period=period: found.append(plan(run, period)))
    assert [(each.field, each.windows, each.done_until) for each in found] == [(field, 1, None)] * 3
    assert found[1].until == found[2].until == until
    assert (found[0].since <= dates[0], found[2].since) == (True, dates[100])
    inside = [sum(each <= until for each in dates), sum(dates[100] <= each <= until for each in dates)]
    assert [each.rows for each in found] == [500, *(pytest.approx(rows, abs=2) for rows in inside)]
    assert [each.requests for each in found] == [math.ceil(each.rows / 49) for each in found]


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_backfill_keeps_watermark_and_changes_as_they_are(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    mirrored.server.change(update=100)
    mirrored.sync()
    query = "select value, (select count(*) from task_changes), (select count(*) from tasks) from watermarks"
    before = mirrored.rows(query)
    assert mirrored.backfill(ALL).exit_code == 0
    assert mirrored.backfill(ALL).exit_code == 0
    assert mirrored.rows(query) == before


def test_a_backfill_before_any_sync_leaves_the_first_sync_to_do(mirror):
    mirrored = mirror()
    mirrored.backfill(ALL)
    assert mirrored.rows("select * from watermarks") == []
    assert mirrored.sync().exit_code == 0
    assert (mirrored.differences(), mirrored.gaps()) == (NONE, [])


def test_a_version_that_the_server_went_back_to_is_stored(mirror):
    mirrored = mirror()
    old = mirrored.server.tasks()[0]
    mirrored.server.change(update=500)
    mirrored.sync()
    newer = mirrored.stored()[old["_id"]]
    mirrored.server.put([old])
    mirrored.sync()
    assert mirrored.stored()[old["_id"]] == newer
    mirrored.backfill(ALL)
    assert mirrored.stored()[old["_id"]] == old


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_period_reads_what_is_in_it_and_no_more(mirror, field, sort):
    mirrored = mirror(window_field=field, sort=sort)
    until = datetime.now(UTC) - timedelta(days=100)
    since = until - timedelta(days=200)
    assert mirrored.backfill(Period(since, until)).exit_code == 0
    inside = {task["_id"] for task in mirrored.server.tasks() if since <= parse_time(task[field]) < until}
    assert len(inside) > 50
    assert mirrored.stored().keys() == inside


def test_a_backfill_yields_to_a_sync_not_to_a_backfill(sandbox, migrated_sqlite_url, start_cli, run_cli):
    server = sandbox(tasks=3000, shape="eight", window_field="updatedAt")
    mirrored = Mirror(server, migrated_sqlite_url)
    mirrored.sync()
    server.configure(latency_ms=400.0)
    server.reset_requests()
    process = start_cli("backfill", env=mirrored.settings)
    wait_until(lambda: server.request_count >= 3, "the backfill's first requests")
    server.configure(latency_ms=500.0)  # it is to last longer than the other commands, however busy this machine is
    second = run_cli("backfill", env=mirrored.settings)
    assert second.returncode == 75
    server.change(update=20)
    synced = run_cli("sync", env=mirrored.settings)
    assert synced.returncode == 0, synced.stderr
    assert mirrored.differences() == NONE
    assert process.poll() is None, "the sync came first"
    server.configure(latency_ms=0.0)
    assert process.wait(60) == 0


def test_a_backfill_leaves_the_budget_to_due_syncs(sandbox, migrated_sqlite_url, start_cli):
    server = sandbox(tasks=40, shape="eight", window_field="updatedAt")
    mirrored = Mirror(server, migrated_sqlite_url, requests_per_minute="1000", backfill_percent="1")
    mirrored.sync()
    schedule = update(sources).values(every=300, next_due_at=datetime.now(UTC))
    with mirrored.engine.begin() as connection:
        connection.execute(schedule)
    server.reset_requests()
    server.configure(cap=2)
    process = start_cli("backfill", env=mirrored.settings)
    wait_until(lambda: server.request_count == 10, "the backfill's part of the budget")
    time.sleep(0.3)
    assert server.request_count == 10
    with mirrored.engine.begin() as connection:
        connection.execute(schedule.values(paused=True))
    assert process.wait(60) == 0
    assert server.request_count > 20


@pytest.mark.parametrize("is_whole", [True, False], ids=["all of history", "a part"])
def test_a_backfill_takes_the_account_of_the_source(mirror, is_whole):
    mirrored = mirror()
    mirrored.sync()
    known = mirrored.server.tasks()
    mirrored.server.put([{**known[place], "_id": f"ti-old-{place}"} for place in (30, 400)])
    since = None if is_whole else parse_time(max(task["createdAt"] for task in known)) - timedelta(days=1)
    assert mirrored.backfill(Period(since)).exit_code == 0
    assert mirrored.differences() == NONE
    columns = "server_total, stored_live, quarantined, hidden, missing"
    assert mirrored.rows(f"select {columns} from sync_runs order by id desc limit 1") == [(502, 502, 0, 0, 0)]


def test_a_part_before_the_first_sync_has_no_account(mirror):
    mirrored = mirror()
    newest = parse_time(max(task["createdAt"] for task in mirrored.server.tasks()))
    assert mirrored.backfill(Period(newest - timedelta(days=10))).exit_code == 0
    assert mirrored.value("select server_total from sync_runs") is None
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


class TestBesideAnother:
    """What another run stored, marked, erased or dropped meanwhile stays so: what was fetched before is not stored."""

    @pytest.fixture
    def beside(self, sandbox, migrated_sqlite_url, start_cli):
        """Run something beside a backfill of 400 tasks; give the tasks' mirror and how the backfill ended."""

        def run(do):
            server = sandbox(tasks=400, shape="eight", cap=10, quiet_seconds=0.0)
            mirrored = Mirror(server, migrated_sqlite_url)
            mirrored.sync()
            server.configure(latency_ms=100.0)
            server.reset_requests()
            process = start_cli("backfill", env=mirrored.settings)
            wait_until(lambda: server.request_count >= 5, "the backfill's first requests")
            do(mirrored)
            assert process.poll() is None, "the backfill is not at its end"
            server.configure(latency_ms=0.0)
            told = process.communicate(timeout=60)[1]
            return mirrored, process.returncode, told

        return run

    def test_a_newer_version_stays(self, beside):
        def alter(server, run):
            server.configure(latency_ms=0.0)
            server.put([{**task, "name": "altered without a date"} for task in server.tasks()])
            sync(run, full=True)
            server.configure(latency_ms=50.0)

        mirrored, code, _ = beside(lambda mirrored: mirrored.work("sync", partial(alter, mirrored.server)))
        assert (code, mirrored.differences()) == (0, NONE)

    def test_what_is_marked_as_deleted_stays_marked(self, beside):
        def remove(server, run):
            server.configure(latency_ms=0.0)
            server.remove([task["_id"] for task in server.tasks()[::3]])
            reconcile(run, force=True, deep=True)
            server.configure(latency_ms=50.0)

        mirrored, code, _ = beside(lambda mirrored: mirrored.work("reconcile", partial(remove, mirrored.server)))
        live = {key for (key,) in mirrored.rows("select _id from tasks where deleted_at is null")}
        assert (code, live) == (0, {task["_id"] for task in mirrored.server.tasks()})

    def test_a_forgotten_task_stays_erased(self, beside):
        def erase_the_latest(mirrored):
            latest = max(mirrored.server.tasks(), key=lambda task: task["updatedAt"])["_id"]
            assert mirrored.work("forget", partial(forget, task_id=latest)).exit_code == 0

        mirrored, code, _ = beside(erase_the_latest)
        assert (code, mirrored.rows("select name from tasks where forgotten_at is not null")) == (0, [(None,)])

    def test_dropped_values_stay_dropped(self, beside):
        def drop_names(mirrored):
            mirrored.settings["KORE_ETL_DROP_FIELDS"] = "name"
            assert mirrored.sync().exit_code == 0

        mirrored, code, told = beside(drop_names)
        assert (code, mirrored.value("select count(name) from tasks")) == (2, 0)
        assert "drop_fields: another run of the source has used other ones meanwhile" in told
        assert (mirrored.backfill(ALL).exit_code, mirrored.value("select count(name) from tasks")) == (0, 0)
