"""Merges tasks into the table of tasks, and their children into theirs; a newer or equal ``updated_at`` wins.

The tasks are staged in a temporary table. There the database itself tells new from changed from unchanged, and keeps
only rows that are new or changed. It writes their history, and then the rows. A reading that takes the server's word
also stores an older version, in the place of one that an earlier run stored.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    null,
    or_,
    select,
    true,
    update,
)

from etl.api_record import Row
from etl.exact_json import canonical, read
from etl.load.database.bulk_statements import fill
from etl.load.database.dialect import by_ids, create_temporary, insert_by
from etl.load.schema.task_tables import CHILDREN, inactive_since, tasks
from etl.load.upsert import change_history, refresh_derived
from etl.load.upsert.batch import Counts, Details

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime


_OWN = (  # written here, not by the API
    *("first_seen_at", "first_updated_at", "stored_at", "run_id", "deleted_at", "gone_at", "forgotten_at"),
)
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


def merge(
    connection: Connection, newest: Mapping[str, tuple[Row, Details]], *, run_id: int, now: datetime, takes_back: bool
) -> Counts:
    """Write those of a source's tasks, given by ``_id``, that are new or changed, with their history."""
    rows = [task for task, _ in newest.values()]
    source_id = rows[0]["source_id"]
    create_temporary(connection, incoming)
    fill(connection, incoming, rows)
    counts = _classify(connection, run_id=run_id, takes_back=takes_back)
    if counts.inserted or counts.updated:
        if counts.inserted + counts.updated < len(rows):
            connection.execute(_dropping_unchanged(takes_back=takes_back), {"run": run_id} if takes_back else {})
        staged = connection.execute(_staged()).all()
        stored = {row.id: row.updated_at for row in staged if row.is_stored}
        written = {row.id: newest[row.id] for row in staged}
        with refresh_derived.refreshed(connection, source_id, [row.id for row in staged if row.is_derived_from]):
            counts.changes = change_history.record(connection, incoming, run_id=run_id, now=now)
            connection.execute(_writing(connection.dialect.name), {"now": now, "run": run_id})
            counts.changes += change_history.record_children(
                connection, stored, written, source_id=source_id, run_id=run_id, now=now
            )
            replace_children(connection, source_id, {key: details for key, (_, details) in written.items()})
    return counts


def _unify_spellings(connection: Connection) -> None:
    """Give a staged record the stored text where both say the same with other order, spaces or escapes.

    SQLite compares texts. PostgreSQL's jsonb compares what they say.
    """
    texts = (cast(incoming.c.raw, Text), cast(tasks.c.raw, Text))
    query = select(incoming.c["_id"], *texts).select_from(incoming.join(tasks, _KEY)).where(_is_respelled())
    pairs = connection.execute(query).all()
    same = [key for key, new, old in pairs if canonical(read(new)) == canonical(read(old))]
    for (some,) in by_ids(connection, incoming.c["_id"], same):
        connection.execute(update(incoming).where(some).values(raw=select(tasks.c.raw).where(_KEY).scalar_subquery()))


def _wins(*, takes_back: bool) -> ColumnElement[bool]:
    new, old = incoming.c.updated_at, tasks.c.updated_at
    is_not_older = or_(new.is_(None), old.is_(None), new >= old)
    # Runs of a source take turns: what a run with a smaller id stored was there before this run asked for the page.
    return or_(is_not_older, tasks.c.run_id < bindparam("run")) if takes_back else is_not_older


def _is_changed(*, takes_back: bool) -> ColumnElement[bool]:
    """Select the pairs whose record differs, or whose task is marked as deleted and is not; it is never NULL.

    The statement needs the run's id as the parameter ``run`` if it ``takes_back``.
    """
    is_marked = or_(
        tasks.c.gone_at.is_not(None), and_(tasks.c.deleted_at.is_not(None), incoming.c.is_active.is_not(False))
    )
    differs = or_(incoming.c.raw != tasks.c.raw, is_marked)
    return and_(tasks.c["_id"].is_not(None), _wins(takes_back=takes_back), differs)


