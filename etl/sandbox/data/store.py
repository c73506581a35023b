"""The tasks as they are served, kept as JSON text, with sorted indexes that a change keeps sorted.

Rows are found by bisection, so a page costs the same among a hundred tasks and among a million.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import orjson
from msgspec import Struct

from etl.sandbox.data.timestamps import parse_timestamp

Value = int | str
TieBreak = Literal["id", "insertion"]
FINISHED = frozenset({"resolved", "closed"})
MISSING = -(10**15)


class Row(Struct, frozen=True, eq=False):
    """One stored record: its text, and what the indexes need to know of it."""

    id: str
    text: bytes
    sequence: int
    stored: int
    created: int
    updated: int
    due: int
    name: str
    finished: bool
    plain: bool

    @property
    def record(self) -> Any:
        """The decoded record; the standard library reads odd ones, because it keeps huge integers whole."""
        return orjson.loads(self.text) if self.plain else json.loads(self.text)


def make_row(record: Any, row_id: str, sequence: int, now: int) -> Row:
    """A row of any JSON value; a date that cannot be read is MISSING."""
    text, plain = _dump(record)
    fields = record if isinstance(record, dict) else {}
    status = fields.get("status")
    category = status.get("statusCategory") if isinstance(status, dict) else None
    name = fields.get("name")
    return Row(
        id=row_id,
        text=text,
        sequence=sequence,
        stored=now,
        created=_timestamp(fields.get("createdAt")),
        updated=_timestamp(fields.get("updatedAt")),
        due=_timestamp(fields.get("dueDate")),
        name=name if isinstance(name, str) else "",
        finished=isinstance(category, str) and category in FINISHED,
        plain=plain,
    )


def _timestamp(value: object) -> int:
    timestamp = parse_timestamp(value)
    return MISSING if timestamp is None else timestamp


def _dump(record: Any) -> tuple[bytes, bool]:
    """JSON text, and whether it is plain; lone surrogates and integers past 64 bits are not.

    The text is copied since orjson's own holds on to all of the room, some 4 KB, that it was written in.
    """
    try:
        return bytes(memoryview(orjson.dumps(record))), True
    except (orjson.JSONEncodeError, RecursionError):
        return json.dumps(record).encode(), False


VALUES: dict[str, Callable[[Row], Value]] = {
    "createdAt": lambda row: row.stored if row.created == MISSING else row.created,
    "updatedAt": lambda row: row.stored if row.updated == MISSING else row.updated,
    "createdAt or missing": lambda row: row.created,
    "updatedAt or missing": lambda row: row.updated,
    "dueDate": lambda row: row.due,
    "name": lambda row: row.name,
    "": lambda row: row.sequence,
}


class Index:
    """Rows in ascending order of one field, equal ones by id or by when they were stored."""

    def __init__(self, field: str, tie: TieBreak, rows: Iterable[Row]) -> None:
        self.value = VALUES[field]
        value = self.value
        self.key: Callable[[Row], tuple[Value, Value]] = (
            (lambda row: (value(row), row.id)) if tie == "id" else (lambda row: (value(row), row.sequence))
        )
        self.rows = sorted(rows, key=self.key)

    def add(self, row: Row) -> None:
        """Put a row in its place."""
        insort(self.rows, row, key=self.key)

    def remove(self, row: Row) -> None:
        """Take a row out that is in it."""
        del self.rows[bisect_left(self.rows, self.key(row), key=self.key)]

    def between(self, low: Value | None, high: Value | None) -> tuple[int, int]:
        """The positions of the rows from ``low`` to ``high``, both included; None is open."""
        start = 0 if low is None else bisect_left(self.rows, low, key=self.value)
        stop = len(self.rows) if high is None else bisect_right(self.rows, high, key=self.value)
        return start, max(start, stop)


class Store:
    """The rows by id, and their indexes, each made when it is first needed."""

    def __init__(self) -> None:
        self.version = 0
        self._rows: dict[str, Row] = {}
        self._indexes: dict[tuple[str, TieBreak], Index] = {}
        self._stored = 0

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_id: str) -> Row | None:
        """The row with this id, if there is one."""
        return self._rows.get(row_id)

    def put(self, record: Any, row_id: str, now: int) -> None:
        """Store the record; one with the same id is replaced and keeps its place of insertion."""
        before = self._rows.get(row_id)
        sequence = before.sequence if before else self._next()
        self._replace(row_id, before, make_row(record, row_id, sequence, now))

    def delete(self, row_id: str) -> None:
        """Remove the row, if it is there."""
        self._replace(row_id, self._rows.get(row_id), None)

    def rows(self) -> dict[str, Row]:
        """A copy of all rows by id."""
        return dict(self._rows)

    def restore(self, rows: Mapping[str, Row]) -> None:
        """Put these rows in place of all others."""
        self.version += 1
        self._rows = dict(rows)
        self._indexes.clear()

    def index(self, field: str, tie: TieBreak = "id") -> Index:
        """All rows in order of the field; the empty field is the order of insertion."""
        key = (field, tie if field else "insertion")
        if key not in self._indexes:
            self._indexes[key] = Index(field, key[1], self._rows.values())
        return self._indexes[key]

    def _next(self) -> int:
        self._stored += 1
        return self._stored

    def _replace(self, row_id: str, before: Row | None, after: Row | None) -> None:
        self.version += 1
        if after:
            self._rows[row_id] = after
        elif before:
            del self._rows[row_id]
        for index in self._indexes.values():
            if before:
                index.remove(before)
            if after:
                index.add(after)
