"""Storing batches: the newest version wins, what is known is not written again, what changes is remembered."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, Table, Text, cast, delete, select, text, update
from sqlalchemy.exc import StatementError

from etl import exact_json
from etl.errors import DatabaseError
from etl.exact_json import canonical
from etl.load.database.engine import reading
from etl.load.schema.dimension_tables import cases, priorities, statuses
from etl.load.schema.task_tables import status_intervals, task_changes, task_progress, tasks
from etl.load.upsert.batch_and_counts import Batch, Counts, Rejected, concatenate
from etl.load.upsert.dimensions import store_people_and_queues
from etl.load.upsert.store_batch import store, store_what_fits
from etl.transform import Stream, TaskRows, transform
from tests.integration.conftest import NOW, Database, minute

Row = dict[str, Any]
ALL = (tasks, statuses, priorities, cases)
_WRITTEN_HERE = ("first_seen_at", "first_updated_at", "stored_at", "run_id", "deleted_at", "gone_at", "forgotten_at")
_EMPTY_TASK = {column.name: None for column in tasks.columns if column.name not in _WRITTEN_HERE}


def task(key: str = "t-1", at: float | None = 0, **columns: Any) -> Row:
    """A task as it was so many minutes after NOW."""
    updated_at = None if at is None else minute(at)
    row = {**_EMPTY_TASK, "_id": key, "source_id": 1, "stream_id": "s-1", "updated_at": updated_at, **columns}
    return row | {"raw": columns.get("raw") or json.dumps(row, default=str, sort_keys=True)}


def named(key: str, at: float | None = 0, **columns: Any) -> Row:
    """A status as a task of that moment shows it."""
    row = {"_id": key, "source_id": 1, "name": key, "category": "open", "type": None, "description": None}
    row |= {"is_enabled": True, "is_active": True, **columns}
    seen_at = None if at is None else minute(at)
    return row | {"seen_at": seen_at, "raw": columns.get("raw") or json.dumps(row, sort_keys=True)}


def priority(key: str, at: float | None = 0, score: float | None = None, name: str | None = None) -> Row:
    row = named(key, at, name=name or key, color="red", score=score)
    del row["category"]
    return row


def case(key: str, ref_id: str | None, at: float | None = 0) -> Row:
    return {"_id": key, "source_id": 1, "ref_id": ref_id, "seen_at": None if at is None else minute(at)}


def stored(
    database: Database, *what: Row | Batch, now: datetime = NOW, run_id: int | None = None, takes_back: bool = False
) -> Counts:
    """Store a batch, or tasks as one."""
    batch = what[0] if what and isinstance(what[0], Batch) else whole([row for row in what if isinstance(row, dict)])
    with database.engine.begin() as connection:
        return store(connection, batch, run_id=run_id or database.run_id, now=now, takes_back=takes_back)


def whole(rows: list[Row], **others: list[Row]) -> Batch:
    """Tasks with whoever they name."""
    named_by_each = [{"agents": naming(row, "assignee"), "queues": naming(row, "queue")} for row in rows]
    return Batch(rows, details=named_by_each, **others)


def naming(row: Row, column: str) -> list[Row]:
    key = row[f"{column}_id"]
    return [{"_id": key, "source_id": 1, "name": row[column], "seen_at": row["updated_at"]}] if key else []


def content(database: Database, table: Table = tasks) -> dict[str, Any]:
    with reading(database.engine) as connection:
        return {row["_id"]: dict(row) for row in connection.execute(select(table)).mappings()}


def history(database: Database) -> list[tuple[Any, ...]]:
    columns = task_changes.c
    query = select(columns.field, columns.old_id, columns.new_id, columns.old_value, columns.new_value)
    with reading(database.engine) as connection:
        return [tuple(row) for row in connection.execute(query.order_by(columns.field, columns.id))]


def delete_all(connection: Connection) -> None:
    for table in (status_intervals, task_progress, task_changes, *ALL):
        connection.execute(delete(table))


# Which version is kept, and how it is counted


def test_a_new_task_is_inserted(database: Database) -> None:
    assert stored(database, task("t-1", name="Printer"), task("t-2")) == Counts(inserted=2)
    row = content(database)["t-1"]
    assert (row["name"], row["updated_at"], row["first_seen_at"], row["stored_at"]) == ("Printer", NOW, NOW, NOW)
    assert (row["run_id"], row["deleted_at"]) == (database.run_id, None)


def test_a_newer_version_takes_the_place_of_the_older(database: Database) -> None:
    stored(database, task(at=0, name="old"))
    run_id = database.another_run()
    assert stored(database, task(at=1, name="new"), now=minute(9), run_id=run_id) == Counts(updated=1, changes=1)
    row = content(database)["t-1"]
    assert (row["name"], row["updated_at"]) == ("new", minute(1))
    assert (row["first_seen_at"], row["stored_at"], row["run_id"]) == (NOW, minute(9), run_id)


def test_an_older_version_never_overwrites(database: Database) -> None:
    stored(database, task(at=1, name="new"))
    before = content(database)
    assert stored(database, task(at=0, name="old"), now=minute(9)) == Counts(stale=1)
    assert content(database) == before
    assert history(database) == []


def test_an_older_version_replaces_stored_ones_on_request(database: Database) -> None:
    stored(database, task(at=1, name="new"))
    run_id = database.another_run()
    counts = stored(database, task(at=0, name="old"), now=minute(9), run_id=run_id, takes_back=True)
    assert counts == Counts(updated=1, changes=1)
    row = content(database)["t-1"]
    assert (row["name"], row["updated_at"], row["run_id"]) == ("old", minute(0), run_id)


@pytest.mark.parametrize("by", ["this run", "a later run"])
def test_an_older_version_replaces_nothing_of_its_own_run(database: Database, by: str) -> None:
    this_run = database.another_run()
    stored(database, task(at=1, name="new"), run_id=this_run if by == "this run" else database.another_run())
    assert stored(database, task(at=0, name="old"), run_id=this_run, takes_back=True) == Counts(stale=1)
    assert content(database)["t-1"]["name"] == "new"


def test_a_change_back_has_no_date_but_the_one_when_it_was_seen(database: Database) -> None:
    stored(database, task(at=1, name="new"))
    stored(database, task(at=0, name="old"), now=minute(9), run_id=database.another_run(), takes_back=True)
    with reading(database.engine) as connection:
        columns = (
            task_changes.c.old_value,
            task_changes.c.new_value,
            task_changes.c.changed_at,
            task_changes.c.seen_at,
        )
        assert [tuple(row) for row in connection.execute(select(*columns))] == [("new", "old", None, minute(9))]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(5, 5, id="of the same instant"),
        pytest.param(None, 5, id="after one without updatedAt"),
        pytest.param(5, None, id="without updatedAt"),
        pytest.param(None, None, id="both without updatedAt"),
    ],
)
def test_a_different_version_that_is_not_older_wins(
    database: Database, before: float | None, after: float | None
) -> None:
    stored(database, task(at=before, name="before"))
    assert stored(database, task(at=after, name="after")).updated == 1
    assert content(database)["t-1"]["name"] == "after"


def test_the_newest_of_two_versions_in_a_batch_counts(database: Database) -> None:
    versions = [task(at=1, name="first"), task(at=3, name="newest"), task(at=2, name="second")]
    assert stored(database, *versions) == Counts(inserted=1, repeated=2)
    assert content(database)["t-1"]["name"] == "newest"


def test_the_last_of_two_equally_new_versions_counts(database: Database) -> None:
    stored(database, task(name="first"), task(name="last"))
    assert content(database)["t-1"]["name"] == "last"


def test_each_task_of_a_mixed_batch_is_counted_once(database: Database) -> None:
    stored(database, task("changed", 0), task("same", 0), task("newer here", 5))
    batch = [task("changed", 1, name="x"), task("same", 0), task("newer here", 4), task("new"), task("new")]
    counts = stored(database, *batch)
    assert counts == Counts(inserted=1, updated=1, unchanged=1, stale=1, repeated=1, changes=1)


def test_an_empty_batch_is_nothing(database: Database) -> None:
    assert stored(database) == Counts()


def test_ten_thousand_tasks_are_one_batch(database: Database) -> None:
    rows = [task(f"t-{number}", number, name=f"Task {number}") for number in range(10_000)]
    assert stored(database, *rows) == Counts(inserted=10_000)
    assert stored(database, *rows) == Counts(unchanged=10_000)


# What is known is not written again


def rows_as_written(database: Database) -> list[Any]:
    """What PostgreSQL changes of a row whenever it writes it; on SQLite all that stands in it."""
    with reading(database.engine) as connection:
        if database.engine.dialect.name == "sqlite":
            return [connection.execute(select(table)).all() for table in ALL]
        queries = [f"select _id, xmin::text, ctid::text from {table.name} order by _id" for table in ALL]
        return [connection.execute(text(query)).all() for query in queries]


def test_a_repeated_batch_writes_no_row(database: Database) -> None:
    batch = Batch(
        [task(status_id="s", priority_id="p", case_id="c")], [named("s")], [priority("p")], [case("c", "CS1")]
    )
    stored(database, batch)
    before = rows_as_written(database)
    assert stored(database, batch, now=minute(9), run_id=database.another_run()) == Counts(unchanged=1)
    assert rows_as_written(database) == before


def version_of_file(onlooker: Connection) -> int:
    """A number that changes when another connection commits a write; one to its temporary tables is none."""
    with onlooker.begin():
        version: int = onlooker.exec_driver_sql("pragma data_version").scalar_one()
    return version


@pytest.mark.parametrize("at", [0, None], ids=["dated", "without a date"])
def test_a_repeated_status_priority_or_case_is_no_write(sqlite_database: Database, at: float | None) -> None:
    batch = Batch([], [named("s", at)], [priority("p", at)], [case("c", None, at)])
    stored(sqlite_database, batch)
    with sqlite_database.engine.connect().execution_options(sqlite_begin="DEFERRED") as onlooker:
        before = version_of_file(onlooker)
        stored(sqlite_database, batch)
        assert version_of_file(onlooker) == before
        stored(sqlite_database, task())
        assert version_of_file(onlooker) != before


def test_a_key_check_is_planned_for_the_grown_table(postgres_database: Database) -> None:
    def agents_read(agents: int, tasks: range) -> Any:
        rows = [task(f"t-{n}", assignee_id=f"a-{n % agents}", assignee="A") for n in tasks]
        with postgres_database.engine.begin() as connection:
            store(connection, whole(rows), run_id=1, now=NOW)
            read = text("select seq_tup_read from pg_stat_xact_user_tables where relname = 'agents'")
            return connection.execute(read).scalar()

    agents_read(1, range(20))
    with postgres_database.engine.begin() as connection:
        connection.execute(text("analyze agents"))
    assert agents_read(1, range(20, 40)) == 20  # each check reads the only row
    assert agents_read(2000, range(40, 2040)) < 2000


@pytest.mark.parametrize("at", [0, None], ids=["dated", "without a date"])
def test_a_repeated_agent_queue_or_user_is_no_write(postgres_database: Database, at: float | None) -> None:
    row = {"_id": "x", "source_id": 1, "name": "X", "seen_at": None if at is None else minute(at)}
    versions = text(" union all ".join(f"select xmin::text from {table}" for table in ("agents", "queues", "users")))

    def after_storing(**changes: str) -> list[Any]:
        with postgres_database.engine.begin() as connection:
            store_people_and_queues(connection, [{table: [row | changes] for table in ("agents", "queues", "users")}])
        with reading(postgres_database.engine) as connection:
            return [*connection.execute(versions)]

    before = after_storing()
    assert after_storing() == before
    assert not {*after_storing(name="Y")} & {*before}


def test_only_the_changed_row_of_a_batch_is_written(database: Database) -> None:
    stored(database, task("t-1"), task("t-2"))
    run_id = database.another_run()
    stored(database, task("t-1"), task("t-2", 1, name="new"), now=minute(9), run_id=run_id)
    rows = content(database)
    assert (rows["t-1"]["run_id"], rows["t-1"]["stored_at"]) == (database.run_id, NOW)
    assert (rows["t-2"]["run_id"], rows["t-2"]["stored_at"]) == (run_id, minute(9))


def test_a_change_of_the_record_that_no_column_shows_is_kept(database: Database) -> None:
    stored(database, task(raw='{"custom":1}'))
    assert stored(database, task(raw='{"custom":2}')) == Counts(updated=1)
    assert content(database)["t-1"]["raw"] == {"custom": 2}


def test_a_task_that_was_marked_deleted_returns(database: Database) -> None:
    version = task(name="back")
    stored(database, version)
    with database.engine.begin() as connection:
        connection.execute(update(tasks).values(deleted_at=minute(5)))
    assert stored(database, version, now=minute(9)) == Counts(updated=1, changes=1)
    row = content(database)["t-1"]
    assert (row["deleted_at"], row["stored_at"]) == (None, minute(9))
    assert history(database) == [("return", None, None, "2025-05-28 12:10:38.807", None)]


def test_the_temporary_table_is_empty_after_each_commit(postgres_database: Database) -> None:
    for number in range(3):
        stored(postgres_database, *(task(f"t-{key}", at=number) for key in range(50)))
    with reading(postgres_database.engine) as connection:
        assert connection.execute(text("select pg_relation_size('incoming_tasks')")).scalar() == 0


def test_two_batches_in_one_transaction_do_not_mix(database: Database) -> None:
    with database.engine.begin() as connection:
        first = store(connection, Batch([task("t-1")]), run_id=database.run_id, now=NOW)
        second = store(connection, Batch([task("t-2")]), run_id=database.run_id, now=NOW)
    assert (first, second) == (Counts(inserted=1), Counts(inserted=1))


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def fail() -> None:
        with database.engine.begin() as connection:
            batch = Batch([task(status_id="s")], [named("s")])
            store(connection, batch, run_id=database.run_id, now=NOW)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [content(database, table) for table in ALL] == [{}] * 4
    assert stored(database, task()) == Counts(inserted=1)


# Statuses, priorities and cases


DIMENSIONS = [
    pytest.param(statuses, named, id="status"),
    pytest.param(priorities, lambda key, at, name: priority(key, at, name=name), id="priority"),
    pytest.param(cases, lambda key, at, name: case(key, name, at), id="case"),
]
ORDERS = {
    "one batch": ["abc"],
    "one batch backwards": ["cba"],
    "in order": ["a", "b", "c"],
    "backwards": ["c", "b", "a"],
    "mixed": ["bc", "ab"],
}


def dimension_batch(table: Table, rows: list[Row]) -> Batch:
    return Batch([], **{table.name: rows})


@pytest.mark.parametrize(("table", "version"), DIMENSIONS)
@pytest.mark.parametrize(
    ("moments", "kept"),
    [
        pytest.param({"a": 3, "b": 1, "c": 2}, "a", id="newest"),
        pytest.param({"a": 0, "b": None, "c": None}, "a", id="any date before none"),
    ],
)
def test_the_newest_tasks_version_is_kept_in_any_order(
    database: Database, table: Table, version: Any, moments: dict[str, float | None], kept: str
) -> None:
    for key, batches in ORDERS.items():
        for names in batches:
            stored(database, dimension_batch(table, [version(key, moments[name], name=name) for name in names]))
    rows = content(database, table)
    shown = "ref_id" if table is cases else "name"
    assert {key: row[shown] for key, row in rows.items()} == dict.fromkeys(ORDERS, kept)
    moment = moments[kept]
    assert {row["seen_at"] for row in rows.values()} == {None if moment is None else minute(moment)}


@pytest.mark.parametrize(("table", "version"), DIMENSIONS)
@pytest.mark.parametrize("moment", [1, None], ids=["one instant", "no date at all"])
def test_of_equally_new_versions_the_one_read_last_is_kept(
    database: Database, table: Table, version: Any, moment: float | None
) -> None:
    for key, batches in ORDERS.items():
        for names in batches:
            stored(database, dimension_batch(table, [version(key, moment, name=name) for name in names]))
    shown = "ref_id" if table is cases else "name"
    found = {key: row[shown] for key, row in content(database, table).items()}
    assert found == {key: batches[-1][-1] for key, batches in ORDERS.items()}


def test_two_statuses_of_one_name_stay_two(database: Database) -> None:
    stored(database, Batch([task(status_id="s-2")], [named("s-1", name="Open"), named("s-2", name="Open")]))
    assert {key: row["name"] for key, row in content(database, statuses).items()} == {"s-1": "Open", "s-2": "Open"}


def test_a_status_keeps_all_that_the_api_says(database: Database) -> None:
    row = named("s", name="Wartet auf Kunde", category="pending", description="…", is_enabled=None, is_active=False)
    stored(database, Batch([], [row]))
    assert content(database, statuses)["s"] == row | {"raw": json.loads(row["raw"]), "is_resolved": False}


@pytest.mark.parametrize("score", [None, 0.1, -2.5, 1.7976931348623157e308, 5e-324])
def test_a_score_of_any_size_is_kept_to_the_last_digit(database: Database, score: float | None) -> None:
    stored(database, Batch([], priorities=[priority("p", score=score)]))
    assert content(database, priorities)["p"]["score"] == score


def test_a_task_with_an_unknown_status_is_refused_whole(database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)foreign key"):
        stored(database, task(status_id="nowhere"))
    assert content(database) == {}


# The history of changes


def changed(database: Database, before: Row, after: Row) -> list[tuple[Any, ...]]:
    others = {
        "statuses": [named("s-1", name="Open"), named("s-2", name="Open"), named("s-3", name="Closed")],
        "priorities": [priority("p-1", name="Low"), priority("p-2", name="High")],
    }
    stored(database, whole([task(at=0, **before)], **others))
    counts = stored(database, whole([task(at=1, **after)], **others))
    assert counts.changes == len(history(database))
    return history(database)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"status_id": "s-1"}, {"status_id": "s-3"}, ("status", "s-1", "s-3", "Open", "Closed")),
        ({"status_id": "s-1"}, {"status_id": "s-2"}, ("status", "s-1", "s-2", "Open", "Open")),
        ({}, {"status_id": "s-1"}, ("status", None, "s-1", None, "Open")),
        ({"status_id": "s-1"}, {}, ("status", "s-1", None, "Open", None)),
        ({"priority_id": "p-1"}, {"priority_id": "p-2"}, ("priority", "p-1", "p-2", "Low", "High")),
        (
            {"assignee_id": "a-1", "assignee": "Ann"},
            {"assignee_id": "a-2", "assignee": "Bob"},
            ("assignee", "a-1", "a-2", "Ann", "Bob"),
        ),
        ({"assignee": "Ann"}, {"assignee": "Bob"}, ("assignee", None, None, "Ann", "Bob")),
        ({"queue_id": "q-1"}, {"queue_id": "q-2"}, ("queue", "q-1", "q-2", None, None)),
        ({"queue": "First line"}, {}, ("queue", None, None, "First line", None)),
        ({"name": "Printer"}, {"name": "Drucker"}, ("name", None, None, "Printer", "Drucker")),
        (
            {"due_at": datetime(2025, 6, 1, 12, tzinfo=UTC)},
            {"due_at": datetime(2025, 6, 2, 9, 0, 0, 5_000, tzinfo=UTC)},
            ("due date", None, None, "2025-06-01 12:00:00.000", "2025-06-02 09:00:00.005"),
        ),
    ],
)
def test_a_change_is_remembered_with_its_ids_and_names(
    database: Database, before: Row, after: Row, change: tuple[Any, ...]
) -> None:
    assert changed(database, before, after) == [change]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"origin": "rtm"}, {"origin": "mail"}, id="what is not watched"),
        pytest.param(
            {"assignee_id": "a-1", "assignee": "Ann"}, {"assignee_id": "a-1", "assignee": "Ann B."}, id="a new name"
        ),
        pytest.param({"status_id": "s-1"}, {"status_id": "s-1"}, id="nothing but the date"),
    ],
)
def test_what_is_no_change_of_a_watched_value_is_not_remembered(database: Database, before: Row, after: Row) -> None:
    assert changed(database, before, after) == []


def test_changes_of_one_version_have_their_own_times(database: Database) -> None:
    stored(database, task(name="a"))
    run_id = database.another_run()
    stored(database, task(at=1, name="b", queue="First line"), now=minute(9), run_id=run_id)
    with reading(database.engine) as connection:
        found = connection.execute(select(task_changes).order_by(task_changes.c.field)).mappings().all()
    assert [row["field"] for row in found] == ["name", "queue"]
    assert {(row["changed_at"], row["seen_at"], row["run_id"]) for row in found} == {(minute(1), minute(9), run_id)}


@pytest.mark.parametrize(("at", "told"), [(0, None), (1, None), (2, 2), (9, 9), (10, 9)])
def test_a_change_has_the_date_of_its_version_if_that_is_newer(database: Database, at: int, told: int | None) -> None:
    """It is no later than the change was seen."""
    stored(database, task(at=1, name="a"))
    stored(database, task(at=at, name="b"), now=minute(9), run_id=database.another_run(), takes_back=True)
    with reading(database.engine) as connection:
        found = connection.execute(select(task_changes.c.changed_at)).scalars().all()
    assert found == [told and minute(told)]


def test_repeating_a_change_adds_nothing(database: Database) -> None:
    first, second = task(at=0, name="a"), task(at=1, name="b")
    stored(database, first)
    for _ in range(2):
        stored(database, second)
        stored(database, first, second)
    assert history(database) == [("name", None, None, "a", "b")]


def test_different_content_of_the_same_instant_is_a_change(database: Database) -> None:
    stored(database, task(name="a"))
    stored(database, task(name="b"))
    assert history(database) == [("name", None, None, "a", "b")]


def test_a_new_or_stale_version_is_no_change(database: Database) -> None:
    stored(database, task("stale", 1, name="a"), task("changed", 0, name="a"))
    stored(database, task("stale", 0, name="b"), task("changed", 1, name="b"), task("new", name="c"))
    with reading(database.engine) as connection:
        assert connection.execute(select(task_changes.c.task_id)).scalars().all() == ["changed"]


# Whatever a record holds


ODD = [
    pytest.param("x" * 300_000, id="300,000 characters"),
    pytest.param("".join(chr(0x4E00 + number % 20_000) for number in range(100_000)), id="100,000 that do not repeat"),
    pytest.param('O\'Brien "quoted" 100% :name %s %(name)s {} \\ -- ; drop table tasks', id="SQL's own characters"),
    pytest.param("line\r\nnext\ttab\x01\x7f\u2028", id="control characters"),
    pytest.param("Grüße 東京 🧑‍🔧 \u202eright to left \ufffd\uffff", id="of all planes"),
    pytest.param(" ", id="blank"),
]


@pytest.mark.parametrize("odd", ODD)
def test_text_comes_back_as_it_went_in(database: Database, odd: str) -> None:
    row = task(name=odd, ref_id=odd, queue=odd, case_id="c", raw=json.dumps({odd: odd}))
    stored(database, Batch([row], cases=[case("c", odd)]))
    assert stored(database, Batch([row], cases=[case("c", odd)])) == Counts(unchanged=1)
    back = content(database)["t-1"]
    assert (back["name"], back["ref_id"], back["queue"], back["raw"]) == (odd, odd, odd, {odd: odd})
    assert content(database, cases)["c"]["ref_id"] == odd


@pytest.mark.parametrize(
    "moment",
    [datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC), NOW],
    ids=["first", "last", "now"],
)
def test_a_moment_of_any_year_comes_back_as_it_went_in(database: Database, moment: datetime) -> None:
    stored(database, task(due_at=moment, created_at=moment, updated_at=moment))
    row = content(database)["t-1"]
    assert (row["due_at"], row["created_at"], row["updated_at"]) == (moment, moment, moment)


def test_a_moment_is_cut_to_the_millisecond_not_rounded(database: Database) -> None:
    stored(database, task(due_at=NOW.replace(microsecond=999_999)))
    assert content(database)["t-1"]["due_at"] == NOW.replace(microsecond=999_000)


def test_a_moment_of_another_zone_is_kept_as_utc(database: Database) -> None:
    stored(database, task(due_at=NOW.astimezone(timezone(timedelta(hours=14)))))
    assert content(database)["t-1"]["due_at"].isoformat() == "2025-05-28T12:05:38.807000+00:00"


def test_a_moment_without_a_zone_is_a_slip_of_the_program(database: Database) -> None:
    with pytest.raises((StatementError, ValueError), match="has no time zone"):
        stored(database, task(due_at=datetime(2025, 1, 1)))  # noqa: DTZ001 the slip


def test_integers_of_any_size_stay_whole_in_raw(database: Database) -> None:
    raw = f'{{"number":{10**100 + 1}}}'
    stored(database, task(raw=raw))
    assert stored(database, task(raw=raw)) == Counts(unchanged=1)
    assert content(database)["t-1"]["raw"] == {"number": 10**100 + 1}


# What a database cannot hold


TOO_MUCH = '{"number":1e400000}'


def fitting(database: Database, *batches: Batch) -> tuple[Counts, list[Rejected]]:
    with database.engine.begin() as connection:
        return store_what_fits(connection, concatenate(batches), run_id=database.run_id, now=NOW)


def test_records_that_fit_are_stored_in_one_go(database: Database) -> None:
    assert fitting(database, Batch([task("t-1")]), Batch([task("t-2")])) == (Counts(inserted=2), [])


def test_a_record_too_odd_for_postgresql_spares_its_batch(postgres_database: Database) -> None:
    batches = [Batch([task(f"t-{number}")]) for number in range(9)]
    batches[5] = Batch([task("too much", raw=TOO_MUCH)])
    counts, left_out = fitting(postgres_database, *batches)
    assert counts == Counts(inserted=8)
    assert left_out == [("the database cannot hold it: value overflows numeric format", "too much", TOO_MUCH)]
    assert set(content(postgres_database)) == {f"t-{number}" for number in range(9) if number != 5}


def test_the_text_of_what_does_not_fit_is_canonical(postgres_database: Database) -> None:
    _, left_out = fitting(postgres_database, Batch([task(raw='{"z": 1, "number": 1e400000}')]))
    assert [text for *_, text in left_out] == ['{"number":1e400000,"z":1}']


def test_a_status_too_odd_for_postgresql_rejects_its_record(
    postgres_database: Database,
) -> None:
    good = Batch([task("t-1", 0, status_id="s")], [named("s", 0, name="Open")])
    bad = Batch([task("t-2", 1, status_id="s")], [named("s", 1, name="Closed", raw=TOO_MUCH)])
    counts, left_out = fitting(postgres_database, good, bad)
    assert (counts, [key for _reason, key, _raw in left_out]) == (Counts(inserted=1), ["t-2"])
    assert content(postgres_database, statuses)["s"]["name"] == "Open"


def test_what_postgresql_cannot_hold_leaves_nothing_behind(postgres_database: Database) -> None:
    fitting(postgres_database, Batch([task(status_id="s", raw=TOO_MUCH)], [named("s")]))
    assert (content(postgres_database), content(postgres_database, statuses)) == ({}, {})


def test_any_other_failure_is_no_matter_of_one_record(database: Database) -> None:
    with pytest.raises(DatabaseError, match=r"(?i)foreign key"):
        fitting(database, Batch([task(status_id="nowhere")]), Batch([task("t-2")]))


# Whatever order the versions come in


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One state of a task; equal moments have equal content."""

    task: int
    minute: int
    status: int

    def rows(self) -> tuple[Row, Row]:
        status = named(f"s-{self.status}", self.minute, name=f"as it was at {self.minute}")
        return task(f"t-{self.task}", self.minute, name=f"at {self.minute}", status_id=status["_id"]), status


