"""Counts and lists the stored tasks of a source that the server should still have, and tells their dates.

A task with ``isActive: false`` is deleted since that update; the server still counts it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from etl.load.database.dialect import by_ids
from etl.load.schema.dimension_tables import statuses
from etl.load.schema.task_tables import is_of, is_present, tasks
from etl.times import EPOCH, LATEST, shifted

Field = Literal["createdAt", "updatedAt"]
Versions = dict[str, datetime | None]  # updated_at by _id: the version of each task

_ROUNDINGS = (timedelta(days=1), timedelta(hours=1), *(timedelta(minutes=each) for each in (30, 15, 10, 5, 1)))
_LOOKED_AT = 50
_APART = timedelta(seconds=5)
_COLUMNS = {"createdAt": tasks.c.created_at, "updatedAt": tasks.c.updated_at}


def count(
    connection: Connection, source_id: int, field: Field = "createdAt", start: datetime | None = None, *,
    with_inactive: bool = True,
) -> int:  # fmt: skip
    """Count the tasks of a source that the server should still have: from ``start`` on, and those without ``field``."""
    shown = is_present() if with_inactive else is_present() & tasks.c.deleted_at.is_(None)
    if start is None:
        return _number(connection, tasks.c.source_id == source_id, shown)
    parts = _COLUMNS[field] >= start, _COLUMNS[field].is_(None)  # each by an index
    return sum(_number(connection, is_of(source_id), shown, part) for part in parts)


def is_any(connection: Connection, source_id: int) -> bool:
    """Tell whether there is any task of a source that the server should still give."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, is_present()).limit(1)
    return connection.execute(query).first() is not None


def ids(connection: Connection, source_id: int) -> frozenset[str]:
    """Return the ids of the tasks of a source that the server should still give."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, is_present())
    return frozenset(connection.execute(query).scalars())


def newest_inactive(connection: Connection, source_id: int, field: Field) -> datetime | None:
    """Return the latest value of a field among the inactive tasks that the server should still give."""
    query = select(func.max(_COLUMNS[field])).where(is_of(source_id), is_present(), tasks.c.deleted_at.is_not(None))
    return connection.execute(query).scalar()


def count_between(connection: Connection, source_id: int, field: Field, start: datetime, end: datetime) -> int:
    """Count the tasks in ``[start, end)`` of a field that the server should still have."""
    return _number(connection, is_of(source_id), is_present(), *_between(field, start, end))


def count_without(connection: Connection, source_id: int, field: Field) -> int:
    """Count the tasks without a value in a field that the server should still give."""
    return _number(connection, is_of(source_id), is_present(), _COLUMNS[field].is_(None))


def _number(connection: Connection, *conditions: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(tasks).where(*conditions)
    return int(connection.execute(query).scalar_one())


def _between(field: Field, start: datetime, end: datetime) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return _COLUMNS[field] >= start, _COLUMNS[field] < end if end < LATEST else true()


def reach(connection: Connection, source_id: int, field: Field) -> tuple[datetime | None, datetime | None]:
    """Return the first and the last value of a field among the tasks that the server should still have."""
    column = _COLUMNS[field]
    query = select(column).where(is_of(source_id), is_present(), column.is_not(None)).limit(1)
    first, last = (connection.execute(query.order_by(order)).scalar() for order in (column.asc(), column.desc()))
    return first, last


def value_at(
    connection: Connection, source_id: int, field: Field, start: datetime, end: datetime, *, place: int = 0
) -> datetime | None:
    """Return the field's value in row number ``place`` (from 0) of ``[start, end)``."""
    query = (
        select(_COLUMNS[field])
        .where(is_of(source_id), is_present(), *_between(field, start, end))
        .order_by(_COLUMNS[field])
        .offset(place)
        .limit(1)
    )
    return connection.execute(query).scalar()


def versions_between(connection: Connection, source_id: int, field: Field, start: datetime, end: datetime) -> Versions:
    """Return the tasks in ``[start, end)`` of a field that the server should still have."""
    return _versions(connection, source_id, *_between(field, start, end))


def versions_of(connection: Connection, source_id: int, ids: Collection[str]) -> Versions:
    """Return those of some tasks that the server should still have."""
    found: Versions = {}
    for (some,) in by_ids(connection, tasks.c["_id"], sorted(ids)):
        found |= _versions(connection, source_id, some)
    return found


class StoredState(NamedTuple):
    """What tells that a stored task was written."""

    updated_at: datetime | None
    deleted_at: datetime | None
    stored_at: datetime
    run_id: int


def states_of(connection: Connection, source_id: int, ids: Collection[str]) -> dict[str, StoredState]:
    """Return the state of some tasks, also of those that the server no longer has."""
    own = tasks.c
    found: dict[str, StoredState] = {}
    for (some,) in by_ids(connection, own["_id"], sorted(ids)):
        query = select(own["_id"], own.updated_at, own.deleted_at, own.stored_at, own.run_id)
        rows = connection.execute(query.where(own.source_id == source_id, some))
        found |= {row[0]: StoredState(*row[1:]) for row in rows}
    return found


def versions_without(connection: Connection, source_id: int, field: Field) -> Versions:
    """Return the tasks that have no value in a field, so no range of it contains them."""
    return _versions(connection, source_id, _COLUMNS[field].is_(None))


def _versions(connection: Connection, source_id: int, *conditions: ColumnElement[bool]) -> Versions:
    query = select(tasks.c["_id"], tasks.c.updated_at).where(is_of(source_id), is_present(), *conditions)
    return {row[0]: row[1] for row in connection.execute(query)}


def records(connection: Connection, source_id: int, ids: Collection[str]) -> dict[str, Any]:
    """Return the whole records of a source's tasks by their ids."""
    found: dict[str, Any] = {}
    for (some,) in by_ids(connection, tasks.c["_id"], sorted(ids)):
        query = select(tasks.c["_id"], tasks.c.raw).where(is_of(source_id), some)
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def rounding(connection: Connection, source_id: int, field: Field) -> timedelta:
    """Return the unit to which the server rounds a field, by most of its latest times; zero means it does not round.

    Some dates may be of another kind, such as those of an import. A day may begin at the midnight of any time zone.
    """
    column = _COLUMNS[field]
    query = select(column).where(is_of(source_id), column.is_not(None)).order_by(column.desc()).limit(_LOOKED_AT)
    moments = connection.execute(query).scalars().all()
    for size in _ROUNDINGS if moments else ():
        rests = [(moment - EPOCH) % size for moment in moments]
        ((rest, number),) = Counter(rests).most_common(1)
        alike = {moment for moment, own in zip(moments, rests, strict=True) if own == rest}
        if 2 * number > len(moments) and (len(alike) > 1 or not rest):
            return size
    return timedelta()


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


class Canary(Struct, frozen=True):
    """A stored task that a page of the server must contain: it was changed long after its creation."""

    id: str
    created: datetime
    updated: datetime


def find_canary(connection: Connection, source_id: int, *, created_before: datetime | None = None) -> Canary | None:
    """Return the latest changed task whose change and creation are far apart."""
    old = true() if created_before is None else tasks.c.created_at < shifted(created_before, -_APART)
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
    return next((task for task in found if task.created < shifted(start, -_APART)), None)
