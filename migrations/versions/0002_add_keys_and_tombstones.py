"""Tie tasks to their people and queues, note keys never seen before, and make room for tasks that are forgotten."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# SQLite makes the table anew to give it a foreign key, and refuses to while a view reads it.
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

REFERENCES = {
    "assignee_id": "agents",
    "queue_id": "queues",
    "user_id": "users",
    "created_by_id": "users",
    "updated_by_id": "users",
}


class Timestamp3(sa.types.UserDefinedType[object]):
    """A moment to the millisecond, on PostgreSQL."""

    def get_col_spec(self, **_options: object) -> str:
        """Return the column's type."""
        return "TIMESTAMP(3) WITH TIME ZONE"


def upgrade() -> None:
    """Add them; every person and queue that a task names has a row from now on."""
    moment = Timestamp3() if op.get_bind().dialect.name == "postgresql" else sa.DateTime()
    op.add_column("sources", sa.Column("shape", sa.Text(), comment="what the stored rows were made by: see refresh"))
    op.create_table(
        "unknown_keys",
        sa.Column("source_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="at the top of the record"),
        sa.Column("example", sa.Text(), comment="the beginning of its value as JSON"),
        sa.Column("task_id", sa.Text(), nullable=False, comment="the task that showed it first"),
        sa.Column("first_seen_at", moment, nullable=False),
        sa.Column("run_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.ForeignKeyConstraint(["source_id"], ["sources.id"], name=op.f("fk_unknown_keys_source_id")),
        sa.ForeignKeyConstraint(["run_id"], ["sync_runs.id"], name=op.f("fk_unknown_keys_run_id")),
        sa.PrimaryKeyConstraint("source_id", "key", name=op.f("pk_unknown_keys")),
        comment="keys of records that are neither the API's own, as far as they are known, nor custom fields",
    )
    for column, table in REFERENCES.items():
        op.execute(
            f"insert into {table} (_id, source_id) select {column}, min(source_id) from tasks where {column} is not null "  # noqa: S608, E501 names of this file
            f"and not exists (select 1 from {table} where {table}._id = tasks.{column}) group by {column}"
        )
    op.execute("drop view task_overview")
    with op.batch_alter_table("tasks") as batch:
        batch.add_column(sa.Column("forgotten_at", moment, comment="when its content was erased on request"))
        for column, table in REFERENCES.items():
            batch.create_foreign_key(op.f(f"fk_tasks_{column}"), table, [column], ["_id"])
    few = sa.text("forgotten_at is not null")
    op.create_index(op.f("ix_tasks_forgotten_at"), "tasks", ["forgotten_at"], sqlite_where=few, postgresql_where=few)
    op.execute(TASK_OVERVIEW)


def downgrade() -> None:
    """Take them away; a task that was forgotten stays without its content."""
    op.execute("drop view task_overview")
    op.drop_index(op.f("ix_tasks_forgotten_at"), "tasks")
    with op.batch_alter_table("tasks") as batch:
        for column in REFERENCES:
            batch.drop_constraint(op.f(f"fk_tasks_{column}"), type_="foreignkey")
        batch.drop_column("forgotten_at")
    op.execute(TASK_OVERVIEW)
    op.drop_table("unknown_keys")
    op.drop_column("sources", "shape")
