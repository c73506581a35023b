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
def refreshed(connection: Connection, task_ids: Collection[str]) -> Iterator[None]:
    """Bring the derived rows of these tasks up to date with what the block writes."""
    daily_counts.subtract(connection, task_ids)
    yield
    daily_counts.add(connection, task_ids)
    status_intervals.replace(connection, task_ids)


def rebuild(connection: Connection) -> None:
    """Compute all derived rows anew, for example because the meaning of a status has changed."""
    daily_counts.rebuild(connection)
    status_intervals.rebuild(connection)
