"""Opening the database of the settings: for a job that may create it, or for a command that reads what is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from etl.errors import ConfigError, DatabaseError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from etl.api_record import Row
    from etl.settings import Settings


def open_database(settings: Settings, **options: Any) -> Engine:
    """Open the database and bring it to this version's schema, unless the settings leave that to a person.

    The ``options`` are those of ``open_engine``.
    """
    from etl.load.database.engine import open_engine
    from etl.load.schema.migrate import require_newest

    engine = open_engine(settings.database_url, **options)
    require_newest(engine, migrate=settings.migrate)
    return engine


@contextmanager
def existing_database(
    settings: Settings, *, schema: Literal["migrated", "newest", "any"] = "migrated"
) -> Iterator[Engine]:
    """Open the database of the settings; never create a missing SQLite file.

    "migrated" upgrades the schema if the settings allow it. "newest" requires this version's schema. "any" accepts
    every schema.

    Raises:
        DatabaseError: the database is missing or unusable, or its schema does not fit.
    """
    from sqlalchemy.engine import make_url

    from etl.load.database.engine import disposing, open_engine
    from etl.load.schema.migrate import require_newest

    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite":
        otherwise = "db upgrade" if schema == "any" else "sync"
        if settings.database_url == type(settings)().database_url:  # perhaps nothing is set at all
            otherwise = f"init, then: kore-etl {otherwise}"
        require_file(Path(url.database or ""), advice=f"run: kore-etl {otherwise}")
    with disposing(open_engine(settings.database_url)) as engine:
        if schema != "any":
            require_newest(engine, migrate=settings.migrate and schema == "migrated")
        yield engine


@contextmanager
def reading_database(settings: Settings, **options: Any) -> Iterator[Connection]:
    """Give a connection that only reads; the ``options`` are those of :func:`existing_database`."""
    from etl.load.database.engine import reading

    with existing_database(settings, **options) as engine, reading(engine) as connection:
        yield connection


def require_postgresql(
    settings: Settings, *, instead: str = "this one is SQLite, where cron runs kore-etl sync --due"
) -> None:  # fmt: skip
    """Make sure that workers can share the database.

    Raises:
        ConfigError: it is SQLite; it ends with what to do ``instead``.
    """
    if not settings.database_url.startswith("postgres"):
        raise ConfigError(f"database_url: workers share a PostgreSQL database; {instead}")


def sources_named(connection: Connection, name: str) -> list[Row]:
    """Return the rows of the sources that ``--source`` names: a former stream or account may have the same name.

    Raises:
        ConfigError: no source in the database has this name.
    """
    from etl.load.queries import status

    known = status.source_rows(connection)
    named = [source for source in known if source["name"] == name]
    if not named:
        accepted = ", ".join(dict.fromkeys(source["name"] for source in known)) or "none is synced yet"
        raise ConfigError(f"--source {name!r}: no such source; accepted: {accepted}")
    return named


def require_file(path: Path, *, advice: str) -> None:
    """Make sure that a database file is there and may be read; the error ends with the ``advice``.

    Raises:
        DatabaseError: it is not.
    """
    # Not by opening it: to close it would end SQLite's own locks in this process.
    try:
        path.stat()
        is_readable = os.access(path, os.R_OK)
    except PermissionError:
        is_readable = False
    except OSError as error:
        raise DatabaseError(f"database {path}: there is no such file; {advice}") from error
    if not is_readable:
        raise DatabaseError(f"database {path}: cannot be read: no permission; use sudo, or be a user who may read it")