histories = some.lists(
    some.builds(Version, some.integers(1, 3), some.integers(0, 8), some.integers(1, 2)),
    min_size=1,
    max_size=12,
    unique_by=lambda version: (version.task, version.minute),
)


@some.composite
def deliveries(draw: Any) -> tuple[list[Version], list[list[Version]], list[list[Version]]]:
    """The versions of some tasks, and two ways in which they arrive: in any order, batches and repetition."""
    versions = draw(histories)
    return versions, draw(arrivals(versions)), draw(arrivals(versions))


@some.composite
def arrivals(draw: Any, versions: list[Version]) -> list[list[Version]]:
    again = draw(some.lists(some.sampled_from(versions), max_size=6))
    rest = draw(some.permutations([*versions, *again]))
    batches = []
    while rest:
        size = draw(some.integers(1, len(rest)))
        batches.append(rest[:size])
        rest = rest[size:]
    return batches


def deliver(connection: Connection, run_id: int, batches: list[list[Version]]) -> Counts:
    counts = Counts()
    for versions in batches:
        rows = [version.rows() for version in versions]
        batch = Batch([row for row, _status in rows], [status for _row, status in rows])
        counts += store(connection, batch, run_id=run_id, now=NOW)
    return counts


def state(connection: Connection) -> dict[str, Any]:
    found = {}
    for table, columns in ((tasks, ("name", "updated_at", "status_id")), (statuses, ("name", "seen_at"))):
        query = select(table.c["_id"], *(table.c[name] for name in columns)).order_by(table.c["_id"])
        found[table.name] = [tuple(row) for row in connection.execute(query)]
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(delivery=deliveries())
def test_the_newest_version_remains_in_any_order_and_repeated(
    database: Database, delivery: tuple[list[Version], list[list[Version]], list[list[Version]]]
) -> None:
    versions, one_way, another_way = delivery
    newest = {version.task: version for version in sorted(versions)}
    with database.engine.begin() as connection:
        delete_all(connection)
        counts = deliver(connection, database.run_id, one_way)
        reached = state(connection)
        again = deliver(connection, database.run_id, one_way)
        assert state(connection) == reached
        delete_all(connection)
        deliver(connection, database.run_id, another_way)
        assert state(connection) == reached
    assert {row[0]: row[1] for row in reached["tasks"]} == {
        f"t-{key}": f"at {version.minute}" for key, version in newest.items()
    }
    assert counts.inserted == len(newest)
    assert (again.inserted, again.updated, again.changes) == (0, 0, 0)
    total = sum(len(batch) for batch in one_way)
    assert counts.inserted + counts.updated + counts.unchanged + counts.stale + counts.repeated == total


