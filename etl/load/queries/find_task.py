"""Finds one task, and what the database holds of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Table,
    Text,
    and_,
    column,
    func,
    or_,
    select,
    table,
    tuple_,
)

from etl.api_record import Row
from etl.load.database.engine import plain_rows
from etl.load.database.types import Moment
from etl.load.schema.dimension_tables import cases
from etl.load.schema.ledger_tables import rejected_records, sources, sync_runs, sync_windows
from etl.load.schema.task_tables import task_changes, tasks
from etl.settings import Identity

Key = tuple[str, int]
"""An ``_id`` and its source."""

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
    column("source", Text),
    column("source_id", BigInteger),
)


def sources_of(connection: Connection, task_id: str) -> set[Identity]:
    """Return host, account and stream of each source that has a task of this ``_id`` stored or kept aside."""
    stored = select(tasks.c.source_id).where(tasks.c["_id"] == task_id)
    aside = select(rejected_records.c.source_id).where(rejected_records.c.record_id == task_id)
    own = sources.c
    query = select(own.host, own.account_id, own.stream_id).where(own.id.in_(stored.union(aside)))
    return {(row[0], row[1], row[2]) for row in connection.execute(query)}


def task_keys(connection: Connection, asked: str) -> list[Key]:
    """Return the tasks of an ``_id`` or a reference; several sources may have one."""
    return _keys(connection, tasks, asked)


def forgotten(connection: Connection, keys: Sequence[Key]) -> dict[Key, datetime]:
    """Return when tasks were forgotten, for those that were."""
    own = tasks.c
    query = select(own["_id"], own.source_id, own.forgotten_at)
    query = query.where(tuple_(own["_id"], own.source_id).in_(keys), own.forgotten_at.is_not(None))
    return {(row[0], row[1]): row[2] for row in connection.execute(query)}


def count_forgotten(connection: Connection) -> int:
    """Return the number of tasks that were forgotten."""
    query = select(func.count()).select_from(tasks).where(tasks.c.forgotten_at.is_not(None))
    return int(connection.execute(query).scalar_one())


def case_keys(connection: Connection, asked: str) -> list[Key]:
    """Return the cases of an ``_id`` or a reference."""
    return _keys(connection, cases, asked)


def tasks_of_cases(connection: Connection, keys: Sequence[Key]) -> list[Key]:
    """Return the tasks of some cases that are not forgotten, the oldest first."""
    own = tasks.c
    query = select(own["_id"], own.source_id).where(tuple_(own.case_id, own.source_id).in_(keys))
    query = query.where(own.forgotten_at.is_(None)).order_by(own.created_at, own["_id"], own.source_id)
    return [(row[0], row[1]) for row in connection.execute(query)]


def overview(connection: Connection, key: Key) -> Row:
    """Return a task as ``task_overview`` shows it, with the times when it was first seen and stored."""
    own, shown = (tasks.c.first_seen_at, tasks.c.stored_at, tasks.c.run_id), _overview.c
    joined = _overview.join(tasks, and_(tasks.c["_id"] == shown["_id"], tasks.c.source_id == shown.source_id))
    mine = (tasks.c["_id"] == key[0], tasks.c.source_id == key[1])
    (row,) = plain_rows(connection, select(*shown, *own).select_from(joined).where(*mine))
    return row


def changes(connection: Connection, key: Key) -> list[Row]:
    """Return a task's changes, in the order in which they were seen."""
    columns = [column for column in task_changes.c if column.name not in {"id", "task_id", "source_id"}]
    query = select(*columns).where(task_changes.c.task_id == key[0], task_changes.c.source_id == key[1])
    return plain_rows(connection, query.order_by(task_changes.c.seen_at, task_changes.c.id))


def run(connection: Connection, run_id: int) -> Row | None:
    """Return a run's row, None if prune deleted it."""
    columns = sync_runs.c
    shown = (columns.id, columns.command, columns.state, columns.started_at, columns.finished_at, columns.exit_code)
    return next(iter(plain_rows(connection, select(*shown).where(columns.id == run_id))), None)


def windows_over(connection: Connection, key: Key) -> list[Row]:
    """Return the windows that cover a task's creation or its last update, the earliest first."""
    shown = (
        _WINDOW.id, _WINDOW.run_id, _WINDOW.job, _WINDOW.field, _WINDOW.start_at, _WINDOW.checkpoint_at,
        _WINDOW.strategy, _WINDOW.state, _WINDOW.opened_at,
    )  # fmt: skip
    created = and_(_WINDOW.field == "createdAt", _covers(tasks.c.created_at))
    updated = and_(_WINDOW.field == "updatedAt", _covers(tasks.c.updated_at))
    joined = sync_windows.join(tasks, tasks.c.source_id == _WINDOW.source_id)
    mine = (tasks.c["_id"] == key[0], tasks.c.source_id == key[1])
    query = select(*shown).select_from(joined).where(*mine, or_(created, updated))
    return plain_rows(connection, query.order_by(_WINDOW.id))


def kept_aside(
    connection: Connection, asked: str, *, source_id: int | None = None, in_texts: bool = False
) -> list[Row]:
    """Return the rejected records of an ``_id``; ``in_texts`` also finds it, or a reference, in their texts."""
    columns = rejected_records.c
    found = columns.record_id == asked
    if source_id is not None:
        found = and_(found, columns.source_id == source_id)
    if in_texts:
        # The text is canonical JSON; no reference contains characters that JSON escapes.
        keys = ("_id", "refId", "caseRefId", "caseId")
        found = or_(found, *(columns.raw.contains(f'"{key}":"{asked}"', autoescape=True) for key in keys))
    shown = (columns.id, columns.record_id, columns.reason, columns.times_seen, columns.first_seen_at)
    query = select(*shown, columns.last_seen_at, columns.last_run_id, columns.window_id).where(found)
    return plain_rows(connection, query.order_by(columns.id))


def _keys(connection: Connection, table: Table, asked: str) -> list[Key]:
    own = table.c
    query = select(own["_id"], own.source_id).where(or_(own["_id"] == asked, own.ref_id.in_({asked, asked.upper()})))
    return [(row[0], row[1]) for row in connection.execute(query.order_by(own["_id"], own.source_id))]


def _covers(moment: Any) -> Any:
    return and_(_WINDOW.start_at <= moment, _WINDOW.checkpoint_at > moment)
