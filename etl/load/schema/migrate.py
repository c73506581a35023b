"""Migrates a database to the schema of this version.

One query tells whether a migration is needed. An empty database gets its tables from the models and views. Alembic is
slow to import, so only databases with older tables load it. The migrations begin at 0006, because kore-etl 0.1.0 used
the numbers before. Its databases are carried over into a new one instead.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, inspect, text

from etl.errors import DatabaseError
from etl.load.database.engine import reading, with_pragma
from etl.load.database.errors import place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alembic.config import Config

_VERSION_TABLE = """
create table alembic_version (
    version_num VARCHAR(32) NOT NULL,
    CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
)"""
OF_0_1_0 = "0005"  # the schema of kore-etl 0.1.0


def migrations_folder() -> Path:
    """Return the folder of migrations, in the installed package or in the checkout."""
    package = Path(__file__).resolve().parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parent / "migrations"


def newest() -> str:
    """Return the number of this version's newest migration."""
    return max(known())


def known() -> set[str]:
    """Return the numbers of the versions that tables can be brought to."""
    return {path.name[:4] for path in (migrations_folder() / "versions").glob("[0-9]*.py")}


def current(engine: Engine) -> str | None:
    """Return the database's migration number, None for an empty database."""
    with reading(engine) as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


def require_newest(engine: Engine, *, migrate: bool) -> None:
    """Make sure that the schema is this version's; migrate it if ``migrate`` is on.

    Raises:
        DatabaseError: the schema is older and ``migrate`` is off, or this version does not know it.
    """
    at = current(engine)
    if at == newest():
        return
    _refuse_unknown(engine, at)
    if not migrate:
        if at is None:
            with reading(engine) as connection:
                refuse_foreign_tables(connection)
        found = f"the tables are at {at}" if at else "there are no tables yet"
        raise DatabaseError(f"{place(engine.url)}: {found}, needed is {newest()}; {advice(at)}")
    upgrade(engine)


def can_be_migrated(at: str | None) -> bool:
    """Tell whether migrations lead from a schema to this version's."""
    return at is None or at in known()


def advice(at: str | None) -> str:
    """Return what to do about another version's schema."""
    if can_be_migrated(at):
        return "run: kore-etl db upgrade"
    assert at is not None  # noqa: S101 nothing can be migrated
    if at == OF_0_1_0:
        return "kore-etl 0.1.0 made it: carry its rows over into a new database with kore-etl db copy --to URL"
    if "0001" <= at < OF_0_1_0:
        return "a version before 0.1.0 made it: first run kore-etl db upgrade of version 0.1.0"
    return "install the kore-etl that made it, or choose another database"


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Apply the migrations up to ``revision``, all or none; an empty database gets the newest schema at once."""
    if revision == "head" and current(engine) is None:
        _make_all(engine)
        if current(engine) == newest():
            return
    from alembic import command

    _apply(engine, command.upgrade, revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Undo migrations down to ``revision`` ("base": all of them), all or none."""
    from alembic import command

    from etl.load.schema.deferred_indexes import make_missing

    if current(engine) == newest():
        make_missing(engine)  # a migration may drop such an index
    _apply(engine, command.downgrade, revision)


def differences(engine: Engine) -> list[Any]:
    """Return alembic's differences between the tables in code and in the database, without what a first load defers."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    from etl.load.schema.deferred_indexes import missing
    from etl.load.schema.task_tables import metadata

    with reading(engine) as connection:
        put_off = missing(connection)
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        # Alembic gives a list of changes for a column, and a tuple for everything else.
        deferred = [each for each in found if isinstance(each, tuple) and each[0] in {"add_index", "add_fk"}]
        return [each for each in found if each not in deferred or each[1].name not in put_off]


@contextmanager
def migrating(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that commits all migrations or none."""
    # SQLite changes a table by replacing it; foreign keys would prevent that
    with with_pragma(engine, "foreign_keys", "OFF", "ON") as connection, connection.begin():
        _wait_for_others(connection)
        yield connection
        _refuse_broken_keys(connection)


def _make_all(engine: Engine) -> None:
    """Make all tables and views, unless another process has made them meanwhile."""
    from etl.load.schema.task_tables import metadata
    from etl.load.schema.view_statements import make_views

    with migrating(engine) as connection:
        if inspect(connection).has_table("alembic_version"):
            return
        refuse_foreign_tables(connection)
        metadata.create_all(connection, checkfirst=False)
        make_views(connection)
        connection.exec_driver_sql(_VERSION_TABLE)
        connection.exec_driver_sql(f"insert into alembic_version (version_num) values ('{newest()}')")  # noqa: S608


def _apply(engine: Engine, command: Callable[[Config, str], None], revision: str) -> None:
    from alembic.config import Config

    from etl.load.schema.user_views_and_triggers import keep_user_objects

    _refuse_unknown(engine, current(engine))
    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    with migrating(engine) as connection:
        config.attributes["connection"] = connection
        keep_user_objects(connection, lambda: command(config, revision))


def _wait_for_others(connection: Connection) -> None:
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
    """Check the foreign keys, which are off on SQLite during migrations; raise if one is broken."""
    if connection.dialect.name == "sqlite":
        broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
        if broken is not None:
            where, (table, _row, missing, _key) = place(connection.engine.url), broken
            message = f"{where}: the migration would leave a row of {table} without its {missing}; nothing was changed"
            raise DatabaseError(message)


def refuse_foreign_tables(connection: Connection) -> None:
    """Make sure that a database without a version holds no tables of another program.

    Raises:
        DatabaseError: it does.
    """
    from etl.load.schema.task_tables import metadata

    foreign = sorted(metadata.tables.keys() & {*inspect(connection).get_table_names()})
    if foreign:
        message = f"{place(connection.engine.url)}: it holds tables of something else, such as {foreign[0]}"
        raise DatabaseError(f"{message}; choose another database")


def _refuse_unknown(engine: Engine, at: str | None) -> None:
    if not can_be_migrated(at):
        unknown = f"schema is at {at}, which this version does not know (it knows {newest()})"
        raise DatabaseError(f"{place(engine.url)}: {unknown}; {advice(at)}")
