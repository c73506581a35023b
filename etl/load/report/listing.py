"""What a report names: sources, statuses, priorities, queues, agents, and the tasks that have waited the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, func, select

from etl.load.detail_tables import agents, queues
from etl.load.report.coding import Coding
from etl.load.report.local import Span
from etl.load.tables import priorities, sources, statuses, tasks

_TASK = tasks.c

Rows = Sequence[Row[*tuple[Any, ...]]]


def status_rows(connection: Connection) -> Rows:
    """Every status: its id, name and category."""
    columns = statuses.c
    return connection.execute(select(columns["_id"], columns.name, columns.category).order_by(columns["_id"])).all()


def priority_rows(connection: Connection) -> Rows:
    """Every priority: its id, name, colour and score, the most urgent first."""
    columns = priorities.c
    order = (func.coalesce(columns.score, 0).desc(), columns.name)
    return connection.execute(select(columns["_id"], columns.name, columns.color, columns.score).order_by(*order)).all()


def stream_names(connection: Connection) -> dict[str | None, str]:
    """The sources' names in the settings, by their streams."""
    rows = connection.execute(select(sources.c.stream_id, sources.c.name).order_by(sources.c.name))
    return {row[0]: row[1] for row in rows}


def queue_names(connection: Connection) -> dict[str | None, str | None]:
    """The queues' names, by their ids."""
    return _names(connection, queues)


def agent_names(connection: Connection) -> dict[str | None, str | None]:
    """The agents' names, by their ids."""
    return _names(connection, agents)


def _names(connection: Connection, table: Table) -> dict[str | None, str | None]:
    return {row[0]: row[1] for row in connection.execute(select(table.c["_id"], table.c.name))}


def oldest(
    connection: Connection,
    coding: Coding,
    conditions: tuple[ColumnElement[bool], ...],
    span: Span,
    most: int,
    *,
    overdue: bool,
) -> Rows:
    """Of each cell the tasks that are open, or overdue, the longest, so many of each."""
    by = _TASK.due_at if overdue else _TASK.created_at
    late = func.coalesce(by, span.now) < span.now
    cell = coding.cell().label("cell")
    found = select(_TASK["_id"].label("key"), by.label("by"), cell).where(*conditions, late).subquery()
    order = (found.c.by, found.c.key)
    place = func.row_number().over(partition_by=found.c.cell, order_by=order).label("place")
    ranked = select(found, place).subquery()
    columns = (_TASK.ref_id, _TASK.name, _TASK.assignee, _TASK.created_at, _TASK.due_at)
    status = coding.status(_TASK.status_id).label("status")
    query = select(ranked.c.cell, ranked.c.key, status, *columns).join(tasks, ranked.c.key == _TASK["_id"])
    return connection.execute(query.where(ranked.c.place <= most).order_by(ranked.c.by, ranked.c.key)).all()


def busiest_queues(connection: Connection, most: int) -> list[str | None]:
    """The ids of the queues with the most tasks, so many of them."""
    live = (_TASK.deleted_at.is_(None), _TASK.forgotten_at.is_(None))
    query = select(_TASK.queue_id).where(*live).group_by(_TASK.queue_id).order_by(func.count().desc()).limit(most)
    return list(connection.execute(query).scalars())
