"""Maps the drivers' errors to one line: what happened, to which database, and what to do next."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.engine import URL, ExceptionContext

from etl.errors import DatabaseError
from etl.load.database.postgres_session import POOLED_BY_TRANSACTION

_MOST_SAID = 300
_SHORT = 80
_TOO_MUCH = "54000"  # PostgreSQL's code where a value exceeds one of its limits, such as that of an index's entry
_STATEMENT = re.compile(r" LINE \d+: .*")
_NO_CLUE = "see the database's own log"
_TABLES_DIFFER = "run: kore-etl db upgrade; if that changes nothing, kore-etl db check says what is missing: restore it"
_ROOM = "free some space and run again; nothing half is kept"
_GONE = "run again when PostgreSQL is back"
_CONNECT = f"check host, port, database, user, password and options in database_url; or {_GONE}"
_DAMAGED = "the file is damaged; it was not touched; restore it from a backup"
# By SQLite's primary result codes: https://www.sqlite.org/rescode.html
_OF_SQLITE = {
    1: _TABLES_DIFFER,  # a table or a column is missing: the statements themselves are right
    5: "another program writes to it; try again when it is done",
    6: "another program writes to it; try again when it is done",
    8: "its file or folder cannot be written; check their owner and mode",
    10: "the disk is full, over its quota or broken; run again when it is not; nothing half is kept",
    11: _DAMAGED,
    13: _ROOM,
    14: "check that it is a file, and that its folder exists and can be written",
    19: "its rows contradict each other; kore-etl db check says where",
    26: "the file is damaged or no database; it was not touched; restore it or choose another",
}
# By PostgreSQL's SQLSTATE, else by its first two characters, the class:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_OF_POSTGRESQL = {
    "08": _GONE,
    "23": "its rows contradict each other; kore-etl db check says where",
    "25006": "it takes no writes: name the primary server in database_url, "
    "or set default_transaction_read_only to off for this role and database",
    "25P": _GONE,
    "26000": POOLED_BY_TRANSACTION,
    "28": "check user and password in database_url, and pg_hba.conf on the server",
    "3D000": "create it, or correct its name in database_url",
    "3F000": "create the schema, or correct the role's search_path",
    "40": "another session changed the same rows; run again",
    "42501": "give the role the rights that it needs",
    "42703": _TABLES_DIFFER,
    "42710": "it holds tables of something else; choose another database",
    "42883": _TABLES_DIFFER,
    "42P01": _TABLES_DIFFER,
    "42P05": POOLED_BY_TRANSACTION,
    "42P07": "it holds tables of something else; choose another database",
    "53": _ROOM,
    "53200": "PostgreSQL has no memory left; run again when it has",
    "53300": "try again when others are done",
    "55006": "another session holds what this one needs; run again when it is done",
    "55P03": "another session holds what this one needs, or is slow; run again when it is done, or allow more time",
    "57014": "another session holds what this one needs, or is slow; run again when it is done, or allow more time",
    "57P": _GONE,
    "58": f"the server failed; its own log says why; if its disk is full, {_ROOM}",
    "XX": f"the server failed; its own log says why; if its disk is full, {_ROOM}",
}


class UnstorableError(DatabaseError):
    """The database cannot hold a value: it is too large, or out of the range of its type.

    ``reason`` is the driver's own short text.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def place(url: URL) -> str:
    """Name a database without its password and its parameters, because a parameter may be a password."""
    kind = url.get_backend_name()
    user, port = f"{url.username}@" if url.username else "", f":{url.port}" if url.port else ""
    return f"{kind}://{user}{url.host or ''}{port}/{url.database or ''}"


def raise_database_error(context: ExceptionContext) -> None:
    """Map a driver's error; any other exception is a bug and stays as it is.

    Raises:
        UnstorableError: a value does not fit.
        DatabaseError: anything else.
    """
    if context.is_pre_ping:
        return  # the pool reconnects
    error, driver = context.original_exception, context.dialect.loaded_dbapi
    if isinstance(error, driver.Error):
        url = context.engine.url if context.engine else None
        _raise(error, driver, url, is_connected=context.connection is not None)


@contextmanager
def mapped(connection: Connection) -> Iterator[None]:
    """Map the driver's errors where it is used without SQLAlchemy; raises as above."""
    driver: Any = connection.dialect.loaded_dbapi
    try:
        yield
    except driver.Error as error:
        _raise(error, driver, connection.engine.url)


def _raise(error: BaseException, driver: Any, url: URL | None, *, is_connected: bool = True) -> NoReturn:
    said = _STATEMENT.sub("", " ".join(str(error).split()))
    where = "the database" if url is None else place(url)
    message = f"{where}: {said[:_MOST_SAID].rstrip('.')}; {_advice(error, driver, is_connected=is_connected)}"
    if isinstance(error, driver.DataError) or getattr(error, "sqlstate", None) == _TOO_MUCH:
        raise UnstorableError(message, str(error).partition("\n")[0][:_SHORT]) from error
    raise DatabaseError(message) from error


def _advice(error: BaseException, driver: Any, *, is_connected: bool) -> str:
    """Choose by the error's code or class: its text may be in any language, and it quotes users' names."""
    if not hasattr(error, "sqlstate"):
        code = getattr(error, "sqlite_errorcode", None)
        if code is None and isinstance(error, driver.OperationalError):
            return _DAMAGED  # Python itself, which gives no code, could not read a text that SQLite returned
        return _OF_SQLITE.get((code or 0) & 0xFF, _NO_CLUE)
    state = error.sqlstate or ""
    if state:
        return next((_OF_POSTGRESQL[key] for end in (5, 3, 2) if (key := state[:end]) in _OF_POSTGRESQL), _NO_CLUE)
    if isinstance(error, driver.ProgrammingError):
        return "correct the options in database_url"
    return _GONE if is_connected else _CONNECT  # libpq gives no code for a failed connection
