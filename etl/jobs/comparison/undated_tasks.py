"""Reads the tasks without the date that the server filters on, which no window of dates holds."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from etl.errors import SkipRefusedError
from etl.extract.capabilities import EARLY, END_OF_TIME
from etl.extract.http.query import DIRECTIONS, Query
from etl.extract.http.response_page import Page
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.probe.probe_session import WITHOUT_ROWS
from etl.jobs.comparison.find_deleted_tasks import beginning
from etl.jobs.comparison.part_from_start import of_source, store_page
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks


def undated_pages(run: RunContext) -> Iterator[Page]:
    """Yield the pages with tasks without a date, from both ends of its order; none where the server does not sort.

    A page that holds nothing new ends an order: the server ignores skip.

    Raises:
        SkipRefusedError: the server refuses a page behind tasks without a date.
    """
    capabilities, field = run.capabilities.current, run.strategy.field
    for direction in DIRECTIONS if capabilities.sorts(field) else ():
        query = Query(limit=capabilities.limit(), sort_by=(field, direction))
        page, shown = run.fetch(query), set[str | None]()
        while None in page.moments(field) and not shown.issuperset(page.ids):
            shown.update(page.ids)
            yield page
            query = replace(query, skip=query.skip + len(page))
            page = run.fetch(query)


def undated_or_all_pages(run: RunContext) -> Iterator[Page]:
    """Return the pages with tasks without a date, all pages where the server does not sort.

    Raises:
        SkipRefusedError: the server refuses one of them.
    """
    capabilities = run.capabilities.current
    if capabilities.sorts(run.strategy.field):
        return undated_pages(run)
    return read_by_offset(run.fetch, Query(limit=capabilities.limit()), capabilities, END_OF_TIME)


def read_undated(run: RunContext, total: int | None, *, again: bool) -> None:
    """Read the tasks without the date that the server filters on: no window holds them.

    Where a ``total`` tells whether any is missing, only ``again`` reads those that are stored: with or without the
    date, which the server may have cleared since. Without an order that takes all pages, and ``start`` spares most
    of them.
    """
    is_sorted = run.capabilities.current.sorts(run.strategy.field)
    if run.start is not None and not again and not is_sorted:
        return
    is_told = total is not None and not is_capped(run)
    if is_told and not (again and _may_be_undated(run)):
        return
    try:
        for page in undated_or_all_pages(run):
            store_page(run, page, takes_back=True)
            run.note_unverified(page.reason)
    except SkipRefusedError as error:
        run.note_unverified(str(error))


def is_capped(run: RunContext) -> bool:
    """Tell whether the server has tasks beyond its total: then that tells of none that is missing or lost its date."""
    total = run.fetch.undated_total
    if total is None or run.count_stored() <= total:
        return False
    try:
        return len(run.fetch(replace(of_source(run), skip=total, limit=1))) > 0
    except SkipRefusedError:
        return True


def _may_be_undated(run: RunContext) -> bool:
    """Tell whether a task without the date is stored, or the server counts more tasks than it counts by dates."""
    total, field = run.fetch.undated_total, run.strategy.field
    if total is None or run.start is not None or run.store.read(stored_tasks.count_without, field):
        return True
    dated = count_dated(run)
    return dated is None or dated < total


def count_dated(run: RunContext) -> int | None:
    """Ask how many tasks the server counts by dates, of those that count; None where it takes no range so long."""
    capabilities = run.capabilities.current
    if capabilities.any_range is not True:
        return None
    dated = Window(run.strategy.field, run.start or beginning(run), END_OF_TIME)
    return run.fetch(replace(window_query(dated, capabilities), limit=1)).total


def all_are_dated(run: RunContext) -> bool:
    """Tell whether totals prove it: the server counts by dates, and as many with any date as in all."""
    if run.capabilities.current.any_range is not True:
        return False
    queries = (WITHOUT_ROWS, Query(limit=1, start=EARLY, end=END_OF_TIME), Query(limit=1))
    nowhere, dated, every = [run.fetch(query).total for query in queries]
    return nowhere == 0 and dated is not None and dated == every and not is_capped(run)
