"""Reads tasks that the server counts and that are not stored: no incremental reading shows them.

Such tasks have no date that the server filters on, or are dated before everything that was read, or stood behind pages
that came short. The cheap places come first: both ends of the order, then the ranges whose counts differ, then a walk.
A comparison or a walk that comes to its end proves which differences are left.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterator
from contextlib import suppress
from datetime import datetime
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from etl.errors import RefusedError, SkipRefusedError
from etl.extract.http.query import DIRECTIONS, Direction, Field
from etl.extract.http.response_page import Page, is_inactive, moment_of
from etl.jobs.comparison.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.comparison.find_deleted_tasks import CountComparison, TooManyDifferencesError
from etl.jobs.comparison.part_from_start import count_source, latest_total, of_source, store_page
from etl.jobs.comparison.undated_tasks import count_dated, undated_or_all_pages, undated_pages
from etl.jobs.pipeline.open_windows import read_recent
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks

MOST_REQUESTS = 60  # of a comparison or a walk, where this run did not read all of history


class Differences(Struct, frozen=True):
    """Why the server counts other than what is stored: it never shows some rows, and no longer has some tasks.

    ``absent`` are the ids of those tasks, as far as they are known.
    """

    hidden: int
    deleted: int
    absent: frozenset[str] = frozenset()


class ContradictoryTotalsError(Exception):
    """The server's totals do not fit its rows: they are estimates."""


def read_latest(run: RunContext, order: Field = "createdAt") -> int | None:
    """Read and store the latest tasks by ``order`` if the server sorts by it; return its total then or before.

    By updatedAt, reading goes on as long as it brings news: a task that was created long ago may have come meanwhile.
    """
    capabilities = run.capabilities.current
    fields: tuple[Field, ...] = (order, "createdAt", "updatedAt")
    field = next((name for name in fields if capabilities.sorts(name)), None)
    is_told = field is not None and run.start is None  # by the page that is read
    total = None if is_told else count_source(run)  # before: what comes meanwhile is read as well
    if field is None:
        _read_since(run, run.server_clock.earliest_start() - run.options.settle)
        return total
    pages = _read_while_new(run, field, "desc")
    first = next(pages)
    total = first.total if is_told else total
    if field == "updatedAt":
        with suppress(SkipRefusedError):  # the total tells what is missing
            for _ in pages:
                pass
    return total


def read_created(run: RunContext, since: datetime) -> None:
    """Read and store the tasks created since a time: those without updatedAt stand in no order of changes."""
    has_dates, problem = run.strategy.field == "createdAt", ""
    if run.capabilities.current.sorts("createdAt"):
        try:
            for _ in _read_while_new(run, "createdAt", "desc"):
                pass
        except SkipRefusedError as error:
            problem = str(error)
        else:
            return
    if has_dates:
        _read_since(run, since)
    else:
        run.note_unverified(problem)


def _read_since(run: RunContext, since: datetime) -> None:
    for page in read_recent(run, since):
        store_page(run, page)
        run.note_unverified(page.reason)


def _read_while_new(run: RunContext, field: Field, direction: Direction) -> Iterator[Page]:
    """Read and store the pages from one end of an order, and yield each, up to the first one without news.

    Raises:
        SkipRefusedError: more pages would bring news, but the server refuses them.
        RefusedError: it refuses the first page.
    """
    query = replace(of_source(run), limit=run.capabilities.current.limit(), sort_by=(field, direction))
    while True:
        page = run.fetch(query)
        is_new = store_page(run, page) > 0
        yield page
        if not is_new:
            return
        query = replace(query, skip=query.skip + len(page))


def search(run: RunContext, known: Differences, *, to_the_end: bool) -> Iterator[Differences | None]:
    """Read and store what may be missing, step by step; give the differences that are left once they are proven.

    Raises:
        ContradictoryTotalsError: no number of missing tasks can be told.
    """
    most = None if to_the_end else MOST_REQUESTS
    if run.start is not None:
        yield from _read_outside_ranges(run, most)
    yield from _read_ends(run)
    contradiction: ContradictoryTotalsError | None = None
    try:
        yield compare(run, known, most=most)
    except ContradictoryTotalsError as error:
        contradiction = error
    yield from _walk(run, most)
    if contradiction is not None:
        raise contradiction


def _read_outside_ranges(run: RunContext, most: int | None) -> Iterator[None]:
    """Read tasks without a date in at most ``most`` requests: no range from ``start`` on may show them."""
    with suppress(SkipRefusedError):
        for page in islice(undated_or_all_pages(run), most):
            store_page(run, page)
    yield None


def _read_ends(run: RunContext) -> Iterator[None]:
    """Read the first and the last rows in the order of the date that the server filters on, as long as they are new."""
    capabilities = run.capabilities.current
    field = run.strategy.field
    if not capabilities.sorts(field):
        return
    for direction in DIRECTIONS:
        with suppress(RefusedError):
            for _ in _read_while_new(run, field, direction):
                yield None


