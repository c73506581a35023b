"""Runs the migrations on a connection that etl.load.schema.migrate hands over, or on the one that ``-x url=`` names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alembic import context
from alembic.util import CommandError

from etl.load.database.engine import open_engine
from etl.load.schema.migrate import migrating
from etl.load.schema.task_tables import metadata

if TYPE_CHECKING:
    from sqlalchemy import Connection


def run(connection: Connection) -> None:
    """Run them all in one transaction: what is killed half-way leaves the schema as it was."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def main() -> None:
    """Choose the connection."""
    handed_over: Connection | None = context.config.attributes.get("connection")
    if handed_over is not None:
        run(handed_over)
        return
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not isinstance(url, str):
        message = "name the database, as in: alembic -x url=sqlite:///kore-etl.db current"
        raise CommandError(message)
    with migrating(open_engine(url)) as connection:
        run(connection)


main()
