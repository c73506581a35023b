"""Gives the demo's database the changes of status from before its first sync."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

StatusHistory = list[tuple[int, dict[str, Any]]]  # since when in milliseconds, and the status


def store_status_history(database: Path, histories: Mapping[str, StatusHistory]) -> int:
    """Store the status changes before the first sync, with their derived tables; return their number."""
    from sqlalchemy import insert, select, update

    from etl.load.database.engine import disposing, open_engine, sqlite_url
    from etl.load.schema.dimension_tables import statuses
    from etl.load.schema.ledger_tables import sources
    from etl.load.schema.task_tables import task_changes, tasks
    from etl.load.upsert import dimensions, refresh_derived
    from etl.transform.dimensions import status_row
    from etl.transform.transform_result import Stream

    pairs = [(key, *pair) for key, history in histories.items() for pair in pairwise(history)]
    with disposing(open_engine(sqlite_url(database.resolve()))) as engine, engine.begin() as connection:
        stream = Stream(*connection.execute(select(sources.c.id, sources.c.stream_id)).one())
        seen = (status_row(status, stream, _moment(at)) for history in histories.values() for at, status in history)
        dimensions.upsert(connection, statuses, [row for row in seen if row is not None])
        connection.execute(insert(task_changes), [_change(stream.source_id, *pair) for pair in pairs])
        connection.execute(update(tasks).values(first_seen_at=tasks.c.created_at))
        refresh_derived.rebuild(connection, stream.source_id)
    return len(pairs)


def _change(
    source_id: int, key: str, before: tuple[int, dict[str, Any]], after: tuple[int, dict[str, Any]]
) -> dict[str, Any]:
    (_, old), (at, new) = before, after
    named = {"old_id": old["_id"], "new_id": new["_id"], "old_value": old["name"], "new_value": new["name"]}
    task = {"task_id": key, "source_id": source_id, "field": "status"}
    return {**task, **named, "changed_at": _moment(at), "seen_at": _moment(at), "run_id": 1}


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
