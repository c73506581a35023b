"""Erases data permanently: deleted rows may still stand in the database's files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def erasing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a writing transaction that overwrites deleted rows in a SQLite file."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            _pragma(connection, "secure_delete=ON")
        try:
            with connection.begin():
                yield connection
        finally:
            if connection.dialect.name == "sqlite" and not connection.invalidated:
                _pragma(connection, "secure_delete=OFF")


def scrub(engine: Engine, tables: Sequence[str]) -> None:
    """Remove old versions of rows: empty SQLite's log, vacuum PostgreSQL's tables."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            _pragma(connection, "wal_checkpoint(TRUNCATE)")
            return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"vacuum {', '.join(tables)}")


def _pragma(connection: Connection, pragma: str) -> None:
    # SQLAlchemy would begin a transaction; this must run outside of one.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    driver.execute(f"PRAGMA {pragma}").close()
