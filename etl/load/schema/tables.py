"""The tables, their columns and keys: what an analyst may rely on.

Tables that mirror the API have the key (``_id``, ``source_id``), because two sources may give the same ids. With the
source first, SQLite would scan the table for an ``_id`` alone, and use the key for ranges of time. ``run_id`` is no
foreign key: prune deletes old runs, and their rows stay. Timestamps are UTC, to the millisecond. Constraint names
follow one convention, so migrations can name constraints on both databases.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    event,
)

from etl.load.database.dialect_options import ANY_LENGTH, IS_FORGOTTEN, set_index_options
from etl.load.database.json_text import JsonText
from etl.load.database.types import Moment

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Json = JsonText()
RowId = BigInteger().with_variant(Integer(), "sqlite")

event.listen(metadata, "before_create", set_index_options)


def key() -> tuple[Column[str], Column[int]]:
    """Return the key columns of a table that mirrors the API."""
    source_id: Column[int] = Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False)
    return Column("_id", Text, primary_key=True), source_id


def reference(column: str, table: str) -> ForeignKeyConstraint:
    """Return a foreign key to a row of the same source."""
    return ForeignKeyConstraint([column, "source_id"], [f"{table}._id", f"{table}.source_id"])


sources = Table(
    "sources",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("name", Text, nullable=False, comment="the name in the settings"),
    Column("base_url", Text, nullable=False),
    Column("host", Text, nullable=False, comment="of base_url"),
    Column("account_id", Text, nullable=False),
    Column("stream_id", Text, nullable=False),
    Column("history_start", Moment, comment="the start of history; nothing is older"),
    Column("capabilities", Json, comment="the server's capabilities, as the probe found them"),
    Column("probed_at", Moment),
    Column("created_at", Moment, nullable=False),
    Column("shape", Text, comment="the rules that made the stored rows; a change rebuilds them"),
    UniqueConstraint("host", "account_id", "stream_id"),
    comment="the sources of tasks: a host, an account and a stream each",
)

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("command", Text, nullable=False, comment="sync, backfill ..."),
    Column("state", Text, nullable=False, comment="running, finished, failed, interrupted, abandoned"),
    Column("started_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("exit_code", Integer),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("retries", Integer, nullable=False, server_default="0"),
    Column(
        "rate_limited",
        Integer,
        nullable=False,
        server_default="0",
        comment="answers that refused a request as too many",
    ),
    Column("windows", Integer, nullable=False, server_default="0", comment="windows read"),
    Column("unverified", Integer, nullable=False, server_default="0", comment="windows that could not be verified"),
    Column("fetched", Integer, nullable=False, server_default="0", comment="records read, repeats included"),
    Column("inserted", Integer, nullable=False, server_default="0"),
    Column("updated", Integer, nullable=False, server_default="0"),
    Column("unchanged", Integer, nullable=False, server_default="0"),
    Column("stale", Integer, nullable=False, server_default="0", comment="records older than the stored row"),
    Column("rejected", Integer, nullable=False, server_default="0"),
    Column("server_total", Integer, comment="the account: what the server counts; null if untold"),
    Column("stored_live", Integer, comment="the account: stored, and not gone from the server"),
    Column("quarantined", Integer, comment="the account: rejected records that are no task"),
    Column("hidden", Integer, comment="the account: counted and never shown, as a whole reading found"),
    Column("missing", Integer, comment="the account: counted, and not found"),
    Column("watermark_before", Moment),
    Column("watermark_after", Moment),
    Column("version", Text, nullable=False, comment="of kore-etl"),
    Column("settings", Json, nullable=False, comment="the settings of the run, secrets masked"),
    Column("error", Text),
    Index(None, "source_id", "started_at"),
    comment="runs of commands, one row for each run on a source",
)

watermarks = Table(
    "watermarks",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("value", Moment, nullable=False, comment="all changes up to this time are stored"),
    Column("moved_at", Moment, nullable=False),
    Column("run_id", RowId, nullable=False),
    comment="the watermark of each source",
)

sync_windows = Table(
    "sync_windows",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("run_id", RowId, nullable=False, comment="the run that last worked on the window"),
    Column("job", Text, nullable=False, comment="the kind of work: first, sync, full, backfill, sweep"),
    Column("field", Text, nullable=False, comment="createdAt or updatedAt"),
    Column("start_at", Moment, nullable=False, comment="included"),
    Column("end_at", Moment, nullable=False, comment="not included"),
    Column("checkpoint_at", Moment, nullable=False, comment="everything from start_at up to this time is committed"),
    Column("strategy", Text, nullable=False, comment="keyset, newest_first, split_windows"),
    Column("state", Text, nullable=False, comment="pending, running, verified, unverified, failed"),
    Column("requests", Integer, nullable=False, server_default="0"),
    Column("rows", Integer, nullable=False, server_default="0", comment="records read, repeats included"),
    Column("reported_total", Integer, comment="totalResults, if the server gives it"),
    Column("attempts", Integer, nullable=False, server_default="0", comment="how often a run began to read the window"),
    Column("opened_at", Moment, nullable=False, comment="the server's time when the read began"),
    Column("finished_at", Moment),
    Column("error", Text),
    Index(None, "source_id", "state"),
    Index(None, "source_id", "start_at"),
    comment="windows: the ranges of time that runs read",
)

statuses = Table(
    "statuses",
    metadata,
    *key(),
    Column("name", Text),
    Column("category", Text, comment="statusCategory: open, resolved ..."),
    Column("type", Text),
    Column("description", Text),
    Column("is_enabled", Boolean),
    Column("is_active", Boolean),
    Column("seen_at", Moment, comment="updatedAt of the newest task with these values"),
    Column("raw", Json, nullable=False),
    comment="the customer's statuses",
)

priorities = Table(
    "priorities",
    metadata,
    *key(),
    Column("name", Text),
    Column("color", Text),
    Column("score", Float),
    Column("type", Text),
    Column("description", Text),
    Column("is_enabled", Boolean),
    Column("is_active", Boolean),
    Column("seen_at", Moment, comment="updatedAt of the newest task with these values"),
    Column("raw", Json, nullable=False),
    comment="the customer's priorities",
)

cases = Table(
    "cases",
    metadata,
    *key(),
    Column("ref_id", Text, comment='the reference for people, such as "CS000108"'),
    Column("seen_at", Moment, comment="updatedAt of the newest task with these values"),
    Index(None, "ref_id", info=ANY_LENGTH),
    comment="the cases of the tasks",
)

tasks = Table(
    "tasks",
    metadata,
    *key(),
    Column("stream_id", Text, nullable=False),
    Column("case_id", Text, index=True),
    Column("ref_id", Text, comment='the reference for people, such as "TS000105"'),
    Column("name", Text, comment="the task's title"),
    Column("status_id", Text, index=True),
    Column("priority_id", Text, index=True),
    Column("assignee_type", Text, comment="unassigned, queues or agent"),
    Column("assignee_id", Text),
    Column("assignee", Text, comment="the agent's name in this record"),
    Column("queue_id", Text),
    Column("queue", Text, comment="the queue's name in this record"),
    Column("conversation_type", Text, comment="such as TASK"),
    Column("origin", Text, comment="the API's key source, such as rtm"),
    Column("account_id", Text),
    Column("org_id", Text),
    Column("user_id", Text),
    Column("user_name", Text, comment="the name in this record"),
    Column("created_by_id", Text),
    Column("created_by", Text, comment="the name in this record"),
    Column("updated_by_id", Text),
    Column("updated_by", Text, comment="the name in this record"),
    Column("is_active", Boolean, comment="false: inactive, which counts as deleted"),
    Column("is_breached", Boolean, comment="isBreached of the API"),
    Column("is_custom", Boolean, comment="isCustTsk of the API"),
    Column("due_at", Moment),
    Column("created_at", Moment),
    Column("updated_at", Moment),
    Column("raw", Json, nullable=False, comment="the whole record as the API sent it"),
    Column("deleted_at", Moment, comment="since when it is inactive or gone from the server"),
    Column("gone_at", Moment, comment="when a run found that the server no longer has it"),
    Column("first_seen_at", Moment, nullable=False, comment="when a sync first stored it"),
    Column("first_updated_at", Moment, comment="updatedAt of the version that a sync first stored"),
    Column("stored_at", Moment, nullable=False, comment="when this version was stored"),
    Column("run_id", RowId, nullable=False, comment="the run that wrote this version"),
    Column("forgotten_at", Moment, comment="when its content was erased on request"),
    *(
        reference(column, table)
        for column, table in (
            ("case_id", "cases"),
            ("status_id", "statuses"),
            ("priority_id", "priorities"),
            ("assignee_id", "agents"),
            ("queue_id", "queues"),
            ("user_id", "users"),
            ("created_by_id", "users"),
            ("updated_by_id", "users"),
        )
    ),
    Index(None, "ref_id", info=ANY_LENGTH),
    Index(None, "forgotten_at", info=IS_FORGOTTEN),
    # Counts read these indexes instead of whole rows.
    Index("ix_tasks_created_at", "created_at", "source_id", "gone_at"),
    Index("ix_tasks_updated_at", "updated_at", "source_id", "gone_at", "created_at"),
    Index(
        "ix_tasks_state",
        *("stream_id", "source_id", "status_id", "priority_id", "queue_id", "assignee_id"),
        *("created_at", "due_at", "deleted_at", "forgotten_at"),
    ),
    Index("ix_tasks_overdue", "due_at", "source_id", "status_id", "deleted_at", "forgotten_at"),
    Index("ix_tasks_source_id", "source_id", "gone_at", "deleted_at", "forgotten_at"),
    Index(
        "ix_tasks_dates",
        *("_id", "source_id", "stream_id", "status_id"),
        *("created_at", "first_seen_at", "first_updated_at", "deleted_at", "forgotten_at"),
        *("queue_id", "priority_id", "assignee_id", "due_at"),
    ),
    comment="tasks, each in its newest version",
)

task_changes = Table(
    "task_changes",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("task_id", Text, nullable=False),
    Column("source_id", RowId, nullable=False),
    Column(
        "field", Text, nullable=False, comment="status, priority, assignee, queue, name, due date, deletion, return"
    ),
    Column("old_id", Text, comment="id of the old status, priority, assignee or queue"),
    Column("new_id", Text, comment="id of the new one"),
    Column("old_value", Text, comment="name of the old one at that time, or the old value as text"),
    Column("new_value", Text, comment="name of the new one at that time, or the new value as text"),
    Column("changed_at", Moment, comment="updatedAt of the version with the change"),
    Column("seen_at", Moment, nullable=False, comment="when a run first read that version"),
    Column("run_id", RowId, nullable=False),
    reference("task_id", "tasks"),
    Index("ix_task_changes_task_id", "task_id", "source_id", "changed_at"),
    Index("ix_task_changes_field", "field", "task_id", "source_id", "changed_at", "seen_at", "old_id", "new_id"),
    comment="changes of a task between two stored versions",
)


rejected_records = Table(
    "rejected_records",
    metadata,
    Column("id", RowId, primary_key=True),
    Column("source_id", ForeignKey("sources.id"), nullable=False),
    Column("digest", Text, nullable=False, comment="digest of the raw text, unique for a source"),
    Column("record_id", Text, comment="_id of the record, if it has one"),
    Column("reason", Text, nullable=False),
    Column("raw", Text, nullable=False),
    Column("times_seen", Integer, nullable=False),
    Column("first_seen_at", Moment, nullable=False),
    Column("last_seen_at", Moment, nullable=False),
    Column("first_run_id", RowId, nullable=False),
    Column("last_run_id", RowId, nullable=False),
    Column("window_id", ForeignKey("sync_windows.id")),
    Column("acknowledged_at", Moment, comment="when kore-etl rejected acknowledge marked it as known"),
    UniqueConstraint("source_id", "digest"),
    comment="records that could not be stored, with the reason",
)

unknown_keys = Table(
    "unknown_keys",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True, comment="the key at the top level of the record"),
    Column("example", Text, comment="the start of its value as JSON"),
    Column("task_id", Text, nullable=False, comment="the first task with this key"),
    Column("first_seen_at", Moment, nullable=False),
    Column("run_id", RowId, nullable=False),
    comment="keys that are neither known keys of the API nor custom fields",
)
