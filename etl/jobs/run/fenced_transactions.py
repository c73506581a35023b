"""The database as one source's run sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from etl.load.database.engine import reading
from etl.load.ledger import runs, watermarks

P = ParamSpec("P")
Result = TypeVar("Result")


class SourceStore:
    """Runs queries and statements for one source, each in a transaction of its own.

    Once another run has taken over from ``run_id``, nothing can be written any more.
    """

    def __init__(self, engine: Engine, source_id: int, run_id: int) -> None:
        self.engine = engine
        self.source_id = source_id
        self.run_id = run_id

    def read(
        self, query: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Return what a query of ``etl.load`` tells of this source: ``store.read(present_tasks.count)``."""
        with reading(self.engine) as connection:
            return query(connection, self.source_id, *args, **kwargs)

    def write(
        self, statement: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run a statement of ``etl.load`` on this source and commit it; raises as :meth:`writing` does."""
        with self.writing() as connection:
            return statement(connection, self.source_id, *args, **kwargs)

    @contextmanager
    def writing(
        self, begin: Callable[[Engine], AbstractContextManager[Connection]] = Engine.begin
    ) -> Iterator[Connection]:
        """Give a connection in a transaction during which the run owns its source; ``begin`` opens the transaction.

        All that a run writes goes through here.

        Raises:
            LockedError: another run has taken over; nothing is written.
        """
        with begin(self.engine) as connection:
            runs.require_owner(connection, self.run_id)
            yield connection

    def watermark(self) -> datetime | None:
        """Return the source's watermark, None before the first complete sync."""
        return self.read(watermarks.read)
