"""The history of tasks: which watched values a new version changes.

The database itself compares the columns of tasks. Tags, channels and custom fields are rows of their own. Their old
rows are read before they are replaced, for changed tasks only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from msgspec import Struct
from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    Connection,
    Select,
    String,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
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
from etl.load.schema.task_tables import task_changes, task_channels, task_fields, task_tags, tasks
from etl.load.upsert.batch_and_counts import Details
from etl.load.upsert.children import Changed

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


class _Watched(Struct, frozen=True):
    """A value whose changes are kept: the columns that tell it apart, and where its readable form stands."""

    field: str
    id_column: str | None = None
    value_column: str | None = None
    names: Table | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(name for name in (self.id_column, self.value_column) if name is not None)


_WATCHED = (
    _Watched("status", id_column="status_id", names=statuses),
    _Watched("priority", id_column="priority_id", names=priorities),
    _Watched("assignee", id_column="assignee_id", value_column="assignee"),
    _Watched("queue", id_column="queue_id", value_column="queue"),
    _Watched("name", value_column="name"),
    _Watched("due date", value_column="due_at"),
    _Watched("breached", value_column="is_breached"),
)
_VALUES = tuple(name for each in _WATCHED for name in each.columns)
_NOW = bindparam("now", type_=task_changes.c.seen_at.type)


def record(connection: Connection, incoming: Table, *, run_id: int, now: datetime) -> int:
    """Write a row for each watched value that differs between a stored task and its version in ``incoming``.

    Return how many changes there were. Where the new version has no newer date, ``changed_at`` is NULL: see
    :func:`told_date`.
    """
    result = connection.execute(
        _recording(incoming), {"run": run_id, "now": now}, execution_options={"preserve_rowcount": True}
    )
    return result.rowcount


def told_date(new: ColumnElement[Any], until: ColumnElement[Any], now: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return when a version's own date says that it began, at most ``now``; NULL where it is not after ``until``.

    A change that a run finds now, with the date of what was there before, would change what was said about that day.
    """
    return case((or_(until.is_(None), new > until), case((new > now, now), else_=new)))


