"""Stores what tasks name: statuses, priorities and cases, and agents, queues and users.

Each task has its own version of them. The version of the newest task is kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    Connection,
    Table,
    Text,
    and_,
    case,
    cast,
    false,
    func,
    or_,
    select,
    update,
)

from etl.api_record import Row
from etl.load.database.bulk_statements import fill, stored_ids, write_rows
from etl.load.database.dialect import insert_rows
from etl.load.schema.dimension_tables import DIMENSIONS, cases, priorities, statuses
from etl.load.upsert import daily_counts, refresh_derived
from etl.load.upsert.batch_and_counts import Batch, Details
from etl.times import EARLIEST

_IDS_AT_ONCE = 500
_MANY = 20  # rows: fewer are not worth a question
KEY = ("_id", "source_id", "seen_at")


def store_named(connection: Connection, batch: Batch) -> None:
    """Keep what the tasks of a batch name, in the version of the newest task."""
    for table, rows in ((statuses, batch.statuses), (priorities, batch.priorities), (cases, batch.cases)):
        upsert(connection, table, rows)
    store_people_and_queues(connection, batch.details)


def store_people_and_queues(connection: Connection, details: Iterable[Details]) -> None:
    """Keep each agent, queue and user as its newest mention shows it; a key that it leaves out stays as it was."""
    by_table = list(details)
    for table in DIMENSIONS:
        rows = _merged([row for of_task in by_table for row in of_task.get(table.name, ())])
        rows = _insert_new(connection, table, rows)
        for names in sorted({tuple(row) for row in rows}):
            some = [row for row in rows if tuple(row) == names]
            write_rows(connection, _upsert_mention(connection.dialect.name, table, names), some)


def upsert(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Keep the version that the newest task showed; of two at one instant the one that was read last."""
    latest = _insert_new(connection, table, _latest_versions(rows))
    if latest:
        write_rows(connection, _upsert_of(connection.dialect.name, table, tuple(latest[0])), latest)


def _insert_new(connection: Connection, table: Table, rows: list[Row]) -> list[Row]:
    """Insert the rows that are not stored, unless they are few, and return the others; each has its own ``_id``."""
    if len(rows) < _MANY:
        return rows
    stored = stored_ids(connection, table, rows[0]["source_id"], [row["_id"] for row in rows])
    new = defaultdict(list)
    for row in rows:
        if row["_id"] not in stored:
            new[tuple(row)].append(row)
    for alike in new.values():
        fill(connection, table, alike)
    return [row for row in rows if row["_id"] in stored]


def newer_than(connection: Connection, source_id: int, table: Table, read: Mapping[str, datetime]) -> frozenset[str]:
    """Return the ids of a source's rows that are newer than a date, which is given by ``_id``."""
    if not read:
        return frozenset()
    query = select(table.c["_id"], table.c.seen_at).where(table.c.source_id == source_id, table.c.seen_at.is_not(None))
    return frozenset(key for key, seen_at in connection.execute(query) if key in read and seen_at > read[key])


def put_back(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Store versions in the place of newer ones; derived tables follow if a status has another meaning then."""
    if not rows:
        return
    is_meaning_changed = table is statuses and daily_counts.is_meaning_changed(connection, rows)
    source_id, ids = rows[0]["source_id"], sorted({row["_id"] for row in rows})
    for start in range(0, len(ids), _IDS_AT_ONCE):
        some = table.c["_id"].in_(ids[start : start + _IDS_AT_ONCE])
        connection.execute(update(table).where(some, table.c.source_id == source_id).values(seen_at=None))
    if table in DIMENSIONS:
        store_people_and_queues(connection, [{table.name: rows}])
    else:
        upsert(connection, table, rows)
    if is_meaning_changed:
        refresh_derived.rebuild(connection, source_id)


@cache
def _upsert_of(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    statement = insert_rows(dialect, table, names)
    return _keeping_the_newest(statement, table, names)


def _keeping_the_newest(statement: Any, table: Table, names: tuple[str, ...]) -> Any:
    content, new, old = _content(table), statement.excluded, table.c
    later = or_(new.seen_at > old.seen_at, and_(new.seen_at.is_not(None), old.seen_at.is_(None)))
    differs = cast(new[content], Text).is_distinct_from(cast(old[content], Text))
    return statement.on_conflict_do_update(
        index_elements=["_id", "source_id"],
        set_={name: new[name] for name in names if name not in {"_id", "source_id"}},
        where=or_(later, and_(new.seen_at.is_not_distinct_from(old.seen_at), differs)),
    )


def _content(table: Table) -> str:
    """Name the column that tells two versions of one instant apart."""
    return "raw" if "raw" in table.c else "ref_id"


def _latest_versions(rows: Iterable[Row]) -> list[Row]:
    """Return the newest row of each ``_id``, the last of equals.

    In order of ``_id``: two sessions that write the same rows would else wait for each other.
    """
    newest: dict[str, Row] = {}
    for row in rows:
        known = newest.get(row["_id"])
        if known is None or (row["seen_at"] or EARLIEST) >= (known["seen_at"] or EARLIEST):
            newest[row["_id"]] = row
    return [newest[key] for key in sorted(newest)]


def _merged(rows: Iterable[Row]) -> list[Row]:
    """Return one row an ``_id``, in order of it: each value from the newest mention that tells it, the last of equals.

    A mention by the id alone shows nothing, so it has no date.
    """
    merged: dict[str, Row] = {}
    for row in sorted(_distinct(rows), key=_age):
        merged[row["_id"]] = {**merged.get(row["_id"], {}), **row}
    return [dict(sorted(merged[key].items())) for key in sorted(merged)]


def _distinct(rows: Iterable[Row]) -> Iterable[Row]:
    """Return of mentions that say the same the newest: many tasks name the same few."""
    newest: dict[tuple[Any, ...], Row] = {}
    for row in rows:
        said = tuple([item for item in row.items() if item[0] != "seen_at"])
        known = newest.get(said)
        if known is None or _age(row) >= _age(known):
            newest.pop(said, None)  # to stand behind what was read before
            newest[said] = row if len(row) > len(KEY) else {**row, "seen_at": None}
    return newest.values()


def _age(row: Row) -> datetime:
    return row["seen_at"] or EARLIEST


@cache
def _upsert_mention(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    told = [name for name in names if name not in KEY]
    statement = insert_rows(dialect, table, names)
    new, old = statement.excluded, table.c
    later = and_(new.seen_at.is_not(None), or_(old.seen_at.is_(None), new.seen_at > old.seen_at))
    is_same_instant = new.seen_at.is_not_distinct_from(old.seen_at)  # then the mention that was read last wins
    differs = or_(false(), *(new[name].is_distinct_from(old[name]) for name in told))
    fills = or_(false(), *(old[name].is_(None) for name in told))
    values = {
        name: case((or_(later, is_same_instant), new[name]), else_=func.coalesce(old[name], new[name])) for name in told
    }
    values["seen_at"] = case((later, new.seen_at), else_=old.seen_at)
    chosen = or_(later, and_(is_same_instant, differs), fills)
    return statement.on_conflict_do_update(index_elements=["_id", "source_id"], set_=values, where=chosen)
