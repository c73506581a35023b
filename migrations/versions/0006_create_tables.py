"""Create the tables, and the views over them: the baseline.

The numbers before belong to kore-etl 0.1.0; ``kore-etl db copy`` carries over its databases. ``migrations/views/0006``
has one file for each view, for both databases. Braces in it stand for a piece of ``PIECES``, with arguments after a
colon and "to" between two. One view has its own text for SQLite. Tests compare the result with the models and
etl/load/schema/view_statements.py.
"""

from __future__ import annotations

import re
from pathlib import Path

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = None
branch_labels = None
depends_on = None

FOLDER = Path(__file__).resolve().parent.parent / "views" / revision
TABLES = (
    "sources",
    "source_offsets",
    "request_budgets",
    "agents",
    "cases",
    "daily_counts",
    "priorities",
    "queues",
    "statuses",
    "sync_runs",
    "sync_windows",
    "unknown_keys",
    "users",
    "watermarks",
    "rejected_records",
    "tasks",
    "status_intervals",
    "task_changes",
    "task_channels",
    "task_fields",
    "task_participants",
    "task_progress",
    "task_queues",
    "task_tags",
)
VIEWS = {
    "task_overview": "one row for each task with the names of its status, priority and case; without forgotten tasks",
    "computed_status_intervals": "the status intervals of each task with status changes; stored in status_intervals",
    "computed_task_progress": "response and resolution times of each task with status changes; stored in task_progress",
    "task_status_intervals": "each interval that a task spent in one status",
    "task_cycle_times": "one row for each task: time to first response, time to resolution, and reopenings",
    "open_backlog": "the number of open tasks by status, priority, queue and age",
    "daily_events": "the counts of each task in daily_flow by day; summed up in daily_counts",
    "daily_flow": "one row for each day: tasks created, resolved and reopened, and tasks open at its end",
    "agent_load": "the number of open tasks of each agent",
    "overdue_tasks": "open tasks with a past due date",
    "coverage_gaps": "ranges of time before the watermark that no window covers; normally none",
    "sync_freshness": "one row for each source: watermark, its age, last run, problems, and its latest account",
}

