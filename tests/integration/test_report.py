"""What a report counts, on real databases: against the views, worked out by hand, and with names that are no markup."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, insert, text

from etl.jobs.report.gather import gather
from etl.load.database.engine import reading
from etl.load.schema.detail_tables import agents, queues
from etl.load.schema.tables import priorities, statuses, task_changes, tasks
from etl.load.upsert import derived
from etl.report import notes, summary
from etl.report.facts import Facts
from etl.report.page import write_page
from tests.integration.conftest import Database

CATEGORIES = {"Open": "open", "Doing": "inProgress", "Waiting": "pending", "Solved": "resolved", "Shut": "closed"}
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
RUNTIME = "// what draws"
EVIL = "</script><script>alert(1)</script><!--"


def ago(days: float) -> datetime:
    moment = TODAY - timedelta(days=days)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


@pytest.fixture
def desk(database: Database) -> Database:
    """A database with statuses, two priorities and two queues, each its own id; no task yet."""
    with database.engine.begin() as connection:
        named = [{"_id": name, "source_id": 1, "name": name, "raw": "{}"} for name in CATEGORIES]
        connection.execute(insert(statuses), [row | {"category": CATEGORIES[str(row["_id"])]} for row in named])
        colors = {"High": "#ffff00", "Low": None}
        rows = [
            {"_id": name, "source_id": 1, "name": name, "color": color, "raw": "{}"} for name, color in colors.items()
        ]
        connection.execute(insert(priorities), rows)
        for table in (queues, agents):
            connection.execute(
                insert(table), [{"_id": name, "source_id": 1, "name": name} for name in ("north", "south")]
            )
    return database


def add(database: Database, key: str, status: str | None, created: datetime, **columns: Any) -> None:
    row = {"_id": key, "source_id": 1, "stream_id": "s-1", "status_id": status, "created_at": created, "raw": "{}"}
    row |= {"ref_id": key, "name": key, "updated_at": created, "first_seen_at": created, "stored_at": created}
    row |= {"run_id": database.run_id, **columns}
    with database.engine.begin() as connection:
        connection.execute(insert(tasks).values(**row))


def change(database: Database, key: str, old: str, new: str, at: datetime) -> None:
    row = {"task_id": key, "source_id": 1, "field": "status", "old_id": old, "new_id": new}
    row |= {"old_value": old, "new_value": new}
    with database.engine.begin() as connection:
        connection.execute(insert(task_changes).values(**row, changed_at=at, seen_at=at, run_id=database.run_id))


def facts(database: Database, days: int = 30, zone: str = "UTC", now: datetime | None = None) -> Facts:
    moment = now or datetime.now(UTC)
    return gather(database.engine, now=moment, period=timedelta(days=days), zone=ZoneInfo(zone))


def live(database: Database, key: str, dice: Random) -> None:
    """A task with a random life: seen from the start or late, resolved, reopened or deleted, or none of that."""
    at = created = ago(dice.uniform(1, 60))
    path = [dice.choice(list(CATEGORIES))]
    late = dice.random() < 0.3
    if late:
        at = created + (TODAY - created) * dice.uniform(0.1, 0.9)
    seen = at
    steps = []
    for _ in range(dice.randrange(4)):
        at += (TODAY - at) * dice.uniform(0.1, 0.9)
        new = dice.choice([name for name in CATEGORIES if name != path[-1]])
        steps.append((path[-1], new, at))
        path.append(new)
    gone = {"deleted_at": at + (TODAY - at) * dice.random()} if dice.random() < 0.2 else {}
    dimensions = {"queue_id": dice.choice(["north", "south", None]), "priority_id": dice.choice(["High", "Low", None])}
    add(database, key, path[-1], created, first_seen_at=seen, updated_at=at, **gone, **dimensions)
    for old, new, moment in steps:
        change(database, key, old, new, moment)


# --- the flow of tasks ---


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_day_is_counted_as_the_view_counts_it(desk: Database, seed: int) -> None:
    dice = Random(seed)
    for number in range(40):
        live(desk, f"t-{number}", dice)
    with desk.engine.begin() as connection:
        derived.rebuild(connection, desk.source_id)
    rows = summary.rows(facts(desk))
    counted = {
        datetime.fromtimestamp(backlog["day"] / 1000, UTC).date().isoformat(): (
            *(backlog["total"], flow["created"], flow["resolved"]),
        )
        for backlog, flow in zip(rows["backlog"], rows["flow"], strict=True)
    }
    query = "select day, backlog, created, resolved from daily_flow"
    with reading(desk.engine) as connection:
        viewed = {str(row[0]): tuple(row)[1:] for row in connection.execute(text(query))}
    assert {day: numbers for day, numbers in viewed.items() if day in counted} == counted


def test_the_last_two_weeks_are_compared_by_the_hour(desk: Database) -> None:
    now = datetime.now(UTC)
    for key, days in (("t-1", 6.99), ("t-2", 7.01), ("t-3", 13.99), ("t-4", 14.01)):
        add(desk, key, "Open", now - timedelta(days=days))
    head = summary.headline(facts(desk, now=now))
    assert (head.created, head.created_before, head.grown, head.open) == (1, 2, 1, 4)


def test_a_resolution_counts_from_the_creation(desk: Database) -> None:
    add(desk, "t-1", "Solved", ago(10), updated_at=ago(8))
    change(desk, "t-1", "Open", "Solved", ago(8))
    found = facts(desk)
    assert sum(shown for shown, _ in found.resolutions.values()) == 1
    assert summary.headline(found).median == pytest.approx(2 * 86_400, rel=0.2)


def test_a_stay_lasts_from_one_change_to_the_next(desk: Database) -> None:
    add(desk, "t-1", "Doing", ago(10), updated_at=ago(2))
    change(desk, "t-1", "Open", "Waiting", ago(9))
    change(desk, "t-1", "Waiting", "Doing", ago(2))
    stays = {row["status"]: row for row in summary.rows(facts(desk))["stays"]}
    assert stays["Open"]["median"] == pytest.approx(1, rel=0.2)
    assert stays["Waiting"]["median"] == pytest.approx(7, rel=0.2)
    assert stays.keys() == {"Open", "Waiting"}


def test_lengths_are_told_apart_to_the_millisecond(desk: Database) -> None:
    for number, seconds in enumerate((59.999, 60, 80.999, 81)):
        begun = ago(10) + timedelta(hours=number, milliseconds=number)
        add(desk, f"t-{number}", "Solved", begun, updated_at=ago(8))
        change(desk, f"t-{number}", "Open", "Solved", begun + timedelta(seconds=seconds))
    found = facts(desk)
    lengths = {length: numbers for (_, _, length), numbers in found.stays.items()}
    assert lengths == {0: [1], 1: [2], 2: [1]}
    assert {length: numbers[0] for (_, length), numbers in found.resolutions.items()} == {0: 1, 1: 2, 2: 1}


def test_what_makes_the_open_ones_more_or_fewer_adds_up(desk: Database) -> None:
    now = datetime.now(UTC)
    for number in range(5):
        add(desk, f"old-{number}", "Open", now - timedelta(days=20))
    add(desk, "new", "Open", now - timedelta(days=1))
    add(desk, "again", "Doing", now - timedelta(days=20), updated_at=now - timedelta(days=2))
    change(desk, "again", "Open", "Solved", now - timedelta(days=10))
    change(desk, "again", "Solved", "Doing", now - timedelta(days=2))
    for number in range(3):
        add(desk, f"gone-{number}", "Open", now - timedelta(days=20), deleted_at=now - timedelta(days=3))
    add(desk, "gone-when-done", "Shut", now - timedelta(days=20), deleted_at=now - timedelta(days=3))
    found = facts(desk, now=now)
    head = summary.headline(found)
    assert (head.open, head.created, head.resolved, head.reopened, head.deleted, head.grown) == (7, 1, 0, 1, 3, -1)
    assert notes.tiles(found, head)[0].note == "1 fewer than a week ago; 1 reopened, 3 deleted"
    assert sum(row["reopened"] for row in summary.rows(found)["flow"]) == 1


def test_a_short_period_shows_nothing_from_before_it(desk: Database) -> None:
    for key, days in (("t-1", 1), ("t-2", 6), ("t-3", 12)):
        add(desk, key, "Solved", ago(days), updated_at=ago(days - 0.5))
        change(desk, key, "Open", "Solved", ago(days - 0.5))
    found = facts(desk, days=3)
    rows, head = summary.rows(found), summary.headline(found)
    assert sum(row["created"] for row in rows["flow"]) == 1
    assert sum(sum(numbers) for numbers in found.arrivals.values()) == 1
    assert [row["stays"] for row in rows["stays"]] == [1]
    assert sum(shown for shown, _ in found.resolutions.values()) == 1
    assert (head.created, head.created_before) == (2, 1)
    assert head.median is not None
    assert head.median_week is not None


def test_statuses_of_the_same_name_are_one(desk: Database) -> None:
    with desk.engine.begin() as connection:
        other = {"_id": "Open-2", "source_id": 1, "name": "Open", "category": "open", "raw": "{}"}
        connection.execute(insert(statuses).values(**other))
    for number, status in enumerate(("Open", "Open-2")):
        add(desk, f"t-{number}", "Doing", ago(10), updated_at=ago(8))
        change(desk, f"t-{number}", status, "Doing", ago(8))
    assert [(row["status"], row["stays"]) for row in summary.rows(facts(desk))["stays"]] == [("Open", 2)]


# --- what is open ---


def test_open_tasks_are_counted_by_age_priority_queue_and_agent(desk: Database) -> None:
    now = datetime.now(UTC)
    add(desk, "t-1", "Open", now - timedelta(days=2), priority_id="High", queue_id="north", assignee_id="south")
    add(desk, "t-2", "Doing", now - timedelta(days=100), priority_id="Low", queue_id="north", due_at=now - timedelta(1))
    add(desk, "t-3", "Shut", now - timedelta(days=2), priority_id="High", queue_id="north")
    add(desk, "t-4", "Open", now - timedelta(days=2), deleted_at=now)
    found = facts(desk, now=now)
    rows = summary.rows(found)
    names = [each.name for each in found.priorities]
    high, low = (f"p{names.index(name)}" for name in ("High", "Low"))
    assert [(row["band"], row[high], row[low]) for row in rows["ages"] if row[high] or row[low]] == [
        ("1–3 days", 1, 0),
        ("over 90 days", 0, 1),
    ]
    assert rows["queues"] == [{"name": "north", "on_time": 1, "overdue": 1, "of": 1}]
    assert {row["name"]: row["overdue"] for row in rows["agents"]} == {"south": 0, "Nobody": 1}
    assert [line.ref for line in found.overdue] == ["t-2"]
    assert [line.ref for line in found.oldest] == ["t-2", "t-1"]


def test_every_choice_of_queue_and_priority_has_its_ten_oldest(desk: Database) -> None:
    for number in range(30):
        add(desk, f"t-{number:02}", "Open", ago(30 - number / 10), priority_id="High", queue_id="north")
    add(desk, "t-young", "Open", ago(1), priority_id="Low", queue_id="south")
    lines = facts(desk).oldest
    assert Counter(line.cell for line in lines).most_common() == [(lines[0].cell, 10), (lines[-1].cell, 1)]


def test_of_very_many_queues_the_smallest_are_one(desk: Database) -> None:
    many = [{"_id": f"q-{number}", "source_id": 1, "name": f"q-{number}"} for number in range(60)]
    with desk.engine.begin() as connection:
        connection.execute(insert(queues), many)
    for number in range(60):
        add(desk, f"t-{number}", "Open", ago(1), queue_id=f"q-{number}")
        add(desk, f"u-{number}", "Open", ago(1), queue_id=f"q-{number % 5}")
    found = facts(desk)
    assert len({queue for _, queue, _ in found.cells}) == 41
    assert summary.headline(found).open == 120
    assert "Other queues" in found.queues


# --- what it reads ---


def statements(database: Database) -> list[tuple[str, Any]]:
    """What a report asks the database, with the values."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    facts(database)
    event.remove(database.engine, "before_cursor_execute", note)
    return asked


