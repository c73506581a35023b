"""The dialect's insert, which knows what to do where a row's key is taken: the one place where it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def insert_into(connection: Connection, table: Table) -> Any:
    """Return the insert whose ``on_conflict_do_update`` both databases spell alike."""
    return insert_by(connection.dialect.name, table)


def insert_by(dialect: str, table: Table) -> Any:
    """Return the same for a dialect's name: of what is made once and kept."""
    # A dialect takes long to import: only that of the database at hand is.
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
