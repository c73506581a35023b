"""What a report counts, on real databases: against the views, worked out by hand, and with names that are no markup."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert, select, text

from etl.jobs.diagnostics.status import source_statuses
from etl.load.database.engine import reading, storing
from etl.load.schema.dimension_tables import agents, priorities, queues, statuses
from etl.load.schema.ledger_tables import sources
from etl.load.schema.task_tables import task_changes, tasks
from etl.load.upsert import refresh_derived
from etl.load.upsert.replace_rows import use_time_zone
from etl.report.period import Period, period_until
from etl.report.query_numbers import BOUNDS, Figures, figures, zones
from etl.report.render_html import page
from etl.times import utc_offsets
from tests.integration.conftest import Database

CATEGORIES = {"Open": "open", "Doing": "inProgress", "Waiting": "pending", "Solved": "resolved", "Shut": "closed"}
TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
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
    row |= {"first_updated_at": row["updated_at"]}
    with database.engine.begin() as connection:
        connection.execute(insert(tasks).values(**row))


def change(database: Database, key: str, old: str, new: str, at: datetime, source_id: int = 1) -> None:
    row = {"task_id": key, "source_id": source_id, "field": "status", "old_id": old, "new_id": new}
    row |= {"old_value": old, "new_value": new}
    with database.engine.begin() as connection:
        connection.execute(insert(task_changes).values(**row, changed_at=at, seen_at=at, run_id=database.run_id))


def period(days: int = 30, zone: str = "UTC", now: datetime | None = None) -> Period:
    return period_until(now or datetime.now(UTC), timedelta(days=days), [ZoneInfo("UTC")], ZoneInfo(zone))


def shown(database: Database, days: int = 30, zone: str = "UTC", now: datetime | None = None) -> Figures:
    """What a report shows, once the derived tables say what the changes say."""
    with storing(database.engine) as connection:
        refresh_derived.rebuild(connection, database.source_id)
    return figures(database.engine, period(days, zone, now))


def written(database: Database, title: str = "Support tasks", **options: Any) -> str:
    now = datetime.now(UTC)
    found = shown(database, now=now)
    return page(found, source_statuses(database.engine, now=now), period(now=now), title=title, **options)


def backlog(found: Figures) -> dict[str, int]:
    """How many were open at the end of each step, backwards from now."""
    now, counted = sum(row[3] for row in found["open"]), {}
    for step in range(len(found["steps"]) - 1, -1, -1):
        counted[found["steps"][step]] = now
        now -= sum(number for _, place, _, number in found["moves"] if place == step)
    return dict(reversed(counted.items()))


def flow(found: Figures) -> dict[str, tuple[int, ...]]:
    """Created, resolved, reopened and deleted of each step that has some."""
    counted: dict[str, tuple[int, ...]] = {}
    for _, step, _, *numbers in found["flow"]:
        if step >= 0:
            before = counted.get(found["steps"][step], (0, 0, 0, 0))
            counted[found["steps"][step]] = tuple(map(sum, zip(before, numbers, strict=True)))
    return counted


def week(found: Figures, which: int) -> tuple[int, ...]:
    """Created, resolved, reopened and deleted in the last seven days, or in the seven before."""
    rows = [row[3:] for row in found["flow"] if row[2] == which]
    return tuple(map(sum, zip(*rows, strict=True))) or (0, 0, 0, 0)


def seconds(place: int) -> float:
    """The middle of a bin of lengths."""
    return 30 if place == 0 else BOUNDS[place - 1] * 1.1


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
    # Changes that the clocks put after the deletion, and before the creation.
    add(desk, "after", "Solved", ago(10), updated_at=ago(3), deleted_at=ago(5))
    change(desk, "after", "Open", "Solved", ago(3))
    add(desk, "before", "Solved", ago(10))
    change(desk, "before", "Open", "Solved", ago(12))
    add(desk, "created anew", "Solved", ago(10))
    change(desk, "created anew", "Open", "Solved", ago(40))
    found = shown(desk)
    flows, opened = flow(found), backlog(found)
    counted = {day: (opened[day], *flows.get(day, (0, 0, 0, 0))) for day in found["steps"]}
    query = "select day, backlog, created, resolved, reopened, deleted from daily_flow"
    with reading(desk.engine) as connection:
        viewed = {str(row[0]): tuple(row)[1:] for row in connection.execute(text(query))}
    assert {day: numbers for day, numbers in viewed.items() if day in counted} == counted


@pytest.mark.parametrize("seed", [4, 5])
def test_each_category_of_a_day_is_that_of_the_intervals(desk: Database, seed: int) -> None:
    dice = Random(seed)
    for number in range(40):
        live(desk, f"t-{number}", dice)
    found = shown(desk)
    now: Counter[str] = Counter()
    for _, category, _, number, _ in found["open"]:
        now[found["categories"][category]] += number
    for _, step, category, number in found["moves"]:
        if step > 15:
            now[found["categories"][category]] -= number
    end = datetime.fromisoformat(found["steps"][16]).replace(tzinfo=UTC)
    query = """select status_category, count(*) from task_status_intervals where started_at < :at
        and (ended_at is null or ended_at >= :at) and status_category not in ('resolved', 'closed') group by 1"""
    at = end if desk.engine.dialect.name == "postgresql" else f"{end:%Y-%m-%d %H:%M:%S}.000"
    with reading(desk.engine) as connection:
        viewed = {row[0]: row[1] for row in connection.execute(text(query), {"at": at})}
    assert {name: number for name, number in now.items() if number and name != "not recorded"} == viewed


def test_the_last_two_weeks_are_compared_by_the_hour(desk: Database) -> None:
    now = datetime.now(UTC)
    for key, days in (("t-1", 6.99), ("t-2", 7.01), ("t-3", 13.99), ("t-4", 14.01)):
        add(desk, key, "Open", now - timedelta(days=days))
    found = shown(desk, now=now)
    assert (week(found, 1)[0], week(found, 2)[0]) == (1, 2)


def test_lengths_are_those_of_the_cycle_times(desk: Database) -> None:
    add(desk, "t-1", "Solved", ago(10), updated_at=ago(8))
    change(desk, "t-1", "Open", "Doing", ago(9))
    change(desk, "t-1", "Doing", "Solved", ago(8))
    found = shown(desk)
    lengths = {kind: seconds(place) for _, kind, place, _, _ in found["durations"]}
    query = "select resolved_seconds, first_response_seconds from task_cycle_times"
    with reading(desk.engine) as connection:
        [(resolved, response)] = connection.execute(text(query))
    assert lengths == {0: pytest.approx(resolved, rel=0.11), 1: pytest.approx(response, rel=0.11)}


def test_a_stay_lasts_from_one_change_to_the_next(desk: Database) -> None:
    add(desk, "t-1", "Doing", ago(10), updated_at=ago(2))
    change(desk, "t-1", "Open", "Waiting", ago(9))
    change(desk, "t-1", "Waiting", "Doing", ago(2))
    found = shown(desk)
    stays = {found["statuses"][status]: seconds(place) / 86_400 for _, status, place, _ in found["stays"]}
    assert stays == {"Open": pytest.approx(1, rel=0.11), "Waiting": pytest.approx(7, rel=0.11)}


def test_a_stay_that_a_deletion_ended_does_not_count(desk: Database) -> None:
    add(desk, "t-1", "Doing", ago(10), updated_at=ago(9), deleted_at=ago(1))
    change(desk, "t-1", "Open", "Doing", ago(9))
    found = shown(desk)
    assert [found["statuses"][status] for _, status, _, _ in found["stays"]] == ["Open"]


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
    found = shown(desk, now=now)
    assert week(found, 1) == (1, 0, 1, 3)
    assert sum(row[3] for row in found["open"]) == 7


def test_a_short_period_shows_nothing_from_before_it(desk: Database) -> None:
    for key, days in (("t-1", 1), ("t-2", 6), ("t-3", 12)):
        add(desk, key, "Solved", ago(days), updated_at=ago(days - 0.5))
        change(desk, key, "Open", "Solved", ago(days - 0.5))
    found = shown(desk, days=3)
    assert sum(numbers[0] for numbers in flow(found).values()) == 1
    assert sum(row[-1] for row in found["arrivals"]) == 1
    assert sum(row[-1] for row in found["stays"]) == 1
    resolutions = [row for row in found["durations"] if row[1] == 0]
    assert (sum(row[3] for row in resolutions), sum(row[4] for row in resolutions)) == (1, 2)
    assert (week(found, 1)[0], week(found, 2)[0]) == (2, 1)


def test_statuses_of_the_same_name_are_one(desk: Database) -> None:
    with desk.engine.begin() as connection:
        other = {"_id": "Open-2", "source_id": 1, "name": "Open", "category": "open", "raw": "{}"}
        connection.execute(insert(statuses).values(**other))
    for number, status in enumerate(("Open", "Open-2")):
        add(desk, f"t-{number}", "Doing", ago(10), updated_at=ago(8))
        change(desk, f"t-{number}", status, "Doing", ago(8))
    found = shown(desk)
    assert [(found["statuses"][row[1]], row[3]) for row in found["stays"]] == [("Open", 2)]


# --- what is open ---


def test_open_tasks_are_counted_by_age_priority_queue_and_agent(desk: Database) -> None:
    now = datetime.now(UTC)
    add(desk, "t-1", "Open", now - timedelta(days=2), priority_id="High", queue_id="north", assignee_id="south")
    add(desk, "t-2", "Doing", now - timedelta(days=100), priority_id="Low", queue_id="north", due_at=now - timedelta(1))
    add(desk, "t-3", "Shut", now - timedelta(days=2), priority_id="High", queue_id="north")
    add(desk, "t-4", "Open", now - timedelta(days=2), deleted_at=now)
    found = shown(desk, now=now)
    cells = [(found["queues"][queue], found["priorities"][priority]) for _, queue, priority in found["cells"]]
    assert {(*cells[row[0]], row[2], row[3], row[4]) for row in found["open"]} == {
        ("north", "High", 1, 1, 0),
        ("north", "Low", 5, 1, 1),
    }
    assert {found["agentNames"][row[1]]: row[3] for row in found["agents"]} == {"south": 0, "Nobody": 1}
    assert [line[2] for line in found["waiting"]] == ["t-2", "t-1"]


def test_breached_is_counted_of_tasks_that_tell_it(desk: Database) -> None:
    for key, is_breached in (("t-1", True), ("t-2", False), ("t-3", None)):
        add(desk, key, "Open", ago(1), is_breached=is_breached)
    add(desk, "t-4", "Shut", ago(1), is_breached=True)
    assert [row[4:] for row in shown(desk)["agents"]] == [[1, 2]]


def test_equal_ids_of_two_sources_stay_apart(desk: Database) -> None:
    with desk.engine.begin() as connection:
        row = dict(connection.execute(select(sources)).mappings().one())
        row |= {"id": 2, "name": "second", "stream_id": "s-2"}
        connection.execute(insert(sources).values(**row))
        shut = {"_id": "Open", "source_id": 2, "name": "Open here, resolved there", "category": "resolved", "raw": "{}"}
        connection.execute(insert(statuses).values(**shut))
        connection.execute(insert(queues).values(_id="north", source_id=2, name="Norden"))
    add(desk, "t-1", "Open", ago(2), queue_id="north")
    add(desk, "t-1", "Open", ago(2), queue_id="north", source_id=2, stream_id="s-2")
    add(desk, "t-2", None, ago(2), queue_id="north", source_id=2, stream_id="s-2")
    found = shown(desk)
    opened = {(*found["cells"][row[0]][:2], row[3]) for row in found["open"]}
    names = {(found["streams"][stream], found["queues"][queue], number) for stream, queue, number in opened}
    assert names == {(found["streams"][0], "north", 1), ("second", "Norden", 1)}
    assert sum(number for *_, number in opened) == backlog(found)[found["steps"][-1]] == 2


def test_every_choice_of_queue_and_priority_has_its_ten_oldest(desk: Database) -> None:
    for number in range(30):
        add(desk, f"t-{number:02}", "Open", ago(30 - number / 10), priority_id="High", queue_id="north")
    add(desk, "t-young", "Open", ago(1), priority_id="Low", queue_id="south")
    lines = shown(desk)["waiting"]
    assert Counter(line[0] for line in lines).most_common() == [(lines[0][0], 10), (lines[-1][0], 1)]


def test_of_very_many_queues_the_smallest_are_one(desk: Database) -> None:
    many = [{"_id": f"q-{number}", "source_id": 1, "name": f"q-{number}"} for number in range(60)]
    with desk.engine.begin() as connection:
        connection.execute(insert(queues), many)
    for number in range(60):
        add(desk, f"t-{number}", "Open", ago(1), queue_id=f"q-{number}")
        add(desk, f"u-{number}", "Open", ago(1), queue_id=f"q-{number % 5}")
    found = shown(desk)
    assert len({queue for _, queue, _ in found["cells"]}) == 41
    assert sum(row[3] for row in found["open"]) == 120
    assert "Other queues" in found["queues"]


@pytest.mark.parametrize("seed", [1, 2])
def test_the_oldest_are_listed_for_any_spread_over_agents(desk: Database, seed: int) -> None:
    dice, now = Random(seed), datetime.now(UTC)
    for number in range(150):
        queue, agent = dice.choice(["north", "south"]), dice.choice(["north", "south", None])
        status = dice.choice(["Open", "Doing", "Waiting", "Shut"])
        due = {"due_at": ago(dice.uniform(-20, 40))} if dice.random() < 0.7 else {}
        gone = {"deleted_at": now} if dice.random() < 0.1 else {}
        add(desk, f"t-{number:03}", status, ago(dice.uniform(0, 300)), queue_id=queue, assignee_id=agent, **due, **gone)
    found = shown(desk, now=now)
    query = """select ref_id from tasks where deleted_at is null and status_id <> 'Shut' and queue_id = '{queue}'
        and {by} < '{now}' order by {by}, _id limit 10"""
    for queue in ("north", "south"):
        listed = [line[2] for line in found["waiting"] if found["queues"][found["cells"][line[0]][1]] == queue]
        with reading(desk.engine) as connection:
            oldest, overdue = (
                connection.execute(text(query.format(queue=queue, by=by, now=f"{now:%Y-%m-%d %H:%M:%S}"))).scalars()
                for by in ("created_at", "due_at")
            )
            wanted = {*oldest, *overdue}
        assert set(listed) == wanted


# --- the clock ---


def test_days_and_hours_follow_the_time_zones_clock_changes(desk: Database) -> None:
    now = datetime(2025, 4, 15, tzinfo=UTC)
    add(desk, "winter", "Open", datetime(2025, 3, 29, 23, 30, tzinfo=UTC))  # Sunday, 0:30
    add(desk, "summer", "Open", datetime(2025, 3, 30, 22, 30, tzinfo=UTC))  # Monday, 0:30
    found = shown(desk, zone="Europe/Berlin", now=now)
    assert sorted(hour for _, hour, _ in found["arrivals"]) == [0, 6 * 24]
    assert {day: numbers[0] for day, numbers in flow(found).items()} == {"2025-03-30": 1, "2025-03-31": 1}


def test_a_zone_of_half_an_hour_is_kept(desk: Database) -> None:
    now = datetime(2025, 4, 15, tzinfo=UTC)
    add(desk, "t-1", "Open", datetime(2025, 4, 10, 18, 40, tzinfo=UTC))  # Friday, 0:10
    assert [hour for _, hour, _ in shown(desk, zone="Asia/Kolkata", now=now)["arrivals"]] == [4 * 24]


def test_a_long_period_is_shown_by_weeks_that_end_today(desk: Database) -> None:
    add(desk, "t-1", "Open", ago(300))
    found = shown(desk, days=365)
    assert found["unit"] == "week"
    assert len(found["steps"]) == 53
    assert list(backlog(found).values())[-1] == 1


# --- the page ---


def test_the_page_of_no_tasks_says_what_to_do(desk: Database) -> None:
    text = written(desk)
    assert text.count('class="card"') == 1
    assert "There are no tasks yet" in text
    assert "kore-etl sync" in text


def test_a_database_without_status_or_queue_makes_a_report(database: Database) -> None:
    add(database, "t-1", None, ago(1))
    found = shown(database)
    assert sum(row[3] for row in found["open"]) == 1
    assert [line[2] for line in found["waiting"]] == ["t-1"]
    assert "<b>1</b> open" in written(database)


def test_what_has_a_task_address_holds_it(desk: Database) -> None:
    add(desk, "TS000001", "Open", ago(1), name="A single one")
    assert '"taskUrl":"https://console.example/t/{_id}"' in written(desk, task_url="https://console.example/t/{_id}")
    assert '"taskUrl":null' in written(desk)


def test_names_stay_text(desk: Database) -> None:
    with desk.engine.begin() as connection:
        connection.execute(insert(queues).values(_id="evil", source_id=1, name=EVIL))
        connection.execute(insert(agents).values(_id="evil", source_id=1, name=EVIL))
        connection.execute(insert(statuses).values(_id="evil", source_id=1, name=EVIL, category=EVIL, raw="{}"))
        evil = {"_id": "evil", "source_id": 1, "name": EVIL, "color": f"red;{EVIL}", "raw": "{}"}
        connection.execute(insert(priorities).values(**evil))
    evil = {"assignee_id": "evil", "priority_id": "evil", "queue_id": "evil"}
    add(desk, EVIL, "evil", ago(2), name=EVIL, assignee=EVIL, due_at=ago(1), **evil)
    text = written(desk, EVIL)
    assert "<script>alert" not in text
    assert len(re.findall(r"</script>", text)) == 2


def test_days_are_those_of_each_source_unless_asked_otherwise(desk: Database) -> None:
    offsets = utc_offsets("Asia/Tokyo")
    with storing(desk.engine) as connection:
        use_time_zone(connection, desk.source_id, "Asia/Tokyo", offsets)
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    add(desk, "late", "Open", datetime(2026, 11, 18, 20, tzinfo=UTC))  # the 19th in Tokyo, from 5 in the morning
    with storing(desk.engine) as connection:
        refresh_derived.rebuild(connection, desk.source_id)
    assert [str(zone) for zone in zones(desk.engine)] == ["Asia/Tokyo"]
    own = period_until(now, timedelta(days=30), zones(desk.engine))
    asked = period_until(now, timedelta(days=30), zones(desk.engine), ZoneInfo("UTC"))
    assert flow(figures(desk.engine, own)) == {"2026-11-19": (1, 0, 0, 0)}
    assert flow(figures(desk.engine, asked)) == {"2026-11-18": (1, 0, 0, 0)}
    assert [row[1] for row in figures(desk.engine, own)["arrivals"]] == [3 * 24 + 5]
    assert (own.days_of, asked.days_of) == ("Asia/Tokyo", "UTC")


def test_a_period_begins_at_midnight_of_the_zone_asked_for(desk: Database) -> None:
    with storing(desk.engine) as connection:
        use_time_zone(connection, desk.source_id, "Asia/Tokyo", utc_offsets("Asia/Tokyo"))
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    asked = period_until(now, timedelta(days=3), zones(desk.engine), ZoneInfo("America/Los_Angeles"))
    midnight = datetime.combine(asked.steps[0], time(), ZoneInfo("America/Los_Angeles"))
    for hours in (-1, 1):
        add(desk, f"t{hours}", "Open", midnight + timedelta(hours=hours))
    assert sum(row[2] for row in figures(desk.engine, asked)["arrivals"]) == 1


def test_a_period_begins_at_midnight_of_each_source(desk: Database) -> None:
    own = {1: ZoneInfo("Pacific/Auckland"), desk.another_source("s-2"): ZoneInfo("America/St_Johns")}
    with desk.engine.begin() as connection:
        named = [{"_id": name, "source_id": max(own), "name": name, "raw": "{}"} for name in CATEGORIES]
        connection.execute(insert(statuses), [row | {"category": CATEGORIES[str(row["_id"])]} for row in named])
    now = datetime(2026, 11, 20, 12, tzinfo=UTC)
    chosen = period_until(now, timedelta(days=3), list(own.values()))
    for source, zone in own.items():
        midnight = datetime.combine(chosen.steps[0], time(), zone)
        with storing(desk.engine) as connection:
            use_time_zone(connection, source, str(zone), utc_offsets(str(zone)))
        for hours in (-1, 1):
            created = midnight + timedelta(hours=hours)
            add(desk, f"t{hours}", "Solved", created, source_id=source)
            for old, new, minutes in (("Open", "Doing", 10), ("Doing", "Solved", 20)):
                change(desk, f"t{hours}", old, new, created + timedelta(minutes=minutes), source_id=source)
    with storing(desk.engine) as connection:
        for source in own:
            refresh_derived.rebuild(connection, source)
    found = figures(desk.engine, chosen)
    assert [hour for _, hour, _ in found["arrivals"]] == [chosen.steps[0].weekday() * 24 + 1] * 2
    assert [sum(row[3] for row in found["durations"] if row[1] == kind) for kind in (0, 1)] == [2, 2]
    assert sum(row[3] for row in found["stays"]) == 4
