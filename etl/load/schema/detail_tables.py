"""The tables of a task's details: agents, queues, users, tags, channels, custom fields, and derived tables."""

from __future__ import annotations

from sqlalchemy import Column, Date, Float, ForeignKey, ForeignKeyConstraint, Index, Integer, Table, Text

from etl.load.database.types import Moment
from etl.load.schema.tables import RowId, key, reference
from etl.load.schema.tables import metadata as metadata  # noqa: PLC0414 it knows all tables once this module is imported

_SEEN = "updatedAt of the newest task with these values"


def _task() -> tuple[Column[str], Column[int], ForeignKeyConstraint]:
    source_id = Column("source_id", RowId, primary_key=True, autoincrement=False)
    return Column("task_id", Text, primary_key=True), source_id, reference("task_id", "tasks")


def _position() -> Column[int]:
    return Column("position", Integer, primary_key=True, autoincrement=False, comment="its place in the list, from 0")


agents = Table(
    "agents",
    metadata,
    *key(),
    Column("name", Text),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the agents that tasks are assigned to, and participants",
)

queues = Table(
    "queues",
    metadata,
    *key(),
    Column("name", Text),
    Column("type", Text),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the queues that tasks wait in",
)

users = Table(
    "users",
    metadata,
    *key(),
    Column("name", Text),
    Column("email", Text),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the users that tasks are for, and those who created or updated them",
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

task_tags = Table(
    "task_tags",
    metadata,
    *_task(),
    _position(),
    Column("tag", Text, index=True),
    comment="the tags of each task",
)

task_channels = Table(
    "task_channels",
    metadata,
    *_task(),
    _position(),
    Column("channel", Text, index=True),
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
    Index(None, "key"),
    comment="the custom and system fields of each task that have a value",
)

status_intervals = Table(
    "status_intervals",
    metadata,
    *_task(),
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
    *_task(),
    Column("first_response_at", Moment),
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
    Column("day", Date, primary_key=True, comment="in UTC"),
    *(Column(name, Integer, nullable=False) for name in ("created", "resolved", "reopened", "deleted")),
    comment="derived: the daily counts of daily_flow",
)

DIMENSIONS = (agents, queues, users)
CHILDREN = (task_queues, task_participants, task_tags, task_channels, task_fields)
