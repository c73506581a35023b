"""Create the tables, and the views over them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = (
    "sources",
    "cases",
    "priorities",
    "statuses",
    "sync_runs",
    "sync_windows",
    "tasks",
    "watermarks",
    "rejected_records",
    "task_changes",
    "agents",
    "queues",
    "users",
    "task_queues",
    "task_participants",
    "task_tags",
    "task_channels",
    "task_fields",
)

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

# The watermark is a point where the last gap may end, the beginning of history one where the first may start.
COVERAGE_GAPS = """
create view coverage_gaps as
with points as (
    select sync_windows.source_id, sync_windows.start_at as starts, sync_windows.covered_until as ends
    from sync_windows
    join watermarks on watermarks.source_id = sync_windows.source_id
    where sync_windows.covered_until > sync_windows.start_at and sync_windows.start_at < watermarks.value
    and sync_windows.job <> 'left'
    union all
    select sources.id, sources.history_start, sources.history_start
    from sources
    where sources.history_start is not null
    union all
    select watermarks.source_id, watermarks.value, watermarks.value
    from watermarks
),
reached as (
    select
        source_id,
        max(ends) over (partition by source_id order by starts, ends rows unbounded preceding) as gap_start,
        lead(starts) over (partition by source_id order by starts, ends) as gap_end
    from points
)
select source_id, gap_start, gap_end
from reached
where gap_end > gap_start
"""


class Timestamp3(sa.types.UserDefinedType[object]):
    """A moment to the millisecond, on PostgreSQL."""

    def get_col_spec(self, **_options: object) -> str:
        """Return the column's type."""
        return "TIMESTAMP(3) WITH TIME ZONE"


