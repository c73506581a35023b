"""Looking up one task, and what the database is known to hold and to lack."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Text, and_, column, exists, or_, select, table

from etl.load.database.types import Moment
from etl.load.schema.tables import (
    cases,
    rejected_records,
    sources,
    sync_runs,
    sync_windows,
    task_changes,
    tasks,
    watermarks,
)
from etl.row import Row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy import Select


_WINDOW = sync_windows.c
_MOMENTS = ("created_at", "updated_at", "due_at", "deleted_at")
_WORDS = (
    "_id", "ref_id", "case_id", "case_ref_id", "name", "status", "status_category", "priority", "assignee", "queue",
)  # fmt: skip
_overview = table(
    "task_overview",
    *(column(name, Text) for name in _WORDS),
    *(column(name, Moment) for name in _MOMENTS),
    column("stream_id", Text),
)
_gaps = table(
    "coverage_gaps", column("source_id", BigInteger), column("gap_start", Moment), column("gap_end", Moment)
)  # fmt: skip


def known_sources(connection: Connection) -> list[Row]:
    """Return the sources with where their history begins, how far they are covered, and when a run last ended well."""
    columns = sources.c
    query = (
        select(
            columns.id, columns.name, columns.account_id, columns.stream_id, columns.history_start,
            watermarks.c.value.label("watermark"),
        )
        .select_from(sources.outerjoin(watermarks, watermarks.c.source_id == columns.id))
        .order_by(columns.id)
    )  # fmt: skip
    return _rows(connection, query)


def places_of(connection: Connection, task_id: str) -> set[tuple[str, str]]:
    """Return the account and stream of each source that has a task of this ``_id`` stored or kept aside."""
    stored = select(tasks.c.source_id).where(tasks.c["_id"] == task_id)
    aside = select(rejected_records.c.source_id).where(rejected_records.c.record_id == task_id)
    query = select(sources.c.account_id, sources.c.stream_id).where(sources.c.id.in_(stored.union(aside)))
    return {(row[0], row[1]) for row in connection.execute(query)}


def task_ids(connection: Connection, asked: str) -> list[str]:
    """Return the tasks of an ``_id`` or a reference, which two streams may both have given."""
    key = tasks.c["_id"]
    query = select(key).where(or_(key == asked, tasks.c.ref_id.in_({asked, asked.upper()}))).order_by(key)
    return list(connection.execute(query).scalars())


def forgotten(connection: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    """Return when the content of tasks was erased on request, of those of which it was."""
    query = select(tasks.c["_id"], tasks.c.forgotten_at)
    found = connection.execute(query.where(tasks.c["_id"].in_(ids), tasks.c.forgotten_at.is_not(None)))
    return {row[0]: row[1] for row in found}


def case_ids(connection: Connection, asked: str) -> list[str]:
    """Return the cases of an ``_id`` or a reference."""
    key = cases.c["_id"]
    query = select(key).where(or_(key == asked, cases.c.ref_id.in_({asked, asked.upper()}))).order_by(key)
    return list(connection.execute(query).scalars())


def tasks_of_cases(connection: Connection, ids: Sequence[str]) -> list[str]:
    """Return the tasks of some cases, the oldest first."""
    query = select(tasks.c["_id"]).where(tasks.c.case_id.in_(ids)).order_by(tasks.c.created_at, tasks.c["_id"])
    return list(connection.execute(query).scalars())


def overview(connection: Connection, task_id: str) -> Row:
    """Return a task as ``task_overview`` shows it, with its source and when it was seen and stored here."""
    own = (tasks.c.first_seen_at, tasks.c.stored_at, tasks.c.run_id, sources.c.name.label("source"))
    joined = _overview.join(tasks, tasks.c["_id"] == _overview.c["_id"])
    joined = joined.join(sources, sources.c.id == tasks.c.source_id)
    (row,) = _rows(connection, select(*_overview.c, *own).select_from(joined).where(tasks.c["_id"] == task_id))
    return row


def changes(connection: Connection, task_id: str) -> list[Row]:
    """Return what is kept of a task's history, in the order in which it was seen."""
    columns = [column for column in task_changes.c if column.name not in {"id", "task_id"}]
    query = select(*columns).where(task_changes.c.task_id == task_id)
    return _rows(connection, query.order_by(task_changes.c.seen_at, task_changes.c.id))