DIGITS = ["1234567890.123456789012", "12345678901234567890.5", "1e400", "123456789012345678901234567890", "1.50", "-0"]


def test_every_digit_of_a_number_is_stored_and_read_again(database: Database) -> None:
    sent = f'{{"_id":"t-1","amounts":[{",".join(DIGITS)}]}}'
    made = transform(exact_json.read(sent), Stream(database.source_id, "s-1"))
    assert isinstance(made, TaskRows)
    assert stored(database, Batch([made.task])).inserted == 1
    assert stored(database, Batch([made.task])).unchanged == 1
    with reading(database.engine) as connection:
        written, read = connection.execute(select(cast(tasks.c.raw, Text), tasks.c.raw)).one()
    as_sent = [Decimal(number) for number in DIGITS]
    for text_of_raw in (written, canonical(read)):
        assert json.loads(text_of_raw, parse_float=Decimal, parse_int=Decimal)["amounts"] == as_sent


# --- what belongs to a task, in its history ---


def details(**values: Any) -> dict[str, list[dict[str, Any]]]:
    """Tags, a channel and custom fields as the rows of a task ``t-1``."""
    key = {"task_id": "t-1", "source_id": 1}
    blank = {"field_id": None, "name": None, "data_type": None, "number": None, "time": None}
    fields = [
        {**key, "position": place, "key": name, "text": value, **blank}
        for place, (name, value) in enumerate(values.get("fields", ()))
    ]
    tags = [{**key, "position": place, "tag": tag} for place, tag in enumerate(values.get("tags", ()))]
    channels = [{**key, "position": place, "channel": each} for place, each in enumerate(values.get("channels", ()))]
    return {"task_fields": fields, "task_tags": tags, "task_channels": channels}


