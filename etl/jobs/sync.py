"""The main job: bring the database up to date with what the server holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain

from etl.errors import RefusedError
from etl.extract.capabilities import END_OF_TIME, CapabilityDriftError
from etl.extract.http.page import Page
from etl.extract.http.query import Query
from etl.extract.paging.checked_pages import Window, moments, window_query
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.read_strategy import Paging, ReadStrategy, choose_strategy
from etl.jobs.pipeline.capability_drift import check_filter, check_newest
from etl.jobs.pipeline.no_change_check import nothing_is_new
from etl.jobs.pipeline.outage_check import require_plausible
from etl.jobs.pipeline.parallel_windows import read_in_parallel
from etl.jobs.pipeline.prefetch import prefetch
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.reverted_names import ReadVersions, revert_names
from etl.jobs.pipeline.run_account import take_account
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.ensure_capabilities import has_beginning, history_start
from etl.jobs.run.run_context import RunContext
from etl.jobs.sweep import sweep_history
from etl.load.ledger import rejected_records, windows
from etl.load.queries import deletions, statistics
from etl.logs import bound
from etl.times import interval


def sync(run: RunContext, *, full: bool = False, workers: int | None = None) -> None:
    """Read what is new or changed since the watermark, all of history at first or if ``full``, and store it.

    ``workers`` read history; None is as many as the request budget keeps busy. Where the server behaves differently
    from its known capabilities, the run corrects them and goes on.

    Raises:
        EtlError: as the client and the database raise it, or where the server contradicts itself.
    """
    run.capabilities.ensure_known()
    while True:
        strategy = choose_strategy(run.capabilities.current)
        try:
            watermark = run.store.watermark()
            reads_history = full or watermark is None or not has_beginning(run)
            if reads_history or watermark is None:
                load_history(run, strategy, job="full" if full else "first", workers=workers)
            else:
                load_changes(run, strategy, watermark)
            return take_account(run, is_full=reads_history)
        except CapabilityDriftError as drift:
            run.capabilities.correct(drift)


def load_history(run: RunContext, strategy: ReadStrategy, *, job: str, workers: int | None) -> None:
    """Read all of history, then what changed meanwhile; a first sync that was cut off goes on at its checkpoint."""
    require_plausible(run)
    start = history_start(run, strategy.field, look_before=job == "full")
    done = run.store.read(windows.progress, job, strategy.field, start) if job == "first" else None
    time_range = TimeRange(
        job, strategy.field, strategy.history, done.checkpoint if done else start,
        moves_watermark=strategy.field == "updatedAt", takes_back=True,
    )  # fmt: skip
    read_versions = ReadVersions()
    if job == "full":
        run.writer.after_store = read_versions.add
    read_windows(run, read_in_parallel(run, time_range, workers))
    this_start = run.server_clock.earliest_start()
    first_start = done.opened_at if done else this_start
    if strategy.changes == "newest_first":
        _store_changes(run, first_start - run.options.lookback)
    revert_names(run, read_versions)
    if job == "full" and not run.counters.unverified:
        run.store.write(rejected_records.mark_vanished, run_id=run.id, now=run.clock())
    # A sweep finds no change that a run which was cut off has missed: later sweeps start where that run started.
    reached = first_start if strategy.changes == "sweep" else this_start
    run.writer.advance(reached - run.options.settle)


def load_changes(run: RunContext, strategy: ReadStrategy, watermark: datetime) -> None:
    """Read what changed since the watermark, and before it as far as late rows may show.

    Where the first page proves that nothing is new, the watermark stays: the next change has everything since then
    read again.
    """
    since = (watermark - run.lookback()).replace(microsecond=0)
    if strategy.changes == "newest_first":
        is_read = _load_newest_first(run, since, watermark)
    elif strategy.changes == "windows":
        is_read = _load_recent_windows(run, strategy, since, watermark)
    else:
        sweep_history(run, strategy, since, history_start(run, strategy.field))
        is_read = True
    if is_read:
        run.writer.advance(run.server_clock.earliest_start() - run.options.settle)


def _load_newest_first(run: RunContext, since: datetime, watermark: datetime) -> bool:
    """Read down to ``since``; return False where the first page proves that nothing is new."""
    limit = run.capabilities.current.limit()
    before = run.fetch.requests
    with bound(window=interval(since, None)):
        pages = _newest_first(run, since)
        first = next(pages)
        require_plausible(run, first)
        canary = run.store.read(statistics.find_canary)
        if canary is not None:
            check_newest(run, canary, first)
        counts = run.writer.store(run.transformer.transform(first)).counts
        query = Query(limit=limit, sort_by=("updatedAt", "desc"))
        stored = run.count_stored()
        if first.checkpoint is None and nothing_is_new(run, query, first, counts, stored=stored, watermark=watermark):
            return False
        rest = chain([replace(first, records=[])], pages)  # its records are stored, and count as the window's
        _store_newest_first(run, rest, since, before, rows=len(first.records))
    return True


def _store_changes(run: RunContext, since: datetime) -> None:
    with bound(window=interval(since, None)):
        _store_newest_first(run, _newest_first(run, since), since, run.fetch.requests)


def _newest_first(run: RunContext, since: datetime) -> Iterator[Page]:
    return read_newest_first(run.fetch, Window("updatedAt", since, END_OF_TIME), run.capabilities.current)


def _store_newest_first(
    run: RunContext, pages: Iterator[Page], since: datetime, requests_before: int, *, rows: int = 0
) -> None:
    record = replace(WindowProgress.begin("sync", "updatedAt", Paging.NEWEST_FIRST, since), rows=rows)
    for batch in prefetch(pages, run.transformer.transform, most=run.writer.most_prefetched):
        end = run.server_clock.earliest_start()
        after = record.extended(batch, end=end, requests=run.fetch.requests - requests_before)
        record = run.writer.store(batch, after).window or after
    if record.is_open:
        end = run.server_clock.earliest_start()
        run.writer.close_window(record.finished(end, requests=run.fetch.requests - requests_before))


def _load_recent_windows(run: RunContext, strategy: ReadStrategy, since: datetime, watermark: datetime) -> bool:
    """Read windows of updatedAt from ``since`` on; return False where one page proves that nothing is new."""
    limit = run.capabilities.current.limit()
    canary = run.store.read(statistics.find_canary, created_before=since)
    if canary is not None and _stored_since(run, canary.updated) <= limit // 2:
        since = min(since, canary.updated.replace(microsecond=0))  # a few rows more, and the canary must be among them
    stored = _stored_since(run, since)
    if strategy.history is Paging.KEYSET and stored >= limit and _is_recent_quiet(run, since, watermark, stored):
        return False
    check = partial(_check_first, run, canary, since)
    read_windows(
        run, TimeRange("sync", strategy.field, strategy.history, since, moves_watermark=True, check_first=check)
    )
    return True


def _check_first(run: RunContext, canary: statistics.Canary | None, since: datetime, page: Page) -> None:
    if not page.records and _is_nothing_since(run, since):
        return
    if canary is not None:
        check_filter(run, canary, page)


def _is_nothing_since(run: RunContext, since: datetime) -> bool:
    """Tell whether the newest of all tasks is older than ``since``: then an empty window is right, by any filter."""
    is_sorted = run.capabilities.current.sorts("updatedAt")
    newest = run.fetch(Query(limit=1, sort_by=("updatedAt", "desc") if is_sorted else None))
    require_plausible(run, newest)
    found = moments(newest, "updatedAt")
    return is_sorted and bool(found) and max(found) < since


def _is_recent_quiet(run: RunContext, since: datetime, watermark: datetime, stored: int) -> bool:
    capabilities = run.capabilities.current
    window = Window("updatedAt", since, capabilities.latest_end(since))
    query = replace(window_query(window, capabilities), sort_by=("updatedAt", "desc"))
    try:
        page = run.fetch(query)
    except RefusedError:
        return False  # so long a range is refused now: reading finds out what is not
    counts = run.writer.store(run.transformer.transform(page)).counts
    return nothing_is_new(run, query, page, counts, stored=stored, watermark=watermark)


def _stored_since(run: RunContext, moment: datetime) -> int:
    return run.store.read(deletions.count_since, "updatedAt", moment)
