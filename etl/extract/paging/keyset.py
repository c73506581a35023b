"""Keyset by date: each request begins at the last row's date, so nothing can shift between two requests.

N rows cost about N / (limit - 1) requests. If more rows share one instant than fit a page, that instant is read by
skip. Every page is checked for its order and for the field that dates filter on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from etl.extract.capabilities import END_OF_TIME, SECOND, CapabilityDriftError, Question, ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.http.response_page import Page
from etl.extract.paging.end_of_rows import fetch_rows, find_end
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import (
    Fetch,
    Window,
    check_dates,
    check_granularity,
    check_order,
    moments,
    window_query,
)
from etl.times import shifted

_MOST_SECOND_LOOKS = 3


def read_keyset(fetch: Fetch, window: Window, capabilities: ServerCapabilities) -> Iterator[Page]:
    """Yield a window's rows, oldest first, page by page."""
    start, expected, anchor = window.start, None, None
    while True:
        query, page = fetch_rows(fetch, _query(window, capabilities, start), capabilities)
        _check(page, window, query, capabilities)
        if anchor is not None:
            _check_ends(fetch, window, capabilities, page, (anchor, start))
        if expected is not None and page.total is not None and page.total < expected.total:
            page, expected = expected.look_again(fetch, capabilities, query)
            if not page.records:  # an empty page is no end by itself
                query, page = fetch_rows(fetch, query, capabilities)
            _check(page, window, query, capabilities)
        if expected is not None and page.total is not None and page.total < expected.if_all_shown:
            page = replace(page, is_withheld=True)
        if (found := find_end(fetch, query, page, capabilities)) is not None:
            yield page.covering(window.end, unverified=found.unverified, is_withheld=found.is_withheld)
            return
        last = _latest(moments(page, window.field), window.field)
        if window.stop_after is not None and last > window.stop_after():
            yield page.covering(window.stop_after())
            return
        if capabilities.instant(last) > capabilities.instant(start):
            yield page.covering(last)
            expected = _Expectation.after(page, window, capabilities, start, last)
            start, anchor = last, page.ids[page.moments(window.field).index(last)]
        else:
            yield Page(page.records)
            instant = capabilities.instant(start)
            end = instant + capabilities.smallest()
            yield from read_by_offset(
                fetch, window_query(window, capabilities, instant, end), capabilities, min(end, window.end)
            )
            start, expected, anchor = end, None, None
        if start >= window.end:
            yield Page([], checkpoint=window.end)
            return


class _Expectation(Struct, frozen=True):
    """The least total that the next page must have: a smaller one means that rows left or were withheld.

    ``if_all_shown`` is the total if the page before showed all rows up to its last one.
    """

    window: Window
    start: datetime
    last: datetime
    total: int
    if_all_shown: int

    @classmethod
    def after(
        cls, page: Page, window: Window, capabilities: ServerCapabilities, start: datetime, last: datetime
    ) -> _Expectation | None:
        if page.total is None or capabilities.ends_inclusive is not True:
            return None  # it is unknown which rows exactly the next request leaves out
        if_all_shown = page.total - sum(value < last for value in moments(page, window.field))
        withheld_at_most = max(0, capabilities.limit() - len(page))
        return cls(window, start, last, if_all_shown - withheld_at_most, if_all_shown)

    def look_again(
        self, fetch: Fetch, capabilities: ServerCapabilities, query: Query
    ) -> tuple[Page, _Expectation | None]:
        """Read both pages again: either rows left, which explains the smaller total, or rows were withheld.

        Return the second page, and what the first one expects of it: the first answers may have been cut short.
        """
        for _ in range(_MOST_SECOND_LOOKS):
            page, following = fetch(_query(self.window, capabilities, self.start)), fetch(query)
            expected = self.after(page, self.window, capabilities, self.start, self.last)
            if expected is None or following.total is None or expected.total <= following.total:
                return following, expected
        self._check_field(fetch, capabilities)
        evidence = f"rows are missing before {self.last}: the totals do not add up"
        raise CapabilityDriftError("ends_inclusive", answer=False, evidence=evidence)

    def _check_field(self, fetch: Fetch, capabilities: ServerCapabilities) -> None:
        """Raise if a row comes for the instant of its other date, far from its own: then dates filter on that one."""
        field = self.window.field
        other: Field = "createdAt" if field == "updatedAt" else "updatedAt"
        page = fetch(_query(self.window, capabilities, self.start))
        for key, moment, other_moment in zip(page.ids, page.moments(field), page.moments(other), strict=True):
            if moment is None or other_moment is None or abs(moment - other_moment) <= 2 * SECOND:
                continue
            query = window_query(self.window, capabilities)
            around = fetch(replace(query, start=shifted(other_moment, -SECOND), end=shifted(other_moment, SECOND)))
            if key in around.ids:
                evidence = f"{key}, {field} {moment}, came for its {other} {other_moment}"
                raise CapabilityDriftError("window_field", answer=other, evidence=evidence)
            return


def _check(page: Page, window: Window, query: Query, capabilities: ServerCapabilities) -> None:
    start = query.start or window.start
    check_order(page, window.field)
    check_dates(page, window.field, start, query.end or window.end, capabilities)
    check_granularity(page, window.field, start, capabilities)


def _latest(values: list[datetime], field: Field) -> datetime:
    """Return the latest time of a page; raise if it has none, because the read cannot continue."""
    if not values:
        question: Question = "sort_updated" if field == "updatedAt" else "sort_created"
        raise CapabilityDriftError(question, answer=False, evidence=f"a full page without any readable {field}")
    return max(values)


def _check_ends(
    fetch: Fetch, window: Window, capabilities: ServerCapabilities, page: Page, anchor: tuple[str, datetime]
) -> None:
    """Raise if the first expected row of a page comes only for dates around it.

    If the row was changed or deleted, it does not come for these dates either. A page without later rows may be short.
    """
    key, moment = anchor
    is_short = max(moments(page, window.field), default=END_OF_TIME) <= moment
    if capabilities.ends_inclusive is not True or key in page.ids or is_short:
        return
    granularity = capabilities.smallest()
    around = fetch(replace(window_query(window, capabilities), start=moment - granularity, end=moment + granularity))
    if anchor in zip(around.ids, around.moments(window.field), strict=True):
        raise CapabilityDriftError("ends_inclusive", answer=False, evidence=f"{key} did not come from {moment} on")


def _query(window: Window, capabilities: ServerCapabilities, start: datetime) -> Query:
    return replace(window_query(window, capabilities, start), sort_by=(window.field, "asc"))
