"""The promise: after a sync the database holds exactly what the server holds, whatever the server does."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest

from etl.extract.http.response_page import Page
from etl.jobs.backfill import Period, backfill
from etl.jobs.reconcile import reconcile
from etl.jobs.sync import sync
from etl.times import format_time, now, parse_time
from tests.integration.jobs.drawn_server import DrawnClock
from tests.integration.mirror import NONE, Differences, Mirror

TASKS = 400

OBEDIENT = {
    "dates on createdAt": {},
    "dates on updatedAt": {"window_field": "updatedAt"},
    "10 rows a request": {"cap": 10},
    "10 rows a request, dates on updatedAt": {"cap": 10, "window_field": "updatedAt"},
    "limit over 50 refused": {"cap_mode": "refuse"},
    "limit over 50 refused with 412, dates on updatedAt": {
        "cap_mode": "refuse",
        "cap_status": 412,
        "window_field": "updatedAt",
    },
    "hasMore only": {"totals": "missing"},
    "hasMore only, dates on updatedAt": {"totals": "null", "window_field": "updatedAt"},
    "totals only": {"has_more": "missing"},
    "totals only, dates on updatedAt": {"has_more": "null", "window_field": "updatedAt"},
    "neither": {"has_more": "missing", "totals": "missing"},
    "neither, dates on updatedAt": {"has_more": "null", "totals": "null", "window_field": "updatedAt"},
    "hasMore always true": {"has_more": "always_true"},
    "hasMore always true, no totals": {"has_more": "always_true", "totals": "missing", "window_field": "updatedAt"},
    "skip+limit over 500 refused": {"max_skip": 500},
    "dates cut to the second": {"granularity": "second"},
    "dates cut to the second, on updatedAt": {"granularity": "second", "window_field": "updatedAt"},
    "ends not included": {"ends": "exclusive"},
    "ends not included, dates on updatedAt": {"ends": "exclusive", "window_field": "updatedAt"},
    "ends not included and cut to the second": {
        "ends": "exclusive",
        "granularity": "second",
        "window_field": "updatedAt",
    },
    "ranges over 7 days refused": {"max_range_days": 7.0, "days": 200.0},
    "ranges over 31 days refused, dates on updatedAt": {"max_range_days": 31.0, "window_field": "updatedAt"},
    "sorted by updatedAt only": {"sort_fields": ("updatedAt",)},
    "sorted by createdAt only, dates on updatedAt": {"sort_fields": ("createdAt",), "window_field": "updatedAt"},
    "ties in no order": {"tie_break": "random"},
    "no Date header": {"date_header": "missing"},
    "an hour behind": {"clock_skew": -3600.0},
    "an hour ahead": {"clock_skew": 3600.0, "window_field": "updatedAt"},
    "a task at the start": {"tasks": 1},
    "no task at the start": {"tasks": 0},
    "no task at the start, dates on updatedAt": {"tasks": 0, "window_field": "updatedAt"},
    "rows given twice": {"duplicates": 0.3, "shape": "full"},
    "rows given twice, totals only, dates on updatedAt": {
        "duplicates": 0.3,
        "has_more": "missing",
        "window_field": "updatedAt",
    },
    "whole records": {"shape": "full"},
    "whole records, dates on updatedAt": {"shape": "full", "window_field": "updatedAt"},
}

UNSORTED = {
    "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
    "sort ignored, newest first": {"window_field": "updatedAt", "sort": "ignored", "default_order": "newest"},
    "sort ignored, 10 rows a request": {"window_field": "updatedAt", "sort": "ignored", "cap": 10},
    "sort ignored, neither": {
        "window_field": "updatedAt",
        "sort": "ignored",
        "has_more": "missing",
        "totals": "missing",
    },
    "sort ignored, skip+limit over 500 refused": {"window_field": "updatedAt", "sort": "ignored", "max_skip": 500},
    "sort ignored, newest first, skip+limit over 500 refused": {
        "window_field": "updatedAt",
        "sort": "ignored",
        "default_order": "newest",
        "max_skip": 500,
    },
    "sort ignored, dates cut to the second": {"window_field": "updatedAt", "sort": "ignored", "granularity": "second"},
    "sort ignored, ends not included": {"window_field": "updatedAt", "sort": "ignored", "ends": "exclusive"},
    "sort ignored, ranges over 31 days refused": {
        "window_field": "updatedAt",
        "sort": "ignored",
        "max_range_days": 31.0,
    },
}

NEEDS_FULL = {
    "sorted by createdAt only": {"sort_fields": ("createdAt",)},
    "sort ignored, dates on createdAt": {"sort": "ignored"},
    "sort ignored, dates on createdAt, newest first": {"sort": "ignored", "default_order": "newest"},
    "sort ignored, dates on createdAt, skip+limit over 500 refused": {"sort": "ignored", "max_skip": 500},
    "sort ignored, dates on createdAt, neither": {"sort": "ignored", "has_more": "missing", "totals": "missing"},
}


# The SQL of one server is that of another: a plain one for each way of reading, and those that hand over odd batches.
ON_POSTGRESQL = frozenset(
    {
        "dates on createdAt",
        "dates on updatedAt",
        "no task at the start",
        "rows given twice",
        "whole records",
        "sort ignored",
        "sort ignored, dates on createdAt",
    }
)


def variants(*tables, on_postgresql=ON_POSTGRESQL):
    """Each kind of server with SQLite, and some with PostgreSQL too."""
    cases = [
        pytest.param(database, options, id=f"{database}-{name}")
        for table in tables
        for name, options in table.items()
        for database in ("sqlite", "postgresql")
        if database == "sqlite" or name in on_postgresql
    ]
    return pytest.mark.parametrize(("migrated_url", "options"), cases, indirect=["migrated_url"])


@pytest.fixture
def mirror(sandbox, migrated_url):
    return lambda **options: Mirror(sandbox(**{"tasks": TASKS, "shape": "eight", **options}), migrated_url)


@pytest.fixture
def mirror_sqlite(sandbox, migrated_sqlite_url):
    return lambda **options: Mirror(sandbox(**{"tasks": TASKS, "shape": "eight", **options}), migrated_sqlite_url)


def assert_exact(mirror, outcome, *, what):
    assert outcome.exit_code == 0, what
    assert mirror.differences() == NONE, what
    assert mirror.gaps() == [], what


@variants(OBEDIENT, UNSORTED)
def test_two_syncs_hold_every_row_as_the_server_does(mirror, options):
    mirrored = mirror(**options)
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    mirrored.server.change(update=min(200, options.get("tasks", TASKS)), insert=50)
    assert_exact(mirrored, mirrored.sync(), what="second sync")


def test_a_first_sync_asks_for_dates_without_an_end(mirror_sqlite):
    mirrored = mirror_sqlite(window_field="updatedAt")
    mirrored.sync()
    ends = {request["body"].get("endDate") for request in mirrored.server.requests[-3:]}
    assert {end is None or end.startswith("9999") for end in ends} == {True}


def test_a_first_sync_is_complete_up_to_what_changed_meanwhile(sandbox, migrated_sqlite_url):
    # Each look at the clock takes a millisecond. So the run takes less than a second, and what it shows is surely past.
    looks = count(1_772_443_800_000)
    options = {"window_field": "updatedAt", "sort": "ignored", "default_order": "newest"}
    churn = {"churn_every": 3, "churn_change": 5, "churn_add": 1}
    server = sandbox(tasks=300, shape="eight", clock=lambda: next(looks) / 1000, **options, **churn)
    mirrored = Mirror(server, migrated_sqlite_url, clock=lambda: datetime.fromtimestamp(next(looks) / 1000, UTC))
    assert mirrored.sync().exit_code == 0
    server.configure(churn_every=0)
    ((started, complete_to),) = mirrored.rows("select started_at, complete_to from sync_runs, watermarks")
    assert complete_to > started
    stored = mirrored.stored()
    until = [task for task in server.tasks() if task["updatedAt"] <= complete_to.replace(" ", "T") + "Z"]
    assert [task["_id"] for task in until if stored.get(task["_id"]) != task] == []


CLOCK = 2.1  # seconds after which a change is surely one before a run's start: the server tells its time in seconds
REFUSED_SKIPS = {
    "dates on createdAt": {},
    "dates on createdAt, no totals": {"totals": "missing"},
    "dates on createdAt, neither": {"has_more": "missing", "totals": "missing"},
    "dates on updatedAt": {"window_field": "updatedAt"},
    "dates on updatedAt, no totals": {"window_field": "updatedAt", "totals": "missing"},
}


@variants(REFUSED_SKIPS)
def test_more_changes_than_a_skip_may_pass_are_all_read(mirror, options):
    mirrored = mirror(**{"tasks": 400, "max_skip": 100, "window_field": "createdAt", **options})
    mirrored.sync()
    mirrored.server.change(update=200, insert=20, delete=1)
    time.sleep(CLOCK)
    outcome = mirrored.sync()
    found = mirrored.differences()
    assert (found.missing, found.stale, len(found.extra)) == (set(), set(), 1)
    # Without dates on updatedAt nothing proves the lookback.
    assert outcome.exit_code == (0 if options.get("window_field") == "updatedAt" else 3)
    assert outcome.requests < 40  # with whole pages
    mirrored.server.change(update=3)
    mirrored.sync()
    assert mirrored.differences().stale == set()


def test_a_lookback_behind_a_refused_skip_is_read_each_hour(mirror):
    mirrored = mirror(tasks=400, max_skip=100)
    mirrored.sync()
    mirrored.server.change(update=200)
    time.sleep(CLOCK)
    assert [mirrored.sync().exit_code for _ in range(2)] == [3, 0]
    mirrored.server.change(update=1)
    few = mirrored.sync()
    mirrored.change("update watermarks set lookback_read_at = '2020-01-01 00:00:00.000'")
    assert few.requests < 8 < mirrored.sync().requests


def test_changes_out_of_a_full_syncs_reach_move_no_watermark(mirror):
    mirrored = mirror(tasks=400, max_skip=100)
    mirrored.sync()
    before = mirrored.value("select value from watermarks")
    mirrored.server.configure(churn_every=1, churn_change=40)
    assert mirrored.sync(full=True).exit_code == 4
    assert mirrored.value("select value from watermarks") == before
    mirrored.server.configure(churn_every=0)
    mirrored.sync()
    assert mirrored.differences() == NONE


UNDATED_BEHIND_A_REFUSED_SKIP = {
    "without createdAt": {"null_created": 0.6},
    "without createdAt, no totals": {"null_created": 0.6, "totals": "missing"},
    "without createdAt, no totals, sort ignored": {"null_created": 0.6, "totals": "missing", "sort": "ignored"},
    "without updatedAt": {"null_updated": 0.6, "window_field": "updatedAt"},
    "without updatedAt, no totals": {"null_updated": 0.6, "window_field": "updatedAt", "totals": "missing"},
}


@variants(UNDATED_BEHIND_A_REFUSED_SKIP)
def test_undated_tasks_behind_a_refused_skip_are_told(mirror, options):
    mirrored = mirror(tasks=400, max_skip=100, null_dates="unmatched", **options)
    for outcome in (mirrored.sync(), mirrored.sync(full=True)):
        assert mirrored.differences().missing
        assert outcome.exit_code == 3


def test_new_undated_tasks_are_read_behind_a_refused_skip(mirror):
    mirrored = mirror(tasks=20, max_skip=100, totals="missing", null_dates="unmatched")
    mirrored.sync()
    like = mirrored.server.tasks()[0]
    now = mirrored.server.now()
    dates = (format_time(parse_time(int(now * 1000) + number)) for number in range(300))
    mirrored.server.put(
        [{**like, "_id": f"ti-{n}", "createdAt": date, "updatedAt": None} for n, date in enumerate(dates)]
    )
    time.sleep(CLOCK)
    assert_exact(mirrored, mirrored.sync(), what="the sync of new tasks")


def test_unresolved_tasks_behind_a_refused_skip_are_told(mirror):
    mirrored = mirror(tasks=20, max_skip=60, sort="ignored", totals="missing")
    mirrored.server.change(insert=150, days_ago=40, same_instant=True)
    time.sleep(CLOCK)
    assert [mirrored.sync().exit_code for _ in range(2)] == [3, 3]


def test_counts_of_hidden_tasks_settle_no_refused_skip(mirror):
    mirrored = mirror(tasks=400, max_skip=100, hidden=0.05)
    mirrored.server.change(update=200)
    time.sleep(CLOCK)
    assert mirrored.sync().exit_code == 3
    assert mirrored.value("select max(hidden) from sync_runs") > 0
    unread = mirrored.rows("select job, strategy, state from sync_windows where state <> 'verified'")
    assert unread == [("sync", "newest_first", "failed")]


def test_a_range_that_is_refused_only_later_hides_no_news(mirror_sqlite):
    """The probe has no request left to ask for a long range, and nothing but the tasks tells the time."""
    mirrored = mirror_sqlite(
        tasks=120, days=90.0, quiet_seconds=86_400.0, round_changes=True, window_field="updatedAt", ends="half_open",
        cap=10, cap_mode="refuse", max_range_days=31.0, date_header="missing", totals="missing",
    )  # fmt: skip
    assert_exact(mirrored, mirrored.sync(), what="first sync")


@variants(
    {
        "dates on createdAt": {"sort": "ignored"},
        "dates on updatedAt": {"sort": "ignored", "window_field": "updatedAt"},
        "dates on updatedAt, in order": {"window_field": "updatedAt"},
    }
)
def test_news_behind_the_longest_range_need_no_clock(mirror, options):
    """Nothing dates the run but a task of two months ago, and one range ends a month ago."""
    mirrored = mirror(
        tasks=9, days=30.0, quiet_seconds=5e6, max_range_days=31.0, date_header="missing", totals="missing", **options
    )
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    mirrored.server.change(insert=2, update=0)
    assert_exact(mirrored, mirrored.sync(), what="second sync")
    mirrored.server.put([{**mirrored.server.tasks()[3], "updatedAt": format_time(parse_time(int(time.time() * 1000)))}])
    mirrored.sync()
    if options.get("window_field") == "updatedAt":
        assert mirrored.differences() == NONE


def test_a_task_that_was_closed_since_is_read_by_its_creation(sandbox, migrated_url):
    """Where nothing sorts, the server shows the unresolved tasks alone; verification is off."""
    mirrored = Mirror(sandbox(tasks=300, shape="eight", sort="ignored"), migrated_url, verify_within="0")
    mirrored.sync()
    tasks = mirrored.server.tasks()
    closed = next(task["status"] for task in tasks if task["status"]["statusCategory"] == "closed")
    left = [task for task in tasks if task["status"]["statusCategory"] == "open"][:3]
    mirrored.server.put([{**task, "status": closed, "updatedAt": format_time(now())} for task in left])
    assert_exact(mirrored, mirrored.sync(), what="sync")


def test_changes_that_waited_for_their_order_are_read(sandbox, migrated_sqlite_url):
    """While nothing sorts, changes of resolved tasks wait. Once the server sorts, none is passed over."""
    clock = DrawnClock(1)
    server = sandbox(tasks=300, shape="eight", cap=10, quiet_seconds=0.0, clock=clock.seconds)
    mirrored = Mirror(server, migrated_sqlite_url, clock=clock.now, verify_within="0")
    unsorted = {"KORE_ETL_SORT_UPDATED": "false", "KORE_ETL_SORT_CREATED": "false"}
    mirrored.settings |= unsorted
    mirrored.sync()
    for _ in range(2):
        server.change(update=40)
        clock.wait()
        mirrored.sync()
    assert mirrored.differences().stale
    for name in unsorted:
        del mirrored.settings[name]
    clock.wait()
    server.change(update=2)
    assert_exact(mirrored, mirrored.sync(), what="sync in order")
    assert mirrored.sync().requests <= 2


def test_new_tasks_are_found_where_days_are_created(mirror_sqlite):
    """Nothing sorts, no total tells, and the tasks of a day were all created at its midnight."""
    mirrored = mirror_sqlite(tasks=200, cap=20, sort="ignored", totals="missing")

    def at_midnight(task):
        return {**task, "createdAt": f"{task['createdAt'][:10]}T00:00:00.000Z"}

    mirrored.server.put([at_midnight(task) for task in mirrored.server.tasks()])
    mirrored.settings["KORE_ETL_VERIFY_WITHIN"] = "0"
    mirrored.sync()
    closed = {"_id": "sts-closed", "name": "Closed", "statusCategory": "closed"}
    moment = format_time(now() - timedelta(minutes=1))
    new = {**mirrored.server.tasks()[3], "createdAt": moment, "updatedAt": moment, "status": closed}
    mirrored.server.put([at_midnight({**new, "_id": f"ti-new-{place}"}) for place in range(3)])
    assert_exact(mirrored, mirrored.sync(), what="sync")


@variants(NEEDS_FULL)
def test_a_full_sync_holds_every_row_where_nothing_cheaper_can(mirror, options):
    mirrored = mirror(**options)
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    mirrored.server.change(update=min(200, options.get("tasks", TASKS)), insert=50)
    assert_exact(mirrored, mirrored.sync(full=True), what="full sync")


@variants(
    {
        "dates on createdAt": {},
        "dates on updatedAt": {"window_field": "updatedAt"},
        "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
    },
    on_postgresql={"dates on createdAt"},
)
def test_timestamps_rounded_to_the_hour_lose_nothing(mirror, options):
    mirrored = mirror(tasks=1000, days=10.0, round_to=3600.0, round_changes=True, **options)
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    for nth, new in (("second", 50), ("third", 0)):  # without a new task, no total tells that changes are missing
        mirrored.server.change(update=200, insert=new)
        assert_exact(mirrored, mirrored.sync(), what=f"{nth} sync")


@variants(
    {
        "dates on createdAt": {},
        "dates on updatedAt": {"window_field": "updatedAt"},
        "dates on updatedAt, ties in no order": {"window_field": "updatedAt", "tie_break": "random"},
        "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
        "neither": {"window_field": "updatedAt", "has_more": "missing", "totals": "missing"},
    },
    on_postgresql={"dates on createdAt"},
)
def test_two_thousand_tasks_of_one_millisecond_are_all_read(mirror, options):
    mirrored = mirror(tasks=2100, **options)
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    mirrored.server.change(update=2000, insert=50, same_instant=True)
    assert_exact(mirrored, mirrored.sync(), what="second sync")


@variants(
    {
        "dates on createdAt": {},
        "dates on updatedAt": {"window_field": "updatedAt"},
        "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
    },
    on_postgresql={"dates on createdAt"},
)
def test_rows_that_show_late_are_there_after_one_more_sync(mirror, options):
    mirrored = mirror(visible_after=2.0, **options)
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(update=200, insert=50)
    assert mirrored.sync().exit_code == 0
    time.sleep(2.1)  # the delay is the server's
    assert_exact(mirrored, mirrored.sync(), what="quiet sync")


READINGS = {
    "dates on createdAt": {},
    "dates on updatedAt": {"window_field": "updatedAt"},
    "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
}


@pytest.mark.every_other
@variants(
    {
        f"{name}, {read}": {**options, "date_offset": offset, "date_header": header}
        for read, options in READINGS.items()
        for name, offset, header in (
            ("Date ten minutes ahead", 600.0, "present"),
            ("Date ten minutes behind", -600.0, "present"),
            ("no Date", 0.0, "missing"),
        )
    },
    on_postgresql={"Date ten minutes ahead, dates on createdAt"},
)
def test_a_date_header_by_another_clock_skips_nothing(mirror, options):
    mirrored = mirror(**options)
    assert_exact(mirrored, mirrored.sync(), what="first sync")
    for which in ("second", "third"):
        time.sleep(0.01)  # a later millisecond: the watermark is by milliseconds
        mirrored.server.change(update=200, insert=100)
        assert mirrored.sync().exit_code == 0
        assert mirrored.differences() == NONE, which


@variants(READINGS, on_postgresql={"dates on createdAt", "dates on updatedAt"})
@pytest.mark.parametrize("command", ["sync --full", "backfill", "reconcile --deep"])
def test_a_server_restored_from_a_backup_is_held_as_it_is(mirror, options, command):
    mirrored = mirror(**options)
    assert mirrored.sync().exit_code == 0
    mirrored.server.back_up()
    mirrored.server.change(update=40)
    assert_exact(mirrored, mirrored.sync(), what="second sync")
    mirrored.server.restore()
    assert mirrored.sync().exit_code == 0
    does = {
        "sync --full": lambda run: sync(run, full=True),
        "backfill": lambda run: backfill(run, Period()),
        "reconcile --deep": lambda run: reconcile(run, deep=True),
    }
    assert_exact(mirrored, mirrored.work(command.split()[0], does[command]), what=command)


@variants(READINGS, on_postgresql={"dates on createdAt"})
@pytest.mark.parametrize("new", ["A first name", "Z last name"])
def test_a_renamed_status_has_its_new_name_after_a_full_sync(mirror, options, new):
    mirrored = mirror(shape="full", **options)
    assert mirrored.sync().exit_code == 0
    old = mirrored.value("select min(name) from statuses")
    mirrored.server.rename(old, new)
    assert_exact(mirrored, mirrored.sync(full=True), what="full sync")
    names = [row[0] for row in mirrored.rows("select name from statuses")]
    assert (new in names, old in names) == (True, False)


CHURN = {"churn_every": 7, "churn_add": 2, "churn_change": 6, "churn_delete": 1}


@pytest.mark.every_other
@pytest.mark.parametrize("moment", ["before", "after"])
@variants(
    {
        "dates on createdAt": {},
        "dates on updatedAt": {"window_field": "updatedAt"},
        "dates on updatedAt, neither": {"window_field": "updatedAt", "has_more": "missing", "totals": "missing"},
        "sort ignored": {"window_field": "updatedAt", "sort": "ignored"},
        "sort ignored, newest first": {"window_field": "updatedAt", "sort": "ignored", "default_order": "newest"},
    },
    on_postgresql={"dates on createdAt"},
)
def test_changes_while_reading_are_exact_after_one_more_sync(mirror, options, moment):
    mirrored = mirror(churn_when=moment, **CHURN, **options)
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(update=200, insert=50)
    assert mirrored.sync().exit_code == 0
    mirrored.server.configure(churn_every=0)
    assert mirrored.sync().exit_code == 0
    left = mirrored.differences()
    assert not left.missing
    assert not left.stale
    assert mirrored.gaps() == []


def test_a_shuffled_tie_is_read_or_told(mirror):
    mirrored = mirror(tasks=400, tie_break="random")
    assert mirrored.sync().exit_code == 0
    mirrored.server.change(update=200, same_instant=True)
    outcome = mirrored.sync()
    assert outcome.exit_code == 3 or mirrored.differences() == NONE
    mirrored.server.configure(tie_break="id")
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


def test_the_comparison_sees_differing_and_missing_rows(mirror):
    mirrored = mirror(tasks=20)
    mirrored.sync()
    first, second, *_ = mirrored.server.tasks()
    mirrored.server.put([{**first, "name": "another"}, {**first, "_id": "ti-new"}])
    mirrored.server.remove([second["_id"]])
    found = mirrored.differences()
    assert (found.missing, found.stale, found.extra) == ({"ti-new"}, {first["_id"]}, {second["_id"]})


def test_a_record_too_odd_for_postgresql_is_rejected_alone(sandbox, postgres_url):
    server = sandbox(tasks=130, shape="eight")
    mirrored = Mirror(server, postgres_url)

    def store(run):
        batch = run.transformer.transform(Page(server.tasks()))
        batch.tasks[60]["raw"] = '{"number":1e400000}'
        return {"stored": run.writer.store(batch).counts.inserted}

    assert mirrored.work("sync", store).exit_code == 3
    odd = server.tasks()[60]["_id"]
    assert mirrored.differences() == Differences(missing={odd})
    ((record, reason),) = mirrored.rows("select record_id, reason from rejected_records")
    assert (record, reason.partition(":")[0]) == (odd, "the database cannot hold it")
    assert mirrored.rows("select fetched, inserted, rejected from sync_runs") == [(130, 129, 1)]
