"""Figures over all stored tasks of a source: their dates, how these are rounded, and a task to test the server by."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, func, select, true

from etl.load.schema.dimension_tables import statuses
from etl.load.schema.task_tables import is_of, tasks

_APART = timedelta(seconds=5)
_LOOKED_AT = 50
_ROUNDINGS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Canary:
    """A task that was changed long after its creation."""

    id: str
    created: datetime
    updated: datetime


def find_canary(connection: Connection, source_id: int, *, created_before: datetime | None = None) -> Canary | None:
    """Return the latest changed task whose change and creation are far apart."""
    old = true() if created_before is None else tasks.c.created_at < created_before - _APART
    query = (
        select(tasks.c["_id"], tasks.c.created_at, tasks.c.updated_at)
        .where(is_of(source_id), tasks.c.deleted_at.is_(None), tasks.c.created_at < tasks.c.updated_at, old)
        .order_by(tasks.c.updated_at.desc())
        .limit(_LOOKED_AT)
    )
    found = (Canary(*row) for row in connection.execute(query))
    return next((task for task in found if task.updated - task.created > _APART), None)


def find_canary_from(connection: Connection, source_id: int, start: datetime, *, among: int) -> Canary | None:
    """Return a task created long before ``start`` that is among the first ones updated since."""
    own = tasks.c
    query = (
        select(own["_id"], own.created_at, own.updated_at)
        .where(is_of(source_id), own.deleted_at.is_(None), own.updated_at >= start)
        .order_by(own.updated_at)
        .limit(among)
    )
    found = (Canary(*row) for row in connection.execute(query) if row.created_at is not None)
    return next((task for task in found if task.created < start - _APART), None)


def rounding(connection: Connection, source_id: int) -> timedelta:
    """Return the unit to which the server rounds timestamps, by the latest changes; zero means it does not round."""
    query = (
        select(tasks.c.updated_at)
        .where(is_of(source_id), tasks.c.updated_at.is_not(None))
        .order_by(tasks.c.updated_at.desc())
        .limit(_LOOKED_AT)
    )
    moments = list(connection.execute(query).scalars())
    if not moments:
        return timedelta()
    return next((size for size in _ROUNDINGS if all(not (m - _EPOCH) % size for m in moments)), timedelta())


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
