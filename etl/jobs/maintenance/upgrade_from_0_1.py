"""Reads the rows of a kore-etl 0.1.0 database under the names and keys of this version.

In 0.1.0 the key was ``_id`` alone. A status or user may be named by tasks of several sources, so each of these sources
gets a row of its own. Derived tables are not read: they are computed again from tasks and changes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    case,
    column,
    func,
    null,
    select,
    table,
    true,
    union,
)

from etl.load.schema.dimension_tables import DIMENSIONS, cases, priorities, statuses
from etl.load.schema.ledger_tables import source_offsets, sources
from etl.load.schema.task_tables import daily_counts, metadata, status_intervals, task_progress
from etl.load.upsert import refresh_derived
from etl.settings import host_of

DERIVED = (status_intervals, task_progress, daily_counts, source_offsets)
_NAMED = {each.name for each in (statuses, priorities, cases, *DIMENSIONS)}
_RENAMED = {"checkpoint_at": "covered_until", "strategy": "reading"}
_NEW = {
    *("host", "timezone", "acknowledged_at", "vanished_at", "first_updated_at", "gone_at", "field_key"),
    *("lookback_read_at", "complete_to", "verify_position", "verified_until", "mended", "runs"),
    *("missing_searched", "missing_searched_at", "collapse_accepted_at", "absent_ids"),
    *("every", "paused", "next_due_at", "claimable_at"),
    *("server_total", "stored_live", "quarantined", "hidden", "missing"),
}
_STRATEGIES = {"newest": "newest_first", "verified": "split_windows"}
# Where the other tables name a row: the table, the column, and the field of a change.
_MENTIONS = {
    "statuses": (("tasks", "status_id", None), *(("task_changes", each, "status") for each in ("old_id", "new_id"))),
    "priorities": (("tasks", "priority_id", None),),
    "cases": (("tasks", "case_id", None),),
    "agents": (("tasks", "assignee_id", None), ("task_participants", "agent_id", None)),
    "queues": (("tasks", "queue_id", None), ("task_queues", "queue_id", None)),
    "users": tuple(("tasks", each, None) for each in ("user_id", "created_by_id", "updated_by_id")),
}


def old_rows(own: Table, as_it_is: Callable[[ColumnElement[Any]], ColumnElement[Any]]) -> Select[Any]:
    """Return the query that reads a table of 0.1.0 with the columns of today's."""
    old = _old(own.name)
    found: FromClause = old
    source_id: Any = old.c.source_id if "source_id" in old.c else null()
    if own.name in _NAMED:
        mentions = _mentions(own.name)
        found, source_id = old.join(mentions, mentions.c.key == old.c["_id"]), mentions.c.source_id
    elif "task_id" in own.c and "source_id" in own.c and own.name != "unknown_keys":
        tasks = _old("tasks")
        found, source_id = old.join(tasks, tasks.c["_id"] == old.c.task_id), tasks.c.source_id
    columns: list[Any] = []
    for each in own.c:
        if each.name == "source_id":
            columns.append(source_id.label(each.name))
        elif each.computed is not None or each.name in ("timezone", "mended", "runs", "paused"):
            continue  # the database fills it in
        elif each.name == "host":
            columns.append(old.c.base_url.label(each.name))
        elif each.name in ("first_updated_at", "gone_at"):
            value, is_known = _known(old, each.name)
            columns.append(case((is_known, as_it_is(value))).label(each.name))
        elif each.name in _NEW:
            columns.append(null().label(each.name))
        elif each.name == "strategy":
            columns.append(case(_STRATEGIES, value=old.c.reading, else_=old.c.reading).label(each.name))
        else:
            columns.append(as_it_is(old.c[_RENAMED.get(each.name, each.name)]).label(each.name))
    return select(*columns).select_from(found)


def today(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with what no query can tell."""
    return row | {"host": host_of(row["host"])} if "host" in row else row


def derive(connection: Connection) -> None:
    """Compute the derived tables from the tasks and changes that are there now."""
    for source_id in connection.execute(select(sources.c.id)).scalars().all():
        refresh_derived.rebuild(connection, source_id)


def _known(old: Any, name: str) -> tuple[Any, ColumnElement[bool]]:
    """Return the old column that holds a new column's value, and where it does."""
    if name == "first_updated_at":  # the first version is still the stored one
        return old.c.updated_at, old.c.first_seen_at == old.c.stored_at
    by_record = func.coalesce(old.c.updated_at, old.c.created_at, old.c.stored_at)
    return old.c.deleted_at, func.coalesce(old.c.is_active, true()) | (old.c.deleted_at != by_record)


def _old(name: str) -> Any:
    """The table as 0.1.0 had it: today's columns under their old names, and no source where the task told it."""
    own = metadata.tables[name]
    names = {
        each.name: _RENAMED.get(each.name, each.name)
        for each in own.c
        if each.name not in _NEW and each.computed is None
    }
    if "task_id" in own.c and name != "unknown_keys":
        names.pop("source_id", None)
    return table(name, *(column(old, own.c[new].type) for new, old in names.items()))


def _mentions(name: str) -> Any:
    """Each source that names a row of a table, or to which 0.1.0 gave it."""
    own, tasks = _old(name), _old("tasks")
    found = [select(own.c["_id"].label("key"), own.c.source_id)]
    for where, key, field in _MENTIONS[name]:
        naming = tasks if where == "tasks" else _old(where)
        joined = naming if where == "tasks" else naming.join(tasks, tasks.c["_id"] == naming.c.task_id)
        query = select(naming.c[key], tasks.c.source_id).select_from(joined).where(naming.c[key].is_not(None))
        found.append(query if field is None else query.where(naming.c.field == field))
    return union(*found).subquery()
