"""The counts of changes of status: one statement, which meets each change of the stretch once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Subquery, and_, case, func, select

from etl.load.report.counting import CREATED_AT, KNOWN_AT, WHENS, Counting, worked_out_once
from etl.load.report.local import BOUNDS, bin_of, milliseconds, milliseconds_of
from etl.load.report.packing import Packing
from etl.load.schema.tables import task_changes, tasks

_TASK = tasks.c
_CHANGE = task_changes.c
_AT = func.coalesce(_CHANGE.changed_at, _CHANGE.seen_at)
_BINS = len(BOUNDS) + 1

#: The kinds of counts of changes.
MOVED, OF_CREATED, OF_KNOWN, OF_BOTH, RESOLVED, LATELY, STAYED = range(7)


def changes(count: Counting) -> Iterator[tuple[int, tuple[int, ...], int]]:
    """Changes of status, in seven ways: the kind, its numbers, how many.

    MOVED: by cell, old and new status and when; OF_CREATED and OF_KNOWN: those of the tasks that were created, or first
    known, in the stretch, by then; OF_BOTH: where that is one time; RESOLVED and LATELY: resolutions in what is shown,
    and in the last seven days, by cell and bin of the time since creation; STAYED: stays that ended, in statuses of
    open tasks, by cell, status and bin of length.
    """
    change, span = _moved(count).c, count.span
    packings = _packings(count.coding.number_of_statuses)
    course = (change.cell, change.old, change.new)
    resolved = change.cell, bin_of(change.moved - change.since_created)
    stay = change.moved - func.coalesce(change.began, change.since_created)
    numbers: dict[int, tuple[ColumnElement[int], ...]] = {
        MOVED: (*course, span.when(change.moved)),
        OF_CREATED: (*course, change.created),
        OF_KNOWN: (*course, change.known),
        OF_BOTH: (*course, change.created),
        RESOLVED: resolved,
        LATELY: resolved,
        STAYED: (change.cell, change.old, bin_of(stay)),
    }
    is_resolution = change.was_open & ~change.is_open
    apart = change.created.is_distinct_from(change.known)
    conditions = {
        OF_CREATED: apart,
        OF_KNOWN: apart,
        OF_BOTH: ~apart,
        RESOLVED: is_resolution & (change.moved >= milliseconds_of(span.shown)),
        LATELY: is_resolution & (span.week(change.moved) == 1),
        STAYED: change.was_open & span.shows(change.moved),
    }
    columns = {kind: packings[kind].packed(*each) for kind, each in numbers.items()}
    columns |= {kind: case((condition, columns[kind])) for kind, condition in conditions.items()}
    for kind, packed, number in count.tallied(columns):
        yield kind, packings[kind].unpacked(packed), number


def _packings(statuses: int) -> dict[int, Packing]:
    course, bins = Packing((statuses, statuses, WHENS)), Packing((_BINS,))
    moves = dict.fromkeys((MOVED, OF_CREATED, OF_KNOWN, OF_BOTH), course)
    return moves | {RESOLVED: bins, LATELY: bins, STAYED: Packing((statuses, _BINS))}


def _moved(count: Counting) -> Subquery:
    """The changes of the stretch, each in its task's life: not before nor after it, whatever the clocks said."""
    change = _changes(count).c
    gone, since, at = change.deleted, change.since_created, change.at
    moved = case((gone < at, gone), (since > at, since), else_=at)
    kept = (column for column in change if column.name not in {"deleted", "at"})
    return worked_out_once(select(*kept, moved.label("moved")))


def _changes(count: Counting) -> Subquery:
    """The changes of the stretch beside their tasks, in short numbers."""
    task, coding = _tasks(count), count.coding
    was_open = ~count.is_done(_CHANGE.old_id, _CHANGE.source_id)
    columns: dict[str, ColumnElement[Any]] = {
        **{name: task.c[name] for name in ("cell", "created", "known", "since_created", "deleted")},
        "old": coding.status(_CHANGE.old_id, _CHANGE.source_id),
        "new": coding.status(_CHANGE.new_id, _CHANGE.source_id),
        "was_open": was_open,
        "is_open": ~count.is_done(_CHANGE.new_id, _CHANGE.source_id),
        "at": milliseconds(_AT),
        "began": case((was_open, milliseconds(_began()))),
    }
    # An outer join, whose order SQLite keeps: the other way round, each change would be a search for its task.
    same = and_(_CHANGE.task_id == task.c.key, _CHANGE.source_id == task.c.source_id)
    of_task = and_(same, _CHANGE.field == "status", count.span.since <= _AT)
    named = [column.label(name) for name, column in columns.items()]
    query = select(*named).select_from(task.outerjoin(task_changes, of_task))
    return worked_out_once(query.where(func.coalesce(_CHANGE.task_id, "") != ""))


def _tasks(count: Counting) -> Subquery:
    """The tasks that were updated in the stretch: the others have no changes in it."""
    task, span = _updated(count).c, count.span
    created, known = (
        case((milliseconds_of(span.since) <= each, span.when(each))) for each in (task.since_created, task.since_known)
    )
    columns: dict[str, ColumnElement[Any]] = {
        **{name: task[name] for name in ("key", "source_id", "cell", "since_created", "deleted")},
        "created": created,
        "known": known,
    }
    return worked_out_once(select(*(column.label(name) for name, column in columns.items())))


def _updated(count: Counting) -> Subquery:
    columns: dict[str, ColumnElement[Any]] = {
        "key": _TASK["_id"],
        "source_id": _TASK.source_id,
        "cell": count.coding.cell(_TASK),
        "since_created": milliseconds(CREATED_AT),
        "since_known": milliseconds(KNOWN_AT),
        "deleted": milliseconds(_TASK.deleted_at),
    }
    recent = (func.coalesce(_TASK.updated_at, _TASK.first_seen_at) >= count.span.since, _TASK.forgotten_at.is_(None))
    return worked_out_once(select(*(column.label(name) for name, column in columns.items())).where(*recent))


def _began() -> ColumnElement[Any]:
    """When the stay that a change ended had begun by an earlier change."""
    before = task_changes.alias("before")
    at = func.coalesce(before.c.changed_at, before.c.seen_at)
    of_task = (before.c.task_id == _CHANGE.task_id, before.c.source_id == _CHANGE.source_id)
    same = (before.c.field == "status", *of_task, at < _AT)
    return select(func.max(at)).where(*same).correlate(task_changes).scalar_subquery()
