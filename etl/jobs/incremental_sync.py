"""Later syncs: read what changed since the last one, and the lookback: what may show late, before the watermark.

Where updatedAt sorts, the pages come newest first and without dates, so the first one tells whether there is news, and
the server's total: a quiet sync takes one request. Reading goes on down to rows that are stored already. One request
more proves the lookback: in the server's order, the oldest stored row of it must stand right before the first older
row. The lookback is read row by row where this fails, and once an hour, from the last such reading on, because a late
second change of a task does not change any count.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from itertools import chain

from msgspec.structs import replace

from etl.errors import ApiError, RefusedError, SkipRefusedError
from etl.extract.capabilities import END_OF_TIME
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.page_checks import Window, check_order, moments
from etl.extract.paging.read_strategy import Paging, ReadStrategy
from etl.jobs.comparison.find_missing_tasks import read_created
from etl.jobs.comparison.part_from_start import count_source
from etl.jobs.pipeline.capability_drift import check_filter, check_newest
from etl.jobs.pipeline.find_changes_without_sorting import read_unresolved_tasks
from etl.jobs.pipeline.implausible_answers import require_plausible
from etl.jobs.pipeline.prefetch import prefetch
from etl.jobs.pipeline.read_windows import TimeRange, read_windows
from etl.jobs.pipeline.revert_names_after_server_restore import ShownVersions
from etl.jobs.pipeline.window_progress import WindowProgress
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import runs, watermarks
from etl.load.queries import stored_tasks
from etl.load.queries.stored_tasks import find_canary
from etl.load.upsert.batch_and_counts import Batch, Counts
from etl.logs import bound
from etl.times import interval, shifted

_HOUR = timedelta(hours=1)
_WAIT = 0.2  # seconds that changes wait for the next page, to be stored with it


def load_changes(run: RunContext, strategy: ReadStrategy, watermark: datetime) -> None:
    """Read and store the changes since the last sync, and move the watermark.

    Where the first page proves that nothing is new, the watermark stays: the next change has everything since then
    read again.

    Raises:
        SkipRefusedError: the server refuses to show all changes in their order, and no dates show them.
    """
    field = strategy.field if strategy.changes == "unresolved" else "updatedAt"
    rounding = run.store.read(stored_tasks.rounding, field)  # what the server rounds dates to
    since = shifted(watermark, -run.options.lookback - rounding).replace(microsecond=0)
    if run.capabilities.current.sorts("updatedAt"):
        try:
            _load_sorted(run, strategy, since, watermark, may_be_quiet=not rounding)
        except SkipRefusedError:
            if strategy.changes != "windows":
                raise
            _load_windows(run, strategy, since)
            advance(run, is_lookback_read=False)
        return
    require_plausible(run)
    if strategy.changes == "windows":
        _load_windows(run, strategy, since)
        advance(run)
        return
    _, complete_to = run.store.read(watermarks.around)
    read_windows(run, TimeRange("sync", strategy.field, Paging.SPLIT_WINDOWS, since))
    read_unresolved_tasks(run, strategy)
    # Changes of other tasks wait. Once the server shows changes in their order, they are read from there on.
    advance(run, complete_to=complete_to, is_lookback_read=False)


def load_newest_first(run: RunContext, start: datetime, shown: ShownVersions | None = None) -> datetime:
    """Read and store all changes since a reading's start and its lookback; note the versions of names in ``shown``.

    Return up to when all changes are stored. The run tells of a lookback that it cannot reach.

    Raises:
        SkipRefusedError: the server refuses to show all changes since ``start``.
    """
    before, since, oldest = run.fetch.requests, shifted(start, -run.options.lookback), END_OF_TIME
    must_reach = shifted(start, -run.store.read(stored_tasks.rounding, "updatedAt"))
    with bound(window=interval(since, None)):
        progress = WindowProgress.begin("sync", "updatedAt", Paging.NEWEST_FIRST, since)
        pages = _newest_first(run, since)
        first = next(pages)
        try:
            for batch in prefetch(chain([first], pages), run.transformer.transform, most=run.writer.most_prefetched):
                end = run.server_clock.earliest_start()
                after = progress.extended(batch, end=end, requests=run.fetch.requests - before)
                progress = run.writer.store(batch, after).window or after
                oldest = min([oldest, *(row["updated_at"] for row in batch.tasks if row["updated_at"] is not None)])
                if shown is not None:
                    shown.add(batch)
        except SkipRefusedError as error:
            if oldest >= must_reach:
                raise
            run.note_unverified(str(error))
            end, requests = run.server_clock.earliest_start(), run.fetch.requests - before
            progress = progress.failed(error, end, requests=requests)
            run.writer.fail_window(progress)
        if progress.is_open:
            _close(run, progress, before)
    return run.server_clock.newest_past(first.updated)


def advance(
    run: RunContext,
    reached: datetime | None = None,
    *,
    complete_to: datetime | None = None,
    is_lookback_read: bool = True,
) -> None:
    """Move the watermark behind the start of this run by the settle time; to ``reached`` less that if it is given.

    All changes up to ``complete_to`` that the server showed are stored, as those up to ``reached``.
    """
    reached = reached or run.server_clock.earliest_start()
    now = run.clock()
    run.store.write(
        watermarks.advance,
        reached - run.options.settle,
        run_id=run.id,
        now=now,
        complete_to=complete_to or reached,
        lookback_read_at=now if is_lookback_read else None,
    )


def _load_sorted(
    run: RunContext, strategy: ReadStrategy, since: datetime, watermark: datetime, *, may_be_quiet: bool
) -> None:
    start, before = since, run.fetch.requests
    last, complete_to = run.store.read(watermarks.around)
    if last is None or abs(run.clock() - last) > _HOUR:
        start, may_be_quiet = min(since, shifted(last or since, -run.options.lookback)), False
    if complete_to < watermark:  # changes waited as long as the server showed them in no order
        start, may_be_quiet = min(start, shifted(complete_to, -run.options.lookback)), False
    first, pages = _first_page(run, start)
    may_count = may_be_quiet and first.total is not None and run.start is None
    known = _count_known(run, first, complete_to)
    if not known and (may_count or strategy.changes != "windows"):
        rows = 0
        for batch in _stored(run, chain([first], _until_known(run, pages, complete_to))):
            rows += len(batch)
        run.store.hold()
    else:
        batch = run.transformer.transform(first)
        rows, counts = len(batch), run.writer.store(batch).counts
        if batch.checkpoint is None and may_be_quiet and _nothing_is_new(run, first, counts, known, watermark):
            return
    is_proven = batch.checkpoint is None and may_count and _is_lookback_stored(run, since)
    problem, is_lookback_read = "", not is_proven
    if not is_proven and (batch.checkpoint is None or not batch.verified):
        if strategy.changes == "windows":
            _load_windows(run, strategy, start)
            advance(run, complete_to=run.server_clock.newest_past(first.updated))
            return
        more, problem, is_lookback_read = _store_lookback(run, pages, must_reach=not may_be_quiet)
        rows, problem = rows + more, problem or batch.reason
    if first.total is None:  # else the account tells of tasks that have no updatedAt
        read_created(run, watermark)
    run.store.hold()
    progress = WindowProgress.begin("sync", "updatedAt", Paging.NEWEST_FIRST, start)
    _close(run, replace(progress, problem=problem, rows=rows), before)
    advance(run, complete_to=run.server_clock.newest_past(first.updated), is_lookback_read=is_lookback_read)


def _first_page(run: RunContext, start: datetime) -> tuple[Page, Iterator[Page]]:
    """Return the newest page, once it is plausible, and the pages behind it.

    Raises:
        ApiError: the server shows no task, or none in this order.
        CapabilityDriftError: it no longer sorts.
    """
    pages = _newest_first(run, start)
    first = next(pages)
    run.store.hold()
    if require_plausible(run, first):
        pages = _newest_first(run, start)
        first = next(pages)
        if not first.records:
            raise ApiError("the server shows tasks, but none in the order of their changes: try again")
    canary = run.store.read(find_canary)
    if canary is not None:
        check_newest(run, canary, first)
    return first, pages


def _stored(run: RunContext, pages: Iterator[Page]) -> Iterator[Batch]:
    """Store pages, several in one batch where they come quickly, and yield each batch."""
    run.store.commit()  # another thread sends the requests
    for batch in prefetch(pages, run.transformer.transform, most=run.writer.most_prefetched, wait=_WAIT):
        run.writer.store(batch)
        yield batch


def _store_lookback(run: RunContext, pages: Iterator[Page], *, must_reach: bool) -> tuple[int, str, bool]:
    """Store the pages behind the known rows.

    Return how many rows they had, why they may not be all, and whether the server showed the whole lookback.

    Raises:
        SkipRefusedError: it did not, and ``must_reach``.
    """
    rows, problem = 0, ""
    try:
        for batch in _stored(run, pages):
            rows, problem = rows + len(batch), batch.reason
    except SkipRefusedError as error:
        if must_reach:
            raise
        return rows, str(error), False
    return rows, problem, True


def _until_known(run: RunContext, pages: Iterator[Page], complete_to: datetime) -> Iterator[Page]:
    """Yield pages up to the first one whose last rows show that all before them is stored."""
    for page in pages:
        is_known = _count_known(run, page, complete_to) > 0
        yield page
        if is_known:
            return


def _close(run: RunContext, progress: WindowProgress, requests_before: int) -> None:
    end = run.server_clock.earliest_start()
    run.writer.close_window(progress.finished(end, requests=run.fetch.requests - requests_before))


def _count_known(run: RunContext, page: Page, complete_to: datetime) -> int:
    """Return how many rows at a page's end are stored in this version, if the last one is not after ``complete_to``.

    No change before such a row is missing. A later stored row proves nothing: a run that was cut off, an account or a
    backfill may have stored it alone.
    """
    last = page.updated[-1] if page.updated else None
    if last is None or last > complete_to:
        return 0
    stored = run.store.read(stored_tasks.versions_of, {key for key in page.ids if key})
    known = 0
    for key, updated in zip(reversed(page.ids), reversed(page.updated), strict=True):
        if key is None or updated is None or stored.get(key) != updated:
            break
        known += 1
    return known


def _nothing_is_new(run: RunContext, page: Page, counts: Counts, known: int, watermark: datetime) -> bool:
    """Tell whether the newest page held nothing new and the server's total follows from the last account.

    ``counts`` tells what storing the page did, ``known`` how many of its rows were stored before. The check proves
    nothing where rows without a date stand first. It holds for an hour at most, so that late changes are looked for
    again.
    """
    if any((counts.inserted, counts.updated, counts.stale, run.counters.rejected)):
        return False
    if not known or known < len(page.records) or run.server_clock.earliest_start() - watermark > _HOUR:
        return False
    if page.total is not None:
        return _surplus_rose(run, page.total) == 0
    return run.start is None and _ends_at(run, run.count_stored())


def _surplus_rose(run: RunContext, every: int) -> int | None:
    """Return how many more tasks are stored than the server counts, less those of the last account.

    ``every`` is the total of all its tasks. Deleted tasks make the surplus rise, missing ones make it fall. None where
    totals are not proven up to this one, because they may be capped.
    """
    total = count_source(run, every)
    if total is None:
        return None
    surplus = run.count_stored() - total
    before = run.store.read(runs.last_surplus, run.options.start, at_least=total)
    if before is None:
        return 0 if surplus == 0 else None
    return surplus - before


def _ends_at(run: RunContext, rows: int) -> bool:
    """Tell whether the server has exactly this number of rows, where it does not count."""
    try:
        return len(run.fetch(replace(_newest(run), skip=rows - 1, limit=2))) == 1
    except RefusedError:
        return False


def _is_lookback_stored(run: RunContext, since: datetime) -> bool:
    """Tell whether the server has as many rows since a time as are stored, by one request or two.

    Both counts would be equal if a stored task was deleted and another one shows late. So no task may have been
    deleted since the last account.
    """
    limit = run.capabilities.current.limit()
    query = replace(_newest(run), skip=max(0, _count_since(run, since) - limit // 2))
    try:
        page = run.fetch(query)
    except RefusedError:
        return False
    run.store.hold()
    check_order(page, "updatedAt", descending=True)
    run.writer.store(run.transformer.transform(page))
    newer = sum(moment >= since for moment in moments(page, "updatedAt"))
    is_end_shown = newer < len(page) and (newer > 0 or not query.skip)
    if not is_end_shown or None in page.updated or len(page) < len(page.records):
        return False
    if _count_since(run, since) != query.skip + newer:  # tasks that changed since the first page stand at the top now
        page = run.fetch(_newest(run))
        run.writer.store(run.transformer.transform(page))
    rose = None if page.total is None else _surplus_rose(run, page.total)
    return _count_since(run, since) == query.skip + newer and rose is not None and rose <= 0


def _count_since(run: RunContext, since: datetime) -> int:
    return run.store.read(stored_tasks.count_between, "updatedAt", since, END_OF_TIME)


def _newest(run: RunContext) -> Query:
    return Query(limit=run.capabilities.current.limit(), sort_by=("updatedAt", "desc"))


def _newest_first(run: RunContext, since: datetime) -> Iterator[Page]:
    return read_newest_first(run.fetch, Window("updatedAt", since, END_OF_TIME), run.capabilities.current)


def _load_windows(run: RunContext, strategy: ReadStrategy, since: datetime) -> None:
    """Read windows of updatedAt from ``since`` on; a canary tells whether dates still filter on updatedAt."""
    canary, current = run.store.read(find_canary, created_before=since), run.capabilities.current
    is_near = canary is not None and current.latest_end(canary.updated) >= since  # so it takes one range more at most
    if canary is not None and is_near and _count_since(run, canary.updated) <= current.limit() // 2:
        since = min(since, canary.updated.replace(microsecond=0))  # a few rows more, and the canary must be among them
    check = None if canary is None else partial(check_filter, run, canary)
    time_range = TimeRange("sync", strategy.field, strategy.history, since, moves_watermark=True, check_first=check)
    read_windows(run, time_range)
