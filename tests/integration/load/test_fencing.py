"""A run that lost its lock stores nothing once another run has taken over its source."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine, select

from etl.load.database.engine import open_engine, reading
from etl.load.schema.ledger_tables import sync_runs
from etl.load.schema.task_tables import tasks

CLI = Callable[..., Any]


def take_the_locks_away(url: str, folder: Path) -> None:
    """Do what an administrator, a firewall or a cleaning script may do while a run is at work."""
    if url.startswith("sqlite"):
        for path in folder.glob("*.lock-*"):
            path.unlink()
        return
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as administrator:
        administrator.execute(
            "select pg_terminate_backend(pid) from pg_locks join pg_database on pg_database.oid = database"
            " where locktype = 'advisory' and datname = current_database()"
        )


def number_of_runs(engine: Engine) -> int:
    with reading(engine) as connection:
        return len(connection.execute(select(sync_runs.c.id)).all())


def test_a_run_without_its_lock_stops_when_another_takes_over(
    migrated_url: str, sandbox: CLI, environment: CLI, run_cli: CLI, start_cli: CLI, tmp_path: Path
) -> None:
    server = sandbox(tasks=400, cap=20, latency_ms=80)
    settings = environment(server, migrated_url)
    engine = open_engine(migrated_url)
    first = start_cli("sync", "--workers", "1", env=settings)
    while server.request_count < 12:
        time.sleep(0.01)
    server.configure(latency_ms=500)  # the first run must still be at work when the second one begins
    take_the_locks_away(migrated_url, tmp_path)
    second = start_cli("sync", env=settings)
    while number_of_runs(engine) < 2 and first.poll() is None:
        time.sleep(0.01)
    server.configure(latency_ms=0)
    (said, told) = (each.communicate(timeout=60)[1] for each in (first, second))
    assert (first.returncode, second.returncode) == (75, 0), said + told
    assert "another run has taken over from run 1" in said
    with reading(engine) as connection:
        (old, new) = connection.execute(select(sync_runs).order_by(sync_runs.c.id)).all()
        stored_late = select(tasks.c["_id"]).where(tasks.c.run_id == old.id, tasks.c.stored_at >= new.started_at)
        assert connection.execute(stored_late).all() == []
        assert len(connection.execute(select(tasks.c["_id"])).all()) == 400
    engine.dispose()
    assert (old.state, old.finished_at, new.state) == ("abandoned", new.started_at, "finished")
