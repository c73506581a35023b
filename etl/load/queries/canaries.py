"""Finds in the stored tasks how coarse a server's timestamps are, and a task that shows what its dates filter on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, true

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