def plan(database: Database) -> list[str]:
    """How SQLite goes about all of that."""
    asked = [each for each in statements(database) if each[0].startswith(("SELECT", "WITH"))]
    with reading(database.engine) as connection:
        return [
            row[3]
            for statement, parameters in asked
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]


def test_tasks_are_read_in_five_statements_however_many(desk: Database) -> None:
    add(desk, "t-1", "Open", ago(1))
    for number in range(20):
        add(desk, f"u-{number}", "Doing", ago(number), queue_id="north", due_at=ago(number / 2))
        change(desk, f"u-{number}", "Open", "Doing", ago(number / 3))
    asked = [statement for statement, _ in statements(desk) if re.search(r"\btasks\b", statement)]
    assert len(asked) == 5, asked


def test_each_reading_of_all_tasks_uses_a_covering_index(sqlite_database: Database) -> None:
    lines = plan(sqlite_database)
    readings = [line for line in lines if re.match("SCAN (tasks|task_changes|before)", line)]
    assert len(readings) == 4, readings
    searches = [line for line in lines if re.match("SEARCH (task_changes|before)", line)]
    assert len(searches) == 2, searches
    assert all("USING COVERING INDEX" in line for line in readings + searches), readings + searches
    # Whole rows are read of those alone that are listed.
    rows = [line for line in lines if line.startswith("SEARCH tasks") and "COVERING" not in line]
    assert rows == ["SEARCH tasks USING INDEX sqlite_autoindex_tasks_1 (_id=? AND source_id=?)"]


