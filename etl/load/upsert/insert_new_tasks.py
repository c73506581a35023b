"""Inserts tasks that are not stored yet, and their children, straight into their tables.

Nothing is known of such a task, so nothing is compared and no history is written. :mod:`etl.load.upsert.merge_stored_tasks` stores
the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from etl.load.database.bulk_statements import fill
from etl.load.schema.task_tables import CHILDREN, tasks
from etl.load.upsert import daily_counts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from sqlalchemy import Connection

    from etl.api_record import Row
    from etl.load.upsert.batch_and_counts import Details


def insert(
    connection: Connection, source_id: int, new: Mapping[str, tuple[Row, Details]], *, run_id: int, now: datetime
) -> None:
    """Insert tasks of a source that are not stored yet, by ``_id``, and add them to the daily counts."""
    own = {"first_seen_at": now, "stored_at": now, "run_id": run_id}
    rows = [
        {**task, **own, "first_updated_at": task["updated_at"], "deleted_at": inactive_since(task, now)}
        for task, _ in new.values()
    ]
    fill(connection, tasks, rows)
    for table in CHILDREN:
        fill(connection, table, [row for _, details in new.values() for row in details.get(table.name, ())])
    daily_counts.add_new(connection, source_id, rows, now=now)


def inactive_since(task: Row, now: datetime) -> datetime | None:
    """Return when a task became inactive by its own record, ``now`` if it has no dates; None if it is active."""
    return (task["updated_at"] or task["created_at"] or now) if task["is_active"] is False else None
