"""The database as one source's run sees it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Concatenate, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine

from etl.load.database.engine import reading
from etl.load.ledger import watermarks

P = ParamSpec("P")
Result = TypeVar("Result")


class SourceStore:
    """Runs queries and statements for one source, each in a transaction of its own."""

    def __init__(self, engine: Engine, source_id: int) -> None:
        self.engine = engine
        self.source_id = source_id

    def read(
        self, query: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Return what a query of ``etl.load`` tells of this source: ``store.read(deletions.count)``."""
        with reading(self.engine) as connection:
            return query(connection, self.source_id, *args, **kwargs)

    def write(
        self, statement: Callable[Concatenate[Connection, int, P], Result], *args: P.args, **kwargs: P.kwargs
    ) -> Result:
        """Run a statement of ``etl.load`` on this source and commit it."""
        with self.engine.begin() as connection:
            return statement(connection, self.source_id, *args, **kwargs)

    def watermark(self) -> datetime | None:
        """Return the source's watermark, None before the first complete sync."""
        return self.read(watermarks.read)
