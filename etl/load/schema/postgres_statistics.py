"""Has PostgreSQL count rows where its own process would come too late: it plans queries by these counts.

Without them it takes any condition for a rare one, and reads all of the change history for each task.
"""

from __future__ import annotations

from sqlalchemy import Connection, Table

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
