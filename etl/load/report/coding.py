"""Short numbers in place of long ids, so that the database groups and sorts little."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, case, cast, literal_column
from sqlalchemy.sql.base import ReadOnlyColumnCollection

Places = Mapping[str | None, int]


@dataclass(frozen=True, slots=True)
class Coding:
    """The place of each stream, queue, priority and status by its id; where an id has none, the last place counts."""

    streams: Places
    queues: Places
    priorities: Places
    statuses: Places

    @property
    def number_of_statuses(self) -> int:
        """How many places statuses have, the last one included."""
        return _size(self.statuses)

    def cell(self, columns: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[int]:
        """A number that tells the stream, queue and priority of what has these columns; see :meth:`parts`."""
        stream = _placed(columns.stream_id, self.streams)
        queue = _placed(columns.queue_id, self.queues)
        priority = _placed(columns.priority_id, self.priorities)
        return (stream * _size(self.queues) + queue) * _size(self.priorities) + priority

    def parts(self, cell: int) -> tuple[int, int, int]:
        """The places of stream, queue and priority that a cell's number tells."""
        rest, priority = divmod(cell, _size(self.priorities))
        stream, queue = divmod(rest, _size(self.queues))
        return stream, queue, priority

    def status(self, column: ColumnElement[Any]) -> ColumnElement[int]:
        """The place of a status."""
        return _placed(column, self.statuses)


def last(places: Places) -> int:
    """The place of whatever has none of its own."""
    return max(places.values(), default=-1) + 1


def _size(places: Places) -> int:
    return last(places) + 1


def _placed(column: ColumnElement[Any], places: Places) -> ColumnElement[int]:
    by_place: dict[int, list[str]] = {}
    for key, place in places.items():
        if key is not None:
            by_place.setdefault(place, []).append(key)
    rest: ColumnElement[int] = literal_column(str(last(places)))
    pieces: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
        (column == ids[0] if len(ids) == 1 else column.in_(ids), literal_column(str(place)))
        for place, ids in by_place.items()
    ]
    if None in places:
        pieces.insert(0, (column.is_(None), literal_column(str(places[None]))))
    # Bare, a number to group by would be that of a column.
    return case(*pieces, else_=rest) if pieces else cast(rest, Integer)
