"""Let a person acknowledge rejected records, after which they make no run incomplete."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


class Timestamp3(sa.types.UserDefinedType[object]):
    """A moment to the millisecond, on PostgreSQL."""

    def get_col_spec(self, **_options: object) -> str:
        """Return the column's type."""
        return "TIMESTAMP(3) WITH TIME ZONE"


def upgrade() -> None:
    """Add the column; no record is acknowledged yet."""
    moment = Timestamp3() if op.get_bind().dialect.name == "postgresql" else sa.DateTime()
    comment = "since when it makes no run incomplete: kore-etl rejected acknowledge"
    op.add_column("rejected_records", sa.Column("acknowledged_at", moment, comment=comment))


def downgrade() -> None:
    """Take it away: every rejected record makes runs incomplete again."""
    op.drop_column("rejected_records", "acknowledged_at")
