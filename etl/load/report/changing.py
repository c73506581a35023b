"""The counts of changes of status: one statement, which meets each change of the stretch once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, select, union_all

from etl.load.report.counting import CREATED_AT, KNOWN_AT, WHENS, Counting, counted
from etl.load.report.local import BOUNDS, bin_of, seconds_between
from etl.load.report.packing import Packing
from etl.load.tables import task_changes, tasks

_TASK = tasks.c
_CHANGE = task_changes.c
_AT = func.coalesce(_CHANGE.changed_at, _CHANGE.seen_at)
_BINS = len(BOUNDS) + 1

#: The kinds of counts of changes.
MOVED, OF_CREATED, OF_KNOWN, OF_BOTH, RESOLVED, STAYED = range(6)


def changes(count: Counting) -> Iterator[tuple[int, list[int], int]]:
    """Changes of status, in six ways: the kind, its numbers, how many.

    MOVED: by cell, old and new status and when; OF_CREATED and OF_KNOWN: those of the tasks that were created, or first
    known, in the stretch, by then; OF_BOTH: where that is one time; RESOLVED: resolutions by cell, bin of the time
    since creation and when; STAYED: stays that ended, in statuses of open tasks, by cell, status and bin of length.
    """
    found = _found(count).cte("found").prefix_with("materialized").c
    packings = _packings(count.coding.number_of_statuses)
    course = (found.cell, found.old, found.new)
    apart = found.created.is_distinct_from(found.known)
    numbers: dict[int, tuple[ColumnElement[bool], *tuple[ColumnElement[int], ...]]] = {
        MOVED: (found.moved.is_not(None), *course, found.moved),
        OF_CREATED: (found.created.is_not(None) & apart, *course, found.created),
        OF_KNOWN: (found.known.is_not(None) & apart, *course, found.known),
        OF_BOTH: (found.created == found.known, *course, found.created),
        RESOLVED: (found.took.is_not(None), found.cell, bin_of(found.took), found.moved),
        STAYED: (found.stayed.is_not(None), found.cell, found.old, bin_of(found.stayed)),
    }
    counts = [counted(kind, packings[kind], *by).where(condition) for kind, (condition, *by) in numbers.items()]
    for kind, packed, number in count.run(union_all(*counts)):
        yield kind, packings[kind].unpacked(packed), number


def _packings(statuses: int) -> dict[int, Packing]:
    course = dict.fromkeys((MOVED, OF_CREATED, OF_KNOWN, OF_BOTH), Packing((statuses, statuses, WHENS)))
    return course | {RESOLVED: Packing((_BINS, WHENS)), STAYED: Packing((statuses, _BINS))}


def _found(count: Counting) -> Select[Any]:
    """One row a change, in short values."""
    change = _changes(count).c
    seconds = seconds_between(change.since_created, change.moved)
    columns: dict[str, ColumnElement[Any]] = {
        **{name: change[name] for name in ("cell", "old", "new", "created", "known")},
        "moved": count.span.when(change.moved),
        "took": case((change.is_resolution, seconds)),
        "stayed": case(
            (
                change.was_open & count.span.shows(change.moved),
                seconds_between(func.coalesce(change.began, change.since_created), change.moved),
            )
        ),
    }
    return select(*(column.label(name) for name, column in columns.items()))


def _changes(count: Counting) -> Subquery:
    """The changes of the stretch beside their tasks."""
    task, coding = _tasks(count), count.coding
    since = task.c.since_created
    # A change is not before its task nor after its end, whatever the clocks said.
    moved = case((task.c.deleted_at < _AT, task.c.deleted_at), (since > _AT, since), else_=_AT)
    was_open = func.coalesce(_CHANGE.old_id, "").not_in(count.done)
    columns: dict[str, ColumnElement[Any]] = {
        **{name: task.c[name] for name in ("cell", "created", "known", "since_created")},
        "old": coding.status(_CHANGE.old_id),
        "new": coding.status(_CHANGE.new_id),
        "moved": moved,
        "began": _began(),
        "was_open": was_open,
        "is_resolution": and_(_CHANGE.new_id.in_(count.done), was_open),
    }
    # An outer join, whose order SQLite keeps: the other way round, each change would be a search for its task.
    of_task = and_(_CHANGE.task_id == task.c.key, _CHANGE.field == "status", count.span.since <= _AT)
    named = [column.label(name) for name, column in columns.items()]
    query = select(*named).select_from(task.outerjoin(task_changes, of_task))
    return _worked_out_once(query.where(func.coalesce(_CHANGE.task_id, "") != ""))


def _tasks(count: Counting) -> Subquery:
    """The tasks that were updated in the stretch: the others have no changes in it."""
    span = count.span
    columns: dict[str, ColumnElement[Any]] = {
        "key": _TASK["_id"],
        "cell": count.coding.cell(_TASK),
        "since_created": CREATED_AT,
        "deleted_at": _TASK.deleted_at,
        "created": case((span.since <= CREATED_AT, span.when(CREATED_AT))),
        "known": case((span.since <= KNOWN_AT, span.when(KNOWN_AT))),
    }
    recent = (func.coalesce(_TASK.updated_at, _TASK.first_seen_at) >= span.since, _TASK.forgotten_at.is_(None))
    return _worked_out_once(select(*(column.label(name) for name, column in columns.items())).where(*recent))


def _worked_out_once(query: Select[Any]) -> Subquery:
    """Keep a subquery apart: merged into what is around it, its expressions would be worked out wherever they stand."""
    return query.offset(0).subquery()


def _began() -> ColumnElement[Any]:
    """When the stay that a change ended had begun by an earlier change."""
    before = task_changes.alias("before")
    at = func.coalesce(before.c.changed_at, before.c.seen_at)
    same = (before.c.field == "status", before.c.task_id == _CHANGE.task_id, at < _AT)
    return select(func.max(at)).where(*same).correlate(task_changes).scalar_subquery()
