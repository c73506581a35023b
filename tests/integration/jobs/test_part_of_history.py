"""The setting ``start``: the tasks from there on, and those without a date, are held as all of history is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from etl.jobs.reconcile import reconcile
from etl.jobs.verify import verify
from etl.times import format_time, parse_time
from tests.integration.mirror import Mirror

pytestmark = pytest.mark.slow

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
ACCOUNT = "select server_total, stored_live, quarantined, hidden, missing from sync_runs order by id desc limit 1"


class Part(Mirror):
    """A mirror of what is dated from ``start`` on."""

    def since(self, start):
        self.settings["KORE_ETL_START"] = start
        return self

    def dated(self, start, field="createdAt"):
        return [task for task in self.server.tasks() if task[field] is not None and task[field] >= start]

    def put_copy(self, task):
        """Add a task that is dated as an old one is: no sync of changes reads it."""
        self.server.put([{**task, "_id": f"{task['_id']}-copy"}])
        return f"{task['_id']}-copy"

    def reconcile(self, *, deep=False):
        return self.work("reconcile", lambda run: reconcile(run, deep=deep)).exit_code

    def account(self):
        return tuple(self.rows(ACCOUNT)[0])


@pytest.fixture
def part(sandbox, migrated_sqlite_url):
    return lambda **options: Part(
        sandbox(**{"tasks": 300, "days": 100.0, "shape": "eight", "cap": 10, **options}), migrated_sqlite_url
    )


def days_ago(days):
    return format_time(NOW - days * DAY)


@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@pytest.mark.parametrize(("granularity", "start"), [("day", "00:00:00"), ("day", "13:37:21"), ("hour", "13:37:21")])
def test_it_begins_where_dates_can_tell(part, granularity, start, ends):
    """How dates are cut is set here: whether a probe can tell it depends on the time of the day and the tasks."""
    mirrored = part(granularity=granularity, ends=ends, days=20.0)
    known = {
        "window_field": "createdAt",
        "granularity": granularity[0],
        "ends_inclusive": str(ends == "inclusive").lower(),
    }
    mirrored.settings |= {f"KORE_ETL_{name.upper()}": value for name, value in known.items()}
    mirrored.sync()
    start = f"{NOW - 10 * DAY:%Y-%m-%d}T{start}Z"
    mirrored.since(start)
    mirrored.sync()
    copy = mirrored.put_copy(mirrored.dated(days_ago(5))[3])
    assert (mirrored.sync().exit_code, copy in mirrored.stored()) == (0, True)
    assert {task["_id"] for task in mirrored.dated(start)} <= mirrored.stored().keys()
    assert [mirrored.reconcile(), mirrored.reconcile(deep=True)] == [0, 0]
    total, stored, *_ = mirrored.account()
    assert total == stored >= len(mirrored.dated(start))


def test_a_rejected_record_from_before_it_does_not_count(part):
    mirrored = part().since(days_ago(90))
    mirrored.server.put([{**mirrored.dated(days_ago(80))[0], "_id": "ti-odd", "updatedAt": "garbage"}])
    mirrored.sync()
    assert mirrored.account()[2] == 1
    mirrored.since(days_ago(30)).sync()
    assert mirrored.account()[2] == 0
    copy = mirrored.put_copy(mirrored.dated(days_ago(25))[3])
    mirrored.sync()
    assert copy in mirrored.stored()


def test_a_deleted_task_that_returns_to_it_makes_no_alarm(part):
    mirrored = part(tasks=800).since(days_ago(90))
    mirrored.sync()
    gone = mirrored.dated(days_ago(50))[20:40:10]
    mirrored.server.remove([task["_id"] for task in gone])
    assert mirrored.sync().exit_code == 0
    mirrored.server.put(gone[:1])
    assert mirrored.sync().exit_code == 0
    assert mirrored.sync().requests == 2
    count = len(mirrored.dated(days_ago(90)))
    assert mirrored.account() == (count, count + 1, 0, 0, 0)


@pytest.mark.parametrize("nulls", ["unmatched", "now"])
def test_what_it_hides_is_learned_beside_undated_tasks(part, nulls):
    mirrored = part(hidden=0.03, null_dates=nulls, null_created=0.05).since(days_ago(60))
    assert [mirrored.sync().exit_code for _ in range(2)] == [0, 0]
    assert mirrored.account()[3] > 0


def test_verification_leaves_alone_what_is_before_it(part):
    mirrored = part()
    mirrored.sync()
    early, late = mirrored.dated(days_ago(80)), mirrored.dated(days_ago(25))
    mirrored.since(days_ago(30)).sync()
    mirrored.server.remove([task["_id"] for task in [*early[:2], *late[:2]]])
    assert mirrored.sync().exit_code == 0
    period = {"since": parse_time(days_ago(90)), "until": parse_time(days_ago(35))}
    assert mirrored.work("verify", lambda run: verify(run, **period)).exit_code == 0
    copies = {mirrored.put_copy(task) for task in late[10:12]}
    assert mirrored.sync().exit_code == 0
    assert copies <= mirrored.stored().keys()
    assert mirrored.value("select count(*) from tasks where gone_at is not null") == 0


def test_a_verification_that_began_before_it_goes_on_in_it(part):
    mirrored = part()
    mirrored.sync()
    mirrored.work("verify", partial(verify, requests=6))
    assert mirrored.value("select verify_position from sources") is not None
    early, late = mirrored.dated(days_ago(40)), mirrored.dated(days_ago(25))
    mirrored.since(days_ago(30)).sync()
    gone = {task["_id"] for task in late[:2]}
    mirrored.server.remove([*gone, *(task["_id"] for task in early[:2])])
    mirrored.sync()
    mirrored.work("verify", verify)
    assert {key for (key,) in mirrored.rows("select _id from tasks where gone_at is not null")} == gone
    copies = {mirrored.put_copy(task) for task in late[10:12]}
    assert mirrored.sync().exit_code == 0
    assert copies <= mirrored.stored().keys()


def test_a_quiet_sync_counts_what_is_before_it_once(part):
    mirrored = part().since(days_ago(60))
    mirrored.sync()
    assert [mirrored.sync().requests for _ in range(2)] == [2, 2]
