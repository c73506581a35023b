"""Figures over all stored tasks of a source."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, and_, func, select

from etl.load.schema.dimension_tables import statuses
from etl.load.schema.task_tables import is_of, tasks

if TYPE_CHECKING:
    from datetime import datetime


def newest_update(connection: Connection, source_id: int, *, not_after: datetime | None = None) -> datetime | None:
    """Return the largest ``updated_at``, or the largest one up to a moment."""
    query = select(func.max(tasks.c.updated_at)).where(is_of(source_id))
    if not_after is not None:
        query = query.where(tasks.c.updated_at <= not_after)
    return connection.execute(query).scalar()


def any_of_stream(connection: Connection, source_id: int, stream_id: str) -> bool:
    """Tell whether any task of a source names this stream as its own."""
    query = select(tasks.c["_id"]).where(is_of(source_id), tasks.c.stream_id == stream_id).limit(1)
    return connection.execute(query).first() is not None


def creation_of_open(connection: Connection, source_id: int) -> dict[str, datetime]:
    """Return the creation time of each task that is not known as deleted, resolved or closed."""
    category = func.lower(func.coalesce(statuses.c.category, statuses.c.name, ""))
    named = and_(statuses.c["_id"] == tasks.c.status_id, statuses.c.source_id == tasks.c.source_id)
    query = (
        select(tasks.c["_id"], tasks.c.created_at)
        .select_from(tasks.outerjoin(statuses, named))
        .where(
            tasks.c.source_id == source_id,
            tasks.c.deleted_at.is_(None),
            tasks.c.created_at.is_not(None),
            category.not_in(("resolved", "closed")),
        )
    )
    return {row[0]: row[1] for row in connection.execute(query)}
