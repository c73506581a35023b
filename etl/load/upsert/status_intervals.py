"""Keeps the rows that ``task_status_intervals`` and ``task_cycle_times`` show.

Two views compute them from a task's changes. Two tables keep the result, so that no question computes all of history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Table, column, delete, func, insert, null, select, table

from etl.load.schema.task_tables import status_intervals, task_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

_IDS_AT_ONCE = 500
_KEPT = (("computed_status_intervals", status_intervals), ("computed_task_progress", task_progress))


def replace(connection: Connection, source_id: int, ids: Iterable[str]) -> None:
    """Replace the rows of these tasks of a source by what their changes say now."""
    every = list(ids)
    for start in range(0, len(every), _IDS_AT_ONCE):
        some = every[start : start + _IDS_AT_ONCE]
        for view, kept in _KEPT:
            connection.execute(delete(kept).where(kept.c.task_id.in_(some), kept.c.source_id == source_id))
            _keep(connection, view, kept, source_id, some)


def rebuild(connection: Connection, source_id: int) -> None:
    """Replace the rows of all tasks of a source by what their changes say now."""
    for view, kept in _KEPT:
        connection.execute(delete(kept).where(kept.c.source_id == source_id))
        _keep(connection, view, kept, source_id)


def _keep(connection: Connection, view: str, kept: Table, source_id: int, some: list[str] | None = None) -> None:
    told = table(view, *(column(own.name, own.type) for own in kept.c))
    chosen: list[ColumnElement[bool]] = [func.coalesce(told.c.source_id, null()) == source_id]
    if some is not None:
        chosen = [told.c.task_id.in_(some), told.c.source_id == source_id]
    names = kept.c.keys()
    connection.execute(insert(kept).from_select(names, select(*(told.c[name] for name in names)).where(*chosen)))