def told_until(now: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return up to when the past of a stored task was told: its version's date, or its latest change if that is later.

    A version's date may go back or be lost, and the change to it still happened when it was seen. Changes seen ``now``
    do not count: they are those of the version that is being written.
    """
    own = task_changes.c
    before = and_(own.task_id == tasks.c["_id"], own.source_id == tasks.c.source_id, own.seen_at < now)
    happened = func.max(func.coalesce(own.changed_at, own.seen_at))
    latest = select(happened).where(before).correlate(tasks).scalar_subquery()
    date = func.coalesce(tasks.c.updated_at, tasks.c.stored_at)
    return case((latest > date, latest), else_=date)


@cache
def _recording(incoming: Table) -> Any:
    pairs = _pairs(incoming)
    selects = [*(_differing(watched, pairs) for watched in _WATCHED), _deleted(pairs), _returned(pairs)]
    # Inside of the insert, because the driver of SQLite counts the rows of no statement that begins with WITH.
    return insert(task_changes).from_select(list(_COLUMNS), union_all(*selects).add_cte(pairs, nest_here=True))


def _pairs(incoming: Table) -> CTE:
    """Join each incoming version to the stored one; the stored columns are ``old_...``."""
    same = and_(incoming.c["_id"] == tasks.c["_id"], incoming.c.source_id == tasks.c.source_id)
    old = (tasks.c[name].label(f"old_{name}") for name in ("deleted_at", *_VALUES))
    new = (incoming.c[name] for name in ("_id", "source_id", "is_active", "created_at", "updated_at", *_VALUES))
    return select(*new, *old, told_until(_NOW).label("told_until")).select_from(incoming.join(tasks, same)).cte("pairs")


def record_children(  # noqa: PLR0913 - both versions of the tasks, and what each change tells
    connection: Connection, stored: Mapping[str, datetime | None], incoming: Mapping[str, tuple[Row, Details]],
    before: Changed, *, source_id: int, run_id: int, now: datetime,
) -> int:  # fmt: skip
    """Write a row for each tag, channel and custom field that tasks of a source gain, lose or change.

    ``stored`` gives ``updated_at`` of the stored versions, ``before`` their rows that are to be replaced.
    """
    rows: list[Row] = []
    for key, (task, details) in incoming.items():
        old = {name: of_tasks[key] for name, of_tasks in before.items() if key in of_tasks}
        if key not in stored or not old:
            continue
        new = {name: details.get(name, ()) for name in old}
        date, old_date = task["updated_at"], stored[key]
        is_told = date is not None and (old_date is None or date > old_date)
        common = {"changed_at": min(date, now) if is_told else None, "seen_at": now, "run_id": run_id}
        rows += [
            {"task_id": key, "source_id": source_id, **told, **common}
            for told in _child_changes(_values(old), _values(new))
        ]
    fill(connection, task_changes, rows)
    return len(rows)


_Values = dict[tuple[str, str | None], str | None]
"""Text by field and key: of a tag or channel the key is itself."""


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


def _differing(watched: _Watched, pairs: CTE) -> Select[Any]:
    old_id, new_id = _pair(pairs, watched.id_column)
    joined: Any = pairs
    if watched.names is None:
        old_value, new_value = _pair(pairs, watched.value_column)
    else:
        before, after = watched.names.alias("before"), watched.names.alias("after")
        for names, key in ((before, old_id), (after, new_id)):
            joined = joined.outerjoin(names, and_(names.c["_id"] == key, names.c.source_id == pairs.c.source_id))
        old_value, new_value = before.c.name, after.c.name
    differs = old_id.is_distinct_from(new_id)
    if watched.id_column is None or watched.names is None:
        # Without an id on either side the readable value is all there is to tell them apart.
        nameless = and_(old_id.is_(None), new_id.is_(None), old_value.is_distinct_from(new_value))
        differs = or_(differs, nameless)
    values = (old_id, new_id, _readable(old_value), _readable(new_value))
    return _change(watched.field, values, pairs).select_from(joined).where(differs)


def _returned(pairs: CTE) -> Select[Any]:
    values = (cast(null(), Text), cast(null(), Text), _readable(pairs.c.old_deleted_at), cast(null(), Text))
    returned = and_(pairs.c.old_deleted_at.is_not(None), pairs.c.is_active.is_not(False))
    return _change("return", values, pairs).where(returned)


def _deleted(pairs: CTE) -> Select[Any]:
    """Give the tasks that come as inactive from now on."""
    since = func.coalesce(told_date(pairs.c.updated_at, pairs.c.told_until, _NOW), _NOW)
    values = (cast(null(), Text), cast(null(), Text), cast(null(), Text), moment_text(since))
    return _change("deletion", values, pairs).where(pairs.c.old_deleted_at.is_(None), pairs.c.is_active.is_(False))


def _change(field: str, values: tuple[Any, ...], pairs: CTE) -> Select[Any]:
    return select(
        pairs.c["_id"],
        pairs.c.source_id,
        literal(field, String),
        *values,
        told_date(pairs.c.updated_at, pairs.c.told_until, _NOW),
        _NOW,
        bindparam("run", type_=task_changes.c.run_id.type),
    )


def _readable(value: ColumnElement[Any]) -> ColumnElement[str]:
    if isinstance(value.type, Boolean):
        return case((value, "true"), (~value, "false"))
    return moment_text(value) if isinstance(value.type, Moment) else value


def _pair(pairs: CTE, name: str | None) -> tuple[Any, Any]:
    if name is None:
        return cast(null(), Text), cast(null(), Text)
    return pairs.c[f"old_{name}"], pairs.c[name]
