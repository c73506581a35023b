"""The counts of tasks that a report is made of: each a statement that both databases run, each row of many tasks.

Every row tells a cell, the stream, the queue and the priority of its tasks, by which a report is filtered. How the
backlog stood on a day is worked out backwards from how it stands now: what is counted here is what changed when.

Conditions are on coalesced columns on purpose: an index on one of them would lead to hundreds of thousands of whole
rows in no order, where an index that holds all that is asked for is read in one go. Each statement reads it once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, case, func, literal_column, or_, select, union_all

from etl.load.report.coding import Coding
from etl.load.report.local import Span
from etl.load.report.packing import Packing
from etl.load.tables import tasks

_TASK = tasks.c
CREATED_AT = func.coalesce(_TASK.created_at, _TASK.first_seen_at)
#: When a task that came resolved was resolved at the latest.
KNOWN_AT = case((_TASK.updated_at < _TASK.first_seen_at, _TASK.updated_at), else_=_TASK.first_seen_at)
_AT_ONCE = 2000
WHENS = 1 << 24  # more than there are days and weeks
_BY_TIME, _BY_HOUR = Packing((WHENS,)), Packing((168,))

#: The kinds of counts of tasks that are new, or were resolved or deleted lately.
CREATED, ARRIVED, KNOWN, DELETED = range(4)

Counts = Iterator[Row[*tuple[Any, ...]]]


class Counting:
    """Counts over one stretch of time; ``done`` are the statuses of resolved tasks."""

    def __init__(self, connection: Connection, span: Span, coding: Coding, done: list[str]) -> None:
        self.span = span
        self.done = done
        self.coding = coding
        self._connection = connection
        self._of_status = Packing((coding.number_of_statuses, WHENS))

    def lately(self) -> Iterator[tuple[int, list[int], int]]:
        """Tasks of the stretch, in four ways: the kind, its numbers, how many.

        CREATED: by cell, status now and when; ARRIVED: by cell and hour of the week; KNOWN: those that are resolved, by
        cell and when they were first known; DELETED: by cell, last status and when.
        """
        found = self._recent().cte("found").prefix_with("materialized").c
        packings = {CREATED: self._of_status, ARRIVED: _BY_HOUR, KNOWN: _BY_TIME, DELETED: self._of_status}
        numbers: dict[int, tuple[ColumnElement[int], ...]] = {
            CREATED: (found.cell, found.status, found.created),
            ARRIVED: (found.cell, found.hour),
            KNOWN: (found.cell, found.known),
            DELETED: (found.cell, found.status, found.deleted),
        }
        counts = [counted(kind, packings[kind], *each).where(each[-1].is_not(None)) for kind, each in numbers.items()]
        for kind, packed, number in self.run(union_all(*counts)):
            yield kind, packings[kind].unpacked(packed), number

    def is_open(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions under which a task is open."""
        unresolved = func.coalesce(_TASK.status_id, "").not_in(self.done)
        return func.coalesce(_TASK.deleted_at, _TASK.forgotten_at).is_(None), unresolved

    def run(self, query: Any) -> Counts:
        """Give the rows of a statement, some at a time."""
        yield from self._connection.execution_options(yield_per=_AT_ONCE).execute(query)

    def _recent(self) -> Select[Any]:
        """One row a task, in short values, null for what was not in the stretch."""
        span, coding = self.span, self.coding
        created, known, deleted = (span.since <= each for each in (CREATED_AT, KNOWN_AT, _TASK.deleted_at))
        resolved = func.coalesce(_TASK.status_id, "").in_(self.done)
        columns: dict[str, ColumnElement[Any]] = {
            "cell": coding.cell(_TASK),
            "status": coding.status(_TASK.status_id),
            "created": case((created, span.when(CREATED_AT))),
            "hour": case((created & span.shows(CREATED_AT), span.hour(CREATED_AT))),
            "known": case((known & resolved, span.when(KNOWN_AT))),
            "deleted": case((deleted, span.when(_TASK.deleted_at))),
        }
        named = [column.label(name) for name, column in columns.items()]
        return select(*named).where(or_(created, known, deleted), _TASK.forgotten_at.is_(None))


def counted(kind: int, packing: Packing, *by: ColumnElement[int]) -> Select[Any]:
    """How many rows there are of each of these numbers."""
    key = packing.packed(*by)
    columns: list[ColumnElement[Any]] = [
        literal_column(str(kind)).label("kind"),
        key.label("key"),
        func.count().label("n"),
    ]
    return select(*columns).group_by(key)