def test_open_tasks_are_counted_by_an_index_without_sorting(sqlite_database: Database) -> None:
    lines = plan(sqlite_database)
    place = lines.index("SCAN tasks USING COVERING INDEX ix_tasks_state")
    assert lines[place - 1] == "MATERIALIZE alike"
    assert not [line for line in lines[place : lines.index("SCAN alike")] if "TEMP B-TREE" in line]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_oldest_are_listed_for_any_spread_over_agents(desk: Database, seed: int) -> None:
    dice, now = Random(seed), datetime.now(UTC)
    for number in range(150):
        queue, agent = dice.choice(["north", "south"]), dice.choice(["north", "south", None])
        status = dice.choice(["Open", "Doing", "Waiting", "Shut"])
        due = {"due_at": ago(dice.uniform(-20, 40))} if dice.random() < 0.7 else {}
        gone = {"deleted_at": now} if dice.random() < 0.1 else {}
        add(desk, f"t-{number:03}", status, ago(dice.uniform(0, 300)), queue_id=queue, assignee_id=agent, **due, **gone)
    found = facts(desk, now=now)
    query = """select ref_id from tasks where deleted_at is null and status_id <> 'Shut' and queue_id = '{queue}'
        and {by} < '{now}' order by {by}, _id limit 10"""
    for by, lines in (("created_at", found.oldest), ("due_at", found.overdue)):
        for queue in ("north", "south"):
            listed = [line.ref for line in lines if found.queues[found.cells[line.cell][1]] == queue]
            with reading(desk.engine) as connection:
                wanted = connection.execute(text(query.format(queue=queue, by=by, now=f"{now:%Y-%m-%d %H:%M:%S}")))
                assert listed == list(wanted.scalars())
                assert len(listed) == 10


