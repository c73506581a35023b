"""Finds a canary: a stored task that a page of the server must contain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select, true

from etl.load.schema.task_tables import is_of, tasks

_APART = timedelta(seconds=5)
_LOOKED_AT = 50


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
