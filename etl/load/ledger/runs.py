"""Stores the ledger of runs: one row for each run of a command on a source, with its counts and its outcome."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, insert, or_, select, update

from etl import __version__
from etl.errors import ExitCode, LockedError
from etl.load.schema.ledger_tables import sync_runs, sync_windows
from etl.times import parse_time

BACKGROUND = frozenset({"backfill"})  # the commands that run beside the others and let them go first
DISTRIBUTED = "distributed"  # the state of a run whose windows workers read
SYNCS = ("sync", "reconcile")  # the commands after which everything up to now is stored
_ENDED = sync_runs.c.exit_code.in_((ExitCode.DONE, ExitCode.INCOMPLETE))
_OPEN = ("running", DISTRIBUTED)
_MOST_ERROR_TEXT = 2000


def begin(connection: Connection, source_id: int, command: str, *, settings: Mapping[str, Any], now: datetime) -> int:
    """Open a run's row, close the rows of dead runs, and return the new row's id.

    The caller holds the lock of its command. All commands share one lock, except those in ``BACKGROUND``. So another
    row of that lock that still says ``running`` belongs to a dead run. A backfill also takes over from a distributed
    one.
    """
    in_background = sync_runs.c.command.in_(BACKGROUND)
    shares_lock = in_background if command in BACKGROUND else ~in_background
    dead = (sync_runs.c.source_id == source_id) & sync_runs.c.state.in_(_OPEN) & shares_lock
    ids = connection.execute(select(sync_runs.c.id).where(dead)).scalars().all()
    abandon(connection, ids, now)
    values = {
        "source_id": source_id,
        "command": command,
        "state": "running",
        "started_at": now,
        "version": __version__,
        "settings": orjson.dumps(settings, default=str).decode(),
    }
    return int(connection.execute(insert(sync_runs).values(**values).returning(sync_runs.c.id)).scalar_one())


def abandon(connection: Connection, ids: Sequence[int], now: datetime) -> None:
    """Close the rows of dead runs, and of distributed ones from which another run takes over."""
    if not ids:
        return
    why = case((sync_runs.c.state == DISTRIBUTED, "another run took over"), else_="ended without closing its row")
    values = {"state": "abandoned", "finished_at": now, "error": why}
    connection.execute(update(sync_runs).where(sync_runs.c.id.in_(ids)).values(**values))
    close_windows(connection, ids)


def require_owner(connection: Connection, run_id: int) -> None:
    """Make sure that a run owns its source until the transaction ends.

    A run owns its source while its row says ``running`` or ``distributed``: its successor closes that row in the
    transaction that opens its own row. So a run that lost its lock stores nothing more.

    Raises:
        LockedError: another run has taken over.
    """
    mine = (sync_runs.c.id == run_id) & sync_runs.c.state.in_(_OPEN)
    if connection.execute(select(sync_runs.c.id).where(mine).with_for_update()).first() is None:
        message = f"another run has taken over from run {run_id}, which lost its lock and stored nothing since"
        raise LockedError(message)


def hand_over(connection: Connection, run_id: int) -> None:
    """Leave a run's windows to workers, as a backfill; its row stays open until one has read the last window."""
    values = {"state": DISTRIBUTED, "command": "backfill"}
    connection.execute(update(sync_runs).where(sync_runs.c.id == run_id).values(**values))


def latest(connection: Connection, source_id: int) -> int:
    """Return the id of the latest run of a source."""
    return int(
        connection.execute(select(func.max(sync_runs.c.id)).where(sync_runs.c.source_id == source_id)).scalar_one()
    )


def has_begun_since(connection: Connection, source_id: int, run_id: int) -> bool:
    """Tell whether a run of a source has begun after another run."""
    query = select(sync_runs.c.id).where(sync_runs.c.id > run_id, sync_runs.c.source_id == source_id).limit(1)
    return connection.execute(query).first() is not None


def have_stored_since(connection: Connection, source_id: int, moment: datetime) -> bool:
    """Tell whether a run that worked after a time has stored a new or changed task."""
    run = sync_runs.c
    after = or_(run.finished_at.is_(None), run.finished_at > moment)
    query = select(run.id).where(run.source_id == source_id, after, run.inserted + run.updated > 0).limit(1)
    return connection.execute(query).first() is not None


def hidden(connection: Connection, source_id: int) -> int:
    """Return how many tasks the server counts and never shows, as the latest account says."""
    run = sync_runs.c
    query = select(run.hidden).where(run.source_id == source_id, run.hidden.is_not(None)).order_by(run.id.desc())
    return int(connection.execute(query.limit(1)).scalar() or 0)


