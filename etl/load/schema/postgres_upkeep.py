"""Has PostgreSQL count rows and correct its sequences where it would not do so by itself in time.

It plans queries by the counts. Without them it takes any condition for a rare one, and reads all of the change history
for each task. Sequences fall behind if a restore, a replication or a copy inserts rows with ids.
"""

from __future__ import annotations

from functools import cache

from sqlalchemy import Connection, Table, text

from etl.load.schema.task_tables import metadata

_IS_UNCOUNTED = "select reltuples <= 0 from pg_class where oid = %s::regclass"


def count_rows(connection: Connection, *tables: Table) -> None:
    """Have PostgreSQL count the rows of tables, without any those of all tables; not on SQLite.

    The counts hold in the transaction too. A table that is being counted or vacuumed is left out.
    """
    if connection.dialect.name == "postgresql":
        names = sorted(table.name for table in tables or metadata.tables.values())
        connection.exec_driver_sql(f"analyze (skip_locked) {', '.join(names)}")


def count_first_rows(connection: Connection, table: Table) -> None:
    """Count the rows of a table if it was empty when they were last counted."""
    is_server = connection.dialect.name == "postgresql"
    if is_server and connection.exec_driver_sql(_IS_UNCOUNTED, (table.name,)).scalar():
        count_rows(connection, table)


def catch_up_sequences(connection: Connection) -> None:
    """Set each sequence behind the last id of its table; SQLite does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(_sequence_statement()))


@cache
def _sequence_statement() -> str:
    tables = [table.name for table in metadata.sorted_tables if "id" in table.primary_key.columns]
    lasts = " union all ".join(f"select '{name}', max(id) from {name}" for name in tables)  # noqa: S608 our own names
    return f"""
select setval(pg_get_serial_sequence(name, 'id'), last)
  from ({lasts}) as tables (name, last)
 where last > coalesce(pg_sequence_last_value(pg_get_serial_sequence(name, 'id')::regclass), 0)
"""  # noqa: S608 as above
