"""Deletion candidates: stored tasks that a reading of their range did not find.

A candidate is cleared when a later page shows it. Before the others are marked as deleted, a second look at the latest
changes and the server's total must confirm them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection
from datetime import datetime, timedelta

from msgspec.structs import replace

from etl.errors import EtlError, ExitCode
from etl.exact_json import clean_text
from etl.extract.http.query import Direction, Query
from etl.extract.http.response_page import Page, moment_of, record_id
from etl.jobs.comparison.part_from_start import count_source, of_source, without_earlier
from etl.jobs.pipeline.open_windows import read_recent
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import runs
from etl.load.queries import stored_tasks
from etl.logs import get_logger
from etl.times import shifted

log = get_logger()

MOST_AT_ONCE = 0.1  # of a source's tasks
FEW = 5  # are believed at once where a tenth is less, but not all there are
_MOST_SECOND_LOOKS = 3


class IncompleteError(EtlError):
    """The sync is done, but deletions cannot be proven: no task is marked."""

    exit_code = ExitCode.INCOMPLETE


class DeletionCandidates:
    """Collects the candidates of a run; more of them than is likely need ``force``.

    Where the setting ``start`` is set, tasks from there on are compared, and those without a date. If it
    ``takes_back``, pages are stored even where the server went back to an older version.
    """

    def __init__(self, run: RunContext, *, force: bool, takes_back: bool = False) -> None:
        self.gone: stored_tasks.Versions = {}
        self.unplaced: stored_tasks.Versions = {}
        self.compared = 0
        self.added = 0
        self.run = run
        self.field = run.strategy.field
        self.start = run.start
        self.live = run.count_stored()
        own = run.counters.hidden
        self.hidden = run.store.read(runs.hidden) if own is None else own
        self._takes_back = takes_back
        self._most = self.live if force else max(int(self.live * MOST_AT_ONCE), min(FEW, self.live - 1))
        moments = run.quarantined_moments()
        self.quarantined = len(moments)
        self._quarantined_at = sorted(moment for moment in moments if moment is not None)
        self.undated_rejected = moments.count(None)
        self.undated = run.store.read(stored_tasks.count_without, self.field) + self.undated_rejected

    @property
    def may_be_undated(self) -> bool:
        """Whether a candidate may have lost its date: a total from ``start`` on does not count it any more."""
        return self.start is not None or self.undated > 0

    def keep(self, page: Page, *, takes_back: bool = False) -> set[str]:
        """Store a page, clear its tasks, and return their ids."""
        batch = self.run.transformer.transform(without_earlier(self.run, page))
        self.added += self.run.writer.store(batch, takes_back=takes_back or self._takes_back).counts.inserted
        return self.clear_shown(page)

    def clear_shown(self, page: Page) -> set[str]:
        """Clear the tasks of a page, also those whose records are rejected, and return their ids."""
        ids = {clean_text(key) for record in page.records if (key := record_id(record)) is not None}
        self.clear(ids)
        return ids

    def count(self, start: datetime, end: datetime) -> int:
        """Count what the server should have in ``[start, end)``: stored tasks and rejected records."""
        rejected = bisect_left(self._quarantined_at, end) - bisect_left(self._quarantined_at, start)
        return self.run.store.read(stored_tasks.count_between, self.field, start, end) + rejected

    def reach(self) -> tuple[datetime, datetime]:
        """Return the time ``[first, last)`` in which there are tasks, in whole seconds."""
        first, last = self.run.store.read(stored_tasks.reach, self.field)
        now = self.run.server_clock.earliest_start()
        whole = timedelta(seconds=1)
        end = shifted((last or now).replace(microsecond=0), whole)
        return self.start or (first or now).replace(microsecond=0), end

    def judge(self, start: datetime, end: datetime, present: Collection[str]) -> set[str]:
        """Make candidates of the tasks in ``[start, end)`` that a whole reading of it did not find; return them.

        A task whose own record has no date is none: the server may keep it in another range.
        """
        here = self.run.store.read(stored_tasks.versions_between, self.field, start, end)
        missing = here.keys() - set(present)
        records = self.run.store.read(stored_tasks.records, missing)
        self.compared += len(here)
        placed = {key for key in missing if moment_of(records[key], self.field) is not None}
        self.unplaced |= {key: here[key] for key in missing - placed}
        self.add({key: here[key] for key in placed})
        return placed

    def unproven(self, page: Page) -> str:
        """Return why tasks that a page does not show may still be there, if its total tells so.

        Where the account has hidden rows, they may be what is counted and not shown. A total of all tasks may ignore
        the dates.
        """
        if not page.is_withheld or page.total is None or self.hidden:
            return ""
        if self.run.fetch.undated_total is None:
            self.run.fetch(Query(limit=1))
        if page.total >= (self.run.fetch.undated_total or 0):
            return ""
        return f"the server counts {page.total} rows, of which pages did not show all"

    def lacks(self, start: datetime, end: datetime, present: Collection[str]) -> bool:
        """Tell whether some of the tasks in ``[start, end)`` are not among those that a reading of it found."""
        here = self.run.store.read(stored_tasks.versions_between, self.field, start, end)
        return not here.keys() <= set(present)

    def add(self, missing: stored_tasks.Versions) -> None:
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
        return self.run.count_stored() - self._count_counted(self.gone) + self.run.count_quarantined() + self.hidden

    def _count_counted(self, ids: Collection[str]) -> int:
        """Return how many of some tasks the server counts as long as it has them."""
        if self.run.capabilities.current.counts_inactive is not False:
            return len(ids)
        return sum(state.deleted_at is None for state in self.run.store.read(stored_tasks.states_of, ids).values())

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


def confirm_deletions(run: RunContext, candidates: DeletionCandidates) -> None:
    """Clear the candidates that are among the latest changes, and check that the server counts none of the others.

    Raises:
        IncompleteError: that cannot be made sure.
    """
    evidence = ""
    for attempt in range(_MOST_SECOND_LOOKS):
        if attempt or candidates.field == "updatedAt":
            _read_latest(run, candidates)
        capabilities = run.capabilities.current
        sort_by: tuple[str, Direction] | None = ("updatedAt", "desc") if capabilities.sorts("updatedAt") else None
        page = run.fetch(replace(of_source(run), limit=capabilities.limit(), sort_by=sort_by))
        candidates.keep(page)
        total, expected = page.total if candidates.start is None else count_source(run), candidates.left()
        if total is None or total <= expected:
            return
        evidence = f"it counts {total}, and not {expected}"
    message = (
        f"{len(candidates.gone)} tasks were not found on the server, but {evidence}: none is marked as deleted; "
        "try again when fewer tasks change"
    )
    raise IncompleteError(message)


def _read_latest(run: RunContext, candidates: DeletionCandidates) -> None:
    """Read what changed since before the sync, on to the very end: a task may have moved there since it was missed."""
    start, watermark = run.server_clock.earliest_start(), run.store.watermark()
    since = shifted(min(start, watermark or start), -run.options.lookback).replace(microsecond=0)
    for page in read_recent(run, since):
        candidates.keep(page)
        if not page.verified:
            raise IncompleteError(f"the latest changes could not be read, so no task is marked: {page.reason}")
