"""A session of PostgreSQL is the same whatever server, role and pooler say; it may end between two transactions."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, select, text

from etl.errors import DatabaseError
from etl.load.database.engine import open_engine, reading
from etl.load.database.locks import named_lock
from etl.load.ledger import runs, sources
from etl.load.schema import migrate as schema
from etl.load.schema import postgres_upkeep
from etl.load.schema.ledger_tables import sync_runs
from etl.load.schema.task_tables import tasks
from tests.integration.conftest import NOW, Database
from tests.pooler import Mode, Pooler

CLI = Callable[..., Any]
BY_TRANSACTION: list[Mode] = ["transaction", "transaction, oldest first"]


@pytest.fixture
def role(migrated_postgres_url: str, pg_server: Callable[[str], str]) -> Iterator[Callable[..., str]]:
    """A function that makes a role with settings, which owns a database with tables, and gives its URL."""
    name = f"role_{os.getpid()}"

    def make(**settings: str) -> str:
        with psycopg.connect(migrated_postgres_url.replace("+psycopg", ""), autocommit=True) as owner:
            owner.execute(f"create role {name} login superuser")
            for setting, value in settings.items():
                owner.execute(f"alter role {name} set {setting} = {value}")
        return migrated_postgres_url.replace("postgres:@", f"{name}@")

    yield make
    with psycopg.connect(pg_server("postgres").replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"drop role if exists {name}")


def shown(engine: Engine, name: str) -> Any:
    with reading(engine) as connection:
        return connection.execute(text(f"show {name}")).scalar()


@pytest.mark.parametrize(
    ("name", "set_to", "expected"),
    [
        ("datestyle", "'german, dmy'", "ISO, YMD"),
        ("datestyle", "'sql, mdy'", "ISO, YMD"),
        ("intervalstyle", "iso_8601", "postgres"),
        ("timezone", "'Asia/Kolkata'", "UTC"),
        ("client_encoding", "latin1", "UTF8"),
        ("bytea_output", "escape", "hex"),
        ("extra_float_digits", "0", "1"),
        ("standard_conforming_strings", "off", "on"),
        ("default_transaction_isolation", "serializable", "read committed"),
        ("row_security", "on", "off"),
        ("statement_timeout", "'1s'", "0"),
        ("idle_session_timeout", "'900ms'", "0"),
        ("idle_in_transaction_session_timeout", "'900ms'", "0"),
    ],
)
def test_a_setting_of_the_role_does_not_reach_the_session(
    role: Callable[..., str], name: str, set_to: str, expected: str
) -> None:
    engine = open_engine(role(**{name: set_to}))
    assert shown(engine, name) == expected
    engine.dispose()


@pytest.mark.parametrize("style", ["german", "sql", "postgres"])
def test_a_date_style_in_the_environment_does_not_reach_it(
    postgres_url: str, style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGDATESTYLE", style)
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")
    engine = open_engine(postgres_url)
    assert (shown(engine, "datestyle"), shown(engine, "timezone")) == ("ISO, YMD", "UTC")
    engine.dispose()


def test_records_are_compressed_the_cheapest_way_known(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    query = "select setting, 'lz4' = any(enumvals) from pg_settings where name = 'default_toast_compression'"
    with reading(engine) as connection:
        setting, has_lz4 = connection.execute(text(query)).one()
    assert setting == ("lz4" if has_lz4 else "pglz")
    engine.dispose()


def test_what_the_url_says_of_timeouts_and_schemas_counts(postgres_url: str) -> None:
    engine = open_engine(f"{postgres_url}&options=-cstatement_timeout%3D5s%20-csearch_path%3Dsupport")
    assert (shown(engine, "statement_timeout"), shown(engine, "search_path")) == ("5s", "support")
    engine.dispose()


def test_a_role_with_its_own_settings_stores_every_task(
    role: Callable[..., str], sandbox: CLI, environment: CLI, run_cli: CLI
) -> None:
    server = sandbox(tasks=60)
    url = role(
        datestyle="'german, dmy'", timezone="'Asia/Kolkata'", extra_float_digits="-3", intervalstyle="sql_standard",
        standard_conforming_strings="off", default_transaction_isolation="serializable", statement_timeout="'2s'",
        client_encoding="latin1",
    )  # fmt: skip
    done = run_cli("sync", env=environment(server, url))
    assert done.returncode == 0, done.stderr
    engine = open_engine(url)
    with reading(engine) as connection:
        found = dict(connection.execute(select(tasks.c["_id"], tasks.c.raw)).all())
    engine.dispose()
    assert found == {record["_id"]: record for record in server.tasks()}


def test_a_role_that_may_not_write_by_default_is_told(
    role: Callable[..., str], sandbox: CLI, environment: CLI, run_cli: CLI
) -> None:
    done = run_cli("sync", env=environment(sandbox(tasks=3), role(default_transaction_read_only="on")))
    assert done.returncode == 6
    assert "default_transaction_read_only to off" in done.stderr


def test_a_repeated_statement_is_planned_for_its_own_values(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with reading(engine) as connection:
        for value in range(20):
            connection.execute(text("select :value"), {"value": value})
        assert connection.execute(text("select count(*) from pg_prepared_statements")).scalar() == 0
    engine.dispose()


def test_a_session_ended_between_transactions_is_replaced(postgres_url: str) -> None:
    engine = open_engine(postgres_url)
    with reading(engine) as connection:
        own = connection.execute(text("select pg_backend_pid()")).scalar()
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as administrator:
        administrator.execute("select pg_terminate_backend(%s, 10000)", [own])
    with engine.begin() as connection:
        assert connection.execute(text("select pg_backend_pid()")).scalar() != own
    assert shown(engine, "datestyle") == "ISO, YMD"
    engine.dispose()


# Poolers


def test_a_sync_goes_through_a_pooler_that_pools_by_session(
    migrated_postgres_url: str, sandbox: CLI, environment: CLI, run_cli: CLI
) -> None:
    with Pooler(migrated_postgres_url, "session") as pooler:
        done = run_cli("sync", env=environment(sandbox(tasks=60), pooler.url))
    assert done.returncode == 0, done.stderr
    engine = open_engine(migrated_postgres_url)
    with reading(engine) as connection:
        assert len(connection.execute(select(tasks.c["_id"])).all()) == 60
    engine.dispose()


@pytest.mark.parametrize("mode", BY_TRANSACTION)
@pytest.mark.parametrize("command", ["sync", "check"])
def test_pooling_by_transaction_is_refused_with_the_remedy(
    postgres_url: str, sandbox: CLI, environment: CLI, run_cli: CLI, mode: Mode, command: str
) -> None:
    with Pooler(postgres_url, mode) as pooler:
        done = run_cli(command, env=environment(sandbox(tasks=3), pooler.url))
    assert done.returncode == 6
    assert "pool_mode = session" in done.stdout + done.stderr
    engine = open_engine(postgres_url)
    assert schema.current(engine) is None
    engine.dispose()


@pytest.mark.parametrize("mode", BY_TRANSACTION)
def test_no_lock_counts_as_held_where_sessions_are_shared(postgres_url: str, mode: Mode) -> None:
    with Pooler(postgres_url, mode, tells_the_servers_number=True) as pooler:
        engine = open_engine(pooler.url)
        with pytest.raises(DatabaseError, match="pool_mode = session"):
            named_lock(engine, "sync s-1").acquire(wait=False)
        engine.dispose()


# Sequences


def test_a_run_goes_on_where_sequences_are_behind(
    migrated_postgres_url: str, sandbox: CLI, environment: CLI, run_cli: CLI
) -> None:
    server = sandbox(tasks=30)
    settings = environment(server, migrated_postgres_url)
    assert run_cli("sync", env=settings).returncode == 0
    with psycopg.connect(migrated_postgres_url.replace("+psycopg", ""), autocommit=True) as administrator:
        for table in ("sources", "sync_runs", "sync_windows"):
            administrator.execute(f"select setval(pg_get_serial_sequence('{table}', 'id'), 1, false)")
    server.change(update=5)
    done = run_cli("sync", env=settings)
    assert done.returncode == 0, done.stderr


def test_sequences_that_are_not_behind_stay(postgres_database: Database) -> None:
    with postgres_database.engine.begin() as connection:
        ahead = connection.execute(text("select nextval(pg_get_serial_sequence('sync_runs', 'id'))")).scalar_one()
        postgres_upkeep.catch_up_sequences(connection)
    assert postgres_database.another_run() == ahead + 1


def test_an_empty_table_is_numbered_from_one(migrated_postgres_url: str) -> None:
    engine = open_engine(migrated_postgres_url)
    with engine.begin() as connection:
        postgres_upkeep.catch_up_sequences(connection)
        source = sources.register(
            connection, name="main", base_url="https://host", account_id="a-1", stream_id="s-1", now=NOW
        )
        assert runs.begin(connection, source.id, "sync", settings={}, now=NOW) == 1
        assert connection.execute(select(sync_runs.c.id)).scalars().all() == [1]
    engine.dispose()
