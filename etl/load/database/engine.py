"""Opens the database and hides the differences between SQLite and PostgreSQL.

Transactions are explicit on both. On SQLite a writing transaction begins ``IMMEDIATE``: it waits for the lock at its
start and never fails half-way. :func:`reading` gives a transaction without a write lock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Select, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from etl import exact_json
from etl.api_record import Row
from etl.errors import ConfigError, DatabaseError
from etl.load.database.errors import raise_database_error
from etl.load.database.postgres_locks import LockSession
from etl.load.database.postgres_session import prepare_session
from etl.load.database.sqlite_log import PAGES, turn_to_log
from etl.optional_packages import install_command

_BUSY_TIMEOUT = 30  # seconds that SQLite waits for another writer
_CONNECT_TIMEOUT = 10  # seconds, PostgreSQL
# The cache stays small: a larger one takes memory and saves hardly any time, because ids come in random order.
_PRAGMAS = (
    "synchronous=NORMAL",
    "foreign_keys=ON",
    "temp_store=MEMORY",
    f"wal_autocheckpoint={PAGES}",
)


def open_engine(database_url: str, *, sessions: int = 15, session_name: str | None = None) -> Engine:
    """Return an engine for a SQLite or PostgreSQL URL; a new SQLite file is readable by its owner alone.

    It makes the file but does not connect yet. Errors of the driver become :class:`DatabaseError`. The URL's own
    parameters win over the settings here. ``sessions`` is how many a PostgreSQL server is asked for at most,
    ``session_name`` is what it calls them.
    """
    url = make_url(database_url)
    if session_name is not None:
        url = url.update_query_dict({"application_name": session_name})
    file = sqlite_file(url)
    if file is not None:
        _make_private(file)
    engine = _create(url, sessions)
    event.listen(engine, "handle_error", raise_database_error)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    else:
        # First of all, because SQLAlchemy itself reads the session's settings.
        event.listen(engine, "connect", prepare_session, insert=True)
    return engine


@contextmanager
def disposing(engine: Engine) -> Iterator[Engine]:
    """Give an engine, and close its connections at the end."""
    try:
        yield engine
    finally:
        engine.dispose()


def _create(url: URL, sessions: int) -> Engine:
    try:
        return create_engine(
            url,
            json_serializer=_as_is,
            json_deserializer=exact_json.read,
            **_options(url, sessions),
        )
    except ModuleNotFoundError as error:
        message = f"database_url: its driver {error.name} is not installed; run: {install_command('postgres')}"
        raise ConfigError(message) from error
    except (ValueError, TypeError, ArgumentError) as error:
        names = ", ".join(url.query)
        raise ConfigError(f"database_url: a value of its options ({names}) is not accepted") from error


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction that only reads; it is not committed."""
    with engine.connect().execution_options(sqlite_begin="DEFERRED") as connection:
        yield connection


def plain_rows(connection: Connection, query: Select[Any]) -> list[Row]:
    """Return the rows of a query. The names of their columns are plain text, as JSON wants them."""
    return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]


@contextmanager
def storing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a transaction whose commit does not wait for PostgreSQL's disk; SQLite does not wait either.

    After a crash the last commits are lost together, the watermark with its rows, and the next run reads them again.
    The commit at the run's end waits. Commits reach the disk in their order.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("set local synchronous_commit = off")
        yield connection


@contextmanager
def with_pragma(engine: Engine, name: str, value: str, afterwards: str) -> Iterator[Connection]:
    """Give a connection on which a pragma of SQLite has another value than ``afterwards``."""
    with engine.connect() as connection:
        set_pragma(connection, f"{name}={value}")
        try:
            yield connection
        finally:
            set_pragma(connection, f"{name}={afterwards}")


@contextmanager
def sorting_in_files(engine: Engine) -> Iterator[Connection]:
    """Give a connection on which SQLite sorts in files, so that a large index takes little memory."""
    with with_pragma(engine, "temp_store", "FILE", "MEMORY") as connection:  # drops temporary tables
        yield connection


