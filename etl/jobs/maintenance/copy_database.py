"""Copies a database into an empty one of either kind; this also upgrades a database of kore-etl 0.1.0.

One snapshot of the source is read and written in one transaction of the target. The target then holds the same rows,
or none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Date, Engine, Table, Text, cast, delete, select

from etl.errors import ConfigError
from etl.jobs.maintenance import upgrade_from_0_1
from etl.load.database.bulk_statements import fill
from etl.load.database.errors import place
from etl.load.database.types import JsonText
from etl.load.schema import migrate, postgres_upkeep
from etl.load.schema.ledger_tables import request_budgets
from etl.load.schema.task_tables import metadata

_AT_ONCE = 500  # rows that are held at a time
# The requests that count are those of the database that is used, by its clock.
_COPIED = [table for table in metadata.sorted_tables if table is not request_budgets]


def copy_database(
    source: Engine, target: Engine, told: Callable[[str, int], None], *, replace: bool = False
) -> dict[str, int]:
    """Fill an empty target with the rows of the source, and return how many of each table; ``told`` hears as it goes.

    ``replace`` deletes the rows of the target first, in the same transaction.

    Raises:
        ConfigError: the target holds rows already.
        DatabaseError: the source's schema is neither this version's nor that of 0.1.0, or a database cannot be used.
    """
    is_old = migrate.current(source) == migrate.OF_0_1_0
    if not is_old:
        migrate.require_newest(source, migrate=False)
    migrate.require_newest(target, migrate=True)
    copied = {}
    with _one_state(source) as reader, target.begin() as writer:
        if replace:
            for table in reversed(_COPIED):
                writer.execute(delete(table))
        else:
            _refuse_filled(writer)
        for table in _COPIED:
            if is_old and table in upgrade_from_0_1.DERIVED:
                continue
            name = f"{table.name}"  # plain text, which SQLAlchemy's is not quite
            copied[name] = _copy(reader, writer, table, is_old=is_old)
            told(name, copied[name])
        postgres_upkeep.catch_up_sequences(writer)
        if is_old:
            upgrade_from_0_1.derive(writer)
    return copied


@contextmanager
def _one_state(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees the database as it is now, whatever is written meanwhile."""
    options = {"isolation_level": "REPEATABLE READ"} if engine.dialect.name == "postgresql" else {}
    with engine.connect().execution_options(sqlite_begin="DEFERRED", **options) as connection, connection.begin():
        yield connection


def _refuse_filled(connection: Connection) -> None:
    for table in _COPIED:
        if connection.execute(select(1).select_from(table).limit(1)).first() is not None:
            message = f"{place(connection.engine.url)}: its table {table.name} holds rows already"
            raise ConfigError(f"{message}; add --replace to delete them, or choose an empty database")


def _copy(reader: Connection, writer: Connection, table: Table, *, is_old: bool) -> int:
    if is_old:
        rows = upgrade_from_0_1.old_rows(table, _as_it_is)
    else:
        stored = (column for column in table.columns if column.computed is None)
        rows = select(*(_as_it_is(column) for column in stored)).order_by(*table.primary_key)
    number = 0
    found = reader.execution_options(yield_per=_AT_ONCE).execute(rows)
    for some in found.mappings().partitions():
        fill(writer, table, [upgrade_from_0_1.today(dict(row)) if is_old else dict(row) for row in some])
        number += len(some)
    return number


def _as_it_is(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Take JSON and days as the text that they are written in."""
    if isinstance(column.type, JsonText | Date):
        return cast(column, Text).label(column.name)
    return column
