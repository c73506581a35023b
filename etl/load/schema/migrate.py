"""Bringing a database to the schema that this version works with.

Whether anything is to be done is one query against the numbers of the files in ``migrations/versions``. An empty
database is given at once what all of them leave, as it stands in ``migrations/snapshot``; alembic, which takes time and
memory to import, is loaded only for one that has tables of an earlier version.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect, text

from etl.errors import DatabaseError
from etl.load.database.engine import reading, set_pragma
from etl.load.database.errors import place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alembic.config import Config


def migrations_folder() -> Path:
    """Return the folder of migrations: inside the installed package, or at the top of the checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def newest() -> str:
    """Return the number of the newest migration that this version brings."""
    return max(_known())


def _known() -> set[str]:
    return {path.name[:4] for path in (migrations_folder() / "versions").glob("[0-9]*.py")}


def current(engine: Engine) -> str | None:
    """Return the number of the migration that the database is at, None for an empty one."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


def require_newest(engine: Engine, *, migrate: bool) -> None:
    """Make sure that the schema is this version's, migrating if that is wanted.

    Raises:
        DatabaseError: the schema is older and ``migrate`` is off, or none that this version knows.
    """
    at = current(engine)
    if at == newest():
        return
    _refuse_unknown(engine, at)
    if not migrate:
        message = f"{place(engine.url)}: schema is at {at or 'nothing'}, needed is {newest()}; run: kore-etl db upgrade"
        raise DatabaseError(message)
    upgrade(engine)


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Apply the migrations up to ``revision``, all or none; an empty database is brought to the newest at once."""
    if revision == "head" and current(engine) is None:
        _make_all(engine)
        if current(engine) == newest():
            return
    from alembic import command

    with _config_for(engine) as config:
        command.upgrade(config, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Take migrations back to ``revision`` ("base" for all), all or none."""
    from alembic import command

    from etl.load.schema.deferred_indexes import make_missing

    if current(engine) == newest():
        make_missing(engine)  # a migration that made an index takes it away
    with _config_for(engine) as config:
        command.downgrade(config, revision)


def differences(engine: Engine) -> list[Any]:
    """Return what alembic finds different between the tables in code and those in the database.

    Indexes that a first load has put off are none of it.
    """
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from etl.load.schema.deferred_indexes import missing
    from etl.load.schema.detail_tables import metadata

    with reading(engine) as connection:
        put_off = missing(connection)
        found = compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)
        return [each for each in found if each[0] != "add_index" or each[1].name not in put_off]


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction in which migrations may run: all of them count, or none."""
    with engine.connect() as connection:
        set_pragma(connection, "foreign_keys=OFF")  # SQLite changes a table by making it anew, which they would hinder
        try:
            with connection.begin():
                _take_turns(connection)
                yield connection
                _refuse_broken_keys(connection)
        finally:
            set_pragma(connection, "foreign_keys=ON")


def snapshot(dialect: str) -> Path:
    """Return the file of the statements that bring an empty database to the newest migration."""
    return migrations_folder() / "snapshot" / f"{dialect}.sql"


def _make_all(engine: Engine) -> None:
    """Make all tables and views, if no migration has run here, nor another process done so just now."""
    with migrating(engine) as connection:
        if inspect(connection).has_table("alembic_version"):
            return
        _refuse_foreign_tables(connection)
        for statement in snapshot(connection.dialect.name).read_text("utf-8").split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)


@contextmanager
def _config_for(engine: Engine) -> Iterator[Config]:
    from alembic.config import Config

    _refuse_unknown(engine, current(engine))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        yield config


def _take_turns(connection: Connection) -> None:
    """Let one process migrate at a time; SQLite's BEGIN IMMEDIATE does so by itself."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("select pg_advisory_xact_lock(7163205281)"))
        _refuse_encoding(connection)


def _refuse_encoding(connection: Connection) -> None:
    encoding = connection.execute(text("show server_encoding")).scalar()
    if encoding != "UTF8":
        message = f"{place(connection.engine.url)}: its encoding {encoding} cannot hold every task's text"
        raise DatabaseError(f"{message}; create the database with ENCODING 'UTF8'")


def _refuse_broken_keys(connection: Connection) -> None:
    """SQLite checks no foreign key while they are off: a migration that breaks one must not be kept."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            where, (table, _row, missing, _key) = place(connection.engine.url), broken
            message = f"{where}: the migration would leave a row of {table} without its {missing}; nothing was changed"
            raise DatabaseError(message)


def _refuse_foreign_tables(connection: Connection) -> None:
    from etl.load.schema.detail_tables import metadata

    foreign = sorted(metadata.tables.keys() & {*inspect(connection).get_table_names()})
    if foreign:
        message = f"{place(connection.engine.url)}: it holds tables of something else, such as {foreign[0]}"
        raise DatabaseError(f"{message}; choose another database")


def _refuse_unknown(engine: Engine, at: str | None) -> None:
    if at is not None and at not in _known():
        message = (
            f"{place(engine.url)}: schema is at {at}, which this version does not know (it knows up to {newest()}); "
            "install the kore-etl that made it, or choose another database"
        )
        raise DatabaseError(message)