def upgrade() -> None:
    """Create them."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    moment = Timestamp3() if is_postgresql else sa.DateTime()
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "sources",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="the name in the settings"),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("history_start", moment, comment="the beginning of history: nothing is older"),
        sa.Column("capabilities", json, comment="what the probe found out of this server"),
        sa.Column("probed_at", moment),
        sa.Column("created_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sources")),
        sa.UniqueConstraint("account_id", "stream_id", name=op.f("uq_sources_account_id_stream_id")),
        comment="a stream of tasks that is synced",
    )
    op.create_table(
        "cases",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("ref_id", sa.Text(), comment='as people say it, such as "CS000108"'),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_cases_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_cases")),
        comment="the cases that tasks belong to",
    )
    op.create_index(op.f("ix_cases_ref_id"), "cases", ["ref_id"], postgresql_using="hash")

    op.create_table(
        "priorities",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("color", sa.Text()),
        sa.Column("score", sa.Float()),
        sa.Column("type", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("is_enabled", sa.Boolean()),
        sa.Column("is_active", sa.Boolean()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.Column("raw", json, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_priorities_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_priorities")),
        comment="the customer's priorities",
    )
    op.create_table(
        "statuses",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("category", sa.Text(), comment="statusCategory: open, resolved ..."),
        sa.Column("type", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("is_enabled", sa.Boolean()),
        sa.Column("is_active", sa.Boolean()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.Column("raw", json, nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_statuses_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_statuses")),
        comment="the customer's statuses",
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("command", sa.Text(), nullable=False, comment="sync, backfill ..."),
        sa.Column("state", sa.Text(), nullable=False, comment="running, finished, failed, interrupted, abandoned"),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rate_limited", sa.Integer(), server_default="0", nullable=False),
        sa.Column("windows", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unverified", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "fetched", sa.Integer(), server_default="0", nullable=False, comment="records read, repeats included"
        ),
        sa.Column("inserted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stale", sa.Integer(), server_default="0", nullable=False, comment="older than the row that is kept"),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("watermark_before", moment),
        sa.Column("watermark_after", moment),
        sa.Column("version", sa.Text(), nullable=False, comment="of kore-etl"),
        sa.Column("settings", json, nullable=False, comment="in force, secrets masked"),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_sync_runs_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_runs")),
        comment="one row a run of a command on a source",
    )
    op.create_index(op.f("ix_sync_runs_source_id_started_at"), "sync_runs", ["source_id", "started_at"])

    op.create_table(
        "sync_windows",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("run_id", row_id, nullable=False, comment="the run that worked on it last"),
        sa.Column("job", sa.Text(), nullable=False, comment="what asked for it: first, sync, full, backfill, sweep"),
        sa.Column("field", sa.Text(), nullable=False, comment="createdAt or updatedAt"),
        sa.Column("start_at", moment, nullable=False, comment="included"),
        sa.Column("end_at", moment, nullable=False, comment="not included"),
        sa.Column("covered_until", moment, nullable=False, comment="committed from start_at up to here"),
        sa.Column("reading", sa.Text(), nullable=False, comment="keyset, newest, verified"),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, running, verified, unverified, failed"),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows", sa.Integer(), server_default="0", nullable=False),
        sa.Column("reported_total", sa.Integer(), comment="totalResults, where the server tells it"),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("opened_at", moment, nullable=False, comment="the server's time when its reading began"),
        sa.Column("finished_at", moment),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_sync_windows_run_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_sync_windows_source_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sync_windows")),
        comment="the ledger of stretches of time that were read",
    )
    op.create_index(op.f("ix_sync_windows_source_id_start_at"), "sync_windows", ["source_id", "start_at"])
    op.create_index(op.f("ix_sync_windows_source_id_state"), "sync_windows", ["source_id", "state"])

    op.create_table(
        "tasks",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text()),
        sa.Column("ref_id", sa.Text(), comment='as people say it, such as "TS000105"'),
        sa.Column("name", sa.Text()),
        sa.Column("status_id", sa.Text()),
        sa.Column("priority_id", sa.Text()),
        sa.Column("assignee_type", sa.Text(), comment="unassigned, queues or agent"),
        sa.Column("assignee_id", sa.Text()),
        sa.Column("assignee", sa.Text()),
        sa.Column("queue_id", sa.Text()),
        sa.Column("queue", sa.Text()),
        sa.Column("conversation_type", sa.Text()),
        sa.Column("origin", sa.Text(), comment="the API's key source, such as rtm"),
        sa.Column("account_id", sa.Text()),
        sa.Column("org_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("user_name", sa.Text()),
        sa.Column("created_by_id", sa.Text()),
        sa.Column("created_by", sa.Text()),
        sa.Column("updated_by_id", sa.Text()),
        sa.Column("updated_by", sa.Text()),
        sa.Column("is_active", sa.Boolean()),
        sa.Column("is_breached", sa.Boolean()),
        sa.Column("is_custom", sa.Boolean()),
        sa.Column("due_at", moment),
        sa.Column("created_at", moment),
        sa.Column("updated_at", moment),
        sa.Column("raw", json, nullable=False, comment="the whole record as the API gave it"),
        sa.Column("deleted_at", moment, comment="when it was found gone from the server"),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("stored_at", moment, nullable=False, comment="when this version was written here"),
        sa.Column("run_id", row_id, nullable=False, comment="the run that wrote this version"),
        sa.ForeignKeyConstraint(["case_id"], ["cases._id"], name=op.f("fk_tasks_case_id")),
        sa.ForeignKeyConstraint(["priority_id"], ["priorities._id"], name=op.f("fk_tasks_priority_id")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_tasks_run_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_tasks_source_id")),
        sa.ForeignKeyConstraint(["status_id"], ["statuses._id"], name=op.f("fk_tasks_status_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_tasks")),
        comment="one row a task, its newest version",
    )
    op.create_index(op.f("ix_tasks_case_id"), "tasks", ["case_id"])
    op.create_index(op.f("ix_tasks_created_at"), "tasks", ["created_at"])
    op.create_index(op.f("ix_tasks_due_at"), "tasks", ["due_at"])
    op.create_index(op.f("ix_tasks_priority_id"), "tasks", ["priority_id"])
    op.create_index(op.f("ix_tasks_ref_id"), "tasks", ["ref_id"], postgresql_using="hash")
    op.create_index(op.f("ix_tasks_status_id"), "tasks", ["status_id"])
    op.create_index(op.f("ix_tasks_updated_at"), "tasks", ["updated_at"])

    op.create_table(
        "watermarks",
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("value", moment, nullable=False, comment="all changes up to here are stored"),
        sa.Column("moved_at", moment, nullable=False),
        sa.Column("run_id", row_id, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_watermarks_run_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_watermarks_source_id")),
        sa.PrimaryKeyConstraint("source_id", name=op.f("pk_watermarks")),
        comment="how far a source is covered",
    )
    op.create_table(
        "rejected_records",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the raw text: kept once by content"),
        sa.Column("record_id", sa.Text(), comment="its _id, where it has one"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("times_seen", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False),
        sa.Column("first_run_id", row_id, nullable=False),
        sa.Column("last_run_id", row_id, nullable=False),
        sa.Column("window_id", row_id),
        sa.ForeignKeyConstraint(["first_run_id"], ["sync_runs.id"], name=op.f("fk_rejected_records_first_run_id")),
        sa.ForeignKeyConstraint(["last_run_id"], ["sync_runs.id"], name=op.f("fk_rejected_records_last_run_id")),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_rejected_records_source_id")),
        sa.ForeignKeyConstraint(["window_id"], ["sync_windows.id"], name=op.f("fk_rejected_records_window_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejected_records")),
        sa.UniqueConstraint("source_id", "digest", name=op.f("uq_rejected_records_source_id_digest")),
        comment="records that could not be stored, with the reason",
    )
    op.create_table(
        "task_changes",
        sa.Column("id", row_id, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False, comment="status, priority, assignee, queue, name or due date"),
        sa.Column("old_id", sa.Text()),
        sa.Column("new_id", sa.Text()),
        sa.Column("old_value", sa.Text()),
        sa.Column("new_value", sa.Text()),
        sa.Column("changed_at", moment, comment="updatedAt of the version that shows it"),
        sa.Column("seen_at", moment, nullable=False),
        sa.Column("run_id", row_id, nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_task_changes_run_id")),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_changes_task_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_task_changes")),
        comment="what changed on a task between two versions that were seen",
    )
    op.create_index(op.f("ix_task_changes_task_id_changed_at"), "task_changes", ["task_id", "changed_at"])
    op.create_table(
        "agents",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_agents_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_agents")),
        comment="the agents that tasks are assigned to or that take part",
    )
    op.create_table(
        "queues",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_queues_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_queues")),
        comment="the queues that tasks wait in",
    )
    op.create_table(
        "users",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("email", sa.Text()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task that showed it so"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_users_source_id")),
        sa.PrimaryKeyConstraint("_id", name=op.f("pk_users")),
        comment="the people that tasks are for, and who made or changed them",
    )
    op.create_table(
        "task_queues",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("queue_id", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("started_at", moment),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_queues_task_id")),
        sa.ForeignKeyConstraint(["queue_id"], ["queues._id"], name=op.f("fk_task_queues_queue_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_queues")),
        comment="the queues of each task",
    )
    op.create_index(op.f("ix_task_queues_queue_id"), "task_queues", ["queue_id"])
    op.create_table(
        "task_participants",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("agent_id", sa.Text()),
        sa.Column("name", sa.Text(), comment="as the task's record says it"),
        sa.Column("status", sa.Text()),
        sa.Column("assigned_at", moment),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_participants_task_id")),
        sa.ForeignKeyConstraint(["agent_id"], ["agents._id"], name=op.f("fk_task_participants_agent_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_participants")),
        comment="the agents that take part in each task",
    )
    op.create_index(op.f("ix_task_participants_agent_id"), "task_participants", ["agent_id"])
    op.create_table(
        "task_tags",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("tag", sa.Text()),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_tags_task_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_tags")),
        comment="the tags of each task",
    )
    op.create_index(op.f("ix_task_tags_tag"), "task_tags", ["tag"])
    op.create_table(
        "task_channels",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("channel", sa.Text()),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_channels_task_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_channels")),
        comment="the channels of each task",
    )
    op.create_index(op.f("ix_task_channels_channel"), "task_channels", ["channel"])
    op.create_table(
        "task_fields",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("field_id", sa.Text(), comment="its _id, where the record gives one"),
        sa.Column("key", sa.Text(), comment="the field's name, as in the record"),
        sa.Column("name", sa.Text(), comment="the field's name, as people see it"),
        sa.Column("data_type", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("number", sa.Float(), comment="the value, where it is a number"),
        sa.Column("time", moment, comment="the value, where it is a date or time"),
        sa.ForeignKeyConstraint(["task_id"], ["tasks._id"], name=op.f("fk_task_fields_task_id")),
        sa.PrimaryKeyConstraint("task_id", "position", name=op.f("pk_task_fields")),
        comment="the custom and system fields of each task that have a value",
    )
    op.create_index(op.f("ix_task_fields_key"), "task_fields", ["key"])

    op.execute(TASK_OVERVIEW)
    op.execute(COVERAGE_GAPS)


def downgrade() -> None:
    """Drop them, with all that they hold."""
    op.execute("drop view coverage_gaps")
    op.execute("drop view task_overview")
    for table in reversed(TABLES):
        op.drop_table(table)
