"""Counting what is stored, to compare it with what the server counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from sqlalchemy import Connection, func, select

from etl.load.deletions import is_present
from etl.load.tables import statuses, tasks

if TYPE_CHECKING:
    from datetime import datetime

_COLUMNS = {"createdAt": tasks.c.created_at, "updatedAt": tasks.c.updated_at}


def live_tasks(
    connection: Connection,
    source_id: int,
    *,
    field: Literal["createdAt", "updatedAt"] | None = None,
    since: datetime | None = None,
) -> int:
    """Count the tasks of a source that the server should still give, optionally those from a moment on."""
    query = select(func.count()).where(tasks.c.source_id == source_id, is_present())
    if field is not None and since is not None:
        query = query.where(_COLUMNS[field] >= since)
    return int(connection.execute(query).scalar_one())


def newest_update(connection: Connection, source_id: int, *, not_after: datetime) -> datetime | None:
    """Return the largest ``updated_at`` up to a moment."""
    query = select(func.max(tasks.c.updated_at)).where(tasks.c.source_id == source_id, tasks.c.updated_at <= not_after)
    return connection.execute(query).scalar()


def any_stored_since(connection: Connection, source_id: int, moment: datetime) -> bool:
    """Tell whether any version of a task was stored after a moment."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, tasks.c.stored_at > moment).limit(1)
    return connection.execute(query).first() is not None


def any_of_stream(connection: Connection, source_id: int, stream_id: str) -> bool:
    """Tell whether any task of a source names this stream as its own."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, tasks.c.stream_id == stream_id).limit(1)
    return connection.execute(query).first() is not None


def creation_of_open(connection: Connection, source_id: int) -> dict[str, datetime]:
    """Return when each task was created that is not known to be gone, resolved or closed."""
    category = func.lower(func.coalesce(statuses.c.category, statuses.c.name, ""))
    query = (
        select(tasks.c["_id"], tasks.c.created_at)
        .select_from(tasks.outerjoin(statuses, statuses.c["_id"] == tasks.c.status_id))
        .where(
            tasks.c.source_id == source_id,
            tasks.c.deleted_at.is_(None),
            tasks.c.created_at.is_not(None),
            category.not_in(("resolved", "closed")),
        )
    )
    return {row[0]: row[1] for row in connection.execute(query)}
