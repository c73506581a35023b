"""A copied database holds what the other one held, from either kind to the other, and syncs go on in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from sqlalchemy import insert, select, text

from etl.load.database.engine import open_engine, reading
from etl.load.schema.ledger_tables import request_budgets, sync_runs
from etl.load.schema.task_tables import metadata


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables that are copied, by their keys."""
    engine = open_engine(url)
    with reading(engine) as connection:
        found = {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in metadata.sorted_tables
            if table is not request_budgets
        }
    engine.dispose()
    return {name: sorted(each, key=repr) for name, each in found.items()}


def test_the_copy_has_all_rows_and_the_next_sync_goes_on(
    database_url: str,
    request: Any,
    sandbox: Callable,
    environment: Callable,
    run_cli: Callable,
) -> None:
    other = "postgresql" if database_url.startswith("sqlite") else "sqlite"
    target_url = request.getfixturevalue(f"other_{other}_url")
    server = sandbox(tasks=300)
    for changes in ({}, {"update": 60, "insert": 5, "delete": 3}):
        requests.post(f"{server.url}/_sandbox/change", json=changes, timeout=30).raise_for_status()
        done = run_cli("sync", "--reconcile", env=environment(server, database_url))
        assert done.returncode == 0, done.stderr

    done = run_cli("db", "copy", "--to", target_url, "--output", "json", env={"KORE_ETL_DATABASE_URL": database_url})
    assert done.returncode == 0, done.stderr
    before = rows(database_url)
    assert rows(target_url) == before
    assert json.loads(done.stdout)["rows"] == {name: len(each) for name, each in before.items()}
    assert min(len(before[name]) for name in ("tasks", "task_changes", "watermarks", "daily_counts")) > 0

    requests.post(f"{server.url}/_sandbox/change", json={"insert": 2}, timeout=30).raise_for_status()
    done = run_cli("sync", "--output", "json", env=environment(server, target_url))
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)["sources"][0]
    assert run["inserted"] == 2
    assert run["requests"] < 5, "it read more than what is new"

    again = run_cli("db", "copy", "--to", target_url, env={"KORE_ETL_DATABASE_URL": database_url})
    assert again.returncode == 2
    assert "holds rows already" in again.stderr


@pytest.fixture
def other_sqlite_url(tmp_path: Path) -> str:
    """A second SQLite file, not there yet."""
    return f"sqlite:///{tmp_path / 'copy.db'}"


@pytest.fixture
def other_postgresql_url(pg_server: Callable[[str], str]) -> Any:
    """A second PostgreSQL database, empty."""
    administrator = pg_server("postgres").replace("+psycopg", "")
    with psycopg.connect(administrator, autocommit=True) as connection:
        connection.execute("CREATE DATABASE copied")
        yield pg_server("copied")
        connection.execute("DROP DATABASE copied WITH (FORCE)")


def test_a_copy_that_fails_leaves_nothing(sqlite_database: Any, other_sqlite_url: str, run_cli: Callable) -> None:
    # A key that leads nowhere: the copy refuses the row, after others were written.
    engine = sqlite_database.engine
    with engine.connect() as connection:
        connection.connection.driver_connection.execute("PRAGMA foreign_keys=OFF")
        with connection.begin():
            values = {"source_id": 99, "command": "sync", "state": "finished", "version": "0", "settings": "{}"}
            connection.execute(insert(sync_runs).values(started_at=text("'2025-01-01 00:00:00.000'"), **values))
    done = run_cli("db", "copy", "--to", other_sqlite_url, env={"KORE_ETL_DATABASE_URL": engine.url.render_as_string()})
    assert done.returncode == 6
    assert not any(rows(other_sqlite_url).values())
