"""The tables of what tasks name: statuses, priorities, cases, agents, queues and users."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Computed, Float, Index, Table, Text

from etl.load.database.dialect import ANY_LENGTH
from etl.load.database.types import Moment, is_one_of
from etl.load.schema.metadata import Json, key, metadata

_SEEN = "updatedAt of the newest task with these values"

#: A status with one of these categories is resolved, in upper or lower case.
RESOLVED = ("resolved", "closed", "completed", "done")

statuses = Table(
    "statuses",
    metadata,
    *key(),
    Column("name", Text),
    Column("category", Text, comment="statusCategory: open, resolved ..."),
    Column(
        "is_resolved",
        Boolean,
        Computed(is_one_of("category", "name", RESOLVED), persisted=True),
        nullable=False,
        comment="whether a task with it is no longer open: by its category, or by its name if it has no category",
    ),
    Column("type", Text),
    Column("description", Text),
    Column("is_enabled", Boolean),
    Column("is_active", Boolean),
    Column("seen_at", Moment, comment=_SEEN),
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
    Column("seen_at", Moment, comment=_SEEN),
    Column("raw", Json, nullable=False),
    comment="the customer's priorities",
)

cases = Table(
    "cases",
    metadata,
    *key(),
    Column("ref_id", Text, comment='the reference for people, such as "CS000108"'),
    Column("seen_at", Moment, comment=_SEEN),
    Index(None, "ref_id", info=ANY_LENGTH),
    comment="the cases of the tasks",
)

agents = Table(
    "agents",
    metadata,
    *key(),
    Column("name", Text, comment="'' if the server cleared it; null if it never told it"),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the agents that tasks are assigned to, and participants",
)

queues = Table(
    "queues",
    metadata,
    *key(),
    Column("name", Text, comment="'' if the server cleared it; null if it never told it"),
    Column("type", Text, comment="'' if the server cleared it; null if it never told it"),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the queues that tasks wait in",
)

users = Table(
    "users",
    metadata,
    *key(),
    Column("name", Text, comment="'' if the server cleared it; null if it never told it"),
    Column("email", Text, comment="'' if the server cleared it; null if it never told it"),
    Column("seen_at", Moment, comment=_SEEN),
    comment="the users that tasks are for, and those who created or updated them",
)

DIMENSIONS = (agents, queues, users)
