"""The metadata that all tables share, and the columns that many of them have.

Tables that mirror the API have the key (``_id``, ``source_id``), because two sources may give the same ids. With the
source first, SQLite would scan the table for an ``_id`` alone, and use the key for ranges of time. ``run_id`` is no
foreign key: prune deletes old runs, and their rows stay. Timestamps are UTC, to the millisecond. Constraint names
follow one convention, so migrations can name constraints on both databases.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, ForeignKeyConstraint, Integer, MetaData, Text, event

from etl.load.database.dialect import set_index_options
from etl.load.database.types import JsonText

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Json = JsonText()
RowId = BigInteger().with_variant(Integer(), "sqlite")

event.listen(metadata, "before_create", set_index_options)


def key() -> tuple[Column[str], Column[int]]:
    """Return the key columns of a table that mirrors the API."""
    source_id: Column[int] = Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    return Column("_id", Text, primary_key=True), source_id


def reference(column: str, table: str) -> ForeignKeyConstraint:
    """Return a foreign key to a row of the same source."""
    return ForeignKeyConstraint([column, "source_id"], [f"{table}._id", f"{table}.source_id"])
