"""How the number of open tasks changed from day to day, from counts of what happened to them.

A task counts as open in the category that its status has now from the day it was created; each change that was seen
takes it out of the one and into the other on its own day, and is undone on the day of the creation, so that before it
was created it counts nowhere. A task that came resolved is open from its creation until it was first known, in a
category that nobody saw. That it came so is nowhere written: it is resolved now, less the changes that made it so, plus
those that undid that.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache

from etl.jobs.report.name_index import Sums
from etl.load.report.changing import MOVED, OF_BOTH, OF_CREATED
from etl.load.report.counting import CREATED, KNOWN
from etl.load.report.local import day_and_week

_CREATED, _RESOLVED, _REOPENED = range(3)
_FIRST = date(1970, 1, 1)
_EARLIER, _GROWN = 3, 6
_THIS_WEEK = 1


@dataclass(frozen=True, slots=True)
class _Effect:
    """What one task does to a day: one more or fewer is open in a category, one is resolved, one is reopened."""

    grown: Sequence[tuple[int, int]]
    resolved: int
    reopened: int = 0

    @property
    def of_open(self) -> int:
        return sum(sign for _, sign in self.grown)


class Flows:
    """Adds the counts up: by step of the charts, and for the last two weeks."""

    def __init__(self, category: Callable[[int], int | None], not_seen: int, steps: Sequence[date]) -> None:
        self.flow, self.moves, self.weeks = Sums(3), Sums(1), Sums(7)
        self._category = category
        self._not_seen = not_seen
        self._steps = [(step - _FIRST).days for step in steps]
        self._effect_of_task, self._effect_of_change = cache(self._of_task), cache(self._of_change)
        self._times: dict[int, tuple[int | None, int]] = {}

    def add(self, kind: int, cell: int, numbers: Sequence[int], number: int) -> None:
        """Take in a count of what was created, was known to be resolved, or was deleted."""
        *status, when = numbers
        if kind == CREATED:
            self._count(cell, when, _CREATED, number)
        self._take(cell, when, self._effect_of_task(kind, *status), number)

    def add_change(self, kind: int, cell: int, numbers: Sequence[int], number: int) -> None:
        """Take in a count of changes of status."""
        old, new, when = numbers
        self._take(cell, when, self._effect_of_change(kind, old, new), number)

    def _of_task(self, kind: int, status: int | None = None) -> _Effect:
        if kind == KNOWN or status is None:
            return _effect([(self._not_seen, -1)], resolved=1)
        return _effect([(self._open(status), 1) if kind == CREATED else (self._category(status), -1)])

    def _of_change(self, kind: int, old: int, new: int) -> _Effect:
        before, after = self._category(old), self._category(new)
        if kind == MOVED:
            resolved, reopened = before is not None and after is None, before is None and after is not None
            return _effect([(before, -1), (after, 1)], int(resolved), int(reopened))
        undone = [(self._open(new), -1), (self._open(old), 1)] if kind in {OF_CREATED, OF_BOTH} else []
        if kind == OF_CREATED:
            return _effect(undone)
        step = (after is None) - (before is None)
        return _effect([*undone, (self._not_seen, step)], -step)

    def _open(self, status: int) -> int:
        category = self._category(status)
        return self._not_seen if category is None else category

    def _take(self, cell: int, when: int, effect: _Effect, number: int) -> None:
        step, week = self._time(when)
        if effect.resolved:
            self._count(cell, when, _RESOLVED, effect.resolved * number)
        if effect.reopened:
            self._count(cell, when, _REOPENED, effect.reopened * number)
        if step is not None:
            for category, sign in effect.grown:
                self.moves.add((cell, step, category), 0, sign * number)
        if week == _THIS_WEEK:
            self.weeks.add((cell,), _GROWN, effect.of_open * number)

    def _count(self, cell: int, when: int, kind: int, number: int) -> None:
        step, week = self._time(when)
        if step is not None:
            self.flow.add((cell, step), kind, number)
        if week:
            self.weeks.add((cell,), kind if week == _THIS_WEEK else _EARLIER + kind, number)

    def _time(self, when: int) -> tuple[int | None, int]:
        """The step of the charts, None for one before them, and the week."""
        found = self._times.get(when)
        if found is None:
            day, week = day_and_week(when)
            place = bisect_right(self._steps, day) - 1
            found = self._times[when] = (place if place >= 0 else None, week)
        return found


def _effect(grown: Sequence[tuple[int | None, int]], resolved: int = 0, reopened: int = 0) -> _Effect:
    """All that is left when what is undone at once is left out; None is the category of the resolved ones."""
    sums: Counter[int] = Counter()
    for category, sign in grown:
        if category is not None:
            sums[category] += sign
    return _Effect([(category, sign) for category, sign in sums.items() if sign], resolved, reopened)
