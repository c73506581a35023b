"""What is open now: how many tasks of what age, with whom, and those that have waited the longest.

Most is counted from groups of tasks that are alike in all that an index begins with: they come in its order, and need
no sorting. The oldest task of each such group tells how old the ten oldest of a cell are at least, so that the few
that may be among them are looked for, and the others are not sorted either.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Row,
    Select,
    Text,
    and_,
    cast,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    union_all,
    values,
)  # fmt: skip
from sqlalchemy import case as when
from sqlalchemy import column as named

from etl.load.database.types import Moment
from etl.load.report.counting import Counting
from etl.load.report.listing import Key
from etl.load.schema.tables import tasks

_TASK = tasks.c
_ALIKE = ("stream_id", "source_id", "status_id", "priority_id", "queue_id", "assignee_id")
_OPEN, _LOAD, _BOUND = range(3)
_MOST_BOUNDS = 2000  # of the largest cells; what the others hold is soon sorted
#: The days at which the bands of age begin.
AGES = (0, 1, 3, 7, 30, 90)
_SUMS = 2 * (len(AGES) + 1)  # how many are in each band and in all, and how many of them overdue
#: What a task has waited for the longest: to be resolved, or since it was due.
OLDEST, OVERDUE = range(2)

Rows = Sequence[Row[*tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Open:
    """Open tasks of a cell and a status: of each band of age how many, and how many overdue; -1 for no known age."""

    cell: int
    status: int
    bands: Mapping[int, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Load:
    """Open tasks of a cell that an agent has, or nobody: how many, and how many overdue."""

    cell: int
    assignee: Key
    number: int
    overdue: int


class Standing:
    """What is open now; ``most`` tasks of each cell are listed."""

    def __init__(self, count: Counting, most: int) -> None:
        self._count = count
        self._most = most
        self._bounds: dict[int, tuple[int, datetime, datetime]] = {}

    def counts(self) -> Iterator[Open | Load]:
        """Give the counts. Only when all were taken, :meth:`longest` knows where to look."""
        alike = _alike(self._count).cte("alike").prefix_with("materialized")
        counts = (self._by_status(alike), self._by_assignee(alike), self._oldest(alike))
        now = self._count.span.now
        for kind, cell, status, assignee, oldest, due, *sums in self._count.run(union_all(*counts)):
            if kind == _OPEN:
                yield Open(cell, status, _bands(sums))
            elif kind == _LOAD:
                yield Load(cell, (assignee, status), sums[0], sums[1])
            else:
                self._bounds[cell] = sums[0], oldest or now, due or now

    def longest(self) -> Rows:
        """Of each cell the tasks that are open, and those that are overdue, the longest; OLDEST or OVERDUE is first."""
        found = self._candidates().cte("found").prefix_with("materialized").c
        now = self._count.span.now
        kinds = ((OLDEST, found.created_at, found.oldest), (OVERDUE, found.due_at, found.due))
        either = union_all(
            *(
                select(
                    literal_column(str(kind)).label("kind"), found.cell, found.key, found.source_id, by.label("by")
                ).where(by < now, by <= bound)
                for kind, by, bound in kinds
            )
        ).subquery()
        order = (either.c.by, either.c.key, either.c.source_id)
        place = func.row_number().over(partition_by=(either.c.kind, either.c.cell), order_by=order).label("place")
        ranked = select(either, place).subquery()
        status = self._count.coding.status(_TASK.status_id, _TASK.source_id).label("status")
        told = (_TASK.ref_id, _TASK.name, _TASK.assignee, _TASK.created_at, _TASK.due_at)
        query = select(ranked.c.kind, ranked.c.cell, ranked.c.key, status, *told).join(
            tasks, and_(ranked.c.key == _TASK["_id"], ranked.c.source_id == _TASK.source_id)
        )
        first = query.where(ranked.c.place <= self._most)
        first = first.order_by(ranked.c.by, ranked.c.key, ranked.c.source_id)
        return list(self._count.run(first))

    def _by_status(self, alike: CTE) -> Select[Any]:
        coding = self._count.coding
        by = coding.cell(alike.c).label("cell"), coding.status(alike.c.status_id, alike.c.source_id).label("status")
        empty = _no(Text), _no(Moment), _no(Moment)
        return select(_kind(_OPEN), *by, *empty, *_sums(alike)).group_by(*by)

    def _by_assignee(self, alike: CTE) -> Select[Any]:
        """By the agent's key: the source stands where others have the status."""
        by = self._count.coding.cell(alike.c), cast(alike.c.source_id, Integer), alike.c.assignee_id
        empty = _no(Moment), _no(Moment)
        return select(_kind(_LOAD), *by, *empty, *_sums(alike, 2)).group_by(*by)

    def _oldest(self, alike: CTE) -> Select[Any]:
        """Of each cell so many'th oldest of those that are the oldest of their group: the same of all is no younger."""
        now = self._count.span.now
        columns = {"oldest": func.coalesce(alike.c.oldest, now), "due": func.coalesce(alike.c.due, now)}
        labelled = [column.label(name) for name, column in columns.items()]
        of_cell = select(self._count.coding.cell(alike.c).label("cell"), *labelled, alike.c.sum_0).subquery()
        placed = select(
            of_cell, *(_place(of_cell.c.cell, of_cell.c[name]).label(f"{name}_place") for name in columns)
        ).subquery()
        bounds = [func.max(when((placed.c[f"{name}_place"] == self._most, placed.c[name]))) for name in columns]
        empty = _no(Integer), _no(Text)
        return select(_kind(_BOUND), placed.c.cell, *empty, *bounds, *_sums(placed, 1)).group_by(placed.c.cell)

    def _candidates(self) -> Select[Any]:
        """The open tasks that may be among the longest of their cell, and the bounds that tell."""
        now, largest = self._count.span.now, sorted(self._bounds.items(), key=lambda item: -item[1][0])[:_MOST_BOUNDS]
        rows = [(cell, oldest, due) for cell, (_, oldest, due) in largest] or [(-1, now, now)]
        bound_columns = named("cell", Integer), named("oldest", Moment), named("due", Moment)
        bounds = values(*bound_columns, name="bounds").data(rows).cte()
        cell = self._count.coding.cell(_TASK).label("cell")
        columns = (_TASK["_id"].label("key"), _TASK.source_id, cell, _TASK.created_at, _TASK.due_at)
        opened = select(*columns).where(*self._count.is_open())
        task = opened.offset(0).subquery()  # kept apart, so that its cell is worked out once
        oldest, due = func.coalesce(bounds.c.oldest, now), func.coalesce(bounds.c.due, now)
        found = select(task, oldest.label("oldest"), due.label("due"))
        return found.select_from(task.outerjoin(bounds, bounds.c.cell == task.c.cell)).where(
            or_(task.c.created_at <= oldest, task.c.due_at <= due)
        )