# --- the clock ---


def test_days_and_hours_follow_the_time_zones_clock_changes(desk: Database) -> None:
    now = datetime(2025, 4, 15, tzinfo=UTC)
    add(desk, "winter", "Open", datetime(2025, 3, 29, 23, 30, tzinfo=UTC))  # Sunday, 0:30
    add(desk, "summer", "Open", datetime(2025, 3, 30, 22, 30, tzinfo=UTC))  # Monday, 0:30
    found = facts(desk, zone="Europe/Berlin", now=now)
    assert sorted(hour for _, hour in found.arrivals) == [0, 6 * 24]
    days = {found.steps[step]: numbers[0] for (_, step), numbers in found.flow.items()}
    assert days == {"2025-03-30": 1, "2025-03-31": 1}


def test_a_zone_of_half_an_hour_is_kept(desk: Database) -> None:
    now = datetime(2025, 4, 15, tzinfo=UTC)
    add(desk, "t-1", "Open", datetime(2025, 4, 10, 18, 40, tzinfo=UTC))  # Friday, 0:10
    assert [hour for _, hour in facts(desk, zone="Asia/Kolkata", now=now).arrivals] == [4 * 24]


def test_a_long_period_is_shown_by_weeks_that_end_today(desk: Database) -> None:
    add(desk, "t-1", "Open", ago(300))
    found = facts(desk, days=365)
    assert found.unit == "week"
    assert len(found.steps) == 53
    assert summary.rows(found)["backlog"][-1]["total"] == 1


# --- the page ---


def test_the_page_of_no_tasks_says_so(desk: Database) -> None:
    page = write_page(facts(desk), "Support tasks", RUNTIME)
    assert page.count('<p class="nothing">') == 9
    assert "No task is open." in page


def test_a_database_without_status_or_queue_makes_a_report(database: Database) -> None:
    add(database, "t-1", None, ago(1))
    found = facts(database)
    assert summary.headline(found).open == 1
    assert [line.ref for line in found.oldest] == ["t-1"]


def test_the_page_of_one_task_shows_it(desk: Database) -> None:
    add(desk, "TS000001", "Open", ago(1), name="A single one")
    page = write_page(facts(desk), "Support tasks", RUNTIME)
    assert "A single one" in page
    assert "From 0 to 1 task" in page


def test_names_stay_text(desk: Database) -> None:
    with desk.engine.begin() as connection:
        connection.execute(insert(queues).values(_id="evil", source_id=1, name=EVIL))
        connection.execute(insert(agents).values(_id="evil", source_id=1, name=EVIL))
        connection.execute(insert(statuses).values(_id="evil", source_id=1, name=EVIL, category=EVIL, raw="{}"))
        evil = {"_id": "evil", "source_id": 1, "name": EVIL, "color": f"red;{EVIL}", "raw": "{}"}
        connection.execute(insert(priorities).values(**evil))
    evil = {"assignee_id": "evil", "priority_id": "evil", "queue_id": "evil"}
    add(desk, EVIL, "evil", ago(2), name=EVIL, assignee=EVIL, due_at=ago(1), **evil)
    page = write_page(facts(desk), EVIL, RUNTIME)
    assert "<script>alert" not in page
    assert len(re.findall(r"</script>", page)) == 3
