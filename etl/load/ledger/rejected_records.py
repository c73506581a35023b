"""Stores rejected records, each once by its content; lists, reads, acknowledges and deletes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import blake2b

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, exists, func, select, update

from etl.api_record import Row
from etl.load.database.dialect import insert_into
from etl.load.database.engine import plain_rows
from etl.load.schema.ledger_tables import rejected_records, sources
from etl.load.schema.task_tables import tasks
from etl.settings import Identity

_KEPT = rejected_records.c


class Kept(Struct, frozen=True):
    """A rejected record's text, and when it was seen."""

    id: int
    raw: str
    times_seen: int
    last_seen_at: datetime
    last_run_id: int
    window_id: int | None


def keep(
    connection: Connection,
    source_id: int,
    rejections: Iterable[tuple[str, str | None, str]],
    *,
    run_id: int,
    window_id: int | None = None,
    now: datetime,
) -> int:
    """Store each (reason, record id, raw text); count a known one again and update its last time.

    Return how many are not acknowledged.
    """
    to_be_looked_at = 0
    for reason, record_id, raw in rejections:
        statement = insert_into(connection, rejected_records).values(
            source_id=source_id,
            digest=digest_of(raw),
            record_id=record_id,
            reason=reason,
            raw=raw,
            times_seen=1,
            first_seen_at=now,
            last_seen_at=now,
            first_run_id=run_id,
            last_run_id=run_id,
            window_id=window_id,
        )
        new, old = statement.excluded, rejected_records.c
        again = {
            "times_seen": old.times_seen + 1,
            "reason": new.reason,
            "last_seen_at": new.last_seen_at,
            "last_run_id": new.last_run_id,
            "window_id": new.window_id,
            "vanished_at": None,
        }
        upsert = statement.on_conflict_do_update(index_elements=["source_id", "digest"], set_=again)
        acknowledged_at = connection.execute(upsert.returning(old.acknowledged_at)).scalar_one()
        to_be_looked_at += acknowledged_at is None
    return to_be_looked_at


