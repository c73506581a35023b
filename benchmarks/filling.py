"""Fills a database with many tasks and their history by bulk inserts, as a few years of syncs would have left it."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import Connection, Table

from etl.load.schema.dimension_tables import agents, priorities, queues, statuses
from etl.load.schema.ledger_tables import sources, sync_runs, watermarks
from etl.load.schema.task_tables import task_changes, task_fields, tasks

STATUSES = ("Open", "In-Progress", "Pending", "Resolved", "Closed")
CATEGORIES = ("open", "inProgress", "pending", "resolved", "closed")
PATHS = ((0, 1), (0, 1, 2), (0, 1, 3), (0, 1, 3, 4), (0, 2, 3, 4), (0, 1, 2, 1, 3), (0, 1, 3, 1, 4))
PRIORITIES, QUEUES, AGENTS = 6, 20, 150
DAYS = 730
RAW = json.dumps({f"a key of the record {number}": f"{number:x}" * 12 for number in range(75)})  # some 4 KB

Row = dict[str, Any]


def fill(connection: Connection, number: int, now: datetime) -> None:
    """Insert so many tasks with a custom field and some three changes each, in the caller's transaction."""
    moment = _text(now)
    source = {
        "id": 1,
        "name": "main",
        "base_url": "https://host",
        "host": "host",
        "account_id": "a-1",
    }
    _insert(connection, sources, iter([source | {"stream_id": "s-1", "created_at": moment}]))
    run = {"id": 1, "source_id": 1, "command": "sync", "state": "finished", "version": "0", "settings": "{}"}
    _insert(connection, sync_runs, iter([run | {"started_at": moment, "finished_at": moment}]))
    _insert(connection, watermarks, iter([{"source_id": 1, "value": moment, "moved_at": moment, "run_id": 1}]))
    _insert(connection, statuses, _named("sts", STATUSES, category=CATEGORIES))
    _insert(connection, priorities, _named("pr", [f"P{number}" for number in range(PRIORITIES)]))
    for table, prefix, how_many in ((queues, "qu", QUEUES), (agents, "a", AGENTS)):
        rows = ({"_id": _id(prefix, place), "source_id": 1, "name": f"{prefix} {place}"} for place in range(how_many))
        _insert(connection, table, rows)
    _insert(connection, tasks, (row for row, _ in _history(number, now)))
    _insert(connection, task_fields, (_field(row) for row, _ in _history(number, now)))
    _insert(connection, task_changes, (change for _, changes in _history(number, now) for change in changes))


def _named(prefix: str, names: Any, category: Any = None) -> Iterator[Row]:
    for place, name in enumerate(names):
        row = {"_id": _id(prefix, place), "source_id": 1, "name": name, "raw": "{}"}
        yield row | ({"category": category[place]} if category else {})


def _history(number: int, now: datetime) -> Iterator[tuple[Row, list[Row]]]:
    """Give each task with its changes, always the same for the same number and moment."""
    dice = random.Random(7)
    for place in range(number):
        path = dice.choice(PATHS)
        at = now - timedelta(days=dice.random() * DAYS)
        row: Row = {"_id": _id("t", place), "source_id": 1, "stream_id": "s-1", "ref_id": f"TS{place:06}", "run_id": 1}
        row |= {"name": f"task {place}", "raw": RAW, "created_at": _text(at), "first_seen_at": _text(at)}
        row |= {"first_updated_at": _text(at)}
        row |= {"priority_id": _id("pr", dice.randrange(PRIORITIES)), "status_id": _id("sts", path[-1])}
        queue, agent = dice.randrange(QUEUES), dice.randrange(AGENTS)
        row |= {"queue_id": _id("qu", queue), "queue": f"qu {queue}"}
        row |= {"assignee_id": _id("a", agent), "assignee": f"a {agent}"} if dice.random() < 0.7 else {}
        row |= {"due_at": _text(at + timedelta(days=30 * dice.random()))} if dice.random() < 0.5 else {}
        changes = [_change(row, "assignee", _id("a", 1), _id("a", agent), at)]
        for old, new in pairwise(path):
            at += (now - at) * dice.random() * 0.2
            changes.append(_change(row, "status", _id("sts", old), _id("sts", new), at))
        row |= {"updated_at": _text(at), "stored_at": _text(at)}
        row |= {"deleted_at": _text(now)} if dice.random() < 0.01 else {}
        yield row, changes


def _change(row: Row, field: str, old: str, new: str, at: datetime) -> Row:
    change = {"task_id": row["_id"], "source_id": 1, "field": field, "old_id": old, "new_id": new}
    return change | {"old_value": old, "new_value": new, "changed_at": _text(at), "seen_at": _text(at), "run_id": 1}


def _field(row: Row) -> Row:
    return {"task_id": row["_id"], "source_id": 1, "position": 0, "key": "Produktgruppe", "text": row["queue"]}


def _id(prefix: str, number: int) -> str:
    """Return an id of the API's form and length, in no order of time."""
    return f"{prefix}-{(number * 2654435761) % 2**32:08x}-5d2c-5c7b-8a3e-{number:012x}"


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(" ", "milliseconds")[:23]


def _insert(connection: Connection, table: Table, rows: Iterator[Row]) -> None:
    """Insert by the driver itself: the quickest way of each database. What has a default gets it."""
    stored = [column for column in table.columns if column.computed is None and column.server_default is None]
    names = [column.name for column in stored if column.name != "id" or table in {sources, sync_runs}]
    values = ([row.get(name) for name in names] for row in rows)
    driver: Any = connection.connection.driver_connection
    columns = ", ".join(names)
    with_marks = f"insert into {table.name} ({columns}) values ({', '.join('?' * len(names))})"
    if connection.dialect.name == "sqlite":
        driver.executemany(with_marks, values)
        return
    with driver.cursor() as cursor, cursor.copy(f"copy {table.name} ({columns}) from stdin") as copy:
        for row in values:
            copy.write_row(row)
