"""What a report names: sources, statuses, priorities, queues and agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from etl.load.schema.detail_tables import agents, queues
from etl.load.schema.tables import priorities, sources, statuses, tasks

_TASK = tasks.c

Rows = Sequence[Row[*tuple[Any, ...]]]
Key = tuple[str | None, int]
"""An ``_id``, None for what has none, and the source that gave it."""


def status_rows(connection: Connection) -> Rows:
    """Every status: its id, source, name and category."""
    columns = statuses.c
    query = select(columns["_id"], columns.source_id, columns.name, columns.category)
    return connection.execute(query.order_by(columns["_id"], columns.source_id)).all()


def priority_rows(connection: Connection) -> Rows:
    """Every priority: its id, source, name and colour, the most urgent first."""
    columns = priorities.c
    order = (func.coalesce(columns.score, 0).desc(), columns.name, columns.source_id)
    query = select(columns["_id"], columns.source_id, columns.name, columns.color)
    return connection.execute(query.order_by(*order)).all()


def source_names(connection: Connection) -> dict[int, str]:
    """The sources' names in the settings, by their ids."""
    rows = connection.execute(select(sources.c.id, sources.c.name).order_by(sources.c.name))
    return {row[0]: row[1] for row in rows}


def queue_names(connection: Connection) -> dict[Key, str | None]:
    """The queues' names, by their keys."""
    return _names(connection, queues)


def agent_names(connection: Connection) -> dict[Key, str | None]:
    """The agents' names, by their keys."""
    return _names(connection, agents)


def _names(connection: Connection, table: Table) -> dict[Key, str | None]:
    rows = connection.execute(select(table.c["_id"], table.c.source_id, table.c.name))
    return {(row[0], row[1]): row[2] for row in rows}


def busiest_queues(connection: Connection, most: int) -> list[str | None]:
    """The ids of the queues with the most tasks, so many of them."""
    live = (_TASK.deleted_at.is_(None), _TASK.forgotten_at.is_(None))
    query = select(_TASK.queue_id).where(*live).group_by(_TASK.queue_id).order_by(func.count().desc()).limit(most)
    return list(connection.execute(query).scalars())
