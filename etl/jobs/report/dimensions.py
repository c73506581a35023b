"""The cells of a report: what stream, queue and priority a row is of, by the names that people know them by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypedDict

from sqlalchemy import Connection

from etl.jobs.report.name_index import Key, Places
from etl.load.report import listing
from etl.load.report.coding import Coding
from etl.report.facts import Priority

_MOST = 40  # queues by name: more are no help in a list to choose from

Ids = Mapping[str | None, str | None]


class Named(TypedDict):
    """The names of what cells are made of, and the cells."""

    streams: list[str]
    queues: list[str]
    priorities: list[Priority]
    cells: list[Key]


class Cells:
    """Gives each combination of stream, queue and priority its place; what has the same name is the same."""

    def __init__(self, connection: Connection, statuses: Iterable[str]) -> None:
        rows = listing.priority_rows(connection)
        self._colors = {row[1]: row[2] for row in reversed(rows)}
        self._streams, streams = _placed(listing.stream_names(connection), rest="No source")
        self._queues, queues = _placed(_busiest(connection), rest="Other queues", missing="No queue")
        self._priorities, priorities = _placed({row[0]: row[1] for row in rows}, rest="No priority")
        places: dict[str | None, int] = {key: place for place, key in enumerate(statuses)}
        self.coding = Coding(streams, queues, priorities, places)
        self._cells: dict[int, int] = {}

    def of(self, code: int) -> int:
        """The place of a cell that the database numbered."""
        return self._cells.setdefault(code, len(self._cells))

    def named(self) -> Named:
        """All that was met, for the page."""
        return Named(
            streams=self._streams,
            queues=self._queues,
            priorities=[Priority(name, self._colors.get(name)) for name in self._priorities],
            cells=[self.coding.parts(code) for code in self._cells],
        )


def _placed(names: Ids, *, rest: str, missing: str | None = None) -> tuple[list[str], dict[str | None, int]]:
    """The names in order, the rest's last, and the place of each id."""
    places = Places()
    found = {key: places.of(name or rest) for key, name in names.items() if name or missing is None}
    if missing is not None:
        found[None] = places.of(missing)
    return [*places.names, rest], found


def _busiest(connection: Connection) -> Ids:
    """The queues' names by their ids: of all, or of those with the most tasks."""
    names = listing.queue_names(connection)
    if len(names) <= _MOST:
        return names
    return {key: names.get(key) for key in listing.busiest_queues(connection, _MOST) if key is not None}
