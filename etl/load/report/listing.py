"""What a report names: sources, statuses, priorities, queues and agents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, Table, func, select

from etl.load.schema.detail_tables import agents, queues
from etl.load.schema.tables import priorities, sources, statuses, tasks

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


def busiest_queues(connection: Connection, most: int) -> list[str | None]:
    """The ids of the queues with the most tasks, so many of them."""
    live = (_TASK.deleted_at.is_(None), _TASK.forgotten_at.is_(None))
    query = select(_TASK.queue_id).where(*live).group_by(_TASK.queue_id).order_by(func.count().desc()).limit(most)
    return list(connection.execute(query).scalars())
