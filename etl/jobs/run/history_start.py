"""Where history begins: as it is set, as it is kept, or as a few requests tell."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace

from etl.errors import RefusedError
from etl.extract.capabilities import EARLY, MILLISECOND, SECOND
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.end_of_rows import fetch_rows
from etl.extract.paging.page_checks import Window, moments, window_query
from etl.jobs.run.run_context import RunContext
from etl.load.ledger import sources, windows
from etl.load.queries import stored_tasks
from etl.times import shifted

_NEAR_ENOUGH = timedelta(days=31)
_LONG_GAP = timedelta(days=366)


def has_beginning(run: RunContext) -> bool:
    """Tell whether history was read from its beginning on, which is unknown where no task was seen yet."""
    beginning = run.start or run.source.history_start
    if beginning is None:
        return False
    read_from = run.store.read(windows.beginning)
    return read_from is None or beginning >= read_from


def history_start(run: RunContext, *, look_before: bool = False) -> datetime:
    """Return where history begins: as set, as kept, as the probe saw it, or as a few more requests tell.

    An import may have brought tasks from before the beginning that was kept. History begins with the oldest stored
    one. ``look_before`` asks whether there are others before it.
    """
    if run.start is not None:
        return run.start
    known, field = run.source.history_start, run.strategy.field
    oldest = None if known is None else run.store.read(stored_tasks.reach, field)[0]
    if known is not None and oldest is not None:
        known = min(known, max(EARLY, oldest.replace(microsecond=0)))
    if known is not None and not (look_before and _has_rows_before(run, known)):
        # Where the server's time is uncertain, the run may begin before history as far as that is certain.
        return min(known, run.server_clock.earliest_start() - SECOND) if run.server_clock.is_known else known
    probed = run.capabilities.probed
    found = probed.earliest.get(field) if probed is not None else None
    start = found or _search_start(run)
    if known is not None and start is not None:
        start = min(start, known)
    if start is None:
        return run.server_clock.earliest_start() - _NEAR_ENOUGH
    start = min(start, run.server_clock.earliest_start()).replace(microsecond=0)  # a task may be younger than this run
    run.store.write(sources.put, history_start=start)
    return start


def _has_rows_before(run: RunContext, moment: datetime) -> bool:
    try:
        return _counts_rows(run.fetch(Query(limit=1, end=shifted(moment, -MILLISECOND))))
    except RefusedError:
        return False


def _counts_rows(page: Page) -> bool:
    """Tell whether there are rows, also where the server withholds them from the page."""
    return bool(page.records or page.total or (page.total is None and page.has_more))


def _search_start(run: RunContext) -> datetime | None:
    """Ask for the oldest row; a server that does not sort is searched by the time before its rows.

    None where there are no rows at all yet: then history has no beginning to be kept.
    """
    capabilities, field = run.capabilities.current, run.strategy.field
    is_sorted = capabilities.sorts(field)
    query = Query(limit=capabilities.limit(), sort_by=(field, "asc") if is_sorted else None)
    query, page = fetch_rows(run.fetch, query, capabilities)
    if not page.records:
        return None
    if page.is_last(query.skip) or (is_sorted and moments(page, field)):
        return min(moments(page, field), default=EARLY)
    if capabilities.any_range is not False:
        return _halve(run, EARLY, run.server_clock.earliest_start())
    return _behind_undated(run, query, page) if is_sorted else _count_back(run, query, page)


def _behind_undated(run: RunContext, query: Query, page: Page) -> datetime:
    """Return the oldest date of an order that begins with rows without one; EARLY if the server does not show it."""
    field, shown = run.strategy.field, set[str | None]()
    with suppress(RefusedError):
        while not moments(page, field) and not shown.issuperset(page.ids):  # else the server ignores skip
            shown.update(page.ids)
            query = replace(query, skip=query.skip + len(page))
            page = run.fetch(query)
        return min(moments(page, field), default=EARLY)
    return EARLY


def _count_back(run: RunContext, query: Query, page: Page) -> datetime:
    """Return the beginning of the longest ranges, back from now, in which the server has as many rows as in all.

    ``page`` answers the ``query`` for all. EARLY where rows do not prove that, or a whole year has none: others may be
    older than the gap, or undated.
    """
    capabilities, found = run.capabilities.current, 0
    end = newest = run.server_clock.earliest_start()
    length = capabilities.latest_end(EARLY) - EARLY
    with suppress(RefusedError):
        total = _proven_total(run, query, page)
        while total and end - EARLY > length and newest - end < _LONG_GAP:
            window = Window(run.strategy.field, end - length, end)
            query = window_query(window, capabilities)
            counted = _proven_total(run, query, run.fetch(query))
            if counted is None:
                break
            found, end = found + counted, window.start
            newest = end if counted else newest
            if found == total:
                return end
    return EARLY


def _proven_total(run: RunContext, query: Query, page: Page) -> int | None:
    """Return the total of a page; None where there is none, or its last row does not stand in that place."""
    if not page.total or len(page) == page.total < (query.limit or 0):
        return page.total
    return page.total if len(run.fetch(replace(query, skip=page.total - 1, limit=2))) == 1 else None


def _halve(run: RunContext, empty_before: datetime, latest: datetime) -> datetime:
    while latest - empty_before > _NEAR_ENOUGH:
        middle = empty_before + (latest - empty_before) / 2
        try:
            page = run.fetch(Query(limit=1, end=middle.replace(microsecond=0)))
        except RefusedError:
            return empty_before
        if _counts_rows(page):
            latest = middle
        else:
            empty_before = middle
    return empty_before