def changes_of_details(database: Database) -> list[tuple[Any, ...]]:
    query = "select field, field_key, old_value, new_value from task_changes order by id"
    with reading(database.engine) as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_breaches_tags_channels_and_fields_have_a_history(database: Database) -> None:
    same, order = [("note", "x"), ("note", "y")], ("order", "7")
    versions = [
        (0, False, details(tags=["vip", "b2b"], channels=["rtm"], fields=[("group", "Router"), *same])),
        (1, True, details(tags=["b2b", "urgent"], channels=["rtm"], fields=[("group", "Phone"), *same])),
        (2, True, details(tags=["urgent", "b2b"], channels=["mail"], fields=[("note", "z"), ("note", "y"), order])),
    ]
    for place, breached, behind in versions:
        row = task("t-1", place, raw=f'{{"_id":"t-1","n":{place}}}', is_breached=breached)
        with database.engine.begin() as connection:
            store(connection, Batch([row], details=[behind]), run_id=database.run_id, now=minute(10 + place))
    assert changes_of_details(database) == [
        ("breached", None, "false", "true"),
        ("custom field", "group", "Router", "Phone"),
        ("tag", None, None, "urgent"),
        ("tag", None, "vip", None),
        ("channel", None, None, "mail"),
        ("channel", None, "rtm", None),
        ("custom field", "group", "Phone", None),
        ("custom field", "note", "x, y", "z, y"),
        ("custom field", "order", None, "7"),
    ]
    with reading(database.engine) as connection:
        moments = connection.execute(select(task_changes.c.changed_at).distinct()).scalars().all()
    assert sorted(moments) == [minute(1), minute(2)]


