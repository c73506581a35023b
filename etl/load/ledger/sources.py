"""The sources that a database knows, and what was found out of each one's server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, insert, select, update

from etl.errors import ConfigError
from etl.load.schema.tables import sources

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Source:
    """A stream of tasks as the database knows it.

    ``capabilities`` are the probe's answers as JSON, ``shape`` tells by what the stored rows were made.
    """

    id: int
    name: str
    stream_id: str
    history_start: datetime | None
    capabilities: dict[str, Any] | None
    probed_at: datetime | None
    shape: str | None = None


def register(
    connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str, now: datetime
) -> Source:
    """Return the source of this host, account and stream, making or renaming its row where needed.

    Raises:
        ConfigError: the source of this name has another host, and nobody has said whether it moved.
    """
    host = host_of(base_url)
    before = moved_from(connection, name=name, base_url=base_url, account_id=account_id, stream_id=stream_id)
    if before is not None:
        raise unsettled_move(name, before, base_url)
    same = (sources.c.host == host) & (sources.c.account_id == account_id) & (sources.c.stream_id == stream_id)
    row = connection.execute(select(sources).where(same)).one_or_none()
    if row is None:
        values = {"name": name, "base_url": base_url, "host": host, "account_id": account_id, "stream_id": stream_id}
        connection.execute(insert(sources).values(**values, created_at=now))
        row = connection.execute(select(sources).where(same)).one()
    elif (row.name, row.base_url) != (name, base_url):
        connection.execute(update(sources).where(same).values(name=name, base_url=base_url))
    return Source(row.id, name, stream_id, row.history_start, row.capabilities, row.probed_at, row.shape)


def host_of(base_url: str) -> str:
    """Return the host of a URL, which with account and stream makes a source."""
    return (urlsplit(base_url).hostname or "").lower()


def identity(host: str, account_id: str, stream_id: str) -> str:
    """Return what a source is called where one word is needed, such as for its lock."""
    return f"{host} {account_id} {stream_id}"


def moved_from(connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str) -> str | None:
    """Return the base_url that a source of this name, account and stream had, if its host was another; else None."""
    own = sources.c
    same = (own.account_id == account_id, own.stream_id == stream_id)
    known = {row.host: row for row in connection.execute(select(own.host, own.name, own.base_url).where(*same))}
    if host_of(base_url) in known:
        return None
    return next((row.base_url for row in known.values() if row.name == name), None)


def unsettled_move(name: str, before: str, base_url: str) -> ConfigError:
    """Return the error for a source whose host has changed, and nobody has said whether its server moved."""
    message = f"base_url: source {name} was read from {host_of(before)} so far, and now from {host_of(base_url)}"
    then = "if the server has moved, run: kore-etl check --moved; if it is another, give the source another name"
    return ConfigError(f"{message}; {then}")


def move(connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str) -> None:
    """Let a source have another host from now on: its server has moved."""
    own = sources.c
    mine = (own.name == name, own.account_id == account_id, own.stream_id == stream_id)
    connection.execute(update(sources).where(*mine).values(base_url=base_url, host=host_of(base_url)))


def remember(connection: Connection, source_id: int, capabilities: dict[str, Any], now: datetime) -> None:
    """Keep what the probe found out."""
    values = {"capabilities": orjson.dumps(capabilities).decode(), "probed_at": now}
    connection.execute(update(sources).where(sources.c.id == source_id).values(**values))


def set_history_start(connection: Connection, source_id: int, start: datetime) -> None:
    """Keep where the history of this source begins."""
    connection.execute(update(sources).where(sources.c.id == source_id).values(history_start=start))
