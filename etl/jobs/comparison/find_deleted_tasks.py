"""Finds deleted tasks by comparing the server's totals with the number of stored tasks, range by range.

A range whose counts agree is not read. A range that differs is split. Every request gives two answers. The total of the
range that it asks for also tells the total of the rest. The page of rows is complete for the time between its first and
its last row, so ids can be compared there. Where the server sorts, the page is taken from the middle of the range by
``skip``. Its position tells how many rows are before and behind it, so one request splits a range in four and reads
one part. Measured with 5,000 tasks and
50 rows a page: 60 deletions at random places take some 65 requests (halving alone 72, reading everything 103), 60 in a
row 6, a single one 6. Where the server does not sort, a page is complete only if the whole range fits into it. Reading
page by page is then cheapest from about one deletion in three pages on.

Totals only tell where to look. A task becomes a candidate only where a page does not show it. A range in which every
place was asked for, twice, tells how many rows the server counts and never shows.
"""

from __future__ import annotations

import math
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from etl.errors import SkipRefusedError
from etl.extract.capabilities import END_OF_TIME, MILLISECOND
from etl.extract.http.query import Direction, Query
from etl.extract.http.response_page import Page, moment_of
from etl.extract.paging.end_of_rows import End, find_end, rows_asked
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import Window, check_dates, check_order, window_query
from etl.jobs.comparison.deletion_candidates import DeletionCandidates, IncompleteError
from etl.jobs.run.run_context import RunContext
from etl.load.queries import stored_tasks
from etl.times import EPOCH, shifted

_MOST_REACH = 1000  # rows skipped and read: servers refuse more, or take long
_WORTH_HALVING = 0.35  # deletions a page, where the server does not sort


