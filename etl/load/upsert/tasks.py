"""Storing a batch of tasks: set-based, once for both databases, and so that repeating it changes nothing.

A batch is laid out in a temporary table first. From there the database itself tells new from changed from unchanged,
writes the history of what changes, and writes only rows that are new or changed. A newer or equal ``updated_at`` wins.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from itertools import repeat
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
)

from etl.load.database.bulk_insert import fill
from etl.load.database.dialect import insert_by
from etl.load.database.dialect_options import create_temporary
from etl.load.database.errors import UnstorableError
from etl.load.queries.deletions import inactive_since
from etl.load.schema.tables import cases, priorities, statuses, tasks
from etl.load.upsert import changes as history
from etl.load.upsert import daily_counts, dimensions, status_intervals
from etl.load.upsert.children import Details, put_children, store_people_and_queues

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

Record = TypeVar("Record")
Row = dict[str, Any]

_OWN = ("first_seen_at", "stored_at", "run_id", "deleted_at", "forgotten_at")  # written here, not by the API
_FROM_API = [column.name for column in tasks.columns if column.name not in _OWN]

incoming = Table(
    "incoming_tasks",
    MetaData(),
    *(
        Column(column.name, column.type, primary_key=column.primary_key)
        for column in tasks.columns
        if column.name not in _OWN
    ),
    prefixes=["TEMPORARY"],
)
_KEY = and_(incoming.c["_id"] == tasks.c["_id"], incoming.c.source_id == tasks.c.source_id)
_DELETED_AT = inactive_since(incoming, bindparam("seen", type_=tasks.c.stored_at.type))


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one or more pages of one source by table; an ``_id`` may stand in it more than once.

    ``details`` holds what stands behind each task, in the order of ``tasks``; left out, nothing does.
    """

    tasks: Sequence[Row]
    statuses: Sequence[Row] = ()
    priorities: Sequence[Row] = ()
    cases: Sequence[Row] = ()
    details: Sequence[Details] = ()


@dataclass(slots=True)
class Counts:
    """What became of the tasks of a batch; ``repeated`` stood in it more than once."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    stale: int = 0
    repeated: int = 0
    changes: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(Counts)))


def prepare(connection: Connection) -> None:
    """Make this connection's temporary table, empty."""
    create_temporary(connection, incoming)


def store(
    connection: Connection,
    batch: Batch,
    *,
    run_id: int,
    now: datetime,
    on_laid_out: Callable[[], None] = lambda: None,
) -> Counts:
    """Write what is new or changed in ``batch``; the caller's transaction holds it together.

    ``on_laid_out`` is called once the database has most before it, and works by itself.
    """
    is_meaning_changed = daily_counts.is_meaning_changed(connection, batch.statuses)
    for table, rows in ((statuses, batch.statuses), (priorities, batch.priorities), (cases, batch.cases)):
        dimensions.upsert(connection, table, rows)
    store_people_and_queues(connection, batch.details)
    newest = _newest_of_each(batch)
    if not newest:
        return Counts()
    source_id = batch.tasks[0]["source_id"]
    prepare(connection)
    fill(connection, incoming, [task for task, _ in newest.values()])
    counts = _classify(connection)
    counts.repeated = len(batch.tasks) - len(newest)
    if counts.updated:
        daily_counts.take_out(connection, source_id, newest)
        counts.changes = history.record(connection, incoming, changes=_is_changed(), run_id=run_id, now=now)
    on_laid_out()
    if counts.inserted or counts.updated:
        written = _write(connection, run_id=run_id, now=now)
        # Where no task was known before, none can have children.
        details = {key: newest[key][1] for key in written}
        put_children(connection, source_id, details, replace=counts.updated > 0)
        if counts.updated:
            daily_counts.add(connection, source_id, newest)
        else:
            known = newest.keys() - written
            daily_counts.add_first(connection, incoming, but=known, deleted_at=_DELETED_AT, now=now)
    if counts.updated:
        status_intervals.follow(connection, source_id, newest)
    if is_meaning_changed:
        daily_counts.count_anew(connection, source_id)
        status_intervals.follow_all(connection, source_id)
    return counts


