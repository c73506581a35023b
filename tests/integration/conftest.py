"""A database with its tables, a source and a run, for what is tested of etl.load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from etl.load.database.engine import open_engine
from etl.load.ledger import runs, sources

NOW = datetime(2025, 5, 28, 12, 5, 38, 807_000, tzinfo=UTC)


def minute(number: float) -> datetime:
    """So many minutes after NOW."""
    return NOW + timedelta(minutes=number)


@dataclass(frozen=True, slots=True)
class Database:
    engine: Engine
    source_id: int
    run_id: int

    def another_run(self, command: str = "sync") -> int:
        with self.engine.begin() as connection:
            return runs.begin(connection, self.source_id, command, settings={}, now=NOW)

    def another_source(self, stream_id: str, account_id: str = "a-1") -> int:
        with self.engine.begin() as connection:
            return sources.register(
                connection,
                name=stream_id,
                base_url="https://host",
                account_id=account_id,
                stream_id=stream_id,
                now=NOW,
            ).id


@contextmanager
def _database(url: str) -> Iterator[Database]:
    engine = open_engine(url)
    with engine.begin() as connection:
        source = sources.register(
            connection, name="main", base_url="https://host", account_id="a-1", stream_id="s-1", now=NOW
        )
        run_id = runs.begin(connection, source.id, "sync", settings={"overlap": "5m"}, now=NOW)
    yield Database(engine, source.id, run_id)
    engine.dispose()


@pytest.fixture
def database(migrated_url: str) -> Iterator[Database]:
    """A fresh database with one source, on which one run is at work: once SQLite, once PostgreSQL."""
    with _database(migrated_url) as database:
        yield database


@pytest.fixture
def sqlite_database(migrated_sqlite_url: str) -> Iterator[Database]:
    """The same, for what only SQLite can show."""
    with _database(migrated_sqlite_url) as database:
        yield database


@pytest.fixture
def postgres_database(migrated_postgres_url: str) -> Iterator[Database]:
    """The same, for what only PostgreSQL can show."""
    with _database(migrated_postgres_url) as database:
        yield database
