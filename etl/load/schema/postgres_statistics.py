"""Has PostgreSQL count rows where its own process would come too late: it plans queries by these counts.

Without them it takes any condition for a rare one, and reads all of the change history for each batch.
"""

from __future__ import annotations

from contextlib import suppress

from sqlalchemy import Engine

from etl.errors import DatabaseError
from etl.load.schema.task_tables import metadata

_UNCOUNTED = """
select relname from pg_class where relnamespace = current_schema()::regnamespace and relkind = 'r'
and reltuples <= 0 and pg_relation_size(oid) > 0
"""


def count_rows(engine: Engine, *, only_uncounted: bool = False) -> None:
    """Have PostgreSQL count the rows of our tables, all or those that were empty when it last did; not on SQLite."""
    if engine.dialect.name != "postgresql":
        return
    with suppress(DatabaseError), engine.begin() as connection:
        connection.exec_driver_sql("set local lock_timeout = '1s'")
        names = {*metadata.tables}
        if only_uncounted:
            names &= {*connection.exec_driver_sql(_UNCOUNTED).scalars()}
        if names:
            connection.exec_driver_sql(f"analyze {', '.join(sorted(names))}")
