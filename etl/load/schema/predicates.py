"""Whose a task is, asked in such a way that the database finds the tasks by something else."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, null

from etl.load.schema.tables import tasks


def is_of(source_id: int) -> ColumnElement[bool]:
    """Tell of a task that it is a source's, where other conditions choose fewer.

    Without statistics SQLite takes any value of an index for a rare one, and all tasks may be of one source: for the
    few behind a date it would go through every task. An expression is no way into an index. PostgreSQL, which has
    statistics, reads the column out of this one.
    """
    return func.coalesce(tasks.c.source_id, null()) == source_id
