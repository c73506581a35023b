"""The tables of tasks, of their details and their history, and conditions on tasks that many statements share."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Date,
    Float,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
)

from etl.load.database.dialect import ANY_LENGTH, IS_FORGOTTEN, by_no_index
from etl.load.database.types import Moment
from etl.load.schema import dimension_tables as dimension_tables  # noqa: PLC0414 the metadata knows all tables from here
from etl.load.schema import ledger_tables as ledger_tables  # noqa: PLC0414 as above
from etl.load.schema.metadata import Json, RowId, key, reference
from etl.load.schema.metadata import metadata as metadata  # noqa: PLC0414 as above


def _task_key() -> tuple[Column[str], Column[int]]:
    source_id = Column("source_id", RowId, primary_key=True, autoincrement=False)
    return Column("task_id", Text, primary_key=True), source_id


def _task() -> tuple[Column[str], Column[int], ForeignKeyConstraint]:
    return *_task_key(), reference("task_id", "tasks")


def _position() -> Column[int]:
    return Column("position", Integer, primary_key=True, autoincrement=False, comment="its place in the list, from 0")


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
    Column("first_updated_at", Moment, comment="updatedAt of the version stored first, not before its creation"),
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
        "field",
        Text,
        nullable=False,
        comment="status, priority, assignee, queue, name, due date, breached, tag, channel, custom field, deletion"
        " or return",
    ),
    Column("field_key", Text, comment="the key of a custom field, as in task_fields"),
    Column("old_id", Text, comment="id of the old status, priority, assignee or queue"),
    Column("new_id", Text, comment="id of the new one"),
    Column("old_value", Text, comment="name of the old one at that time, or the old value as text"),
    Column("new_value", Text, comment="name of the new one at that time, or the new value as text"),
    Column(
        "changed_at",
        Moment,
        comment="updatedAt of the version with the change, at most seen_at; null if it is not newer",
    ),
    Column("seen_at", Moment, nullable=False, comment="when a run first read that version"),
    Column("run_id", RowId, nullable=False),
    reference("task_id", "tasks"),
    Index("ix_task_changes_task_id", "task_id", "source_id", "changed_at"),
    Index("ix_task_changes_field", "field", "task_id", "source_id", "changed_at", "seen_at", "old_id", "new_id"),
    comment="changes of a task between two stored versions",
)

task_queues = Table(
    "task_queues",
    metadata,
    *_task(),
    _position(),
    Column("queue_id", Text, index=True),
    reference("queue_id", "queues"),
    Column("status", Text),
    Column("started_at", Moment),
    comment="the queues of each task",
)

task_participants = Table(
    "task_participants",
    metadata,
    *_task(),
    _position(),
    Column("agent_id", Text, index=True),
    reference("agent_id", "agents"),
    Column("name", Text, comment="the name in the task's record"),
    Column("status", Text),
    Column("assigned_at", Moment),
    comment="the participants of each task",
)

# No index by tag, channel or key: where a query joins these tables by the task and such a value, SQLite would choose it
# and read all rows of the value once for each task.
task_tags = Table(
    "task_tags",
    metadata,
    *_task(),
    _position(),
    Column("tag", Text),
    comment="the tags of each task",
)

task_channels = Table(
    "task_channels",
    metadata,
    *_task(),
    _position(),
    Column("channel", Text),
    comment="the channels of each task",
)

task_fields = Table(
    "task_fields",
    metadata,
    *_task(),
    _position(),
    Column("field_id", Text, comment="_id of the field, if the record gives one"),
    Column("key", Text, comment="the field's key in the record"),
    Column("name", Text, comment="the field's label"),
    Column("data_type", Text),
    Column("text", Text),
    Column("number", Float, comment="the value, if it is a number"),
    Column("time", Moment, comment="the value, if it is a date or time"),
    comment="the custom and system fields of each task that have a value",
)

# Derived rows have no foreign keys: they are computed from tasks, and checking a key takes PostgreSQL 30
# microseconds a row.
status_intervals = Table(
    "status_intervals",
    metadata,
    *_task_key(),
    Column("position", Integer, primary_key=True, autoincrement=False, comment="the interval's number, from 1"),
    Column("status_id", Text),
    Column("value", Text, comment="the status name at that time"),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment, comment="null for the current interval"),
    comment="derived: the status intervals of each task with status changes, for task_status_intervals",
)

task_progress = Table(
    "task_progress",
    metadata,
    *_task_key(),
    Column(
        "first_response_at",
        Moment,
        comment="first change of status away from open or new; no reply: the API shows none",
    ),
    Column("first_resolved_at", Moment),
    Column("last_resolved_at", Moment),
    Column("reopened", Integer, nullable=False, comment="number of reopenings"),
    comment="derived: response and resolution times of each task with status changes, for task_cycle_times",
)

daily_counts = Table(
    "daily_counts",
    metadata,
    Column("source_id", ForeignKey("sources.id"), primary_key=True, autoincrement=False),
    Column("stream_id", Text, primary_key=True),
    Column("day", Date, primary_key=True, comment="in the source's time zone"),
    *(Column(name, Integer, nullable=False) for name in ("created", "resolved", "reopened", "deleted")),
    comment="derived: the daily counts of daily_flow",
)

CHILDREN = (task_queues, task_participants, task_tags, task_channels, task_fields)


def is_of(source_id: int) -> ColumnElement[bool]:
    """Return the condition that a task belongs to a source, for statements whose other conditions select fewer tasks.

    All tasks may belong to one source, so SQLite is not to look for them by it.
    """
    return by_no_index(tasks.c.source_id) == source_id


def is_present() -> ColumnElement[bool]:
    """Return the condition that the server, as far as known, still sends a stored task, even as inactive."""
    return tasks.c.gone_at.is_(None)
