"""The dialects' own options of tables and indexes.

As keywords of ``Table`` and ``Index`` they would import both dialects together with the tables. That import is slow.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import text
from sqlalchemy.schema import CreateTable

if TYPE_CHECKING:
    from sqlalchemy import Connection, Dialect, MetaData, Table

# An index for text without a length limit in the API: PostgreSQL's btree refuses some 2,700 bytes.
ANY_LENGTH = {"index_method": "hash"}
# An index of the few rows that each run reads.
IS_FORGOTTEN = {"where": "forgotten_at is not null"}


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
