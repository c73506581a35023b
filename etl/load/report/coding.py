"""Short numbers in place of long ids, so that the database groups and sorts little."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Integer, and_, case, cast, false, literal_column, or_
from sqlalchemy.sql.base import ReadOnlyColumnCollection

from etl.load.report.listing import Key

Places = Mapping[Key, int]
"""A place for each ``_id`` of a source."""


@dataclass(frozen=True, slots=True)
class Coding:
    """The place of each source, queue, priority and status by its key; what has none has the last place."""

    sources: Mapping[int, int]
    queues: Places
    priorities: Places
    statuses: Places

    @property
    def number_of_statuses(self) -> int:
        """How many places statuses have, the last one included."""
        return _size(self.statuses)

    def cell(self, columns: ReadOnlyColumnCollection[str, Any]) -> ColumnElement[int]:
        """A number that tells the source, queue and priority of what has these columns; see :meth:`parts`."""
        rest: ColumnElement[int] = literal_column(str(last(self.sources)))
        whens: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
            (columns.source_id == key, literal_column(str(place))) for key, place in self.sources.items()
        ]
        source = case(*whens, else_=rest) if whens else cast(rest, Integer)
        queue = _placed(columns.queue_id, columns.source_id, self.queues)
        priority = _placed(columns.priority_id, columns.source_id, self.priorities)
        return (source * _size(self.queues) + queue) * _size(self.priorities) + priority

    def parts(self, cell: int) -> tuple[int, int, int]:
        """The places of source, queue and priority that a cell's number tells."""
        rest, priority = divmod(cell, _size(self.priorities))
        source, queue = divmod(rest, _size(self.queues))
        return source, queue, priority

    def status(self, column: ColumnElement[Any], source_id: ColumnElement[int]) -> ColumnElement[int]:
        """The place of a source's status."""
        return _placed(column, source_id, self.statuses)


def is_one_of(
    column: ColumnElement[Any], source_id: ColumnElement[int], chosen: Collection[Key], others: Collection[Key]
) -> ColumnElement[bool]:
    """Tell of an ``_id`` and its source that they are among the chosen keys, ``others`` being all other known ones.

    The source is looked at only where another one means something else by the same ``_id``.
    """
    shared = {key for key, _ in chosen} & {key for key, _ in others}
    plain = sorted({key for key, _ in chosen if key is not None} - shared)
    pieces: list[ColumnElement[bool]] = []
    if plain:
        pieces.append(column == plain[0] if len(plain) == 1 else column.in_(plain))
    if any(key is None for key, _ in chosen):
        pieces.append(column.is_(None))
    for source in sorted({source for key, source in chosen if key in shared}):
        ids = sorted(key for key, of in chosen if of == source and key is not None and key in shared)
        if ids:
            pieces.append(and_(source_id == source, column.in_(ids)))
    return or_(*pieces) if pieces else false()


def last(places: Mapping[Any, int]) -> int:
    """The place of whatever has none of its own."""
    return max(places.values(), default=-1) + 1


def _size(places: Mapping[Any, int]) -> int:
    return last(places) + 1


def _placed(column: ColumnElement[Any], source_id: ColumnElement[int], places: Places) -> ColumnElement[int]:
    by_place: dict[int, list[Key]] = {}
    for key, place in places.items():
        by_place.setdefault(place, []).append(key)
    rest: ColumnElement[int] = literal_column(str(last(places)))
    pieces: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
        (is_one_of(column, source_id, keys, places.keys() - set(keys)), literal_column(str(place)))
        for place, keys in by_place.items()
    ]
    # Bare, a number to group by would be that of a column.
    return case(*pieces, else_=rest) if pieces else cast(rest, Integer)
