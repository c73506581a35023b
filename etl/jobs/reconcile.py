"""Marks deleted tasks. The server does not report deletions, so stored tasks are compared with what it still has.

A task is marked only if a page that is complete for its time does not show it, and a second look does not show it
either. Where dates filter on updatedAt, the second look is the latest changes, because the task may have been updated.
In the end the server must not count more tasks than are left here. In doubt no task is marked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from msgspec.structs import replace

from etl.errors import SkipRefusedError
from etl.extract.capabilities import END_OF_TIME, CapabilityDriftError
from etl.extract.http.query import Query
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS
from etl.jobs.comparison.deletion_candidates import (
    DeletionCandidates,
    IncompleteError,
    confirm_deletions,
)
from etl.jobs.comparison.find_deleted_tasks import CountComparison
from etl.jobs.comparison.look_up_by_creation import look_up_by_creation
from etl.jobs.comparison.part_from_start import count_source, latest_total
from etl.jobs.comparison.undated_tasks import all_are_dated, undated_pages
from etl.jobs.pipeline.completeness_check import note_reconciled, take_account
from etl.jobs.run.lifecycle import make_indexes
from etl.jobs.run.run_context import RunContext
from etl.jobs.sync import sync
from etl.jobs.verify import restart_verification
from etl.load.ledger import sources
from etl.load.queries import mark_deleted_tasks, stored_tasks
from etl.logs import get_logger
from etl.times import EPOCH

log = get_logger()

_MOST_COMPARISONS = 5


def reconcile(run: RunContext, *, deep: bool = False, force: bool = False, full: bool = False) -> Mapping[str, Any]:
    """Sync, then mark the tasks that the server no longer has; return the counts.

    ``deep`` reads every id, instead of comparing totals. ``force`` believes any number of deletions. The requests that
    are counted are those beyond the sync's.

    Raises:
        IncompleteError: the sync is done, but nothing is marked, for the reason that it tells.
        EtlError: as :func:`sync` does.
    """
    marked_before, began = run.store.read(mark_deleted_tasks.count_marked), run.clock()
    run = replace(run, confirms_collapse=force)
    sync(run, full=full)
    if run.counters.missing:  # the sync searched for them within a bounded number of requests
        take_account(run, is_full=True)
    make_indexes(run)  # what follows counts by them
    requests = run.fetch.requests
    if run.counters.unverified:
        raise IncompleteError("the sync left unverified windows, so no task is taken for deleted; sync again")
    candidates = _insist(run, deep=deep, force=force)
    total = latest_total(run)
    left = 0 if total is None else run.count_stored() - total
    if left > 0:
        run.counters.unverified += 1
        log.warning("reconcile.left", tasks=left, hint="kore-etl reconcile --deep")
    if force:
        run.store.write(sources.put, collapse_accepted_at=None)
    marked = run.store.read(mark_deleted_tasks.count_marked, since=began)  # the sync's verification marks, too
    returned = marked_before + marked - run.store.read(mark_deleted_tasks.count_marked)
    run.store.write(sources.remember_absent, ())
    note_reconciled(run, total, candidates.hidden)
    spent = run.fetch.requests - requests
    done = {
        "compared": candidates.compared, "marked": marked, "returned": returned, "added": candidates.added,
        "requests": spent,
    }  # fmt: skip
    log.info("reconcile.finished", **done)
    return {"reconcile": done}


def _insist(run: RunContext, *, deep: bool, force: bool) -> DeletionCandidates:
    """Find and mark; start again on capability drift."""
    while True:
        candidates = DeletionCandidates(run, force=force, takes_back=deep)
        try:
            _find_and_mark(run, candidates, deep=deep)
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)
        else:
            return candidates


def _find_and_mark(run: RunContext, candidates: DeletionCandidates, *, deep: bool) -> None:
    total = count_source(run)
    reads_all = deep or (total is not None and not _are_counts_exact(run, candidates))
    is_looked_for = False
    if reads_all:
        is_looked_for = _read_everything(run, candidates)
        restart_verification(run)
    elif total is None:
        raise IncompleteError("the server does not count the tasks: finding deletions takes kore-etl reconcile --deep")
    else:
        candidates.check(candidates.live - total)
        if total == candidates.live + candidates.quarantined:
            candidates.compared = candidates.live
        else:
            _compare(run, candidates, total)
    if candidates.gone and not is_looked_for:
        _clear_undated(run, candidates)
    if candidates.gone:
        confirm_deletions(run, candidates)
    run.store.write(mark_deleted_tasks.mark, candidates.gone, run_id=run.id, now=run.clock())
    run.counted.clear()


def _compare(run: RunContext, candidates: DeletionCandidates, total: int) -> None:
    """Compare counts, again as long as candidates are found elsewhere.

    A task that is found may still be stored by another date: its record is rejected now, or it moved only just now.

    Raises:
        IncompleteError: the server's totals contradict its rows, or there are more deletions than are believed.
    """
    elsewhere = set[str]()
    for _ in range(_MOST_COMPARISONS):
        candidates.compared = 0
        comparison = CountComparison(run, candidates)
        comparison.find(total)
        candidates.hidden = max(candidates.hidden, comparison.hidden)
        missing = set(candidates.gone)
        look_up_by_creation(candidates)
        found = missing - candidates.gone.keys()
        if found <= elsewhere:
            return
        elsewhere |= found
    raise IncompleteError("too many dates go back while they are compared, so no task is marked as deleted")


def _are_counts_exact(run: RunContext, candidates: DeletionCandidates) -> bool:
    """Tell whether ranges can be compared by counts: not where totals leave tasks out, nor count hidden ones."""
    return run.capabilities.current.counts_inactive is not False and not candidates.hidden


def _read_everything(run: RunContext, candidates: DeletionCandidates) -> bool:
    """Make candidates of all tasks that a reading of the whole history does not find.

    Tell whether those without a date were looked for as well.
    """
    for window in _windows(run, candidates):
        _read_window(run, candidates, window)
    undated = candidates.unplaced | run.store.read(stored_tasks.versions_without, candidates.field)
    if undated:
        _look_for(run, candidates, undated, insists=False)
    return bool(undated)


def _windows(run: RunContext, candidates: DeletionCandidates) -> Iterator[Window]:
    """Yield windows over all stored tasks, and over the time around them where the server takes such long ranges."""
    first, last = candidates.reach()
    capabilities = run.capabilities.current
    ends = [first]
    while (end := capabilities.latest_end(ends[-1])) < last:
        ends.append(end)
    around = ([], []) if capabilities.latest_end(first) < END_OF_TIME else ([EPOCH], [END_OF_TIME])
    if candidates.start is not None:
        around[0].clear()
    for start, end in pairwise([*around[0], *ends, last, *around[1]]):
        if start < end:
            yield Window(candidates.field, start, end)


def _read_window(run: RunContext, candidates: DeletionCandidates, window: Window) -> None:
    """Judge a window piece by piece, each as soon as it is read whole."""
    start, problem, unproven = window.start, "", ""
    ids: set[str] = set()
    latest: set[str] = set()
    for page in READERS[run.strategy.history](run.fetch, window, run.capabilities.current):
        here = candidates.keep(page)
        ids |= here
        unproven = unproven or candidates.unproven(page)
        if not page.verified or (unproven and latest):
            problem = page.reason or unproven
            candidates.clear(latest)  # the problem may be about the piece before
        if page.checkpoint is None:
            continue
        end = min(page.checkpoint, window.end)
        if problem or (unproven and candidates.lacks(start, end, ids)):
            candidates.mark_unverified(start, end, problem or unproven)
        else:
            latest = candidates.judge(start, end, ids)
        start, problem, unproven, ids = end, "", "", here  # the next piece begins with this one's last row


def _clear_undated(run: RunContext, candidates: DeletionCandidates) -> None:
    """Clear the candidates that lost their dates: in the total they make up for tasks that are deleted unseen.

    Where the server neither sorts nor takes any range, they are looked for only if others are known without a date.
    """
    if not run.capabilities.current.sorts(candidates.field):
        takes_any_range = run.capabilities.current.any_range is True
        if candidates.may_be_undated or (takes_any_range and not all_are_dated(run)):
            undated = run.store.read(stored_tasks.versions_without, candidates.field)
            _look_for(run, candidates, undated, insists=True)
        return
    try:
        for page in undated_pages(run):
            candidates.keep(page)
    except SkipRefusedError as error:
        raise IncompleteError(f"tasks may have lost their dates, so none is marked as deleted: {error}") from error


def _look_for(
    run: RunContext, candidates: DeletionCandidates, undated: stored_tasks.Versions, *, insists: bool
) -> None:
    """Read without dates, to judge the tasks that are in no window because they have none.

    Raises:
        IncompleteError: not all was shown, and it ``insists``.
    """
    left = dict(undated)
    capabilities = run.capabilities.current
    for page in read_by_offset(run.fetch, Query(limit=capabilities.limit()), capabilities, END_OF_TIME):
        for key in candidates.keep(page):
            left.pop(key, None)
        if not page.verified or (page.is_withheld and not candidates.hidden):
            reason = page.reason or "rows are counted and not shown"
            if insists:
                raise IncompleteError(f"tasks may have lost their dates, so none is marked as deleted: {reason}")
            candidates.mark_unverified(EPOCH, END_OF_TIME, reason)
            return
    candidates.add(left)
