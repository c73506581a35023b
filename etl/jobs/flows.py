"""How the number of open tasks changed from day to day, from counts of what happened to them.

A task counts as open in the category that its status has now from the day it was created; each change that was seen
takes it out of the one and into the other on its own day, and is undone on the day of the creation, so that before it
was created it counts nowhere. A task that came resolved is open from its creation until it was first known, in a
category that nobody saw. That it came so is nowhere written: it is resolved now, less the changes that made it so, plus
those that undid that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence

from etl.jobs.cells import Cells
from etl.jobs.places import Sums
from etl.load.report.counting import MOVED, OF_CREATED, OF_KNOWN, Counting

CREATED, RESOLVED = 0, 1
_GROWN, _EARLIER = 2, 3
_THIS_WEEK, _LAST_WEEK = 1, 2


class Flows:
    """Adds the counts up: by step of the charts, and for the last two weeks."""

    def __init__(
        self, cells: Cells, category: Callable[[int], int | None], not_seen: int, steps: Sequence[str]
    ) -> None:
        self.flow, self.moves, self.weeks = Sums(2), Sums(1), Sums(5)
        self._cells = cells
        self._category = category
        self._not_seen = not_seen
        self._steps = steps

    def add(self, count: Counting) -> None:
        """Take in what was created, came resolved, and was deleted."""
        for cell, status, day, week, number in count.created():
            self._created(self._cells.of(cell), (day, week), number, status)
        for cell, day, week, number in count.came_resolved():
            self._known(self._cells.of(cell), (day, week), number)
        for cell, status, day, week, number in count.deleted():
            self._grow(self._cells.of(cell), (day, week), self._category(status), -number)

    def add_change(self, kind: int, cell: int, when: tuple[str, int], number: int, old: int, new: int) -> None:
        """Take in a count of changes of status."""
        take = {MOVED: self._moved, OF_CREATED: self._undone, OF_KNOWN: self._seen}[kind]
        take(cell, when, number, old, new)

    def _created(self, cell: int, when: tuple[str, int], number: int, status: int) -> None:
        self._count(cell, when, CREATED, number)
        self._grow(cell, when, self._open(status), number)

    def _known(self, cell: int, when: tuple[str, int], number: int) -> None:
        self._count(cell, when, RESOLVED, number)
        self._grow(cell, when, self._not_seen, -number)

    def _moved(self, cell: int, when: tuple[str, int], number: int, old: int, new: int) -> None:
        before, after = self._category(old), self._category(new)
        self._grow(cell, when, before, -number)
        self._grow(cell, when, after, number)
        if before is not None and after is None:
            self._count(cell, when, RESOLVED, number)

    def _undone(self, cell: int, when: tuple[str, int], number: int, old: int, new: int) -> None:
        self._grow(cell, when, self._open(new), -number)
        self._grow(cell, when, self._open(old), number)

    def _seen(self, cell: int, when: tuple[str, int], number: int, old: int, new: int) -> None:
        step = (self._category(new) is None) - (self._category(old) is None)
        self._count(cell, when, RESOLVED, -step * number)
        self._grow(cell, when, self._not_seen, step * number)

    def _open(self, status: int) -> int:
        category = self._category(status)
        return self._not_seen if category is None else category

    def _count(self, cell: int, when: tuple[str, int], kind: int, number: int) -> None:
        step = self._step(when[0])
        if step is not None:
            self.flow.add((cell, step), kind, number)
        if when[1]:
            self.weeks.add((cell,), kind if when[1] == _THIS_WEEK else _EARLIER + kind, number)

    def _grow(self, cell: int, when: tuple[str, int], category: int | None, number: int) -> None:
        if category is None:
            return
        step = self._step(when[0])
        if step is not None:
            self.moves.add((cell, step, category), 0, number)
        if when[1] == _THIS_WEEK:
            self.weeks.add((cell,), _GROWN, number)

    def _step(self, day: str) -> int | None:
        place = bisect_right(self._steps, day) - 1
        return place if place >= 0 else None
