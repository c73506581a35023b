"""Opening the database: one place for what differs between SQLite and PostgreSQL, and for their errors.

Transactions are explicit on both. On SQLite a writing one begins ``IMMEDIATE``, so that it waits for its turn at the
start and never fails half-way; :func:`reading` gives one that takes no write lock.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

from etl.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL, ExceptionContext

BUSY_TIMEOUT = 30_000  # milliseconds that SQLite waits for another writer
_CONNECT_TIMEOUT = 10  # seconds, PostgreSQL


def open_engine(database_url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; a new SQLite file is readable by its owner alone.

    Nothing is connected yet but the file is made. Errors of the driver come out as :class:`DatabaseError`.
    """
    url = make_url(database_url)
    if url.get_backend_name() == "sqlite":
        _make_private(url)
    engine = create_engine(url, json_serializer=_as_is, json_deserializer=orjson.loads, **_connect_options(url))
    event.listen(engine, "handle_error", _raise_database_error)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads."""
    with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection, connection.begin():
        yield connection


def sqlite_file(engine: Engine) -> Path | None:
    """Return the path of a SQLite database, None for one in memory or on a server."""
    name = engine.url.database
    if engine.dialect.name != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name)


def _as_is(value: str) -> str:
    return value


def _connect_options(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": BUSY_TIMEOUT / 1000}}
    return {
        "connect_args": {
            "connect_timeout": _CONNECT_TIMEOUT,
            "application_name": "kore-etl",
            "options": "-c timezone=UTC",
        }
    }


def _make_private(url: URL) -> None:
    if not url.database or url.database == ":memory:":
        return
    try:
        os.close(os.open(url.database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        message = f"database {url.database}: cannot be made: {error.strerror}; choose another database_url"
        raise DatabaseError(message) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON", "temp_store=MEMORY"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")


_ADVICE = {
    "database is locked": "another program writes to it; try again when it is done",
    "readonly database": "the file or its folder cannot be written; check its owner and mode",
    "read-only": "the file or its folder cannot be written; check its owner and mode",
    "disk is full": "free some space and run again; nothing half is kept",
    "no space left": "free some space and run again; nothing half is kept",
    "not a database": "the file is damaged or no database; it was not touched; restore it or choose another",
    "malformed": "the file is damaged; it was not touched; restore it from a backup",
    "unable to open": "check that the folder exists and can be written",
    "already exists": "it holds tables of something else; choose another database",
    "no such table": "run: kore-etl db upgrade",
    "does not exist": "check the database's name, or run: kore-etl db upgrade",
    "authentication failed": "check user and password in database_url",
    "connection refused": "check that PostgreSQL runs there, and host and port in database_url",
    "permission denied": "give the role the rights that it needs",
}


def _raise_database_error(context: ExceptionContext) -> None:
    """Map a driver's error, once, to one line that says what to do."""
    if not isinstance(context.original_exception, Exception):
        return
    said = " ".join(str(context.original_exception).split())
    advice = next((hint for part, hint in _ADVICE.items() if part in said.lower()), "see the database's own log")
    where = context.engine.url.render_as_string(hide_password=True) if context.engine else "database"
    message = f"{where}: {said[:300]}; {advice}"
    raise DatabaseError(message) from context.original_exception
