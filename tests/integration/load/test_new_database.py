"""An empty database is made from the models and views, and is what the migrations would leave, on both databases."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text

from etl.errors import DatabaseError
from etl.load.database.engine import open_engine, reading
from etl.load.schema import migrate

SQLITE = "select type, name, tbl_name, sql from sqlite_master order by rowid"
POSTGRESQL = {
    "columns": """
        select table_name, column_name, ordinal_position, column_default, is_nullable, data_type, datetime_precision,
            is_identity, identity_generation
        from information_schema.columns where table_schema = 'public'
    """,
    "types": """
        select attrelid::regclass::text, attname, format_type(atttypid, atttypmod) from pg_attribute
        join pg_class on pg_class.oid = attrelid where relnamespace = 'public'::regnamespace and attnum > 0
    """,
    "constraints": """
        select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint
        where connamespace = 'public'::regnamespace
    """,
    "indexes": "select tablename, indexname, indexdef from pg_indexes where schemaname = 'public'",
    "views": "select viewname, definition from pg_views where schemaname = 'public'",
    "sequences": "select sequencename, data_type, start_value from pg_sequences where schemaname = 'public'",
    "comments": """
        select objoid::regclass::text, objsubid, description from pg_description
        where classoid = 'pg_class'::regclass and objoid >= 16384
    """,
}

Opener = Callable[[str], Engine]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens databases, closed after the test."""
    with ExitStack() as engines:

        def open_one(url: str) -> Engine:
            engine = open_engine(url)
            engines.callback(engine.dispose)
            return engine

        yield open_one


def all_of(engine: Engine) -> dict[str, Any]:
    """All that a database tells of its tables, their order within it left out where it tells none."""
    queries = {"all": SQLITE} if engine.dialect.name == "sqlite" else POSTGRESQL
    with reading(engine) as connection:
        found = {name: [tuple(row) for row in connection.execute(text(query))] for name, query in queries.items()}
    return {name: sorted(_tidy(row) for row in rows) for name, rows in found.items()}


def _tidy(row: Sequence[Any]) -> list[str]:
    """Alembic writes the keys of a table that SQLite makes anew in any order."""
    return ["\n".join(sorted(line.strip(" \t,") for line in f"{value}".split("\n"))) for value in row]


def test_an_empty_database_becomes_what_the_migrations_make(
    request: pytest.FixtureRequest, database_url: str, opened: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "alembic", None)  # nothing of it is asked for
    at_once = opened(database_url)
    migrate.require_newest(at_once, migrate=True)
    monkeypatch.undo()
    migrated = opened(another_database(request, database_url))
    migrate.upgrade(migrated, migrate.newest())
    assert all_of(at_once) == all_of(migrated), "the models or views differ from the migrations"
    assert migrate.differences(at_once) == []
    assert migrate.current(at_once) == migrate.newest()


def another_database(request: pytest.FixtureRequest, url: str) -> str:
    if url.startswith("sqlite"):
        return url.replace(".db", "-migrated.db")
    postgres: str = request.getfixturevalue("another_postgres_url")
    return postgres


def test_what_makes_them_differ_would_be_seen(database_url: str, opened: Opener) -> None:
    engine = opened(database_url)
    migrate.upgrade(engine)
    before = all_of(engine)
    with engine.begin() as connection:
        connection.execute(text("alter table tasks add column one_more text"))
    assert all_of(engine) != before


def test_tables_of_something_else_are_left_alone(database_url: str, opened: Opener) -> None:
    engine = opened(database_url)
    with engine.begin() as connection:
        connection.execute(text("create table tasks (what text)"))
        connection.execute(text("insert into tasks values ('to do')"))
    with pytest.raises(DatabaseError, match="tables of something else"):
        migrate.upgrade(engine)
    assert inspect(engine).get_table_names() == ["tasks"]
    with reading(engine) as connection:
        assert connection.execute(text("select what from tasks")).scalars().all() == ["to do"]


def test_a_database_downgraded_to_nothing_migrates_again(database_url: str, opened: Opener) -> None:
    engine = opened(database_url)
    migrate.upgrade(engine)
    before = all_of(engine)
    migrate.downgrade(engine, "base")
    migrate.upgrade(engine)
    assert all_of(engine) == before
