"""A page: the records of one answer, and what the server says about the rest."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from etl.api_record import Record, plain
from etl.extract.http.query import Field
from etl.times import parse_time

_MOST_ROWS = 2**31 - 1  # a higher count is a mistake, and no column of the ledger holds it


class Page(Struct, frozen=True, dict=True):
    """The records of one answer; a value that the server omits is None.

    ``total`` counts all rows that match the query, not only those from ``skip`` on. The paging adds ``checkpoint``:
    once the page is stored, its window is complete up to there; None changes nothing. ``verified`` is False if rows
    may be missing, and ``reason`` says why. ``is_withheld`` tells that a total counts rows of the window, up to here,
    that no page showed.
    """

    records: list[Any]
    limit: int | None = None
    has_more: bool | None = None
    total: int | None = None
    checkpoint: datetime | None = None
    verified: bool = True
    reason: str = ""
    is_withheld: bool = False

    def __len__(self) -> int:
        return self._size

    @cached_property
    def _size(self) -> int:
        return len(self.distinct())

    @cached_property
    def ids(self) -> list[str | None]:
        """The id of each record."""
        return [record_id(record) for record in self.records]

    @cached_property
    def updated(self) -> list[datetime | None]:
        """When each record was updated, None if unreadable."""
        return [moment_of(record, "updatedAt") for record in self.records]

    @cached_property
    def created(self) -> list[datetime | None]:
        """When each record was created, None if unreadable."""
        return [moment_of(record, "createdAt") for record in self.records]

    def moments(self, field: Field) -> list[datetime | None]:
        """Return the date of each record, None if unreadable."""
        return self.updated if field == "updatedAt" else self.created

    def covering(self, checkpoint: datetime, *, unverified: str = "", is_withheld: bool = False) -> Page:
        """Return this page with the ``checkpoint`` that it completes, and the reason if that is not proven."""
        is_withheld = is_withheld or self.is_withheld
        return replace(self, checkpoint=checkpoint, verified=not unverified, reason=unverified, is_withheld=is_withheld)

    def distinct(self) -> list[Any]:
        """Return the records without repeats; records without an id never count as repeats."""
        by_id = {key or place: record for place, (key, record) in enumerate(zip(self.ids, self.records, strict=True))}
        return list(by_id.values())

    def is_last(self, skip: int) -> bool:
        """Tell whether nothing follows: a reached total, or ``hasMore: false`` if no total denies it.

        A short page alone proves nothing, and neither does a total below the rows read. An empty page is the last one
        if the server does not tell of more.
        """
        if self.total is not None and skip + len(self) <= self.total:
            return skip + len(self) == self.total and self.has_more is not True
        return self.has_more is False or (not self.records and self.has_more is None)


def read_page(answer: Mapping[str, Any]) -> Page:
    """Return the page in an answer whose ``results`` is known to be a list."""
    has_more = answer.get("hasMore")
    return Page(
        records=answer["results"],
        limit=_count(answer.get("limit")),
        has_more=has_more if isinstance(has_more, bool) else None,
        total=_count(answer.get("totalResults")),
    )


def record_id(record: Any) -> str | None:
    """Return a record's ``_id`` as text, or None."""
    if isinstance(record, Record):
        if record.task is not None:
            return record.task.id
        record = record.value
    found = record.get("_id") if isinstance(record, dict) else None
    if isinstance(found, bool) or not isinstance(found, str | int):
        return None
    return str(found)


def moment_of(record: Any, field: str) -> datetime | None:
    """Return a record's time in ``field``, None if it is missing or unreadable."""
    if isinstance(record, Record) and record.task is not None:
        value = getattr(record.task, field)
    else:
        record = plain(record)
        value = record.get(field) if isinstance(record, dict) else None
    try:
        return parse_time(value)
    except ValueError:
        return None


def is_inactive(record: Any) -> bool:
    """Tell whether a record says that its task is inactive."""
    if isinstance(record, Record) and record.task is not None:
        return record.task.isActive is False
    record = plain(record)
    return isinstance(record, dict) and record.get("isActive") is False


def _count(value: object) -> int | None:
    if isinstance(value, str) and value.isdecimal() and len(value) < 16:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_ROWS else None
