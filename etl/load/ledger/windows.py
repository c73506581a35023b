"""Stores the ledger of windows: which ranges of time were read, how, and with what outcome."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    column,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    table,
    update,
)

from etl.load.database.types import Moment
from etl.load.schema.ledger_tables import sync_windows

_WINDOW = sync_windows.c
_gaps = table(
    "coverage_gaps", column("source_id", BigInteger), column("gap_start", Moment), column("gap_end", Moment)
)  # fmt: skip


class WindowRow(Struct, frozen=True):
    """A row of the ledger: ``[start, end)`` of ``field``, committed from its start up to ``checkpoint``."""

    id: int
    field: str
    start: datetime
    end: datetime
    checkpoint: datetime
    opened_at: datetime


def open_window(connection: Connection, **values: object) -> int:
    """Add a window, a running one unless ``values``, its columns, say more, and return its id."""
    row = {"state": "running", "attempts": 1, **values}
    return int(connection.execute(insert(sync_windows).values(**row).returning(_WINDOW.id)).scalar_one())


def note(connection: Connection, window_id: int, **values: object) -> None:
    """Update a window: ``checkpoint_at``, ``state``, ``requests``, ``rows`` ..."""
    connection.execute(update(sync_windows).where(sync_windows.c.id == window_id).values(**values))


def drop(connection: Connection, window_id: int) -> None:
    """Delete a window that covers nothing."""
    connection.execute(delete(sync_windows).where(sync_windows.c.id == window_id))


def of_job(connection: Connection, source_id: int, job: str, *, run_id: int | None = None) -> Sequence[WindowRow]:
    """Return the windows of a job on a source, earliest first."""
    mine = (_WINDOW.source_id == source_id) & (_WINDOW.job == job)
    if run_id is not None:
        mine &= _WINDOW.run_id == run_id
    return rows(connection, mine)


def rows(connection: Connection, condition: ColumnElement[bool], *, limit: int | None = None) -> Sequence[WindowRow]:
    """Return the windows that meet a condition, earliest first."""
    query = select(
        _WINDOW.id, _WINDOW.field, _WINDOW.start_at, _WINDOW.end_at, _WINDOW.checkpoint_at, _WINDOW.opened_at
    ).where(condition)
    query = query.order_by(_WINDOW.start_at, _WINDOW.id).limit(limit)
    return [WindowRow(*row) for row in connection.execute(query)]


class Progress(Struct, frozen=True):
    """How far a job came without a gap, and the server's time when its first window was opened."""

    checkpoint: datetime
    opened_at: datetime


def progress(
    connection: Connection, source_id: int, job: str, field: str, start: datetime, *, run_id: int | None = None
) -> Progress | None:
    """Return how far a job is committed from ``start`` without a gap, by one run or all; None if it has not begun."""
    found = [entry for entry in of_job(connection, source_id, job, run_id=run_id) if entry.field == field]
    reached = start
    for entry in found:
        if entry.start <= reached:
            reached = max(reached, entry.checkpoint)
    if reached <= start:
        return None
    return Progress(reached, min(entry.opened_at for entry in found))


def beginning(connection: Connection, source_id: int) -> datetime | None:
    """Return from when on a source's history was read whole without a gap, None if no window tells.

    A full sync that was cut off on its way from an earlier beginning leaves a gap behind.
    """
    mine = (_WINDOW.source_id == source_id) & _WINDOW.job.in_(("first", "full", "verify"))
    before = func.max(_WINDOW.checkpoint_at).over(order_by=(_WINDOW.start_at, _WINDOW.id), rows=(None, -1))
    read = select(_WINDOW.start_at, before.label("reached")).where(mine, _WINDOW.checkpoint_at > _WINDOW.start_at)
    part = read.subquery().c
    query = select(func.max(part.start_at)).where(or_(part.reached.is_(None), part.start_at > part.reached))
    return connection.execute(query).scalar()


def uncovered(
    connection: Connection, source_id: int, job: str, field: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime]]:
    """Return the ranges of ``[start, end)`` that no window of a job has committed, earliest first."""
    left, reached = [], start
    for entry in of_job(connection, source_id, job):
        if entry.field == field and reached < end and entry.checkpoint > max(reached, entry.start):
            if entry.start > reached:
                left.append((reached, min(entry.start, end)))
            reached = entry.checkpoint
    return [*left, (reached, end)] if reached < end else left


def settle_unverified(connection: Connection, source_id: int, run_id: int) -> int:
    """Make the unverified windows of a run verified, because another reading proved them; return how many."""
    mine = (sync_windows.c.source_id == source_id) & (sync_windows.c.run_id == run_id)
    unverified = update(sync_windows).where(mine, sync_windows.c.state == "unverified")
    return connection.execute(unverified.values(state="verified", error=None)).rowcount


def end_backfill(connection: Connection, source_id: int, job: str) -> None:
    """Rename the job of a backfill's windows, so that the next backfill of its period starts from the beginning."""
    mine = (sync_windows.c.source_id == source_id) & (sync_windows.c.job == job)
    connection.execute(update(sync_windows).where(mine).values(job="backfill"))


def gaps(connection: Connection, source_id: int) -> list[tuple[datetime, datetime]]:
    """Return the ranges between the start of history and the watermark that no window covers."""
    query = select(_gaps.c.gap_start, _gaps.c.gap_end).where(_gaps.c.source_id == source_id)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(_gaps.c.gap_start))]


def unverified(connection: Connection, source_id: int) -> list[tuple[datetime, datetime]]:
    """Return the unverified ranges that no later window has read to their end."""
    query = select(_WINDOW.start_at, _WINDOW.end_at).distinct()
    query = query.where(_WINDOW.source_id == source_id, _WINDOW.state == "unverified", ~is_read_again())
    return [(row[0], row[1]) for row in connection.execute(query.order_by(_WINDOW.start_at))]


def is_read_again() -> ColumnElement[bool]:
    """Return the condition that a later verified window covers a window."""
    again = sync_windows.alias("again")
    return exists().where(
        again.c.source_id == _WINDOW.source_id,
        again.c.id > _WINDOW.id,
        again.c.field == _WINDOW.field,
        again.c.state == "verified",
        again.c.start_at <= _WINDOW.start_at,
        again.c.checkpoint_at >= _WINDOW.end_at,
    )