class LastAccount(NamedTuple):
    """The latest account, by the names of ``sync_runs``, when its run ended, and the setting ``start`` that it had."""

    account: dict[str, int]
    ended_at: datetime
    start: datetime | None


def last_account(connection: Connection, source_id: int) -> LastAccount | None:
    """Return the latest account of a run that came to its end; None where the server never told a total."""
    run = sync_runs.c
    columns = (run.server_total, run.stored_live, run.quarantined, run.hidden, run.missing)
    query = _accounts(source_id, *columns, run.finished_at, run.settings).where(run.stored_live.is_not(None))
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    *values, ended_at, settings = row
    account = {str(column.name): value for column, value in zip(columns, values, strict=True)}
    return LastAccount(account, ended_at, parse_time(settings.get("start")))


def account_of_part(connection: Connection, source_id: int, start: datetime | None) -> LastAccount | None:
    """Return the latest account; None where it is of another part of history, because ``start`` was another."""
    last = last_account(connection, source_id)
    return last if last is not None and last.start == start else None


def last_surplus(connection: Connection, source_id: int, start: datetime | None, *, at_least: int) -> int | None:
    """Return how many more tasks were stored than the server counted at the last account, if ``start`` was the same.

    None where ``at_least`` this total may be capped: the server never counted this many or more with nothing left over
    here, and the last change of the total was not in step with what is stored.
    """
    last = account_of_part(connection, source_id, start)
    if last is None:
        return None
    run = sync_runs.c
    surplus, total = run.stored_live - run.server_total, last.account["server_total"]
    found = last.account["stored_live"] - total
    accounts = _accounts(source_id, run.server_total, surplus).where(run.stored_live.is_not(None))
    whole = and_(surplus + run.quarantined + run.hidden <= 0, run.server_total >= at_least)
    proven = _accounts(source_id, run.id).where(or_(whole, run.server_total > at_least))
    if connection.execute(proven).first() is None:
        before = connection.execute(accounts.where(run.server_total != total)).first()
        if before is None or before[1] != found:
            return None
    return found


def implausible_since(connection: Connection, source_id: int) -> datetime | None:
    """Return when a run first failed by what the server counted, since a sync last came to its end."""
    run = sync_runs.c
    mine = run.source_id == source_id
    ended = select(run.id).where(mine, run.command.in_(SYNCS), _ENDED).order_by(run.id.desc()).limit(1)
    last = func.coalesce(ended.scalar_subquery(), 0)
    failed = mine & (run.exit_code == ExitCode.UNREACHABLE) & run.server_total.is_not(None)
    return connection.execute(select(func.min(run.started_at)).where(failed, run.id > last)).scalar()


def _accounts(source_id: int, *columns: ColumnElement[Any]) -> Select[Any]:
    run = sync_runs.c
    query = select(*columns).where(run.source_id == source_id, run.server_total.is_not(None), _ENDED)
    return query.order_by(run.id.desc()).limit(1)


def progress(connection: Connection, run_id: int, counts: Mapping[str, Any]) -> None:
    """Update the row's counts."""
    connection.execute(update(sync_runs).where(sync_runs.c.id == run_id).values(**counts))


def add_counts(connection: Connection, run_id: int, more: Mapping[str, int]) -> None:
    """Add to the row's counts, of a run that several workers work on."""
    columns = sync_runs.c
    values = {name: columns[name] + value for name, value in more.items() if value}
    if values:
        connection.execute(update(sync_runs).where(columns.id == run_id).values(**values))


def finish(  # noqa: PLR0913 a row's columns
    connection: Connection,
    run_id: int,
    *,
    state: str,
    exit_code: int,
    counts: Mapping[str, Any],
    now: datetime,
    error: str | None = None,
) -> None:
    """Close a run's row.

    Raises:
        LockedError: another run has taken over and closed the row.
    """
    require_owner(connection, run_id)
    values = {**counts, "state": state, "exit_code": exit_code, "finished_at": now}
    values["error"] = _storable(error)[:_MOST_ERROR_TEXT] if error else None
    connection.execute(update(sync_runs).where(sync_runs.c.id == run_id).values(**values))
    if exit_code not in (ExitCode.DONE, ExitCode.INCOMPLETE):
        close_windows(connection, [run_id])


def _storable(text: str) -> str:
    """Clean an error's text: PostgreSQL refuses NUL, UTF-8 refuses lone surrogates."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode()


def close_windows(connection: Connection, run_ids: Sequence[int]) -> None:
    """Close the windows that runs left open at their checkpoints."""
    left = sync_windows.c.run_id.in_(run_ids) & sync_windows.c.state.in_(("pending", "running"))
    values: dict[str, Any] = {"state": "failed", "claimable_at": None, "error": "the run ended half-way"}
    connection.execute(update(sync_windows).where(left).values(**values))
