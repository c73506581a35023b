"""Conditions on tasks that several statements share: whose a task is, and whether the server still has it."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, case, func, null, or_

from etl.load.schema.tables import tasks


def is_of(source_id: int) -> ColumnElement[bool]:
    """Tell of a task that it is a source's, where other conditions choose fewer.

    Without statistics SQLite takes any value of an index for a rare one, and all tasks may be of one source: for the
    few behind a date it would go through every task. An expression is no way into an index. PostgreSQL, which has
    statistics, reads the column out of this one.
    """
    return func.coalesce(tasks.c.source_id, null()) == source_id


def inactive_since(row: Table, otherwise: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return since when a task is inactive by its own record, ``otherwise`` if that has no dates; NULL if it is not."""
    return case((row.c.is_active.is_(False), func.coalesce(row.c.updated_at, row.c.created_at, otherwise)))


def is_present() -> ColumnElement[bool]:
    """Tell of a stored task that, for all that is known, the server still gives it, be it as inactive."""
    return or_(tasks.c.deleted_at.is_(None), tasks.c.deleted_at == inactive_since(tasks, tasks.c.stored_at))
