"""Stores the watermark of a source: all changes up to it are stored. It moves in the transaction of its rows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from etl.load.schema.ledger_tables import watermarks


def read(connection: Connection, source_id: int) -> datetime | None:
    """Return the watermark, None before the first complete sync."""
    return connection.execute(select(watermarks.c.value).where(watermarks.c.source_id == source_id)).scalar()


def around(connection: Connection, source_id: int) -> tuple[datetime | None, datetime]:
    """Return when the time before the watermark was last read row by row, and up to when all changes are stored.

    There must be a watermark. The second one may be later, because the watermark waits for changes that show late, or
    earlier, where changes are not shown in their order.
    """
    query = select(watermarks.c.lookback_read_at, watermarks.c.complete_to, watermarks.c.value)
    row = connection.execute(query.where(watermarks.c.source_id == source_id)).one()
    return row.lookback_read_at, row.complete_to or row.value


def advance(
    connection: Connection,
    source_id: int,
    /,
    value: datetime,
    *,
    run_id: int,
    now: datetime,
    **others: datetime | None,
) -> bool:
    """Move the watermark forward to ``value``, never back, and write other columns as well. Tell whether it moved.

    All changes up to ``value`` are stored, unless ``complete_to`` among the others tells less.
    """
    known = read(connection, source_id)
    moves = known is None or known < value
    values: dict[str, object] = {}
    if moves:
        values = {"value": value, "moved_at": now, "run_id": run_id, "complete_to": value}
    values |= {name: each for name, each in others.items() if each is not None}
    if values:
        _write(connection, source_id, values, is_new=known is None)
    return moves


def put(connection: Connection, source_id: int, value: datetime, *, run_id: int, now: datetime) -> None:
    """Set the watermark at a user's request, also backwards; the next sync reads all rows since then."""
    unknown = {"lookback_read_at": None, "complete_to": None}
    values: dict[str, object] = {"value": value, "moved_at": now, "run_id": run_id, **unknown}
    _write(connection, source_id, values, is_new=read(connection, source_id) is None)


def _write(connection: Connection, source_id: int, values: dict[str, object], *, is_new: bool) -> None:
    if is_new:
        connection.execute(insert(watermarks).values(source_id=source_id, **values))
    else:
        connection.execute(update(watermarks).where(watermarks.c.source_id == source_id).values(**values))
