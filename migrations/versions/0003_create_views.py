"""Create the views for the usual questions, and the indexes that make them quick.

Their text is in ``migrations/views/0003``, one file a view and one text for both databases: what stands there in
braces is a piece that is written as in ``PIECES``, its arguments after the colon, with "to" between two. One view has a
text of its own for SQLite, which looks up there only the names that a query asks for. The comments are
those of etl/load/schema/views.py; a test compares them.

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
    "step": (
        "(case when coalesce({0}.new_id, '') in ({done}) then 1 else 0 end"
        " - case when coalesce({0}.old_id, '') in ({done}) then 1 else 0 end)"
    ),
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
    "status_history": "the stretches of time in a status of each task that changed it; kept in status_stretches",
    "status_course": "what the changes of its status say of each task that has some; kept in task_progress",
    "task_status_intervals": "each stretch of time that a task was in one status",
    "task_cycle_times": "one row a task: how long until the first response and until it was resolved, and reopenings",
    "open_backlog": "how many tasks are open now, by status, priority, queue and age",
    "daily_events": "what each task counts for in daily_flow, and on which day; summed up in daily_counts",
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

# The views that count tasks read the first of these instead of whole rows, and those of single tasks the others.
INDEXES: dict[str, tuple[str, list[str]]] = {
    "ix_tasks_state": (
        "tasks",
        [
            *("stream_id", "status_id", "priority_id", "queue_id", "assignee_id"),
            *("created_at", "due_at", "deleted_at", "forgotten_at"),
        ],
    ),
    "ix_tasks_overdue": ("tasks", ["due_at", "status_id", "deleted_at", "forgotten_at"]),
    "ix_tasks_source_id": ("tasks", ["source_id", "deleted_at", "forgotten_at"]),
    "ix_tasks_course": (
        "tasks",
        ["_id", "stream_id", "status_id", "created_at", "first_seen_at", "updated_at", "deleted_at", "forgotten_at"],
    ),
    "ix_task_changes_field": (
        "task_changes",
        ["field", "task_id", "changed_at", "seen_at", "old_id", "new_id"],
    ),
}


class Timestamp3(sa.types.UserDefinedType[object]):
    """A moment to the millisecond, on PostgreSQL."""

    def get_col_spec(self, **_options: object) -> str:
        """Return the column's type."""
        return "TIMESTAMP(3) WITH TIME ZONE"


COUNTS = ("created", "resolved", "reopened", "deleted")
FIRST_FILL = """
insert into status_stretches (task_id, position, status_id, value, started_at, ended_at)
select task_id, position, status_id, value, started_at, ended_at from status_history;
insert into task_progress (task_id, first_response_at, first_resolved_at, last_resolved_at, reopened)
select task_id, first_response_at, first_resolved_at, last_resolved_at, reopened from status_course;
insert into daily_counts (stream_id, day, created, resolved, reopened, deleted)
select stream_id, day, sum(created), sum(resolved), sum(reopened), sum(deleted) from daily_events
group by stream_id, day
"""

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
    for name, (table, columns) in INDEXES.items():
        op.create_index(name, table, columns)
    op.drop_index("ix_tasks_due_at", "tasks")  # the one for what is overdue begins alike
    dialect = op.get_bind().dialect.name
    counts = [sa.Column(name, sa.Integer(), nullable=False) for name in COUNTS]
    moment = Timestamp3() if dialect == "postgresql" else sa.DateTime()
    op.create_table(
        "status_stretches",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False, comment="in their order, from 1"),
        sa.Column("status_id", sa.Text()),
        sa.Column("value", sa.Text(), comment="its name at that time"),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("ended_at", moment, comment="null for the one that lasts"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_status_stretches_task_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_status_stretches")),
        comment="the stretches of time in a status of each task that changed it, for task_status_intervals",
    )
    op.create_table(
        "task_progress",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("first_response_at", moment),
        sa.Column("first_resolved_at", moment),
        sa.Column("last_resolved_at", moment),
        sa.Column("reopened", sa.Integer(), nullable=False, comment="how often"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_progress_task_id")),
        sa.PrimaryKeyConstraint("task_id", name=op.f("pk_task_progress")),
        comment="what the changes of its status say of each task that has some, for task_cycle_times",
    )
    op.create_table(
        "daily_counts",
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="in UTC"),
        *counts,
        sa.PrimaryKeyConstraint("stream_id", "day", name=op.f("pk_daily_counts")),
        comment="what daily_flow shows, kept up to date as tasks are written",
    )
    op.execute("drop view task_overview")
    for name in COMMENTS:
        own = FOLDER / f"{name}.{dialect}.sql"
        text = written((own if own.exists() else FOLDER / f"{name}.sql").read_text("utf-8"), dialect)
        op.get_bind().exec_driver_sql(
            f"create view {name} as\n{text}".replace("%", "%%" if dialect != "sqlite" else "%")
        )
    for statement in FIRST_FILL.split(";"):
        op.execute(statement)
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
    for table in ("daily_counts", "task_progress", "status_stretches"):
        op.drop_table(table)
    for name, (table, _columns) in reversed(INDEXES.items()):
        op.drop_index(name, table)
    op.create_index("ix_tasks_due_at", "tasks", ["due_at"])
