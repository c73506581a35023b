"""Replaces stored rows by new rows of the same records, and clears dropped values; writes no change history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Table, Text, bindparam, cast, delete, func, select, update

from etl.load.database.bulk_statements import fill
from etl.load.ledger import sources
from etl.load.ledger.rejected_records import digest_of
from etl.load.schema.dimension_tables import DIMENSIONS
from etl.load.schema.ledger_tables import rejected_records, source_offsets
from etl.load.schema.task_tables import is_of, task_changes, tasks
from etl.load.upsert import children, dimensions
from etl.load.upsert.batch_and_counts import Batch


def records(connection: Connection, source_id: int, *, after: str, most: int) -> list[tuple[str, str]]:
    """Return the next tasks of a source in the order of their ids, each with the text of its record."""
    key = tasks.c["_id"]
    query = select(key, cast(tasks.c.raw, Text)).where(is_of(source_id), key > after).order_by(key).limit(most)
    return [(row[0], row[1]) for row in connection.execute(query)]


def replace(connection: Connection, batch: Batch) -> None:
    """Put these rows in the place of those of the same tasks, with what is behind them; when they were stored stays."""
    dimensions.store_named(connection, batch)
    update_rows(connection, tasks, batch.tasks)
    details = {row["_id"]: behind for row, behind in zip(batch.tasks, batch.details, strict=True)}
    if details:
        source_id = batch.tasks[0]["source_id"]
        children.replace(connection, source_id, details, children.changed(connection, source_id, details))


def named(connection: Connection, table: Table, source_id: int) -> list[tuple[str, Any]]:
    """Return the statuses or priorities of a source, each with its record."""
    query = select(table.c["_id"], table.c.raw).where(table.c.source_id == source_id)
    return [(row[0], row[1]) for row in connection.execute(query)]


def update_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put these rows in the place of those of the same keys; columns that they leave out stay."""
    if not rows:
        return
    written = [name for name in rows[0] if name not in {"_id", "source_id"}]
    statement = update(table).where(table.c["_id"] == bindparam("key"), table.c.source_id == bindparam("of_source"))
    statement = statement.values({name: bindparam(f"new_{name}") for name in written})
    keys = [{"key": row["_id"], "of_source": row["source_id"]} for row in rows]
    values = [{f"new_{name}": row[name] for name in written} for row in rows]
    connection.execute(statement, [key | new for key, new in zip(keys, values, strict=True)])


def clear_people(connection: Connection, source_id: int, columns: Mapping[str, Iterable[str]]) -> None:
    """Forget what columns of agents, queues and users say, given by table."""
    for table in DIMENSIONS:
        emptied = dict.fromkeys(columns.get(table.name, ()))
        if emptied:
            connection.execute(update(table).where(table.c.source_id == source_id).values(**emptied))


def clear_history(
    connection: Connection,
    source_id: int,
    *,
    whole: Iterable[str],
    names: Iterable[str],
    is_dropped: Callable[[str], bool],
) -> None:
    """Forget all changes of some fields, of dropped custom fields, and of others what they were called."""
    mine, key = task_changes.c.source_id == source_id, task_changes.c.field_key
    keys = connection.execute(select(key).distinct().where(key.is_not(None), mine)).scalars().all()
    connection.execute(delete(task_changes).where(key.in_([each for each in keys if is_dropped(each)]), mine))
    connection.execute(delete(task_changes).where(task_changes.c.field.in_(list(whole)), mine))
    some = update(task_changes).where(task_changes.c.field.in_(list(names)), mine)
    connection.execute(some.values(old_value=None, new_value=None))


def rejected(connection: Connection, source_id: int) -> list[tuple[int, str]]:
    """Return what was rejected of a source, by its id, with its text."""
    query = select(rejected_records.c.id, rejected_records.c.raw).where(rejected_records.c.source_id == source_id)
    return [(row[0], row[1]) for row in connection.execute(query.order_by(rejected_records.c.id))]


def replace_rejected(connection: Connection, source_id: int, number: int, raw: str) -> None:
    """Put a text in the place of a rejected record's; where another one has the same by now, one of them is left."""
    own = rejected_records.c
    digest = digest_of(raw)
    same = select(func.count()).where(own.source_id == source_id, own.digest == digest, own.id != number)
    if connection.execute(same).scalar_one():
        connection.execute(delete(rejected_records).where(own.id == number))
    else:
        connection.execute(update(rejected_records).where(own.id == number).values(raw=raw, digest=digest))


def use_time_zone(connection: Connection, source_id: int, name: str, offsets: Sequence[tuple[datetime, int]]) -> None:
    """Let the days of a source be those of a time zone; its derived tables are to be rebuilt afterwards."""
    sources.put(connection, source_id, timezone=name)
    connection.execute(delete(source_offsets).where(source_offsets.c.source_id == source_id))
    rows = [{"source_id": source_id, "starts_at": moment, "seconds": seconds} for moment, seconds in offsets]
    fill(connection, source_offsets, rows)
