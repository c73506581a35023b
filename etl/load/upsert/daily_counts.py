"""Keeps ``daily_counts``, the sums that ``daily_flow`` shows, so that no question counts all of history.

The view ``daily_events`` tells what each task counts for and on which day.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    case,
    column,
    delete,
    func,
    literal_column,
    null,
    select,
    table,
    tuple_,
    union_all,
)

from etl.load.database.dialect import insert_by
from etl.load.database.types import Moment, moment_day
from etl.load.schema.dimension_tables import RESOLVED, statuses
from etl.load.schema.ledger_tables import source_offsets
from etl.load.schema.task_tables import daily_counts, inactive_since

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

_NEW = frozenset({"open", "new"})  # as the views say it

_IDS_AT_ONCE = 500
_KEY = ("source_id", "stream_id", "day")
_COUNTS = ("created", "resolved", "reopened", "deleted")
_events = table(
    "daily_events",
    column("task_id", Text),
    column("stream_id", Text),
    column("source_id", BigInteger),
    column("day", Date),
    *(column(name, Integer) for name in _COUNTS),
)


def add(connection: Connection, source_id: int, ids: Iterable[str]) -> None:
    """Add what a source's tasks count for now."""
    _count(connection, source_id, ids, sign=1)


def add_new(connection: Connection, staged: Table, *, known: Iterable[str], now: datetime) -> None:
    """Add what the staged tasks count for, except the ``known`` ones: none of them has any history yet.

    It equals ``add`` but takes one pass, because ``daily_events`` spends its time on history.
    """
    unchanged = list(known)
    for start in range(0, len(unchanged), _IDS_AT_ONCE):
        connection.execute(delete(staged).where(staged.c["_id"].in_(unchanged[start : start + _IDS_AT_ONCE])))
    connection.execute(_first_sums(connection.dialect.name, staged), {"seen": now})


def subtract(connection: Connection, source_id: int, ids: Iterable[str]) -> None:
    """Subtract what a source's tasks count for now: they are about to be written."""
    _count(connection, source_id, ids, sign=-1)


def rebuild(connection: Connection, source_id: int) -> None:
    """Count all tasks of a source again."""
    connection.execute(delete(daily_counts).where(daily_counts.c.source_id == source_id))
    _sum_up(connection, 1, func.coalesce(_events.c.source_id, null()) == source_id)  # by no index: they are many


def _count(connection: Connection, source_id: int, ids: Iterable[str], *, sign: int) -> None:
    every = list(ids)
    for start in range(0, len(every), _IDS_AT_ONCE):
        some = every[start : start + _IDS_AT_ONCE]
        _sum_up(connection, sign, _events.c.task_id.in_(some), _events.c.source_id == source_id)


def _sum_up(connection: Connection, sign: int, *chosen: ColumnElement[bool]) -> None:
    sums = (sign * func.sum(_events.c[name]) for name in _COUNTS)
    key = [_events.c[name] for name in _KEY]
    connection.execute(_adding(connection.dialect.name, select(*key, *sums).where(*chosen).group_by(*key)))


def _adding(dialect: str, sums: Select[Any]) -> Any:
    statement = insert_by(dialect, daily_counts).from_select([*_KEY, *_COUNTS], sums)
    added = {name: daily_counts.c[name] + statement.excluded[name] for name in _COUNTS}
    return statement.on_conflict_do_update(index_elements=_KEY, set_=added)


@cache
def _first_sums(dialect: str, staged: Table) -> Any:
    """What ``daily_events`` says of tasks without changes, first seen at ``seen``."""
    own, seen = staged.c, bindparam("seen", type_=Moment())
    deleted_at = inactive_since(staged, seen)
    done = tuple_(func.coalesce(own.status_id, ""), own.source_id).in_(_resolved_statuses())
    known_at = case((own.updated_at < seen, own.updated_at), else_=seen)
    events = union_all(
        _event(own, func.coalesce(own.created_at, seen), "created"),
        _event(own, known_at, "resolved").where(done),
        _event(own, deleted_at, "deleted").where(deleted_at.is_not(None), ~done),
    ).subquery()
    key = [events.c[name] for name in _KEY]
    sums = select(*key, *(func.sum(events.c[name]) for name in _COUNTS)).where(literal_column("1 = 1"))
    return _adding(dialect, sums.group_by(*key))


def _event(own: Any, at: ColumnElement[Any], kind: str) -> Select[Any]:
    counts = [literal_column(str(int(name == kind)), Integer).label(name) for name in _COUNTS]
    offsets = source_offsets.c
    offset = select(offsets.seconds).where(offsets.source_id == own.source_id, offsets.starts_at <= at)
    newest = offset.order_by(offsets.starts_at.desc()).limit(1).correlate(own.source_id.table).scalar_subquery()
    return select(own.source_id, own.stream_id, moment_day(at, func.coalesce(newest, 0)).label("day"), *counts)


def _resolved_statuses() -> Select[Any]:
    own = statuses.c
    return select(own["_id"], own.source_id).where(own.is_resolved)


def is_meaning_changed(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether one of these versions of a source's statuses has another meaning than the stored one.

    The views tell three kinds apart: what is new, what is resolved, and the rest.
    """
    own = statuses.c
    if not rows:
        return False
    query = select(own["_id"], own.category, own.name).where(
        own["_id"].in_({row["_id"] for row in rows}), own.source_id == rows[0]["source_id"]
    )
    known = {row[0]: _kind(row[1], row[2]) for row in connection.execute(query)}
    shown = {(row["_id"], row["category"], row["name"]) for row in rows}
    return any(key in known and known[key] != _kind(category, name) for key, category, name in shown)


def _kind(category: str | None, name: str | None) -> str:
    told = (category if category is not None else name or "").lower()
    return "resolved" if told in RESOLVED else "new" if told in _NEW else "other"
