"""Conditions on tasks that several statements share: the source, and whether the server still has the task."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, case, func, null

from etl.load.schema.tables import tasks


def is_of(source_id: int) -> ColumnElement[bool]:
    """Return the condition that a task belongs to a source, for statements whose other conditions select fewer tasks.

    Without statistics SQLite assumes that each value of an index is rare. All tasks may belong to one source, so it
    would read every task. An expression keeps it from using the index. PostgreSQL has statistics and sees the column.
    """
    return func.coalesce(tasks.c.source_id, null()) == source_id


def inactive_since(row: Table, otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return when a task became inactive by its own record, ``otherwise`` if it has no dates; NULL if it is active."""
    return case((row.c.is_active.is_(False), func.coalesce(row.c.updated_at, row.c.created_at, otherwise)))


def is_present() -> ColumnElement[bool]:
    """Return the condition that the server, as far as known, still sends a stored task, even as inactive."""
    return tasks.c.gone_at.is_(None)
