"""Defers indexes until the end of a first load: filled row by row they take longer than the rows themselves.

A run that finds no task drops them. The next run that ends makes the missing ones, each from all rows at once. The
database's catalogue tells which are missing, so a killed run leaves only slower queries behind. On PostgreSQL foreign
keys wait, too, because a check of each row costs as much as the rows. Primary keys stay: they keep the rows exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cache

from sqlalchemy import Connection, Engine, Executable, ForeignKeyConstraint, Index, bindparam, select, text
from sqlalchemy.schema import CreateIndex, DropIndex

from etl.errors import DatabaseError, LockedError
from etl.load.database.dialect import set_index_options
from etl.load.database.engine import reading, sorting_in_files
from etl.load.database.locks import held, named_lock
from etl.load.schema.dimension_tables import cases
from etl.load.schema.postgres_upkeep import count_rows
from etl.load.schema.task_tables import CHILDREN, metadata, tasks

_EACH_RUN_ASKS_BY = {"ix_tasks_forgotten_at"}
# In all less than the second after which PostgreSQL ends a deadlock: so it never ends a run that stores meanwhile.
_PATIENCE = "set local statement_timeout = '500ms'"
_NAMES = {
    "sqlite": "select name from sqlite_master where type = 'index' and name in :names",
    "postgresql": """
        select indexname from pg_indexes where schemaname = current_schema() and indexname in :names
        union all
        select conname from pg_constraint
        where connamespace = current_schema()::regnamespace and convalidated and conname in :names
    """,
}


@cache
def late() -> dict[str, Index]:
    """Return the indexes that a first load defers, by name."""
    every = {f"{index.name}": index for table in (cases, tasks, *CHILDREN) for index in table.indexes}
    return {name: every[name] for name in sorted(every.keys() - _EACH_RUN_ASKS_BY)}


@cache
def late_keys() -> dict[str, ForeignKeyConstraint]:
    """Return the foreign keys that a first load defers on PostgreSQL, by name."""
    return {f"{key.name}": key for table in (tasks, *CHILDREN) for key in table.foreign_key_constraints}


def put_off(engine: Engine) -> bool:
    """Drop the indexes if there is no task yet, and tell whether there is none.

    They stay if another session holds a lock or the role may not drop them.
    """
    with reading(engine) as connection:
        if _holds_tasks(connection):
            return False
    with suppress(DatabaseError), engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(_PATIENCE)  # readers wait behind the next statement
            tables = {key.referred_table.name: None for key in late_keys().values()}
            tables |= {table.name: None for table in (tasks, *CHILDREN)}
            connection.exec_driver_sql(f"lock table {', '.join(tables)} in access exclusive mode")
            connection.exec_driver_sql("set local statement_timeout = 0")
        if not _holds_tasks(connection):
            for index in late().values():
                connection.execute(DropIndex(index, if_exists=True))
            for name, key in late_keys().items() if connection.dialect.name == "postgresql" else ():
                connection.exec_driver_sql(f"alter table {key.table.name} drop constraint if exists {name}")
    return True


def missing(connection: Connection) -> Sequence[str]:
    """Return the names of the missing indexes, and of the foreign keys that are missing or not checked yet."""
    names = [*late(), *(late_keys() if connection.dialect.name == "postgresql" else ())]
    query = text(_NAMES[connection.dialect.name]).bindparams(bindparam("names", expanding=True))
    there = set(connection.execute(query, {"names": names}).scalars())
    return [name for name in names if name not in there]


def make_missing(engine: Engine) -> int:
    """Make what is missing, each in its own transaction, and return how many; none while another run makes them.

    Raises:
        DatabaseError: one cannot be made; those before it exist.
    """
    with suppress(LockedError), _alone(engine):
        with reading(engine) as connection:
            names = missing(connection)
        if names:
            with sorting_in_files(engine) as connection:
                set_index_options(metadata, connection)
                for name in names:
                    _make(connection, name)
            with engine.begin() as connection:
                count_rows(connection)  # the next changes are planned by them
        return len(names)
    return 0


def _alone(engine: Engine) -> AbstractContextManager[None]:
    """Let one run at a time make indexes. SQLite has one writer at a time anyway."""
    is_server = engine.dialect.name == "postgresql"
    return held(named_lock(engine, "indexes"), "the indexes") if is_server else nullcontext()


def _make(connection: Connection, name: str) -> None:
    for statement in _making(name):
        with connection.begin():
            if name not in late():
                connection.execute(_locking(late_keys()[name]))
            connection.execute(statement)


def _locking(key: ForeignKeyConstraint) -> Executable:
    """Lock both tables in the order in which runs store rows, so that no deadlock ends one of these."""
    return text(f"lock table {key.referred_table.name}, {key.table.name} in share row exclusive mode")


def _making(name: str) -> Sequence[Executable]:
    if name in late():
        return [CreateIndex(late()[name], if_not_exists=True)]
    key = late_keys()[name]
    own, others = ", ".join(key.column_keys), ", ".join(each.column.name for each in key.elements)
    alter = f"alter table {key.table.name}"
    foreign = f"foreign key ({own}) references {key.referred_table.name} ({others})"
    is_there = f"select from pg_constraint where conname = '{name}' and connamespace = current_schema()::regnamespace"
    add = f"{alter} add constraint {name} {foreign} not valid"
    return [
        text(f"do $$ begin if not exists ({is_there}) then {add}; end if; end $$"),
        text(f"{alter} validate constraint {name}"),  # readers and writers go on meanwhile
    ]


def _holds_tasks(connection: Connection) -> bool:
    return connection.execute(select(tasks.c["_id"]).limit(1)).first() is not None
