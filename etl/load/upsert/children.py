"""The rows behind tasks: finds those that a new version changes, and replaces only these."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Connection, Table, delete, select

from etl.api_record import Row
from etl.load.database.bulk_statements import fill, tables_with_rows
from etl.load.database.dialect import by_ids
from etl.load.schema.task_tables import CHILDREN, metadata
from etl.load.upsert.batch_and_counts import Details

Changed = dict[str, dict[str, list["Row"]]]
"""By table: the stored rows of each task whose rows differ from the new ones."""


def changed(connection: Connection, source_id: int, details: Mapping[str, Details]) -> Changed:
    """Compare the rows behind a source's tasks, given by ``_id``, with what is stored."""
    filled = tables_with_rows(connection, CHILDREN, source_id, details)
    stored = {name: _stored(connection, metadata.tables[name], source_id, details) for name in filled}
    return {table.name: _changed(table, details, stored.get(table.name, {})) for table in CHILDREN}


def replace(connection: Connection, source_id: int, details: Mapping[str, Details], rows_before: Changed) -> None:
    """Put the new rows in the place of those that differ."""
    for table in CHILDREN:
        before = rows_before[table.name]
        for (some,) in by_ids(connection, table.c.task_id, [key for key, rows in before.items() if rows]):
            connection.execute(delete(table).where(some, table.c.source_id == source_id))
        fill(connection, table, [row for key in before for row in details[key].get(table.name, ())])


def _changed(
    table: Table, details: Mapping[str, Details], stored: Mapping[str, list[tuple[Any, ...]]]
) -> dict[str, list[Row]]:
    names = table.c.keys()
    found = {}
    for key, of_task in details.items():
        new = [tuple(map(row.get, names)) for row in of_task.get(table.name, ())]
        if new != stored.get(key, []):
            found[key] = [dict(zip(names, row, strict=True)) for row in stored.get(key, [])]
    return found


def _stored(
    connection: Connection, table: Table, source_id: int, ids: Collection[str]
) -> Mapping[str, list[tuple[Any, ...]]]:
    found = defaultdict(list)
    query = select(table).where(table.c.source_id == source_id).order_by(table.c.task_id, table.c.position)
    for (some,) in by_ids(connection, table.c.task_id, ids):
        for row in connection.execute(query.where(some)):
            found[row.task_id].append(tuple(row))
    return found
