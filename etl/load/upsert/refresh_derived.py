"""Keeps the derived tables equal to what is recomputed from tasks and their changes.

``daily_counts`` holds sums, so a task's old share is subtracted before the task is written and its new share is added
afterwards. Two views compute the status intervals and the progress of each task. Two tables keep these rows, so that no
question computes all of history; the rows of a changed task are replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Table, column, delete, func, insert, null, select, table

from etl.load.schema.task_tables import status_intervals, task_progress
from etl.load.upsert import daily_counts

_IDS_AT_ONCE = 500
_KEPT = (("computed_status_intervals", status_intervals), ("computed_task_progress", task_progress))


@contextmanager
def refreshed(connection: Connection, source_id: int, task_ids: Collection[str]) -> Iterator[None]:
    """Bring the derived rows of these tasks of a source up to date with what the block writes."""
    daily_counts.subtract(connection, source_id, task_ids)
    yield
    daily_counts.add(connection, source_id, task_ids)
    _replace_intervals(connection, source_id, task_ids)


def rebuild(connection: Connection, source_id: int) -> None:
    """Recompute all derived rows of a source, for example because the meaning of a status has changed."""
    daily_counts.rebuild(connection, source_id)
    for view, kept in _KEPT:
        connection.execute(delete(kept).where(kept.c.source_id == source_id))
        _keep(connection, view, kept, source_id)


def _replace_intervals(connection: Connection, source_id: int, ids: Collection[str]) -> None:
    """Replace the rows of these tasks of a source by what their changes say now."""
    every = list(ids)
    for start in range(0, len(every), _IDS_AT_ONCE):
        some = every[start : start + _IDS_AT_ONCE]
        for view, kept in _KEPT:
            connection.execute(delete(kept).where(kept.c.task_id.in_(some), kept.c.source_id == source_id))
            _keep(connection, view, kept, source_id, some)


def _keep(connection: Connection, view: str, kept: Table, source_id: int, some: list[str] | None = None) -> None:
    told = table(view, *(column(own.name, own.type) for own in kept.c))
    chosen: list[ColumnElement[bool]] = [func.coalesce(told.c.source_id, null()) == source_id]
    if some is not None:
        chosen = [told.c.task_id.in_(some), told.c.source_id == source_id]
    names = kept.c.keys()
    connection.execute(insert(kept).from_select(names, select(*(told.c[name] for name in names)).where(*chosen)))
