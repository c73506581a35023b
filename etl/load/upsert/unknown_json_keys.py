"""Keys of records that nothing here knows: each kept once with an example, so that a new one is noticed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, delete, select

from etl.api_record import Row
from etl.load.database.dialect import insert_into
from etl.load.database.engine import plain_rows
from etl.load.schema.ledger_tables import sources, unknown_keys


def keep(
    connection: Connection, source_id: int, found: Mapping[str, tuple[str, str]], *, run_id: int, now: datetime
) -> list[str]:
    """Keep keys, given with an example and the task that has it; return those that were not kept before."""
    rows = [
        {
            "source_id": source_id,
            "key": key,
            "example": example,
            "task_id": task_id,
            "first_seen_at": now,
            "run_id": run_id,
        }
        for key, (example, task_id) in sorted(found.items())
    ]
    if not rows:
        return []
    statement = insert_into(connection, unknown_keys).values(rows)
    return list(connection.execute(statement.on_conflict_do_nothing().returning(unknown_keys.c.key)).scalars())


def entries(connection: Connection) -> list[Row]:
    """Return what is kept of all sources, by source and key."""
    own = unknown_keys.c
    query = select(
        sources.c.name.label("source"), own.key, own.example, own.task_id, own.first_seen_at, own.run_id
    ).join(sources, sources.c.id == own.source_id)
    return plain_rows(connection, query.order_by(sources.c.id, own.key))


def drop_all(connection: Connection, source_id: int) -> None:
    """Delete all keys of a source; the next records that have them bring them back."""
    connection.execute(delete(unknown_keys).where(unknown_keys.c.source_id == source_id))
