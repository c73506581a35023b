"""Stores when each source is due for its next sync.

A source is due at evenly spaced times. A hash of its identity shifts them, so that sources with the same interval are
not all due at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from hashlib import blake2b
from math import ceil, floor

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Engine, exists, func, select, update

from etl import times
from etl.load.database.engine import reading
from etl.load.ledger.sources import identity, is_source
from etl.load.schema.ledger_tables import sources, sync_runs
from etl.settings import Identity
from etl.times import EPOCH

_USUAL_REQUESTS = 2  # of a sync, where none has ended yet
_RUNS = 20  # the latest ones, whose mean counts
_LONGEST_WAIT = timedelta(days=1)  # for the sync of a source


class Schedule(Struct, frozen=True, kw_only=True):
    """A source that is synced at intervals of ``every``, unless it is paused."""

    source_id: int
    name: str
    identity: Identity
    every: timedelta
    paused: bool
    next_due_at: datetime


def seconds_late(next_due_at: datetime | None, now: datetime, *, paused: bool) -> float | None:
    """Return for how long a sync has been due, None if none is due."""
    if paused or next_due_at is None or next_due_at > now:
        return None
    return round((now - next_due_at).total_seconds(), 1)


def next_due(source: Identity, every: timedelta, after: datetime) -> datetime:
    """Return the first time after another one at which a source is due; ``every`` is in whole seconds."""
    seconds = int(every.total_seconds())
    shift = int.from_bytes(blake2b(identity(source).encode(), digest_size=8).digest(), "big") % seconds
    passed = floor(((after - EPOCH).total_seconds() - shift) / seconds)
    return EPOCH + timedelta(seconds=(passed + 1) * seconds + shift)


def now(engine: Engine) -> datetime:
    """Return the time by which a source is due: PostgreSQL's, because the clocks of machines differ."""
    if engine.dialect.name != "postgresql":
        return times.now()
    with reading(engine) as connection:
        return times.to_milliseconds(connection.execute(select(func.clock_timestamp())).scalar_one())


def read_due(connection: Connection, now: datetime, account: str | None = None) -> list[Schedule]:
    """Return the schedules of the sources that are due, all or those of an account, the latest first."""
    own = sources.c
    theirs = [] if account is None else [own.account_id == account]
    return _read(connection, *theirs, ~own.paused, own.next_due_at <= now)


def read_all(connection: Connection) -> list[Schedule]:
    """Return the schedules of all sources that have one, in the order in which they are due."""
    return _read(connection)


def _read(connection: Connection, *conditions: ColumnElement[bool]) -> list[Schedule]:
    own = sources.c
    columns = (own.id, own.name, own.host, own.account_id, own.stream_id, own.every, own.paused, own.next_due_at)
    rows = connection.execute(
        select(*columns).where(own.every.is_not(None), *conditions).order_by(own.next_due_at, own.id)
    )
    return [
        Schedule(
            source_id=row.id,
            name=row.name,
            identity=(row.host, row.account_id, row.stream_id),
            every=timedelta(seconds=row.every),
            paused=row.paused,
            next_due_at=row.next_due_at,
        )
        for row in rows
    ]


def is_sync_due(connection: Connection, account_id: str, now: datetime, *, or_at_work: bool = False) -> bool:
    """Tell whether the sync of a source that has a schedule and is not paused is due, for a day at most.

    A source that left the settings stays due. The row of a run that died says that it is ``at_work``, until the next
    run of its source.
    """
    own, run = sources.c, sync_runs.c
    since = now - _LONGEST_WAIT
    scheduled = (own.account_id == account_id) & own.every.is_not(None) & ~own.paused
    is_due = (own.next_due_at > since) & (own.next_due_at <= now)
    if or_at_work:
        latest = (run.source_id == own.id) & (run.started_at > since)
        is_due |= exists().where(latest, run.state == "running", run.command == "sync")
    return connection.execute(select(own.id).where(scheduled, is_due).limit(1)).first() is not None


def usual_requests(connection: Connection, source_id: int) -> int:
    """Return how many requests a sync of a source takes, by the latest ones."""
    run = sync_runs.c
    ended = (run.source_id == source_id) & (run.command == "sync") & (run.state == "finished")
    latest = (
        select(run.requests, run.runs)
        .where(ended, run.watermark_before.is_not(None))
        .order_by(run.id.desc())
        .limit(_RUNS)
    )
    found = latest.subquery().c
    requests, runs = connection.execute(select(func.sum(found.requests), func.sum(found.runs))).one()
    return max(1, ceil(requests / runs)) if runs else _USUAL_REQUESTS


def claim(connection: Connection, schedule: Schedule, now: datetime) -> bool:
    """Move a source to the next time at which it is due; False if another process did that, or it is paused now."""
    due = next_due(schedule.identity, schedule.every, now)
    mine = (sources.c.id == schedule.source_id) & (sources.c.next_due_at == schedule.next_due_at)
    return connection.execute(update(sources).where(mine, ~sources.c.paused).values(next_due_at=due)).rowcount == 1


def make_due(connection: Connection, source: Identity, now: datetime) -> None:
    """Let a source that has a schedule be due now, if it is due later."""
    is_later = sources.c.next_due_at > now
    connection.execute(update(sources).where(is_source(*source), is_later).values(next_due_at=now))


def put(connection: Connection, source_id: int, source: Identity, every: timedelta, now: datetime) -> datetime:
    """Give a source a schedule, and return when it is due first."""
    due = next_due(source, every, now)
    values = {"every": int(every.total_seconds()), "next_due_at": due, "paused": False}
    connection.execute(update(sources).where(sources.c.id == source_id).values(**values))
    return due
