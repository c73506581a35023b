"""Let the indexes of a task's dates hold whose it is and whether it is gone, so that counting reads no whole rows.

A sync counts what is there after a moment and looks at the latest changes, a reconcile counts stretch by stretch.
"""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

WIDE = {
    "ix_tasks_created_at": ["created_at", "source_id", "deleted_at"],
    "ix_tasks_updated_at": ["updated_at", "source_id", "deleted_at", "created_at"],
}


def upgrade() -> None:
    """Make them anew with more columns."""
    for name, columns in WIDE.items():
        op.drop_index(name, "tasks")
        op.create_index(name, "tasks", columns)


def downgrade() -> None:
    """Make them anew as they were, of the date alone."""
    for name, columns in WIDE.items():
        op.drop_index(name, "tasks")
        op.create_index(name, "tasks", columns[:1])
