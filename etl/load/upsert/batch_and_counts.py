"""A batch: the rows of some records by table, as one transaction stores them, and the counts of what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import add

from msgspec import Struct, field
from msgspec.structs import astuple

from etl.api_record import Row

Details = Mapping[str, Sequence[Row]]
"""The rows behind one task, by table."""

Rejected = tuple[str, str | None, str]
"""The reason, the record's id where it has one, and its text."""


class Batch(Struct):
    """Rows by table; an ``_id`` may stand in it more than once.

    ``statuses``, ``priorities`` and ``cases`` hold a row for each task that names one, in the order of ``tasks``.
    ``details`` holds the rows behind each task, in the order of ``tasks``; empty, there are none. ``unknown_keys`` has
    an example and a task id for each. ``weight`` is the memory that it takes, in bytes, about. Once the batch is
    stored, its window is complete before ``checkpoint``; ``verified`` and ``reason`` are those of its pages.
    """

    tasks: Sequence[Row] = ()
    statuses: Sequence[Row] = ()
    priorities: Sequence[Row] = ()
    cases: Sequence[Row] = ()
    details: Sequence[Details] = ()
    rejected: Sequence[Rejected] = ()
    unknown_keys: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    weight: int = 0
    total: int | None = None
    checkpoint: datetime | None = None
    verified: bool = True
    reason: str = ""

    def __len__(self) -> int:
        return len(self.tasks) + len(self.rejected)

    def halves(self) -> Iterator[Batch]:
        """Yield two batches with half of the tasks each, and the rows that belong to these."""
        middle = len(self.tasks) // 2
        for start, end in ((0, middle), (middle, len(self.tasks))):
            yield Batch(
                tasks=self.tasks[start:end],
                statuses=self._named(self.statuses, "status_id", start, end),
                priorities=self._named(self.priorities, "priority_id", start, end),
                cases=self._named(self.cases, "case_id", start, end),
                details=self.details[start:end],
            )

    def _named(self, rows: Sequence[Row], column: str, start: int, end: int) -> Sequence[Row]:
        """Return the rows that the tasks from ``start`` to ``end`` name."""
        first, last = (sum(task[column] is not None for task in self.tasks[:place]) for place in (start, end))
        return rows[first:last]


class Counts(Struct):
    """What became of the tasks of a batch; ``repeated`` stood in it more than once."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    repeated: int = 0
    changes: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*map(add, astuple(self), astuple(other)))


def concatenate(batches: Sequence[Batch]) -> Batch:
    """Return batches that follow each other as one."""
    if len(batches) == 1:
        return batches[0]
    return Batch(
        tasks=[row for batch in batches for row in batch.tasks],
        statuses=[row for batch in batches for row in batch.statuses],
        priorities=[row for batch in batches for row in batch.priorities],
        cases=[row for batch in batches for row in batch.cases],
        details=[rows for batch in batches for rows in batch.details],
        rejected=[rejected for batch in batches for rejected in batch.rejected],
        unknown_keys={key: example for batch in batches for key, example in batch.unknown_keys.items()},
        weight=sum(batch.weight for batch in batches),
        total=next((batch.total for batch in batches if batch.total is not None), None),
        checkpoint=next((batch.checkpoint for batch in reversed(batches) if batch.checkpoint is not None), None),
        verified=all(batch.verified for batch in batches),
        reason=next((batch.reason for batch in batches if not batch.verified), ""),
    )
