"""Gathering what a report shows: counts from the database, put under the names that people know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from etl.jobs.cells import Cells
from etl.jobs.flows import Flows
from etl.jobs.places import Key, Places, Sums
from etl.jobs.status import Standing, standings
from etl.load.daily import is_resolved
from etl.load.engine import reading
from etl.load.report import listing
from etl.load.report.counting import RESOLVED, STAYED, Counting
from etl.load.report.local import BOUNDS, Span
from etl.report.facts import Facts, Line, Source

_LONG = timedelta(days=182)  # from here on a step of a chart is a week
_TWO_WEEKS = timedelta(days=15)  # are compared whatever the period is; a day more for the clocks
_LISTED = 10
_NOT_SEEN = "not recorded"


def gather(engine: Engine, *, now: datetime, period: timedelta, zone: ZoneInfo) -> Facts:
    """Return what a report shows of all sources, from so long ago until now, by the days of a time zone."""
    unit, steps = _steps(now.astimezone(zone).date(), period)
    midnight = datetime.combine(date.fromisoformat(steps[0]), time(), zone)
    span = Span(min(midnight, now - _TWO_WEEKS), now, zone)
    sources = [_source(each) for each in standings(engine, now=now)]
    with reading(engine) as connection:
        gathering = _Gathering(connection, span, steps)
        return gathering.facts(sources, unit)


def _steps(today: date, period: timedelta) -> tuple[str, list[str]]:
    """The first day of each day or, where the period is long, of each week that ends today."""
    length = 7 if period > _LONG else 1
    number = max(2, -(-period.days // length))
    days = [today - timedelta(days=length * back - 1 if length > 1 else back) for back in range(number, -1, -1)]
    return ("week" if length > 1 else "day"), [day.isoformat() for day in days if day <= today]


def _source(each: Standing) -> Source:
    state = each.last_run["state"] if each.last_run else None
    return Source(
        each.name, each.complete_until, state, each.tasks, each.rejected, each.gaps, each.unverified,
        each.oldest_reading,
    )  # fmt: skip


class _Gathering:
    """One report in the making: the names met so far, and the connection in whose transaction all is read."""

    def __init__(self, connection: Connection, span: Span, steps: Sequence[str]) -> None:
        self._connection = connection
        self._span = span
        self._steps = steps
        self._statuses = listing.status_rows(connection)
        done = [row[0] for row in self._statuses if is_resolved(row[2], row[1])]
        self._done = {place for place, row in enumerate(self._statuses) if row[0] in done}
        self._cells = Cells(connection, [row[0] for row in self._statuses])
        self._count = Counting(connection, span, self._cells.coding, done)
        self._categories = Places(("open", "inProgress", "pending", _NOT_SEEN))
        self._flows = Flows(self._cells, self._category, self._categories.of(_NOT_SEEN), steps)
        self._resolutions, self._stays = Sums(3), Sums(1)
        self._agents = Places()

    def facts(self, sources: Sequence[Source], unit: str) -> Facts:
        """Ask everything, one statement after the other, in one consistent reading."""
        opened, load, arrivals = self._open(), self._load(), self._arrivals()
        self._flows.add(self._count)
        self._changes()
        return Facts(
            now=self._span.now,
            since=self._span.since,
            zone=str(self._span.zone),
            steps=self._steps,
            unit=unit,
            open=opened,
            flow=self._flows.flow.counts(),
            moves=self._flows.moves.counts(),
            weeks=self._flows.weeks.counts(),
            resolutions=self._resolutions.counts(),
            stays=self._stays.counts(),
            load=load,
            arrivals=arrivals,
            oldest=self._lines(overdue=False),
            overdue=self._lines(overdue=True),
            sources=sources,
            bounds=BOUNDS,
            categories=self._categories.names,
            statuses=[row[1] or "Unnamed" for row in self._statuses] + ["No status"],
            agents=self._agents.names,
            **self._cells.named(),
        )

    def _category(self, status: int) -> int | None:
        """The place of a status's category among those of open tasks, or None for a resolved one."""
        if status in self._done:
            return None
        _id, name, category = self._statuses[status] if status < len(self._statuses) else (None, None, None)
        return self._categories.of(category or name or "no status")

    def _open(self) -> dict[Key, list[int]]:
        sums = Sums(2)
        for cell, status, band, overdue, number in self._count.open_now():
            category = self._category(status)
            assert category is not None  # noqa: S101 - only open ones were asked for
            key = (self._cells.of(cell), category, -1 if band is None else band)
            sums.add(key, 0, number)
            sums.add(key, 1, overdue * number)
        return sums.counts()

    def _changes(self) -> None:
        for kind, code, one, other, day, week, number in self._count.changes():
            cell = self._cells.of(code)
            if kind == RESOLVED:
                self._resolutions.add((cell, one), 0, number)
                if week:
                    self._resolutions.add((cell, one), week, number)
            elif kind == STAYED:
                # How long a task was resolved before somebody reopened it says nothing of the work on it.
                if one in self._done:
                    continue
                self._stays.add((cell, one, other), 0, number)
            else:
                self._flows.add_change(kind, cell, (day, week), number, one, other)

    def _load(self) -> dict[Key, list[int]]:
        names, sums = listing.agent_names(self._connection), Sums(2)
        for cell, agent, overdue, number in self._count.load():
            name = "Nobody" if agent is None else names.get(agent) or "Unnamed"
            key = (self._cells.of(cell), self._agents.of(name))
            sums.add(key, 0, number)
            sums.add(key, 1, overdue * number)
        return sums.counts()

    def _arrivals(self) -> dict[Key, list[int]]:
        sums = Sums(1)
        for cell, hour, number in self._count.arrivals():
            weekday, of_day = map(int, hour.split())
            sums.add((self._cells.of(cell), (weekday + 6) % 7 * 24 + of_day), 0, number)
        return sums.counts()

    def _lines(self, *, overdue: bool) -> list[Line]:
        coding, conditions = self._cells.coding, self._count.is_open()
        rows = listing.oldest(self._connection, coding, conditions, self._span, _LISTED, overdue=overdue)
        return [
            Line(
                self._cells.of(row.cell), row.ref_id or row.key, row.name or "", row.status,
                row.assignee or "", row.created_at, row.due_at,
            )
            for row in rows
        ]  # fmt: skip
