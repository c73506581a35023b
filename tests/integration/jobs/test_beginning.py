"""Where history begins."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etl.sandbox import Options, Sandbox
from etl.times import parse_time
from tests.integration.jobs.drawn_server import DrawnClock
from tests.integration.mirror import NONE, Mirror

COLUMNS = {"createdAt": "created_at", "updatedAt": "updated_at"}


@pytest.mark.parametrize("tasks", [30, 300], ids=["less than a page", "more than a page"])
@pytest.mark.parametrize("is_probed", [True, False], ids=["probed", "not probed"])
@pytest.mark.parametrize("field", COLUMNS)
def test_no_task_is_older_than_the_beginning(sandbox, migrated_sqlite_url, field, tasks, is_probed):
    mirrored = Mirror(sandbox(tasks=tasks, shape="eight", window_field=field), migrated_sqlite_url)
    if is_probed:  # the sync then asks for the beginning by itself
        mirrored.work("probe", lambda run: run.capabilities.ensure_known(again=True))
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
    older = f"select count(*) from tasks, sources where tasks.{COLUMNS[field]} < sources.history_start"
    assert mirrored.value(older) == 0


UNSURE = {
    "totals of all tasks": {"totals": "all", "window_field": "updatedAt"},
    "totals that are too low": {"totals": "low", "window_field": "createdAt"},
    "totals that vary": {"totals": "lying", "window_field": "updatedAt"},
    "totals that are capped": {"total_cap": 100, "window_field": "createdAt"},
    "tasks deleted meanwhile": {"churn_every": 3, "churn_delete": 1, "window_field": "updatedAt"},
    "tasks imported meanwhile": {"churn_every": 3, "churn_add": 1, "window_field": "createdAt"},
}


@pytest.mark.parametrize("options", UNSURE.values(), ids=UNSURE)
def test_no_beginning_is_counted_where_counts_prove_none(sandbox, migrated_sqlite_url, options):
    """In short ranges and without an order the beginning is counted back from now on, and rows must prove each count.

    Some tasks are from before a gap of months.
    """
    server = sandbox(tasks=200, shape="eight", sort="ignored", cap=20, max_range_days=120.0, **options)
    old = {key for days in (900, 1200) for key in server.change(insert=3, days_ago=days)["inserted"]}
    mirrored = Mirror(server, migrated_sqlite_url)
    assert mirrored.sync().exit_code in (0, 3)
    assert not mirrored.differences().missing & old
    assert mirrored.value("select history_start from sources") < "1971"


def test_a_cut_off_first_sync_without_an_order_goes_back(migrated_sqlite_url):
    clock = DrawnClock(1)
    options = Options(tasks=600, shape="eight", sort="ignored", requests_per_minute=0)
    with Sandbox(options, clock=clock.seconds) as server:
        mirrored = Mirror(server, migrated_sqlite_url, clock=clock.now)
        began = clock.now()
        server.configure(outage="503", outage_after=25, outage_seconds=1e6)
        assert Mirror(server, migrated_sqlite_url, clock=clock.now, deadline="1s").sync().exit_code == 5
        assert mirrored.value("select count(*) from tasks") > 0
        while clock.now() - began < timedelta(hours=1):
            clock.wait()
        server.configure(outage_after=0)
        assert mirrored.sync().exit_code == 0
        assert parse_time(mirrored.value("select value from watermarks")) <= began
