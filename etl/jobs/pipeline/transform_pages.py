"""Turns pages into batches: the rows of good records by table, and the reason of each rejected one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from etl.api_record import Record, plain
from etl.exact_json import canonical, clean_text, read
from etl.extract.http.response_page import Page, record_id
from etl.load.schema.dimension_tables import DIMENSIONS
from etl.load.schema.task_tables import CHILDREN
from etl.load.upsert.batch_and_counts import Batch, Rejected
from etl.transform import Rejection, Stream, TaskRows, dropper, tombstone, transform, transform_typed

# The memory that a record's rows take, about, in bytes: for each, and for each character of its text.
_EACH, _PER_CHARACTER = 4096, 4
_DETAILS = tuple(table.name for table in (*DIMENSIONS, *CHILDREN))
OF_OTHER_STREAM = "belongs to another stream"


class BatchTransformer:
    """Transforms the records of one stream; drops the fields to drop, and makes a tombstone of an erased task.

    A server may name every stream by another id than the one in its address. So a record with another stream's id is
    rejected only where some record of this source has the id that was asked for.
    """

    def __init__(
        self, stream: Stream, *, drop_fields: Sequence[str], erased: Collection[str], is_stream_named: bool
    ) -> None:
        self.stream = stream
        self._drop = dropper(drop_fields)
        self._drops = bool(drop_fields)
        self.erased = erased
        self._is_stream_named = is_stream_named

    def transform(self, page: Page) -> Batch:
        """Return the batch of a page, without the records of other streams."""
        rows, rejected = self._rows(page.records)
        rows, of_others = self._without_other_streams(page.records, rows)
        batch = _batch(rows, [*rejected, *of_others])
        batch.total, batch.checkpoint = page.total, page.checkpoint
        batch.verified, batch.reason = page.verified, page.reason
        return batch

    def transform_stored(self, texts: Iterable[str]) -> Batch:
        """Return the batch of records that are stored already, from their texts, whatever stream they name."""
        return _batch(*self._rows([Record(text.encode()) for text in texts]))

    def _rows(self, records: Sequence[Any]) -> tuple[list[TaskRows], list[Rejected]]:
        results = [self._transform(record) for record in records]
        rows = [result for result in results if isinstance(result, TaskRows)]
        bad = [result for result in results if isinstance(result, Rejection)]
        return rows, [(rejection.reason, rejection.record_id, rejection.raw) for rejection in bad]

    def _transform(self, record: Any) -> TaskRows | Rejection:
        is_erased = bool(self.erased) and clean_text(record_id(record) or "") in self.erased
        if not isinstance(record, Record):
            return transform(self._storable(record, is_erased=is_erased), self.stream)
        typed = None if is_erased or self._drops else transform_typed(record, self.stream)
        if typed is not None:
            return typed
        storable = self._storable(record.value, is_erased=is_erased)
        made = transform(storable, self.stream)
        if isinstance(made, TaskRows) and storable is record.value and record.is_storable():
            made.task["raw"] = record.raw
        return made

    def _storable(self, record: Any, *, is_erased: bool) -> Any:
        record = self._drop(record)
        return tombstone(record) if is_erased else record

    def _without_other_streams(
        self, records: Sequence[Any], rows: list[TaskRows]
    ) -> tuple[list[TaskRows], list[Rejected]]:
        """Return the rows of this stream's records, and the rejections of the others."""
        self._is_stream_named = self._is_stream_named or any(self._is_ours(record) for record in records)
        if not self._is_stream_named:
            return rows, []
        ours = [each for each in rows if each.task["stream_id"] == self.stream.stream_id]
        others = [each.task for each in rows if each.task["stream_id"] != self.stream.stream_id]
        return ours, [(OF_OTHER_STREAM, str(task["_id"]), canonical(read(str(task["raw"])))) for task in others]

    def _is_ours(self, record: Any) -> bool:
        if isinstance(record, Record) and record.task is not None:
            return record.task.iId == self.stream.stream_id
        record = plain(record)
        return isinstance(record, dict) and record.get("iId") == self.stream.stream_id


def _batch(rows: Sequence[TaskRows], rejected: Sequence[Rejected]) -> Batch:
    characters = sum(len(str(each.task["raw"])) for each in rows) + sum(len(text) for *_, text in rejected)
    return Batch(
        tasks=[each.task for each in rows],
        statuses=[each.status for each in rows if each.status],
        priorities=[each.priority for each in rows if each.priority],
        cases=[each.case for each in rows if each.case],
        details=[{name: found for name in _DETAILS if (found := getattr(each, name))} for each in rows],
        rejected=rejected,
        unknown_keys={key: (example, str(each.task["_id"])) for each in rows for key, example in each.unknown_keys},
        weight=_EACH * (len(rows) + len(rejected)) + _PER_CHARACTER * characters,
    )