def test_a_new_task_has_no_history_of_its_tags(database: Database) -> None:
    rows = [task("t-1", 0, raw='{"_id":"t-1"}'), task("t-2", 0, raw='{"_id":"t-2"}')]
    with database.engine.begin() as connection:
        store(connection, Batch(rows[1:]), run_id=database.run_id, now=minute(1))
        changed = task("t-2", 1, raw='{"_id":"t-2","n":1}')
        batch = Batch([rows[0], changed], details=[details(tags=["vip"]), {}])
        store(connection, batch, run_id=database.run_id, now=minute(2))
    assert changes_of_details(database) == []


def test_a_record_in_another_spelling_is_unchanged(database: Database) -> None:
    first = '{"_id":"t-1","a":[1,2.50],"b":"\u00e9"}'
    stored(database, Batch([task("t-1", raw=first), task("t-2", raw=first)]))
    again, other = '{"b": "\\u00e9", "a": [1, 2.50], "_id": "t-1"}', '{"b":"e","a":[1,2.50],"_id":"t-1"}'
    found = stored(database, Batch([task("t-1", raw=again), task("t-2", raw=other)]))
    assert (found.unchanged, found.updated) == (1, 1)
    if database.engine.dialect.name == "sqlite":
        with reading(database.engine) as connection:
            query = select(cast(tasks.c.raw, Text)).order_by(tasks.c["_id"])
            assert list(connection.execute(query).scalars()) == [first, other]
