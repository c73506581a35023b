"""The analyst's views, on histories small enough to work out by hand what each must show."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, delete, insert, inspect, select, text, update

from etl.load.database.engine import reading
from etl.load.database.types import Moment
from etl.load.ledger import watermarks, windows
from etl.load.ledger.rejected_records import acknowledge, keep
from etl.load.schema.dimension_tables import agents, priorities, queues, statuses
from etl.load.schema.ledger_tables import sources
from etl.load.schema.task_tables import status_intervals as intervals_table
from etl.load.schema.task_tables import task_changes, task_progress, tasks
from etl.load.schema.view_columns import VIEWS
from etl.load.upsert import refresh_derived
from tests.conftest import CHECKOUT
from tests.integration.conftest import NOW, Database

Row = dict[str, Any]
Change = tuple[str | None, str | None, datetime | None]
STATUSES = {"Open": "open", "Doing": "inProgress", "Waiting": "pending", "Solved": "Resolved", "Shut": "closed"}
OPEN = ("Open", "Doing", "Waiting", "no category")
TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def day(number: float) -> datetime:
    """So many days after NOW."""
    return NOW + timedelta(days=number)


def days_ago(number: float) -> datetime:
    return datetime.now(UTC) - timedelta(days=number)


def with_statuses(database: Database) -> Database:
    named = [*STATUSES.items(), ("no category", None), ("done", None)]
    rows = [{"_id": name, "source_id": 1, "name": name, "category": category, "raw": "{}"} for name, category in named]
    with database.engine.begin() as connection:
        connection.execute(insert(statuses), rows)
    return database


@pytest.fixture
def history(database: Database) -> Database:
    """A database with the statuses, each its own id; no task yet."""
    return with_statuses(database)


def add_task(database: Database, key: str, status: str | None, created: datetime | None = NOW, **columns: Any) -> None:
    row = {"_id": key, "source_id": 1, "stream_id": "s-1", "status_id": status, "created_at": created, "raw": "{}"}
    row |= {"first_seen_at": created or NOW, "first_updated_at": columns.get("updated_at"), "stored_at": NOW}
    row |= {"run_id": database.run_id, **columns}
    with database.engine.begin() as connection:
        connection.execute(insert(tasks).values(**row))


def add_changes(
    database: Database, key: str, *changes: tuple[str | None, str | None, datetime | None], **columns: Any
) -> None:
    """Each from a status to another, at a moment; in the order of being seen."""
    with database.engine.begin() as connection:
        for place, (old, new, at) in enumerate(changes):
            row = {"field": "status", "seen_at": day(100 + place), "run_id": database.run_id, **columns}
            row |= {"old_id": old, "new_id": new, "old_value": old, "new_value": new, "changed_at": at}
            connection.execute(insert(task_changes).values(task_id=key, source_id=1, **row))


@contextmanager
def asking(database: Database) -> Iterator[Connection]:
    """Give a connection to ask the views by, which tell of these tasks as if the program had written them."""
    with database.engine.begin() as connection:
        for source_id in connection.execute(select(sources.c.id)).scalars().all():
            refresh_derived.rebuild(connection, source_id)
    with reading(database.engine) as connection:
        yield connection


def rows(database: Database, query: str) -> list[tuple[Any, ...]]:
    moments = ("started_at", "ended_at", "oldest_created_at", "watermark")
    with asking(database) as connection:
        keys = connection.execute(text(query)).keys()
        typed = text(query).columns(**dict.fromkeys(set(keys) & set(moments), Moment))
        return [tuple(row) for row in connection.execute(typed)]


def intervals(database: Database, key: str = "t-1") -> list[tuple[str, Any, Any]]:
    query = (
        f"select status, started_at, ended_at from task_status_intervals where task_id = '{key}' order by started_at"
    )
    return rows(database, query)


# --- what there is ---


def test_the_migration_makes_the_described_views() -> None:
    spec = importlib.util.spec_from_file_location("views", CHECKOUT / "migrations/versions/0006_create_tables.py")
    assert spec is not None
    assert spec.loader is not None
    migration = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(migration)
    assert {view.name: view.comment for view in VIEWS} == migration.VIEWS


def test_each_view_has_the_described_columns_in_order(database: Database) -> None:
    found = inspect(database.engine)
    assert set(found.get_view_names()) == {view.name for view in VIEWS}
    for view in VIEWS:
        assert [column["name"] for column in found.get_columns(view.name)] == list(view.columns), view.name


def test_postgresql_tells_what_a_view_is_for(postgres_database: Database) -> None:
    query = "select viewname, obj_description(cast(viewname as regclass)) from pg_views where schemaname = 'public'"
    with reading(postgres_database.engine) as connection:
        told = {row[0]: row[1] for row in connection.exec_driver_sql(query)}
    assert told == {view.name: view.comment for view in VIEWS}


def test_every_view_answers_where_there_are_no_rows(database: Database) -> None:
    found = {view.name: rows(database, f"select * from {view.name}") for view in VIEWS}
    assert {name: len(answer) for name, answer in found.items() if answer} == {"sync_freshness": 1}


def test_moments_have_the_form_of_the_tables(history: Database) -> None:
    add_task(history, "t-1", "Doing", due_at=day(1))
    add_changes(history, "t-1", ("Open", "Doing", day(2)))
    asked = (
        ("ended_at", "task_status_intervals where ended_at is not null"),
        ("first_response_at", "task_cycle_times"),
        ("oldest_created_at", "open_backlog"),
        ("due_at", "overdue_tasks"),
    )
    with asking(history) as connection:
        kinds = [type(connection.exec_driver_sql(f"select {name} from {rest}").scalar()) for name, rest in asked]
        in_table = connection.exec_driver_sql("select created_at from tasks").scalar()
        lasting = connection.exec_driver_sql(
            "select seconds from task_status_intervals where ended_at is null"
        ).scalar()
    assert kinds == [type(in_table)] * len(asked)
    assert abs(lasting - (datetime.now(UTC) - day(2)).total_seconds()) < 600


# --- task_status_intervals ---


def test_a_task_that_never_changed_has_one_status_period(history: Database) -> None:
    add_task(history, "t-1", "Open")
    assert intervals(history) == [("Open", NOW, None)]


def test_the_stream_of_an_interval_is_that_of_its_task(history: Database) -> None:
    add_task(history, "t-1", "Open", stream_id="s-other")
    add_task(history, "t-2", "Doing", stream_id="s-other")
    add_changes(history, "t-2", ("Open", "Doing", day(1)))
    assert rows(history, "select distinct stream_id from task_status_intervals") == [("s-other",)]


def test_the_intervals_follow_each_other_with_their_lengths(history: Database) -> None:
    add_task(history, "t-1", "Solved")
    add_changes(history, "t-1", ("Open", "Doing", day(1)), ("Doing", "Solved", day(3)))
    query = (
        "select status, status_category, started_at, ended_at, seconds from task_status_intervals order by started_at"
    )
    first, second, last = rows(history, query)
    assert first == ("Open", "open", NOW, day(1), 86_400)
    assert second == ("Doing", "inProgress", day(1), day(3), 2 * 86_400)
    assert last[:4] == ("Solved", "Resolved", day(3), None)


ODD_HISTORIES = [
    pytest.param([("Doing", "Solved", day(3)), ("Open", "Doing", day(1))], id="seen in another order"),
    pytest.param(
        [("Open", "Waiting", day(1)), ("Waiting", "Doing", day(1)), ("Doing", "Solved", day(3))],
        id="two at once",
    ),
    pytest.param([("Open", "Doing", day(1)), ("Doing", "Solved", day(3)), ("Solved", "Solved", day(3))], id="none"),
    pytest.param(
        [("Shut", "Open", day(-1)), ("Open", "Doing", day(1)), ("Doing", "Solved", day(3))], id="before its creation"
    ),
]


@pytest.mark.parametrize("changes", ODD_HISTORIES)
def test_odd_histories_give_the_same_intervals(history: Database, changes: list[Any]) -> None:
    add_task(history, "t-1", "Solved")
    add_changes(history, "t-1", *changes)
    assert intervals(history) == [("Open", NOW, day(1)), ("Doing", day(1), day(3)), ("Solved", day(3), None)]


def test_without_the_servers_time_the_time_of_seeing_counts(history: Database) -> None:
    add_task(history, "t-1", "Doing", created=None, first_seen_at=day(1))
    add_changes(history, "t-1", ("Open", "Doing", None))
    assert intervals(history) == [("Open", day(1), day(100)), ("Doing", day(100), None)]


def test_changes_of_other_values_make_no_interval(history: Database) -> None:
    add_task(history, "t-1", "Open")
    add_changes(history, "t-1", ("Open", "Doing", day(1)), field="priority")
    assert intervals(history) == [("Open", NOW, None)]


def test_a_status_that_was_renamed_has_its_new_name_throughout(history: Database) -> None:
    add_task(history, "t-1", "Doing")
    add_changes(history, "t-1", ("Open", "Doing", day(1)))
    with history.engine.begin() as connection:
        connection.execute(update(statuses).where(statuses.c["_id"] == "Open").values(name="New"))
    assert [status for status, _, _ in intervals(history)] == ["New", "Doing"]


def test_a_status_of_which_nothing_but_a_name_is_known_has_that(history: Database) -> None:
    add_task(history, "t-1", "Doing")
    with history.engine.begin() as connection:
        change = {"field": "status", "old_value": "Draft", "new_id": "Doing", "changed_at": day(1), "seen_at": day(1)}
        connection.execute(insert(task_changes).values(task_id="t-1", source_id=1, run_id=history.run_id, **change))
    assert intervals(history) == [("Draft", NOW, day(1)), ("Doing", day(1), None)]


@pytest.mark.parametrize(("deleted", "last"), [(4, ("Solved", day(3), day(4))), (2, ("Doing", day(1), day(2)))])
def test_deletion_ends_the_last_interval(history: Database, deleted: int, last: tuple[Any, ...]) -> None:
    add_task(history, "t-1", "Solved", deleted_at=day(deleted))
    add_changes(history, "t-1", ("Open", "Doing", day(1)), ("Doing", "Solved", day(3)))
    add_changes(history, "t-1", (None, None, day(deleted)), field="deletion")
    assert intervals(history)[-1] == last


def test_a_task_that_came_back_was_never_gone(history: Database) -> None:
    add_task(history, "t-1", "Open")
    add_changes(history, "t-1", (None, None, day(1)), field="deletion")
    add_changes(history, "t-1", (None, None, day(2)), field="return")
    assert intervals(history) == [("Open", NOW, None)]


# --- task_cycle_times ---


def cycle(database: Database) -> Row:
    with asking(database) as connection:
        return dict(connection.execute(text("select * from task_cycle_times")).mappings().one())


def seconds(database: Database) -> tuple[Any, ...]:
    row = cycle(database)
    return row["first_response_seconds"], row["first_resolved_seconds"], row["resolved_seconds"], row["reopened"]


DAY = 86_400
CYCLES = [
    pytest.param("Open", [], (None, None, None, 0), id="nothing yet"),
    pytest.param("Doing", [("Open", "Doing", day(1))], (DAY, None, None, 0), id="answered"),
    pytest.param("Solved", [("Open", "Solved", day(2))], (2 * DAY, 2 * DAY, 2 * DAY, 0), id="resolved at once"),
    pytest.param("Shut", [("Open", "Solved", day(2)), ("Solved", "Shut", day(9))], (2 * DAY,) * 3 + (0,), id="closed"),
    pytest.param(
        "Doing", [("Open", "Solved", day(2)), ("Solved", "Doing", day(3))], (2 * DAY, 2 * DAY, None, 1), id="reopened"
    ),
    pytest.param(
        "Solved",
        [("Open", "Solved", day(2)), ("Solved", "Doing", day(3)), ("Doing", "Solved", day(5))],
        (2 * DAY, 2 * DAY, 5 * DAY, 1),
        id="resolved again",
    ),
    pytest.param("Solved", [], (None, None, None, 0), id="came resolved"),
    pytest.param("done", [("no category", "done", day(1))], (None, DAY, DAY, 0), id="judged by the name"),
]


@pytest.mark.parametrize(("status", "changes", "expected"), CYCLES)
def test_cycle_times_count_from_the_creation(history: Database, status: str, changes: Any, expected: Any) -> None:
    add_task(history, "t-1", status)
    add_changes(history, "t-1", *changes)
    assert seconds(history) == expected


# --- what is open now ---


def open_now(database: Database) -> None:
    """Five open tasks, three that are not, and one that was forgotten."""
    with database.engine.begin() as connection:
        connection.execute(insert(priorities).values(_id="p-1", source_id=1, name="High", raw="{}"))
        connection.execute(insert(queues).values(_id="q-1", source_id=1, name="Billing"))
        connection.execute(insert(agents).values(_id="a-1", source_id=1, name="Ana"))
    served = {"priority_id": "p-1", "queue_id": "q-1", "assignee_id": "a-1", "assignee": "Ana"}
    add_task(database, "t-1", "Open", days_ago(0.5), **served, due_at=days_ago(0.1))
    add_task(database, "t-2", "Open", days_ago(0.6), **served)
    add_task(database, "t-3", "Doing", days_ago(2), due_at=days_ago(-3))
    add_task(database, "t-4", None, days_ago(40), due_at=days_ago(10))
    add_task(database, "t-5", "no category", None)
    add_task(database, "t-6", "Solved", days_ago(2), due_at=days_ago(1), **served)
    add_task(database, "t-7", "done", days_ago(2), due_at=days_ago(1))
    add_task(database, "t-8", "Open", days_ago(2), due_at=days_ago(1), deleted_at=days_ago(1), **served)
    add_task(database, "t-9", "Open", days_ago(2), due_at=days_ago(1), forgotten_at=days_ago(1), **served)


def test_open_backlog_counts_what_is_open(history: Database) -> None:
    open_now(history)
    query = "select status, priority, queue, age_band, tasks, overdue from open_backlog order by age_from, status"
    assert sorted(rows(history, query), key=str) == sorted(
        [
            ("Open", "High", "Billing", "<1 day", 2, 1),
            ("Doing", None, None, "1-3 days", 1, 0),
            (None, None, None, "30-90 days", 1, 1),
            ("no category", None, None, "unknown", 1, 0),
        ],
        key=str,
    )


@pytest.mark.parametrize(
    ("age", "band"),
    [(0, "<1 day"), (2, "1-3 days"), (5, "3-7 days"), (29, "7-30 days"), (89, "30-90 days"), (91, ">90 days")],
)
def test_the_bands_of_age(history: Database, age: int, band: str) -> None:
    add_task(history, "t-1", "Open", days_ago(age))
    assert rows(history, "select age_band from open_backlog") == [(band,)]


def test_agent_load_counts_by_agent_and_what_nobody_has(history: Database) -> None:
    open_now(history)
    query = "select assignee, open_tasks, overdue, oldest_created_at from agent_load"
    nobody, ana = sorted(rows(history, query), key=lambda row: row[0] or "")
    assert nobody[:3] == (None, 3, 1)
    assert ana[:3] == ("Ana", 2, 1)
    assert (ana[3] - days_ago(0.6)).total_seconds() < 600


def test_overdue_tasks_are_the_open_ones_alone(history: Database) -> None:
    open_now(history)
    found = rows(history, "select _id, status, overdue_seconds from overdue_tasks order by _id")
    assert [row[:2] for row in found] == [("t-1", "Open"), ("t-4", None)]
    assert abs(found[1][2] - 10 * DAY) < 600


def test_no_view_shows_a_task_that_was_forgotten(history: Database) -> None:
    add_task(history, "t-1", "Open", days_ago(2), due_at=days_ago(1), forgotten_at=days_ago(0))
    add_changes(history, "t-1", ("Open", "Solved", days_ago(1)), ("Solved", "Open", days_ago(0.5)))
    found = {view.name: rows(history, f"select * from {view.name}") for view in VIEWS if view.name != "sync_freshness"}
    assert {name: answer for name, answer in found.items() if answer} == {}
    assert rows(history, "select tasks, deleted from sync_freshness") == [(0, 0)]


# --- daily_flow ---


def flow(database: Database) -> dict[int, tuple[int, ...]]:
    """The rows in which something happened, by how many days ago, without the stream."""
    found = rows(database, "select day, created, resolved, reopened, deleted, backlog from daily_flow order by day")
    ages = [(TODAY.date() - datetime.fromisoformat(str(row[0])).date()).days for row in found]
    assert ages == list(range(len(found) - 1, -1, -1))
    return {age: tuple(row[1:]) for age, row in zip(ages, found, strict=True) if any(row[1:5]) or age == 0}


def noon(days: int) -> datetime:
    return TODAY + timedelta(hours=12, days=-days)


def test_daily_flow_has_every_day_and_what_was_open_at_its_end(history: Database) -> None:
    add_task(history, "t-1", "Solved", noon(9))
    add_changes(history, "t-1", ("Open", "Solved", noon(7)), ("Solved", "Doing", noon(6)), ("Doing", "Solved", noon(5)))
    add_task(history, "t-2", "Open", noon(7), deleted_at=noon(2))
    add_task(history, "t-3", "Doing", noon(5))
    assert flow(history) == {
        9: (1, 0, 0, 0, 1),
        7: (1, 1, 0, 0, 1),
        6: (0, 0, 1, 0, 2),
        5: (1, 1, 0, 0, 2),
        2: (0, 0, 0, 1, 1),
        0: (0, 0, 0, 0, 1),
    }


def test_a_task_that_came_resolved_counts_at_that_update(history: Database) -> None:
    add_task(history, "t-1", "Solved", noon(9), updated_at=noon(0), first_updated_at=noon(4), first_seen_at=noon(1))
    assert flow(history) == {9: (1, 0, 0, 0, 1), 4: (0, 1, 0, 0, 0), 0: (0, 0, 0, 0, 0)}


def test_a_task_reopened_after_it_came_was_resolved_before(history: Database) -> None:
    add_task(history, "t-1", "Open", noon(9), updated_at=noon(2), first_seen_at=noon(4))
    add_changes(history, "t-1", ("Solved", "Open", noon(2)))
    assert flow(history) == {9: (1, 0, 0, 0, 1), 4: (0, 1, 0, 0, 0), 2: (0, 0, 1, 0, 1), 0: (0, 0, 0, 0, 1)}


def test_a_date_in_the_future_counts_today(history: Database) -> None:
    add_task(history, "t-0", "Open", noon(3))
    add_task(history, "t-1", "Open", noon(-3))
    assert flow(history) == {3: (1, 0, 0, 0, 1), 0: (1, 0, 0, 0, 2)}


def test_a_date_before_1970_counts_on_its_first_day(history: Database) -> None:
    """Programs write their earliest date, such as that of the year 1, where they have none."""
    add_task(history, "t-0", "Open", datetime(1, 1, 1, tzinfo=UTC))
    add_task(history, "t-1", "Open", noon(3))
    first = (TODAY.date() - date(1970, 1, 1)).days
    assert flow(history) == {first: (1, 0, 0, 0, 1), 3: (1, 0, 0, 0, 2), 0: (0, 0, 0, 0, 2)}


def test_each_stream_has_its_own_days(history: Database) -> None:
    add_task(history, "t-1", "Open", noon(3))
    add_task(history, "t-2", None, noon(1), source_id=history.another_source("s-2"), stream_id="s-2")
    query = "select stream_id, count(*), max(backlog) from daily_flow group by stream_id order by stream_id"
    assert rows(history, query) == [("s-1", 4, 1), ("s-2", 2, 1)]


# --- sync_freshness ---


def test_sync_freshness_tells_how_a_source_stands(history: Database) -> None:
    open_now(history)
    with history.engine.begin() as connection:
        watermarks.advance(connection, history.source_id, days_ago(1), run_id=history.run_id, now=NOW)
        keep(connection, history.source_id, [("no _id", None, "{}")], run_id=history.run_id, now=NOW)
        a_window(connection, history, days_ago(3), days_ago(2))
    columns = "source, stream_id, last_command, last_state, tasks, deleted, rejected, gaps, unverified_windows"
    (row,) = rows(history, f"select {columns} from sync_freshness")
    assert row == ("main", "s-1", "sync", "running", 7, 1, 1, 1, 1)
    ((watermark, age),) = rows(history, "select watermark, age_seconds from sync_freshness")
    with history.engine.begin() as connection:
        acknowledge(connection, None, NOW)
    assert rows(history, "select rejected from sync_freshness") == [(0,)]
    assert abs(age - DAY) < 600
    assert abs((watermark - days_ago(1)).total_seconds()) < 600


def a_window(connection: Connection, database: Database, start: datetime, end: datetime) -> None:
    window = windows.open_window(
        connection, source_id=database.source_id, run_id=database.run_id, job="first", field="updatedAt",
        start_at=start, end_at=end, checkpoint_at=start, strategy="split_windows", opened_at=NOW,
    )  # fmt: skip
    windows.note(connection, window, checkpoint_at=end, state="unverified")


def test_a_source_that_was_never_synced_has_a_row_too(database: Database) -> None:
    database.another_source("s-2")
    query = "select stream_id, watermark, age_seconds, last_state, tasks, gaps from sync_freshness order by stream_id"
    assert rows(database, query) == [("s-1", None, None, "running", 0, 0), ("s-2", None, None, None, 0, 0)]


# --- the state at a moment, as docs/how-to/query.md asks for it ---


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        pytest.param(0.5, [("T1", "Open", None)], id="before all"),
        pytest.param(1, [("T1", "Doing", None)], id="at a change"),
        pytest.param(2.5, [("T1", "Doing", "Ana"), ("T2", "Open", None)], id="between"),
        pytest.param(9, [("T1", "Solved", "Ana")], id="after all"),
    ],
)
def test_the_documented_query_tells_the_state_at_a_moment(history: Database, moment: float, expected: Any) -> None:
    add_task(history, "t-1", "Solved", ref_id="T1", assignee="Ana")
    add_changes(history, "t-1", ("Open", "Doing", day(1)), ("Doing", "Waiting", day(3)), ("Waiting", "Solved", day(4)))
    add_changes(history, "t-1", (None, "Ana", day(2)), field="assignee")
    add_task(history, "t-2", "Open", day(2), ref_id="T2", deleted_at=day(5))
    query = (CHECKOUT / "docs/how-to/query.md").read_text("utf-8").split("```sql\n")[-1].split("```")[0]
    at = day(moment).strftime("%Y-%m-%d %H:%M:%S.%f")[:23]
    with history.engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set time zone 'UTC'")
        found = connection.exec_driver_sql(query.replace("2026-11-20 12:00:00", at)).mappings()
        assert [(row["ref_id"], row["status"], row["assignee"]) for row in found] == expected


# --- what holds of any history ---

_moments = some.floats(0, 20).map(lambda age: days_ago(20 - age).replace(microsecond=0))
_names = some.sampled_from([*STATUSES, "no category", "done"])


@some.composite
def _histories(draw: some.DrawFn) -> tuple[str, datetime, datetime | None, list[tuple[str, str, datetime]]]:
    """A consistent chain of statuses at moments in order, some alike; its last status, creation and deletion."""
    chain = draw(some.lists(_names, min_size=1, max_size=5))
    created, *moments = sorted(draw(some.lists(_moments, min_size=len(chain), max_size=len(chain))))
    gone = draw(some.none() | some.floats(0, 1).map(lambda part: created + (datetime.now(UTC) - created) * part))
    return chain[-1], created, gone, [(*pair, at) for pair, at in zip(pairwise(chain), moments, strict=True)]


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(histories=some.lists(_histories(), min_size=1, max_size=6))
def test_status_periods_tile_a_life_and_views_agree(database: Database, histories: Any) -> None:
    with database.engine.begin() as connection:
        for table in (intervals_table, task_progress, task_changes, tasks, statuses):
            connection.execute(delete(table))
    with_statuses(database)
    for place, (status, created, gone, changes) in enumerate(histories):
        add_task(database, f"t-{place}", status, created, deleted_at=gone)
        add_changes(database, f"t-{place}", *[change for change in changes if change[0] != change[1]])

    for place, (_, created, gone, _) in enumerate(histories):
        found = intervals(database, f"t-{place}")
        ends = [created.replace(microsecond=0), *(end for _, _, end in found)]
        assert [start for _, start, _ in found] == ends[:-1]
        assert gone is None or not found or abs((ends[-1] - gone).total_seconds()) < 0.001

    still_open = sum(status in OPEN and gone is None for status, _, gone, _ in histories)
    assert rows(database, "select coalesce(sum(tasks), 0) from open_backlog") == [(still_open,)]
    assert rows(database, "select coalesce(sum(open_tasks), 0) from agent_load") == [(still_open,)]
    assert rows(database, "select backlog from daily_flow order by day desc limit 1") == [(still_open,)]
    assert rows(database, "select count(*) from daily_flow where backlog < 0 or resolved < 0") == [(0,)]