def store_together(
    connection: Connection,
    records: Sequence[Record],
    batch_of: Callable[[Sequence[Record]], Batch],
    *,
    run_id: int,
    now: datetime,
    on_laid_out: Callable[[], None] = lambda: None,
) -> tuple[Counts, list[tuple[Record, str]]]:
    """Store records, none of which is left out.

    Raises:
        UnstorableError: the database cannot hold a value of one of them; the transaction is to be taken back.
    """
    if not records:
        return Counts(), []
    return store(connection, batch_of(records), run_id=run_id, now=now, on_laid_out=on_laid_out), []


def store_what_fits(
    connection: Connection,
    records: Sequence[Record],
    batch_of: Callable[[Sequence[Record]], Batch],
    *,
    run_id: int,
    now: datetime,
    on_laid_out: Callable[[], None] = lambda: None,
) -> tuple[Counts, list[tuple[Record, str]]]:
    """Store records together, but for those of which the database cannot hold a value.

    Return with the counts each record that was left out, and why: the others do not suffer for it. So that a part can
    be taken back, SQLite keeps a copy in memory of all that it changes.
    """
    try:
        with connection.begin_nested():
            return store_together(connection, records, batch_of, run_id=run_id, now=now, on_laid_out=on_laid_out)
    except UnstorableError as error:
        if len(records) == 1:
            return Counts(), [(records[0], f"the database cannot hold it: {error.reason}")]
    half = len(records) // 2
    first, left_out = store_what_fits(connection, records[:half], batch_of, run_id=run_id, now=now)
    second, others = store_what_fits(connection, records[half:], batch_of, run_id=run_id, now=now)
    return first + second, left_out + others


def _newest_of_each(batch: Batch) -> dict[str, tuple[Row, Details]]:
    """Return of each ``_id`` the row with the largest ``updated_at``, of equals the last, and what is behind it."""
    newest: dict[str, tuple[Row, Details]] = {}
    for row, behind in zip(batch.tasks, batch.details or repeat({}), strict=False):
        known = newest.get(row["_id"])
        if known is None or _not_older(row["updated_at"], known[0]["updated_at"]):
            newest[row["_id"]] = (row, behind)
    return newest


def _not_older(moment: datetime | None, than: datetime | None) -> bool:
    return moment is None or than is None or moment >= than


def _is_not_older() -> ColumnElement[bool]:
    new, old = incoming.c.updated_at, tasks.c.updated_at
    return or_(new.is_(None), old.is_(None), new >= old)


def _is_changed() -> ColumnElement[bool]:
    """A known task whose record differs, or that was taken for deleted otherwise than by its record."""
    by_record = inactive_since(incoming, tasks.c.stored_at)
    differs = or_(incoming.c.raw != tasks.c.raw, tasks.c.deleted_at.is_distinct_from(by_record))
    return and_(tasks.c["_id"].is_not(None), _is_not_older(), differs)


def _classify(connection: Connection) -> Counts:
    total, inserted, updated, old = connection.execute(_classification()).one()
    return Counts(inserted=inserted, updated=updated, stale=old, unchanged=total - inserted - updated - old)


@cache
def _classification() -> Any:
    new = tasks.c["_id"].is_(None)
    stale = and_(tasks.c["_id"].is_not(None), ~_is_not_older())
    query = select(func.count(), _count_if(new), _count_if(_is_changed()), _count_if(stale))
    return query.select_from(incoming.outerjoin(tasks, _KEY))


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


def _write(connection: Connection, *, run_id: int, now: datetime) -> Sequence[str]:
    """Write the rows that are new or changed and return their ids."""
    statement = _merge(connection.dialect.name)
    return connection.execute(statement, {"now": now, "run": run_id}).scalars().all()


@cache
def _merge(dialect: str) -> Any:
    now = bindparam("now", type_=tasks.c.stored_at.type)
    own = {"first_seen_at": now, "stored_at": now, "run_id": bindparam("run", type_=tasks.c.run_id.type)}
    source = (
        select(*(incoming.c[name] for name in _FROM_API), *own.values(), inactive_since(incoming, now))
        .select_from(incoming.outerjoin(tasks, _KEY))
        .where(or_(tasks.c["_id"].is_(None), _is_changed()))
    )
    statement = insert_by(dialect, tasks).from_select([*_FROM_API, *own, "deleted_at"], source)
    written = [name for name in (*_FROM_API, "stored_at", "run_id", "deleted_at") if name not in {"_id", "source_id"}]
    upsert = statement.on_conflict_do_update(
        index_elements=["_id", "source_id"],
        set_={name: statement.excluded[name] for name in written},
    )
    return upsert.returning(tasks.c["_id"])
