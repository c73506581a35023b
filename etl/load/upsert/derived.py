"""Keeps the derived tables equal to what is computed anew from tasks and their changes.

``daily_counts`` holds sums, so a task's old share is subtracted before the task is written and its new share is added
afterwards. The tables of status intervals hold rows of single tasks, which are replaced.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from etl.load.upsert import daily_counts, status_intervals


@contextmanager
def refreshed(connection: Connection, source_id: int, task_ids: Collection[str]) -> Iterator[None]:
    """Bring the derived rows of these tasks of a source up to date with what the block writes."""
    daily_counts.subtract(connection, source_id, task_ids)
    yield
    daily_counts.add(connection, source_id, task_ids)
    status_intervals.replace(connection, source_id, task_ids)


def rebuild(connection: Connection, source_id: int) -> None:
    """Compute all derived rows of a source anew, for example because the meaning of a status has changed."""
    daily_counts.rebuild(connection, source_id)
    status_intervals.rebuild(connection, source_id)
