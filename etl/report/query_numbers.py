"""The numbers of a report: counts by cell, a cell being a source, a queue and a priority by which a reader filters.

Each statement of ``sql`` gives one of them, and the page's script adds up the cells that are chosen. Lengths of time
are counted in bins, each a fifth longer than the one before, so that a median is right to some percent.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select

from etl.load.database.engine import reading, sorting_in_files
from etl.load.schema.ledger_tables import sources
from etl.load.schema.view_statements import in_dialect
from etl.report.period import Period

#: Where one bin of lengths ends and the next begins, in seconds: from a minute to some four years.
BOUNDS = tuple(60 * 1.2**number for number in range(80))
#: The ages, in days, at which a band of open tasks begins.
BANDS = (0, 1, 3, 7, 30, 90)
#: Who has a task that no agent has.
NOBODY = "Nobody"
#: The category of tasks of a time in which nobody saw their status.
NOT_RECORDED = "not recorded"
_MOST = 40  # queues by name: more are no help in a list to choose from

Figures = dict[str, Any]
Ask = Callable[[str], Iterable[Sequence[Any]]]


def figures(engine: Engine, period: Period) -> Figures:
    """Return all that a report shows of the tasks, read in one transaction, as the page's script takes it."""
    with sorting_in_files(engine) as connection, connection.execution_options(sqlite_begin="DEFERRED").begin():
        dialect = connection.dialect.name
        pieces = period.pieces(dialect)

        def ask(name: str) -> Iterable[Sequence[Any]]:
            text = files("etl.report").joinpath("sql", f"{name}.sql").read_text("utf-8")
            return connection.exec_driver_sql(in_dialect(text, dialect, pieces))

        return _figures(ask, _Names(ask), period)


def zones(engine: Engine) -> list[ZoneInfo]:
    """Return the time zones of the sources, UTC where there is no source yet."""
    with reading(engine) as connection:
        names = connection.execute(select(sources.c.timezone).distinct().order_by(sources.c.timezone)).scalars().all()
    return [ZoneInfo(name) for name in names or ["UTC"]]


def _figures(ask: Ask, names: _Names, period: Period) -> Figures:
    cell, category, status, step = names.cell, names.category, names.status, cache(period.step)
    found: Figures = {
        "open": _summed(
            ((cell(*key), category(key[0], of), -1 if age is None else BANDS.index(age)), (tasks, overdue))
            for *key, of, age, tasks, overdue in ask("open")
        ),
        "agents": _summed(
            (
                (cell(*key), names.agents.of(NOBODY if agent is None else name or "Unnamed")),
                (tasks, overdue, breached, told),
            )
            for *key, agent, name, tasks, overdue, breached, told in ask("agents")
        ),
        "flow": _summed(
            ((cell(*key), step(day), week), (created, resolved, reopened, deleted))
            for *key, day, week, created, resolved, reopened, deleted in ask("flow")
        ),
        "moves": _summed(
            ((cell(*key), step(day), category(key[0], of) if seen else names.categories.of(NOT_RECORDED)), (number,))
            for *key, of, seen, day, number in ask("moves")
        ),
        "arrivals": _summed(((cell(*key), hour), (number,)) for *key, hour, number in ask("arrivals")),
        "stays": _summed(
            ((cell(*key), status(key[0], of), bisect_right(BOUNDS, seconds)), (1,))
            for *key, of, seconds in ask("stays")
        ),
        "durations": _summed(
            ((cell(*key), kind, bisect_right(BOUNDS, seconds)), (shown, int(week == 1)))
            for *key, kind, shown, week, seconds in ask("durations")
        ),
    }
    found["waiting"] = [
        [cell(*key), task, ref or task, name or "", status(key[0], of), agent or "", created, due]
        for *key, task, ref, name, of, agent, created, due in ask("waiting")
    ]
    return found | names.named() | {
        "steps": [each.isoformat() for each in period.steps],
        "unit": period.unit,
        "bounds": [round(bound, 1) for bound in BOUNDS],
    }  # fmt: skip


def _summed(counts: Iterable[tuple[tuple[int, ...], tuple[int, ...]]]) -> list[list[int]]:
    """Add up what has the same key; what comes to nothing is left out."""
    sums: dict[tuple[int, ...], list[int]] = {}
    for key, numbers in counts:
        if key in sums:
            sums[key] = [one + int(other) for one, other in zip(sums[key], numbers, strict=True)]
        else:
            sums[key] = [int(number) for number in numbers]
    return [[*key, *numbers] for key, numbers in sorted(sums.items()) if any(numbers)]


class _Numbering(dict[Any, int]):
    """The place of each name, the next one to a new name."""

    def of(self, name: Any) -> int:
        return self.setdefault(name, len(self))


class _Names:
    """What ids stand for; what has the same name is the same."""

    def __init__(self, ask: Ask) -> None:
        told = list(ask("sources"))
        self._first_sync = min((day for _, _, day in told if day), default=None)
        self._sources = {key: name for key, name, _ in told}
        queues = {(key, source): name or "Unnamed" for source, key, name in ask("queues")}
        busiest = set(list(dict.fromkeys(queues.values()))[:_MOST])
        self._queue = {key: name if name in busiest else "Other queues" for key, name in queues.items()}
        priorities = list(ask("priorities"))
        self._priority = {(key, source): name or "Unnamed" for source, key, name, _ in priorities}
        self._colors = {name or "Unnamed": color for _, _, name, color in reversed(priorities)}
        self._status = {(key, source): tuple(rest) for source, key, *rest in ask("statuses")}
        self._cells, self._streams, self._queues, self._priorities = (
            _Numbering(),
            _Numbering(),
            _Numbering(),
            _Numbering(),
        )
        for name in self._priority.values():
            self._priorities.of(name)
        self.agents, self._statuses = _Numbering(), _Numbering()
        self.categories = _Numbering(open=0, inProgress=1, pending=2)
        self.cell = cache(self._cell)

    def _cell(self, source: int, queue: str | None, priority: str | None) -> int:
        """The place of a source, a queue and a priority."""
        return self._cells.of((
            self._streams.of(self._sources.get(source, "No source")),
            self._queues.of(self._queue.get((queue, source), "No queue") if queue else "No queue"),
            self._priorities.of(self._priority.get((priority, source), "No priority")),
        ))  # fmt: skip

    def status(self, source: int, key: str | None) -> int:
        """The place of a status by its name."""
        name, *_ = self._status.get((key, source), ("No status",))
        return self._statuses.of(name or "Unnamed")

    def category(self, source: int, key: str | None) -> int:
        """The place of the category of a status."""
        name, category, *_ = self._status.get((key, source), (None, "no status"))
        return self.categories.of(category or name or "no status")

    def named(self) -> Figures:
        """All names that were met, by their positions."""
        return {
            "firstSync": self._first_sync,
            "cells": list(self._cells),
            "streams": list(self._streams),
            "queues": list(self._queues),
            "priorities": list(self._priorities),
            "colors": [self._colors.get(name) for name in self._priorities],
            "categories": list(self.categories),
            "statuses": list(self._statuses),
            "agentNames": list(self.agents),
        }
