"""Shares the windows of a distributed run among workers: one worker at a time claims a window, under a lease.

``claimable_at`` is the time from which a window may be claimed. A window that waits may be claimed at once, one that is
read when its lease runs out. A worker renews its leases. Each claim raises ``attempts``, so a worker whose window was
claimed again can prove nothing any more. The clock is the database's.

The last window of a run is empty. It can be claimed once all others are read. The worker that claims it ends the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Connection, Interval, and_, case, cast, exists, func, insert, or_, select, update

from etl.errors import LockedError
from etl.load.ledger import runs, windows
from etl.load.ledger.runs import DISTRIBUTED
from etl.load.ledger.sources import is_source
from etl.load.ledger.windows import WindowRow
from etl.load.schema.ledger_tables import sources, sync_runs, sync_windows
from etl.settings import Identity

_WINDOW = sync_windows.c
_RUN = sync_runs.c


_NOW = func.clock_timestamp()
_IS_CLAIMABLE = (_RUN.state == DISTRIBUTED) & (_WINDOW.claimable_at <= _NOW)


class Claim(Struct, frozen=True, eq=False):
    """A window ``[start, end)`` that one worker may read; ``counts`` are those of its run so far.

    ``latest_run`` is the id of the latest run of any source at the time of the claim.
    """

    window_id: int
    attempt: int
    run_id: int
    source_id: int
    account_id: str
    job: str
    field: str
    start: datetime
    end: datetime
    checkpoint: datetime
    rows: int
    requests: int
    total: int | None
    problem: str
    latest_run: int
    counts: Mapping[str, int]

    @property
    def is_last(self) -> bool:
        """Tell whether all other windows of the run are read."""
        return self.start == self.end


class Distributed(Struct, frozen=True):
    """The windows of a distributed run: how many wait, are claimed, and are read."""

    run_id: int
    waiting: int
    claimed: int
    read: int


def add(
    connection: Connection, source_id: int, /, ranges: Iterable[tuple[datetime, datetime]], **values: object
) -> None:  # fmt: skip
    """Let workers claim these ranges; ``values`` are ``run_id``, ``job``, ``field``, ``strategy``, ``opened_at``."""
    rows = [
        {"start_at": start, "end_at": end, "checkpoint_at": start, "source_id": source_id, "state": "pending", **values}
        for start, end in ranges
    ]
    connection.execute(insert(sync_windows).values(claimable_at=func.now()), rows)


def claim(
    connection: Connection, source: Identity, lease: timedelta, counters: Collection[str]
) -> Claim | None:  # fmt: skip
    """Claim the earliest window of a source that may be claimed, None if none may; read ``counters`` of its run."""
    other = sync_windows.alias()
    is_another_left = exists().where(
        other.c.run_id == _WINDOW.run_id, other.c.claimable_at.is_not(None), other.c.end_at > other.c.start_at
    )
    query = (  # in the order of Claim's fields
        select(
            _WINDOW.id, _WINDOW.attempts + 1, _WINDOW.run_id, _WINDOW.source_id, sources.c.account_id,
            _WINDOW.job, _WINDOW.field, _WINDOW.start_at, _WINDOW.end_at, _WINDOW.checkpoint_at, _WINDOW.rows,
            _WINDOW.requests, _WINDOW.reported_total, func.coalesce(_WINDOW.error, ""),
            select(func.max(_RUN.id)).scalar_subquery(),
        )
        .join(sync_runs, _RUN.id == _WINDOW.run_id)
        .join(sources, sources.c.id == _WINDOW.source_id)
        .where(is_source(*source), _IS_CLAIMABLE, or_(_WINDOW.end_at > _WINDOW.start_at, ~is_another_left))
        .order_by(_WINDOW.start_at, _WINDOW.id)
        .limit(1)
        .with_for_update(skip_locked=True, of=sync_windows)
    )  # fmt: skip
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    counts = select(*(_RUN[name] for name in counters)).where(_RUN.id == row.run_id)
    columns: list[Any] = [*row, dict(zip(counters, connection.execute(counts).one(), strict=True))]
    claimed = Claim(*columns)
    values = {"state": "running", "attempts": claimed.attempt, "claimable_at": _end_of(lease)}
    connection.execute(update(sync_windows).where(_WINDOW.id == claimed.window_id).values(**values))
    return claimed


def claim_own(connection: Connection, source_id: int, /, run_id: int) -> WindowRow | None:
    """Claim the earliest window of a run for a thread of its own process, without a lease; None if none is left.

    The caller owns the run, so its threads follow each other here.
    """
    mine = (_WINDOW.source_id == source_id) & (_WINDOW.run_id == run_id) & _WINDOW.claimable_at.is_not(None)
    row = next(iter(windows.rows(connection, mine, limit=1)), None)
    if row is not None:
        values = {"state": "running", "attempts": _WINDOW.attempts + 1, "claimable_at": None}
        connection.execute(update(sync_windows).where(_WINDOW.id == row.id).values(**values))
    return row


def require(connection: Connection, claim: Claim) -> None:
    """Make sure that a worker holds the lease of its window until the transaction ends.

    Raises:
        LockedError: the lease has run out.
    """
    query = select(_WINDOW.id).where(_is_held(claim)).with_for_update()
    if connection.execute(query).first() is None:
        message = f"the lease of window {claim.window_id} has run out, so another worker reads it; nothing was stored"
        raise LockedError(message)


def renew(connection: Connection, claims: Iterable[Claim], lease: timedelta) -> None:
    """Let the leases of some windows end later. A lease that has run out stays so."""
    held = or_(*(_is_held(each) for each in claims))
    connection.execute(update(sync_windows).where(held).values(claimable_at=_end_of(lease)))


def release(connection: Connection, claim: Claim) -> bool:
    """Let others claim a window at its checkpoint; False if its lease has run out."""
    values = {"state": "pending", "claimable_at": _NOW}
    return connection.execute(update(sync_windows).where(_is_held(claim)).values(**values)).rowcount == 1


def claimable_sources(connection: Connection) -> list[Identity]:
    """Return the sources, by host, account and stream, that have a window which may be claimed now."""
    own = sources.c
    query = select(own.host, own.account_id, own.stream_id).distinct()
    query = query.join(sync_windows, _WINDOW.source_id == own.id).join(sync_runs, _RUN.id == _WINDOW.run_id)
    return [(row[0], row[1], row[2]) for row in connection.execute(query.where(_IS_CLAIMABLE))]


def is_distributed(connection: Connection, source: Identity, job: str) -> bool:
    """Tell whether workers read the windows of a source's job."""
    return bool(_distributed_runs(connection, is_source(*source), job))


