"""Erases data permanently: deleted rows may still stand in the database's files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine

from etl.load.database.engine import set_pragma, with_pragma


@contextmanager
def erasing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a writing transaction that overwrites deleted rows in a SQLite file."""
    with with_pragma(engine, "secure_delete", "ON", "OFF") as connection, connection.begin():
        yield connection


def scrub(engine: Engine, tables: Iterable[str]) -> None:
    """Remove old versions of rows: empty SQLite's log, vacuum PostgreSQL's tables."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            set_pragma(connection, "wal_checkpoint(TRUNCATE)")
            return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"vacuum {', '.join(tables)}")
