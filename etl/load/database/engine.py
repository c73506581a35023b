"""Opening the database: one place for what differs between SQLite and PostgreSQL.

Transactions are explicit on both. On SQLite a writing one begins ``IMMEDIATE``, so that it waits for its turn at the
start and never fails half-way; :func:`reading` gives one that takes no write lock.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url

from etl.errors import ConfigError, DatabaseError
from etl.extras import install_command
from etl.load.database.errors import raise_database_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy.engine import URL

_BUSY_TIMEOUT = 30  # seconds that SQLite waits for another writer
_CONNECT_TIMEOUT = 10  # seconds, PostgreSQL
# What a page of the file holds is changed by many commits: the log is long enough that it is not copied over after each
# few. The cache is left as small as it is: a larger one takes memory, and hardly less time where ids come in no order.
_LOG = 4_000  # pages of 4 KB
_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    f"wal_autocheckpoint={_LOG}",
)
# A client whose machine died is noticed within some two minutes: its session holds the lock of its source.
# A plan is made for each statement's own values: one that was made while a table was empty and is kept reads all of it.
_SESSION = (
    "-c timezone=UTC -c plan_cache_mode=force_custom_plan"
    " -c tcp_keepalives_idle=60 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=6"
)


def open_engine(database_url: str) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; a new SQLite file is readable by its owner alone.

    Nothing is connected yet but the file is made. Errors of the driver come out as :class:`DatabaseError`. What the
    URL's own parameters say goes before what is set here.
    """
    url = make_url(database_url)
    file = _file_of(url)
    if file is not None:
        _make_private(file)
    engine = _create(url)
    event.listen(engine, "handle_error", raise_database_error)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create(url: URL) -> Engine:
    try:
        return create_engine(url, json_serializer=_as_is, **_connect_options(url))
    except ModuleNotFoundError as error:
        message = f"database_url: its driver {error.name} is not installed; run: {install_command('postgres')}"
        raise ConfigError(message) from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads."""
    with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection, connection.begin():
        yield connection


@contextmanager
def storing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction of which nothing that follows in this run may be kept without it.

    So PostgreSQL need not wait for its disk at each commit, as SQLite does not either: where it dies the last of them
    are gone together, the watermark with the rows that it covers, and the next run reads them again. The run's own end
    is a commit that waits, and no commit is on the disk before those that came first.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("set local synchronous_commit = off")
        yield connection


@contextmanager
def sorting_in_files(engine: Engine) -> Iterator[Connection]:
    """Give a connection on which SQLite sorts in files: an index of a million tasks is not sorted in memory."""
    with engine.connect() as connection:
        set_pragma(connection, "temp_store=FILE")  # drops temporary tables
        try:
            yield connection
        finally:
            set_pragma(connection, "temp_store=MEMORY")


def set_pragma(connection: Connection, pragma: str) -> None:
    """Set one of SQLite that cannot be set within a transaction; nothing on PostgreSQL."""
    if connection.dialect.name == "sqlite" and not connection.invalidated:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA {pragma}")


def sqlite_file(engine: Engine) -> Path | None:
    """Return the true path of a SQLite database, None for one in memory or on a server."""
    return _file_of(engine.url)


def _file_of(url: URL) -> Path | None:
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name.removeprefix("file:") if "uri" in url.query else name).resolve()


def _as_is(value: str) -> str:
    return value


def _connect_options(url: URL) -> dict[str, Any]:
    options: dict[str, Any]
    if url.get_backend_name() == "sqlite":
        options = {"timeout": _BUSY_TIMEOUT}
    else:
        options = {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "kore-etl", "client_encoding": "utf8"}
        options["options"] = _SESSION
        if "options" in url.query:
            options["options"] += f" {url.query['options']}"
            url = url.difference_update_query(["options"])
    return {"connect_args": {name: value for name, value in options.items() if name not in url.query}}


def _make_private(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        message = f"sqlite:///{path}: cannot be made: {error.strerror}; make its folder, or choose another database_url"
        raise DatabaseError(message) from error


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    cursor = connection.cursor()
    _turn_to_log(cursor)
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _turn_to_log(cursor: Any) -> None:
    """Turn to a write-ahead log; where another program does so just now, SQLite gives up without waiting for it."""
    last = time.monotonic() + _BUSY_TIMEOUT
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except Exception as error:
            if "database is locked" not in str(error) or time.monotonic() > last:
                raise
            time.sleep(0.02)
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    connection.exec_driver_sql(f"BEGIN {mode}")
