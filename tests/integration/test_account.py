"""The account of a run: what the server counts is stored, rejected, hidden, or told to be missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product

import orjson
import pytest

from etl.jobs.reconcile import reconcile
from etl.jobs.verify import verify
from etl.load.database.engine import open_engine
from etl.load.ledger import prune_old_rows, rejected_records
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror

FIELDS = {"dates on createdAt": "createdAt", "dates on updatedAt": "updatedAt"}
by_field = pytest.mark.parametrize("field", FIELDS.values(), ids=FIELDS)
SORTS = ("obeyed", "ignored")


def swept(**values):
    """Play each combination on SQLite, and each field with the first of the others on PostgreSQL too."""
    cases = list(product(FIELDS.values(), *values.values()))
    first = tuple(each[0] for each in values.values())
    chosen = [
        (database, *case) for case in cases for database in ("sqlite", "postgresql")
        if database == "sqlite" or case[1:] == first
    ]  # fmt: skip
    return pytest.mark.parametrize(("migrated_url", "field", *values), chosen, indirect=["migrated_url"])


@pytest.fixture
def mirror(sandbox, migrated_url):
    def make(**options):
        server = {name: value for name, value in options.items() if not name.startswith("set_")}
        settings = {name.removeprefix("set_"): value for name, value in options.items() if name.startswith("set_")}
        return Mirror(sandbox(**{"tasks": 300, "shape": "eight", **server}), migrated_url, **settings)

    return make


def account(mirrored):
    """Server total, stored, quarantined, hidden and missing of the newest run."""
    columns = "server_total, stored_live, quarantined, hidden, missing"
    return tuple(mirrored.rows(f"select {columns} from sync_runs order by id desc limit 1")[0])


@by_field
def test_a_run_keeps_what_the_server_counts(mirror, field):
    mirrored = mirror(window_field=field)
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (300, 300, 0, 0, 0)
    mirrored.server.change(delete=2)
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (298, 300, 0, 0, 0)


def test_a_server_without_totals_has_no_account(mirror):
    mirrored = mirror(totals="missing")
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (None,) * 5


@swept(sort=SORTS, nulls=("now", "unmatched"))
def test_tasks_without_the_date_that_is_filtered_on_are_read(mirror, field, nulls, sort):
    share = {"null_created" if field == "createdAt" else "null_updated": 0.3}
    mirrored = mirror(window_field=field, null_dates=nulls, sort=sort, **share)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
    assert account(mirrored) == (300, 300, 0, 0, 0)


@swept(sort=SORTS, full=(False, True))
def test_tasks_imported_before_the_beginning_are_read(mirror, field, sort, full):
    mirrored = mirror(window_field=field, sort=sort, days=30.0)
    mirrored.sync()
    mirrored.server.change(insert=120, days_ago=400)
    assert mirrored.sync(full=full).exit_code == 0
    assert mirrored.differences() == NONE
    assert mirrored.gaps() == []


@by_field
def test_a_few_backdated_tasks_among_many_cost_few_requests(mirror, field):
    mirrored = mirror(window_field=field, tasks=4000)
    mirrored.sync()
    old = mirrored.server.tasks()[1500]
    mirrored.server.put([old | {"_id": f"ti-late-{number}"} for number in range(3)])
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
    assert outcome.requests <= 30


def test_rows_that_are_counted_and_never_shown_are_hidden(mirror):
    mirrored = mirror(hidden=0.05)
    assert mirrored.sync().exit_code == 0
    shown = len(mirrored.server.tasks())
    assert mirrored.differences() == NONE
    assert account(mirrored) == (300, shown, 0, 300 - shown, 0)
    quiet = mirrored.sync()
    assert (quiet.exit_code, quiet.requests <= 3) == (0, True)
    assert account(mirrored) == (300, shown, 0, 300 - shown, 0)


def test_what_is_still_missing_is_told(mirror):
    mirrored = mirror(tasks=1500, cap=10)
    mirrored.sync()
    mirrored.server.configure(totals="high")
    outcome = mirrored.sync()
    assert outcome.exit_code == 3
    assert account(mirrored)[4] > 0
    mirrored.change(
        "insert into sync_runs (source_id, command, state, started_at, exit_code, version, settings)"
        " select source_id, 'sync', 'failed', started_at, 5, '', '{}' from sync_runs where id = 1"
    )
    columns = "server_total, stored_live, quarantined, hidden, missing"
    latest = mirrored.rows(f"select {columns} from sync_runs where server_total is not null order by id desc limit 1")
    assert mirrored.rows(f"select {columns} from sync_freshness") == latest


def test_a_total_too_large_for_a_column_is_no_count(mirror):
    mirrored = mirror(totals="huge")
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    assert mirrored.differences() == NONE
    assert account(mirrored) == (None,) * 5


def test_a_capped_total_is_a_lower_bound(mirror):
    mirrored = mirror(total_cap=100)
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    assert mirrored.differences() == NONE
    assert account(mirrored) == (100, 300, 0, 0, 0)


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_a_capped_total_hides_no_task_without_a_date(mirror, sort):
    mirrored = mirror(total_cap=100, null_updated=0.1, null_dates="unmatched", window_field="updatedAt", sort=sort)
    assert [mirrored.sync().exit_code, mirrored.sync(full=True).exit_code] == [0, 0]
    assert mirrored.differences() == NONE


def test_rejected_records_are_counted_and_hide_no_deletion(mirror):
    mirrored = mirror()
    mirrored.sync()
    odd = {"createdAt": [], "updatedAt": format_time(datetime.now(UTC)), "name": 1}
    mirrored.server.put([{**odd, "_id": ""}, {**odd, "_id": {"no": "id"}}])
    rejected = mirrored.sync()
    assert rejected.exit_code == 3
    assert account(mirrored) == (302, 300, 2, 0, 0)
    gone = [task["_id"] for task in mirrored.server.tasks()[10:12]]
    mirrored.server.remove(gone)
    mirrored.work("reconcile", reconcile)
    assert {row[0] for row in mirrored.rows("select _id from tasks where deleted_at is not null")} == set(gone)


@pytest.mark.parametrize("tasks", [3, 9])
def test_a_small_source_reconciles(mirror, tasks):
    mirrored = mirror(tasks=tasks)
    mirrored.sync()
    gone = mirrored.server.change(delete=1)["deleted"]
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert [row[0] for row in mirrored.rows("select _id from tasks where deleted_at is not null")] == gone


@pytest.mark.every_other
@swept(sort=SORTS, nulls=("now", "unmatched"))
def test_tasks_without_a_date_belong_to_any_part_of_history(mirror, field, nulls, sort):
    """Whether a range from ``start`` on counts them or not."""
    start = f"{datetime.now(UTC) - timedelta(days=300):%Y-%m-%d}"
    share = {"null_created" if field == "createdAt" else "null_updated": 0.05}
    mirrored = mirror(set_start=start, window_field=field, null_dates=nulls, sort=sort, **share)
    assert mirrored.sync().exit_code == 0
    expected = {task["_id"] for task in mirrored.server.tasks() if task[field] is None or task[field] >= start}
    assert expected <= mirrored.stored().keys()
    gone = expected & set(mirrored.server.change(delete=6)["deleted"])
    assert mirrored.sync().exit_code == 0
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert {key for (key,) in mirrored.rows("select _id from tasks where deleted_at is not null")} == gone
    assert mirrored.value("select missing from sync_runs order by id desc limit 1") == 0


@swept(sort=SORTS)
def test_an_empty_start_leaves_no_gap(mirror, field, sort):
    mirrored = mirror(tasks=0, window_field=field, sort=sort)
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    mirrored.server.change(insert=100, days_ago=40)
    mirrored.server.change(insert=100, days_ago=5)
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    assert (mirrored.differences(), mirrored.gaps()) == (NONE, [])


@pytest.mark.every_other
@swept(sort=SORTS, full=(False, True))
def test_a_server_that_shows_nothing_has_an_outage(mirror, field, sort, full):
    mirrored = mirror(window_field=field, sort=sort)
    mirrored.sync()
    before = mirrored.value("select value from watermarks")
    mirrored.server.configure(outage="empty", outage_after=1, outage_seconds=1e6)
    assert mirrored.sync(full=full).exit_code == 5
    assert mirrored.work("reconcile", reconcile).exit_code == 5
    assert mirrored.value("select value from watermarks") == before
    assert mirrored.value("select count(*) from tasks where deleted_at is null") == 300
    mirrored.server.configure(outage_after=0)
    assert mirrored.sync(full=full).exit_code == 0
    assert mirrored.differences() == NONE


@by_field
def test_an_outage_in_the_middle_moves_no_watermark(mirror, field):
    mirrored = mirror(window_field=field, sort="ignored", totals="missing", has_more="missing")
    mirrored.sync()
    before = mirrored.value("select value from watermarks")
    mirrored.server.configure(outage="empty", outage_after=2, outage_seconds=1e6)
    mirrored.server.change(update=5)
    assert mirrored.sync().exit_code == 5
    assert mirrored.value("select value from watermarks") == before


def test_without_totals_each_outage_is_told(mirror):
    mirrored = mirror(sort="ignored", totals="missing", has_more="missing", tasks=20)
    mirrored.sync()
    tasks = mirrored.server.tasks()
    for _ in range(2):
        mirrored.server.remove([task["_id"] for task in tasks])
        assert mirrored.sync().exit_code == 5
        mirrored.change("update sync_runs set started_at = '2020-01-01 00:00:00.000' where exit_code = 5")
        assert [mirrored.sync().exit_code for _ in range(2)] == [3, 3]
        mirrored.server.put(tasks)
        assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]


@by_field
def test_a_collapsed_total_exits_3_until_it_is_confirmed(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    mirrored.server.remove([task["_id"] for task in mirrored.server.tasks()[:200]])
    assert mirrored.sync().exit_code == 5
    mirrored.change("update sync_runs set started_at = '2020-01-01 00:00:00.000' where exit_code = 5")
    live = "select count(*) from tasks where deleted_at is null"
    assert [mirrored.sync().exit_code for _ in range(2)] == [3, 3]
    assert mirrored.work("reconcile", reconcile).exit_code == 3
    assert mirrored.value(live) == 300
    assert mirrored.work("reconcile", partial(reconcile, force=True)).exit_code == 0
    assert mirrored.value(live) == 100
    assert mirrored.sync().exit_code == 0


@swept(sort=SORTS)
def test_a_part_of_history_collapses_by_its_own_total(mirror, field, sort):
    mirrored = mirror(tasks=1000, window_field=field, sort=sort)
    mirrored.sync()
    start = f"{datetime.now(UTC) - timedelta(days=300):%Y-%m-%d}"
    mirrored.settings["KORE_ETL_START"] = start
    assert mirrored.sync().exit_code == 0
    before = mirrored.stored(), mirrored.rows("select value from watermarks")
    part = [task["_id"] for task in mirrored.server.tasks() if task[field] >= start]
    mirrored.server.remove(part[: 2 * len(part) // 3])
    mirrored.server.change(update=5)
    assert mirrored.sync().exit_code == 5
    assert (mirrored.stored(), mirrored.rows("select value from watermarks")) == before
    mirrored.change("update sync_runs set started_at = '2020-01-01 00:00:00.000' where exit_code = 5")
    assert [mirrored.sync().exit_code for _ in range(2)] == [3, 3]
    assert mirrored.work("reconcile", partial(reconcile, force=True)).exit_code == 0
    assert mirrored.sync().exit_code == 0


@by_field
def test_a_collapse_that_recovers_needs_no_confirmation(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    tasks = mirrored.server.tasks()[:200]
    mirrored.server.remove([task["_id"] for task in tasks])
    mirrored.sync()
    mirrored.change("update sync_runs set started_at = '2020-01-01 00:00:00.000' where exit_code = 5")
    assert mirrored.sync().exit_code == 3
    mirrored.server.put(tasks)
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]


@swept(sort=SORTS)
def test_rows_beside_a_collapsed_total_are_not_stored(mirror, field, sort):
    mirrored = mirror(window_field=field, sort=sort)
    mirrored.sync()
    before = mirrored.stored(), mirrored.rows("select value from watermarks")
    mirrored.server.configure(total_cap=20)
    mirrored.server.change(update=5)
    assert mirrored.sync().exit_code == 5
    assert (mirrored.stored(), mirrored.rows("select value from watermarks")) == before


def test_an_implausible_answer_is_asked_again_after_each_pause(mirror):
    mirrored = mirror()
    mirrored.sync()
    mirrored.server.configure(outage="empty", outage_after=1, outage_seconds=2.5)  # over after the last of the pauses
    assert mirrored.sync().exit_code == 0


def import_old(mirrored, *positions):
    """Add tasks that are dated as old ones are: no sync of changes reads them."""
    tasks = mirrored.server.tasks()
    mirrored.server.put([{**tasks[place], "_id": f"ti-old-{place}"} for place in positions])


@swept(sort=SORTS)
def test_deletions_that_wait_hide_no_missing_task(mirror, field, sort):
    mirrored = mirror(window_field=field, sort=sort)
    mirrored.sync()
    gone = mirrored.server.change(delete=3)["deleted"]
    assert mirrored.sync().exit_code == 0
    import_old(mirrored, 40, 200)
    assert (mirrored.sync().exit_code, mirrored.differences().missing) == (0, set())
    if (field, sort) != ("createdAt", "ignored"):  # there verification marks them with each sync
        assert account(mirrored) == (299, 302, 0, 0, 0)
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert {row[0] for row in mirrored.rows("select _id from tasks where deleted_at is not null")} == set(gone)
    assert account(mirrored) == (299, 299, 0, 0, 0)


@swept(sort=SORTS)
def test_where_a_part_of_history_counts_they_hide_none_either(mirror, field, sort):
    start = f"{datetime.now(UTC) - timedelta(days=300):%Y-%m-%d}"
    mirrored = mirror(set_start=start, window_field=field, sort=sort)
    mirrored.sync()
    tasks = [task for task in mirrored.server.tasks() if task[field] >= start]
    gone = {task["_id"] for task in tasks[10:16:2]}
    mirrored.server.remove(gone)
    assert mirrored.sync().exit_code == 0
    imported = mirrored.server.put([{**tasks[place], "_id": f"ti-old-{place}"} for place in (40, 100)])
    assert mirrored.sync().exit_code == 0
    assert set(imported) <= mirrored.stored().keys()
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert {key for (key,) in mirrored.rows("select _id from tasks where deleted_at is not null")} == gone
    count = len(tasks) - 1
    assert account(mirrored) == (count, count, 0, 0, 0)
    searched = mirrored.sync()
    assert (account(mirrored), searched.exit_code) == ((count, count, 0, 0, 0), 0)


@by_field
def test_a_new_deletion_hides_no_missing_task(mirror, field):
    mirrored = mirror(window_field=field, tasks=1500)
    mirrored.sync()
    mirrored.server.remove([mirrored.server.tasks()[place]["_id"] for place in (300, 310)])
    import_old(mirrored, 1200)
    outcome = mirrored.sync()
    assert (outcome.exit_code, mirrored.differences().missing) == (0, set())
    assert outcome.requests <= 45
    assert mirrored.sync().requests == 1


@by_field
def test_a_deletion_beside_known_ones_hides_no_task(mirror, field):
    mirrored = mirror(window_field=field, tasks=1500)
    mirrored.sync()
    ids = [task["_id"] for task in mirrored.server.tasks()[300:1300:100]]
    mirrored.server.remove(ids[:4])
    assert mirrored.sync().exit_code == 0
    mirrored.server.remove(ids[4:6])
    import_old(mirrored, 1200)
    assert (mirrored.sync().exit_code, mirrored.differences().missing) == (0, set())
    mirrored.server.remove([task["_id"] for task in mirrored.server.tasks()[50:1450:50]])
    assert mirrored.sync().requests <= 2  # more deletions than a search tells apart wait for reconcile


def test_a_deleted_task_that_returns_makes_no_alarm(mirror):
    mirrored = mirror(tasks=1500)
    mirrored.sync()
    task = mirrored.server.tasks()[700]
    mirrored.server.remove([task["_id"]])
    assert mirrored.sync().exit_code == 0
    mirrored.server.put([task])
    assert [mirrored.sync().exit_code, mirrored.sync().requests] == [0, 1]
    assert account(mirrored) == (1500, 1500, 0, 0, 0)


def test_marks_of_verification_are_no_missing_tasks(mirror):
    mirrored = mirror()
    mirrored.sync()
    mirrored.server.change(delete=2)
    mirrored.sync()
    assert mirrored.work("verify", verify).exit_code == 0
    assert mirrored.value("select count(*) from tasks where deleted_at is not null") == 2
    assert mirrored.sync().requests <= 2
    assert account(mirrored) == (298, 298, 0, 0, 0)


@by_field
def test_new_hidden_rows_of_a_large_source_are_learned(mirror, field):
    mirrored = mirror(tasks=4000, window_field=field, hidden=0.001)
    mirrored.sync()
    total, before = 4000, account(mirrored)[3]
    while (hidden := total - len(mirrored.server.tasks())) == before:
        mirrored.server.change(insert=50, days_ago=100)
        total += 50
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (total, total - hidden, 0, hidden, 0)
    assert mirrored.differences() == NONE
    assert mirrored.sync().requests == 1


def test_reconcile_keeps_what_its_own_sync_found_hidden(mirror):
    mirrored = mirror(hidden=0.06)
    assert mirrored.sync().exit_code == 0
    known = account(mirrored)[3]
    mirrored.server.change(insert=60)
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert account(mirrored)[3] > known
    assert mirrored.sync().requests == 1


def test_new_hidden_rows_without_a_date_are_learned(mirror):
    undated = {"null_updated": 0.02, "null_dates": "unmatched", "window_field": "updatedAt"}
    mirrored = mirror(tasks=4000, hidden=0.001, **undated)
    mirrored.sync()
    total, before = 4000, account(mirrored)[3]
    task = next(each for each in mirrored.server.tasks() if not each.get("updatedAt"))
    while (hidden := total - len(mirrored.server.tasks())) == before:
        mirrored.server.put([{**task, "_id": f"ti-undated-{total + place}"} for place in range(20)])
        total += 20
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (total, total - hidden, 0, hidden, 0)
    assert mirrored.differences() == NONE


@by_field
def test_a_search_leaves_out_deletions_that_it_found_before(mirror, field):
    mirrored = mirror(window_field=field, tasks=1500)
    mirrored.sync()
    mirrored.server.remove([mirrored.server.tasks()[place]["_id"] for place in (300, 310)])
    requests = []
    for place in (1200, 1000):
        import_old(mirrored, place)
        outcome = mirrored.sync()
        assert (outcome.exit_code, mirrored.differences().missing) == (0, set())
        requests.append(outcome.requests)
    assert max(requests) <= 15


def counts_inactive(mirrored):
    return orjson.loads(mirrored.value("select cast(capabilities as text) from sources"))["counts_inactive"]


@swept(sort=SORTS)
def test_totals_may_leave_inactive_tasks_out(mirror, field, sort):
    mirrored = mirror(window_field=field, sort=sort, deletes="inactive", inactive_totals="left_out")
    mirrored.sync()
    mirrored.server.change(delete=3)
    assert mirrored.sync().exit_code == 0
    if (field, sort) != ("createdAt", "ignored"):  # there verification reads them later
        assert account(mirrored) == (297, 297, 0, 0, 0)
    import_old(mirrored, 40)
    assert (mirrored.sync().exit_code, mirrored.differences()) == (0, NONE)
    gone = mirrored.server.tasks()[100]["_id"]
    mirrored.server.remove([gone])
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert account(mirrored) == (297, 297, 0, 0, 0)
    assert mirrored.value("select count(*) from tasks where gone_at is not null") == 1
    assert counts_inactive(mirrored) is False


@swept(sort=SORTS)
def test_totals_of_a_part_may_leave_inactive_tasks_out(mirror, field, sort):
    start = f"{datetime.now(UTC) - timedelta(days=300):%Y-%m-%d}"
    left_out = {"deletes": "inactive", "inactive_totals": "left_out"}
    mirrored = mirror(set_start=start, window_field=field, sort=sort, **left_out)
    mirrored.sync()
    part = [task for task in mirrored.server.tasks() if task[field] >= start]
    mirrored.server.change(delete=9)
    assert mirrored.sync().exit_code == 0
    mirrored.server.put([{**part[40], "_id": "ti-old-40"}])
    assert mirrored.sync().exit_code == 0
    assert "ti-old-40" in mirrored.stored()
    mirrored.server.remove([part[70]["_id"]])
    assert mirrored.work("reconcile", reconcile).exit_code == 0
    assert [key for (key,) in mirrored.rows("select _id from tasks where gone_at is not null")] == [part[70]["_id"]]
    live = [task for task in mirrored.server.tasks() if task[field] >= start and task.get("isActive") is not False]
    assert account(mirrored) == (len(live), len(live), 0, 0, 0)


def test_totals_that_count_inactive_tasks_are_learned(mirror):
    mirrored = mirror(deletes="inactive", tasks=30)
    mirrored.sync()
    mirrored.server.change(delete=1)
    assert mirrored.sync().exit_code == 0
    assert account(mirrored) == (30, 30, 0, 0, 0)
    assert counts_inactive(mirrored) is True


def test_missing_tasks_are_searched_once_a_day(mirror):
    mirrored = mirror(tasks=1500, hidden=0.02, cap=10)
    mirrored.sync()
    mirrored.server.change(insert=150)
    first = mirrored.sync()
    quiet = [mirrored.sync() for _ in range(2)]
    assert (first.exit_code, [each.exit_code for each in quiet]) == (3, [3, 3])
    assert [each.requests for each in quiet] == [1, 1]
    mirrored.change("update sources set missing_searched_at = '2020-01-01 00:00:00.000'")
    assert mirrored.sync().requests > 3
    assert mirrored.sync().requests == 1


@by_field
def test_a_full_sync_learns_what_is_hidden_by_now(mirror, field):
    mirrored = mirror(tasks=1500, hidden=0.02, window_field=field, cap=20)
    mirrored.sync()
    mirrored.server.change(insert=150)
    assert mirrored.sync().exit_code == 3
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
    assert mirrored.value("select count(*) from sync_windows where state = 'unverified' and job = 'full'") == 0


@by_field
def test_tasks_created_while_an_unsorted_server_is_read(mirror, field):
    mirrored = mirror(window_field=field, sort="ignored")
    mirrored.sync()
    mirrored.server.configure(churn_every=1, churn_add=1)
    assert [mirrored.sync().exit_code for _ in range(3)] == [0, 0, 0]


@by_field
def test_a_rejected_record_that_vanished_hides_no_missing_task(mirror, field):
    mirrored = mirror(window_field=field)
    mirrored.sync()
    odd = mirrored.server.tasks()[0] | {"_id": "ti-odd", "updatedAt": "yesterday"}
    mirrored.server.put([odd])
    assert (mirrored.sync().exit_code, account(mirrored)[2]) == (3, 1)
    mirrored.server.remove(["ti-odd"])
    assert mirrored.sync(full=True).exit_code == 0
    assert account(mirrored) == (300, 300, 0, 0, 0)
    mirrored.server.put([odd])
    assert (mirrored.sync().exit_code, account(mirrored)[2]) == (3, 1)


def test_prune_keeps_the_rejected_records_that_count(mirror):
    mirrored = mirror()
    mirrored.server.put([mirrored.server.tasks()[0] | {"_id": "ti-odd", "updatedAt": "yesterday"}])
    mirrored.sync()
    engine = open_engine(mirrored.database_url)
    later = datetime.now(UTC) + timedelta(days=1)
    with engine.begin() as connection:
        assert prune_old_rows.drop_rejected(connection, 1, later) == 0
        rejected_records.mark_vanished(connection, 1, run_id=99, now=later)
        assert prune_old_rows.drop_rejected(connection, 1, later) == 1
    engine.dispose()
