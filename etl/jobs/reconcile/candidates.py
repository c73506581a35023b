"""The tasks that a reading did not find where they should be: under suspicion until they are seen, or marked."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from etl.errors import EtlError
from etl.extract.http.page import moment_of, record_id
from etl.extract.http.query import Field
from etl.extract.paging.base import Chunk
from etl.jobs.pipeline.run import Run
from etl.load.database.engine import reading
from etl.load.queries import deletions
from etl.logs import get_logger
from etl.transform.values import clean_text

log = get_logger()

MOST_AT_ONCE = 0.1  # of a source's tasks


class IncompleteError(EtlError):
    """The sync is done, but what it would take to mark deletions is not given: nothing is marked."""

    exit_code = 3


class Suspects:
    """Gathers what is missing; ``most`` of them are believed without being forced to."""

    def __init__(self, run: Run, field: Field, *, force: bool) -> None:
        self.gone: deletions.Versions = {}
        self.unplaced: deletions.Versions = {}
        self.compared = 0
        self.added = 0
        self.run = run
        self.field: Field = field
        with reading(run.engine) as connection:
            self.live = deletions.count(connection, run.source.id)
        self._most = self.live if force else int(self.live * MOST_AT_ONCE)

    def keep(self, records: list[Any], *, total: int | None = None) -> set[str]:
        """Store records, clear their tasks of suspicion, and return their ids."""
        self.added += self.run.store(self.run.take(Chunk(records, None, total))).inserted
        ids = {clean_text(key) for record in records if (key := record_id(record)) is not None}
        self.clear(ids)
        return ids

    def count(self, start: datetime, end: datetime) -> int:
        """Count the tasks in ``[start, end)`` that should be on the server."""
        with reading(self.run.engine) as connection:
            return deletions.count_between(connection, self.run.source.id, self.field, start, end)

    def reach(self) -> tuple[datetime, datetime]:
        """Return the time ``[first, last)`` in which there are tasks, in whole seconds."""
        with reading(self.run.engine) as connection:
            first, last = deletions.reach(connection, self.run.source.id, self.field)
        now = self.run.opened_at()
        whole = timedelta(seconds=1)
        return (first or now).replace(microsecond=0), (last or now).replace(microsecond=0) + whole

    def judge(self, start: datetime, end: datetime, present: Collection[str]) -> set[str]:
        """Suspect the tasks in ``[start, end)`` that are not among those a whole reading of it found.

        Not those whose own record does not say when they were: the server need not have placed them there.
        """
        with reading(self.run.engine) as connection:
            here = deletions.versions_between(connection, self.run.source.id, self.field, start, end)
            missing = here.keys() - set(present)
            records = deletions.records(connection, self.run.source.id, missing)
        self.compared += len(here)
        placed = {key for key in missing if moment_of(records[key], self.field) is not None}
        self.unplaced |= {key: here[key] for key in missing - placed}
        self.suspect({key: here[key] for key in placed})
        return placed

    def suspect(self, missing: deletions.Versions) -> None:
        """Add to those under suspicion.

        Raises:
            IncompleteError: there are more of them than is likely.
        """
        self.gone |= missing
        self.check(len(self.gone))

    def clear(self, ids: Collection[str]) -> None:
        """Take suspicion from tasks."""
        for key in ids:
            self.gone.pop(key, None)

    def left(self) -> int:
        """Return how many rows the server can count at most, if all that is under suspicion is gone."""
        with reading(self.run.engine) as connection:
            here = deletions.count(connection, self.run.source.id)
            rejected = deletions.count_rejected(connection, self.run.source.id)
        return here - len(self.gone) + rejected

    def doubt(self, start: datetime, end: datetime, reason: str) -> None:
        """Tell of a stretch that could not be read whole, in which nothing is taken for deleted."""
        self.run.tally.unverified += 1
        log.warning("reconcile.unverified", start=start, end=end, reason=reason)

    def check(self, gone: int) -> None:
        """Raise :class:`IncompleteError` for more deletions than are believed at once."""
        if gone > self._most:
            message = (
                f"{gone} of {self.live} tasks, or more, are gone from the server, which is over {MOST_AT_ONCE:.0%}: "
                "none is marked as deleted; if they are to be, run kore-etl reconcile --force"
            )
            raise IncompleteError(message)
