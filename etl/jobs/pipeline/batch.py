"""From records as they were read to what is stored of them: less what must not be, as rows or as rejections."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from etl.extract.http.page import record_id
from etl.load.schema.detail_tables import CHILDREN, DIMENSIONS
from etl.load.upsert.tasks import Batch
from etl.transform import Rejection, Stream, TaskRows, dropper, tombstone, transform

Rejected = tuple[str, str | None, str]
"""The reason, the record's id where it has one, and its text."""

# Bytes that the rows of a record take, about: for each, and for each character of its text. The more it says, the more
# rows there are behind it.
_EACH, _PER_CHARACTER = 4096, 4
_BEHIND = tuple(table.name for table in (*DIMENSIONS, *CHILDREN))


@dataclass(slots=True)
class Taken:
    """What records are stored as, and what their reading says of them: as :class:`Chunk` has it.

    ``on_laid_out`` is called once the database has the rows before it, and works by itself.
    """

    rows: list[TaskRows]
    rejections: list[Rejected]
    covered_until: datetime | None = None
    total: int | None = None
    settled: bool = True
    reason: str = ""
    on_laid_out: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self.rows) + len(self.rejections)

    def weight(self) -> int:
        """Return how much memory this takes, about, in bytes."""
        characters = sum(len(str(each.task["raw"])) for each in self.rows) + sum(
            len(each[2]) for each in self.rejections
        )
        return _EACH * len(self) + _PER_CHARACTER * characters


def joined(parts: Sequence[Taken]) -> Taken:
    """Return what was taken in a row as one."""
    return Taken(
        rows=[rows for part in parts for rows in part.rows],
        rejections=[rejection for part in parts for rejection in part.rejections],
        covered_until=next((part.covered_until for part in reversed(parts) if part.covered_until is not None), None),
        total=next((part.total for part in parts if part.total is not None), None),
        settled=all(part.settled for part in parts),
        reason=next((part.reason for part in parts if not part.settled), ""),
    )


class Intake:
    """Takes the records of a stream in, without the keys to drop, and of forgotten tasks no more than a tombstone."""

    def __init__(self, stream: Stream, *, drop_fields: Sequence[str], forgotten: Collection[str]) -> None:
        self._stream = stream
        self._drop = dropper(drop_fields)
        self._forgotten = forgotten

    def take(self, records: Sequence[Any]) -> tuple[list[TaskRows], list[Rejected]]:
        """Return the rows of each good record, and why each other one has none."""
        results = [transform(self._storable(record), self._stream) for record in records]
        bad = [result for result in results if isinstance(result, Rejection)]
        rows = [result for result in results if isinstance(result, TaskRows)]
        return rows, [(rejection.reason, rejection.record_id, rejection.raw) for rejection in bad]

    def _storable(self, record: Any) -> Any:
        record = self._drop(record)
        return tombstone(record) if self._forgotten and record_id(record) in self._forgotten else record


def batch_of(rows: Sequence[TaskRows]) -> Batch:
    """Return what is to be stored of records."""
    return Batch(
        tasks=[each.task for each in rows],
        statuses=[each.status for each in rows if each.status],
        priorities=[each.priority for each in rows if each.priority],
        cases=[each.case for each in rows if each.case],
        details=[{name: found for name in _BEHIND if (found := getattr(each, name))} for each in rows],
    )


def unknown_keys_of(rows: Sequence[TaskRows]) -> dict[str, tuple[str, str]]:
    """Return the keys that nothing here knows, each with an example and the id of a task that has it."""
    return {key: (example, str(of.task["_id"])) for of in rows for key, example in of.unknown_keys}
