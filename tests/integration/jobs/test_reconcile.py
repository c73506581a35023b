"""Deletions: exactly the tasks that are gone are marked, for few requests, and never one that is there."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta

import pytest

from etl.jobs.comparison.find_deleted_tasks import plan
from etl.jobs.reconcile import reconcile
from etl.jobs.verify import verify
from etl.times import format_time
from tests.integration.mirror import Mirror

UPDATED = {"window_field": "updatedAt"}
SERVERS = {
    "dates on createdAt": {},
    "dates on updatedAt": UPDATED,
    "10 rows a request": {"cap": 10},
    "totals only": {"has_more": "missing"},
    "hasMore always true": {"has_more": "always_true"},
    "skip+limit over 500 refused": {"max_skip": 500, "tasks": 5000},
    "dates cut to the second": {"granularity": "second"},
    "ends not included, dates on updatedAt": {"ends": "exclusive", **UPDATED},
    "ends not included and cut to the second": {"ends": "exclusive", "granularity": "second"},
    "ranges over 31 days refused": {"max_range_days": 31.0},
    "sort ignored": {"sort": "ignored"},
    "sort ignored, newest first, dates on updatedAt": {"sort": "ignored", "default_order": "newest", **UPDATED},
    "ties in no order": {"tie_break": "random"},
    "rows given twice": {"duplicates": 0.3},
    "timestamps rounded to the hour": {"round_to": 3600.0, "tasks": 3000},
    "timestamps rounded to the week": {"round_to": 604800.0},
    "timestamps rounded to the week, sort ignored": {"round_to": 604800.0, "sort": "ignored", **UPDATED},
}


class Reconciled(Mirror):
    """A mirror that says what is marked and what should be."""

    def reconcile(self, **options):
        self.told = None

        def work(run):
            self.told = reconcile(run, **options)["reconcile"]
            return {}

        return self.work("reconcile", work)

    def marked(self):
        return {row[0] for row in self.rows("select _id from tasks where deleted_at is not null")}

    def deletions(self):
        return [row[0] for row in self.rows("select task_id from task_changes where field = 'deletion'")]


@pytest.fixture
def mirror(sandbox, migrated_url):
    return lambda **options: Reconciled(sandbox(**{"tasks": 700, "shape": "eight", **options}), migrated_url)


@pytest.fixture
def sqlite_mirror(sandbox, migrated_sqlite_url):
    return lambda **options: Reconciled(sandbox(**{"tasks": 700, "shape": "eight", **options}), migrated_sqlite_url)


def variants(table):
    return [pytest.param(options, id=name) for name, options in table.items()]


@pytest.mark.parametrize("command", ["reconcile", "verify"])
@pytest.mark.parametrize("options", variants({"sorted": UPDATED, "sort ignored": {"sort": "ignored", **UPDATED}}))
def test_a_task_that_lost_its_date_is_not_marked(mirror, options, command):
    """In the total it makes up for a deleted task without a date."""
    mirrored = mirror(tasks=200, null_dates="unmatched", **options)
    lost = mirrored.server.tasks()[100]
    mirrored.server.put([{**lost, "_id": "ti-undated", "updatedAt": None}])
    mirrored.sync()
    mirrored.server.remove(["ti-undated"])
    mirrored.server.put([{**lost, "updatedAt": None}])
    outcome = mirrored.reconcile() if command == "reconcile" else mirrored.work("verify", verify)
    assert outcome.exit_code in (0, 3)
    assert lost["_id"] not in mirrored.marked()


@pytest.mark.every_other
@pytest.mark.parametrize("after", [1, 2, 16])
@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_lost_date_marks_nothing_while_others_are_deleted(sqlite_mirror, deep, sort, after):
    """In the total the task makes up for one that is deleted once its time was read."""
    mirrored = sqlite_mirror(null_dates="unmatched", cap=20, sort=sort, **UPDATED)
    mirrored.sync()
    lost = mirrored.server.tasks()[500]
    mirrored.server.change(delete=1)
    mirrored.server.put([{**lost, "updatedAt": None}])
    mirrored.server.configure(churn_every=mirrored.server.request_count + after, churn_delete=20)
    mirrored.reconcile(deep=deep)
    assert lost["_id"] not in mirrored.marked()


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_a_part_of_history_marks_no_task_that_lost_its_date(sqlite_mirror, field, sort):
    """In the total it makes up for a deleted task of the part that is not read."""
    mirrored = sqlite_mirror(null_dates="unmatched", window_field=field, sort=sort)
    mirrored.sync()
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task[field])
    middle = datetime.fromisoformat(tasks[300][field])
    mirrored.server.put([{**tasks[100], field: None}])
    mirrored.server.remove([tasks[50]["_id"], tasks[600]["_id"]])
    mirrored.work("verify", lambda run: verify(run, until=middle))
    assert mirrored.marked() == ({tasks[50]["_id"]} if sort == "obeyed" else set())
    mirrored.server.put([tasks[100]])
    mirrored.work("verify", lambda run: verify(run, until=middle))
    assert mirrored.marked() == {tasks[50]["_id"]}


@pytest.mark.every_other
@pytest.mark.parametrize("command", ["reconcile", "verify"])
@pytest.mark.parametrize("place", [0, 50, 300, 698])
@pytest.mark.parametrize("options", variants({"": {}, "skip+limit over 400 refused": {"max_skip": 400}}))
def test_a_task_whose_date_went_back_is_not_marked(sqlite_mirror, options, command, place):
    """Where it stands now, it makes up for a deleted task: the counts of that range agree."""
    mirrored = sqlite_mirror(cap=20, **options, **UPDATED)
    mirrored.sync()
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    deleted, moved = tasks[place], tasks[place + 1 if place == 698 else 650]
    mirrored.server.put([{**moved, "updatedAt": deleted["updatedAt"]}])
    mirrored.server.remove([deleted["_id"]])
    if command == "reconcile":
        outcome = mirrored.reconcile()
        assert (outcome.exit_code, mirrored.marked()) == (0, {deleted["_id"]})
    else:
        middle = datetime.fromisoformat(tasks[400]["updatedAt"])
        mirrored.work("verify", lambda run: verify(run, since=middle))
        assert mirrored.marked() == ({deleted["_id"]} if place == 698 else set())
    assert mirrored.stored()[moved["_id"]]["updatedAt"] == deleted["updatedAt"]


def test_a_date_that_became_unreadable_hides_no_deletion(sqlite_mirror):
    """The task is found by its creation, but its record is rejected, so it stays stored by its old date."""
    mirrored = sqlite_mirror(null_dates="unmatched", **UPDATED)
    mirrored.sync()
    odd, deleted = mirrored.server.tasks()[100:300:199]
    mirrored.server.put([{**odd, "updatedAt": "soon"}])
    mirrored.server.remove([deleted["_id"]])
    mirrored.reconcile()
    assert mirrored.marked() == {deleted["_id"]}


def test_a_date_that_went_back_is_found_beside_a_large_tie(sqlite_mirror):
    """Imported tasks share one time of creation, more than a page holds, and some of them are deleted."""
    mirrored = sqlite_mirror(tasks=200, cap=10, **UPDATED)
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    created = tasks[50]["createdAt"]
    imported = [{**task, "_id": f"ti-import-{place}", "createdAt": created} for place, task in enumerate(tasks[:30])]
    mirrored.server.put(imported)
    mirrored.sync()
    moved, deleted = imported[25], [tasks[10]["_id"], "ti-import-7", "ti-import-20"]
    mirrored.server.put([{**moved, "updatedAt": tasks[10]["updatedAt"]}])
    mirrored.server.remove(deleted)
    assert (mirrored.reconcile().exit_code, mirrored.marked()) == (0, set(deleted))


@pytest.mark.parametrize("created", [None, "2001-01-01T00:00:00.000Z"])
def test_a_task_that_lost_both_dates_is_not_marked(sqlite_mirror, created):
    """A deleted task that never had a date makes up for it, and it does not stand where it was created."""
    mirrored = sqlite_mirror(tasks=200, null_dates="unmatched", **UPDATED)
    lost = mirrored.server.tasks()[100]
    mirrored.server.put([{**lost, "_id": "ti-undated", "updatedAt": None}])
    mirrored.sync()
    mirrored.server.remove(["ti-undated"])
    mirrored.server.put([{**lost, "updatedAt": None, "createdAt": created}])
    mirrored.reconcile()
    assert mirrored.marked() <= {"ti-undated"}


@pytest.mark.parametrize("place", [2, 4])
def test_a_task_without_createdat_ends_no_order(sqlite_mirror, place):
    """It stands in the middle, at the beginning of a page: what comes before it was not read."""
    mirrored = sqlite_mirror(tasks=200, cap=10, null_dates="now", **UPDATED)
    old = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    now = datetime.now(UTC)
    new = [
        {
            **old[number % 200],
            "_id": f"ti-new-{number}",
            "createdAt": format_time(now + timedelta(seconds=number + 1)),
            "updatedAt": format_time(now - timedelta(seconds=60 - number / 10)),
        }
        for number in range(280)
    ]
    mirrored.server.put([{**old[30], "_id": "ti-null", "createdAt": None, "timestampValue": None}, *new])
    mirrored.sync()
    deleted = [old[10]["_id"], new[place]["_id"]]
    moved = min(old[100:180], key=lambda task: task["createdAt"])
    mirrored.server.put([{**moved, "updatedAt": old[10]["updatedAt"]}])
    mirrored.server.remove(deleted)
    mirrored.reconcile()
    assert mirrored.marked() == set(deleted)


@pytest.mark.every_other
@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00.000Z", "1969-12-31T00:00:00Z", "9999-12-31T23:59:59.999Z"])
def test_a_task_of_any_time_stops_no_command(sqlite_mirror, moment, field, sort):
    """Programs write the first or the last time that there is for none."""
    mirrored = sqlite_mirror(tasks=60, window_field=field, sort=sort)
    mirrored.server.put([{**mirrored.server.tasks()[30], "_id": "ti-odd", field: moment}])
    codes = [mirrored.sync().exit_code, mirrored.sync(full=True).exit_code, mirrored.sync(full=True).exit_code]
    gone = [mirrored.server.tasks()[5]["_id"], "ti-odd"]
    for key in gone:
        mirrored.server.remove([key])
        codes.append(mirrored.reconcile().exit_code)
    codes += [mirrored.work("verify", verify).exit_code, mirrored.reconcile(deep=True).exit_code]
    assert (codes, mirrored.marked()) == ([0] * 7, set(gone))


def test_marks_60_of_5000_tasks_in_under_80_requests(mirror):
    mirrored = mirror(tasks=5000, shape="full")
    mirrored.sync()
    gone = mirrored.server.change(delete=60)["deleted"]
    outcome = mirrored.reconcile()
    assert (outcome.exit_code, mirrored.marked()) == (0, set(gone))
    assert outcome.requests < 80
    assert sorted(mirrored.deletions()) == sorted(gone)
    assert mirrored.value("select count(*) from tasks") == 5000
    again = mirrored.reconcile()
    assert (again.exit_code, mirrored.told["marked"], len(mirrored.deletions())) == (0, 0, 60)


@pytest.mark.parametrize("options", variants({"dates on createdAt": {}, "dates on updatedAt": UPDATED}))
def test_untouched_history_costs_two_requests_more_at_most(sqlite_mirror, options):
    mirrored = sqlite_mirror(**options)
    mirrored.sync()
    quiet = mirrored.sync().requests
    assert mirrored.reconcile().requests <= quiet + 2


@pytest.mark.parametrize(("field", "requests"), [("createdAt", 20), ("updatedAt", 30)])
def test_a_cluster_of_deletions_is_found_in_few_requests(sqlite_mirror, field, requests):
    """By updatedAt, each task is looked up by its creation too, and these stand further apart."""
    mirrored = sqlite_mirror(tasks=5000, window_field=field)
    mirrored.sync()
    tasks = sorted(mirrored.server.tasks(), key=lambda task: task[field])
    gone = [task["_id"] for task in tasks[2222:2282]]
    mirrored.server.remove(gone)
    outcome = mirrored.reconcile()
    assert mirrored.marked() == set(gone)
    assert outcome.requests <= requests


@pytest.mark.every_other
@pytest.mark.parametrize("options", variants(SERVERS))
def test_marks_exactly_what_is_gone_on_any_server(sqlite_mirror, options):
    mirrored = sqlite_mirror(**options)
    mirrored.sync()
    gone = mirrored.server.change(update=50, insert=20, delete=30)["deleted"]
    assert mirrored.reconcile().exit_code == 0
    assert mirrored.marked() == set(gone)
    assert mirrored.reconcile().exit_code == 0
    assert len(mirrored.deletions()) == 30


@pytest.mark.every_other
@pytest.mark.parametrize(
    "options",
    variants({**SERVERS, "no totals": {"totals": "missing"}, "neither": {"totals": "null", "has_more": "null"}}),
)
def test_deep_marks_exactly_what_is_gone_by_reading_every_id(sqlite_mirror, options):
    mirrored = sqlite_mirror(**options)
    mirrored.sync()
    gone = mirrored.server.change(update=50, insert=20, delete=30)["deleted"]
    assert mirrored.reconcile(deep=True).exit_code == 0
    assert mirrored.marked() == set(gone)


def test_a_task_that_returns_is_unmarked_anywhere(mirror):
    mirrored = mirror()
    mirrored.sync()
    old = mirrored.server.tasks()[100]
    mirrored.server.remove([old["_id"]])
    mirrored.reconcile()
    assert mirrored.marked() == {old["_id"]}
    mirrored.server.put([old])
    mirrored.reconcile()
    assert mirrored.marked() == set()
    assert mirrored.told["returned"] == 1
    assert mirrored.rows("select field, new_value is null from task_changes order by id") == [
        ("deletion", False),
        ("return", True),
    ]


def test_a_task_that_is_there_and_not_here_is_stored(sqlite_mirror):
    mirrored = sqlite_mirror()
    mirrored.sync()
    old = mirrored.server.tasks()[100]
    mirrored.server.put([{**old, "_id": "ti-late"}])
    assert mirrored.reconcile().exit_code == 0
    assert "ti-late" in mirrored.stored()


def test_over_a_tenth_at_once_nothing_is_marked_unless_forced(mirror):
    mirrored = mirror(tasks=200)
    mirrored.sync()
    gone = mirrored.server.change(delete=21)["deleted"]
    assert mirrored.reconcile().exit_code == 3
    assert mirrored.marked() == set()
    assert mirrored.reconcile(deep=True).exit_code == 3
    assert mirrored.marked() == set()
    assert mirrored.reconcile(force=True).exit_code == 0
    assert mirrored.marked() == set(gone)


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_deleted_tasks_beside_hidden_rows_are_marked(sqlite_mirror, field):
    mirrored = sqlite_mirror(tasks=300, window_field=field, hidden=0.03)
    assert mirrored.sync().exit_code == 0
    gone = mirrored.server.change(delete=3)["deleted"]
    assert mirrored.reconcile().exit_code == 0
    shown = {task["_id"] for task in mirrored.server.tasks()}
    assert mirrored.marked() == set(mirrored.stored()) - shown <= set(gone)
    assert mirrored.sync().exit_code == 0


def test_a_tenth_is_marked_without_force(sqlite_mirror):
    mirrored = sqlite_mirror(tasks=200)
    mirrored.sync()
    gone = mirrored.server.change(delete=20)["deleted"]
    assert mirrored.reconcile().exit_code == 0
    assert mirrored.marked() == set(gone)


LIES = {"always too high": "high", "always too low": "low", "now too high, now too low": "lying"}


@pytest.mark.every_other
@pytest.mark.parametrize("totals", variants(LIES))
@pytest.mark.parametrize("has_more", ["present", "missing", "always_true"])
def test_nothing_is_marked_wrongly_where_totals_lie(sqlite_mirror, totals, has_more):
    mirrored = sqlite_mirror(tasks=300, totals=totals, has_more=has_more)
    mirrored.sync()
    gone = set(mirrored.server.change(delete=10)["deleted"])
    is_done = mirrored.reconcile(force=True).exit_code == 0
    # A total that is too high by the same number seems to count hidden rows: then every task is read.
    assert (is_done, mirrored.marked()) in [(False, set()), (totals == "high", gone)]


def test_tasks_beyond_the_total_are_told(sqlite_mirror):
    mirrored = sqlite_mirror(tasks=300, totals="low")
    mirrored.sync()
    mirrored.server.change(delete=10)
    outcome = mirrored.reconcile(deep=True, force=True)
    total = mirrored.value("select server_total from sync_runs where server_total is not null order by id desc limit 1")
    (left,) = [event["tasks"] for event in outcome.log if event["event"] == "reconcile.left"]
    assert (outcome.exit_code, len(mirrored.marked()), left) == (3, 10, 290 - total)


@pytest.mark.every_other
@pytest.mark.parametrize("totals", variants(LIES))
@pytest.mark.parametrize("has_more", ["present", "missing", "always_true"])
def test_deep_marks_nothing_that_is_there_where_totals_lie(sqlite_mirror, totals, has_more):
    mirrored = sqlite_mirror(tasks=300, totals=totals, has_more=has_more)
    mirrored.sync()
    gone = mirrored.server.change(delete=10)["deleted"]
    mirrored.reconcile(deep=True, force=True)
    assert mirrored.marked() <= set(gone)
    mirrored.server.configure(totals="present", has_more="present")
    assert mirrored.reconcile(deep=True, force=True).exit_code == 0
    assert mirrored.marked() == set(gone)


def test_a_server_that_does_not_count_needs_deep(sqlite_mirror):
    mirrored = sqlite_mirror(totals="missing")
    mirrored.sync()
    mirrored.server.change(delete=5, insert=1)
    assert mirrored.reconcile().exit_code == 3
    assert mirrored.marked() == set()
    assert len(mirrored.stored()) == 701  # it synced


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "options", variants({"dates on updatedAt": UPDATED, "sort ignored": {"sort": "ignored", **UPDATED}})
)
def test_tasks_updated_before_they_are_read_are_not_gone(sqlite_mirror, options, deep):
    mirrored = sqlite_mirror(tasks=1500, **options)
    mirrored.sync()
    gone = mirrored.server.change(delete=20)["deleted"]
    mirrored.server.configure(churn_every=mirrored.server.request_count + 5, churn_change=110)
    assert mirrored.reconcile(deep=deep).exit_code == 0
    assert mirrored.marked() == set(gone)


@pytest.mark.parametrize("request_number", [4, 5, 6])
def test_tasks_that_move_behind_are_found_by_the_second_look(sqlite_mirror, request_number):
    mirrored = sqlite_mirror(tasks=1500, **UPDATED)
    mirrored.sync()
    gone = sorted(mirrored.server.tasks(), key=lambda task: task["updatedAt"])[700]["_id"]
    mirrored.server.remove([gone])
    mirrored.server.configure(churn_every=mirrored.server.request_count + request_number, churn_change=140)
    assert mirrored.reconcile().exit_code == 0
    assert mirrored.marked() == {gone}


CHURN = {"churn_every": 5, "churn_add": 1, "churn_change": 2, "churn_delete": 1}


@pytest.mark.every_other
@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    "options",
    variants(
        {
            "dates on createdAt": {},
            "dates on updatedAt": UPDATED,
            "dates on updatedAt, rounded to the hour": {**UPDATED, "round_to": 3600.0, "round_changes": True},
            "dates on updatedAt, changes shown late": {**UPDATED, "visible_after": 0.2},
            "sort ignored": {"sort": "ignored"},
            "sort ignored, dates on updatedAt": {"sort": "ignored", **UPDATED},
        }
    ),
)
def test_no_task_that_is_there_is_marked_while_tasks_change(sqlite_mirror, options, moment, deep):
    mirrored = sqlite_mirror(tasks=1500, churn_when=moment, **options)
    mirrored.sync()
    mirrored.server.change(delete=20)
    mirrored.server.configure(**CHURN)
    mirrored.reconcile(deep=deep)
    mirrored.server.configure(churn_every=0)
    there = {task["_id"] for task in mirrored.server.tasks()}
    assert not mirrored.marked() & there
    time.sleep(2 * options.get("visible_after", 0.0))
    there = {task["_id"] for task in mirrored.server.tasks()}
    assert mirrored.reconcile(deep=True, force=True).exit_code == 0
    assert mirrored.marked() == mirrored.stored().keys() - there


@pytest.mark.parametrize("gone", [["ti-undated-1"], ["ti-half-1"]])
def test_a_task_without_createdat_is_judged_by_deep_alone(sqlite_mirror, gone):
    mirrored = sqlite_mirror()
    mirrored.sync()
    task = mirrored.server.tasks()[0] | {"updatedAt": format_time(datetime.now(UTC))}
    del task["createdAt"]
    undated = [{**task, "_id": f"ti-undated-{number}"} for number in (1, 2)]
    half_dated = [{**task, "_id": f"ti-half-{number}", "timestampValue": 1700000000000} for number in (1, 2)]
    mirrored.server.put([*undated, *half_dated])
    mirrored.sync()
    dated = mirrored.server.tasks()[5]["_id"]
    mirrored.server.remove([dated, *gone])
    assert mirrored.reconcile().exit_code == 3
    assert mirrored.marked() == {dated}
    assert mirrored.reconcile(deep=True).exit_code == 0
    assert mirrored.marked() == {dated, *gone}


def test_an_inactive_task_is_deleted_until_it_is_active(mirror):
    mirrored = mirror(deletes="inactive", shape="full", tasks=200)
    mirrored.sync()
    (gone,) = mirrored.server.change(delete=1)["deleted"]
    mirrored.sync()
    found = "select _id from tasks where deleted_at = updated_at and gone_at is null"
    assert mirrored.rows(found) == [(gone,)]
    assert mirrored.deletions() == [gone]
    quiet = mirrored.sync().requests
    assert (mirrored.reconcile().requests, mirrored.told["marked"]) == (quiet + 1, 0)
    (task,) = [task for task in mirrored.server.tasks() if task["_id"] == gone]
    mirrored.server.put([task | {"isActive": True, "updatedAt": format_time(datetime.now(UTC))}])
    mirrored.sync()
    assert mirrored.marked() == set()
    assert mirrored.rows("select field from task_changes order by id") == [("deletion",), ("return",)]


def test_an_inactive_task_that_vanishes_is_told_once(sqlite_mirror):
    mirrored = sqlite_mirror(deletes="inactive", shape="full", tasks=200)
    mirrored.sync()
    (gone,) = mirrored.server.change(delete=1)["deleted"]
    mirrored.sync()
    (task,) = [task for task in mirrored.server.tasks() if task["_id"] == gone]
    mirrored.server.remove([gone])
    assert mirrored.reconcile().exit_code == 0
    assert mirrored.rows("select _id from tasks where gone_at > deleted_at") == [(gone,)]
    assert mirrored.reconcile().requests == 2
    mirrored.server.put([task])
    mirrored.reconcile()
    found = "select _id from tasks where deleted_at = updated_at and gone_at is null"
    assert mirrored.rows(found) == [(gone,)]
    assert mirrored.deletions() == [gone]


@pytest.mark.parametrize(
    ("here", "there", "is_sorted", "asked"),
    [
        pytest.param(60, 40, True, (60, 0), id="what fits a page is read whole"),
        pytest.param(90, 89, True, (50, 0), id="of two pages the first"),
        pytest.param(200, 198, True, (148, 49), id="of four pages three, of which the second is read"),
        pytest.param(400, 398, False, (200, 0), id="half of what differs little, where nothing is sorted"),
        pytest.param(400, 390, False, (50, 0), id="a page of what differs much, where nothing is sorted"),
    ],
)
def test_the_next_request_is_planned_by_the_counts(here, there, is_sorted, asked):
    assert plan(here, there, 50, reach=1000, is_sorted=is_sorted) == asked


def test_the_command_tells_its_counts_and_sync_reconciles_too(sandbox, environment, migrated_sqlite_url, run_cli):
    server = sandbox(tasks=300, shape="eight")
    env = environment(server, migrated_sqlite_url)
    assert run_cli("sync", env=env).returncode == 0
    server.change(delete=3)
    first = run_cli("reconcile", "--output", "json", env=env)
    (source,) = json.loads(first.stdout)["sources"]
    assert first.returncode == 0
    told = source["reconcile"]
    assert (told["compared"], told["marked"], told["returned"], told["added"]) == (300, 3, 0, 0)
    assert told["requests"] > 1
    server.change(delete=2)
    second = run_cli("sync", "--reconcile", "--output", "json", env=env)
    (source,) = json.loads(second.stdout)["sources"]
    assert source["reconcile"]["marked"] == 2
    server.change(delete=100)
    third = run_cli("reconcile", env=env)
    assert third.returncode == 3
    assert "--force" in third.stderr


UNDATED = {"null_updated": 0.2, "null_dates": "unmatched", **UPDATED}


@pytest.mark.parametrize("options", [{}, {"sort": "ignored"}, UNDATED, {"sort": "ignored", **UNDATED}])
def test_deep_marks_no_task_that_is_still_counted(sqlite_mirror, options):
    mirrored = sqlite_mirror(cap=10, **options)
    mirrored.sync()
    gone = [task["_id"] for task in mirrored.server.tasks()[100:130]]
    mirrored.server.remove(gone)
    mirrored.server.configure(hidden=0.02)
    assert mirrored.reconcile(deep=True).exit_code == 3
    assert mirrored.marked() <= set(gone)
    assert mirrored.marked()


def test_what_its_sync_marks_is_told(sandbox, migrated_sqlite_url):
    server = sandbox(tasks=60, cap=10, sort="ignored")
    mirrored = Mirror(server, migrated_sqlite_url)
    mirrored.sync()
    server.change(delete=2)
    (told,) = [e for e in mirrored.work("reconcile", reconcile).log if e["event"] == "reconcile.finished"]
    assert (told["marked"], told["returned"]) == (2, 0)