@contextmanager
def erasing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a writing transaction that overwrites deleted rows in a SQLite file."""
    with with_pragma(engine, "secure_delete", "ON", "OFF") as connection, connection.begin():
        yield connection


def scrub(engine: Engine, tables: Iterable[str]) -> None:
    """Remove old versions of rows: empty SQLite's log, vacuum PostgreSQL's tables."""
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            set_pragma(connection, "wal_checkpoint(TRUNCATE)")
            return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql(f"vacuum {', '.join(tables)}")


def set_pragma(connection: Connection, pragma: str) -> None:
    """Set a SQLite pragma outside of a transaction; do nothing on PostgreSQL."""
    if connection.dialect.name == "sqlite" and not connection.invalidated:
        driver: Any = connection.connection.driver_connection
        driver.execute(f"PRAGMA {pragma}")


def sqlite_file(database_url: URL | str) -> Path | None:
    """Return the resolved path of the SQLite database in a URL, None for one in memory or on a server."""
    url = make_url(database_url)
    name = url.database
    if url.get_backend_name() != "sqlite" or not name or name == ":memory:":
        return None
    return Path(name.removeprefix("file:") if "uri" in url.query else name).resolve()


def is_same_database(one: Engine, other: Engine) -> bool:
    """Tell whether two engines use the same file, or the same schema of the same database of one server."""
    return one.dialect.name == other.dialect.name and _identity(one) == _identity(other)


def _identity(engine: Engine) -> object:
    if engine.dialect.name == "sqlite":
        return sqlite_file(engine.url)
    with reading(engine) as connection:  # a URL may name the same server in several ways
        query = "select pg_postmaster_start_time(), current_database(), current_schema()"
        return tuple(connection.exec_driver_sql(query).one())


def sqlite_url(path: Path) -> str:
    """Return the URL of a SQLite file, with special characters escaped."""
    return f"sqlite:///{str(path).replace('%', '%25').replace('?', '%3F')}"


def _as_is(value: str) -> str:
    return value


def _options(url: URL, sessions: int) -> dict[str, Any]:
    """Return how the driver connects, and how PostgreSQL's sessions are kept."""
    options: dict[str, Any] = {}
    arguments: dict[str, Any] = {"timeout": _BUSY_TIMEOUT}
    if url.get_backend_name() != "sqlite":
        options = {
            "pool_pre_ping": True,  # an idle session may have ended
            "max_overflow": sessions - 5,
            "execution_options": {"lock_session": LockSession()},
            "use_native_hstore": False,  # or each run would ask for a type that no table has
        }
        arguments = {"connect_timeout": _CONNECT_TIMEOUT, "application_name": "kore-etl", "client_encoding": "utf8"}
    return {"connect_args": {name: value for name, value in arguments.items() if name not in url.query}, **options}


def _make_private(path: Path) -> None:
    from etl.load.database.sqlite_backup import make_private  # it imports the driver

    try:
        if not make_private(path):
            _refuse_hard_links(path)
    except OSError as error:
        to_do = "use sudo" if isinstance(error, PermissionError) else "make its folder"
        message = f"sqlite:///{path}: cannot be made: {error.strerror}; {to_do}, or choose another database_url"
        raise DatabaseError(message) from error


def _refuse_hard_links(path: Path) -> None:
    """Refuse a file with a second name: its log and its locks are beside one name only."""
    with suppress(OSError):
        if path.is_file() and path.stat().st_nlink > 1:
            message = "has another name (a hard link), under which locks and log would be missed; remove one name"
            raise DatabaseError(f"{sqlite_url(path)}: {message}")


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # _begin_sqlite begins transactions, not the driver
    cursor = connection.cursor()
    turn_to_log(cursor, patience=_BUSY_TIMEOUT)
    for pragma in _PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "IMMEDIATE")
    if mode is not None:  # each statement is its own transaction
        connection.exec_driver_sql(f"BEGIN {mode}")
