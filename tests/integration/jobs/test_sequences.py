"""Commands that follow each other while the server changes: what one leaves is right for the next."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

import pytest

from etl.jobs.reconcile import reconcile
from etl.jobs.verify import verify
from etl.times import format_time, now
from tests.integration.mirror import NONE, Mirror

STARTS = ["createdAt", "updatedAt"]


@pytest.fixture
def mirror(sandbox, migrated_url):
    return lambda **options: Mirror(
        sandbox(**{"tasks": 40, "cap": 10, "shape": "eight", "window_field": "createdAt", **options}), migrated_url
    )


def days_ago(days: float) -> str:
    return format_time(now() - timedelta(days=days))


def by_creation(mirrored: Mirror):
    return sorted(mirrored.server.tasks(), key=lambda task: task["createdAt"] or "")


def test_verify_marks_no_task_whose_record_is_rejected(mirror):
    """Another task that is deleted makes the total agree."""
    mirrored = mirror()
    mirrored.sync()
    unreadable, deleted = by_creation(mirrored)[3], by_creation(mirrored)[-3]
    mirrored.server.put([unreadable | {"updatedAt": "garbage"}])
    mirrored.server.remove([deleted["_id"]])
    assert mirrored.work("verify", lambda run: verify(run, requests=2)).exit_code == 3
    assert mirrored.rows("select _id from tasks where gone_at is not null") == []
    mirrored.work("reconcile", partial(reconcile, force=False))
    assert mirrored.rows("select _id from tasks where gone_at is not null") == [(deleted["_id"],)]


@pytest.mark.parametrize("field", STARTS)
def test_reconcile_compares_from_the_start_on(mirror, field):
    mirrored = mirror(tasks=200, days=100.0, window_field=field)
    mirrored.settings["KORE_ETL_START"] = days_ago(10)
    mirrored.sync()
    column = field.replace("At", "_at")
    deleted = mirrored.value(f"select max(_id) from tasks where {column} > '{days_ago(9).replace('T', ' ')[:-1]}'")
    mirrored.server.remove([deleted])
    for deep in (False, True):
        assert mirrored.work("reconcile", partial(reconcile, force=False, deep=deep)).exit_code == 0
        assert len(mirrored.stored()) < 60, "only what is from the start on, or changed lately"
        assert mirrored.rows("select _id from tasks where gone_at is not null") == [(deleted,)]


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("command", ["reconcile", "verify"])
def test_a_task_that_lost_its_date_is_not_marked(mirror, sort, command):
    """From the start on, neither rows nor totals show it any more."""
    mirrored = mirror(days=5.0, sort=sort)
    mirrored.settings["KORE_ETL_START"] = days_ago(50)
    mirrored.sync()
    task = by_creation(mirrored)[3]
    mirrored.server.put([task | {"createdAt": None}])
    mirrored.server.remove([by_creation(mirrored)[9]["_id"]])
    do = partial(reconcile, force=False) if command == "reconcile" else verify
    mirrored.work(command, do)
    gone = mirrored.rows("select _id from tasks where gone_at is not null")
    assert (task["_id"],) not in gone
    assert len(gone) == 1 or (command, sort) == ("verify", "ignored")
    assert len(mirrored.stored()) == 40


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_a_task_from_before_the_beginning_is_verified(mirror, sort):
    """It was imported after the first sync; then it changes without a date."""
    mirrored = mirror(days=90.0, sort=sort)
    mirrored.sync()
    (imported,) = mirrored.server.change(insert=1, days_ago=1500)["inserted"]
    mirrored.sync()
    (task,) = (task for task in mirrored.server.tasks() if task["_id"] == imported)
    mirrored.server.put([task | {"name": "changed without a date"}])
    assert mirrored.work("verify", verify).exit_code == 0
    assert mirrored.differences() == NONE


def test_a_full_sync_keeps_the_name_that_a_rejected_task_showed(mirror):
    mirrored = mirror()
    mirrored.sync()
    task = by_creation(mirrored)[3]
    shared = next(each["status"] for each in mirrored.server.tasks() if each["_id"] != task["_id"])
    mirrored.server.put([task | {"status": shared | {"name": "new name"}, "updatedAt": format_time(now())}])
    mirrored.sync()
    mirrored.server.put([task | {"status": shared | {"name": "new name"}, "updatedAt": "garbage"}])
    assert mirrored.sync(full=True).exit_code == 3
    assert mirrored.value("select count(*) from statuses where name = 'new name'") == 1
    assert mirrored.difference() is None


def test_an_earlier_start_is_read_from_without_totals(mirror):
    mirrored = mirror(tasks=200, days=100.0, totals="missing")
    for days in (10, 50):
        mirrored.settings["KORE_ETL_START"] = days_ago(days)
        assert mirrored.sync().exit_code == 0
    since = mirrored.settings["KORE_ETL_START"]
    assert {task["_id"] for task in mirrored.server.tasks() if task["createdAt"] >= since} <= mirrored.stored().keys()
    assert mirrored.sync().requests <= 2


def test_a_task_that_becomes_inactive_hides_no_missing_one(mirror):
    mirrored = mirror(tasks=60, days=90.0, inactive_totals="left_out", shape="full", quiet_seconds=0.0, seed=3)
    mirrored.sync()
    mirrored.server.change(insert=1, days_ago=40)
    mirrored.server.put([by_creation(mirrored)[5] | {"isActive": False, "updatedAt": format_time(now())}])
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("totals", ["present", "missing"])
@pytest.mark.parametrize("later", [50.0, None])
def test_an_earlier_start_is_read_on_after_an_outage(mirror, later, totals):
    """The first run from it on ends in the middle, with a window that begins at the new start."""
    mirrored = mirror(tasks=200, days=100.0, totals=totals)
    mirrored.settings |= {"KORE_ETL_START": days_ago(10), "KORE_ETL_DEADLINE": "1s"}
    mirrored.sync()
    del mirrored.settings["KORE_ETL_START"]
    if later is not None:
        mirrored.settings["KORE_ETL_START"] = days_ago(later)
    mirrored.server.configure(outage="503", outage_after=mirrored.server.request_count + 6, outage_seconds=1e6)
    assert mirrored.sync().exit_code == 5
    mirrored.server.configure(outage_after=0)
    assert mirrored.sync().exit_code == 0
    since = mirrored.settings.get("KORE_ETL_START", "")
    assert {task["_id"] for task in mirrored.server.tasks() if task["createdAt"] >= since} <= mirrored.stored().keys()
    assert mirrored.rows("select gap_start, gap_end from coverage_gaps") == []
    assert mirrored.sync().requests <= 2


def test_a_full_sync_of_older_tasks_is_read_on_after_an_outage(mirror):
    mirrored = mirror(tasks=60, days=10.0, totals="missing")
    mirrored.settings["KORE_ETL_DEADLINE"] = "1s"
    mirrored.sync()
    for days in range(20, 60):
        mirrored.server.change(insert=1, days_ago=days)
    mirrored.server.configure(outage="503", outage_after=mirrored.server.request_count + 5, outage_seconds=1e6)
    assert mirrored.sync(full=True).exit_code == 5
    mirrored.server.configure(outage_after=0)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


@pytest.mark.parametrize("field", STARTS)
def test_verify_finds_a_task_that_moved_before_all_others(mirror, field):
    mirrored = mirror(window_field=field, days=50.0)
    mirrored.sync()
    moved = by_creation(mirrored)[20] | {"createdAt": days_ago(300), "updatedAt": days_ago(299), "name": "moved"}
    mirrored.server.put([moved])
    mirrored.work("verify", verify)
    assert mirrored.differences() == NONE
    assert mirrored.rows("select gap_start, gap_end from coverage_gaps") == []
    assert mirrored.sync().requests <= 2
