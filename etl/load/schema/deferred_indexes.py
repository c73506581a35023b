"""Putting off the indexes that a first load does not ask by: made row by row they take longer than the rows themselves.

A run that finds no task drops them, and the next run that comes to its end makes what is missing: one after the other,
from all rows at once. Which are missing the database itself tells, so a run that is killed in between leaves nothing
behind but slower questions. Keys stay, for they are what keeps the rows exact.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, Index, bindparam, select, text
from sqlalchemy.schema import CreateIndex, DropIndex

from etl.errors import DatabaseError
from etl.load.database.dialect_options import set_index_options
from etl.load.database.engine import reading, sorting_in_files
from etl.load.schema.detail_tables import CHILDREN
from etl.load.schema.tables import cases, metadata, tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

_EACH_RUN_ASKS_BY = {"ix_tasks_forgotten_at"}
_NAMES = {
    "sqlite": "select name from sqlite_master where type = 'index' and name in :names",
    "postgresql": "select indexname from pg_indexes where schemaname = current_schema() and indexname in :names",
}


@cache
def late() -> dict[str, Index]:
    """Return the indexes that are put off, by name."""
    every = {f"{index.name}": index for table in (cases, tasks, *CHILDREN) for index in table.indexes}
    return {name: every[name] for name in sorted(every.keys() - _EACH_RUN_ASKS_BY)}


def put_off(engine: Engine) -> bool:
    """Drop them if there is no task yet, and tell whether there is none.

    Where another session is in the way, or the role may not drop them, they stay.
    """
    with reading(engine) as connection:
        if _holds_tasks(connection):
            return False
    with suppress(DatabaseError), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql("set local lock_timeout = '1s'")  # whoever reads waits behind this one
        if not _holds_tasks(connection):
            for index in late().values():
                connection.execute(DropIndex(index, if_exists=True))
    return True


def missing(connection: Connection) -> Sequence[str]:
    """Return the names of those that are put off now."""
    query = text(_NAMES[connection.dialect.name]).bindparams(bindparam("names", expanding=True))
    there = set(connection.execute(query, {"names": [*late()]}).scalars())
    return [name for name in late() if name not in there]


def make_missing(engine: Engine) -> int:
    """Make those that are put off, each in a transaction of its own, and return how many.

    Raises:
        DatabaseError: one cannot be made; the others before it are.
    """
    with reading(engine) as connection:
        names = missing(connection)
    if names:
        with sorting_in_files(engine) as connection:
            set_index_options(metadata, connection)
            for name in names:
                with connection.begin():
                    connection.execute(CreateIndex(late()[name], if_not_exists=True))
    return len(names)


def _holds_tasks(connection: Connection) -> bool:
    return connection.execute(select(tasks.c["_id"]).limit(1)).first() is not None