def compare(run: RunContext, known: Differences, *, most: int | None) -> Differences | None:
    """Read the ranges in which the server counts other than what is stored; return the differences that are left.

    None where the requests do not suffice, or the server does not count such ranges. Of tasks that wait to be marked
    the counts here leave out those whose ids are known. If others may make up for missing tasks, nothing is proven.

    Raises:
        ContradictoryTotalsError: its totals contradict its rows.
    """
    capabilities = run.capabilities.current
    total = latest_total(run)
    if total is None or capabilities.counts_inactive is False:
        return None
    field = run.strategy.field
    candidates = _Search(run, known.absent)
    dated = count_dated(run)
    if dated is None and capabilities.any_range is True:
        return None
    undated = 0 if dated in (None, total) else total - (dated or 0)
    comparison = CountComparison(run, candidates, most=most)
    try:
        comparison.find(total if dated in (None, total) else (dated or 0) + candidates.undated)
        if dated is None or not candidates.is_complete:
            return None
        more = 0 if dated == total else _count_more_undated(run, undated - candidates.undated_rejected)
    except (TooManyDifferencesError, RefusedError):
        return None
    except IncompleteError as error:
        raise ContradictoryTotalsError(str(error)) from error
    deleted = len(candidates.gone) + max(0, -more)
    may_be_unread = more > 0 and not capabilities.sorts(field)
    hidden = comparison.hidden + max(0, more)
    if may_be_unread or len(known.absent) < known.deleted > deleted or hidden < known.hidden:
        return None  # deleted tasks may make up for missing or hidden ones
    return Differences(hidden, deleted, frozenset(candidates.gone))


def _count_more_undated(run: RunContext, counted: int) -> int:
    """Return how many more tasks without a date the server counts than are stored, once those that it shows are."""
    if counted > run.store.read(stored_tasks.count_without, run.strategy.field):
        for page in undated_pages(run):
            store_page(run, page)
    return counted - run.store.read(stored_tasks.count_without, run.strategy.field)


def _walk(run: RunContext, most: int | None) -> Iterator[Differences | None]:
    """Read everything by skip; walks on which the total never changed have asked for each place.

    What a walk does not show is walked again: a server may withhold a row only once.
    """
    capabilities = run.capabilities.current
    fields: tuple[Field, ...] = ("createdAt", "updatedAt")
    order: Field | None = next((name for name in fields if capabilities.sorts(name)), None)
    limit = capabilities.limit()
    query = replace(of_source(run), limit=limit, sort_by=None if order is None else (order, "asc"))
    totals, shown, uncounted = set[int | None](), set[str](), set[str]()
    repeats, shown_before = 0, -1
    while True:
        try:
            page = run.fetch(query)
        except RefusedError:
            return
        store_page(run, page)
        totals.add(page.total)
        for place, (key, record) in enumerate(zip(page.ids, page.records, strict=True)):
            is_left_out = capabilities.counts_inactive is False and is_inactive(record)
            (uncounted if is_left_out else shown).add(key or f"row {query.skip + place}")
        if page.total is None or (most is not None and page.total > most * limit):
            return
        repeats = 0 if page.records else repeats + 1
        step = len(page) if page.records else limit * (repeats > 1)
        query = replace(query, skip=query.skip + step)
        if query.skip >= page.total + len(uncounted):
            if len(totals) > 1 or len(shown) in (page.total, shown_before):
                yield _left(run, page.total, shown, uncounted) if len(totals) == 1 else None
                return
            query, repeats, shown_before = replace(query, skip=0), 0, len(shown)
        yield None


def _left(run: RunContext, total: int, shown: Collection[str], uncounted: Collection[str]) -> Differences | None:
    """Return the differences once ``shown`` rows came for every place; None where rows moved meanwhile."""
    stored = run.count_stored() + run.count_quarantined()
    hidden = max(0, total - len(shown))
    deleted = stored + hidden - total
    if deleted < 0:
        return None
    absent = run.store.read(stored_tasks.ids).difference(shown, uncounted) if deleted else frozenset()
    return Differences(hidden, deleted, absent if len(absent) == deleted else frozenset())


class _Search(DeletionCandidates):
    """Stores what a comparison of counts reads; its candidates are only counted.

    The counts here leave out tasks that are known to be absent on the server, as long as no page shows them.
    """

    def __init__(self, run: RunContext, absent: Collection[str]) -> None:
        super().__init__(run, force=True)
        self.is_complete = True
        self.gone = run.store.read(stored_tasks.versions_of, absent)
        found = run.store.read(stored_tasks.records, self.gone).values()
        self._absent = sorted(moment for each in found if (moment := moment_of(each, self.field)) is not None)

    def count(self, start: datetime, end: datetime) -> int:
        """Count what the server should have in ``[start, end)``."""
        absent = bisect_left(self._absent, end) - bisect_left(self._absent, start)
        return super().count(start, end) - absent

    def mark_unverified(self, *_range: object) -> None:
        """Count nothing: the account of the run tells what is missing."""
        self.is_complete = False
