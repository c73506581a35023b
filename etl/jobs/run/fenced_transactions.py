"""The database as one source's run sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from threading import get_ident
from typing import Concatenate, ParamSpec, TypeVar

from msgspec.structs import asdict
from sqlalchemy import Connection, Engine

from etl.errors import DatabaseError, LockedError
from etl.jobs.run.options import RunCounters
from etl.jobs.run.source_lease import share_lease
from etl.load.database.engine import reading, storing
from etl.load.ledger import claims, runs, watermarks
from etl.load.ledger.claims import Claim

P = ParamSpec("P")
Result = TypeVar("Result")
Begin = Callable[[Engine], AbstractContextManager[Connection]]


class MadeWayError(LockedError):
    """A backfill has stored nothing, because another run of the source works or has worked meanwhile."""


class SourceStore:
    """Runs queries and statements for one source, each in a transaction of its own unless one is held.

    The run's own thread holds a transaction from :meth:`hold` to :meth:`commit`, and what it reads and writes meanwhile
    is one unit. The first unit is given: it has opened the run's row. Each request commits before it is sent. If a
    transaction is rolled back, the counters get back the values that they had at its beginning.

    Once another run has taken over from ``run_id``, nothing can be written any more. Where a worker reads a window of a
    run, each transaction that writes also proves its ``claim``, and nothing is held. What a backfill fetches was asked
    for after ``latest_run`` had begun; None is every other command, which lets no run work beside it.
    """

    def __init__(  # noqa: PLR0913 - what all transactions need
        self,
        engine: Engine,
        source: str,
        source_id: int,
        run_id: int,
        counters: RunCounters,
        *,
        held: Connection | None = None,
        claim: Claim | None = None,
        latest_run: int | None = None,
    ) -> None:
        self.engine = engine
        self.source_id = source_id
        self.run_id = run_id
        self.counters = counters
        self.claim = claim
        self.latest_run = claim.latest_run if claim is not None else latest_run
        self.is_handed_over = False
        self._source = source
        self._thread = get_ident()
        self._held = held
        self._is_owner = True
        self._counted = asdict(counters)

    @property
    def is_holding(self) -> bool:
        """Tell whether this thread holds a transaction."""
        return self._held is not None and self._thread == get_ident()

    def hold(self) -> None:
        """Begin a transaction for all that this thread reads and writes until the next request."""
        if self._held is None and self.claim is None:
            self._held, self._counted, self._is_owner = self.engine.connect(), asdict(self.counters), False

    def commit(self) -> None:
        """Commit the transaction that this thread holds, if any."""
        if self.is_holding:
            with self.reading() as connection:
                connection.commit()
            connection.close()
            self._held = None

    def read(
        self, query: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Return what a query of ``etl.load`` tells of this source: ``store.read(stored_tasks.count)``."""
        with self.reading() as connection:
            return query(connection, self.source_id, *args, **kwargs)

    def write(
        self, statement: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run a statement of ``etl.load`` on this source; raises as :meth:`writing` does."""
        with self.writing() as connection:
            return statement(connection, self.source_id, *args, **kwargs)

    @contextmanager
    def writing(self, begin: Begin = Engine.begin) -> Iterator[Connection]:
        """Give a connection in a transaction during which the run owns its source.

        ``begin`` opens the transaction where none is held. All that a run writes goes through here.

        Raises:
            MadeWayError: a worker has to let a sync of the source go first; nothing is written.
            LockedError: another run has taken over, or the lease has run out; nothing is written.
        """
        with self.reading(begin) as connection:
            if self.claim is not None:
                self._require_claim(connection, self.claim)
            elif not self.is_holding:
                runs.require_owner(connection, self.run_id)
            elif not self._is_owner:
                runs.require_owner(connection, self.run_id)
                self._is_owner = True  # until the held transaction ends
            yield connection

    def hand_over(
        self, statement: Callable[Concatenate[Connection, int, P], None], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Leave the run to workers, in the transaction of a statement that adds the windows which they may claim."""
        with self.writing() as connection:
            statement(connection, self.source_id, *args, **kwargs)
            runs.hand_over(connection, self.run_id)
        self.commit()
        self.is_handed_over = True

    @contextmanager
    def storing(self) -> Iterator[Connection]:
        """Give a connection as :meth:`writing` does, to store what was fetched.

        Raises:
            MadeWayError: another run has begun since a backfill asked for it, which may have stored newer versions, or
                erased what must not be stored again.
        """
        with self.writing(storing) as connection:
            if self.claim is None:  # else the transaction has proved it
                self._require_latest(connection)
            yield connection

    def _require_latest(self, connection: Connection) -> None:
        if self.latest_run is not None and runs.has_begun_since(connection, self.source_id, self.latest_run):
            raise MadeWayError("another run of the source has worked meanwhile")

    def _require_claim(self, connection: Connection, claim: Claim) -> None:
        """Make sure that what was fetched since the claim may be stored: nobody else has stored anything since.

        The run's row is locked first, so the transactions of its workers follow each other.
        """
        runs.require_owner(connection, self.run_id)
        claims.require(connection, claim)
        if not share_lease(connection, self._source):
            raise MadeWayError("a sync of the source goes first")
        self._require_latest(connection)

    @contextmanager
    def reading(self, begin: Begin = reading) -> Iterator[Connection]:
        """Give a connection in the transaction that this thread holds, or else in one of its own."""
        is_own, held = self._thread == get_ident(), self._held if self.is_holding else None
        counted = self._counted if held is not None else asdict(self.counters)
        try:
            with begin(self.engine) if held is None else self._joined(held) as connection:
                yield connection
        except BaseException:
            for name, value in counted.items() if is_own else ():
                setattr(self.counters, name, value)
            raise

    @contextmanager
    def _joined(self, held: Connection) -> Iterator[Connection]:
        """Give the held connection; an error rolls back all that the unit has written."""
        try:
            yield held
        except BaseException:
            self._held = None
            with suppress(DatabaseError):
                held.close()
            raise

    def watermark(self) -> datetime | None:
        """Return the source's watermark, None before the first complete sync."""
        return self.read(watermarks.read)
