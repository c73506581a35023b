"""Forgetting a task: what is stored of it is erased, and nothing of it but a tombstone is stored again."""

from __future__ import annotations

from typing import Any

from etl.errors import ConfigError
from etl.jobs.run import Run
from etl.load import forgotten, runs
from etl.load.engine import reading
from etl.load.scrubbing import erasing, scrub
from etl.transform import TaskRows, tombstone, transform

_TABLES = ("tasks", "task_changes", "rejected_records", "users", "cases", "task_fields", "task_tags", "unknown_keys")


def forget(run: Run, task_id: str) -> dict[str, Any]:
    """Erase a task of the run's source, and return how many rows of which table went with it.

    Raises:
        ConfigError: nothing is stored under this id.
    """
    with reading(run.engine) as connection:
        record = forgotten.record_of(connection, run.source.id, task_id)
        if record is None and not forgotten.is_kept_aside(connection, run.source.id, task_id):
            raise ConfigError(f"{task_id}: nothing is stored under this id; see: kore-etl why {task_id}")
    made = transform(tombstone(record or {"_id": task_id}), run.stream)
    assert isinstance(made, TaskRows)  # noqa: S101 - it has an id, and of its dates only what was stored once
    with erasing(run.engine) as connection:
        runs.require_owner(connection, run.id)
        erased = forgotten.erase(connection, made.task, run_id=run.id, now=run.clock())
    scrub(run.engine, _TABLES)
    return {"forgotten": task_id, "erased": erased}
