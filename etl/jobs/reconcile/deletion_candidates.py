"""Deletion candidates: stored tasks that a reading of their range did not find.

A candidate is cleared when a later page shows it. The others are marked as deleted in the end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from datetime import datetime, timedelta

from etl import exact_json
from etl.errors import EtlError, ExitCode
from etl.exact_json import clean_text
from etl.extract.http.query import Field
from etl.extract.http.response_page import Page, moment_of, record_id
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import rejected_records, runs
from etl.load.queries import present_tasks
from etl.logs import get_logger

log = get_logger()

MOST_AT_ONCE = 0.1  # of a source's tasks
FEW = 5  # are believed at once where a tenth is less, but not all there are


class IncompleteError(EtlError):
    """The sync is done, but deletions cannot be proven: no task is marked."""

    exit_code = ExitCode.INCOMPLETE


class DeletionCandidates:
    """Collects the candidates of a run; more of them than is likely need ``force``.

    If it ``takes_back``, pages are stored even where the server went back to an older version.
    """

    def __init__(self, run: RunContext, field: Field, *, force: bool, takes_back: bool = False) -> None:
        self.gone: present_tasks.Versions = {}
        self.unplaced: present_tasks.Versions = {}
        self.compared = 0
        self.added = 0
        self.run = run
        self.field: Field = field
        self.live = run.store.read(present_tasks.count)
        self._takes_back = takes_back
        self._most = self.live if force else max(int(self.live * MOST_AT_ONCE), min(FEW, self.live - 1))
        moments = [_moment_of_text(raw, field) for raw in run.store.read(rejected_records.not_stored)]
        self.quarantined = len(moments)
        self._quarantined_at = sorted(moment for moment in moments if moment is not None)
        self.undated = run.store.read(present_tasks.count_without, field) + moments.count(None)

    def keep(self, page: Page) -> set[str]:
        """Store a page, clear its tasks, and return their ids."""
        batch = self.run.transformer.transform(page)
        self.added += self.run.writer.store(batch, takes_back=self._takes_back).counts.inserted
        ids = {clean_text(key) for record in page.records if (key := record_id(record)) is not None}
        self.clear(ids)
        return ids

    def count(self, start: datetime, end: datetime) -> int:
        """Count what the server should have in ``[start, end)``: stored tasks and rejected records."""
        rejected = bisect_left(self._quarantined_at, end) - bisect_left(self._quarantined_at, start)
        return self.run.store.read(present_tasks.count_between, self.field, start, end) + rejected

    def reach(self) -> tuple[datetime, datetime]:
        """Return the time ``[first, last)`` in which there are tasks, in whole seconds."""
        first, last = self.run.store.read(present_tasks.reach, self.field)
        now = self.run.server_clock.earliest_start()
        whole = timedelta(seconds=1)
        return (first or now).replace(microsecond=0), (last or now).replace(microsecond=0) + whole

    def judge(self, start: datetime, end: datetime, present: Collection[str]) -> set[str]:
        """Make candidates of the tasks in ``[start, end)`` that a whole reading of it did not find; return them.

        A task whose own record has no date is none: the server may keep it in another range.
        """
        here = self.run.store.read(present_tasks.versions_between, self.field, start, end)
        missing = here.keys() - set(present)
        records = self.run.store.read(present_tasks.records, missing)
        self.compared += len(here)
        placed = {key for key in missing if moment_of(records[key], self.field) is not None}
        self.unplaced |= {key: here[key] for key in missing - placed}
        self.add({key: here[key] for key in placed})
        return placed

    def add(self, missing: present_tasks.Versions) -> None:
        """Add candidates.

        Raises:
            IncompleteError: there are more of them than is likely.
        """
        self.gone |= missing
        self.check(len(self.gone))

    def clear(self, ids: Collection[str]) -> None:
        """Remove tasks that a page showed from the candidates."""
        for key in ids:
            self.gone.pop(key, None)

    def left(self) -> int:
        """Return how many rows the server can count at most, if all candidates are deleted."""
        others = self.run.store.read(rejected_records.count_not_stored) + self.run.store.read(runs.hidden)
        return self.run.store.read(present_tasks.count) - len(self.gone) + others

    def mark_unverified(self, start: datetime, end: datetime, reason: str) -> None:
        """Count a range that could not be read whole; no task in it becomes a candidate."""
        self.run.counters.unverified += 1
        log.warning("reconcile.unverified", start=start, end=end, reason=reason)

    def check(self, gone: int) -> None:
        """Raise :class:`IncompleteError` where more tasks are deleted than is likely."""
        if gone > self._most:
            message = (
                f"{gone} of {self.live} tasks, or more, are gone from the server, which is over {MOST_AT_ONCE:.0%}: "
                "none is marked as deleted; if they are to be, run kore-etl reconcile --force"
            )
            raise IncompleteError(message)


def _moment_of_text(raw: str, field: Field) -> datetime | None:
    try:
        return moment_of(exact_json.read(raw), field)
    except (ValueError, RecursionError):
        return None
