"""Erases a task's content permanently; a tombstone keeps the task from coming back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, exists, insert, or_, select, update

from etl.load.schema.dimension_tables import cases, users
from etl.load.schema.ledger_tables import rejected_records, unknown_keys
from etl.load.schema.task_tables import CHILDREN, is_of, task_changes, tasks
from etl.load.upsert import refresh_derived

_PERSONS = (tasks.c.user_id, tasks.c.created_by_id, tasks.c.updated_by_id)


def forgotten_ids(connection: Connection, source_id: int) -> frozenset[str]:
    """Return the tasks of a source whose content must not come back."""
    query = select(tasks.c["_id"]).where(is_of(source_id), tasks.c.forgotten_at.is_not(None))
    return frozenset(connection.execute(query).scalars())


def record_of(connection: Connection, source_id: int, task_id: str) -> Any:
    """Return the stored record of a source's task, or None."""
    return connection.execute(select(tasks.c.raw).where(_is(source_id, task_id))).scalar()


def rejected_text(connection: Connection, source_id: int, task_id: str) -> str | None:
    """Return the text of the latest rejected record of this ``_id``, or None."""
    query = select(rejected_records.c.raw).where(_rejected(source_id, task_id)).order_by(rejected_records.c.id.desc())
    return connection.execute(query.limit(1)).scalar()


def erase(connection: Connection, row: Mapping[str, Any], *, run_id: int, now: datetime) -> dict[str, int]:
    """Replace a task by its tombstone ``row``; return the number of deleted rows by table.

    It deletes the children, the history, the rejected records, and the people and the case that no other task names.
    """
    task_id, source_id = row["_id"], row["source_id"]
    named = connection.execute(select(tasks.c.case_id, *_PERSONS).where(_is(source_id, task_id))).one_or_none()
    with refresh_derived.refreshed(connection, source_id, [task_id]):
        erased = {
            f"{table.name}": _delete(connection, table, table.c.task_id == task_id, table.c.source_id == source_id)
            for table in (*CHILDREN, task_changes, unknown_keys)
        }
        erased["rejected_records"] = _delete(connection, rejected_records, _rejected(source_id, task_id))
        _leave(connection, {**row, "forgotten_at": now, "stored_at": now, "run_id": run_id}, now)
    if named is not None:
        case_id, *persons = named
        of_another = exists().where(tasks.c.case_id == cases.c["_id"], is_of(source_id))
        mine = (cases.c["_id"] == case_id, cases.c.source_id == source_id)
        erased["cases"] = _delete(connection, cases, *mine, ~of_another)
        of_another = exists().where(or_(*(column == users.c["_id"] for column in _PERSONS)), is_of(source_id))
        mine = (users.c["_id"].in_(set(persons) - {None}), users.c.source_id == source_id)
        erased["users"] = _delete(connection, users, *mine, ~of_another)
    return {name: count for name, count in erased.items() if count}


def _is(source_id: int, task_id: str) -> ColumnElement[bool]:
    return (tasks.c["_id"] == task_id) & (tasks.c.source_id == source_id)


def _rejected(source_id: int, task_id: str) -> ColumnElement[bool]:
    return (rejected_records.c.source_id == source_id) & (rejected_records.c.record_id == task_id)


def _leave(connection: Connection, row: Mapping[str, Any], now: datetime) -> None:
    """Put the tombstone in the task's place; ``deleted_at`` stays."""
    statement = update(tasks).where(_is(row["source_id"], row["_id"])).values(**row)
    if not connection.execute(statement).rowcount:
        connection.execute(insert(tasks).values(**row, first_seen_at=now))


def _delete(connection: Connection, table: Table, *conditions: ColumnElement[bool]) -> int:
    return connection.execute(delete(table).where(*conditions)).rowcount
