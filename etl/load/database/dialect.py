"""What differs between the dialects' statements: ``on_conflict_do_update``, rows by ids, temporary tables, options.

A dialect is slow to import, so only the needed one is imported. Options of tables and indexes as keywords of ``Table``
and ``Index`` would import both.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, BigInteger, Text, any_, bindparam, cast, func, literal, select, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from sqlalchemy import ColumnElement, Connection, Dialect, MetaData, Table
    from sqlalchemy.sql.compiler import SQLCompiler

_MOST_PARAMETERS = 500

# An index for text without a length limit in the API: PostgreSQL's btree refuses some 2,700 bytes.
ANY_LENGTH = {"index_method": "hash"}
# An index of the few rows that each run reads.
IS_FORGOTTEN = {"where": "forgotten_at is not null"}


def insert_into(connection: Connection, table: Table) -> Any:
    """Return the insert of the connection's dialect."""
    return insert_by(connection.dialect.name, table)


def insert_by(dialect: str, table: Table) -> Any:
    """Return the insert for a dialect's name, for statements that are made once and kept."""
    if dialect == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


def insert_rows(dialect: str, table: Table, names: Sequence[str]) -> Any:
    """Return the insert of rows that ``write_rows`` gives: on SQLite one after the other, on PostgreSQL all at once.

    PostgreSQL gets a list of texts for each column. It would plan a statement again for each row.
    """
    insert = insert_by(dialect, table)
    if dialect != "postgresql":
        return insert.values({name: bindparam(name) for name in names})
    lists = [cast(bindparam(name), ARRAY(Text)) for name in names]
    given = func.unnest(*lists).table_valued(*names, name="given").render_derived()
    return insert.from_select(list(names), select(*(cast(given.c[name], table.c[name].type) for name in names)))


def by_ids(
    connection: Connection, column: ColumnElement[Any], ids: Iterable[str | int], *others: ColumnElement[Any]
) -> Iterator[tuple[ColumnElement[bool], ...]]:
    """Yield conditions that together select the rows with these ids, one for each column.

    PostgreSQL takes all ids as one value, which it parses and plans faster than many.
    """
    every, columns = list(ids), (column, *others)
    if connection.dialect.name == "postgresql":
        if every:
            yield tuple(each == any_(literal(every, ARRAY(column.type))) for each in columns)
        return
    for start in range(0, len(every), _MOST_PARAMETERS):
        some = every[start : start + _MOST_PARAMETERS]
        yield tuple(each.in_(some) for each in columns)


class by_no_index(FunctionElement[int]):  # noqa: N801 written like a function of SQL
    """A column by which SQLite is to use no index: without statistics it takes each value for a rare one."""

    inherit_cache = True
    type = BigInteger()
    name = "by_no_index"


@compiles(by_no_index)
def _on_postgresql(element: by_no_index, compiler: SQLCompiler, **options: Any) -> str:
    return compiler.process(element.clauses, **options)


@compiles(by_no_index, "sqlite")
def _on_sqlite(element: by_no_index, compiler: SQLCompiler, **options: Any) -> str:
    return f"+{compiler.process(element.clauses, **options)}"  # https://www.sqlite.org/optoverview.html


def create_temporary(connection: Connection, table: Table) -> None:
    """Make a temporary table for this connection if it does not exist, and empty it."""
    kind: Any = type(connection.dialect)
    connection.exec_driver_sql(_creation(kind, table))
    connection.exec_driver_sql(f"delete from {table.name}")  # noqa: S608 our own name


@cache  # by its class: a cache keyed by a dialect would keep it in memory after its engine
def _creation(kind: type[Dialect], table: Table) -> str:
    if kind.name == "postgresql":
        # This empties the table's file at each commit; deleted rows would stay in it as dead rows.
        table.dialect_options["postgresql"]["on_commit"] = "DELETE ROWS"
    return str(CreateTable(table, if_not_exists=True).compile(dialect=kind()))


def set_index_options(metadata: MetaData, connection: Connection, **_others: Any) -> None:
    """Give each index the method and the condition of its ``info``, before the models make tables."""
    dialect = connection.dialect.name
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if "index_method" in index.info and dialect == "postgresql":
            index.dialect_options[dialect]["using"] = index.info["index_method"]
        if "where" in index.info:
            index.dialect_options[dialect]["where"] = text(index.info["where"])
