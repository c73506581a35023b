"""Marks deleted tasks, and counts the tasks that the server should still have.

A task with ``isActive: false`` is deleted since that update; the server still counts it. ``gone_at`` is when a run
found that the server no longer has a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    exists,
    func,
    insert,
    literal,
    not_,
    select,
    update,
)

from etl.load.database.dialect import create_temporary
from etl.load.database.types import Moment, moment_text
from etl.load.schema.task_tables import is_of, is_present, task_changes, tasks
from etl.load.upsert import refresh_derived

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from datetime import datetime

Field = Literal["createdAt", "updatedAt"]
Versions = dict[str, "datetime | None"]  # updated_at by _id: the version of each task

_COLUMNS = {"createdAt": tasks.c.created_at, "updatedAt": tasks.c.updated_at}

_MOST_PARAMETERS = 500  # the most ids in one statement

_gone = Table(
    "gone_tasks",
    MetaData(),
    Column("_id", Text, primary_key=True),
    Column("updated_at", Moment),
    prefixes=["TEMPORARY"],
)


def count(connection: Connection, source_id: int, *, with_inactive: bool = True) -> int:
    """Count the tasks of a source that the server should still have."""
    shown = is_present() if with_inactive else is_present() & tasks.c.deleted_at.is_(None)
    return _number(connection, tasks.c.source_id == source_id, shown)


def is_any(connection: Connection, source_id: int) -> bool:
    """Tell whether there is any task of a source that the server should still give."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, is_present()).limit(1)
    return connection.execute(query).first() is not None


def gone_ids(connection: Connection, source_id: int) -> frozenset[str]:
    """Return the ids of the tasks of a source that are marked as gone."""
    query = select(tasks.c["_id"]).where(tasks.c.source_id == source_id, not_(is_present()))
    return frozenset(connection.execute(query).scalars())


def count_marked(connection: Connection, source_id: int, *, since: datetime | None = None) -> int:
    """Count the tasks of a source that are marked as gone, or were marked after a moment."""
    is_marked = not_(is_present()) if since is None else tasks.c.gone_at > since
    return _number(connection, tasks.c.source_id == source_id, is_marked)


def newest_inactive(connection: Connection, source_id: int, field: Field) -> datetime | None:
    """Return the latest value of a field among the inactive tasks that the server should still give."""
    query = select(func.max(_COLUMNS[field])).where(is_of(source_id), is_present(), tasks.c.deleted_at.is_not(None))
    return connection.execute(query).scalar()


def count_since(connection: Connection, source_id: int, field: Field, start: datetime) -> int:
    """Count the tasks with a field value from ``start`` on that the server should still have."""
    return _number(connection, is_of(source_id), is_present(), _COLUMNS[field] >= start)


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
    return _COLUMNS[field] >= start, _COLUMNS[field] < end


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
    for some in _portions(sorted(ids)):
        found |= _versions(connection, source_id, tasks.c["_id"].in_(some))
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
    for some in _portions(sorted(ids)):
        query = select(own["_id"], own.updated_at, own.deleted_at, own.stored_at, own.run_id)
        rows = connection.execute(query.where(own.source_id == source_id, own["_id"].in_(some)))
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
    for some in _portions(sorted(ids)):
        query = select(tasks.c["_id"], tasks.c.raw).where(is_of(source_id), tasks.c["_id"].in_(some))
        found |= {row[0]: row[1] for row in connection.execute(query)}
    return found


def _portions(ids: list[str]) -> Iterator[list[str]]:
    return (ids[place : place + _MOST_PARAMETERS] for place in range(0, len(ids), _MOST_PARAMETERS))


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
