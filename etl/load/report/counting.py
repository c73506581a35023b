"""The counts that a report is made of: each a statement that both databases run, each row a count of many tasks.

Every row begins with its cell, the stream, the queue and the priority of its tasks, by which a report is filtered. How
the backlog stood on a day is worked out backwards from how it stands now: what is counted here is what changed when.

Conditions are on coalesced columns on purpose: an index on one of them would lead to hundreds of thousands of whole
rows in no order, where an index that holds all that is asked for is read in one go.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    literal_column,
    null,
    select,
    union_all,
)  # fmt: skip
from sqlalchemy.sql.elements import Null

from etl.load.report.coding import Coding
from etl.load.report.local import Span, bin_of, seconds_between
from etl.load.tables import task_changes, tasks

_TASK = tasks.c
_CHANGE = task_changes.c
_CREATED = func.coalesce(_TASK.created_at, _TASK.first_seen_at)
_AT = func.coalesce(_CHANGE.changed_at, _CHANGE.seen_at)
# A change is not before its task nor after its end, whatever the clocks said.
_MOVED = case((_TASK.deleted_at < _AT, _TASK.deleted_at), (_AT < _CREATED, _CREATED), else_=_AT)
# When a task that came resolved was resolved at the latest.
_KNOWN = case((_TASK.updated_at < _TASK.first_seen_at, _TASK.updated_at), else_=_TASK.first_seen_at)
_AT_ONCE = 2000
#: The days at which the bands of age begin.
AGES = (0, 1, 3, 7, 30, 90)

#: The kinds of counts of changes, with what their rows hold behind the cell: two values, a day, a week, how many.
MOVED, OF_CREATED, OF_KNOWN, RESOLVED, STAYED = range(5)

Counts = Iterator[Row[*tuple[Any, ...]]]


class Counting:
    """Counts over one stretch of time; ``done`` are the statuses of resolved tasks."""

    def __init__(self, connection: Connection, span: Span, coding: Coding, done: list[str]) -> None:
        self._connection = connection
        self._span = span
        self._done = done
        self._coding = coding

    def open_now(self) -> Counts:
        """Open tasks: cell, status, band of age, how many, how many overdue."""
        query = self._of_tasks(self._status(), self._band(), self._overdue()).where(*self.is_open())
        return self._run(query)

    def load(self) -> Counts:
        """Open tasks: cell, assignee's id, how many, how many overdue."""
        return self._run(self._of_tasks(_TASK.assignee_id, self._overdue()).where(*self.is_open()))

    def created(self) -> Counts:
        """Created tasks: cell, status now, day, week, how many."""
        return self._run(self._of_tasks(self._status(), *self._when(_CREATED)).where(*self._is_new()))

    def arrivals(self) -> Counts:
        """Created tasks: cell, weekday and hour, how many."""
        return self._run(self._of_tasks(self._span.hour(_CREATED)).where(*self._is_new()))

    def came_resolved(self) -> Counts:
        """Resolved tasks, also those that were seen to be resolved: cell, day they were known at, week, how many."""
        recent = (self._span.since <= _KNOWN, _TASK.forgotten_at.is_(None))
        resolved = func.coalesce(_TASK.status_id, "").in_(self._done)
        return self._run(self._of_tasks(*self._when(_KNOWN)).where(*recent, resolved))

    def deleted(self) -> Counts:
        """Tasks that are gone from the server: cell, last status, day, week, how many."""
        gone = (_TASK.deleted_at >= self._span.since, _TASK.forgotten_at.is_(None))
        return self._run(self._of_tasks(self._status(), *self._when(_TASK.deleted_at)).where(*gone))

    def changes(self) -> Counts:
        """Changes of status, in five ways: the kind, the cell, two values, day, week, how many.

        MOVED: by old and new status on the day of the change; OF_CREATED and OF_KNOWN: those of the tasks created, or
        first known, in the stretch, on that day; RESOLVED: resolutions by bin of the time since creation; STAYED: stays
        that ended by status and bin of their length.
        """
        found = self._changes().cte("found").prefix_with("materialized").c
        since: ColumnElement[str] = literal_column("''")
        grouped = (
            _counted(MOVED, found, found.old, found.new, found.day, found.week),
            _counted(OF_CREATED, found, found.old, found.new, found.created, found.created_week).where(
                found.created > since
            ),
            _counted(OF_KNOWN, found, found.old, found.new, found.known, found.known_week).where(found.known > since),
            _counted(RESOLVED, found, bin_of(found.took), null(), null(), found.week).where(found.took.is_not(None)),
            _counted(STAYED, found, found.old, bin_of(found.stayed), null(), null()),
        )
        return self._run(union_all(*grouped))

    def is_open(self) -> tuple[ColumnElement[bool], ...]:
        """The conditions under which a task is open."""
        unresolved = func.coalesce(_TASK.status_id, "").not_in(self._done)
        return func.coalesce(_TASK.deleted_at, _TASK.forgotten_at).is_(None), unresolved

    def _is_new(self) -> tuple[ColumnElement[bool], ...]:
        return self._span.since <= _CREATED, _TASK.forgotten_at.is_(None)

    def _status(self) -> ColumnElement[int]:
        return self._coding.status(_TASK.status_id)

    def _overdue(self) -> ColumnElement[int]:
        return case((_TASK.due_at < self._span.now, literal_column("1")), else_=literal_column("0"))

    def _when(self, moment: ColumnElement[Any]) -> tuple[ColumnElement[Any], ...]:
        return self._span.day(moment), self._span.week(moment)

    def _band(self) -> ColumnElement[int]:
        younger: list[tuple[ColumnElement[bool], ColumnElement[int]]] = [
            (_TASK.created_at > self._span.now - timedelta(days=end), literal_column(str(place)))
            for place, end in enumerate(AGES[1:])
        ]
        return case(*younger, (_TASK.created_at.is_not(None), literal_column(str(len(AGES) - 1))))

    def _changes(self) -> Select[Any]:
        """One row a change, in short values; tasks that were not updated lately have none."""
        since = self._span.since
        crossed = and_(_CHANGE.new_id.in_(self._done), func.coalesce(_CHANGE.old_id, "").not_in(self._done))
        created, known = since <= _CREATED, since <= _KNOWN
        columns: dict[str, ColumnElement[Any]] = {
            "cell": self._coding.cell(),
            "old": self._coding.status(_CHANGE.old_id),
            "new": self._coding.status(_CHANGE.new_id),
            "day": self._span.day(_MOVED),
            "week": self._span.week(_MOVED),
            "created": case((created, self._span.day(_CREATED))),
            "created_week": case((created, self._span.week(_CREATED))),
            "known": case((known, self._span.day(_KNOWN))),
            "known_week": case((known, self._span.week(_KNOWN))),
            "took": case((crossed, seconds_between(_CREATED, _MOVED))),
            "stayed": seconds_between(func.coalesce(_began(), _CREATED), _MOVED),
        }
        # An outer join, whose order SQLite keeps: the other way round, each change would be a search for its task.
        of_task = and_(_CHANGE.task_id == _TASK["_id"], _CHANGE.field == "status", since <= _AT)
        joined = tasks.outerjoin(task_changes, of_task)
        recent = (func.coalesce(_TASK.updated_at, _TASK.first_seen_at) >= since, _TASK.forgotten_at.is_(None))
        named = [column.label(name) for name, column in columns.items()]
        return select(*named).select_from(joined).where(*recent, func.coalesce(_CHANGE.task_id, "") != "")

    def _of_tasks(self, *by: ColumnElement[Any]) -> Select[Any]:
        columns = [each.label(f"c{place}") for place, each in enumerate((self._coding.cell(), *by))]
        places: list[ColumnElement[int]] = [literal_column(str(place + 1)) for place in range(len(columns))]
        return select(*columns, func.count().label("n")).group_by(*places)

    def _run(self, query: Any) -> Counts:
        yield from self._connection.execution_options(yield_per=_AT_ONCE).execute(query)


def _counted(kind: int, found: Any, *by: Any) -> Select[Any]:
    columns = [found.cell, *by]
    given = [each for each in columns if not isinstance(each, Null)]
    return select(literal_column(str(kind)).label("kind"), *columns, func.count().label("n")).group_by(*given)


def _began() -> ColumnElement[Any]:
    """When the stay that a change ended had begun by an earlier change."""
    before = task_changes.alias("before")
    at = func.coalesce(before.c.changed_at, before.c.seen_at)
    same = (before.c.field == "status", before.c.task_id == _CHANGE.task_id, at < _AT)
    return select(func.max(at)).where(*same).correlate(task_changes).scalar_subquery()
