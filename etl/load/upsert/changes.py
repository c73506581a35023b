"""The history of tasks: which watched values a new version changes, written from the database's own comparison."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    Text,
    and_,
    case,
    cast,
    insert,
    literal,
    null,
    or_,
    select,
    union_all,
)

from etl.load.database.types import Moment, moment_text
from etl.load.schema.dimension_tables import priorities, statuses
from etl.load.schema.task_tables import inactive_since, task_changes, tasks

if TYPE_CHECKING:
    from datetime import datetime

_COLUMNS = (
    *("task_id", "source_id", "field", "old_id", "new_id", "old_value", "new_value"),
    *("changed_at", "seen_at", "run_id"),
)


@dataclass(frozen=True, slots=True)
class _Watched:
    """A value whose changes are kept: the columns that tell it apart, and where its readable form stands."""

    field: str
    id_column: str | None = None
    value_column: str | None = None
    names: Table | None = None


_WATCHED = (
    _Watched("status", id_column="status_id", names=statuses),
    _Watched("priority", id_column="priority_id", names=priorities),
    _Watched("assignee", id_column="assignee_id", value_column="assignee"),
    _Watched("queue", id_column="queue_id", value_column="queue"),
    _Watched("name", value_column="name"),
    _Watched("due date", value_column="due_at"),
)


def record(connection: Connection, incoming: Table, *, changes: ColumnElement[bool], run_id: int, now: datetime) -> int:
    """Write a row for each watched value that differs between a stored task and its incoming version.

    ``changes`` selects the pairs whose incoming version will be written; its parameter ``run`` is the run's id. Return
    how many changes there were. When the server went back to an older version no date tells: ``changed_at`` is NULL.
    """
    selects = [_differing(watched, incoming, changes, run_id, now) for watched in _WATCHED]
    selects += [_deleted(incoming, changes, run_id, now), _returned(incoming, changes, run_id, now)]
    statement = insert(task_changes).from_select(list(_COLUMNS), union_all(*selects))
    result = connection.execute(statement, {"run": run_id}, execution_options={"preserve_rowcount": True})
    return result.rowcount


def _differing(
    watched: _Watched, incoming: Table, changes: ColumnElement[bool], run_id: int, now: datetime
) -> Select[Any]:
    old_id, new_id = _pair(incoming, watched.id_column)
    joined = _with_stored(incoming)
    if watched.names is None:
        old_value, new_value = _pair(incoming, watched.value_column)
    else:
        before, after = watched.names.alias("before"), watched.names.alias("after")
        for names, key in ((before, old_id), (after, new_id)):
            joined = joined.outerjoin(names, and_(names.c["_id"] == key, names.c.source_id == incoming.c.source_id))
        old_value, new_value = before.c.name, after.c.name
    differs = old_id.is_distinct_from(new_id)
    if watched.id_column is None or watched.names is None:
        # Without an id on either side the readable value is all there is to tell them apart.
        nameless = and_(old_id.is_(None), new_id.is_(None), old_value.is_distinct_from(new_value))
        differs = or_(differs, nameless)
    values = (old_id, new_id, _readable(old_value), _readable(new_value))
    return _change(watched.field, values, incoming, run_id, now).select_from(joined).where(changes, differs)


def _returned(incoming: Table, changes: ColumnElement[bool], run_id: int, now: datetime) -> Select[Any]:
    values = (cast(null(), Text), cast(null(), Text), _readable(tasks.c.deleted_at), cast(null(), Text))
    return (
        _change("return", values, incoming, run_id, now)
        .select_from(_with_stored(incoming))
        .where(changes, tasks.c.deleted_at.is_not(None), incoming.c.is_active.is_not(False))
    )


def _deleted(incoming: Table, changes: ColumnElement[bool], run_id: int, now: datetime) -> Select[Any]:
    """Give the tasks that come as inactive from now on."""
    since = inactive_since(incoming, literal(now, tasks.c.deleted_at.type))
    values = (cast(null(), Text), cast(null(), Text), cast(null(), Text), moment_text(since))
    return (
        _change("deletion", values, incoming, run_id, now)
        .select_from(_with_stored(incoming))
        .where(changes, tasks.c.deleted_at.is_(None), incoming.c.is_active.is_(False))
    )


def _change(field: str, values: tuple[Any, ...], incoming: Table, run_id: int, now: datetime) -> Select[Any]:
    moment = task_changes.c.seen_at.type
    went_back = incoming.c.updated_at < tasks.c.updated_at
    return select(
        incoming.c["_id"],
        incoming.c.source_id,
        literal(field, String),
        *values,
        case((went_back, null()), else_=incoming.c.updated_at),
        literal(now, moment),
        literal(run_id, task_changes.c.run_id.type),
    )


def _with_stored(incoming: Table) -> Any:
    same = and_(incoming.c["_id"] == tasks.c["_id"], incoming.c.source_id == tasks.c.source_id)
    return incoming.join(tasks, same)


def _readable(value: ColumnElement[Any]) -> ColumnElement[str]:
    return moment_text(value) if isinstance(value.type, Moment) else value


def _pair(incoming: Table, name: str | None) -> tuple[Any, Any]:
    if name is None:
        return cast(null(), Text), cast(null(), Text)
    old: Column[Any] = tasks.c[name]
    return old, incoming.c[name]
