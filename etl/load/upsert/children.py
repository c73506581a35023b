"""Storing what stands behind a task's row: agents, queues and users, and the task's children, replaced as a set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, and_, bindparam, case, delete, false, func, or_

from etl.load.database.bulk_insert import fill
from etl.load.database.dialect import insert_by
from etl.load.schema.dimension_tables import DIMENSIONS
from etl.load.schema.task_tables import CHILDREN
from etl.load.upsert.batch import Details
from etl.row import Row

_IDS_AT_ONCE = 500
_NEVER = datetime.min.replace(tzinfo=UTC)
_KEPT = ("_id", "source_id", "seen_at")


def store_people_and_queues(connection: Connection, details: Iterable[Details]) -> None:
    """Keep each agent, queue and user as its newest mention shows it; a key that it leaves out stays as it was."""
    by_table = list(details)
    for table in DIMENSIONS:
        rows = _merged([row for of_task in by_table for row in of_task.get(table.name, ())])
        for names in sorted({tuple(row) for row in rows}):
            some = [row for row in rows if tuple(row) == names]
            connection.execute(_upsert_of(connection.dialect.name, table, names), some)


def put_children(connection: Connection, source_id: int, details: Mapping[str, Details], *, replace: bool) -> None:
    """Store the children of a source's tasks, by ``_id``; if ``replace``, in the place of those that are there."""
    task_ids = list(details)
    for table in CHILDREN:
        for start in range(0, len(task_ids) if replace else 0, _IDS_AT_ONCE):
            some = task_ids[start : start + _IDS_AT_ONCE]
            connection.execute(delete(table).where(table.c.task_id.in_(some), table.c.source_id == source_id))
        fill(connection, table, [row for of_task in details.values() for row in of_task.get(table.name, ())])


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
            newest[said] = row if len(row) > len(_KEPT) else {**row, "seen_at": None}
    return newest.values()


def _age(row: Row) -> datetime:
    return row["seen_at"] or _NEVER


@cache
def _upsert_of(dialect: str, table: Table, names: tuple[str, ...]) -> Any:
    told = [name for name in names if name not in _KEPT]
    statement = insert_by(dialect, table).values({name: bindparam(name) for name in names})
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
