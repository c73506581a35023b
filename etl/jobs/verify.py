"""Rolling verification: reads all of history again in slices, compares every field and explains each difference.

A slice begins where the last one ended. Syncs verify what is due: rows enough to be once around within the setting
``verify_within``, with requests that the minute has left once the news are stored. The command goes once around, or as
far as its requests reach. What a first or full sync has read counts as verified.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from etl.errors import ApiError, EtlError, RefusedError
from etl.extract.capabilities import CapabilityDriftError
from etl.extract.http.page import Page
from etl.extract.http.query import Query
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS, ReadStrategy, choose_strategy
from etl.jobs.pipeline.capability_drift import check_filter
from etl.jobs.pipeline.server_count_check import note
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.reconcile.confirm_deletions import confirm_deletions
from etl.jobs.reconcile.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.reconcile.find_missing_tasks import undated_pages
from etl.jobs.run.ensure_capabilities import has_beginning, history_start
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import sources
from etl.load.queries import deletions, stored_dates
from etl.load.queries.deletions import StoredState
from etl.logs import get_logger

log = get_logger()

_UNSORTED_REQUESTS = 10  # a sync, where nothing else finds the changes of old tasks
_MOST_LOGGED = 20  # differences a run


class Difference(StrEnum):
    """Why a stored task differed from what the server shows; only the first is no fault."""

    CHANGED = "changed since"
    BACKDATED = "backdated"
    RESTORED = "restored"
    HIDDEN = "hidden for a while"
    ALTERED = "altered without a date"
    DELETED = "deleted"


@dataclass(slots=True)
class Verified:
    """What a run verified; ``position`` is where the next slice begins, None at the beginning of history."""

    position: datetime | None
    requests: int = 0
    tasks: int = 0
    differences: Counter[Difference] = field(default_factory=Counter)

    @property
    def mended(self) -> int:
        """Return the number of differences that a sync should not have left."""
        return self.differences.total() - self.differences[Difference.CHANGED]


def verify(
    run: RunContext, *, requests: int | None = None, since: datetime | None = None, until: datetime | None = None
) -> Mapping[str, Any]:
    """Verify once around, or a range, for no more than ``requests``; return the counts.

    A range leaves the position of the rolling verification where it is.

    Raises:
        EtlError: as the client and the database raise it.
    """
    run.capabilities.ensure_known()
    found = Verified(run.source.verify_position)
    before = run.fetch.requests

    def may_go_on() -> bool:
        return requests is None or run.fetch.requests - before < requests

    end = min(until or _newest(run), _newest(run))
    if since is not None or until is not None:
        _read_all(run, found, since or _beginning(run), end, may_go_on)
    else:
        middle = found.position or end
        found.position = _read_all(run, found, found.position or _beginning(run), end, may_go_on)
        if found.position is None and middle < end:
            found.position = _read_all(run, found, _beginning(run), middle, may_go_on) or middle
        _remember(run, found, run.clock())
    return {"verify": _finish(run, found, before)}


def verify_due(run: RunContext) -> None:
    """Verify what is due, out of the requests that the minute has left; a failure of it leaves the sync as it is."""
    within, source = run.options.verify_within, run.source
    if not within or not has_beginning(run) or not run.count_stored():
        return
    if source.verified_until is None:
        restart_verification(run)
        return
    now, before = run.clock(), run.fetch.requests
    pace = within / (run.count_stored() + 2 * run.capabilities.current.limit())  # a little faster than once around
    paced = max(source.verified_until, now - within)
    page = min(run.capabilities.current.limit() - 1, run.count_stored())
    least = _UNSORTED_REQUESTS if choose_strategy(run.capabilities.current).changes == "unresolved" else 0
    found = Verified(source.verify_position)

    def may_go_on() -> bool:
        is_due = now - paced - found.tasks * pace >= page * pace
        return (is_due or run.fetch.requests - before < least) and run.fetch.client.has_requests_left()

    if not may_go_on():
        return
    rounds = 0
    try:
        while may_go_on() and rounds < 2:
            begin = found.position or _beginning(run)
            found.position = _read(run, found, begin, _newest(run), may_go_on)
            rounds += found.position is None
    except CapabilityDriftError as drift:
        run.capabilities.correct(drift)
    except ApiError as error:
        log.warning("verify.stopped", reason=str(error))
    _remember(run, found, min(now, paced + found.tasks * pace))
    _finish(run, found, before)


def restart_verification(run: RunContext) -> None:
    """Count all of history as verified now."""
    _remember(run, Verified(None), run.clock())


def _remember(run: RunContext, found: Verified, until: datetime) -> None:
    run.store.write(sources.put, verify_position=found.position, verified_until=until)


def _finish(run: RunContext, found: Verified, requests_before: int) -> dict[str, Any]:
    run.counters.mended += found.mended
    if found.mended:
        run.counted.clear()
        note(run, run.counters.server_total)
    found.requests = run.fetch.requests - requests_before
    differences = {kind.value: number for kind, number in found.differences.items()}
    tell = log.warning if found.mended else log.info
    tell("verify.finished", requests=found.requests, tasks=found.tasks, mended=found.mended, **differences)
    return {
        "requests": found.requests, "tasks": found.tasks, "mended": found.mended, "differences": differences,
        "position": found.position,
    }  # fmt: skip


def _beginning(run: RunContext) -> datetime:
    return history_start(run, choose_strategy(run.capabilities.current).field)


def _newest(run: RunContext) -> datetime:
    """Return where verification ends: later changes belong to the syncs."""
    return run.store.watermark() or run.clock()


def _read_all(
    run: RunContext, found: Verified, begin: datetime, end: datetime, may_go_on: Callable[[], bool]
) -> datetime | None:
    """Verify ``[begin, end)`` slice by slice; start a slice again on capability drift. Return as :func:`_read` does."""
    position: datetime | None = begin
    while position is not None and position < end and may_go_on():
        try:
            position = _read(run, found, position, end, may_go_on)
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)
    return position


def _read(
    run: RunContext, found: Verified, begin: datetime, end: datetime, may_go_on: Callable[[], bool]
) -> datetime | None:
    """Verify ``[begin, end)`` as far as it may go; return where it goes on, None once it came to the end."""
    while begin < end:
        stop = min(end, run.capabilities.current.latest_end(begin))
        slice_ = _Slice(run, choose_strategy(run.capabilities.current), found, begin)
        try:
            reached = slice_.read(stop, may_go_on)
        except RefusedError as error:
            slice_.fail(error)
            _learn_longest_range(run, (stop - begin) / 2, error)
            continue
        except EtlError as error:
            slice_.fail(error)
            raise
        if reached >= end and slice_.undated:
            slice_.read_undated()
        if slice_.gone:
            found.differences[Difference.DELETED] += _mark(run, slice_)
        return reached if reached < end else None
    return None


def _learn_longest_range(run: RunContext, length: timedelta, error: RefusedError) -> None:
    """Ask for shorter ranges from now on; raise ``error`` where no range is left to halve."""
    current = run.capabilities.current
    if length <= 4 * current.smallest():
        raise error
    evidence = f"a range longer than {length} is refused"
    changed = [] if current.any_range is False else ["any_range"]
    learnt = current.with_answer("any_range", answer=False, evidence=evidence)
    run.capabilities.learn(learnt.with_answer("longest_range", length, evidence), *changed)


def _mark(run: RunContext, slice_: _Slice) -> int:
    """Mark the tasks that are deleted for certain; the others wait for the next round or for ``reconcile``."""
    try:
        slice_.check(len(slice_.gone))
        confirm_deletions(run, slice_)
    except IncompleteError as error:
        log.warning("verify.not_marked", tasks=len(slice_.gone), reason=str(error))
        return 0
    return run.store.write(deletions.mark, slice_.gone, run_id=run.id, now=run.clock())


class _Slice(DeletionCandidates):
    """Stores the pages of a slice, explains what differed, and collects the tasks that the pages do not show."""

    def __init__(self, run: RunContext, strategy: ReadStrategy, found: Verified, begin: datetime) -> None:
        super().__init__(run, strategy.field, force=False, takes_back=True)
        self._strategy = strategy
        self._found = found
        self._begin = begin
        self._watermark = run.store.watermark()
        self._progress: WindowProgress | None = WindowProgress.begin("verify", strategy.field, strategy.history, begin)
        self._requests = run.fetch.requests
        self._end = begin

    def read(self, end: datetime, may_go_on: Callable[[], bool]) -> datetime:
        """Read up to ``end`` or as far as it may go; return the checkpoint."""
        self._end, start, problem = end, self._begin, ""
        ids: set[str] = set()
        window = Window(self.field, start, end)
        canary = self._canary(start)
        for page in READERS[self._strategy.history](self.run.fetch, window, self.run.capabilities.current):
            if canary is not None:
                check_filter(self.run, canary, page)
                canary = None
            here = self.keep(replace(page, total=None))
            ids |= here
            problem = problem or page.reason
            if page.checkpoint is None:
                continue
            reached = min(page.checkpoint, end)
            if not problem:
                self.judge(start, reached, ids)
            self._found.tasks += self.count(start, reached)
            start, problem, ids = reached, "", here
            if reached < end and not may_go_on():
                break
        self._close()
        return start

    def _canary(self, start: datetime) -> stored_dates.Canary | None:
        """Return a task that only dates on updatedAt put on the first page of the slice."""
        if self.field == "createdAt":
            return None
        rows = self.run.capabilities.current.limit() // 2
        return self.run.store.read(stored_dates.find_canary_from, start, among=rows)

    def add(self, missing: deletions.Versions) -> None:
        """Add candidates; how many are likely is checked at the end of the slice."""
        self.gone |= missing

    def keep(self, page: Page) -> set[str]:
        """Store a page, explain its differences, and return the ids of its tasks."""
        known = {key for key in page.ids if key}
        before = self.run.store.read(deletions.states_of, known)
        batch = self.run.transformer.transform(page)
        after = None
        if self._progress is not None:
            after = self._progress.extended(batch, end=self._end, requests=self.run.fetch.requests - self._requests)
        stored = self.run.writer.store(batch, after, takes_back=True)
        if self._progress is not None:
            self._progress = stored.window or after
        ids = {task["_id"] for task in batch.tasks}
        self.clear(ids)
        if stored.counts.inserted or stored.counts.updated:
            self._explain(before, self.run.store.read(deletions.states_of, known))
        return ids

    def read_undated(self) -> None:
        """Verify the tasks without the date that the server filters on, where its order shows them."""
        for page in undated_pages(self.run, Query(), self.field):
            self.keep(page)

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
