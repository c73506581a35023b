"""Stores the sources and the capabilities of their servers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import orjson
from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, or_, select, update

from etl.api_record import Row
from etl.errors import ConfigError
from etl.load.schema.ledger_tables import sources, sync_windows
from etl.load.schema.task_tables import metadata
from etl.settings import Identity, host_of

_WAS_READ = or_(sources.c.probed_at.is_not(None), exists().where(sync_windows.c.source_id == sources.c.id))


class Source(Struct, frozen=True):
    """A stream of tasks as the database knows it.

    ``capabilities`` is JSON; ``shape`` names the rules that made the stored rows.
    """

    id: int
    name: str
    stream_id: str
    history_start: datetime | None
    capabilities: dict[str, Any] | None
    probed_at: datetime | None
    shape: str | None = None
    verify_position: datetime | None = None
    verified_until: datetime | None = None
    missing_searched: int | None = None
    missing_searched_at: datetime | None = None
    collapse_accepted_at: datetime | None = None
    absent_ids: list[str] | None = None


def register(
    connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str, now: datetime
) -> Source:
    """Return the source of this host, account and stream; add or rename its row if needed.

    A source that was never read takes the new host: the old one may have been mistyped.

    Raises:
        ConfigError: the source of this name has another host, and nobody confirmed a move.
    """
    host = host_of(base_url)
    before = moved_from(connection, name=name, base_url=base_url, account_id=account_id, stream_id=stream_id)
    if before is not None:
        raise unsettled_move(name, before, base_url)
    same = is_source(host, account_id, stream_id)
    query = select(sources).where(same)
    row = connection.execute(query).mappings().one_or_none()
    unread = (sources.c.name == name) & is_stream(account_id, stream_id) & ~_WAS_READ
    if row is None and connection.execute(update(sources).where(unread).values(base_url=base_url, host=host)).rowcount:
        row = connection.execute(query).mappings().one()
    if row is None:
        values = {"name": name, "base_url": base_url, "host": host, "account_id": account_id, "stream_id": stream_id}
        connection.execute(insert(sources).values(**values, created_at=now))
        row = connection.execute(query).mappings().one()
    elif (row["name"], row["base_url"]) != (name, base_url):
        connection.execute(update(sources).where(same).values(name=name, base_url=base_url))
    return Source(**{**{each: row[each] for each in Source.__struct_fields__}, "name": name})


def is_source(host: str, account_id: str, stream_id: str) -> ColumnElement[bool]:
    """Return the condition for a source's row."""
    return (sources.c.host == host) & is_stream(account_id, stream_id)


def is_stream(account_id: str, stream_id: str) -> ColumnElement[bool]:
    """Return the condition for the rows of an account's stream, on whatever host."""
    return (sources.c.account_id == account_id) & (sources.c.stream_id == stream_id)


def identity(source: Identity) -> str:
    """Return a source's host, account and stream as one text, such as for its lock."""
    return " ".join(source)


def identity_of(source: Row) -> Identity:
    """Return host, account and stream from a source's row."""
    return source["host"], source["account_id"], source["stream_id"]


def moved_from(connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str) -> str | None:
    """Return the old base_url of a source of this name, account and stream if its host differs, else None."""
    own = sources.c
    query = select(own.host, own.name, own.base_url, _WAS_READ.label("was_read"))
    known = {row.host: row for row in connection.execute(query.where(is_stream(account_id, stream_id)))}
    if host_of(base_url) in known:
        return None
    return next((row.base_url for row in known.values() if row.name == name and row.was_read), None)


def unsettled_move(name: str, before: str, base_url: str) -> ConfigError:
    """Return the error for a source whose host has changed without a confirmed move."""
    message = f"base_url: source {name} was read from {host_of(before)} before, and now from {host_of(base_url)}"
    then = "if the server has moved, run: kore-etl check --moved; if it is another, give the source another name"
    return ConfigError(f"{message}; {then}")


def move(connection: Connection, *, name: str, base_url: str, account_id: str, stream_id: str) -> None:
    """Give a source its new host: its server has moved."""
    mine = (sources.c.name == name) & is_stream(account_id, stream_id)
    connection.execute(update(sources).where(mine).values(base_url=base_url, host=host_of(base_url)))


def remember(connection: Connection, source_id: int, capabilities: dict[str, Any], probed_at: datetime | None) -> None:
    """Store the capabilities; without ``probed_at`` the next run's probe asks what is unknown."""
    put(connection, source_id, capabilities=orjson.dumps(capabilities).decode(), probed_at=probed_at)


def shape(connection: Connection, source_id: int) -> str | None:
    """Return how the rows of a source were made."""
    return connection.execute(select(sources.c.shape).where(sources.c.id == source_id)).scalar()


def put(connection: Connection, source_id: int, /, **values: object) -> None:
    """Store columns of a source."""
    connection.execute(update(sources).where(sources.c.id == source_id).values(**values))


def remember_absent(connection: Connection, source_id: int, ids: Iterable[str]) -> None:
    """Store which tasks are deleted on the server and wait to be marked."""
    kept = sorted(ids)
    put(connection, source_id, absent_ids=orjson.dumps(kept).decode() if kept else None)


def row_counts(connection: Connection, source_id: int) -> dict[str, int]:
    """Return the number of a source's rows by table, without empty tables."""
    tables = [table for table in metadata.sorted_tables if "source_id" in table.c]
    counts = {
        f"{table.name}": int(
            connection.execute(
                select(func.count()).select_from(table).where(table.c.source_id == source_id)
            ).scalar_one()
        )
        for table in tables
    }
    return {name: count for name, count in counts.items() if count}


def drop(connection: Connection, source_id: int) -> None:
    """Delete a source with all its rows."""
    for table in reversed(metadata.sorted_tables):
        if "source_id" in table.c:
            connection.execute(delete(table).where(table.c.source_id == source_id))
    connection.execute(delete(sources).where(sources.c.id == source_id))
