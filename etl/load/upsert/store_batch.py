"""Stores a batch: what its tasks name, then the tasks by one of two writers; storing it twice changes nothing.

Tasks that are not stored yet go straight into their tables: nothing is compared, and no history is written. The others
are compared with what is stored, and merged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import repeat

from sqlalchemy import Connection

from etl.api_record import Row
from etl.exact_json import canonical, read
from etl.load.database.bulk_statements import fill, stored_ids
from etl.load.database.errors import UnstorableError
from etl.load.database.postgres_session import plan_key_checks_again
from etl.load.schema.task_tables import CHILDREN, tasks
from etl.load.upsert import daily_counts, dimensions, merge_stored_tasks, refresh_derived
from etl.load.upsert.batch_and_counts import Batch, Counts, Details, Rejected


def store(connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool = False) -> Counts:
    """Write what is new or changed in a batch, in the caller's transaction.

    An older version of a task is written only if the batch ``takes_back``, in the place of what an earlier run stored.

    Raises:
        UnstorableError: the database cannot hold a value of one of the rows; the transaction is to be rolled back.
    """
    plan_key_checks_again(connection)
    is_meaning_changed = daily_counts.is_meaning_changed(connection, batch.statuses)
    dimensions.store_named(connection, batch)
    counts = _store_tasks(connection, batch, run_id=run_id, now=now, takes_back=takes_back)
    if is_meaning_changed:
        refresh_derived.rebuild(connection, batch.statuses[0]["source_id"])
    return counts


def _store_tasks(connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool) -> Counts:
    newest = newest_of_each(batch)
    if not newest:
        return Counts()
    source_id = batch.tasks[0]["source_id"]
    stored = stored_ids(connection, tasks, source_id, newest)
    new = {key: found for key, found in newest.items() if key not in stored}
    counts = Counts(inserted=len(new), repeated=len(batch.tasks) - len(newest))
    if new:
        insert_new_tasks(connection, source_id, new, run_id=run_id, now=now)
    if stored:
        known = {key: found for key, found in newest.items() if key in stored}
        counts += merge_stored_tasks.merge(connection, known, run_id=run_id, now=now, takes_back=takes_back)
    return counts


def insert_new_tasks(
    connection: Connection, source_id: int, new: Mapping[str, tuple[Row, Details]], *, run_id: int, now: datetime
) -> None:
    """Insert tasks of a source that are not stored yet, by ``_id``, and add them to the daily counts."""
    own = {"first_seen_at": now, "stored_at": now, "run_id": run_id}
    rows = [{**task, **own, **first_dates(task, now)} for task, _ in new.values()]
    fill(connection, tasks, rows)
    for table in CHILDREN:
        fill(connection, table, [row for _, details in new.values() for row in details.get(table.name, ())])
    daily_counts.add_new(connection, source_id, rows, now=now)


def first_dates(task: Row, now: datetime) -> Row:
    """Return when a new task was first updated and, if it is inactive, deleted: by its own record, at most ``now``.

    Neither is before its creation.
    """
    born, updated_at = task["created_at"] or now, task["updated_at"]
    first = updated_at if updated_at is None or updated_at > born else born
    return {"first_updated_at": first, "deleted_at": min(first or born, now) if task["is_active"] is False else None}


def newest_of_each(batch: Batch) -> dict[str, tuple[Row, Details]]:
    """Return the row with the largest ``updated_at`` of each ``_id``, the last of equals, and its details."""
    newest: dict[str, tuple[Row, Details]] = {}
    for row, behind in zip(batch.tasks, batch.details or repeat({}), strict=False):
        known = newest.get(row["_id"])
        if known is None or _not_older(row["updated_at"], known[0]["updated_at"]):
            newest[row["_id"]] = (row, behind)
    return newest


def _not_older(moment: datetime | None, than: datetime | None) -> bool:
    return moment is None or than is None or moment >= than


def store_what_fits(
    connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool = False
) -> tuple[Counts, list[Rejected]]:
    """Store a batch without the tasks that have a value which the database cannot hold; return these as rejected.

    So that a part can be rolled back, SQLite keeps a copy in memory of all that it changes.
    """
    try:
        with connection.begin_nested():
            return store(connection, batch, run_id=run_id, now=now, takes_back=takes_back), []
    except UnstorableError as error:
        if len(batch.tasks) == 1:
            task = batch.tasks[0]
            text = canonical(read(task["raw"]))
            return Counts(), [(f"the database cannot hold it: {error.reason}", task["_id"], text)]
    counts, rejected = Counts(), list[Rejected]()
    for half in batch.halves():
        stored, left_out = store_what_fits(connection, half, run_id=run_id, now=now, takes_back=takes_back)
        counts += stored
        rejected += left_out
    return counts, rejected