def digest_of(raw: str) -> str:
    """Return the digest of a record's text, to find equal texts."""
    return blake2b(raw.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def entries(
    connection: Connection, ids: Sequence[int] | None = None, source: str | None = None, *, whole: bool = False
) -> list[Row]:
    """Return rejected records, all or by ids or source, oldest first; with their text if ``whole``."""
    columns = [column for column in _KEPT if column.name not in {"raw", "digest", "source_id"}]
    query = select(columns[0], sources.c.name.label("source"), *columns[1:], *([_KEPT.raw] if whole else []))
    query = query.join(sources, sources.c.id == _KEPT.source_id).where(*_chosen(ids, source))
    return plain_rows(connection, query.order_by(_KEPT.id))


def sources_of(connection: Connection, ids: Sequence[int] | None = None) -> list[tuple[str, Identity]]:
    """Return the names and identities of the sources of the kept records, all or those of some ids."""
    known = sources.c
    query = select(known.name, known.host, known.account_id, known.stream_id).order_by(known.id)
    kept = select(_KEPT.source_id).where(*_chosen(ids))
    return [(row[0], (row[1], row[2], row[3])) for row in connection.execute(query.where(known.id.in_(kept)))]


def not_stored(connection: Connection, source_id: int) -> list[str]:
    """Return the text of each record that is kept in place of a task, the newest of each id.

    These are the rejected records that the server counts beside the stored tasks.
    """
    query = select(_KEPT.record_id, _KEPT.digest, _KEPT.raw).where(is_counted(source_id))
    rows = connection.execute(query.order_by(_KEPT.last_seen_at, _KEPT.id))
    return list({(record_id, None if record_id else digest): raw for record_id, digest, raw in rows}.values())


def count_not_stored(connection: Connection, source_id: int) -> int:
    """Count the records that :func:`not_stored` returns."""
    key = func.coalesce(_KEPT.record_id, _KEPT.digest)
    return int(connection.execute(select(func.count(key.distinct())).where(is_counted(source_id))).scalar_one())


def task_ids(connection: Connection, source_id: int) -> frozenset[str]:
    """Return the ids of a source's tasks whose record was rejected when the server last showed it."""
    query = select(_KEPT.record_id).where(_KEPT.source_id == source_id, _KEPT.vanished_at.is_(None))
    return frozenset(connection.execute(query.where(_KEPT.record_id.is_not(None))).scalars())


def is_counted(source_id: int) -> ColumnElement[bool]:
    """Return the condition that the server counts a source's rejected record beside the stored tasks."""
    stored = exists().where(tasks.c["_id"] == _KEPT.record_id, tasks.c.source_id == source_id)
    return and_(_KEPT.source_id == source_id, _KEPT.vanished_at.is_(None), ~stored)


def mark_vanished(connection: Connection, source_id: int, *, run_id: int, now: datetime) -> None:
    """Mark the rejected records that a run, which read all of history, did not see. They no longer count."""
    chosen = (_KEPT.source_id == source_id, _KEPT.last_run_id < run_id, _KEPT.vanished_at.is_(None))
    connection.execute(update(rejected_records).where(*chosen).values(vanished_at=now))


def replayable(connection: Connection, source_id: int, ids: Sequence[int] | None = None) -> list[int]:
    """Return the ids of a source's rejected records, of all or of some ids, that a replay may store.

    A record that the server no longer has is left out, and one last seen before its task was deleted: a replay would
    bring the task back.
    """
    of_record = (tasks.c["_id"] == _KEPT.record_id) & (tasks.c.source_id == _KEPT.source_id)
    gone = exists().where(of_record, tasks.c.deleted_at >= _KEPT.last_seen_at)
    there = (_KEPT.source_id == source_id) & _KEPT.vanished_at.is_(None) & ~gone
    query = select(_KEPT.id).where(there, *_chosen(ids))
    return list(connection.execute(query.order_by(_KEPT.id)).scalars())


def read(connection: Connection, ids: Sequence[int]) -> list[Kept]:
    """Return rejected records with their texts, oldest first."""
    columns = (_KEPT.id, _KEPT.raw, _KEPT.times_seen, _KEPT.last_seen_at, _KEPT.last_run_id, _KEPT.window_id)
    query = select(*columns).where(_KEPT.id.in_(ids)).order_by(_KEPT.id)
    return [Kept(*row) for row in connection.execute(query)]


def settle(connection: Connection, replayed: Sequence[Kept], run_id: int) -> int:
    """Delete the records that a run replayed and stored; return how many.

    A record that was rejected again has its new reason. The replay did not see it on the server, so its times and its
    count stay.
    """
    mine = _KEPT.id.in_([record.id for record in replayed])
    again = set(connection.execute(select(_KEPT.id).where(mine, _KEPT.last_run_id == run_id)).scalars())
    before = ("times_seen", "last_seen_at", "last_run_id", "window_id")
    if again:
        statement = update(rejected_records).where(_KEPT.id == bindparam("kept_id"))
        seen = [{"kept_id": r.id} | {name: getattr(r, name) for name in before} for r in replayed if r.id in again]
        connection.execute(statement.values({name: bindparam(name) for name in before}), seen)
    return drop(connection, [record.id for record in replayed if record.id not in again])


def acknowledge(connection: Connection, ids: Sequence[int] | None, now: datetime) -> int:
    """Acknowledge rejected records, all or those of some ids; return how many were not acknowledged before."""
    statement = update(rejected_records).where(_KEPT.acknowledged_at.is_(None), *_chosen(ids))
    return connection.execute(statement.values(acknowledged_at=now)).rowcount


def drop(connection: Connection, ids: Sequence[int]) -> int:
    """Delete rejected records and return how many."""
    return connection.execute(delete(rejected_records).where(_KEPT.id.in_(ids))).rowcount


def _chosen(ids: Sequence[int] | None, source: str | None = None) -> list[ColumnElement[bool]]:
    chosen: list[ColumnElement[bool]] = []
    if ids is not None:
        chosen.append(_KEPT.id.in_(ids))
    if source is not None:
        chosen.append(sources.c.name == source)
    return chosen
