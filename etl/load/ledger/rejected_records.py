"""Stores rejected records, each once by its content, so that none is lost silently."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from etl.load.database.dialect import insert_into
from etl.load.schema.ledger_tables import rejected_records

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a record was read."""

    source_id: int
    run_id: int
    window_id: int | None


def keep(
    connection: Connection, rejections: Iterable[tuple[str, str | None, str]], origin: Origin, now: datetime
) -> int:
    """Store each (reason, record id, raw text); count a known one again and update its last time.

    Return how many are not acknowledged.
    """
    to_be_looked_at = 0
    for reason, record_id, raw in rejections:
        statement = insert_into(connection, rejected_records).values(
            source_id=origin.source_id,
            digest=digest_of(raw),
            record_id=record_id,
            reason=reason,
            raw=raw,
            times_seen=1,
            first_seen_at=now,
            last_seen_at=now,
            first_run_id=origin.run_id,
            last_run_id=origin.run_id,
            window_id=origin.window_id,
        )
        new, old = statement.excluded, rejected_records.c
        again = {
            "times_seen": old.times_seen + 1,
            "reason": new.reason,
            "last_seen_at": new.last_seen_at,
            "last_run_id": new.last_run_id,
            "window_id": new.window_id,
        }
        upsert = statement.on_conflict_do_update(index_elements=["source_id", "digest"], set_=again)
        acknowledged_at = connection.execute(upsert.returning(old.acknowledged_at)).scalar_one()
        to_be_looked_at += acknowledged_at is None
    return to_be_looked_at


def digest_of(raw: str) -> str:
    """Return the digest of a record's text, to find equal texts."""
    return blake2b(raw.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