def run(connection: Connection, run_id: int) -> Row:
    """Return what a run was."""
    columns = sync_runs.c
    shown = (columns.id, columns.command, columns.state, columns.started_at, columns.finished_at, columns.exit_code)
    (row,) = _rows(connection, select(*shown).where(columns.id == run_id))
    return row


def windows_over(connection: Connection, task_id: str) -> list[Row]:
    """Return the windows whose read stretch has a task's creation or its last update in it, the earliest first."""
    shown = (
        _WINDOW.id, _WINDOW.run_id, _WINDOW.job, _WINDOW.field, _WINDOW.start_at, _WINDOW.covered_until,
        _WINDOW.reading, _WINDOW.state, _WINDOW.opened_at,
    )  # fmt: skip
    created = and_(_WINDOW.field == "createdAt", _covers(tasks.c.created_at))
    updated = and_(_WINDOW.field == "updatedAt", _covers(tasks.c.updated_at))
    joined = sync_windows.join(tasks, tasks.c.source_id == _WINDOW.source_id)
    query = select(*shown).select_from(joined).where(tasks.c["_id"] == task_id, or_(created, updated))
    return _rows(connection, query.order_by(_WINDOW.id))


def kept_aside(connection: Connection, asked: str, *, in_texts: bool) -> list[Row]:
    """Return the rejected records of an ``_id``; ``in_texts`` also finds it, or a reference, in their texts."""
    columns = rejected_records.c
    found = columns.record_id == asked
    if in_texts:
        # Canonical JSON; what JSON writes as an escape is in no such reference.
        keys = ("_id", "refId", "caseRefId", "caseId")
        found = or_(found, *(columns.raw.contains(f'"{key}":"{asked}"', autoescape=True) for key in keys))
    shown = (columns.id, columns.record_id, columns.reason, columns.times_seen, columns.first_seen_at)
    query = select(*shown, columns.last_seen_at, columns.last_run_id, columns.window_id).where(found)
    return _rows(connection, query.order_by(columns.id))


def gaps(connection: Connection, source_id: int) -> list[tuple[datetime, datetime]]:
    """Return the stretches between the beginning of history and the watermark that no window covers."""
    query = select(_gaps.c.gap_start, _gaps.c.gap_end).where(_gaps.c.source_id == source_id)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(_gaps.c.gap_start))]


def is_read_again() -> ColumnElement[bool]:
    """Tell of a window that a later one read all of it, and was verified."""
    again = sync_windows.alias("again")
    return exists().where(
        again.c.source_id == _WINDOW.source_id,
        again.c.id > _WINDOW.id,
        again.c.field == _WINDOW.field,
        again.c.state == "verified",
        again.c.start_at <= _WINDOW.start_at,
        again.c.covered_until >= _WINDOW.end_at,
    )


def unverified(connection: Connection, source_id: int) -> list[tuple[datetime, datetime]]:
    """Return the stretches that could not be verified, and were not read again to their end since."""
    query = select(_WINDOW.start_at, _WINDOW.end_at).distinct()
    query = query.where(_WINDOW.source_id == source_id, _WINDOW.state == "unverified", ~is_read_again())
    return [(row[0], row[1]) for row in connection.execute(query.order_by(_WINDOW.start_at))]


def _covers(moment: Any) -> Any:
    return and_(_WINDOW.start_at <= moment, _WINDOW.covered_until > moment)


def _rows(connection: Connection, query: Select[Any]) -> list[Row]:
    rows = connection.execute(query).mappings()
    return [{str(name): value for name, value in row.items()} for row in rows]  # JSON wants plain text for names
