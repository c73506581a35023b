"""Stores a batch: set-based, once for both databases, and storing it twice changes nothing.

The tasks are staged in a temporary table first. From there the database itself tells new from changed from unchanged,
writes the history of what changes, and writes only rows that are new or changed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from etl.exact_json import canonical, read
from etl.load.database.errors import UnstorableError
from etl.load.upsert import change_history, daily_counts, dimensions, merge, refresh_derived
from etl.load.upsert.batch import Batch, Counts, Rejected


def store(connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool = False) -> Counts:
    """Write what is new or changed in a batch, in the caller's transaction.

    An older version of a task is written only if the batch ``takes_back``, in the place of what an earlier run stored.

    Raises:
        UnstorableError: the database cannot hold a value of one of the rows; the transaction is to be rolled back.
    """
    is_meaning_changed = daily_counts.is_meaning_changed(connection, batch.statuses)
    dimensions.store_named(connection, batch)
    counts = _store_tasks(connection, batch, run_id=run_id, now=now, takes_back=takes_back)
    if is_meaning_changed:
        refresh_derived.rebuild(connection, batch.statuses[0]["source_id"])
    return counts


def _store_tasks(connection: Connection, batch: Batch, *, run_id: int, now: datetime, takes_back: bool) -> Counts:
    newest = merge.newest_of_each(batch)
    if not newest:
        return Counts()
    merge.stage(connection, [task for task, _ in newest.values()])
    counts = merge.classify(connection, run_id=run_id, takes_back=takes_back)
    counts.repeated = len(batch.tasks) - len(newest)
    source_id = batch.tasks[0]["source_id"]
    if counts.updated:
        with refresh_derived.refreshed(connection, source_id, newest):
            stored = change_history.stored_versions(connection, source_id, newest)
            changed = merge.is_changed(takes_back=takes_back)
            counts.changes = change_history.record(connection, merge.incoming, changes=changed, run_id=run_id, now=now)
            written = merge.write(connection, run_id=run_id, now=now, takes_back=takes_back)
            rewritten = {key: newest[key] for key in written}
            counts.changes += change_history.record_children(
                connection, stored, rewritten, source_id=source_id, run_id=run_id, now=now
            )
            merge.put_children(connection, source_id, {key: newest[key][1] for key in written}, replace=True)
    elif counts.inserted:
        written = merge.write(connection, run_id=run_id, now=now, takes_back=takes_back)
        merge.put_children(connection, source_id, {key: newest[key][1] for key in written}, replace=False)
        daily_counts.add_new(connection, merge.incoming, known=newest.keys() - set(written), now=now)
    return counts


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
