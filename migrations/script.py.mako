"""${message}

Rules: number files on (0007, 0008 ...), the revision being the number; read what autogenerate wrote; import nothing of
etl; name every constraint by the convention; drop the views before a table that they read is changed, and make them
again after; list a view that goes for good in etl/load/schema/user_views_and_triggers.py; go up and down with rows in the tables,
on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None


def upgrade() -> None:
    ${upgrades if upgrades else "raise AssertionError"}


def downgrade() -> None:
    ${downgrades if downgrades else "raise AssertionError"}
