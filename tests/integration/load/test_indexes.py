"""A first load goes without the indexes that it does not ask by, and a run that comes to its end leaves them all."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.engine import make_url

from etl.errors import DatabaseError
from etl.load.database.engine import open_engine, reading
from etl.load.database.locks import held, named_lock
from etl.load.schema import deferred_indexes, migrate
from etl.load.schema.task_tables import CHILDREN
from tests.integration.conftest import Database

A_TASK = """
insert into tasks (_id, source_id, stream_id, raw, first_seen_at, stored_at, run_id)
values ('t-1', 1, 's-1', '{}', '2025-05-28 12:05:38.807', '2025-05-28 12:05:38.807', 1)
"""


def missing(engine: Engine) -> list[str]:
    with reading(engine) as connection:
        return list(deferred_indexes.missing(connection))


def said(engine: Engine) -> Any:
    """All that the database tells of the indexes."""
    found = inspect(engine)
    return {
        table: {
            index["name"]: (index["column_names"], index["unique"], f"{index.get('dialect_options', {}).values()}")
            for index in found.get_indexes(table)
            if index["name"] != "ix_tasks_forgotten_at"
        }
        for table in ("tasks", "cases", "task_queues", "task_participants")
    }


def deferred(database: Database) -> list[str]:
    """What a first load defers; SQLite keeps its foreign keys, because it can add none to a table."""
    is_server = database.engine.dialect.name == "postgresql"
    return [*deferred_indexes.late(), *(deferred_indexes.late_keys() if is_server else ())]


def keys(engine: Engine) -> dict[str, Any]:
    found = inspect(engine)
    return {table: sorted(map(str, found.get_foreign_keys(table))) for table in ("tasks", "task_queues", "task_fields")}


def test_foreign_keys_are_made_again_as_they_were(postgres_database: Database) -> None:
    engine = postgres_database.engine
    before = keys(engine)
    deferred_indexes.put_off(engine)
    assert not any("case_id" in each for each in keys(engine)["tasks"])
    deferred_indexes.make_missing(engine)
    assert keys(engine) == before


def test_a_key_that_is_not_checked_is_missing(postgres_database: Database) -> None:
    engine, name = postgres_database.engine, "fk_tasks_case_id"
    key = "foreign key (case_id, source_id) references cases (_id, source_id)"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"alter table tasks drop constraint {name}")
        connection.exec_driver_sql(f"alter table tasks add constraint {name} {key} not valid")
    assert missing(engine) == [name]
    assert deferred_indexes.make_missing(engine) == 1
    assert missing(engine) == []


def test_they_are_made_again_as_they_were(database: Database) -> None:
    before = said(database.engine)
    assert deferred_indexes.put_off(database.engine)
    assert missing(database.engine) == deferred(database)
    assert all(table and not said(database.engine)[name] for name, table in before.items())
    assert deferred_indexes.make_missing(database.engine) == len(deferred(database))
    assert said(database.engine) == before
    assert deferred_indexes.make_missing(database.engine) == 0


def test_they_are_put_off_although_one_is_missing(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"drop index {next(iter(deferred_indexes.late()))}")
    assert deferred_indexes.put_off(database.engine)
    assert missing(database.engine) == deferred(database)


def test_they_stay_where_there_is_a_task(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.exec_driver_sql(A_TASK)
    assert not deferred_indexes.put_off(database.engine)
    assert missing(database.engine) == []


def test_each_made_index_stays_where_a_later_one_fails(sqlite_database: Database) -> None:
    engine, third = sqlite_database.engine, [*deferred_indexes.late()][2]
    deferred_indexes.put_off(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"create table {third} (one int)")
    with pytest.raises(DatabaseError, match=third):
        deferred_indexes.make_missing(engine)
    assert missing(engine) == [*deferred_indexes.late()][2:]


def test_they_stay_while_another_postgresql_session_reads(postgres_database: Database) -> None:
    engine = postgres_database.engine
    with engine.begin() as reader:
        reader.execute(text("select count(*) from tasks"))
        deferred_indexes.put_off(engine)
    assert missing(engine) == []


def test_one_run_at_a_time_makes_them(postgres_database: Database) -> None:
    engine = postgres_database.engine
    deferred_indexes.put_off(engine)
    with held(named_lock(engine, "indexes"), "the indexes"):
        assert deferred_indexes.make_missing(engine) == 0
    assert deferred_indexes.make_missing(engine) == len(deferred(postgres_database))


def test_making_them_ends_no_run_by_a_deadlock(postgres_database: Database) -> None:
    engine = postgres_database.engine
    with engine.begin() as connection:
        keys = {name: key for name, key in deferred_indexes.late_keys().items() if key.table in CHILDREN}
        for name, key in keys.items():
            connection.execute(text(f"alter table {key.table.name} drop constraint {name}"))
    with ThreadPoolExecutor() as threads, engine.connect() as storing:
        storing.execute(text("lock table tasks in row exclusive mode"))
        made = threads.submit(deferred_indexes.make_missing, engine)
        with engine.connect() as watching:
            waits = "select exists (select from pg_locks where relation = 'tasks'::regclass and not granted)"
            while not watching.execute(text(waits)).scalar():
                time.sleep(0.01)
        for table in CHILDREN:
            storing.execute(text(f"lock table {table.name} in row exclusive mode"))
        storing.commit()
        assert made.result() == len(keys)


def test_making_them_waits_for_no_run_that_only_reads(postgres_database: Database) -> None:
    engine = postgres_database.engine
    deferred_indexes.put_off(engine)
    with ThreadPoolExecutor() as threads, engine.connect() as reading_run:
        for table in ("cases", "tasks", *(each.name for each in CHILDREN)):
            reading_run.execute(text(f"select from {table}"))
        made = threads.submit(deferred_indexes.make_missing, engine)
        try:
            assert made.result(timeout=5) == len(deferred(postgres_database))
        finally:
            reading_run.rollback()


def test_they_stay_where_the_role_may_not_drop_them(postgres_database: Database) -> None:
    with postgres_database.engine.begin() as connection:
        connection.execute(text("create role clerk login"))
        connection.execute(text("grant select, insert, update, delete on all tables in schema public to clerk"))
    engine = open_engine(make_url(f"{postgres_database.engine.url}").set(username="clerk").render_as_string())
    try:
        deferred_indexes.put_off(engine)
        assert missing(engine) == []
        assert deferred_indexes.make_missing(engine) == 0
    finally:
        engine.dispose()
        with postgres_database.engine.begin() as connection:
            connection.execute(text("drop owned by clerk"))
            connection.execute(text("drop role clerk"))


def test_sqlite_keeps_temporary_tables_in_memory_again(sqlite_database: Database) -> None:
    deferred_indexes.put_off(sqlite_database.engine)
    deferred_indexes.make_missing(sqlite_database.engine)
    with reading(sqlite_database.engine) as connection:
        assert connection.exec_driver_sql("PRAGMA temp_store").scalar() == 2


class TestSyncing:
    """With the command itself, on a file: what it does to a server's database is the same."""

    @pytest.fixture
    def sync(
        self, sandbox: Callable[..., Any], environment: Callable[..., Any], sqlite_url: str, run_cli: Callable[..., Any]
    ) -> Callable[..., Any]:
        settings = environment(sandbox(tasks=300), sqlite_url)
        return lambda *arguments: run_cli(*(arguments or ("sync",)), env=settings)

    def test_a_first_sync_stores_without_them_and_ends_with_them(
        self, sync: Callable[..., Any], sqlite_url: str
    ) -> None:
        done = sync("sync", "-vv")
        assert done.returncode == 0
        assert f'"indexes.made", "run": 1, "indexes": {len(deferred_indexes.late())}' in done.stderr
        engine = open_engine(sqlite_url)
        assert missing(engine) == []
        assert migrate.differences(engine) == []
        engine.dispose()

    def test_those_that_a_killed_run_left_out_are_made_by_the_next(
        self, sync: Callable[..., Any], sqlite_url: str
    ) -> None:
        assert sync().returncode == 0
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            for name in deferred_indexes.late():
                connection.execute(f"drop index {name}")
        assert sync("db", "check").returncode == 0
        assert sync().returncode == 0
        engine = open_engine(sqlite_url)
        assert missing(engine) == []
        engine.dispose()

    def test_a_first_reconcile_has_them_before_it_compares(self, sync: Callable[..., Any]) -> None:
        said = sync("reconcile", "-vv").stderr
        assert 0 < said.index('"indexes.made"') < said.index('"reconcile.finished"')

    def test_they_can_be_made_by_hand(self, sync: Callable[..., Any], sqlite_url: str) -> None:
        assert sync("db", "upgrade").returncode == 0
        engine = open_engine(sqlite_url)
        deferred_indexes.put_off(engine)
        done = sync("db", "upgrade")
        assert f"made {len(deferred_indexes.late())} indexes that a first sync left out\n" in done.stderr
        assert missing(engine) == []
        assert "put off" not in sync("db", "upgrade").stderr
        engine.dispose()

    def test_an_index_that_fails_is_told_and_the_sync_goes_on(self, sync: Callable[..., Any], sqlite_url: str) -> None:
        assert sync().returncode == 0
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("drop index ix_tasks_state")
            connection.execute("create table ix_tasks_state (one int)")
        done = sync()
        assert done.returncode == 0
        assert "indexes.missing" in done.stderr
        assert "the next run makes them" in done.stderr
        with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as connection:
            connection.execute("drop table ix_tasks_state")
        assert "indexes.missing" not in sync().stderr
        engine = open_engine(sqlite_url)
        assert missing(engine) == []
        engine.dispose()
