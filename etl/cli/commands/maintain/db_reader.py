"""``kore-etl db reader``: let other users of PostgreSQL read the tables and views."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from etl.cli.options import Common, common_options
from etl.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection


@click.command(short_help="Let other users of PostgreSQL read the tables.")
@common_options
@click.option("--role", default="kore_etl_reader", show_default=True, metavar="NAME", help="The role's name.")
@click.option("--print", "print_it", is_flag=True, help="Print the statements for an administrator; change nothing.")
def reader(common: Common, role: str, print_it: bool) -> None:
    """Make a role that may read all tables and views, and change nothing. It may also read tables of later versions.

    The role has no login. Make its members of the users of other tools. Repeating the command changes nothing. It needs
    the right to create roles; without it, give what --print prints to an administrator.

    \b
    Example:
      kore-etl db reader
      psql -c "create role ana login password '...' in role kore_etl_reader"
    """
    from etl.cli.open_database import existing_database
    from etl.load.database.errors import place

    settings = common.start(need_sources=False).settings
    with existing_database(settings) as engine:
        if engine.dialect.name != "postgresql":
            message = "db reader makes a role of PostgreSQL, and the database is a SQLite file; its readers need"
            raise ConfigError(f"{message} rights on the file: see docs/how-to/other-tools.md")
        if print_it:
            with engine.connect() as connection:
                for statement in _statements(connection, role):
                    click.echo(f"{statement};")
            return
        try:
            with engine.begin() as connection:
                for statement in _statements(connection, role):
                    connection.exec_driver_sql(statement)
        except DatabaseError as error:
            raise DatabaseError(f"{error}; for an administrator: kore-etl db reader --print") from error
    common.say(f"members of {role} may read {place(engine.url)}")


def _statements(connection: Connection, role: str) -> list[str]:
    """Return what makes the role, or completes its rights if it is there."""
    from sqlalchemy import text

    quote = connection.dialect.identifier_preparer.quote_identifier
    names = connection.execute(text("select current_database(), current_schema()")).one()
    database, schema, reader = (quote(each) for each in (*names, role))
    exists = connection.execute(text("select 1 from pg_roles where rolname = :role"), {"role": role}).first()
    return [
        *([] if exists else [f"create role {reader} nologin"]),
        f"grant connect on database {database} to {reader}",
        f"grant usage on schema {schema} to {reader}",
        f"grant select on all tables in schema {schema} to {reader}",
        f"alter default privileges in schema {schema} grant select on tables to {reader}",
    ]
