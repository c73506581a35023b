"""Reverts names that a restored server no longer shows, after all of history was read or verified.

The version of the newest task wins for statuses, priorities, agents, queues and users. A restored server may have lost
that task, or its newest version. Then the newest version that this run read wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Table

from etl.api_record import Record, Row
from etl.extract.http.response_page import moment_of
from etl.jobs.maintenance.rebuild_from_raw import stored_records
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import rejected_records
from etl.load.queries import mark_deleted_tasks
from etl.load.schema.dimension_tables import DIMENSIONS, priorities, statuses
from etl.load.upsert import dimensions
from etl.load.upsert.batch_and_counts import Batch
from etl.logs import get_logger

log = get_logger()

_TABLES = (statuses, priorities, *DIMENSIONS)


class ShownVersions:
    """The date of the newest version of each status, priority, agent, queue and user that some batches show."""

    def __init__(self) -> None:
        self._newest: dict[str, dict[str, datetime]] = {table.name: {} for table in _TABLES}

    def add(self, batch: Batch) -> None:
        """Note what the tasks of a batch name."""
        for table in _TABLES:
            newest = self._newest[table.name]
            for row in versions(batch, table):
                if row["_id"] not in newest or row["seen_at"] > newest[row["_id"]]:
                    newest[row["_id"]] = row["seen_at"]

    def of(self, table: Table) -> dict[str, datetime]:
        """Return the dates of a table by ``_id``."""
        return self._newest[table.name]


def versions(batch: Batch, table: Table) -> Iterator[Row]:
    """Yield the versions of a table's rows that the tasks of a batch show, those with a date."""
    named: dict[str, Sequence[Row]] = {"statuses": batch.statuses, "priorities": batch.priorities}
    rows = named.get(table.name)
    for row in rows if rows is not None else (row for each in batch.details for row in each.get(table.name, ())):
        if row["seen_at"] is not None and len(row) > len(dimensions.KEY):
            yield row


def revert_to_stored(run: RunContext) -> None:
    """Revert names after a round of verification: each stored task was read again in it, and is what the server has."""
    read, gone = ShownVersions(), run.store.read(mark_deleted_tasks.gone_ids)
    for records in stored_records(run):
        read.add(run.transformer.transform_stored(text for key, text in records if key not in gone))
    revert_names(run, read)


def revert_names(run: RunContext, read: ShownVersions) -> None:
    """Replace each version that is newer than what the run read by the newest one that it read."""
    if not any(_outdated(run, read).values()):
        return
    _add_unread(run, read)
    outdated = _outdated(run, read)
    found: dict[Table, list[Row]] = defaultdict(list)
    for records in stored_records(run):
        batch = run.transformer.transform_stored(text for _, text in records)
        for table, ids in outdated.items():
            newest = read.of(table)
            found[table] += [
                row for row in versions(batch, table) if row["_id"] in ids and row["seen_at"] == newest[row["_id"]]
            ]
    with run.store.writing() as connection:
        for table, rows in found.items():
            dimensions.put_back(connection, table, rows)
    log.info("names.reverted", names=sum(map(len, outdated.values())))


def _outdated(run: RunContext, read: ShownVersions) -> dict[Table, frozenset[str]]:
    return {table: run.store.read(dimensions.newer_than, table, read.of(table)) for table in _TABLES}


def _add_unread(run: RunContext, read: ShownVersions) -> None:
    """Add the stored tasks that the reading left out: those before ``start``, and those that are rejected now."""
    start, field = run.start, run.strategy.field
    gone, rejected = run.store.read(mark_deleted_tasks.gone_ids), run.store.read(rejected_records.task_ids)
    if start is None and not rejected:
        return

    def is_unread(key: str, text: str) -> bool:
        is_before = start is not None and (moment_of(Record(text.encode()), field) or start) < start
        return key not in gone and (is_before or key in rejected)

    for records in stored_records(run):
        read.add(run.transformer.transform_stored(text for key, text in records if is_unread(key, text)))
