"""What goes in beside a record, and what comes out of it."""

from __future__ import annotations

from dataclasses import dataclass

Row = dict[str, object]
"""Column name to value, ready for an insert."""


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


@dataclass(frozen=True, slots=True)
class TaskRows:
    """The rows of one record; None where the record names no status, priority or case."""

    task: Row
    status: Row | None
    priority: Row | None
    case: Row | None