def plan(here: int, there: int, page: int, *, reach: int, is_sorted: bool) -> tuple[int, int]:
    """Return for how many of the tasks ``here`` to ask next, and how many rows to skip; the server has ``there``.

    The page is the second of four parts of the range, and does not go past ``reach`` rows. The other parts are one,
    four, eight ... pages long. They are a row shorter, because the page's first and last rows belong to them.
    """
    if there <= page:
        return here, 0
    if not is_sorted:
        is_dense = abs(here - there) * page > _WORTH_HALVING * here
        return (page if is_dense else max(page, here // 2)), 0
    if here <= 2 * page:
        return page, 0
    if here <= 3 * page:
        part, count = 1, 2 * page - 1
    else:
        part = max(1, 4 * round((here / page - 1) / 12)) if here > 4 * page else 1
        part = min(part, max(1, (reach // page - 1) // 4 * 4))
        count = min(here - 1, (2 * part + 1) * page - 2)
    skip = part * page - 1
    return (count, skip) if skip + page <= reach else (max(page, here // 2), 0)


def beginning(run: RunContext) -> datetime:
    """Return a time before which there are no tasks: 1970, or the oldest task that is stored."""
    first, _ = run.store.read(stored_tasks.reach, run.strategy.field)
    return min(EPOCH, first or EPOCH)


class _Range(Struct, frozen=True):
    """``[start, end)``, in which the server counts ``there`` rows; ``halve`` if a page from its middle did not help."""

    start: datetime
    end: datetime
    there: int
    halve: bool = False


class TooManyDifferencesError(IncompleteError):
    """The requests of a comparison ended before it had looked at every range that differs."""


class CountComparison:
    """Compares counts over a source's history, and makes candidates of the tasks that no page shows.

    ``hidden`` is the number of rows that the server counted and did not show in the ranges that differ. ``most`` is
    the number of requests that it may take; None is twice what reading everything takes.
    """

    def __init__(self, run: RunContext, candidates: DeletionCandidates, *, most: int | None = None) -> None:
        self.hidden = 0
        self._most = most
        self._run = run
        self._candidates = candidates
        self._field = candidates.field
        self._is_sorted = run.capabilities.current.sorts(candidates.field)
        self._reach = _MOST_REACH

    def find(self, total: int) -> None:
        """Make a candidate of every deleted task; the server counts ``total`` tasks in all.

        Raises:
            IncompleteError: the server's totals contradict its rows, or there are more deletions than are believed.
        """
        start, end = self._ends()
        left = [_Range(start, end, max(0, total - self._candidates.undated))]
        most = self._most_requests(total, start, end)
        while left:
            time_range = left.pop()
            here = self._candidates.count(time_range.start, time_range.end)
            if here == time_range.there:
                self._candidates.compared += here
                continue
            if self._run.fetch.requests >= most:
                raise TooManyDifferencesError(_contradiction("they differ wherever one looks"))
            left += [part for part in reversed(self._look(time_range, here)) if part.start < part.end]

    def _ends(self) -> tuple[datetime, datetime]:
        """Return all of time, or as much as there are tasks in where long ranges are refused."""
        if self._run.capabilities.current.any_range is True:
            return self._candidates.start or beginning(self._run), END_OF_TIME
        return self._candidates.reach()

    def _most_requests(self, total: int, start: datetime, end: datetime) -> int:
        """Return where to give up."""
        run = self._run
        if self._most is not None:
            return run.fetch.requests + self._most
        pages = max(total, self._candidates.live) / max(1, run.capabilities.current.limit() - 2)
        longest = run.capabilities.current.longest_range
        ranges = (end - start) / longest if longest else 0
        return run.fetch.requests + 20 + math.ceil(2 * (pages + ranges))

    def _look(self, time_range: _Range, here: int) -> list[_Range]:
        """Ask for a part of a range, and return the ranges that are left to compare."""
        page = self._run.capabilities.current.limit()
        count, skip = plan(here, time_range.there, page, reach=self._reach, is_sorted=self._is_sorted)
        if time_range.halve:
            count, skip = here // 2, 0
        end: datetime | None = time_range.end
        if time_range.halve and here <= 1:
            end = self._isolate(time_range)
        elif count < here or time_range.halve:
            end = self._cut(time_range, count)
        if end is None:
            return self._walk(time_range)
        capabilities = self._run.capabilities.current
        if end > capabilities.latest_end(time_range.start):
            start = self._value_at(time_range.start, time_range.end, 0)
            if start is None:
                return []
            time_range = replace(time_range, start=self._run.capabilities.current.instant(start))
            end = min(end, capabilities.latest_end(time_range.start))
        return self._read(time_range, end, skip)

    def _read(self, time_range: _Range, end: datetime, skip: int) -> list[_Range]:
        window = Window(self._field, time_range.start, end)
        sort_by: tuple[str, Direction] | None = (self._field, "asc") if self._is_sorted else None
        query = replace(window_query(window, self._run.capabilities.current), skip=skip, sort_by=sort_by)
        if self._run.capabilities.current.ends_inclusive and end < END_OF_TIME:
            query = replace(query, end=end - MILLISECOND)  # exact, as it is the last of an instant of any length
        try:
            page = self._run.fetch(query)
        except SkipRefusedError:
            self._reach = (skip + self._run.capabilities.current.limit()) // 2
            return [time_range]
        asked = skip + rows_asked(query, page, self._run.capabilities.current)
        total = _checked_total(page, skip, asked)
        check_dates(
            page, self._field, query.start or time_range.start, query.end or end, self._run.capabilities.current
        )
        ids = self._candidates.keep(page)
        rest = _Range(end, time_range.end, max(0, time_range.there - total))
        read = replace(time_range, end=end, there=total)
        if skip == 0 and asked >= total and self._is_whole(query, page, total):
            hidden = total - len(page)
            if hidden and self._candidates.lacks(time_range.start, end, ids):
                return [replace(read, halve=True), rest]  # is a missing task deleted, or is it what is hidden?
            self.hidden += hidden
            self._candidates.judge(time_range.start, end, ids)
            return [rest]
        is_withheld = skip + len(page) < min(asked, total)
        return [*self._judge_part(read, skip, page, ids, is_withheld=is_withheld), rest]

    def _is_whole(self, query: Query, page: Page, total: int) -> bool:
        """Tell whether a page shows all rows that come for a query; what it withholds it must withhold twice."""
        if len(page) >= total:
            return find_end(self._run.fetch, query, page, self._run.capabilities.current) == End()
        again = self._run.fetch(query)
        self._candidates.keep(again)
        return (again.total, again.ids) == (total, page.ids)

    def _judge_part(
        self, time_range: _Range, skip: int, page: Page, ids: set[str], *, is_withheld: bool
    ) -> list[_Range]:
        """Judge the time for which a page is complete, and return the ranges before and behind it."""
        values = self._values(page)
        if is_withheld or not self._is_sorted or not values or len(values) < len(page):
            return [replace(time_range, halve=True)]
        check_order(page, self._field)
        is_last = skip + len(values) >= time_range.there
        first = self._next_instant(values[0]) if skip else time_range.start
        last = time_range.end if is_last else min(self._run.capabilities.current.instant(values[-1]), time_range.end)
        if not time_range.start <= first < last:
            return [replace(time_range, halve=True)]
        self._candidates.judge(first, last, ids)
        before = skip + sum(value < first for value in values) if skip else 0
        behind = time_range.there - skip - sum(value < last for value in values)
        return [_Range(time_range.start, first, before), _Range(last, time_range.end, behind)]

    def _values(self, page: Page) -> list[datetime]:
        """Return when a page's rows were, those that it repeats once, in order."""
        return sorted(value for each in page.distinct() if (value := moment_of(each, self._field)) is not None)

    def _walk(self, time_range: _Range) -> list[_Range]:
        """Read a range that cannot be split, such as one instant with many rows."""
        ids: set[str] = set()
        settled, reason, total = True, "", None
        query = window_query(Window(self._field, time_range.start, time_range.end), self._run.capabilities.current)
        for page in read_by_offset(self._run.fetch, query, self._run.capabilities.current, time_range.end):
            ids |= self._candidates.keep(page)
            settled, reason, total = settled and page.verified, reason or page.reason, page.total
        hidden = max(0, (total or 0) - len(ids))
        if settled and hidden and self._candidates.lacks(time_range.start, time_range.end, ids):
            settled, reason = False, f"{hidden} rows of one instant are counted and not shown"
        if settled:
            self.hidden += hidden
            self._candidates.judge(time_range.start, time_range.end, ids)
        else:
            self._candidates.mark_unverified(time_range.start, time_range.end, reason)
        return []

    def _cut(self, time_range: _Range, place: int) -> datetime | None:
        """Return where to cut a time_range, by the tasks here; None where they all share one instant."""
        value = self._value_at(time_range.start, time_range.end, place)
        if value is None:
            return None
        cut = self._run.capabilities.current.instant(value)
        if not self._candidates.count(time_range.start, cut):
            after = self._value_at(self._next_instant(value), time_range.end, 0)
            cut = time_range.end if after is None else self._run.capabilities.current.instant(after)
        return cut if time_range.start < cut < time_range.end else None

    def _isolate(self, time_range: _Range) -> datetime | None:
        """Return where to cut a range beside the only instant with a task here; None if there is nothing beside it."""
        value = self._value_at(time_range.start, time_range.end, 0)
        if value is None:
            return None
        ends = (self._run.capabilities.current.instant(value), self._next_instant(value))
        return next((cut for cut in ends if time_range.start < cut < time_range.end), None)

    def _value_at(self, start: datetime, end: datetime, place: int) -> datetime | None:
        return self._run.store.read(stored_tasks.value_at, self._field, start, end, place=place)

    def _next_instant(self, moment: datetime) -> datetime:
        capabilities = self._run.capabilities.current
        return shifted(capabilities.instant(moment), capabilities.smallest())


def _checked_total(page: Page, skip: int, asked: int) -> int:
    """Return a page's total; raise where its own rows contradict it. All places up to ``asked`` were asked for."""
    if page.total is None:
        raise IncompleteError(_contradiction("one answer in between tells no total"))
    reached = skip + len(page)
    is_more = bool(page.records) and reached > page.total
    if is_more or (page.has_more is False and reached < page.total > asked):
        raise IncompleteError(_contradiction(f"rows up to the {reached}th, of {page.total} in all"))
    return page.total


def _contradiction(evidence: str) -> str:
    return (
        f"the server's totals do not agree with its rows ({evidence}), so none is marked as deleted; "
        "kore-etl reconcile --deep reads every id"
    )
