"""Erases a task; later runs store no more of it than a tombstone."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.exact_json import read
from etl.jobs.run.run_context import RunContext
from etl.load.database.engine import erasing, scrub
from etl.load.schema.metadata import metadata
from etl.load.upsert import forget_task_rows
from etl.transform import TaskRows, tombstone, transform


def forget(run: RunContext, task_id: str) -> dict[str, Any]:
    """Erase a task of the run's source, and return the number of deleted rows by table.

    Raises:
        ConfigError: nothing is stored under this id.
    """
    record = run.store.read(forget_task_rows.record_of, task_id)
    if record is None:
        rejected = run.store.read(forget_task_rows.rejected_text, task_id)
        if rejected is None:
            raise ConfigError(f"{task_id}: nothing is stored under this id; see: kore-etl why {task_id}")
        record = read(rejected)
    made = transform(tombstone(record) | {"_id": task_id}, run.transformer.stream)
    assert isinstance(made, TaskRows)  # noqa: S101 - it has an id, and of its dates only what can be stored
    run.store.commit()
    with run.store.writing(erasing) as connection:
        counts = forget_task_rows.erase(connection, made.task, run_id=run.id, now=run.clock())
    scrub(run.store.engine, metadata.tables)
    return {"forgotten": task_id, "erased": counts}
