"""Split windows, for servers that do not sort: a window that fits one page is read in one request and cannot drift.

Windows follow the density of rows. A window that does not fit is halved, down to the server's granularity; the smallest
is read by skip. After an empty window the next one grows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.end_of_rows import fetch_rows, find_end
from etl.extract.paging.offset import read_by_offset
from etl.extract.paging.page_checks import Fetch, Window, check_dates, check_granularity, window_query

_FILL = 0.7  # of a page: how full the next window should be, because density varies
_GROWTH = 8.0


def read_split_windows(fetch: Fetch, window: Window, capabilities: ServerCapabilities) -> Iterator[Page]:
    """Yield a window's rows piece by piece in order of time; rows within a piece have no order."""
    start, size = window.start, window.end - window.start
    while start < window.end:
        if start > window.start and window.stop_after is not None and start > window.stop_after():
            return
        end = _end(window, capabilities, start, size)
        query, page = fetch_rows(fetch, window_query(window, capabilities, start, end), capabilities)
        check_dates(page, window.field, query.start or start, query.end or end, capabilities)
        check_granularity(page, window.field, query.start or start, capabilities)
        # A halved window takes more requests than a look behind a short page.
        if (found := find_end(fetch, query, page, capabilities, believes_more=False)) is not None:
            yield page.covering(end, unverified=found.unverified, is_withheld=found.is_withheld)
            size = (end - start) * _growth(len(page), capabilities)
            start = end
        elif end - start > capabilities.smallest():
            yield Page(page.records)
            size = (end - start) * _shrinkage(page, capabilities)
        else:
            yield from read_by_offset(fetch, query, capabilities, end)
            start = end


def _end(window: Window, capabilities: ServerCapabilities, start: datetime, size: timedelta) -> datetime:
    """Return the end of the piece that begins at ``start``, whole steps of the granularity later."""
    granularity = capabilities.smallest()
    steps = max(1, size // granularity)
    if steps >= (window.end - start) / granularity:
        return window.end
    return start + steps * granularity


def _growth(rows: int, capabilities: ServerCapabilities) -> float:
    return min(_GROWTH, _FILL * capabilities.limit() / rows) if rows else _GROWTH


def _shrinkage(page: Page, capabilities: ServerCapabilities) -> float:
    """Return the factor for a piece that does not fit; at most a half."""
    if page.total is None or page.total <= len(page):
        return 0.5
    return min(0.5, _FILL * min(capabilities.limit(), len(page)) / page.total)
