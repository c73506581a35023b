"""Retention: deletes old rows of the ledger and old rejected records, one source in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Engine

from etl.api_record import Row
from etl.jobs.run.source_lease import hold_source
from etl.load.ledger import prune_old_rows, sources

# In this order: rejected records name windows, and windows name runs.
_PRUNERS = {
    "rejected": prune_old_rows.drop_rejected,
    "windows": prune_old_rows.merge_windows,
    "runs": prune_old_rows.drop_runs,
}


def prune(
    engine: Engine, source: Row, ages: Mapping[str, timedelta | None], *, now: datetime, dry_run: bool = False
) -> Row:
    """Delete what is older than its age allows, with ``dry_run`` only count it; return the numbers by kind.

    ``ages`` has one for ``rejected``, ``windows`` and ``runs``; None keeps all.

    Raises:
        LockedError: another run works on the source.
    """
    identity = sources.identity(sources.identity_of(source))
    done: Row = {"source": source["name"]}
    with (
        hold_source(engine, "prune", source=identity, name=source["name"]),
        engine.connect() as connection,
        connection.begin() as transaction,
    ):
        for kind, remove in _PRUNERS.items():
            age = ages[kind]
            done[kind] = remove(connection, source["id"], now - age) if age else 0
        if dry_run:
            transaction.rollback()
    return done
