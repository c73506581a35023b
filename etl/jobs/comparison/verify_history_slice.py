"""One slice of rolling verification: stores its pages, explains what differed, and finds what they do not show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

from msgspec import Struct, field
from msgspec.structs import replace

from etl.errors import EtlError, SkipRefusedError
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS
from etl.jobs.comparison.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.comparison.undated_tasks import all_are_dated, is_capped, undated_pages
from etl.jobs.pipeline.capability_drift import check_filter
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks
from etl.load.queries.stored_tasks import Canary, StoredState, find_canary_from
from etl.logs import get_logger

log = get_logger()

_MOST_LOGGED = 20  # differences a run


class Difference(StrEnum):
    """Why a stored task differed from what the server shows; only the first is no fault."""

    CHANGED = "changed since"
    BACKDATED = "backdated"
    RESTORED = "restored"
    HIDDEN = "hidden for a while"
    ALTERED = "altered without a date"
    DELETED = "deleted"


class Verified(Struct):
    """What a run verified; ``position`` is where the next slice begins, None at the beginning of history."""

    position: datetime | None
    tasks: int = 0
    slices: int = 0  # read to their ends
    differences: Counter[Difference] = field(default_factory=Counter)

    @property
    def mended(self) -> int:
        """Return the number of differences that a sync should not have left."""
        return self.differences.total() - self.differences[Difference.CHANGED]


class Slice(DeletionCandidates):
    """Stores the pages of a slice, explains what differed, and collects the tasks that the pages do not show."""

    def __init__(self, run: RunContext, found: Verified, begin: datetime) -> None:
        super().__init__(run, force=False, takes_back=True)
        self._strategy = run.strategy
        self._found = found
        self._begin = begin
        self._watermark = run.store.watermark()
        self._progress: WindowProgress | None = WindowProgress.begin(
            "verify", self.field, self._strategy.history, begin
        )
        self._requests = run.fetch.requests
        self._end = begin
        self._has_no_lost_date = False

    def read(self, end: datetime, may_go_on: Callable[[], bool]) -> datetime:
        """Read up to ``end`` or as far as it may go; return the checkpoint."""
        self._end, start, problem = end, self._begin, ""
        ids: set[str] = set()
        latest: set[str] = set()
        window = Window(self.field, start, end)
        canary = self._canary(start)
        for page in READERS[self._strategy.history](self.run.fetch, window, self.run.capabilities.current):
            if canary is not None:
                check_filter(self.run, canary, page)
                canary = None
            here = self.keep(replace(page, total=None))
            ids |= here
            if reason := page.reason or self.unproven(page):
                problem = problem or reason
                self.clear(latest)  # it may be about the piece before
            if page.checkpoint is None:
                continue
            reached = min(page.checkpoint, end)
            if not problem:
                latest = self.judge(start, reached, ids)
            self._found.tasks += self.count(start, reached)
            start, problem, ids = reached, "", here
            if reached < end and not may_go_on():
                break
        self._close()
        return start

    def _canary(self, start: datetime) -> Canary | None:
        """Return a task that only dates on updatedAt put on the first page of the slice."""
        if self.field == "createdAt":
            return None
        rows = self.run.capabilities.current.limit() // 2
        return self.run.store.read(find_canary_from, start, among=rows)

    def add(self, missing: stored_tasks.Versions) -> None:
        """Add candidates; how many are likely is checked at the end of the slice."""
        self.gone |= missing

    def check(self, gone: int) -> None:
        """Raise as a candidate's check does, and where candidates may have lost their dates."""
        super().check(gone)
        if not self._has_no_lost_date:
            raise IncompleteError("they may have lost their dates, and the server did not show all tasks without one")

    def keep(self, page: Page, *, takes_back: bool = True) -> set[str]:
        """Store a page, explain its differences, and return the ids of its tasks."""
        known = {key for key in page.ids if key}
        before = self.run.store.read(stored_tasks.states_of, known)
        batch = self.run.transformer.transform(page)
        after = None
        if self._progress is not None:
            after = self._progress.extended(batch, end=self._end, requests=self.run.fetch.requests - self._requests)
        stored = self.run.writer.store(batch, after, takes_back=takes_back)
        if self._progress is not None:
            self._progress = stored.window or after
        if stored.counts.inserted or stored.counts.updated:
            self._explain(before, self.run.store.read(stored_tasks.states_of, known))
        return self.clear_shown(page)

    def read_undated(self, *, is_all_read: bool) -> None:
        """Verify the tasks without the date that the server filters on, where its order shows them.

        Where there is no order, totals must prove that all have it. Once all of history ``is_all_read``, the total that
        confirms deletions does.
        """
        if not self.run.capabilities.current.sorts(self.field):
            is_told = is_all_read and self.run.fetch.undated_total is not None and not is_capped(self.run)
            self._has_no_lost_date = not self.may_be_undated and (is_told or all_are_dated(self.run))
            return
        with suppress(SkipRefusedError):  # the first and full syncs tell that
            for page in undated_pages(self.run):
                self.keep(page)
            self._has_no_lost_date = True

    def fail(self, error: EtlError) -> None:
        """Close the window that could not be read."""
        if self._progress is not None and self._progress.id is not None and self._progress.is_open:
            requests = self.run.fetch.requests - self._requests
            self.run.writer.fail_window(self._progress.failed(error, self._end, requests=requests))

    def _close(self) -> None:
        if self._progress is not None and self._progress.is_open:
            self.run.writer.close_window(self._progress.cut_short())
        self._progress = None

    def _explain(self, before: Mapping[str, StoredState], after: Mapping[str, StoredState]) -> None:
        for key, now in after.items():
            if before.get(key) != now:
                kind = self._kind(before.get(key), now)
                self._found.differences[kind] += 1
                if kind is not Difference.CHANGED and self._found.mended <= _MOST_LOGGED:
                    log.info("verify.mended", task=key, difference=kind.value)

    def _kind(self, before: StoredState | None, now: StoredState) -> Difference:
        """Explain a difference by the dates that were stored before and are now."""
        if before is None:
            is_new = self._watermark is None or (now.updated_at or now.stored_at) >= self._watermark
            return Difference.CHANGED if is_new else Difference.HIDDEN
        if before.deleted_at is not None and now.deleted_at is None:
            return Difference.RESTORED
        if before.updated_at == now.updated_at or before.updated_at is None or now.updated_at is None:
            return Difference.ALTERED
        if now.updated_at < before.updated_at:
            return Difference.BACKDATED
        known_until = before.stored_at if self._strategy.changes == "unresolved" else self._watermark
        is_news = known_until is None or now.updated_at >= known_until
        return Difference.CHANGED if is_news else Difference.BACKDATED
