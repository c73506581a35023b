"""Finds where the rows of a query end. An end needs proof.

``hasMore: false`` proves it, or a reached total, or, where the server tells neither, an empty page behind the rows. A
short or empty page is no proof: a server may filter rows after paging. Such a read goes on by the asked limit.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from etl.errors import SkipRefusedError
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Fetch

_FAR = 10_000  # rows
_MOST_EMPTY = 40  # pages in a row
_MOST_REPEATS = 2  # of a request that an empty page answered


class End(Struct, frozen=True):
    """The end of a query's rows; ``unverified`` tells why it is not proven.

    ``is_withheld`` tells that the total counts rows that no page showed, although every place was asked for.
    """

    unverified: str = ""
    is_withheld: bool = False


def fetch_rows(fetch: Fetch, query: Query, capabilities: ServerCapabilities) -> tuple[Query, Page]:
    """Return the first page with rows from ``query.skip`` on, and its query.

    The page is empty only at the end of the rows; it is unverified if that end is not proven.
    """
    first = query.skip
    query, page = _skip_empty(fetch, query, capabilities)
    is_withheld = not page.records and _counts_more(page, first)
    return query, replace(page, is_withheld=True) if is_withheld else page


def _skip_empty(fetch: Fetch, query: Query, capabilities: ServerCapabilities) -> tuple[Query, Page]:
    page = fetch(query)
    if page.records or _is_proven_end(query, page, capabilities):
        return query, page
    is_counted = _counts_more(page, query.skip)
    if not is_counted and _tells_always_more(fetch, query):
        return query, page
    for number in range(_MOST_EMPTY):
        if number >= _MOST_REPEATS:  # before, the server may have withheld the rows only once
            query = replace(query, skip=query.skip + rows_asked(query, page, capabilities))
        try:
            page = fetch(query)
        except SkipRefusedError as error:
            return query, replace(page, verified=False, reason=str(error))
        if page.records or page.has_more is False or _is_proven_end(query, page, capabilities):
            return query, page
        if is_counted:
            is_counted = _counts_more(page, query.skip)
            if not is_counted and _tells_always_more(fetch, query):
                return query, page
    reason = f"{_MOST_EMPTY} empty pages up to skip {query.skip}, although the server tells that more rows follow"
    return query, replace(page, verified=False, reason=reason)


def find_end(
    fetch: Fetch, query: Query, page: Page, capabilities: ServerCapabilities, *, believes_more: bool = True
) -> End | None:
    """Return the end of the rows if ``page``, which :func:`fetch_rows` returned for ``query``, is the last one.

    If the server says nothing, or contradicts itself, one more request must prove that nothing follows. The same holds
    if only a total says that a full page is the last one, or if only ``hasMore`` says that a short page is not; if both
    say so, it is believed or not.
    """
    if not page.records:
        return End(page.reason, page.is_withheld)
    is_full = capabilities.is_full(len(page))
    if page.is_last(query.skip):
        if page.has_more is False or not is_full:
            return End()
    elif page.has_more is False and not _counts_more(page, query.skip + rows_asked(query, page, capabilities)):
        return End(is_withheld=True)  # every place was asked for, and the total counts more than came
    elif is_full or (believes_more and page.has_more is True and _counts_more(page, query.skip + len(page))):
        return None
    behind = replace(query, skip=query.skip + len(page))
    found, following = fetch_rows(fetch, behind, capabilities)
    if not following.records:
        return End(following.reason, following.is_withheld)
    is_repeated = found == behind and set(following.ids) == set(page.ids)
    return End() if is_repeated and _is_all_that_comes(fetch, query, page) else None


def rows_asked(query: Query, page: Page, capabilities: ServerCapabilities) -> int:
    """Return how many rows a page stands for, those that the server withheld included."""
    return min(query.limit or capabilities.limit(), page.limit or capabilities.limit(), capabilities.limit())


def _is_proven_end(query: Query, page: Page, capabilities: ServerCapabilities) -> bool:
    """Tell whether an empty page is the end by what it says itself."""
    if page.has_more is False:
        return not _counts_more(page, query.skip + rows_asked(query, page, capabilities))
    if page.has_more is None:
        return not _counts_more(page, query.skip)
    return page.total is not None and page.total <= query.skip and not capabilities.is_full(page.total)


def _counts_more(page: Page, rows: int) -> bool:
    return page.total is not None and page.total > rows


def _tells_always_more(fetch: Fetch, query: Query) -> bool:
    """Tell whether ``hasMore`` is true even far behind the end, so that it says nothing."""
    try:
        far = fetch(replace(query, skip=query.skip + _FAR))
    except SkipRefusedError:
        return False
    return far.has_more is True and not far.records


def _is_all_that_comes(fetch: Fetch, query: Query, page: Page) -> bool:
    """Tell whether a page is whole although the place behind it holds the same rows: skip seems to be ignored.

    Without a total, the page is whole if it also comes for a skip that so few rows cannot reach.
    """
    if page.total is not None:
        return not _counts_more(page, query.skip + len(page))
    try:
        return set(fetch(replace(query, skip=query.skip + _FAR)).ids) == set(page.ids)
    except SkipRefusedError:
        return False
