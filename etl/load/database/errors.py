"""The drivers' errors, mapped once: one line that says what happened, to which database, and what to do next."""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from etl.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection
    from sqlalchemy.engine import URL, ExceptionContext

_MOST_SAID = 300
_SHORT = 80
_TOO_MUCH = "54000"  # PostgreSQL's code where a value exceeds one of its limits, such as that of an index's entry
_STATEMENT = re.compile(r" LINE \d+: .*")
_ADVICE = (
    ("database is locked", "another program writes to it; try again when it is done"),
    ("readonly|read-only", "its file or folder cannot be written; check their owner and mode"),
    (
        "disk is full|no space left|file too large|could not extend file",
        "free some space and run again; nothing half is kept",
    ),
    ("disk i/o error", "the disk is full, over its quota or broken; run again when it is not; nothing half is kept"),
    ("not a database", "the file is damaged or no database; it was not touched; restore it or choose another"),
    ("malformed", "the file is damaged; it was not touched; restore it from a backup"),
    ("unable to open", "check that it is a file, and that its folder exists and can be written"),
    ("already exists", "it holds tables of something else; choose another database"),
    (
        "no such table|no such column|(relation|column) .* does not exist",
        "run: kore-etl db upgrade; if that changes nothing, kore-etl db check says what is missing: restore it",
    ),
    ("database .* does not exist", "create it, or correct its name in database_url"),
    ("role .* does not exist|authentication failed|no password", "check user and password in database_url"),
    ("pg_hba.conf", "PostgreSQL lets this user not in from here: its pg_hba.conf says whom it does"),
    ("resolve host|translate host", "check the host in database_url"),
    (
        "lock timeout|statement timeout|deadlock|canceling statement",
        "another session holds what this one needs, or is slow; run again when it is done, or allow more time",
    ),
    ("shutting down|starting up|recovery mode|crash of another", "run again when PostgreSQL is back"),
    ("refused|is the server running|timeout", "check that PostgreSQL runs there, and host and port in database_url"),
    ("invalid connection option|invalid .* value|unrecognized configuration", "correct the options in database_url"),
    ("permission denied", "give the role the rights that it needs"),
    ("connection slots|too many (connections|clients)", "try again when others are done"),
    ("terminating connection|closed the connection|connection .*(lost|closed)", "run again when PostgreSQL is back"),
    ("no equivalent in encoding", "its encoding cannot hold the tasks; create the database with ENCODING 'UTF8'"),
)


class UnstorableError(DatabaseError):
    """The database is well, and cannot hold one of the values: too large, or past the range of its type.

    ``reason`` is the driver's own short word for it.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def place(url: URL) -> str:
    """Name a database without its password and without its parameters, one of which may be a password."""
    named = url.create(url.get_backend_name(), url.username, None, url.host, url.port, url.database)
    return named.render_as_string()


def raise_database_error(context: ExceptionContext) -> None:
    """Map a driver's error; what is no error of the driver is a bug, and stays as it is.

    Raises:
        UnstorableError: a value does not fit.
        DatabaseError: anything else.
    """
    error, driver = context.original_exception, context.dialect.loaded_dbapi
    if isinstance(error, driver.Error):
        _raise(error, driver, context.engine.url if context.engine else None)


@contextmanager
def mapped(connection: Connection) -> Iterator[None]:
    """Map what the driver raises where it is used without SQLAlchemy between; raises as above."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        _raise(error, driver, connection.engine.url)


def _raise(error: BaseException, driver: Any, url: URL | None) -> NoReturn:
    said = _STATEMENT.sub("", " ".join(str(error).split()))
    where = "the database" if url is None else place(url)
    message = f"{where}: {said[:_MOST_SAID]}; {_advice(said)}"
    if isinstance(error, driver.DataError) or getattr(error, "sqlstate", None) == _TOO_MUCH:
        raise UnstorableError(message, str(error).partition("\n")[0][:_SHORT]) from error
    raise DatabaseError(message) from error


def _advice(said: str) -> str:
    found = (advice for words, advice in _ADVICE if re.search(words, said, re.IGNORECASE))
    return next(found, "see the database's own log")
