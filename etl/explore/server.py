"""Runs Datasette in this process: read-only, and for this machine alone."""

from __future__ import annotations

import socket
import sqlite3
import unicodedata
from collections.abc import Awaitable, Callable
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from datasette.app import Datasette
from datasette.database import Database
from datasette.plugins import pm

from etl.errors import ConfigError, DatabaseError
from etl.explore import foreign_key_links, template_variables
from etl.explore.datasette_metadata import DATABASE, describe

HOST = "127.0.0.1"
_SETTINGS = {
    "allow_download": False,
    "default_cache_ttl": 0,  # a sync may run meanwhile
    "facet_time_limit_ms": 5000,
    "sql_time_limit_ms": 20_000,
    "suggest_facets": False,  # it would try out every column of every page
    "truncate_cells_html": 160,
}
_PATIENCE = 2  # seconds to finish running answers at the end
_App = Callable[[dict[str, Any], Any, Any], Awaitable[None]]


def holds_words(text: str | None, words: str | None) -> bool:
    """Tell whether a text holds every one of the words, or parts of words, whatever their case and accents.

    An index would have to be written, and the database is only read.
    """
    folded = _folded(text or "")
    return all(word in folded for word in _split(words or ""))


@lru_cache(maxsize=32)
def _split(words: str) -> tuple[str, ...]:
    return tuple(_folded(words).split())


def _folded(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).casefold()
    return "".join(each for each in parts if not unicodedata.combining(each))


class ReadOnly(Database):  # type: ignore[misc]  # Datasette has no types
    """A SQLite file that no connection can write to; it shows what a sync writes meanwhile."""

    def connect(self, write: bool = False) -> sqlite3.Connection:  # noqa: FBT001, FBT002 Datasette's signature
        """Open the file, which another process may be writing to."""
        if write:
            raise PermissionError("explore never writes")
        address = f"file:{quote(str(self.path))}?mode=ro"
        connection = sqlite3.connect(address, uri=True, check_same_thread=False)
        connection.execute("PRAGMA query_only = on")
        connection.create_function(holds_words.__name__, 2, holds_words, deterministic=True)
        self._all_file_connections.append(connection)
        return connection


def make_app(file: Path) -> _App:
    """Return the application for a database file.

    Raises:
        DatabaseError: the file cannot be read.
    """
    from datasette import handle_exception  # an import before Datasette's removes it from the plugins

    here = Path(__file__).parent
    datasette = Datasette(
        [], metadata=describe(), settings=_SETTINGS, template_dir=str(here / "templates"),
        static_mounts=[("own", str(here / "static"))],
    )  # fmt: skip
    datasette.remove_database("_memory")
    database = datasette.add_database(ReadOnly(datasette, str(file)), name=DATABASE)
    try:
        database.connect().execute("select 1 from task_overview limit 1").fetchall()
    except sqlite3.Error as error:
        message = f"{file}: cannot be read: {error}; run it as a user who may write to the file's folder"
        raise DatabaseError(message) from error
    # With rich, each mistyped statement would print a long traceback with all values.
    handle_exception.rich = None
    for plugin in (foreign_key_links, template_variables):
        if not pm.is_registered(plugin):
            pm.register(plugin)
    app: _App = datasette.app()
    return app


def listen(port: int) -> socket.socket:
    """Return a socket that listens on this machine alone, at a free port for 0.

    Raises:
        ConfigError: the port is taken.
    """
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise ConfigError(f"--port {port}: {error.strerror}; choose another, or 0 for a free one") from error


def serve(app: _App, listening: socket.socket) -> None:
    """Answer until SIGINT or SIGTERM."""
    config = uvicorn.Config(
        _for_this_machine(app, listening.getsockname()[1]),
        log_level="warning",
        lifespan="on",
        timeout_graceful_shutdown=_PATIENCE,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _for_this_machine(app: _App, port: int) -> _App:
    """Refuse requests for another host name: a foreign page may point its own name to this machine."""
    own = {f"{name}:{port}".encode() for name in (HOST, "localhost")}

    async def guarded(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or dict(scope["headers"]).get(b"host") in own:
            await app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"This is not the host that you asked for.\n"})

    return guarded
