"""The history of tasks: which watched values a new version changes.

The database itself compares the columns of tasks. Tags, channels and custom fields are rows of their own. Their old
rows are read before they are replaced, for changed tasks only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Boolean,
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

from etl.api_record import Row
from etl.load.database.bulk_statements import fill
from etl.load.database.types import Moment, moment_text
from etl.load.schema.dimension_tables import priorities, statuses
from etl.load.schema.task_tables import inactive_since, task_changes, task_channels, task_fields, task_tags, tasks
from etl.load.upsert.batch import Details

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

_COLUMNS = (
    *("task_id", "source_id", "field", "old_id", "new_id", "old_value", "new_value"),
    *("changed_at", "seen_at", "run_id"),
)


#: By field: the table of the children, and the columns with a value's name and its text.
_CHILDREN = (
    ("tag", task_tags, "tag", "tag"),
    ("channel", task_channels, "channel", "channel"),
    ("custom field", task_fields, "key", "text"),
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
    _Watched("breached", value_column="is_breached"),
)
_IDS_AT_ONCE = 500


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


def record_children(
    connection: Connection, stored: Mapping[str, datetime | None], incoming: Mapping[str, tuple[Row, Details]],
    *, source_id: int, run_id: int, now: datetime,
) -> int:  # fmt: skip
    """Write a row for each tag, channel and custom field that tasks of a source gain, lose or change.

    ``stored`` gives ``updated_at`` of the stored versions. Call it before the children are replaced.
    """
    ids = [key for key in incoming if key in stored]
    rows: list[Row] = []
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = ids[start : start + _IDS_AT_ONCE]
        before = _children(connection, source_id, some)
        for key in some:
            task, details = incoming[key]
            went_back = task["updated_at"] and stored[key] and task["updated_at"] < stored[key]
            common = {"changed_at": None if went_back else task["updated_at"], "seen_at": now, "run_id": run_id}
            rows += [
                {"task_id": key, "source_id": source_id, **told, **common}
                for told in _child_changes(before[key], _values(details))
            ]
    fill(connection, task_changes, rows)
    return len(rows)


_Values = dict[tuple[str, str | None], str | None]
"""Text by field and key: of a tag or channel the key is itself."""


def _children(connection: Connection, source_id: int, ids: Sequence[str]) -> Mapping[str, _Values]:
    found: dict[str, _Values] = {key: {} for key in ids}
    for field, table, key, value in _CHILDREN:
        own = table.c
        query = select(own.task_id, own[key], own[value]).where(own.task_id.in_(ids), own.source_id == source_id)
        for task_id, name, text in connection.execute(query.order_by(own.task_id, own.position)):
            _add(found[task_id], field, name, text)
    return found


def _values(details: Details) -> _Values:
    found: _Values = {}
    for field, table, key, value in _CHILDREN:
        for row in details.get(table.name, ()):
            _add(found, field, row[key], row[value])
    return found


def _add(values: _Values, field: str, name: str, text: str | None) -> None:
    before = values.get((field, name))
    is_more = field == "custom field" and before is not None
    values[field, name] = f"{before}, {text}" if is_more else text


def _child_changes(old: _Values, new: _Values) -> Iterator[Row]:
    for field, name in sorted(old.keys() | new.keys()):
        before, after = old.get((field, name)), new.get((field, name))
        if before != after:
            key = name if field == "custom field" else None
            yield {"field": field, "field_key": key, "old_value": before, "new_value": after}


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
    if isinstance(value.type, Boolean):
        return case((value, "true"), (~value, "false"))
    return moment_text(value) if isinstance(value.type, Moment) else value


def _pair(incoming: Table, name: str | None) -> tuple[Any, Any]:
    if name is None:
        return cast(null(), Text), cast(null(), Text)
    old: Column[Any] = tasks.c[name]
    return old, incoming.c[name]
