"""Create the views for the usual questions, and the indexes that make them quick.

Their text is in ``migrations/views/0003``, one file a view and one text for both databases: what stands there in
braces is a piece that is written as in ``PIECES``, its arguments after the colon, with "to" between two. One view has a
text of its own for SQLite, which takes four times as long for the other, as PostgreSQL does for that. The comments are
those of etl/load/views.py; a test compares them.

SQLite refuses to make a table anew while a view reads it. A later migration that does so drops the views first, in the
order of ``reversed(COMMENTS)``, and makes them again afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

FOLDER = Path(__file__).resolve().parent.parent / "views" / revision

# A status without a category, as the API gives it as a bare text, is judged by its name.
_CATEGORY = "lower(coalesce({0}.category, {0}.name, ''))"
_RESOLVED = _CATEGORY + " in ('resolved', 'closed', 'completed', 'done')"
PIECES = {
    "resolved": f"({_RESOLVED})",
    "new": f"({_CATEGORY} in ('open', 'new'))",
    "unresolved": "({0}.status_id is null or {0}.status_id not in ({done}))",
    "done": "select _id from statuses where {resolved:statuses}",
    "at": "coalesce({0}.changed_at, {0}.seen_at)",
    "today": "{day:{now}}",
}
# A moment or a day is given in the form in which the tables hold it.
DIALECTS = {
    "postgresql": {
        "now": "cast(now() as timestamp(3) with time zone)",
        "days_ago": "now() - interval '{0} days'",
        "seconds": "cast(extract(epoch from {1} - {0}) as double precision)",
        "day": "cast({0} at time zone 'UTC' as date)",
        "next_day": "{0} + 1",
        "no_text": "cast(null as text)",
        "no_moment": "cast(null as timestamp(3) with time zone)",
    },
    "sqlite": {
        "now": "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        "days_ago": "strftime('%Y-%m-%d %H:%M:%f', 'now', '-{0} days')",
        "seconds": "round((julianday({1}) - julianday({0})) * 86400.0, 3)",
        "day": "substr({0}, 1, 10)",
        "next_day": "date({0}, '+1 day')",
        "no_text": "null",
        "no_moment": "null",
    },
}

COMMENTS = {
    "task_overview": "one row a task with the names of its status, priority and case; what is forgotten is left out",
    "task_status_intervals": "each stretch of time that a task was in one status",
    "task_cycle_times": "one row a task: how long until the first response and until it was resolved, and reopenings",
    "open_backlog": "how many tasks are open now, by status, priority, queue and age",
    "daily_flow": "one row a day: how many tasks were created, resolved and reopened, and were open at its end",
    "agent_load": "how many open tasks each agent has now",
    "overdue_tasks": "the open tasks whose due date is past",
    "sync_freshness": "one row a source: how far it is complete, how old that is, and what is amiss",
}

# Of columns whose names do not say it all; before, none of them had any.
COLUMN_COMMENTS = {
    "tasks": {
        "name": "what it is about",
        "assignee": "the agent's name, as this record says it",
        "queue": "the queue's name, as this record says it",
        "conversation_type": "such as TASK",
        "user_name": "as this record says it",
        "created_by": "the name, as this record says it",
        "updated_by": "the name, as this record says it",
        "is_active": "false: deactivated, which counts as deleted",
        "is_breached": "isBreached, as the API tells it",
        "is_custom": "isCustTsk, as the API tells it",
        "first_seen_at": "when a sync first stored it",
    },
    "task_changes": {
        "old_id": "of the status, priority, assignee or queue before",
        "new_id": "of the one after",
        "old_value": "its name at that time, or the value before as text",
        "new_value": "its name at that time, or the value after as text",
        "seen_at": "when a sync met that version",
    },
    "sync_runs": {
        "rate_limited": "answers that told to slow down",
        "windows": "stretches of time that were read",
        "unverified": "of them, those read without certainty",
    },
    "sync_windows": {
        "rows": "records read, repeats included",
        "attempts": "how often its reading was begun",
    },
}
FIELD = "status, priority, assignee, queue, name or due date"

# The views that count open tasks read these instead of whole rows, and the others no more than they need of a task.
LIVE = sa.text("deleted_at is null and forgotten_at is null")
INDEXES: dict[str, tuple[str, list[str], sa.TextClause | None]] = {
    "ix_tasks_open": (
        "tasks",
        ["stream_id", "status_id", "priority_id", "queue_id", "created_at", "due_at"],
        LIVE,
    ),
    "ix_tasks_load": ("tasks", ["stream_id", "assignee_id", "status_id", "created_at", "due_at"], LIVE),
    "ix_tasks_overdue": ("tasks", ["due_at", "status_id"], LIVE),
    "ix_tasks_source_id": ("tasks", ["source_id", "deleted_at", "forgotten_at"], None),
    "ix_tasks_course": (
        "tasks",
        ["_id", "stream_id", "status_id", "created_at", "first_seen_at", "updated_at", "deleted_at", "forgotten_at"],
        None,
    ),
    "ix_task_changes_field": (
        "task_changes",
        ["field", "task_id", "changed_at", "seen_at", "old_id", "new_id"],
        None,
    ),
}

# As 0002 leaves it.
TASK_OVERVIEW = """
create view task_overview as
select
    tasks._id,
    tasks.ref_id,
    tasks.case_id,
    cases.ref_id as case_ref_id,
    tasks.name,
    statuses.name as status,
    statuses.category as status_category,
    priorities.name as priority,
    tasks.assignee,
    tasks.queue,
    tasks.created_at,
    tasks.updated_at,
    tasks.due_at,
    tasks.deleted_at,
    tasks.stream_id
