"""The right to work on a source: one sync and one backfill may run, and the sync goes first.

Each holds the lock of its own kind for its whole life, so a second run of that kind ends at once. Both fetch and store
only while they hold the lease. A sync keeps it. A backfill lets it go now and then between two pages.

The workers that read the windows of a distributed backfill share the lease, each for one transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import copy_context
from threading import Lock as Mutex
from threading import Timer
from typing import Any

from sqlalchemy import Connection, Engine, text

from etl.load.database.engine import reading
from etl.load.database.locks import Lock, held, named_lock, share_lock
from etl.load.ledger.runs import BACKGROUND
from etl.load.ledger.sources import identity
from etl.load.schema import migrate
from etl.logs import get_logger

log = get_logger()

_KEPT = 1.0  # seconds that a backfill keeps the lease
_COURTESY = 0.02  # seconds in which a waiting sync can take it
_LONG = 10.0  # seconds: a wait that is told


class SourceLease:
    """The right to fetch and store, held from the start; without a ``lock`` each transaction takes it for itself.

    ``storing`` is held by a thread that stores; ``make_way`` waits for it before it lets another run work.
    """

    def __init__(self, lock: Lock | None = None, *, makes_way: bool = False) -> None:
        self.storing = Mutex()
        self._lock = lock
        self._makes_way = makes_way
        self._since = 0.0
        self._take()

    def make_way(self) -> None:
        """Let a waiting sync go first, if this run is a backfill that had its time; return when the lease is back."""
        if not self._makes_way or time.monotonic() - self._since < _KEPT:
            return
        with self.storing:
            if time.monotonic() - self._since < _KEPT:
                return  # another thread has just done it
            self.release()
            time.sleep(_COURTESY)
            self._take()

    def release(self) -> None:
        """Give the lease up."""
        if self._lock is not None:
            self._lock.release()

    def _take(self) -> None:
        if self._lock is not None and not self._lock.acquire(wait=False):
            with _warning_of_a_long_wait():
                self._lock.acquire(wait=True)
        self._since = time.monotonic()


@contextmanager
def _warning_of_a_long_wait() -> Iterator[None]:
    """Log once that a run waits; the other one may stand still."""
    hint = "another run of this source is at work and does not make way; see: kore-etl runs"
    told = Timer(_LONG, copy_context().run, [log.warning, "lease.waiting"], {"hint": hint})
    told.daemon = True
    told.start()
    try:
        yield
    finally:
        told.cancel()


def command_lock(engine: Engine, command: str, source: str) -> Lock:
    """Return the lock that a run of this command on a source holds for its whole life."""
    return named_lock(engine, f"{'backfill' if command in BACKGROUND else 'sync'} {source}")


def share_lease(connection: Connection, source: str) -> bool:
    """Let no sync of a source, given by its identity, begin until a transaction ends; False if one works or waits."""
    return not command_lock(connection.engine, "sync", source).is_held() and share_lock(connection, _lease(source))


def _lease(source: str) -> str:
    return f"turn {source}"


@contextmanager
def keep_runs_out(engine: Engine, *, source: str, name: str) -> Iterator[None]:
    """Let no run begin on a source, given by its identity, and no worker store for it.

    Raises:
        LockedError: a run is under way.
    """
    with ExitStack() as locks:
        for command in ("sync", "backfill"):
            locks.enter_context(held(command_lock(engine, command, source), f"source {name}"))
        lease = SourceLease(named_lock(engine, _lease(source)))
        locks.callback(lease.release)
        yield


@contextmanager
def keep_all_runs_out(engine: Engine) -> Iterator[None]:
    """Let no run begin on any source of a database, and no worker store for one.

    Raises:
        LockedError: a run is under way.
    """
    found: Sequence[Any] = ()
    if migrate.current(engine) is not None:
        with reading(engine) as connection:
            found = connection.execute(text("select name, host, account_id, stream_id from sources")).all()
    with ExitStack() as locks:
        for name, host, account_id, stream_id in found:
            locks.enter_context(keep_runs_out(engine, source=identity((host, account_id, stream_id)), name=name))
        yield


@contextmanager
def hold_source(engine: Engine, command: str, *, source: str, name: str) -> Iterator[SourceLease]:
    """Give a command the lease of a source, given by its identity.

    Raises:
        LockedError: another run of the same kind is under way.
    """
    with held(command_lock(engine, command, source), f"source {name}"):
        lease = SourceLease(named_lock(engine, _lease(source)), makes_way=command in BACKGROUND)
        try:
            yield lease
        finally:
            lease.release()
