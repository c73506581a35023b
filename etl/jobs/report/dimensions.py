"""The cells of a report: what source, queue and priority a row is of, by the names that people know them by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from sqlalchemy import Connection

from etl.jobs.report.name_index import Key as Cell
from etl.jobs.report.name_index import Places
from etl.load.report import listing
from etl.load.report.coding import Coding
from etl.load.report.listing import Key
from etl.report.facts import Priority

_MOST = 40  # queues by name: more are no help in a list to choose from

Names = Mapping[Key, str | None]
_NONE: Key = (None, 0)


class Named(TypedDict):
    """The names of what cells are made of, and the cells."""

    streams: list[str]
    queues: list[str]
    priorities: list[Priority]
    cells: list[Cell]


class Cells:
    """Gives each combination of source, queue and priority its place; what has the same name is the same."""

    def __init__(self, connection: Connection, statuses: Mapping[Key, int]) -> None:
        rows = listing.priority_rows(connection)
        self._colors = {row[2]: row[3] for row in reversed(rows)}
        sources = listing.source_names(connection)
        self._sources, streams = _placed({(None, key): name for key, name in sources.items()}, rest="No source")
        self._queues, queues = _placed(_busiest(connection), rest="Other queues", missing="No queue")
        self._priorities, priorities = _placed({(row[0], row[1]): row[2] for row in rows}, rest="No priority")
        self.coding = Coding({key: place for (_, key), place in streams.items()}, queues, priorities, statuses)
        self._cells: dict[int, int] = {}

    def of(self, code: int) -> int:
        """The place of a cell that the database numbered."""
        return self._cells.setdefault(code, len(self._cells))

    def named(self) -> Named:
        """All that was met, for the page."""
        return Named(
            streams=self._sources,
            queues=self._queues,
            priorities=[Priority(name, self._colors.get(name)) for name in self._priorities],
            cells=[self.coding.parts(code) for code in self._cells],
        )


def _placed(names: Names, *, rest: str, missing: str | None = None) -> tuple[list[str], dict[Key, int]]:
    """The names in order, the rest's last, and the place of each key."""
    places = Places()
    found = {key: places.of(name or rest) for key, name in names.items() if name or missing is None}
    if missing is not None:
        found[_NONE] = places.of(missing)
    return [*places.names, rest], found


def _busiest(connection: Connection) -> Names:
    """The queues' names by their keys: of all, or of those with the most tasks."""
    names = listing.queue_names(connection)
    if len(names) <= _MOST:
        return names
    busiest = set(listing.busiest_queues(connection, _MOST))
    return {key: name for key, name in names.items() if key[0] in busiest}
