"""Merges tasks into the table of tasks, and their children into theirs; a newer or equal ``updated_at`` wins.

The tasks are staged in a temporary table. There the database itself tells new from changed from unchanged, and keeps
only rows that are new or changed. It writes their history, and then the rows. A reading that takes the server's word
also stores an older version, in the place of one that an earlier run stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any

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
from etl.load.schema.postgres_upkeep import count_first_rows
from etl.load.schema.task_tables import task_changes, tasks
from etl.load.upsert import change_history, children, refresh_derived
from etl.load.upsert.batch_and_counts import Counts, Details

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


class _Kind(StrEnum):
    """What a staged task is to the stored one."""

    NEW = "new"
    STALE = "stale"
    """Older than what is stored."""
    UNCHANGED = "unchanged"
    CHANGED = "changed"
    MOVED = "moved"
    """Changed in what derived rows follow from."""


_LEFT = (_Kind.STALE, _Kind.UNCHANGED)
_KEY = and_(incoming.c["_id"] == tasks.c["_id"], incoming.c.source_id == tasks.c.source_id)


def merge(
    connection: Connection, newest: Mapping[str, tuple[Row, Details]], *, run_id: int, now: datetime, takes_back: bool
) -> Counts:
    """Write those of a source's tasks, given by ``_id``, that are new or changed, with their history."""
    rows = [task for task, _ in newest.values()]
    create_temporary(connection, incoming)
    fill(connection, incoming, rows)
    staged = _compare(connection, run_id=run_id, takes_back=takes_back)
    kinds = Counter(row.kind for row in staged)
    counts = Counts(inserted=kinds[_Kind.NEW], stale=kinds[_Kind.STALE], unchanged=kinds[_Kind.UNCHANGED])
    counts.updated = len(staged) - counts.inserted - counts.stale - counts.unchanged
    if counts.inserted or counts.updated:
        _write(connection, newest, staged, counts, run_id=run_id, now=now)
    return counts


def _write(
    connection: Connection, newest: Mapping[str, tuple[Row, Details]], staged: Sequence[Any], counts: Counts,
    *, run_id: int, now: datetime,
) -> None:  # fmt: skip
    """Write what is new or changed of the staged tasks, and what is behind it; count the changes."""
    written = {row.id: newest[row.id] for row in staged if row.kind not in _LEFT}
    (source_id,) = {task["source_id"] for task, _ in written.values()}
    for (some,) in by_ids(connection, incoming.c["_id"], newest.keys() - written.keys()):
        connection.execute(delete(incoming).where(some))
    moved = [row.id for row in staged if row.kind in (_Kind.NEW, _Kind.MOVED)]
    with refresh_derived.refreshed(connection, source_id, moved):
        counts.changes = change_history.record(connection, incoming, run_id=run_id, now=now)
        if counts.changes:
            count_first_rows(connection, task_changes)
        connection.execute(_writing(connection.dialect.name), {"now": now, "run": run_id})
    details = {key: of_task for key, (_, of_task) in written.items()}
    before = children.changed(connection, source_id, details)
    stored = {row.id: row.updated_at for row in staged if row.kind != _Kind.NEW}
    counts.changes += change_history.record_children(
        connection, stored, written, before, source_id=source_id, run_id=run_id, now=now
    )
    children.replace(connection, source_id, details, before)


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


def _compare(connection: Connection, *, run_id: int, takes_back: bool) -> Sequence[Any]:
    """List the staged tasks, each with its kind."""
    query, run = _comparison(takes_back=takes_back), {"run": run_id} if takes_back else {}
    staged = connection.execute(query, run).all()
    is_any_respelled = any(row.is_same_version and row.kind not in _LEFT for row in staged)
    if is_any_respelled and connection.dialect.name == "sqlite":
        _unify_spellings(connection)
        staged = connection.execute(query, run).all()
    return staged


@cache
def _comparison(*, takes_back: bool) -> Any:
    """Select the staged tasks; the statement needs the run's id as the parameter ``run`` if it ``takes_back``."""
    old, new = tasks.c, incoming.c
    is_marked = or_(old.gone_at.is_not(None), and_(old.deleted_at.is_not(None), new.is_active.is_not(False)))
    is_moved = or_(
        old.deleted_at.is_not(None), new.is_active.is_(False),
        *(old[name].is_distinct_from(new[name]) for name in ("status_id", "created_at", "stream_id")),
    )  # fmt: skip
    kind = case(
        (old["_id"].is_(None), _Kind.NEW.value),
        (~_wins(takes_back=takes_back), _Kind.STALE.value),
        (~or_(new.raw != old.raw, is_marked), _Kind.UNCHANGED.value),
        (is_moved, _Kind.MOVED.value),
        else_=_Kind.CHANGED.value,
    )
    is_same_version = new.updated_at.is_not_distinct_from(old.updated_at)
    columns = (new["_id"].label("id"), old.updated_at, kind.label("kind"), is_same_version.label("is_same_version"))
    return select(*columns).select_from(incoming.outerjoin(tasks, _KEY))


def _is_respelled() -> ColumnElement[bool]:
    """Select the pairs of one version whose texts differ: they may say the same."""
    return and_(incoming.c.updated_at.is_not_distinct_from(tasks.c.updated_at), incoming.c.raw != tasks.c.raw)


@cache
def _writing(dialect: str) -> Any:
    now = bindparam("now", type_=tasks.c.stored_at.type)
    new, born = incoming.c, func.coalesce(incoming.c.created_at, now)
    first_update = case((new.updated_at < born, born), else_=new.updated_at)
    first = {"first_seen_at": now, "first_updated_at": first_update}
    own = {**first, "stored_at": now, "run_id": bindparam("run", type_=tasks.c.run_id.type)}
    # An inactive task that is updated again stays deleted since the day that was told.
    date = case((tasks.c["_id"].is_(None), func.coalesce(first_update, born)), else_=new.updated_at)
    told = change_history.told_date(date, change_history.told_until(now), now)
    deleted_at = case((new.is_active.is_(False), func.coalesce(tasks.c.deleted_at, told, now)))
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
