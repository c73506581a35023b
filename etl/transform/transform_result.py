"""The input beside a record, and the results of its transform."""

from __future__ import annotations

from msgspec import Struct

from etl.api_record import Row


class Stream(Struct, frozen=True):
    """The origin of a record: the source's key in the database, and the stream's id at the API."""

    source_id: int
    stream_id: str


class Rejection(Struct, frozen=True):
    """A record that cannot become rows, with a short stable reason and its whole text."""

    reason: str
    record_id: str | None
    raw: str


class TaskRows(Struct, frozen=True):
    """The rows of one record; status, priority or case are None if the record has none.

    Each agent, queue and user of the task or its children has exactly one row here. `position` counts children from 0,
    without a gap. `unknown_keys` are top-level keys that are neither the API's nor a custom field, each with the start
    of its value as JSON.
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
