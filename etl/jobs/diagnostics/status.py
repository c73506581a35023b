"""The status of each source: its age, its gaps, its account, and the capabilities of its server."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, Engine

from etl.api_record import Row
from etl.extract.capabilities import ServerCapabilities
from etl.jobs.run.source_lease import command_lock
from etl.load.database.engine import reading
from etl.load.ledger import claims, runs, windows
from etl.load.ledger.claims import Distributed
from etl.load.ledger.schedules import seconds_late
from etl.load.ledger.sources import identity, identity_of
from etl.load.queries import status
from etl.settings import Identity

TimeRange = tuple[datetime, datetime]


class SourceStatus(Struct, frozen=True):
    """The status of a source. All changes before ``complete_until`` are stored; ``age`` is its age in seconds.

    A sync that finds nothing new may leave the watermark where it is. ``complete_until`` is then the start of that
    sync. ``distributed`` tells of a backfill whose windows workers read. The source is due each ``every`` seconds, next
    at ``next_due_at``. All of history was read since ``oldest_reading``, and ``mended`` differences were found in it
    since then. A source that is not configured any more is never stale.
    """

    name: str
    stream_id: str
    configured: bool
    complete_until: datetime | None
    age: float | None
    stale: bool | None
    watermark: datetime | None
    watermark_age: float | None
    history_start: datetime | None
    every: int | None
    paused: bool
    next_due_at: datetime | None
    seconds_late: float | None
    last_run: Row | None
    last_sync: Row | None
    running: Row | None
    distributed: Distributed | None
    tasks: int
    deleted: int
    rejected: int
    account: Row | None
    gaps: list[TimeRange]
    unverified: list[TimeRange]
    oldest_reading: datetime | None
    mended: int
    probed_at: datetime | None
    answers: Row
    unknown: list[str]


def source_statuses(
    engine: Engine,
    *,
    now: datetime,
    source: str | None = None,
    most_age: timedelta | None = None,
    configured: Collection[Identity] = (),
) -> list[SourceStatus]:
    """Return the status of all sources, or of one; those that are not ``configured`` come last.

    A source older than ``most_age`` is stale. Where nothing is known to be configured, all count as configured.
    """
    with reading(engine) as connection:
        rows = [
            {**row, "configured": not configured or identity_of(row) in configured}
            for row in status.source_rows(connection, source)
        ]
        rows.sort(key=lambda row: not row["configured"])
        return [_source_status(connection, row, now, most_age) for row in rows]


def with_true_state(connection: Connection, run: Row) -> Row:
    """Return a run's row; one that says running without its lock is abandoned, as the next run will write."""
    if run["state"] == "running":
        source = identity(status.source_of_run(connection, run["id"]))
        if not command_lock(connection.engine, run["command"], source).is_held():
            return {**run, "state": "abandoned"}
    return run


def _source_status(connection: Connection, source: Row, now: datetime, most_age: timedelta | None) -> SourceStatus:
    key, watermark = source["id"], source["watermark"]
    last_sync = status.latest_run(connection, key, commands=runs.SYNCS, state="finished")
    complete = complete_until(watermark, last_sync)
    age = _seconds(now, complete)
    capabilities = ServerCapabilities.from_json(source["capabilities"])
    live, deleted = status.task_counts(connection, key)
    oldest = status.oldest_reading(connection, key)
    answers = capabilities.to_json()
    del answers["evidence"]
    account = runs.last_account(connection, key)
    latest = (status.latest_run(connection, key, state="running"), status.latest_run(connection, key))
    running, last_run = (run and with_true_state(connection, run) for run in latest)
    return SourceStatus(
        name=source["name"],
        stream_id=source["stream_id"],
        configured=source["configured"],
        complete_until=complete,
        age=age,
        stale=_is_stale(age, most_age) if source["configured"] else None,
        watermark=watermark,
        watermark_age=_seconds(now, watermark),
        history_start=source["history_start"],
        every=source["every"],
        paused=source["paused"],
        next_due_at=source["next_due_at"],
        seconds_late=seconds_late(source["next_due_at"], now, paused=source["paused"]),
        last_run=last_run,
        last_sync=last_sync,
        running=running if running and running["state"] == "running" else None,
        distributed=claims.distributed(connection, key),
        tasks=live,
        deleted=deleted,
        rejected=status.kept_aside(connection, key),
        account=account and account.account,
        gaps=windows.gaps(connection, key),
        unverified=windows.unverified(connection, key),
        oldest_reading=oldest,
        mended=status.mended_since(connection, key, oldest),
        probed_at=source["probed_at"],
        answers=answers,
        unknown=list(capabilities.unknown()),
    )


def _is_stale(age: float | None, most_age: timedelta | None) -> bool | None:
    return None if most_age is None else age is None or age > most_age.total_seconds()


def complete_until(watermark: datetime | None, last_sync: Row | None) -> datetime | None:
    """Return the time before which all changes are stored: the watermark, or the start of a sync that ended later."""
    known = [watermark, last_sync["started_at"] if last_sync and watermark else None]
    return max((moment for moment in known if moment is not None), default=None)


def _seconds(now: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, round((now - moment).total_seconds(), 1))
