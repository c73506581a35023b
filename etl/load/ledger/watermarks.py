"""Stores the watermark of a source: all changes up to it are stored. It moves in the transaction of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import Connection, insert, or_, select, update

from etl.load.schema.ledger_tables import sync_runs, watermarks
from etl.load.schema.task_tables import is_of, tasks

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime


def read(connection: Connection, source_id: int) -> datetime | None:
    """Return the watermark, None before the first complete sync."""
    return connection.execute(select(watermarks.c.value).where(watermarks.c.source_id == source_id)).scalar()


def lookback_read_at(connection: Connection, source_id: int) -> datetime | None:
    """Return when the time before the watermark was last read row by row."""
    query = select(watermarks.c.lookback_read_at).where(watermarks.c.source_id == source_id)
    return connection.execute(query).scalar()


def advance(
    connection: Connection,
    source_id: int,
    value: datetime,
    *,
    run_id: int,
    now: datetime,
    lookback_read_at: datetime | None = None,
) -> bool:
    """Move the watermark forward to ``value``, never back. Tell whether it moved."""
    known = read(connection, source_id)
    moves = known is None or known < value
    values: dict[str, object] = {"value": value, "moved_at": now, "run_id": run_id} if moves else {}
    if lookback_read_at is not None:
        values["lookback_read_at"] = lookback_read_at
    if values:
        _write(connection, source_id, values, is_new=known is None)
    return moves


def put(connection: Connection, source_id: int, value: datetime, *, run_id: int, now: datetime) -> None:
    """Set the watermark at a user's request, also backwards; the next sync reads all rows since then."""
    values: dict[str, object] = {"value": value, "moved_at": now, "run_id": run_id, "lookback_read_at": None}
    _write(connection, source_id, values, is_new=read(connection, source_id) is None)


def _write(connection: Connection, source_id: int, values: dict[str, object], *, is_new: bool) -> None:
    if is_new:
        connection.execute(insert(watermarks).values(source_id=source_id, **values))
    else:
        connection.execute(update(watermarks).where(watermarks.c.source_id == source_id).values(**values))


def is_behind(connection: Connection, source_id: int, task_ids: Collection[str]) -> bool:
    """Tell whether earlier changes than those of these tasks may be missing after the watermark.

    They may if the run that last moved the watermark, or a later run that stored one of the tasks, did not finish.
    """
    mark = select(watermarks).where(watermarks.c.source_id == source_id).subquery()
    moved_by = select(sync_runs.c.state).join(mark, mark.c.run_id == sync_runs.c.id)
    if connection.execute(moved_by).scalar() != "finished":
        return True
    later = or_(tasks.c.stored_at > mark.c.moved_at, tasks.c.run_id > mark.c.run_id)
    query = select(tasks.c["_id"]).join(mark, is_of(source_id)).where(later)
    # A finished run left none, even if the watermark stays behind its rows to wait for late rows.
    query = query.join(sync_runs, sync_runs.c.id == tasks.c.run_id).where(sync_runs.c.state != "finished")
    return connection.execute(query.where(tasks.c["_id"].in_(task_ids)).limit(1)).first() is not None
