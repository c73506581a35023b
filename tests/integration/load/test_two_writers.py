"""Two writers, one result: inserting new tasks straight leaves the same rows and counts as merging all of them."""

from __future__ import annotations

from random import Random
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from sqlalchemy import Connection, Table, Text, cast, delete, insert, select

from etl.jobs.pipeline.transform_pages import BatchTransformer
from etl.load.schema.ledger_tables import source_offsets
from etl.load.schema.task_tables import metadata
from etl.load.upsert import dimensions, merge_stored_tasks
from etl.load.upsert.batch_and_counts import Batch, Counts
from etl.load.upsert.store_batch import newest_of_each, store
from etl.sandbox.data.generator import TaskGenerator
from etl.sandbox.options import Options
from etl.transform import Stream
from tests.integration.conftest import NOW, Database, minute

_KEPT = {"sources", "sync_runs", "source_offsets"}
_MS = int(NOW.timestamp() * 1000)


def versions() -> list[list[bytes]]:
    """A few tasks with three versions each, the oldest first; some become inactive, one has no dates, one is odd."""
    generator = TaskGenerator(Options(tasks=6, shape="full"), Random(5))
    found = []
    for number, record in enumerate(generator.history(_MS)):
        later = generator.revise(record, _MS + 1000)
        last = generator.revise(later, _MS + 2000) | {"isActive": number % 2 == 0, "tags": ["é", "b"]}
        found.append([record, later, last])
    found[4] = [{**record, "createdAt": None, "updatedAt": None} for record in found[4]]
    found[5] = [{"_id": "ti-odd", "status": "Closed", "isActive": False}, *found[5][1:]]
    return [[orjson.dumps(record) for record in records] for records in found]


VERSIONS = versions()
records = some.tuples(some.integers(0, len(VERSIONS) - 1), some.integers(0, 2))
batches = some.lists(some.lists(records, min_size=1, max_size=7), min_size=1, max_size=4)


def merge_all(connection: Connection, batch: Batch, *, run_id: int, takes_back: bool) -> Counts:
    """Store a batch by the writer that compares, new tasks and all."""
    dimensions.store_named(connection, batch)
    newest = newest_of_each(batch)
    counts = merge_stored_tasks.merge(connection, newest, run_id=run_id, now=NOW, takes_back=takes_back)
    counts.repeated = len(batch.tasks) - len(newest)
    return counts


def content(connection: Connection) -> dict[str, list[Any]]:
    def plain(table: Table) -> list[Any]:
        columns = [cast(own, Text) if own.name == "raw" else own for own in table.c if own.name != "id"]
        return sorted(map(repr, map(tuple, connection.execute(select(*columns)))))

    return {table.name: plain(table) for table in metadata.sorted_tables if table.name not in _KEPT}


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=batches, takes_back=some.booleans(), is_zone_known=some.booleans())
def test_both_writers_leave_the_same_rows_and_counts(
    database: Database, *, sent: list[list[tuple[int, int]]], takes_back: bool, is_zone_known: bool
) -> None:
    stream = Stream(database.source_id, "s-1")
    transformer = BatchTransformer(stream, drop_fields=(), erased=frozenset(), is_stream_named=False)
    made = [transformer.transform_stored(VERSIONS[task][at].decode() for task, at in each) for each in sent]
    offsets = [(minute(-(10**6)), 19_800), (minute(-(10**5)), -36_000)] if is_zone_known else []
    found = []
    for writer in ("by the entry", "merge alone"):
        counts = []
        with database.engine.begin() as connection:
            for table in reversed(metadata.sorted_tables):
                if table.name not in _KEPT or table is source_offsets:
                    connection.execute(delete(table))
            for starts_at, seconds in offsets:
                row = {"source_id": database.source_id, "starts_at": starts_at, "seconds": seconds}
                connection.execute(insert(source_offsets).values(row))
            for number, batch in enumerate(made):
                run_id = database.run_id + number
                if writer == "merge alone":
                    counts.append(merge_all(connection, batch, run_id=run_id, takes_back=takes_back))
                else:
                    counts.append(store(connection, batch, run_id=run_id, now=NOW, takes_back=takes_back))
            found.append((counts, content(connection)))
    assert found[0] == found[1]
