"""Statements about many rows, by the fastest way of each database: through the driver, without SQLAlchemy's overhead.

PostgreSQL has COPY. SQLite takes many rows in one insert and works on them without Python's lock, so another thread can
run meanwhile. Row after row, the two threads would wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Dialect, Table

from etl.api_record import Row
from etl.load.database.errors import mapped
from etl.load.database.types import Moment, to_text

_ROWS_AT_ONCE = (100, 25, 5, 1)  # rows of one insert: few sizes, so that each statement is prepared once


def fill(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, all with the columns of the first row; errors are mapped as for a statement.

    Columns in which no row has a value are left out, because drivers take long for None.
    """
    if not rows:
        return
    names = tuple(rows[0])
    values = {
        name: _with_text(column) if isinstance(table.c[name].type, Moment) else column
        for name, column in zip(names, zip(*map(itemgetter(*names), rows), strict=True), strict=True)
        if table.c[name].server_default is not None or column.count(None) < len(column)
    }
    insert = _copy if connection.dialect.name == "postgresql" else _insert
    insert(connection, table.name, tuple(values), [*zip(*values.values(), strict=True)])


def write_rows(connection: Connection, statement: Any, rows: Sequence[Row]) -> None:
    """Run a statement of ``insert_rows`` for rows; it is kept as text, so it is to be the same object each time."""
    kind: Any = type(connection.dialect)
    sql, names = _compiled(statement, kind)
    if names:
        connection.exec_driver_sql(sql, [tuple([_plain(row[name]) for name in names]) for row in rows])
    else:
        connection.exec_driver_sql(sql, {name: [_plain(row[name]) for row in rows] for name in rows[0]})


def _plain(value: Any) -> Any:
    return to_text(value) if isinstance(value, datetime) else value


def stored_ids(connection: Connection, table: Table, source_id: int, ids: Collection[str]) -> set[str]:
    """Return those ``_id`` of a source that a table has."""
    among, given = _among(connection, ids)
    query = f"select _id from {table.name} where source_id = {source_id:d} and _id {among}"  # noqa: S608 our own names
    return set(connection.exec_driver_sql(query, (given,)).scalars())


def tables_with_rows(connection: Connection, tables: Sequence[Table], source_id: int, ids: Collection[str]) -> set[str]:
    """Return the names of those tables that have a row behind one of a source's tasks."""
    among, given = _among(connection, ids)
    queries = [
        f"select '{table.name}' where exists"  # noqa: S608 our own names
        f" (select 1 from {table.name} where source_id = {source_id:d} and task_id {among})"
        for table in tables
    ]
    found = connection.exec_driver_sql(" union all ".join(queries), (given,) * len(tables))
    return set(found.scalars())


def _among(connection: Connection, ids: Collection[str]) -> tuple[str, Any]:
    """Return the condition that a text is one of some ids, and its parameter."""
    if connection.dialect.name == "postgresql":
        return "= any(%s)", [*ids]
    return "in (select value from json_each(?))", orjson.dumps([*ids]).decode()


@cache
def _compiled(statement: Any, dialect: type[Dialect]) -> tuple[str, tuple[str, ...]]:
    """Return a statement's text and the order of its parameters; without an order they go by name."""
    compiled = statement.compile(dialect=dialect())
    return str(compiled), tuple(compiled.positiontup or ())


def _with_text(moments: Iterable[datetime | None]) -> list[str | None]:
    """Return times as text that both databases read."""
    return [None if moment is None else to_text(moment) for moment in moments]


def _insert(connection: Connection, table: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    driver: Any = connection.connection.driver_connection
    with mapped(connection), closing(driver.cursor()) as cursor:
        start = 0
        for many in _ROWS_AT_ONCE:
            while start + many <= len(rows):
                some = chain.from_iterable(rows[start : start + many])
                cursor.execute(_statement(table, names, many), tuple(some))
                start += many


@cache
def _statement(table: str, names: tuple[str, ...], rows: int) -> str:
    marks = f"({', '.join('?' * len(names))})"
    return f"insert into {table} ({', '.join(names)}) values {', '.join([marks] * rows)}"  # noqa: S608 our own names


def _copy(connection: Connection, table: str, names: Sequence[str], values: Iterable[Sequence[Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    statement = f"copy {table} ({', '.join(names)}) from stdin"
    with mapped(connection), driver.cursor() as cursor, cursor.copy(statement) as copy:
        write: Callable[[Sequence[Any]], None] = copy.write_row
        for row in values:
            write(row)