def _classify(connection: Connection, *, run_id: int, takes_back: bool) -> Counts:
    """Count the staged tasks that are new, changed, unchanged and older than what is stored."""
    query, run = _classification(takes_back=takes_back), {"run": run_id} if takes_back else {}
    total, inserted, updated, old, respelled = connection.execute(query, run).one()
    if respelled and connection.dialect.name == "sqlite":
        _unify_spellings(connection)
        total, inserted, updated, old, _ = connection.execute(query, run).one()
    return Counts(inserted=inserted, updated=updated, stale=old, unchanged=total - inserted - updated - old)


@cache
def _classification(*, takes_back: bool) -> Any:
    new = tasks.c["_id"].is_(None)
    stale = and_(tasks.c["_id"].is_not(None), ~_wins(takes_back=takes_back))
    counts = (new, _is_changed(takes_back=takes_back), stale, _is_respelled())
    return select(func.count(), *map(_count_if, counts)).select_from(incoming.outerjoin(tasks, _KEY))


def _is_respelled() -> ColumnElement[bool]:
    """Select the pairs of one version whose texts differ: they may say the same."""
    return and_(incoming.c.updated_at.is_not_distinct_from(tasks.c.updated_at), incoming.c.raw != tasks.c.raw)


def _count_if(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.coalesce(func.sum(case((condition, 1), else_=0)), 0)


@cache
def _dropping_unchanged(*, takes_back: bool) -> Any:
    unchanged = select(tasks.c["_id"]).where(_KEY, ~_is_changed(takes_back=takes_back)).correlate(incoming)
    return delete(incoming).where(unchanged.exists())


@cache
def _staged() -> Any:
    """List the staged tasks: the version that is stored, and whether derived rows follow from what is to change."""
    old, new = tasks.c, incoming.c
    is_stored = old["_id"].is_not(None)
    is_derived_from = or_(
        old["_id"].is_(None), old.deleted_at.is_not(None), new.is_active.is_(False),
        *(old[name].is_distinct_from(new[name]) for name in ("status_id", "created_at", "stream_id")),
    )  # fmt: skip
    told = (is_stored.label("is_stored"), old.updated_at, is_derived_from.label("is_derived_from"))
    return select(new["_id"].label("id"), *told).select_from(incoming.outerjoin(tasks, _KEY))


@cache
def _writing(dialect: str) -> Any:
    now = bindparam("now", type_=tasks.c.stored_at.type)
    first = {"first_seen_at": now, "first_updated_at": incoming.c.updated_at}
    own = {**first, "stored_at": now, "run_id": bindparam("run", type_=tasks.c.run_id.type)}
    # An inactive task that is updated again stays deleted since the day that was told.
    since = inactive_since(incoming, now)
    deleted_at = case((since.is_not(None), func.coalesce(tasks.c.deleted_at, since)))
    source = (
        select(*(incoming.c[name] for name in _FROM_API), *own.values(), deleted_at, null())
        .select_from(incoming.outerjoin(tasks, _KEY))
        .where(true())
    )
    statement = insert_by(dialect, tasks).from_select([*_FROM_API, *own, "deleted_at", "gone_at"], source)
    written = [*_FROM_API, "stored_at", "run_id", "deleted_at", "gone_at"]
    return statement.on_conflict_do_update(
        index_elements=["_id", "source_id"],
        set_={name: statement.excluded[name] for name in written if name not in {"_id", "source_id"}},
    )


def replace_children(connection: Connection, source_id: int, details: Mapping[str, Details]) -> None:
    """Put the children of a source's tasks, by ``_id``, in the place of those that are there."""
    for table in CHILDREN:
        for (some,) in by_ids(connection, table.c.task_id, details):
            connection.execute(delete(table).where(some, table.c.source_id == source_id))
        fill(connection, table, [row for of_task in details.values() for row in of_task.get(table.name, ())])
