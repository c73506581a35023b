"""Keeps ``daily_counts``, the sums that ``daily_flow`` shows, so that no question counts all of history.

The view ``daily_events`` tells what each task counts for and on which day.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Date,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    select,
    table,
)

from etl.api_record import Row
from etl.load.database.bulk_statements import write_rows
from etl.load.database.dialect import by_ids, by_no_index, insert_rows
from etl.load.schema.dimension_tables import RESOLVED, statuses
from etl.load.schema.ledger_tables import source_offsets
from etl.load.schema.task_tables import daily_counts

_NEW = frozenset({"open", "new"})  # as the views say it

_KEY = ("source_id", "stream_id", "day")
_COUNTS = ("created", "resolved", "reopened", "deleted")
_RESOLVED = select(statuses.c["_id"]).where(statuses.c.source_id == bindparam("source"), statuses.c.is_resolved)
_MEANINGS = select(statuses.c["_id"], statuses.c.category, statuses.c.name).where(
    statuses.c.source_id == bindparam("source")
)
_OFFSETS = (
    select(source_offsets.c.starts_at, source_offsets.c.seconds)
    .where(source_offsets.c.source_id == bindparam("source"))
    .order_by(source_offsets.c.starts_at)
)
_events = table(
    "daily_events",
    column("task_id", Text),
    column("stream_id", Text),
    column("source_id", BigInteger),
    column("day", Date),
    *(column(name, Integer) for name in _COUNTS),
)


DayCounts = Counter[tuple[str, "date", str]]
"""What tasks count for, by stream, day and kind of event."""


def of(connection: Connection, source_id: int, ids: Iterable[str]) -> DayCounts:
    """Return what a source's tasks count for now."""
    found: DayCounts = Counter()
    for (some,) in by_ids(connection, _events.c.task_id, ids):
        sums = _sums("stream_id", "day").where(some, _events.c.source_id == source_id)
        for stream_id, day, *numbers in connection.execute(sums):
            found.update({(stream_id, day, kind): n for kind, n in zip(_COUNTS, numbers, strict=True)})
    return found


def add_new(connection: Connection, source_id: int, rows: Iterable[Row], *, now: datetime) -> None:
    """Add what new tasks count for; it equals ``of``, which spends its time on their history: they have none."""
    done = set(connection.execute(_RESOLVED, {"source": source_id}).scalars())
    offsets = connection.execute(_OFFSETS, {"source": source_id}).all()
    counts: DayCounts = Counter()
    for row in rows:
        stream_id, updated_at, born = row["stream_id"], row["first_updated_at"], row["created_at"] or now
        counts[stream_id, _day(born, offsets), "created"] += 1
        if row["status_id"] in done:
            known_at = updated_at if updated_at is not None and updated_at < now else now
            counts[stream_id, _day(max(born, known_at), offsets), "resolved"] += 1
        elif row["deleted_at"] is not None:
            counts[stream_id, _day(row["deleted_at"], offsets), "deleted"] += 1
    add(connection, source_id, counts)


def add(connection: Connection, source_id: int, counts: DayCounts) -> None:
    """Add counts of a source, which may be below 0."""
    sums: dict[tuple[str, date], Row] = {}
    for (stream_id, day, kind), number in counts.items():
        own = {"source_id": source_id, "stream_id": stream_id, "day": f"{day}", **dict.fromkeys(_COUNTS, 0)}
        if number:
            sums.setdefault((stream_id, day), own)[kind] = number
    if sums:
        write_rows(connection, _adding(connection.dialect.name), [sums[key] for key in sorted(sums)])


def _day(moment: datetime, offsets: Sequence[Any]) -> date:
    """Return the day of a moment in the time zone with these offsets, given as their beginnings and seconds."""
    moment = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    place = bisect_right(offsets, moment, key=itemgetter(0)) if offsets else 0
    return (moment + timedelta(seconds=offsets[place - 1][1])).date() if place else moment.date()


def rebuild(connection: Connection, source_id: int) -> None:
    """Count all tasks of a source again."""
    connection.execute(delete(daily_counts).where(daily_counts.c.source_id == source_id))
    every = _sums(*_KEY).where(by_no_index(_events.c.source_id) == source_id)
    connection.execute(insert(daily_counts).from_select([*_KEY, *_COUNTS], every))


def _sums(*by: str) -> Select[Any]:
    key = [_events.c[name] for name in by]
    return select(*key, *(func.sum(_events.c[name]) for name in _COUNTS)).group_by(*key)


@cache
def _adding(dialect: str) -> Any:
    statement = insert_rows(dialect, daily_counts, (*_KEY, *_COUNTS))
    added = {name: daily_counts.c[name] + statement.excluded[name] for name in _COUNTS}
    return statement.on_conflict_do_update(index_elements=_KEY, set_=added)


def is_meaning_changed(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Tell whether one of these versions of a source's statuses has another meaning than the stored one.

    The views tell three kinds apart: what is new, what is resolved, and the rest.
    """
    if not rows:
        return False
    stored = connection.execute(_MEANINGS, {"source": rows[0]["source_id"]})
    known = {row[0]: _kind(row[1], row[2]) for row in stored}
    shown = {(row["_id"], row["category"], row["name"]) for row in rows}
    return any(key in known and known[key] != _kind(category, name) for key, category, name in shown)


def _kind(category: str | None, name: str | None) -> str:
    told = (category if category is not None else name or "").lower()
    return "resolved" if told in RESOLVED else "new" if told in _NEW else "other"
