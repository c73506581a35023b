"""What was said about a past day stays: a later edit of a task tells nothing new about that day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from etl.load.database.engine import open_engine
from etl.report.period import period_until
from etl.report.query_numbers import figures
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror

NOW = datetime.now(UTC)
OPEN = {"_id": "sts-open", "name": "Open", "statusCategory": "open"}
CLOSED = {"_id": "sts-done", "name": "Closed", "statusCategory": "closed"}


@pytest.fixture(params=["createdAt", "updatedAt"])
def mirror(sandbox, migrated_url, request):
    return Mirror(sandbox(tasks=150, shape="eight", window_field=request.param, seed=3), migrated_url)


def touched(records):
    """The same tasks, each with a later update that says nothing of its status."""
    return [record | {"name": f"{record['name']}!", "updatedAt": format_time(datetime.now(UTC))} for record in records]


def closed(mirror, number, **columns):
    """Put tasks on the server that were closed long ago, and return their records."""
    model = mirror.server.tasks()[0]
    moments = [NOW - timedelta(days=30 + place % 60) for place in range(number)]
    records = [
        {**model, "_id": f"ti-old-{place}", "status": CLOSED, "createdAt": format_time(at - timedelta(days=2))}
        | {"updatedAt": format_time(at), **columns}
        for place, at in enumerate(moments)
    ]
    mirror.server.put(records)
    return records


def days(mirror):
    """The past days of daily_flow, and the weeks and the backlog of the report."""
    flow = mirror.rows("select day, created, resolved, reopened, deleted, backlog from daily_flow order by day")
    engine = open_engine(mirror.database_url)
    found = figures(engine, period_until(NOW, timedelta(days=60), [ZoneInfo("UTC")]))
    engine.dispose()
    return flow, sorted(row for row in found["flow"]), found["moves"]


def test_touched_closed_tasks_stay_resolved_on_their_day(mirror):
    records = closed(mirror, 100)
    mirror.sync()
    before = days(mirror)
    for _ in range(2):
        mirror.server.put(records := touched(records))
        assert mirror.sync().exit_code == 0
        assert mirror.differences() == NONE
        assert days(mirror) == before
    mirror.sync(full=True)
    assert days(mirror) == before


def test_touched_inactive_tasks_stay_deleted_on_their_day(mirror):
    records = closed(mirror, 30, status=OPEN, isActive=False)
    mirror.sync()
    before = days(mirror)
    mirror.server.put(touched(records))
    assert mirror.sync().exit_code == 0
    assert mirror.differences() == NONE
    assert days(mirror) == before


def test_deleted_tasks_count_as_what_they_were_then(mirror):
    records = closed(mirror, 20, isActive=False)
    records = [record | {"status": (OPEN, CLOSED)[place % 2]} for place, record in enumerate(records)]
    mirror.server.put(records)
    mirror.sync()
    before = days(mirror)
    swapped = [record | {"status": (CLOSED, OPEN)[place % 2]} for place, record in enumerate(touched(records))]
    mirror.server.put(swapped)
    assert mirror.sync().exit_code == 0
    assert mirror.differences() == NONE
    assert days(mirror) == before


UNDATED = {
    "closed": {"status": CLOSED},
    "inactive": {"isActive": False},
    "tagged": {"tags": ["new"]},
}


@pytest.mark.parametrize("edit", UNDATED.values(), ids=UNDATED)
def test_a_change_without_a_new_date_counts_when_it_is_seen(mirror, edit):
    (record,) = closed(mirror, 1, status=OPEN)
    mirror.sync()
    flow, *_ = days(mirror)
    mirror.server.put([record | edit])
    assert mirror.sync(full=True).exit_code == 0
    assert mirror.differences() == NONE
    assert days(mirror)[0][:-1] == flow[:-1]
    changes = "select changed_at from task_changes where task_id = 'ti-old-0'"
    assert mirror.rows(changes) == [(None,)]


def test_a_version_told_twice_changes_nothing_that_was_told(mirror):
    """A full sync meets a copy that lags behind, and the next sync the version from before again."""
    (record,) = closed(mirror, 1, status=OPEN)
    mirror.sync()
    shut = {"status": CLOSED, "updatedAt": format_time(NOW - timedelta(days=5))}
    mirror.server.put([record | shut])
    mirror.sync()
    flow, *_ = days(mirror)
    for version in (record, record | shut):
        mirror.server.put([version])
        assert mirror.sync(full=True).exit_code == 0
        assert days(mirror)[0][:-1] == flow[:-1]
    assert mirror.differences() == NONE
    statuses = mirror.rows("select status from task_status_intervals where task_id = 'ti-old-0' order by started_at")
    assert [name for (name,) in statuses] == ["Open", "Closed", "Open", "Closed"]


@pytest.mark.parametrize("created", [None, 3], ids=["no creation", "created after its update"])
@pytest.mark.parametrize("edit", [UNDATED["closed"], UNDATED["inactive"]], ids=["closed", "inactive"])
def test_nothing_happens_to_a_task_before_its_creation(mirror, edit, created):
    record = mirror.server.tasks()[0] | {"_id": "ti-odd", "updatedAt": format_time(NOW - timedelta(days=9))}
    at = created and format_time(NOW - timedelta(days=created))
    only = record | {"status": OPEN, "createdAt": at} | edit
    mirror.server.remove([task["_id"] for task in mirror.server.tasks()])
    mirror.server.put([only])
    assert mirror.sync().exit_code == 0
    told = mirror.rows("select created, resolved + deleted, backlog from daily_flow")
    assert {row for row in told if row != (0, 0, 0)} == {(1, 1, 0)}


def test_a_creation_that_moves_takes_the_resolution_along(mirror):
    (record,) = closed(mirror, 1)
    mirror.server.remove([task["_id"] for task in mirror.server.tasks() if task["_id"] != record["_id"]])
    mirror.sync()
    moved = {"createdAt": format_time(NOW - timedelta(days=4)), "updatedAt": format_time(datetime.now(UTC))}
    mirror.server.put([record | moved])
    assert mirror.sync().exit_code == 0
    assert mirror.difference() is None
    flow, weeks, _ = days(mirror)
    assert {row[1:] for row in flow if row[1:] != (0, 0, 0, 0, 0)} == {(1, 1, 0, 0, 0)}
    assert [tuple(row[-4:]) for row in weeks] == [(1, 1, 0, 0)]


def test_a_change_dated_ahead_happened_when_it_was_seen(mirror):
    (record,) = closed(mirror, 1, status=OPEN)
    mirror.sync()
    for days_ahead, name in ((2, "Pending"), (0, "Closed")):
        at = datetime.now(UTC) + timedelta(days=days_ahead)
        mirror.server.put([record | {"status": name, "updatedAt": format_time(at)}])
        assert mirror.sync(full=True).exit_code == 0
    assert mirror.differences() == NONE
    statuses = mirror.rows("select status from task_status_intervals where task_id = 'ti-old-0' order by started_at")
    assert [name for (name,) in statuses] == ["Open", "Pending", "Closed"]
    assert mirror.rows("select count(*) from task_changes where changed_at > seen_at") == [(0,)]


@pytest.mark.parametrize(("zone", "date"), [("America/New_York", "0001-01-01"), ("Europe/Berlin", "9999-12-31")])
def test_a_date_at_the_end_of_the_calendar_stops_no_sync(sandbox, migrated_url, zone, date):
    """Other languages' zero time is such a date; in another time zone it would be outside of the calendar."""
    mirror = Mirror(sandbox(tasks=5, shape="eight", seed=3), migrated_url, timezone=zone)
    moment = {"createdAt": f"{date}T00:00:00.000Z" if date < "1" else f"{date}T23:59:59.999Z"}
    mirror.server.put([mirror.server.tasks()[0] | {"_id": "ti-odd", **moment}])
    for status in ("Open", "Closed"):
        mirror.server.put([task | {"status": status} for task in touched(mirror.server.tasks())])
        assert mirror.sync().exit_code == 0
        assert mirror.differences() == NONE
    assert mirror.rows(f"select created from daily_counts where day = '{date}'") == [(1,)]
