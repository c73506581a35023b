"""Erasing for good: what a database has deleted may still stand in its files."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@contextmanager
def erasing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a writing transaction that leaves nothing of what it deletes in a SQLite file."""
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
    """Have the database let go of old versions of rows: SQLite's log is emptied, PostgreSQL's tables are vacuumed."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            _pragma(connection, "wal_checkpoint(TRUNCATE)")
            return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"vacuum {', '.join(tables)}")


def _pragma(connection: Connection, pragma: str) -> None:
    # Outside of any transaction, where SQLAlchemy would begin one.
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - the connection is open
    driver.execute(f"PRAGMA {pragma}").close()
