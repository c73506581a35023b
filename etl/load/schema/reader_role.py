"""The role of PostgreSQL whose members may read all tables and views, also of later versions, and change nothing."""

from __future__ import annotations

from sqlalchemy import Connection, text


def statements(connection: Connection, role: str) -> list[str]:
    """Return what makes the role, or completes its rights if it is there."""
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


def grant(connection: Connection, role: str) -> None:
    """Let the members of the role read, in the caller's transaction."""
    for statement in statements(connection, role):
        connection.exec_driver_sql(statement)