def take_over(connection: Connection, source_id: int, job: str, now: datetime) -> None:
    """Take the windows of a job from the workers, whose run ends here."""
    runs.abandon(connection, _distributed_runs(connection, sources.c.id == source_id, job), now)


def _distributed_runs(connection: Connection, source: ColumnElement[bool], job: str) -> Sequence[int]:
    mine = source & (_RUN.state == DISTRIBUTED) & (_WINDOW.job == job)
    query = select(_RUN.id).join(sources, sources.c.id == _RUN.source_id).join(sync_windows, _WINDOW.run_id == _RUN.id)
    return connection.execute(query.where(mine).distinct()).scalars().all()


def distributed(connection: Connection, source_id: int) -> Distributed | None:
    """Return the state of a source's distributed run, None if it has none. The last window does not count."""
    run = select(func.max(_RUN.id)).where(_RUN.source_id == source_id, _RUN.state == DISTRIBUTED)
    run_id = connection.execute(run).scalar()
    if run_id is None:
        return None
    states = ("pending", "running")
    counts = [func.count(case((_WINDOW.state == state, 1))) for state in states]
    read = func.count(case((_WINDOW.state.not_in(states), 1)))
    query = select(*counts, read).where(_WINDOW.run_id == run_id, _WINDOW.end_at > _WINDOW.start_at)
    row = connection.execute(query).one()
    return Distributed(run_id, waiting=row[0], claimed=row[1], read=row[2])


def _is_held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        _WINDOW.id == claim.window_id,
        _WINDOW.attempts == claim.attempt,
        _WINDOW.state == "running",
        _WINDOW.claimable_at > _NOW,
    )


def _end_of(lease: timedelta) -> ColumnElement[datetime]:
    return _NOW + cast(lease, Interval)
