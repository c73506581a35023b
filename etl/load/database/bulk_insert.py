"""Inserts many new rows by the fastest way of each database, through the driver and without SQLAlchemy's overhead.

PostgreSQL has COPY. SQLite takes many rows in one insert and works on them without Python's lock, so another thread can
run meanwhile. Row after row, the two threads would wait for each other.
"""

from __future__ import annotations

from contextlib import closing
from functools import cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from etl.api_record import Row
from etl.load.database.errors import mapped
from etl.load.database.types import Moment, to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from sqlalchemy import Connection, Table


_ROWS_AT_ONCE = (25, 5, 1)  # rows of one insert: few sizes, so that each statement is prepared once


def fill(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, all with the columns of the first row; errors are mapped as for a statement."""
    if not rows:
        return
    names = tuple(rows[0])
    values = _plain(rows, names, table)
    if connection.dialect.name == "postgresql":
        _copy(connection, table.name, names, values)
        return
    _insert(connection, table.name, names, values)


def _insert(connection: Connection, table: str, names: tuple[str, ...], values: list[Sequence[Any]]) -> None:
    driver: Any = connection.connection.driver_connection
    with mapped(connection), closing(driver.cursor()) as cursor:
        for many in _ROWS_AT_ONCE:
            while len(values) >= many:
                some, values = values[:many], values[many:]
                cursor.execute(_statement(table, names, many), tuple(chain.from_iterable(some)))


def _plain(rows: Iterable[Row], names: tuple[str, ...], table: Table) -> list[Sequence[Any]]:
    """Return the values of each row, with times as text that both databases read."""
    moments = [place for place, name in enumerate(names) if isinstance(table.c[name].type, Moment)]
    values: list[Any] = [*map(itemgetter(*names), rows)]
    return [*_with_text(values, moments)] if moments else values


def _with_text(values: Iterable[Sequence[Any]], moments: Sequence[int]) -> Iterator[Sequence[Any]]:
    for row in values:
        changed = list(row)
        for place in moments:
            if changed[place] is not None:
                changed[place] = to_text(changed[place])
        yield changed


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
