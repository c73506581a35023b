"""A window's row in the ledger while it is read: opened, filled and closed in the transactions of its chunks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from etl.errors import DatabaseError
from etl.extract.http.query import Field
from etl.extract.paging.strategy import Name
from etl.jobs.pipeline.batch import Taken
from etl.jobs.pipeline.run import Run
from etl.load.ledger import windows
from etl.load.upsert.tasks import Counts
from etl.logs import get_logger

log = get_logger()


class WindowEntry:
    """What the ledger says of the window ``[start, end)``; ``covered_until`` is how far it is stored.

    ``end`` is asked for once the server has answered; ``spent`` counts the requests where others are made meanwhile.
    """

    def __init__(  # noqa: PLR0913 a row's columns
        self,
        run: Run,
        job: str,
        field: Field,
        reading: Name,
        start: datetime,
        end: Callable[[], datetime],
        *,
        spent: Callable[[], int] | None = None,
    ) -> None:
        self.covered_until = start
        self._run = run
        self._columns: dict[str, Any] = {"job": job, "field": field, "strategy": reading, "start": start}
        self._tell_end = end
        self._known_end: datetime | None = None
        self._id: int | None = None
        self._state = "running"
        self._rows = 0
        self._total: int | None = None
        self._doubt = ""
        before = run.client.usage.requests
        self._spent = spent or (lambda: run.client.usage.requests - before)

    @property
    def _end(self) -> datetime:
        if self._known_end is None:
            self._known_end = max(self._columns["start"], self._tell_end())
        return self._known_end

    def store(self, taken: Taken, *, watermark: datetime | None = None) -> Counts:
        """Store what was taken with what it means for this window."""
        before = self.covered_until, self._id
        self._rows += len(taken)
        self._total = taken.total if self._total is None else self._total
        if not taken.settled:
            self._doubt = taken.reason
        if taken.covered_until is not None:
            self.covered_until = min(taken.covered_until, self._end)
            if self.covered_until >= self._end:
                self._conclude()
        try:
            return self._run.store(taken, ledger=self._write, watermark=watermark)
        except BaseException:  # nothing of it is stored, so that none of it is covered
            self.covered_until, self._id = before
            raise

    def finish(self) -> None:
        """Close the window as read to its end."""
        if self._state == "running":
            self.covered_until = self._end
            self._conclude()
            self._write_alone()

    def finish_early(self) -> None:
        """Close the window where it stands: what comes after is another window's."""
        if self._state == "running":
            self._known_end = self.covered_until
            self._conclude()
            self._write_alone()

    def fail(self, error: Exception) -> None:
        """Close the window as far as it came."""
        self._state = "failed"
        self._doubt = str(error)
        with suppress(DatabaseError):  # what went wrong first is what is told; the next run closes the row
            self._write_alone()

    def _conclude(self) -> None:
        self._state = "unverified" if self._doubt else "verified"
        self._run.tally.windows += 1
        if self._doubt:
            self._run.tally.unverified += 1
            log.warning("window.unverified", start=self._columns["start"], end=self._end, reason=self._doubt)

    def _write_alone(self) -> None:
        with self._run.engine.begin() as connection:
            self._write(connection)

    def _write(self, connection: Connection) -> int:
        run = self._run
        if self._id is None:
            self._id = windows.open_window(
                connection,
                source_id=run.source.id,
                run_id=run.id,
                opened_at=run.opened_at(),
                end=self._end,
                **self._columns,
            )
        windows.note(
            connection,
            self._id,
            end_at=self._end,
            checkpoint_at=self.covered_until,
            state=self._state,
            rows=self._rows,
            reported_total=self._total,
            requests=self._spent(),
            finished_at=None if self._state == "running" else run.clock(),
            error=self._doubt or None,
        )
        return self._id
