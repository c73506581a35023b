"""The counts of tasks that a report is made of, each of a statement that both databases run.

Every count tells a cell, the source, the queue and the priority of its tasks, by which a report is filtered. How the
backlog stood on a day is worked out backwards from how it stands now: what is counted here is what changed when.

Conditions are on coalesced columns on purpose: an index on one of them would lead to hundreds of thousands of whole
rows in no order, where an index that holds all that is asked for is read in one go. Each statement reads it once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Subquery, case, func, or_, select

from etl.load.report.coding import Coding, is_one_of
from etl.load.report.listing import Key
from etl.load.report.local import Span, milliseconds
from etl.load.report.packing import Packing
from etl.load.schema.tables import tasks

_TASK = tasks.c
CREATED_AT = func.coalesce(_TASK.created_at, _TASK.first_seen_at)
#: When a task that came resolved was resolved at the latest.
KNOWN_AT = case((_TASK.updated_at < _TASK.first_seen_at, _TASK.updated_at), else_=_TASK.first_seen_at)
_AT_ONCE = 250  # so few that they are gone before Python looks what of them is garbage
WHENS = 10_000_001  # more than there are days and weeks; and odd, so that packed numbers spread over a dictionary
_BY_TIME, _BY_HOUR = Packing((WHENS,)), Packing((168,))

#: The kinds of counts of tasks that are new, or were resolved or deleted lately.
CREATED, ARRIVED, KNOWN, DELETED = range(4)

Counts = Iterator[Row[*tuple[Any, ...]]]


class Counting:
    """Counts over one stretch of time; ``done`` are the statuses of resolved tasks."""

    def __init__(self, connection: Connection, span: Span, coding: Coding, done: Collection[Key]) -> None:
        self.span = span
        self._done = done
        self.coding = coding
        self._connection = connection
        self._of_status = Packing((coding.number_of_statuses, WHENS))

    def lately(self) -> Iterator[tuple[int, tuple[int, ...], int]]:
        """Tasks of the stretch, in four ways: the kind, its numbers, how many.

        CREATED: by cell, status now and when; ARRIVED: by cell and hour of the week; KNOWN: those that are resolved, by
        cell and when they were first known; DELETED: by cell, last status and when.
        """
        task, span = self._recent().c, self.span
        packings = {CREATED: self._of_status, ARRIVED: _BY_HOUR, KNOWN: _BY_TIME, DELETED: self._of_status}
        numbers: dict[int, tuple[ColumnElement[int], ...]] = {
            CREATED: (task.cell, task.status, span.when(task.created)),
            ARRIVED: (task.cell, case((span.shows(task.created), span.hour(task.created)))),
            KNOWN: (task.cell, span.when(task.known)),
            DELETED: (task.cell, task.status, span.when(task.deleted)),
        }
        columns = {kind: packings[kind].packed(*each) for kind, each in numbers.items()}
        for kind, packed, number in self.tallied(columns):
            yield kind, packings[kind].unpacked(packed), number

    def is_open(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions under which a task is open."""
        unresolved = ~self.is_done(_TASK.status_id, _TASK.source_id)
        return func.coalesce(_TASK.deleted_at, _TASK.forgotten_at).is_(None), unresolved

    def is_done(self, status_id: ColumnElement[Any], source_id: ColumnElement[int]) -> ColumnElement[bool]:
        """The condition that a status of a source is that of resolved tasks."""
        others = self.coding.statuses.keys() - set(self._done)
        return is_one_of(func.coalesce(status_id, ""), source_id, self._done, others)

    def run(self, query: Any) -> Counts:
        """Give the rows of a statement, some at a time."""
        yield from self._connection.execution_options(yield_per=_AT_ONCE).execute(query)

    def tallied(self, columns: Mapping[int, ColumnElement[int]]) -> Iterator[tuple[int, int, int]]:
        """Of the numbers in each column, except nulls: which column it is, the number, and how often it is there.

        To count them here takes less than to have the database sort them, as few are the same.
        """
        tallies: dict[int, Counter[Any]] = {kind: Counter() for kind in columns}
        rows = self._connection.execution_options(yield_per=_AT_ONCE).execute(select(*columns.values()))
        for some in rows.partitions():
            for counters, numbers in zip(tallies.values(), zip(*some, strict=True), strict=True):
                counters.update(numbers)
        for kind, counters in tallies.items():
            del counters[None]
            yield from (
                (kind, packed, number) for packed, number in sorted(counters.items())
            )  # one page from one reading

    def _recent(self) -> Subquery:
        """The tasks of the stretch, and when what happened to them in it did."""
        resolved = self.is_done(_TASK.status_id, _TASK.source_id)
        columns: dict[str, ColumnElement[Any]] = {
            "cell": self.coding.cell(_TASK),
            "status": self.coding.status(_TASK.status_id, _TASK.source_id),
            "created": case((self.span.since <= CREATED_AT, milliseconds(CREATED_AT))),
            "known": case(((self.span.since <= KNOWN_AT) & resolved, milliseconds(KNOWN_AT))),
            "deleted": case((self.span.since <= _TASK.deleted_at, milliseconds(_TASK.deleted_at))),
        }
        happened = (self.span.since <= each for each in (CREATED_AT, KNOWN_AT, _TASK.deleted_at))
        named = [column.label(name) for name, column in columns.items()]
        return worked_out_once(select(*named).where(or_(*happened), _TASK.forgotten_at.is_(None)))


def worked_out_once(query: Select[Any]) -> Subquery:
    """Keep a subquery apart: merged into what is around it, its expressions would be worked out wherever they stand."""
    return query.offset(0).subquery()