from tasks
left join cases on cases._id = tasks.case_id
left join statuses on statuses._id = tasks.status_id
left join priorities on priorities._id = tasks.priority_id
"""
COVERAGE_GAPS = "the stretches of time before the watermark that no run has read; none after a run without trouble"


def written(text: str, dialect: str) -> str:
    """Return the text with each piece as the database writes it, the innermost first."""
    pieces = PIECES | DIALECTS[dialect]

    def piece(found: re.Match[str]) -> str:
        arguments = (found[2] or "").split(" to ", 1)
        return re.sub(r"\{([01])\}", lambda place: arguments[int(place[1])], pieces[found[1]])

    while text != (text := re.sub(r"\{([a-z_]+)(?::([^{}]*))?\}", piece, text)):
        pass
    return text


def comment_columns(comments: Mapping[str, Mapping[str, str | None]]) -> None:
    """Comment on columns of tables, or take comments away; SQLite knows none."""
    for table, columns in comments.items():
        for column, comment in columns.items():
            op.execute(f"comment on column {table}.{column} is " + ("null" if comment is None else _quoted(comment)))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def upgrade() -> None:
    """Create them."""
    for name, (table, columns, where) in INDEXES.items():
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    dialect = op.get_bind().dialect.name
    op.execute("drop view task_overview")
    for name in COMMENTS:
        own = FOLDER / f"{name}.{dialect}.sql"
        text = written((own if own.exists() else FOLDER / f"{name}.sql").read_text("utf-8"), dialect)
        op.get_bind().exec_driver_sql(
            f"create view {name} as\n{text}".replace("%", "%%" if dialect != "sqlite" else "%")
        )
    if dialect == "postgresql":
        for name, comment in {**COMMENTS, "coverage_gaps": COVERAGE_GAPS}.items():
            op.execute(f"comment on view {name} is {_quoted(comment)}")
        comment_columns(COLUMN_COMMENTS)
        comment_columns({"task_changes": {"field": FIELD.replace(" or due date", ", due date, deletion, return")}})


def downgrade() -> None:
    """Leave task_overview as it was, and none of the others."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute("comment on view coverage_gaps is null")
        comment_columns({table: dict.fromkeys(columns) for table, columns in COLUMN_COMMENTS.items()})
        comment_columns({"task_changes": {"field": FIELD}})
    for name in reversed(COMMENTS):
        op.execute(f"drop view {name}")
    op.execute(TASK_OVERVIEW)
    for name, (table, _columns, _where) in reversed(INDEXES.items()):
        op.drop_index(name, table)
