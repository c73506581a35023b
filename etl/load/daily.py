"""Counting by day as tasks are written: what ``daily_flow`` shows, without counting all of history at each question.

``daily_events`` tells what each task counts for, and on which day; ``daily_counts`` holds the sums. Whoever writes
tasks takes what they count for out first and adds it again afterwards, in the same transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, Date, Integer, Text, column, delete, func, select, table

from etl.load.detail_tables import daily_counts
from etl.load.insert import insert_into
from etl.load.tables import statuses

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

RESOLVED = frozenset({"resolved", "closed", "completed", "done"})  # as the views say it

_IDS_AT_ONCE = 500
_COUNTS = ("created", "resolved", "reopened", "deleted")
_events = table(
    "daily_events",
    column("task_id", Text),
    column("stream_id", Text),
    column("day", Date),
    *(column(name, Integer) for name in _COUNTS),
)


def add(connection: Connection, ids: Iterable[str]) -> None:
    """Count what tasks count for now."""
    _count(connection, ids, sign=1)


def take_out(connection: Connection, ids: Iterable[str]) -> None:
    """Count no longer what tasks count for now: they are about to be written."""
    _count(connection, ids, sign=-1)


def count_anew(connection: Connection) -> None:
    """Count all tasks: what a status means has changed."""
    connection.execute(delete(daily_counts))
    _sum_up(connection, 1)


def _count(connection: Connection, ids: Iterable[str], *, sign: int) -> None:
    every = list(ids)
    for start in range(0, len(every), _IDS_AT_ONCE):
        _sum_up(connection, sign, _events.c.task_id.in_(every[start : start + _IDS_AT_ONCE]))


def _sum_up(connection: Connection, sign: int, *chosen: ColumnElement[bool]) -> None:
    sums = (sign * func.sum(_events.c[name]) for name in _COUNTS)
    key = (_events.c.stream_id, _events.c.day)
    query = select(*key, *sums).where(*chosen).group_by(*key)
    statement = insert_into(connection, daily_counts).from_select(["stream_id", "day", *_COUNTS], query)
    added = {name: daily_counts.c[name] + statement.excluded[name] for name in _COUNTS}
    connection.execute(statement.on_conflict_do_update(index_elements=["stream_id", "day"], set_=added))


def is_meaning_changed(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether one of these versions of statuses makes resolved what was not so before, or the other way round."""
    own = statuses.c
    if not rows:
        return False
    known = connection.execute(
        select(own["_id"], own.category, own.name).where(own["_id"].in_({row["_id"] for row in rows}))
    )
    was_resolved = {row[0]: is_resolved(row[1], row[2]) for row in known}
    return any(was_resolved.get(row["_id"]) not in {None, is_resolved(row["category"], row["name"])} for row in rows)


def is_resolved(category: str | None, name: str | None) -> bool:
    """Tell whether a status is that of a resolved task: by its category, or by its name where it has none."""
    return (category if category is not None else name or "").lower() in RESOLVED
