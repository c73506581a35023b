"""The migrations make the schema that the code works with, on both databases, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, insert, inspect, text

from etl.load import runs, schema, sources, watermarks, windows
from etl.load.engine import open_engine, reading
from etl.load.moment import Moment
from etl.load.rejected import Origin, keep
from etl.load.store import Batch, store
from etl.load.tables import metadata, task_changes, tasks

NOW = datetime(2025, 5, 28, 12, 5, 38, 807_000, tzinfo=UTC)
OVERVIEW = [
    *("_id", "ref_id", "case_id", "case_ref_id", "name", "status", "status_category", "priority", "assignee", "queue"),
    *("created_at", "updated_at", "due_at", "deleted_at", "stream_id"),
]


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    engine = open_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def migrated(engine: Engine) -> Engine:
    schema.upgrade(engine)
    return engine


@pytest.fixture
def from_models(request: pytest.FixtureRequest, database_url: str) -> Iterator[Engine]:
    """A second database, whose tables the models made themselves."""
    if database_url.startswith("sqlite"):
        url = database_url.replace(".db", "-models.db")
    else:
        url = request.getfixturevalue("pg_server")("models")
        with closing(sqlalchemy_admin(request)) as admin:
            admin.execute("drop database if exists models with (force)")
            admin.execute("create database models")
    engine = open_engine(url)
    metadata.create_all(engine)
    yield engine
    engine.dispose()


def sqlalchemy_admin(request: pytest.FixtureRequest) -> Any:
    import psycopg

    return psycopg.connect(request.getfixturevalue("pg_server")("postgres").replace("+psycopg", ""), autocommit=True)


def tables_and_views(engine: Engine) -> set[str]:
    found = inspect(engine)
    return {*found.get_table_names(), *found.get_view_names()}


def constraints(engine: Engine) -> dict[str, set[str | None]]:
    found = inspect(engine)
    return {
        table: {
            found.get_pk_constraint(table)["name"],
            *(key["name"] for key in found.get_foreign_keys(table)),
            *(key["name"] for key in found.get_unique_constraints(table)),
            *(index["name"] for index in found.get_indexes(table)),
        }
        for table in metadata.tables
    }


def shape(engine: Engine) -> dict[str, Any]:
    """All that the database itself tells of the tables of the models."""
    found = inspect(engine)
    return {table: _shape_of(found, table) for table in metadata.tables}


def _shape_of(found: Any, table: str) -> dict[str, Any]:
    columns = {
        column["name"]: (str(column["type"].compile(found.dialect)), column["nullable"], column["default"])
        for column in found.get_columns(table)
    }
    keys = {
        key["name"]: (key["constrained_columns"], key["referred_table"], key["referred_columns"])
        for key in found.get_foreign_keys(table)
    }
    uniques = {key["name"]: key["column_names"] for key in found.get_unique_constraints(table)}
    indexes = {index["name"]: (index["column_names"], index["unique"]) for index in found.get_indexes(table)}
    primary = found.get_pk_constraint(table)["constrained_columns"]
    return {
        "columns": columns,
        "order": list(columns),
        "keys": keys,
        "uniques": uniques,
        "indexes": indexes,
        "primary": primary,
    }


def types(engine: Engine, table: str) -> dict[str, str]:
    query = text(
        "select attname, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = cast(:name as regclass) and attnum > 0"
    )
    with reading(engine) as connection:
        return {row[0]: row[1] for row in connection.execute(query, {"name": table})}


def fill(connection: Connection) -> None:
    """Put a row into every table."""
    source = sources.register(
        connection, name="main", base_url="https://host", account_id="a-1", stream_id="s-1", now=NOW
    )
    run = runs.begin(connection, source.id, "sync", settings={"overlap": "5m"}, now=NOW)
    window = windows.open_window(
        connection, source_id=source.id, run_id=run, job="first", field="updatedAt",
        start=NOW - timedelta(days=1), end=NOW, reading="keyset", opened_at=NOW,
    )  # fmt: skip
    task = {
        column.name: None
        for column in tasks.columns
        if column.name not in ("first_seen_at", "stored_at", "run_id", "deleted_at")
    }
    named = {"_id": "st-1", "source_id": source.id, "name": "Open", "category": "open", "seen_at": NOW, "raw": "{}"}
    batch = Batch(
        [
            task
            | {
                "_id": "t-1",
                "source_id": source.id,
                "stream_id": "s-1",
                "case_id": "c-1",
                "status_id": "st-1",
                "priority_id": "p-1",
                "raw": "{}",
            }
        ],
        [named | {"type": None, "description": None, "is_enabled": True, "is_active": True}],
        [
            {
                "_id": "p-1",
                "source_id": source.id,
                "name": "High",
                "color": None,
                "score": 1.5,
                "type": None,
                "description": None,
                "is_enabled": True,
                "is_active": None,
                "seen_at": NOW,
                "raw": "{}",
            }
        ],
        [{"_id": "c-1", "source_id": source.id, "ref_id": "CS1", "seen_at": NOW}],
    )
    store(connection, batch, run_id=run, now=NOW)
    connection.execute(insert(task_changes).values(task_id="t-1", field="name", seen_at=NOW, run_id=run))
    keep(connection, [("_id is missing", None, "{}")], Origin(source.id, run, window), NOW)
    watermarks.advance(connection, source.id, NOW, run_id=run, now=NOW)


def counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {name: connection.execute(text(f"select count(*) from {name}")).scalar_one() for name in metadata.tables}


def test_models_and_the_migrated_schema_agree(migrated: Engine) -> None:
    assert schema.differences(migrated) == []


def test_a_difference_would_be_seen(migrated: Engine) -> None:
    with migrated.begin() as connection:
        connection.execute(text("drop index ix_tasks_due_at"))
    assert schema.differences(migrated) != []


def test_the_database_tells_the_same_of_migrated_tables_and_of_those_the_models_make(
    migrated: Engine, from_models: Engine
) -> None:
    assert shape(migrated) == shape(from_models)


def test_the_newest_migration_is_where_an_upgraded_database_is(migrated: Engine) -> None:
    assert schema.current(migrated) == schema.newest()


def test_constraints_have_equal_names_on_both_databases(sqlite_url: str, postgres_url: str) -> None:
    names = []
    for url in (sqlite_url, postgres_url):
        engine = open_engine(url)
        schema.upgrade(engine)
        names.append(constraints(engine))
        engine.dispose()
    assert names[0] == names[1]
    assert all(name for table in names[0].values() for name in table)


def test_moments_are_timestamptz_to_the_millisecond_on_postgresql(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    schema.upgrade(engine)
    found = {name: types(engine, name) for name in metadata.tables}
    engine.dispose()
    for name, table in metadata.tables.items():
        for column in table.columns:
            is_moment = isinstance(column.type, Moment)
            assert (found[name][column.name] == "timestamp(3) with time zone") == is_moment, column


def test_a_schema_with_rows_goes_down_and_up_again(migrated: Engine) -> None:
    before = shape(migrated)
    with migrated.begin() as connection:
        fill(connection)
    assert set(counts(migrated).values()) == {1}

    schema.downgrade(migrated, "base")
    assert tables_and_views(migrated) == {"alembic_version"}

    schema.upgrade(migrated)
    assert shape(migrated) == before
    assert set(counts(migrated).values()) == {0}


def test_upgrading_again_changes_nothing(migrated: Engine) -> None:
    with migrated.begin() as connection:
        fill(connection)
    schema.upgrade(migrated)
    assert set(counts(migrated).values()) == {1}


def test_task_overview_has_the_promised_columns_in_order(migrated: Engine) -> None:
    with migrated.begin() as connection:
        fill(connection)
        result = connection.execute(text("select * from task_overview"))
        assert list(result.keys()) == OVERVIEW
        row = result.one()
    assert (row.status, row.status_category, row.priority, row.case_ref_id) == ("Open", "open", "High", "CS1")
