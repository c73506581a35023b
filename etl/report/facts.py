"""What a report is made from: counts by cell, a cell being a stream, a queue and a priority by which it is filtered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

Key = tuple[int, ...]
Counts = Mapping[Key, Sequence[int]]

#: From more days than these on, weekdays make the course of single days hard to see.
MANY_DAYS = 21
#: Who has a task that no agent has.
NOBODY = "Nobody"
#: The category of tasks of a time in which nobody saw their status.
NOT_RECORDED = "not recorded"
#: The bands of age of open tasks, and what they are called.
BANDS = ("under 1 day", "1–3 days", "3–7 days", "7–30 days", "30–90 days", "over 90 days")


@dataclass(frozen=True, slots=True)
class Priority:
    """A customer's priority and the colour that they gave it."""

    name: str
    color: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A task in a table; the numbers are places in the lists of the facts."""

    cell: int
    ref: str
    name: str
    status: int
    assignee: str
    created: datetime | None
    due: datetime | None


@dataclass(frozen=True, slots=True)
class Source:
    """How fresh and how complete a source is; stretches are their starts and ends."""

    name: str
    complete_until: datetime | None
    last_state: str | None
    tasks: int
    rejected: int
    gaps: Sequence[tuple[datetime, datetime]]
    unverified: Sequence[tuple[datetime, datetime]]
    oldest_reading: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report shows.

    ``steps`` are the first days of the days or weeks of the charts. Of the counts, the first number of each key is
    the place of a cell, and the others are, with the values that they count:

    - ``open``: category, band of age: open, overdue
    - ``flow``: step: created, resolved, reopened
    - ``moves``: step, category: by how many the open ones grew
    - ``weeks``: none: created, resolved and reopened in the last seven days and in the seven before; grown in the last
    - ``resolutions``: bin of duration: how many, in the last seven days
    - ``stays``: status, bin of duration: how many
    - ``load``: agent: open, overdue
    - ``arrivals``: hour of the week from Monday's first: created
    """

    now: datetime
    since: datetime
    zone: str
    steps: Sequence[str]
    unit: str
    streams: Sequence[str]
    queues: Sequence[str]
    priorities: Sequence[Priority]
    categories: Sequence[str]
    statuses: Sequence[str]
    agents: Sequence[str]
    bounds: Sequence[float]
    cells: Sequence[Key]
    open: Counts
    flow: Counts
    moves: Counts
    weeks: Counts
    resolutions: Counts
    stays: Counts
    load: Counts
    arrivals: Counts
    oldest: Sequence[Line]
    overdue: Sequence[Line]
    sources: Sequence[Source]

    @property
    def is_smoothed(self) -> bool:
        """Whether there are so many days that the mean of seven shows more than each of them."""
        return self.unit == "day" and len(self.steps) > MANY_DAYS