FORGOTTEN = sa.text("forgotten_at is not null")
RESOLVED_ON_SQLITE = "lower(coalesce(category, name, '')) in ('resolved', 'closed', 'completed', 'done')"
RESOLVED_ON_POSTGRESQL = (
    "lower(COALESCE(category, name, ''::text)) ="
    " ANY (ARRAY['resolved'::text, 'closed'::text, 'completed'::text, 'done'::text])"
)
PIECES = {
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
# A moment or a day is given in the form in which the tables hold it.
DIALECTS = {
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


class Timestamp3(sa.types.UserDefinedType[object]):
    """A moment to the millisecond, on PostgreSQL."""

    def get_col_spec(self, **_options: object) -> str:
        """Return the column's type."""
        return "TIMESTAMP(3) WITH TIME ZONE"


def written(text: str, dialect: str) -> str:
    """Return the text with each piece as the database writes it, the innermost first."""
    pieces = PIECES | DIALECTS[dialect]

    def piece(found: re.Match[str]) -> str:
        arguments = (found[2] or "").split(" to ", 1)
        return re.sub(r"\{([01])\}", lambda place: arguments[int(place[1])], pieces[found[1]])

    while text != (text := re.sub(r"\{([a-z_]+)(?::([^{}]*))?\}", piece, text)):
        pass
    return text


def upgrade() -> None:
    """Create them."""
    create_tables()
    dialect = op.get_bind().dialect.name
    for name, comment in VIEWS.items():
        own = FOLDER / f"{name}.{dialect}.sql"
        text = written((own if own.exists() else FOLDER / f"{name}.sql").read_text("utf-8"), dialect)
        op.get_bind().exec_driver_sql(f"create view {name} as\n{text}")
        if dialect == "postgresql":
            quoted = comment.replace("'", "''")
            op.execute(f"comment on view {name} is '{quoted}'")


def create_tables() -> None:
    """Create the tables with their indexes."""
    is_postgresql = op.get_bind().dialect.name == "postgresql"
    moment = Timestamp3() if is_postgresql else sa.DateTime()
    json = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
    row_id = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "sources",
        sa.Column("id", row_id, nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="the name in the settings"),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False, comment="of base_url"),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column(
            "timezone",
            sa.Text(),
            server_default="UTC",
            nullable=False,
            comment="its days are those of this time zone",
        ),
        sa.Column("history_start", moment, comment="the start of history; nothing is older"),
        sa.Column("capabilities", json, comment="the server's capabilities, as the probe found them"),
        sa.Column("probed_at", moment),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("shape", sa.Text(), comment="the rules that made the stored rows; a change rebuilds them"),
        sa.Column("verify_position", moment, comment="where rolling verification goes on; null: at the beginning"),
        sa.Column("verified_until", moment, comment="up to when rolling verification has kept its pace"),
        sa.Column("missing_searched", sa.Integer(), comment="how many missing tasks the last search did not find"),
        sa.Column("missing_searched_at", moment),
        sa.Column(
            "collapse_accepted_at", moment, comment="when a collapsed total was accepted; null once it is confirmed"
        ),
        sa.Column("absent_ids", json, comment="tasks found deleted on the server that are not marked yet"),
        sa.Column(
            "every", sa.Integer(), comment="seconds between the times at which a sync is due; null: sync --due skips it"
        ),
        sa.Column(
            "paused", sa.Boolean(), nullable=False, server_default=sa.false(), comment="whether sync --due skips it"
        ),
        sa.Column("next_due_at", moment, comment="when its next sync is due"),
        sa.PrimaryKeyConstraint("id", name="pk_sources"),
        sa.UniqueConstraint("host", "account_id", "stream_id", name="uq_sources_host_account_id_stream_id"),
        comment="the sources of tasks: a host, an account and a stream each",
    )
    op.create_table(
        "source_offsets",
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("starts_at", moment, nullable=False, comment="from then on"),
        sa.Column("seconds", sa.Integer(), nullable=False, comment="east of UTC"),
        sa.PrimaryKeyConstraint("source_id", "starts_at", name="pk_source_offsets"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_source_offsets_source_id"),
        comment="derived: the offsets from UTC of each source's time zone; none for UTC",
    )
    op.create_table(
        "agents",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), comment="'' if the server cleared it; null if it never told it"),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_agents"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_agents_source_id"),
        comment="the agents that tasks are assigned to, and participants",
    )
    op.create_table(
        "cases",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("ref_id", sa.Text(), comment='the reference for people, such as "CS000108"'),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_cases"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_cases_source_id"),
        comment="the cases of the tasks",
    )
    op.create_index("ix_cases_ref_id", "cases", ["ref_id"], postgresql_using="hash")
    op.create_table(
        "daily_counts",
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False, comment="in the source's time zone"),
        sa.Column("created", sa.Integer(), nullable=False),
        sa.Column("resolved", sa.Integer(), nullable=False),
        sa.Column("reopened", sa.Integer(), nullable=False),
        sa.Column("deleted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("source_id", "stream_id", "day", name="pk_daily_counts"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_daily_counts_source_id"),
        comment="derived: the daily counts of daily_flow",
    )
    op.create_table(
        "priorities",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("color", sa.Text()),
        sa.Column("score", sa.Float()),
        sa.Column("type", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("is_enabled", sa.Boolean()),
        sa.Column("is_active", sa.Boolean()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.Column("raw", json, nullable=False),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_priorities"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_priorities_source_id"),
        comment="the customer's priorities",
    )
    op.create_table(
        "queues",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), comment="'' if the server cleared it; null if it never told it"),
        sa.Column("type", sa.Text(), comment="'' if the server cleared it; null if it never told it"),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_queues"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_queues_source_id"),
        comment="the queues that tasks wait in",
    )
    op.create_table(
        "statuses",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("category", sa.Text(), comment="statusCategory: open, resolved ..."),
        sa.Column(
            "is_resolved",
            sa.Boolean(),
            sa.Computed(RESOLVED_ON_POSTGRESQL if is_postgresql else RESOLVED_ON_SQLITE, persisted=True),
            nullable=False,
            comment="whether a task with it is no longer open: by its category, or by its name if it has no category",
        ),
        sa.Column("type", sa.Text()),
        sa.Column("description", sa.Text()),
        sa.Column("is_enabled", sa.Boolean()),
        sa.Column("is_active", sa.Boolean()),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.Column("raw", json, nullable=False),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_statuses"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_statuses_source_id"),
        comment="the customer's statuses",
    )
    op.create_table(
        "sync_runs",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("command", sa.Text(), nullable=False, comment="sync, backfill ..."),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="running, distributed, finished, failed, interrupted, abandoned"
        ),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("finished_at", moment),
        sa.Column("exit_code", sa.Integer()),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("retries", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "rate_limited",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="answers that refused a request as too many",
        ),
        sa.Column("windows", sa.Integer(), server_default="0", nullable=False, comment="windows read"),
        sa.Column(
            "unverified",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="windows that could not be verified",
        ),
        sa.Column(
            "fetched", sa.Integer(), server_default="0", nullable=False, comment="records read, repeats included"
        ),
        sa.Column("inserted", sa.Integer(), server_default="0", nullable=False),
        sa.Column("updated", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unchanged", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "stale", sa.Integer(), server_default="0", nullable=False, comment="records older than the stored row"
        ),
        sa.Column("rejected", sa.Integer(), server_default="0", nullable=False),
        sa.Column("server_total", sa.Integer(), comment="the account: what the server counts; null if untold"),
        sa.Column("stored_live", sa.Integer(), comment="the account: stored, and not gone from the server"),
        sa.Column("quarantined", sa.Integer(), comment="the account: rejected records that are no task"),
        sa.Column("hidden", sa.Integer(), comment="the account: counted and never shown, as a whole reading found"),
        sa.Column("missing", sa.Integer(), comment="the account: counted, and not found"),
        sa.Column(
            "mended", sa.Integer(), server_default="0", nullable=False, comment="differences that verification mended"
        ),
        sa.Column(
            "runs", sa.Integer(), server_default="1", nullable=False, comment="more than 1: quiet runs of one hour"
        ),
        sa.Column("watermark_before", moment),
        sa.Column("watermark_after", moment),
        sa.Column("version", sa.Text(), nullable=False, comment="of kore-etl"),
        sa.Column("settings", json, nullable=False, comment="the settings of the run, secrets masked"),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_sync_runs"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_sync_runs_source_id"),
        comment="runs of commands on a source; a day later one row for the quiet runs of an hour",
    )
    op.create_index("ix_sync_runs_source_id_started_at", "sync_runs", ["source_id", "started_at"])
    op.create_table(
        "sync_windows",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("run_id", row_id, nullable=False, comment="the run that last worked on the window"),
        sa.Column("job", sa.Text(), nullable=False, comment="the kind of work: first, sync, full, backfill, verify"),
        sa.Column("field", sa.Text(), nullable=False, comment="createdAt or updatedAt"),
        sa.Column("start_at", moment, nullable=False, comment="included"),
        sa.Column("end_at", moment, nullable=False, comment="not included"),
        sa.Column(
            "checkpoint_at", moment, nullable=False, comment="everything from start_at up to this time is committed"
        ),
        sa.Column("strategy", sa.Text(), nullable=False, comment="keyset, newest_first, split_windows"),
        sa.Column("state", sa.Text(), nullable=False, comment="pending, running, verified, unverified, failed"),
        sa.Column("requests", sa.Integer(), server_default="0", nullable=False),
        sa.Column("rows", sa.Integer(), server_default="0", nullable=False, comment="records read, repeats included"),
        sa.Column("reported_total", sa.Integer(), comment="totalResults, if the server gives it"),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default="0",
            nullable=False,
            comment="how often a run began to read the window",
        ),
        sa.Column("opened_at", moment, nullable=False, comment="the server's time when the read began"),
        sa.Column("finished_at", moment),
        sa.Column("error", sa.Text()),
        sa.Column(
            "claimable_at",
            moment,
            comment="when a worker may claim it, or its lease runs out; null: no work for workers",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_sync_windows"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_sync_windows_source_id"),
        comment="windows: the ranges of time that runs read",
    )
    op.create_index("ix_sync_windows_claimable_at", "sync_windows", ["claimable_at"])
    op.create_index("ix_sync_windows_source_id_start_at", "sync_windows", ["source_id", "start_at"])
    op.create_index("ix_sync_windows_source_id_state", "sync_windows", ["source_id", "state"])
    op.create_table(
        "unknown_keys",
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="the key at the top level of the record"),
        sa.Column("example", sa.Text(), comment="the start of its value as JSON"),
        sa.Column("task_id", sa.Text(), nullable=False, comment="the first task with this key"),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("run_id", row_id, nullable=False),
        sa.PrimaryKeyConstraint("source_id", "key", name="pk_unknown_keys"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_unknown_keys_source_id"),
        comment="keys that are neither known keys of the API nor custom fields",
    )
    op.create_table(
        "users",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), comment="'' if the server cleared it; null if it never told it"),
        sa.Column("email", sa.Text(), comment="'' if the server cleared it; null if it never told it"),
        sa.Column("seen_at", moment, comment="updatedAt of the newest task with these values"),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_users"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_users_source_id"),
        comment="the users that tasks are for, and those who created or updated them",
    )
    op.create_table(
        "request_budgets",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("version", row_id, autoincrement=False, nullable=False, comment="rises with each change"),
        sa.Column(
            "usage",
            sa.Text(),
            nullable=False,
            comment="JSON: the requests that count, by the database's clock in seconds",
        ),
        sa.PrimaryKeyConstraint("account_id", name="pk_request_budgets"),
        comment="the request budget of each account; on SQLite a file beside the database has it",
    )
    op.create_table(
        "watermarks",
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("value", moment, nullable=False, comment="all changes up to this time are stored"),
        sa.Column("moved_at", moment, nullable=False),
        sa.Column("run_id", row_id, nullable=False),
        sa.Column("lookback_read_at", moment, comment="when the time before it was last read row by row"),
        sa.Column("complete_to", moment, comment="all changes up to it that the server showed are stored"),
        sa.PrimaryKeyConstraint("source_id", name="pk_watermarks"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_watermarks_source_id"),
        comment="the watermark of each source",
    )
    op.create_table(
        "rejected_records",
        sa.Column("id", row_id, nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="digest of the raw text, unique for a source"),
        sa.Column("record_id", sa.Text(), comment="_id of the record, if it has one"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("times_seen", sa.Integer(), nullable=False),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("last_seen_at", moment, nullable=False),
        sa.Column("first_run_id", row_id, nullable=False),
        sa.Column("last_run_id", row_id, nullable=False),
        sa.Column("window_id", row_id),
        sa.Column("acknowledged_at", moment, comment="when kore-etl rejected acknowledge marked it as known"),
        sa.Column("vanished_at", moment, comment="when a read of all history did not find it any more"),
        sa.PrimaryKeyConstraint("id", name="pk_rejected_records"),
        sa.UniqueConstraint("source_id", "digest", name="uq_rejected_records_source_id_digest"),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_rejected_records_source_id"),
        sa.ForeignKeyConstraint(["window_id"], ["sync_windows.id"], name="fk_rejected_records_window_id"),
        comment="records that could not be stored, with the reason",
    )
    op.create_table(
        "tasks",
        sa.Column("_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("case_id", sa.Text()),
        sa.Column("ref_id", sa.Text(), comment='the reference for people, such as "TS000105"'),
        sa.Column("name", sa.Text(), comment="the task's title"),
        sa.Column("status_id", sa.Text()),
        sa.Column("priority_id", sa.Text()),
        sa.Column("assignee_type", sa.Text(), comment="unassigned, queues or agent"),
        sa.Column("assignee_id", sa.Text()),
        sa.Column("assignee", sa.Text(), comment="the agent's name in this record"),
        sa.Column("queue_id", sa.Text()),
        sa.Column("queue", sa.Text(), comment="the queue's name in this record"),
        sa.Column("conversation_type", sa.Text(), comment="such as TASK"),
        sa.Column("origin", sa.Text(), comment="the API's key source, such as rtm"),
        sa.Column("account_id", sa.Text()),
        sa.Column("org_id", sa.Text()),
        sa.Column("user_id", sa.Text()),
        sa.Column("user_name", sa.Text(), comment="the name in this record"),
        sa.Column("created_by_id", sa.Text()),
        sa.Column("created_by", sa.Text(), comment="the name in this record"),
        sa.Column("updated_by_id", sa.Text()),
        sa.Column("updated_by", sa.Text(), comment="the name in this record"),
        sa.Column("is_active", sa.Boolean(), comment="false: inactive, which counts as deleted"),
        sa.Column("is_breached", sa.Boolean(), comment="isBreached of the API"),
        sa.Column("is_custom", sa.Boolean(), comment="isCustTsk of the API"),
        sa.Column("due_at", moment),
        sa.Column("created_at", moment),
        sa.Column("updated_at", moment),
        sa.Column("raw", json, nullable=False, comment="the whole record as the API sent it"),
        sa.Column("deleted_at", moment, comment="since when it is inactive or gone from the server"),
        sa.Column("gone_at", moment, comment="when a run found that the server no longer has it"),
        sa.Column("first_seen_at", moment, nullable=False, comment="when a sync first stored it"),
        sa.Column(
            "first_updated_at",
            moment,
            comment="updatedAt of the version stored first, not before its creation",
        ),
        sa.Column("stored_at", moment, nullable=False, comment="when this version was stored"),
        sa.Column("run_id", row_id, nullable=False, comment="the run that wrote this version"),
        sa.Column("forgotten_at", moment, comment="when its content was erased on request"),
        sa.PrimaryKeyConstraint("_id", "source_id", name="pk_tasks"),
        sa.ForeignKeyConstraint(["case_id", "source_id"], ["cases._id", "cases.source_id"], name="fk_tasks_case_id"),
        sa.ForeignKeyConstraint(
            ["status_id", "source_id"], ["statuses._id", "statuses.source_id"], name="fk_tasks_status_id"
        ),
        sa.ForeignKeyConstraint(
            ["priority_id", "source_id"], ["priorities._id", "priorities.source_id"], name="fk_tasks_priority_id"
        ),
        sa.ForeignKeyConstraint(
            ["assignee_id", "source_id"], ["agents._id", "agents.source_id"], name="fk_tasks_assignee_id"
        ),
        sa.ForeignKeyConstraint(
            ["queue_id", "source_id"], ["queues._id", "queues.source_id"], name="fk_tasks_queue_id"
        ),
        sa.ForeignKeyConstraint(["user_id", "source_id"], ["users._id", "users.source_id"], name="fk_tasks_user_id"),
        sa.ForeignKeyConstraint(
            ["created_by_id", "source_id"], ["users._id", "users.source_id"], name="fk_tasks_created_by_id"
        ),
        sa.ForeignKeyConstraint(
            ["updated_by_id", "source_id"], ["users._id", "users.source_id"], name="fk_tasks_updated_by_id"
        ),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name="fk_tasks_source_id"),
        comment="tasks, each in its newest version",
    )
    op.create_index("ix_tasks_case_id", "tasks", ["case_id"])
    op.create_index("ix_tasks_created_at", "tasks", ["created_at", "source_id", "gone_at"])
    op.create_index(
        "ix_tasks_dates",
        "tasks",
        [
            "_id",
            "source_id",
            "stream_id",
            "status_id",
            "created_at",
            "first_seen_at",
            "first_updated_at",
            "deleted_at",
            "forgotten_at",
            "queue_id",
            "priority_id",
            "assignee_id",
            "due_at",
        ],
    )
    op.create_index(
        "ix_tasks_forgotten_at", "tasks", ["forgotten_at"], sqlite_where=FORGOTTEN, postgresql_where=FORGOTTEN
    )
    op.create_index("ix_tasks_overdue", "tasks", ["due_at", "source_id", "status_id", "deleted_at", "forgotten_at"])
    op.create_index("ix_tasks_priority_id", "tasks", ["priority_id"])
    op.create_index("ix_tasks_ref_id", "tasks", ["ref_id"], postgresql_using="hash")
    op.create_index("ix_tasks_source_id", "tasks", ["source_id", "gone_at", "deleted_at", "forgotten_at"])
    op.create_index(
        "ix_tasks_state",
        "tasks",
        [
            "stream_id",
            "source_id",
            "status_id",
            "priority_id",
            "queue_id",
            "assignee_id",
            "created_at",
            "due_at",
            "deleted_at",
            "forgotten_at",
        ],
    )
    op.create_index("ix_tasks_status_id", "tasks", ["status_id"])
    op.create_index("ix_tasks_updated_at", "tasks", ["updated_at", "source_id", "gone_at", "created_at"])
    op.create_table(
        "status_intervals",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="the interval's number, from 1"
        ),
        sa.Column("status_id", sa.Text()),
        sa.Column("value", sa.Text(), comment="the status name at that time"),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("ended_at", moment, comment="null for the current interval"),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_status_intervals"),
        comment="derived: the status intervals of each task with status changes, for task_status_intervals",
    )
    op.create_table(
        "task_changes",
        sa.Column("id", row_id, nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, nullable=False),
        sa.Column(
            "field",
            sa.Text(),
            nullable=False,
            comment="status, priority, assignee, queue, name, due date, breached, tag, channel, custom field, deletion"
            " or return",
        ),
        sa.Column("field_key", sa.Text(), comment="the key of a custom field, as in task_fields"),
        sa.Column("old_id", sa.Text(), comment="id of the old status, priority, assignee or queue"),
        sa.Column("new_id", sa.Text(), comment="id of the new one"),
        sa.Column("old_value", sa.Text(), comment="name of the old one at that time, or the old value as text"),
        sa.Column("new_value", sa.Text(), comment="name of the new one at that time, or the new value as text"),
        sa.Column(
            "changed_at",
            moment,
            comment="updatedAt of the version with the change, at most seen_at; null if it is not newer",
        ),
        sa.Column("seen_at", moment, nullable=False, comment="when a run first read that version"),
        sa.Column("run_id", row_id, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_task_changes"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_changes_task_id"
        ),
        comment="changes of a task between two stored versions",
    )
    op.create_index(
        "ix_task_changes_field",
        "task_changes",
        ["field", "task_id", "source_id", "changed_at", "seen_at", "old_id", "new_id"],
    )
    op.create_index("ix_task_changes_task_id", "task_changes", ["task_id", "source_id", "changed_at"])
    op.create_table(
        "task_channels",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("channel", sa.Text()),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_task_channels"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_channels_task_id"
        ),
        comment="the channels of each task",
    )
    op.create_table(
        "task_fields",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("field_id", sa.Text(), comment="_id of the field, if the record gives one"),
        sa.Column("key", sa.Text(), comment="the field's key in the record"),
        sa.Column("name", sa.Text(), comment="the field's label"),
        sa.Column("data_type", sa.Text()),
        sa.Column("text", sa.Text()),
        sa.Column("number", sa.Float(), comment="the value, if it is a number"),
        sa.Column("time", moment, comment="the value, if it is a date or time"),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_task_fields"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_fields_task_id"
        ),
        comment="the custom and system fields of each task that have a value",
    )
    op.create_table(
        "task_participants",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("agent_id", sa.Text()),
        sa.Column("name", sa.Text(), comment="the name in the task's record"),
        sa.Column("status", sa.Text()),
        sa.Column("assigned_at", moment),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_task_participants"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_participants_task_id"
        ),
        sa.ForeignKeyConstraint(
            ["agent_id", "source_id"], ["agents._id", "agents.source_id"], name="fk_task_participants_agent_id"
        ),
        comment="the participants of each task",
    )
    op.create_index("ix_task_participants_agent_id", "task_participants", ["agent_id"])
    op.create_table(
        "task_progress",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "first_response_at",
            moment,
            comment="first change of status away from open or new; no reply: the API shows none",
        ),
        sa.Column("first_resolved_at", moment),
        sa.Column("last_resolved_at", moment),
        sa.Column("reopened", sa.Integer(), nullable=False, comment="number of reopenings"),
        sa.PrimaryKeyConstraint("task_id", "source_id", name="pk_task_progress"),
        comment="derived: response and resolution times of each task with status changes, for task_cycle_times",
    )
    op.create_table(
        "task_queues",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("queue_id", sa.Text()),
        sa.Column("status", sa.Text()),
        sa.Column("started_at", moment),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_task_queues"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_queues_task_id"
        ),
        sa.ForeignKeyConstraint(
            ["queue_id", "source_id"], ["queues._id", "queues.source_id"], name="fk_task_queues_queue_id"
        ),
        comment="the queues of each task",
    )
    op.create_index("ix_task_queues_queue_id", "task_queues", ["queue_id"])
    op.create_table(
        "task_tags",
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("source_id", row_id, autoincrement=False, nullable=False),
        sa.Column(
            "position", sa.Integer(), autoincrement=False, nullable=False, comment="its place in the list, from 0"
        ),
        sa.Column("tag", sa.Text()),
        sa.PrimaryKeyConstraint("task_id", "source_id", "position", name="pk_task_tags"),
        sa.ForeignKeyConstraint(
            ["task_id", "source_id"], ["tasks._id", "tasks.source_id"], name="fk_task_tags_task_id"
        ),
        comment="the tags of each task",
    )


def downgrade() -> None:
    """Drop them, with all that they hold."""
    for view in reversed(VIEWS):
        op.execute(f"drop view {view}")
    for table in reversed(TABLES):
        op.drop_table(table)
