"""Corrects PostgreSQL's sequences, which fall behind if a restore, a replication or a copy inserts rows with ids."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, text

from etl.load.schema.task_tables import metadata


def catch_up(connection: Connection) -> None:
    """Set each sequence behind the last id of its table; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(_statement()))


@cache
def _statement() -> str:
    tables = [table.name for table in metadata.sorted_tables if "id" in table.primary_key.columns]
    lasts = " union all ".join(f"select '{name}', max(id) from {name}" for name in tables)  # noqa: S608 our own names
    return f"""
select setval(pg_get_serial_sequence(name, 'id'), last)
  from ({lasts}) as tables (name, last)
 where last > coalesce(pg_sequence_last_value(pg_get_serial_sequence(name, 'id')::regclass), 0)
"""  # noqa: S608 as above
