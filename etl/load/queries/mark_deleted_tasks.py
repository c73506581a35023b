"""Marks deleted tasks: ``gone_at`` is when a run found that the server no longer has a task."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Column, Connection, MetaData, Table, Text, exists, func, insert, literal, not_, select, update

from etl.load.database.dialect import create_temporary
from etl.load.database.types import Moment, moment_text
from etl.load.schema.task_tables import is_of, is_present, task_changes, tasks
from etl.load.upsert import refresh_derived

_gone = Table(
    "gone_tasks",
    MetaData(),
    Column("_id", Text, primary_key=True),
    Column("updated_at", Moment),
    prefixes=["TEMPORARY"],
)


def gone_ids(connection: Connection, source_id: int) -> frozenset[str]:
    """Return the ids of the tasks of a source that are marked as gone."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, not_(is_present()))
    return frozenset(connection.execute(query).scalars())


def count_marked(connection: Connection, source_id: int, *, since: datetime | None = None) -> int:
    """Count the tasks of a source that are marked as gone, or were marked after a moment."""
    is_marked = not_(is_present()) if since is None else tasks.c.gone_at > since
    query = select(func.count()).select_from(tasks).where(tasks.c.source_id == source_id, is_marked)
    return int(connection.execute(query).scalar_one())


def mark(
    connection: Connection, source_id: int, gone: Mapping[str, datetime | None], *, run_id: int, now: datetime
) -> int:
    """Mark a source's tasks as deleted, add a change for each, and return how many.

    It runs in the caller's transaction. It skips a task that has a newer version or is already marked.
    """
    if not gone:
        return 0
    create_temporary(connection, _gone)
    connection.execute(_gone.insert(), [{"_id": key, "updated_at": version} for key, version in gone.items()])
    is_meant = (_gone.c["_id"] == tasks.c["_id"]) & _gone.c.updated_at.is_not_distinct_from(tasks.c.updated_at)
    is_listed = exists(select(literal(1)).select_from(_gone).where(is_meant).correlate(tasks))
    chosen = is_listed & is_of(source_id) & is_present()
    moment = literal(now, tasks.c.deleted_at.type)
    values = {
        "task_id": tasks.c["_id"],
        "source_id": tasks.c.source_id,
        "field": literal("deletion", Text),
        "new_value": moment_text(moment),
        "changed_at": moment,
        "seen_at": moment,
        "run_id": literal(run_id, task_changes.c.run_id.type),
    }
    history = insert(task_changes).from_select(
        list(values), select(*values.values()).where(chosen, tasks.c.deleted_at.is_(None))
    )
    with refresh_derived.refreshed(connection, source_id, gone):
        connection.execute(history)
        result = connection.execute(
            update(tasks).where(chosen).values(gone_at=moment, deleted_at=func.coalesce(tasks.c.deleted_at, moment))
        )
    return result.rowcount
