"""The database as one source's run sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from datetime import datetime
from threading import get_ident
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from etl.errors import DatabaseError
from etl.jobs.run.options import RunCounters
from etl.load.database.engine import reading
from etl.load.ledger import runs, watermarks

P = ParamSpec("P")
Result = TypeVar("Result")
Begin = Callable[[Engine], AbstractContextManager[Connection]]


class SourceStore:
    """Runs queries and statements for one source, each in a transaction of its own unless one is held.

    The run's own thread holds a transaction from :meth:`hold` to :meth:`commit`, and what it reads and writes meanwhile
    is one unit. The first unit is given: it has opened the run's row. Each request commits before it is sent. If a
    transaction is rolled back, the counters get back the values that they had at its beginning.

    Once another run has taken over from ``run_id``, nothing can be written any more.
    """

    def __init__(self, connection: Connection, source_id: int, run_id: int, counters: RunCounters) -> None:
        self.engine = connection.engine
        self.source_id = source_id
        self.run_id = run_id
        self._counters = counters
        self._thread = get_ident()
        self._held: Connection | None = connection
        self._is_owner = True
        self._counted = asdict(counters)

    @property
    def is_holding(self) -> bool:
        """Tell whether this thread holds a transaction."""
        return self._held is not None and self._thread == get_ident()

    def hold(self) -> None:
        """Begin a transaction for all that this thread reads and writes until the next request."""
        if self._held is None:
            self._held, self._counted, self._is_owner = self.engine.connect(), asdict(self._counters), False

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
            LockedError: another run has taken over; nothing is written.
        """
        with self.reading(begin) as connection:
            if not self.is_holding:
                runs.require_owner(connection, self.run_id)
            elif not self._is_owner:
                runs.require_owner(connection, self.run_id)
                self._is_owner = True  # until the held transaction ends
            yield connection

    @contextmanager
    def reading(self, begin: Begin = reading) -> Iterator[Connection]:
        """Give a connection in the transaction that this thread holds, or else in one of its own."""
        is_own, held = self._thread == get_ident(), self._held if self.is_holding else None
        counted = self._counted if held is not None else asdict(self._counters)
        try:
            with begin(self.engine) if held is None else self._joined(held) as connection:
                yield connection
        except BaseException:
            for name, value in counted.items() if is_own else ():
                setattr(self._counters, name, value)
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
