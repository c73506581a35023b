"""Telling the records of a stream from those of another one that come among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from etl.transform import TaskRows

_REASON = "belongs to another stream"


class Strangers:
    """Finds what belongs to another stream.

    Some servers may call every stream otherwise than they are asked for it. So a record with another stream's id is a
    stranger only where records of this source have the id that was asked for.
    """

    def __init__(self, stream_id: str, *, is_named: bool) -> None:
        self._stream_id = stream_id
        self._is_named = is_named

    def turn_away(
        self, records: Sequence[Any], rows: Sequence[TaskRows]
    ) -> tuple[list[TaskRows], list[tuple[str, str | None, str]]]:
        """Return the rows of this stream's records, and why each other one has none."""
        self._is_named = self._is_named or any(self._is_ours(record) for record in records)
        if not self._is_named:
            return list(rows), []
        ours = [each for each in rows if each.task["stream_id"] == self._stream_id]
        others = [each.task for each in rows if each.task["stream_id"] != self._stream_id]
        return ours, [(_REASON, str(task["_id"]), str(task["raw"])) for task in others]

    def _is_ours(self, record: Any) -> bool:
        return isinstance(record, dict) and record.get("iId") == self._stream_id
