"""Keeps the derived tables equal to what is recomputed from tasks and their changes.

``daily_counts`` holds sums. What tasks count for is read before they are written and again afterwards. The difference
is added: most tasks count as before, except for today. Two views compute the status intervals and the progress of each
task. Two tables keep these rows, so that no question computes all of history; the rows of a changed task are replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import ColumnElement, Connection, Table, TableClause, column, delete, insert, select, table

from etl.load.database.dialect import by_ids, by_no_index
from etl.load.schema.task_tables import status_intervals, task_progress
from etl.load.upsert import daily_counts

_KEPT = (("computed_status_intervals", status_intervals), ("computed_task_progress", task_progress))


@contextmanager
def refreshed(connection: Connection, source_id: int, task_ids: Collection[str]) -> Iterator[None]:
    """Bring the derived rows of these tasks of a source up to date with what the block writes."""
    before = daily_counts.of(connection, source_id, task_ids)
    yield
    counts = daily_counts.of(connection, source_id, task_ids)
    counts.subtract(before)
    daily_counts.add(connection, source_id, counts)
    _replace_intervals(connection, source_id, task_ids)


def rebuild(connection: Connection, source_id: int) -> None:
    """Recompute all derived rows of a source, for example because the meaning of a status has changed."""
    daily_counts.rebuild(connection, source_id)
    for view, kept in _KEPT:
        connection.execute(delete(kept).where(kept.c.source_id == source_id))
        told = _told(view, kept)
        _keep(connection, told, kept, by_no_index(told.c.source_id) == source_id)


def _replace_intervals(connection: Connection, source_id: int, ids: Collection[str]) -> None:
    """Replace the rows of these tasks of a source by what their changes say now."""
    for view, kept in _KEPT:
        told = _told(view, kept)
        for stored, computed in by_ids(connection, kept.c.task_id, ids, told.c.task_id):
            connection.execute(delete(kept).where(stored, kept.c.source_id == source_id))
            _keep(connection, told, kept, computed, told.c.source_id == source_id)


def _told(view: str, kept: Table) -> TableClause:
    return table(view, *(column(own.name, own.type) for own in kept.c))


def _keep(connection: Connection, told: TableClause, kept: Table, *chosen: ColumnElement[bool]) -> None:
    names = kept.c.keys()
    connection.execute(insert(kept).from_select(names, select(*(told.c[name] for name in names)).where(*chosen)))
