"""Reads the state of each source and its runs, for people and monitors."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, case, func, select

from etl.api_record import Row
from etl.load.database.engine import plain_rows
from etl.load.schema.ledger_tables import rejected_records, sources, sync_runs, sync_windows, watermarks
from etl.load.schema.task_tables import tasks
from etl.settings import Identity

_RUN = sync_runs.c
_WINDOW = sync_windows.c
_READS_HISTORY = ("first", "full", "verify", "backfill")
_LISTED = (
    "id", "command", "state", "started_at", "finished_at", "exit_code", "requests", "inserted", "updated", "rejected",
)  # fmt: skip


def source_rows(connection: Connection, name: str | None = None) -> list[Row]:
    """Return the sources, or one, with capabilities and watermarks."""
    columns = sources.c
    query = (
        select(
            columns.id, columns.name, columns.host, columns.account_id, columns.stream_id,
            columns.history_start, columns.capabilities, columns.probed_at,
            columns.every, columns.paused, columns.next_due_at,
            watermarks.c.value.label("watermark"), watermarks.c.moved_at, watermarks.c.run_id,
        )
        .select_from(sources.outerjoin(watermarks, watermarks.c.source_id == columns.id))
        .order_by(columns.name, columns.id)
    )  # fmt: skip
    return plain_rows(connection, query if name is None else query.where(columns.name == name))


def task_counts(connection: Connection, source_id: int) -> tuple[int, int]:
    """Return how many tasks of a source are stored, and how many are marked as deleted; erased ones are left out."""
    gone = func.sum(case((tasks.c.deleted_at.is_not(None), 1), else_=0))
    of_source = (tasks.c.source_id == source_id) & tasks.c.forgotten_at.is_(None)
    count, deleted = connection.execute(select(func.count(), gone).where(of_source)).one()
    return int(count) - int(deleted or 0), int(deleted or 0)


def kept_aside(connection: Connection, source_id: int) -> int:
    """Return how many rejected records of a source are not acknowledged."""
    kept = rejected_records.c
    query = select(func.count()).where(kept.source_id == source_id, kept.acknowledged_at.is_(None))
    return int(connection.execute(query).scalar_one())


def latest_run(
    connection: Connection, source_id: int, *, commands: Sequence[str] = (), state: str | None = None
) -> Row | None:
    """Return the latest run of a source, optionally of some commands or in some state."""
    columns = [*(_RUN[name] for name in _LISTED), _RUN.error]
    query = select(*columns).where(_RUN.source_id == source_id)
    if commands:
        query = query.where(_RUN.command.in_(commands))
    if state is not None:
        query = query.where(_RUN.state == state)
    return next(iter(plain_rows(connection, query.order_by(_RUN.id.desc()).limit(1))), None)


def run_rows(
    connection: Connection, *, source: str | None = None, failed: bool = False, limit: int | None = None
) -> list[Row]:
    """Return the runs, the latest first: all, those of a source, or those with an exit code other than 0.

    A row stands for as many ``runs``: more than one are the quiet runs of an hour, from the first to the last of them.
    """
    query = select(_RUN.id, sources.c.name.label("source"), *(_RUN[name] for name in _LISTED[1:]), _RUN.runs)
    query = query.join(sources, sources.c.id == _RUN.source_id)
    if source is not None:
        query = query.where(sources.c.name == source)
    if failed:
        query = query.where(_RUN.exit_code != 0)
    return plain_rows(connection, query.order_by(_RUN.id.desc()).limit(limit))


def run_row(connection: Connection, run_id: int) -> Row | None:
    """Return a run's row."""
    columns = [column for column in _RUN if column.name not in {"id", "source_id"}]
    query = select(_RUN.id, sources.c.name.label("source"), *columns)
    query = query.join(sources, sources.c.id == _RUN.source_id).where(_RUN.id == run_id)
    return next(iter(plain_rows(connection, query)), None)


def source_of_run(connection: Connection, run_id: int) -> Identity:
    """Return host, account and stream of a run's source."""
    query = select(sources.c.host, sources.c.account_id, sources.c.stream_id)
    host, account_id, stream_id = connection.execute(query.join(sync_runs).where(_RUN.id == run_id)).one()
    return host, account_id, stream_id


def windows_of(connection: Connection, run_id: int) -> list[Row]:
    """Return the windows that a run last worked on, in the order of their opening."""
    columns = [column for column in _WINDOW if column.name not in {"source_id", "run_id", "attempts"}]
    return plain_rows(connection, select(*columns).where(_WINDOW.run_id == run_id).order_by(_WINDOW.id))


def oldest_reading(connection: Connection, source_id: int) -> datetime | None:
    """Return since when all of history was read: when the slice that is verified next was last read."""
    mine = _WINDOW.source_id == source_id
    latest = select(_WINDOW.checkpoint_at).where(mine, _WINDOW.job == "verify").order_by(_WINDOW.id.desc()).limit(1)
    point = connection.execute(latest).scalar()
    query = select(func.max(_WINDOW.opened_at)).where(mine, _WINDOW.job.in_(_READS_HISTORY))
    first = select(func.min(_WINDOW.start_at)).where(mine, _WINDOW.job.in_(_READS_HISTORY)).scalar_subquery()
    candidates = [_WINDOW.start_at <= first]
    if point is not None:
        candidates.insert(0, (_WINDOW.start_at <= point) & (_WINDOW.checkpoint_at > point))
    for covers in candidates:
        moment: datetime | None = connection.execute(query.where(covers)).scalar()
        if moment is not None:
            return moment
    return None


def mended_since(connection: Connection, source_id: int, moment: datetime | None) -> int:
    """Return how many differences verification has mended since a time."""
    query = select(func.coalesce(func.sum(_RUN.mended), 0)).where(_RUN.source_id == source_id)
    return int(connection.execute(query if moment is None else query.where(_RUN.started_at >= moment)).scalar_one())
