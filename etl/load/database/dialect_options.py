"""What is said of tables and indexes in a dialect's own words.

As keywords of ``Table`` and ``Index`` they would have its dialect imported wherever the tables are, and that takes
longer than all else that a sync on SQLite imports of SQLAlchemy's dialects.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.schema import CreateTable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect, MetaData, Table

# An index for text that the API does not limit: PostgreSQL's btree refuses some 2,700 bytes.
ANY_LENGTH = {"index_method": "hash"}
# Of the few rows that are asked for by each run.
IS_FORGOTTEN = {"where": "forgotten_at is not null"}


def create_temporary(connection: Connection, table: Table) -> None:
    """Make a temporary table for this connection, if it is not there, and empty it."""
    kind: Any = type(connection.dialect)
    connection.exec_driver_sql(_creation(kind, table))
    connection.exec_driver_sql(f"delete from {table.name}")  # noqa: S608 our own name


@cache  # by the kind: what a cache knows of a dialect itself stays in memory when its engine is gone
def _creation(kind: type[Dialect], table: Table) -> str:
    if kind.name == "postgresql":
        # Empties its file at each commit, in which rows that are only deleted would stay as dead ones.
        table.dialect_options["postgresql"]["on_commit"] = "DELETE ROWS"
    return str(CreateTable(table, if_not_exists=True).compile(dialect=kind()))


def set_index_options(metadata: MetaData, connection: Connection, **_others: Any) -> None:
    """Before tables are made from the models: give each index the method and the condition that its ``info`` names."""
    dialect = connection.dialect.name
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        if "index_method" in index.info and dialect == "postgresql":
            index.dialect_options[dialect]["using"] = index.info["index_method"]
        if "where" in index.info:
            index.dialect_options[dialect]["where"] = text(index.info["where"])
