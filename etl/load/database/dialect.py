"""Chooses the dialect's insert, which has ``on_conflict_do_update``; no other module chooses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table


def insert_into(connection: Connection, table: Table) -> Any:
    """Return the insert of the connection's dialect."""
    return insert_by(connection.dialect.name, table)


def insert_by(dialect: str, table: Table) -> Any:
    """Return the insert for a dialect's name, for statements that are made once and kept."""
    # A dialect is slow to import, so only the needed one is imported.
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)
