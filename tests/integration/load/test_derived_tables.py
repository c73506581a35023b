"""What is kept for the views is what the tasks and their changes tell, however they came to be as they are."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some
from sqlalchemy import delete, text

from etl.jobs.diagnostics.check_derived import differences_from_views
from etl.load.database.engine import reading
from etl.load.queries import mark_deleted_tasks, stored_tasks
from etl.load.schema.dimension_tables import statuses
from etl.load.schema.task_tables import daily_counts, status_intervals, task_changes, task_progress, tasks
from etl.load.schema.view_columns import VIEWS
from etl.load.upsert import forget_task_rows
from etl.load.upsert.batch_and_counts import Batch
from etl.load.upsert.store_batch import store
from tests.integration.conftest import Database, minute
from tests.integration.load.test_store import named, task

DAY = 24 * 60
CATEGORIES = {"s-1": "open", "s-2": "Resolved", "s-3": None, "s-4": "closed"}
numbers = some.integers(0, 5)
writing = some.tuples(
    some.just("write"),
    some.lists(
        some.tuples(numbers, some.integers(0, 9), some.sampled_from([*CATEGORIES, None]), some.booleans()), max_size=4
    ),
)
meaning = some.tuples(some.just("mean"), some.sampled_from(list(CATEGORIES)), some.sampled_from(["open", "done", None]))
marking = some.tuples(some.just("mark"), numbers)
forgetting = some.tuples(some.just("forget"), numbers)


def written(database: Database, rows: list[tuple[int, int, str | None, bool]], categories: dict[str, Any]) -> None:
    made = [
        task(f"t-{place}", day * DAY, status_id=status, created_at=minute(-place * DAY), is_active=active)
        for place, day, status, active in rows
    ]
    shown = [named(key, 100 * DAY, name=key, category=category) for key, category in categories.items()]
    with database.engine.begin() as connection:
        store(connection, Batch(made, shown), run_id=database.run_id, now=minute(5 * DAY))


def obey(database: Database, order: tuple[Any, ...], categories: dict[str, Any], step: int) -> None:
    kind, *what = order
    if kind == "write":
        written(database, what[0], categories)
    elif kind == "mean":
        categories[what[0]] = what[1]
        shown = named(what[0], (200 + step) * DAY, name=what[0], category=what[1])
        with database.engine.begin() as connection:
            store(
                connection,
                Batch([task("t-0", 0, created_at=minute(0))], [shown]),
                run_id=database.run_id,
                now=minute(0),
            )
    else:
        key = f"t-{what[0]}"
        with database.engine.begin() as connection:
            if kind == "mark":
                versions = stored_tasks.versions_without(connection, database.source_id, "updatedAt")
                versions |= stored_tasks.versions_between(
                    connection, database.source_id, "updatedAt", minute(-DAY), minute(99 * DAY)
                )
                gone = {key: versions[key]} if key in versions else {}
                mark_deleted_tasks.mark(
                    connection, database.source_id, gone, run_id=database.run_id, now=minute(7 * DAY)
                )
            elif forget_task_rows.record_of(connection, database.source_id, key) is not None:
                row = task(key, 3 * DAY, created_at=minute(0), raw="{}")
                forget_task_rows.erase(connection, row, run_id=database.run_id, now=minute(8 * DAY))


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(orders=[("write", [(0, 0, "s-1", False)]), ("mean", "s-1", "open"), ("mean", "s-1", None)])
@given(orders=some.lists(some.one_of(writing, writing, meaning, marking, forgetting), min_size=1, max_size=8))
def test_what_is_kept_follows_whatever_becomes_of_tasks(database: Database, orders: list[tuple[Any, ...]]) -> None:
    with database.engine.begin() as connection:
        for table in (status_intervals, task_progress, task_changes, tasks, statuses, daily_counts):
            connection.execute(delete(table))
    categories = dict(CATEGORIES)
    for step, order in enumerate(orders):
        obey(database, order, categories, step)
        with reading(database.engine) as connection:
            assert list(differences_from_views(connection)) == []


def test_daily_flow_is_asked_without_reading_any_task(sqlite_database: Database) -> None:
    assert "daily_flow" in {view.name for view in VIEWS}
    with reading(sqlite_database.engine) as connection:
        plan = connection.execute(text("explain query plan select * from daily_flow")).all()
    read = {row[3].split()[1] for row in plan if row[3].startswith(("SCAN", "SEARCH"))}
    assert "daily_counts" in read
    assert not read & {"tasks", "task_changes"}


@pytest.mark.parametrize("view", ["daily_events", "computed_status_intervals", "computed_task_progress"])
@pytest.mark.parametrize("number", [1, 80, 500])
def test_what_some_tasks_tell_is_found_by_their_ids_alone(sqlite_database: Database, view: str, number: int) -> None:
    asked = f"explain query plan select * from {view} where task_id in ({', '.join('?' * number)})"
    with reading(sqlite_database.engine) as connection:
        steps = [row[3] for row in connection.exec_driver_sql(asked, tuple(map(str, range(number))))]
    read = [step for step in steps if re.match(r"(SCAN|SEARCH) (tasks|task_changes)\b", step)]
    assert read
    assert [step for step in read if "_id=?" not in step or "status_id" in step] == []
