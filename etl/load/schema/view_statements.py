"""The statements of the views in both dialects. Migrations have their own copies of the texts.

``view_sql`` has one file for each view, for both databases. Braces in it stand for a piece of ``_PIECES``, with
arguments after a colon and "to" between two. One view has its own text for SQLite: it looks up only the names that a
query asks for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib.resources import files

from sqlalchemy import Connection

from etl.load.schema.view_columns import VIEWS

_PIECES = {
    "resolved": "coalesce({0}.is_resolved, false)",
    "new": "(lower(coalesce({0}.category, {0}.name, '')) in ('open', 'new'))",
    # The plus keeps SQLite from choosing an index by the source alone.
    "unresolved": "({0}.status_id is null or ({0}.status_id, +{0}.source_id) not in ({done}))",
    "done": "select _id, source_id from statuses where is_resolved",
    "step": (
        "(case when (coalesce({0}.new_id, ''), {0}.source_id) in ({done}) then 1 else 0 end"
        " - case when (coalesce({0}.old_id, ''), {0}.source_id) in ({done}) then 1 else 0 end)"
    ),
    "at": "coalesce({0}.changed_at, {0}.seen_at)",
    # When a task that came resolved was resolved at the latest; not before its creation.
    "first": "case when {0}.first_updated_at < {0}.first_seen_at then {0}.first_updated_at else {0}.first_seen_at end",
    "known": "case when {0}.created_at > {first:{0}} then {0}.created_at else {first:{0}} end",
    "change": (
        "task_changes.task_id = tasks._id and task_changes.source_id = tasks.source_id"
        " and task_changes.field = 'status'"
    ),
    "today": "{day:{now} to {0}.source_id}",
    "source_of": "(select name from sources where sources.id = {0}.source_id)",
    # How many seconds east of UTC the source {1} is at the moment {0}.
    "offset": (
        "coalesce((select seconds from source_offsets where source_offsets.source_id = {1}"
        " and starts_at <= {0} order by starts_at desc limit 1), 0)"
    ),
}
# Times and days have the form that the tables have.
_DIALECTS = {
    "postgresql": {
        "now": "cast(now() as timestamp(3) with time zone)",
        "days_ago": "now() - interval '{0} days'",
        "seconds": "cast(extract(epoch from {1} - {0}) as double precision)",
        "day": "cast(({0}) at time zone 'UTC' + make_interval(secs => {offset:{0} to {1}}) as date)",
        "next_day": "{0} + 1",
        "no_text": "cast(null as text)",
        "no_moment": "cast(null as timestamp(3) with time zone)",
    },
    "sqlite": {
        "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        "days_ago": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{0} days')",
        "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
        "day": "date({0}, {offset:{0} to {1}} || ' seconds')",
        "next_day": "date({0}, '+1 day')",
        "no_text": "null",
        "no_moment": "null",
    },
}


def make_views(connection: Connection) -> None:
    """Make all views, on PostgreSQL with comments."""
    dialect = connection.dialect.name
    for view in VIEWS:
        connection.exec_driver_sql(f"create view {view.name} as\n{view_text(view.name, dialect)}")
        if dialect == "postgresql":
            comment = view.comment.replace("'", "''")
            connection.exec_driver_sql(f"comment on view {view.name} is '{comment}'")


def view_text(name: str, dialect: str) -> str:
    """Return a view's SELECT statement for a dialect."""
    folder = files(__package__).joinpath("view_sql")
    own = folder.joinpath(f"{name}.{dialect}.sql")
    return in_dialect((own if own.is_file() else folder.joinpath(f"{name}.sql")).read_text("utf-8"), dialect)


def in_dialect(text: str, dialect: str, more: Mapping[str, str] | None = None) -> str:
    """Return a text with its pieces as a database writes them; ``more`` are pieces besides, or in place of, its own."""
    pieces = _PIECES | _DIALECTS[dialect] | dict(more or {})

    def piece(found: re.Match[str]) -> str:
        arguments = (found[2] or "").split(" to ", 1)
        return re.sub(r"\{([01])\}", lambda place: arguments[int(place[1])], pieces[found[1]])

    while text != (text := re.sub(r"\{([a-z_]+)(?::([^{}]*))?\}", piece, text)):
        pass  # the innermost first
    return text
