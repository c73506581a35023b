"""Keeps the rows that ``task_status_intervals`` and ``task_cycle_times`` show.

Two views compute them from a task's changes. Two tables keep the result, so that no question computes all of history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, Connection, Table, column, delete, insert, select, table

from etl.load.schema.detail_tables import status_stretches, task_progress

if TYPE_CHECKING:
    from collections.abc import Iterable

_IDS_AT_ONCE = 500
_KEPT = (("status_history", status_stretches), ("status_course", task_progress))


def replace(connection: Connection, ids: Iterable[str]) -> None:
    """Replace the rows of these tasks by what their changes say now."""
    every = list(ids)
    for start in range(0, len(every), _IDS_AT_ONCE):
        some = every[start : start + _IDS_AT_ONCE]
        for view, kept in _KEPT:
            connection.execute(delete(kept).where(kept.c.task_id.in_(some)))
            _keep(connection, view, kept, some)


def rebuild(connection: Connection) -> None:
    """Replace the rows of all tasks by what their changes say now."""
    for view, kept in _KEPT:
        connection.execute(delete(kept))
        _keep(connection, view, kept)


def _keep(connection: Connection, view: str, kept: Table, some: list[str] | None = None) -> None:
    told = table(view, *(column(own.name, own.type) for own in kept.c))
    chosen: list[ColumnElement[bool]] = [] if some is None else [told.c.task_id.in_(some)]
    names = kept.c.keys()
    connection.execute(insert(kept).from_select(names, select(*(told.c[name] for name in names)).where(*chosen)))
