"""Reads a query by skip: the last resort, for rows that dates cannot split any further.

Rows may shift between two requests. So each page begins on the previous page's last row, the anchor. If the anchor is
missing, the read starts over, until it finds every anchor and its rows match the total. A total may count rows that the
server withholds from every page. Then two passes in a row must find every anchor and the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct, field
from msgspec.structs import replace

from etl.errors import SkipRefusedError
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page, record_id
from etl.extract.paging.end_of_rows import End, fetch_rows, find_end, rows_asked
from etl.extract.paging.page_checks import Fetch

_MOST_WALKS = 6
_IMPATIENT_WALKS = 3  # start over if the anchor is gone
_MOST_REPEATS = (
    4  # pages in a row without new rows: shifted rows cause one or two, a server that ignores skip repeats forever
)
_MOST_THIN = 100  # pages in a row with few new rows


class _Walk(Struct):
    """One pass through a query."""

    patient: bool  # read to its end although rows shift: all passes together may still find every row
    ids: set[str] = field(default_factory=set)
    drifted: bool = False
    refused: str = ""
    total: int | None = None

    def counts_to_total(self) -> bool:
        return self.total is None or len(self.ids) == self.total

    def repeats(self, before: _Walk | None) -> bool:
        """Tell whether this pass and the one before found every anchor, the same rows and the same total."""
        if before is None or self.drifted or before.drifted:
            return False
        return (self.ids, self.total) == (before.ids, before.total)


def read_by_offset(
    fetch: Fetch, query: Query, capabilities: ServerCapabilities, checkpoint: datetime
) -> Iterator[Page]:
    """Yield every page of ``query``; repeat until one pass is proven complete. The last page has the outcome."""
    seen: set[str] = set()
    seen_before: set[str] | None = None
    outcome: _Walk | None = None
    for number in range(_MOST_WALKS):
        before, outcome = outcome, _Walk(patient=number >= _IMPATIENT_WALKS)
        for page in _pages(fetch, query, capabilities, outcome):
            yield Page(page.records)
        seen |= outcome.ids
        if outcome.refused:
            yield Page([], total=outcome.total).covering(checkpoint, unverified=outcome.refused)
            return
        is_counted = not outcome.drifted and outcome.counts_to_total()
        if is_counted or (outcome.total == len(seen) and seen_before == seen) or outcome.repeats(before):
            is_withheld = outcome.total is not None and len(seen) < outcome.total
            yield Page([], total=outcome.total, checkpoint=checkpoint, is_withheld=is_withheld)
            return
        seen_before = set(seen)
    total = None if outcome is None else outcome.total
    reason = f"{len(seen)} distinct ids, reported total {total}, after {_MOST_WALKS} readings"
    yield Page([], total=total).covering(checkpoint, unverified=reason)


def _pages(fetch: Fetch, query: Query, capabilities: ServerCapabilities, walk: _Walk) -> Iterator[Page]:
    skip, anchor, repeats, thin, is_withheld = 0, "", 0, 0, False
    while True:
        try:
            asked, page = fetch_rows(fetch, replace(query, skip=skip), capabilities)
        except SkipRefusedError as error:
            walk.refused = str(error)
            return
        skip = asked.skip
        ids = [record_id(record) or f"row {skip + place}" for place, record in enumerate(page.records)]
        if anchor and ids[:1] != [anchor] and not (is_withheld and anchor in ids):
            walk.drifted = True
        news = set(ids) - walk.ids
        repeats = 0 if news else repeats + 1
        thin = thin + 1 if page.total is None and len(news) < capabilities.limit() / 10 else 0
        walk.ids.update(ids)
        walk.total = page.total
        yield page
        if walk.drifted and not walk.patient:
            return
        if (end := _find_end(fetch, asked, page, capabilities)) is not None:
            walk.refused = end.unverified
            return
        is_withheld = len(page) < rows_asked(asked, page, capabilities)
        if is_withheld and repeats > 1:  # the server withholds all other rows that were asked for
            skip, anchor = skip + rows_asked(asked, page, capabilities), ""
        else:
            skip, anchor = _next(skip, ids, anchor, is_new=bool(news))
        if repeats > _MOST_REPEATS:
            walk.refused = f"{repeats} pages up to skip {skip} had no new rows: the server repeats itself"
            return
        if thin > _MOST_THIN:
            walk.refused = f"{thin} pages up to skip {skip} had few new rows: tasks come as fast as they are read"
            return


def _find_end(fetch: Fetch, asked: Query, page: Page, capabilities: ServerCapabilities) -> End | None:
    try:
        return find_end(fetch, asked, page, capabilities)
    except SkipRefusedError as error:
        if not asked.skip:
            raise
        return End(str(error))


def _next(skip: int, ids: list[str], anchor: str, *, is_new: bool) -> tuple[int, str]:
    """Return the skip of the next page, and the row that it must begin with."""
    rows = len(dict.fromkeys(ids))
    if not is_new and anchor:
        return skip + rows, ""
    return (skip + rows - 1, ids[-1]) if rows > 1 else (skip + 1, "")
