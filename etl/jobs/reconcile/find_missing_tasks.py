"""Reads tasks that the server counts and that are not stored: no incremental reading shows them.

Such tasks have no date that the server filters on, or are dated before everything that was read, or stood behind pages
that came short. The cheap places come first: both ends of the order, then the ranges whose counts differ, then a walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etl.errors import RefusedError
from etl.extract.capabilities import END_OF_TIME
from etl.extract.http.query import Direction, Field, Query
from etl.extract.http.response_page import Page
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import Window, window_query
from etl.extract.paging.read_strategy import READERS, choose_strategy
from etl.jobs.reconcile.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.reconcile.find_differing_ranges import BEGINNING_OF_TIME, CountComparison
from etl.jobs.run.run_context import RunContext
from etl.load.queries import present_tasks

_MOST_PAGES = 20  # of a walk, where this run did not read all of history
_DIRECTIONS: tuple[Direction, ...] = ("asc", "desc")


def of_source(run: RunContext) -> Query:
    """Return the query for every task of the source, from ``start`` on where that is set."""
    start = run.options.start
    return Query() if start is None else Query(start=run.capabilities.current.first_date(start))


def read_latest(run: RunContext) -> int | None:
    """Read and store the latest tasks; return the server's total of that moment or before."""
    capabilities = run.capabilities.current
    field: Field | None = next((name for name in ("createdAt", "updatedAt") if capabilities.sorts(name)), None)
    if field is None:
        since = run.server_clock.earliest_start() - run.options.settle
        strategy = choose_strategy(capabilities)
        total = run.fetch(replace(of_source(run), limit=1)).total  # before: what comes meanwhile is read as well
        window = Window(strategy.field, since, capabilities.latest_end(since))
        for page in READERS[strategy.history](run.fetch, window, capabilities):
            _keep(run, page)
        return total
    page = run.fetch(replace(of_source(run), limit=capabilities.limit(), sort_by=(field, "desc")))
    _keep(run, page)
    return page.total


def search(run: RunContext, *, to_the_end: bool) -> Iterator[bool]:
    """Read and store what may be missing, step by step; give True once every place that the server counts was asked."""
    most = None if to_the_end else _MOST_PAGES
    yield from _read_ends(run)
    _compare_counts(run)
    yield False
    yield from _walk(run, most)


def _read_ends(run: RunContext) -> Iterator[bool]:
    """Read the first and the last rows in the order of the date that the server filters on, as long as they are new."""
    capabilities = run.capabilities.current
    field = choose_strategy(capabilities).field
    if not capabilities.sorts(field):
        return
    for direction in _DIRECTIONS:
        query = replace(of_source(run), limit=capabilities.limit(), sort_by=(field, direction))
        while True:
            try:
                page = run.fetch(query)
            except RefusedError:
                break
            if not _keep(run, page):
                break
            yield False
            query = replace(query, skip=query.skip + len(page))


def read_undated(run: RunContext, *, again: bool) -> None:
    """Read the tasks without the date that the server filters on: no window holds them.

    Where a total tells whether any is missing, only ``again`` reads those that are stored: with or without the date,
    which the server may have cleared since.
    """
    capabilities = run.capabilities.current
    field = choose_strategy(capabilities).field
    if run.fetch.tells_totals is not False and not (again and _may_be_undated(run, field)):
        return
    if not capabilities.sorts(field):
        query = replace(of_source(run), limit=capabilities.limit())
        for page in read_by_offset(run.fetch, query, capabilities, END_OF_TIME):
            _keep(run, page, takes_back=True)
        return
    for page in undated_pages(run, of_source(run), field):
        _keep(run, page, takes_back=True)


def undated_pages(run: RunContext, everything: Query, field: Field) -> Iterator[Page]:
    """Yield the pages with tasks without a date, from both ends of its order; none where the server does not sort."""
    capabilities = run.capabilities.current
    for direction in _DIRECTIONS if capabilities.sorts(field) else ():
        query = replace(everything, limit=capabilities.limit(), sort_by=(field, direction))
        page = run.fetch(query)
        while None in page.moments(field):
            yield page
            query = replace(query, skip=query.skip + len(page))
            page = run.fetch(query)


def _may_be_undated(run: RunContext, field: Field) -> bool:
    """Tell whether a task without the date is stored, or the server counts more tasks than it counts by dates."""
    total = run.fetch.undated_total
    if total is None or run.options.start is not None or run.store.read(present_tasks.count_without, field):
        return True
    dated = _count_dated(run, field)
    return dated is None or dated < total


def _count_dated(run: RunContext, field: Field) -> int | None:
    """Ask how many tasks the server counts by dates; None where it takes no range of all time."""
    capabilities = run.capabilities.current
    if capabilities.any_range is not True:
        return None
    everything = window_query(Window(field, BEGINNING_OF_TIME, END_OF_TIME), capabilities)
    return run.fetch(replace(everything, limit=1)).total


def _compare_counts(run: RunContext) -> None:
    """Read the ranges in which the server counts more tasks than are here."""
    capabilities = run.capabilities.current
    total = run.fetch.undated_total
    if run.options.start is not None or total is None:
        return
    field = choose_strategy(capabilities).field
    candidates = _Search(run, field, force=True)
    if capabilities.any_range is True:
        dated = _count_dated(run, field)
        if dated is None:
            return
        total = total if dated == total else dated + candidates.undated
    try:
        CountComparison(run, candidates).find(total)
    except (IncompleteError, RefusedError):
        return  # its totals contradict its rows, or a range is too long: the walk shows what is there


def _walk(run: RunContext, most: int | None) -> Iterator[bool]:
    """Read everything by skip; a walk on which the total never changed has asked for each place."""
    capabilities = run.capabilities.current
    fields: tuple[Field, ...] = ("createdAt", "updatedAt")
    order: Field | None = next((name for name in fields if capabilities.sorts(name)), None)
    limit = capabilities.limit()
    query = replace(of_source(run), limit=limit, sort_by=None if order is None else (order, "asc"))
    totals: set[int | None] = set()
    repeats = 0
    while True:
        try:
            page = run.fetch(query)
        except RefusedError:
            return
        _keep(run, page)
        totals.add(page.total)
        if page.total is None or (most is not None and page.total > most * limit):
            return
        repeats = 0 if page.records else repeats + 1
        step = len(page) if page.records else limit * (repeats > 1)
        query = replace(query, skip=query.skip + step)
        if query.skip >= page.total:
            yield len(totals) == 1
            return
        yield False


def _keep(run: RunContext, page: Page, *, takes_back: bool = False) -> int:
    """Store a page and return how many of its tasks were new."""
    return run.writer.store(run.transformer.transform(page), takes_back=takes_back).counts.inserted


class _Search(DeletionCandidates):
    """Stores what a comparison of counts reads, and collects no candidates."""

    def judge(self, *_range: object) -> set[str]:
        """Make no candidates."""
        return set()

    def mark_unverified(self, *_range: object) -> None:
        """Count nothing: the account of the run tells what is missing."""