def _alike(count: Counting) -> Select[Any]:
    """How many tasks are alike in all that an index begins with, in its order; and how old they are."""
    now = count.span.now
    late = _TASK.due_at < now
    younger = [_TASK.created_at > now - timedelta(days=end) for end in AGES[1:]]
    conditions = [true(), *younger, _TASK.created_at.is_not(None)]
    sums = [func.count(when((each, 1))) for condition in conditions for each in (condition, condition & late)]
    moments = func.min(_TASK.created_at).label("oldest"), func.min(when((late, _TASK.due_at))).label("due")
    ids = [_TASK[name] for name in _ALIKE]
    labelled = [column.label(f"sum_{place}") for place, column in enumerate(sums)]
    return select(*ids, *moments, *labelled).where(*count.is_open()).group_by(*ids)


def _bands(sums: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The bands of age, from how many there are in all, how many are younger than each, and how many have an age."""
    (number, late), *younger = zip(sums[::2], sums[1::2], strict=True)
    bands = {
        band: (after[0] - before[0], after[1] - before[1])
        for band, (before, after) in enumerate(pairwise([(0, 0), *younger]))
    }
    return bands | {-1: (number - younger[-1][0], late - younger[-1][1])}


def _sums(found: Any, first: int = _SUMS) -> list[ColumnElement[int]]:
    """The sums, or the first ones, with nothing for the others."""
    told = [cast(func.sum(found.c[f"sum_{place}"]), Integer) for place in range(first)]
    return told + [literal_column("0", Integer)] * (_SUMS - first)


def _kind(kind: int) -> ColumnElement[int]:
    return literal_column(str(kind), Integer)


def _no(kind: Any) -> ColumnElement[Any]:
    return cast(null(), kind)


def _place(cell: ColumnElement[int], by: ColumnElement[Any]) -> ColumnElement[int]:
    return func.row_number().over(partition_by=cell, order_by=by)
