"""Reads tasks that the server counts and that are not stored: no incremental reading shows them.

Such tasks have no date that the server filters on, or are dated before everything that was read, or stood behind pages
that came short. The cheap places come first: both ends of the order, then the ranges whose counts differ, then a walk.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from etl.errors import RefusedError
from etl.extract.capabilities import END_OF_TIME
from etl.extract.http.page import Page
from etl.extract.http.query import Direction, Field, Query
from etl.extract.paging.checked_pages import Window, window_query
from etl.extract.paging.read_strategy import READERS, choose_strategy
from etl.jobs.reconcile.compare_counts import BEGINNING_OF_TIME, CountComparison
from etl.jobs.reconcile.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.run.run_context import RunContext

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
        end = END_OF_TIME if capabilities.longest_range is None else since + capabilities.longest_range
        for page in READERS[strategy.history](run.fetch, Window(strategy.field, since, end), capabilities):
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


def _compare_counts(run: RunContext) -> None:
    """Read the ranges in which the server counts more tasks than are here."""
    capabilities = run.capabilities.current
    if run.options.start is not None or capabilities.any_range is not True:
        return
    field = choose_strategy(capabilities).field
    everything = window_query(Window(field, BEGINNING_OF_TIME, END_OF_TIME), capabilities)
    dated, total = run.fetch(replace(everything, limit=1)).total, run.fetch.undated_total
    candidates = _Search(run, field, force=True)
    if dated is None or total is None:
        return
    try:
        CountComparison(run, candidates).find(total if dated == total else dated + candidates.undated)
    except IncompleteError:
        return  # its totals contradict its rows: the walk shows what is there


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


def _keep(run: RunContext, page: Page) -> int:
    """Store a page and return how many of its tasks were new."""
    return run.writer.store(run.transformer.transform(page)).counts.inserted


class _Search(DeletionCandidates):
    """Stores what a comparison of counts reads, and collects no candidates."""

    def judge(self, *_range: object) -> set[str]:
        """Make no candidates."""
        return set()

    def mark_unverified(self, *_range: object) -> None:
        """Count nothing: the account of the run tells what is missing."""
