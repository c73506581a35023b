"""The sources that a database knows, and what was found out of each one's server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Connection, insert, select, update

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
    """Return the source of this account and stream, making or renaming its row where needed.

    The stream is what a source is; its name and host are how the settings call it today.
    """
    same = (sources.c.account_id == account_id) & (sources.c.stream_id == stream_id)
    row = connection.execute(select(sources).where(same)).one_or_none()
    if row is None:
        values = {"name": name, "base_url": base_url, "account_id": account_id, "stream_id": stream_id}
        connection.execute(insert(sources).values(**values, created_at=now))
        row = connection.execute(select(sources).where(same)).one()
    elif (row.name, row.base_url) != (name, base_url):
        connection.execute(update(sources).where(same).values(name=name, base_url=base_url))
    return Source(row.id, name, stream_id, row.history_start, row.capabilities, row.probed_at, row.shape)


def remember(connection: Connection, source_id: int, capabilities: dict[str, Any], now: datetime) -> None:
    """Keep what the probe found out."""
    values = {"capabilities": orjson.dumps(capabilities).decode(), "probed_at": now}
    connection.execute(update(sources).where(sources.c.id == source_id).values(**values))


def set_history_start(connection: Connection, source_id: int, start: datetime) -> None:
    """Keep where the history of this source begins."""
    connection.execute(update(sources).where(sources.c.id == source_id).values(history_start=start))
