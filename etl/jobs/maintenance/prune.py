"""Retention: deletes old rows of the ledger and old rejected records, one source in one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct
from sqlalchemy import Connection, Engine

from etl.api_record import Row
from etl.jobs.run.source_lease import hold_source
from etl.load.ledger import prune_old_rows, sources

COMMAND = "prune"


class Ages(Struct, frozen=True):
    """The age from which on rows are deleted; None keeps all."""

    runs: timedelta | None = None
    windows: timedelta | None = None
    rejected: timedelta | None = None


class Pruned(Struct, frozen=True):
    """How many rows of a source were deleted."""

    source: str
    rejected: int
    windows: int
    runs: int


def prune(engine: Engine, source: Row, ages: Ages, *, now: datetime, dry_run: bool = False) -> Pruned:
    """Delete what is older than its age allows; with ``dry_run`` only count it.

    Raises:
        LockedError: another run works on the source.
    """
    identity = sources.identity(source["host"], source["account_id"], source["stream_id"])
    with (
        hold_source(engine, COMMAND, source=identity, name=source["name"]),
        engine.connect() as connection,
        connection.begin() as transaction,
    ):
        done = _pruned(connection, source, ages, now)
        if dry_run:
            transaction.rollback()
    return done


def _pruned(connection: Connection, source: Row, ages: Ages, now: datetime) -> Pruned:
    mine = source["id"]
    # In this order: rejected records name windows, and windows name runs.
    return Pruned(
        source["name"],
        rejected=prune_old_rows.drop_rejected(connection, mine, now - ages.rejected) if ages.rejected else 0,
        windows=prune_old_rows.merge_windows(connection, mine, now - ages.windows) if ages.windows else 0,
        runs=prune_old_rows.drop_runs(connection, mine, now - ages.runs) if ages.runs else 0,
    )
