"""What goes in beside a record, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

from etl.row import Row


@dataclass(frozen=True, slots=True)
class Stream:
    """Where a record was read: the source's key in the database, and the stream's id at the API."""

    source_id: int
    stream_id: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that cannot become rows, with a short reason of stable wording and its whole text."""

    reason: str
    record_id: str | None
    raw: str


@dataclass(slots=True)  # frozen, it takes three times as long to make
class TaskRows:
    """The rows of one record; None where the record names no status, priority or case.

    Each agent, queue and user that the task or one of its children names has its row here, and no more than one.
    A task's children count from 0 in `position`, without a gap. `unknown_keys` are top-level keys that are neither
    the API's nor a custom field, each with the beginning of its value as JSON.
    """

    task: Row
    status: Row | None
    priority: Row | None
    case: Row | None
    agents: tuple[Row, ...] = ()
    queues: tuple[Row, ...] = ()
    users: tuple[Row, ...] = ()
    task_queues: tuple[Row, ...] = ()
    task_participants: tuple[Row, ...] = ()
    task_tags: tuple[Row, ...] = ()
    task_channels: tuple[Row, ...] = ()
    task_fields: tuple[Row, ...] = ()
    unknown_keys: tuple[tuple[str, str], ...] = ()
