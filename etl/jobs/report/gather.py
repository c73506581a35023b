"""Gathering what a report shows: counts from the database, put under the names that people know."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, Engine

from etl.jobs.diagnostics import status
from etl.jobs.report.backlog import Flows
from etl.jobs.report.dimensions import Cells
from etl.jobs.report.name_index import Places, Sums
from etl.load.database.engine import reading
from etl.load.report import listing
from etl.load.report.changing import LATELY, RESOLVED, STAYED, changes
from etl.load.report.counting import ARRIVED, Counting
from etl.load.report.local import BOUNDS, Span
from etl.load.report.standing import OVERDUE, Open, Standing
from etl.load.upsert.daily_counts import is_resolved
from etl.report.facts import NOBODY, NOT_RECORDED, Facts, Line, Source

_LONG = timedelta(days=182)  # from here on a step of a chart is a week
_TWO_WEEKS = timedelta(days=15)  # are compared whatever the period is; a day more for the clocks
_LISTED = 10
_RESOLUTIONS = {RESOLVED: 0, LATELY: 1}  # in the period, in the last seven days


def gather(engine: Engine, *, now: datetime, period: timedelta, zone: ZoneInfo) -> Facts:
    """Return what a report shows of all sources, from so long ago until now, by the days of a time zone."""
    unit, steps = _steps(now.astimezone(zone).date(), period)
    midnight = datetime.combine(date.fromisoformat(steps[0]), time(), zone)
    span = Span(min(midnight, now - _TWO_WEEKS), midnight, now, zone)
    sources = [_source(each) for each in status.source_statuses(engine, now=now)]
    with reading(engine) as connection:
        gathering = _Gathering(connection, span, steps)
        return gathering.facts(sources, unit)


def _steps(today: date, period: timedelta) -> tuple[str, list[str]]:
    """The first day of each day or, where the period is long, of each week that ends today."""
    length = 7 if period > _LONG else 1
    number = max(2, -(-period.days // length))
    days = [today - timedelta(days=length * back - 1 if length > 1 else back) for back in range(number, -1, -1)]
    return ("week" if length > 1 else "day"), [day.isoformat() for day in days if day <= today]


def _source(each: status.SourceStatus) -> Source:
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
        rows = listing.status_rows(connection)
        # Sources that give a status the same id, name and category share its place.
        self._statuses = list(dict.fromkeys((key, name, category) for key, _, name, category in rows))
        place_of = {status: place for place, status in enumerate(self._statuses)}
        places = {(key, source): place_of[key, name, category] for key, source, name, category in rows}
        self._done = {place for (_, name, category), place in place_of.items() if is_resolved(category, name)}
        done = [key for key, place in places.items() if place in self._done]
        self._cells = Cells(connection, places)
        self._count = Counting(connection, span, self._cells.coding, done)
        self._categories = Places(("open", "inProgress", "pending", NOT_RECORDED))
        self._flows = Flows(
            self._category, self._categories.of(NOT_RECORDED), [date.fromisoformat(step) for step in steps]
        )
        self._resolutions, self._stays = Sums(2), Sums(1)
        self._agents = Places()
        self._opened, self._load, self._arrivals = Sums(2), Sums(2), Sums(1)

    def facts(self, sources: Sequence[Source], unit: str) -> Facts:
        """Ask everything, one statement after the other, in one consistent reading."""
        standing = Standing(self._count, _LISTED)
        self._take_open(standing)
        self._take_recent()
        self._take_changes()
        lines = self._lines(standing)
        return Facts(
            now=self._span.now,
            since=self._span.since,
            zone=str(self._span.zone),
            steps=self._steps,
            unit=unit,
            open=self._opened.counts(),
            flow=self._flows.flow.counts(),
            moves=self._flows.moves.counts(),
            weeks=self._flows.weeks.counts(),
            resolutions=self._resolutions.counts(),
            stays=self._stays.counts(),
            load=self._load.counts(),
            arrivals=self._arrivals.counts(),
            oldest=lines[False],
            overdue=lines[True],
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

    def _take_open(self, standing: Standing) -> None:
        names = listing.agent_names(self._connection)
        for found in standing.counts():
            cell = self._cells.of(found.cell)
            if isinstance(found, Open):
                category = self._category(found.status)
                assert category is not None  # noqa: S101 - only open ones were asked for
                for band, numbers in found.bands.items():
                    self._opened.add_all((cell, category, band), numbers)
            else:
                name = NOBODY if found.assignee[0] is None else names.get(found.assignee) or "Unnamed"
                self._load.add_all((cell, self._agents.of(name)), (found.number, found.overdue))

    def _take_recent(self) -> None:
        for kind, (code, *numbers), number in self._count.lately():
            cell = self._cells.of(code)
            if kind == ARRIVED:
                self._arrivals.add((cell, *numbers), 0, number)
            else:
                self._flows.add(kind, cell, numbers, number)

    def _take_changes(self) -> None:
        for kind, (code, *numbers), number in changes(self._count):
            cell = self._cells.of(code)
            if kind in _RESOLUTIONS:
                self._resolutions.add((cell, *numbers), _RESOLUTIONS[kind], number)
            elif kind == STAYED:
                self._stays.add((cell, *numbers), 0, number)
            else:
                self._flows.add_change(kind, cell, numbers, number)

    def _lines(self, standing: Standing) -> dict[bool, list[Line]]:
        """The tasks that are overdue the longest, and those that are open so."""
        found: dict[bool, list[Line]] = {False: [], True: []}
        for row in standing.longest():
            line = Line(
                self._cells.of(row.cell), row.ref_id or row.key, row.name or "", row.status,
                row.assignee or "", row.created_at, row.due_at,
            )  # fmt: skip
            found[row.kind == OVERDUE].append(line)
        return found
