"""Reads a query by skip: the last resort, for rows that dates cannot split any further.

Rows may shift between two requests. So each page begins on the previous page's last row, the anchor. If the anchor is
missing, the read starts over, until it finds every anchor and its rows match the total.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from etl.errors import RefusedError
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.page import Page, record_id
from etl.extract.http.query import Query
from etl.extract.paging.checked_pages import Fetch, is_last_page

_MOST_WALKS = 6
_IMPATIENT_WALKS = 3  # start over if the anchor is gone
_MOST_REPEATS = (
    4  # pages in a row without new rows: shifted rows cause one or two, a server that ignores skip repeats forever
)


@dataclass(slots=True)
class _Walk:
    """One pass through a query."""

    patient: bool  # read to its end although rows shift: all passes together may still find every row
    ids: set[str] = field(default_factory=set)
    drifted: bool = False
    refused: str = ""
    total: int | None = None

    def counts_to_total(self) -> bool:
        return self.total is None or len(self.ids) == self.total


def read_by_offset(
    fetch: Fetch, query: Query, capabilities: ServerCapabilities, checkpoint: datetime
) -> Iterator[Page]:
    """Yield every page of ``query``; repeat until one pass is proven complete. The last page has the outcome."""
    seen: set[str] = set()
    before: set[str] | None = None
    outcome = _Walk(patient=False)
    for number in range(_MOST_WALKS):
        outcome = _Walk(patient=number >= _IMPATIENT_WALKS)
        for page in _pages(fetch, query, capabilities, outcome):
            yield Page(page.records)
        seen |= outcome.ids
        if outcome.refused:
            yield Page([], total=outcome.total).covering(checkpoint, unverified=outcome.refused)
            return
        if not outcome.drifted and outcome.counts_to_total():
            yield Page([], total=outcome.total, checkpoint=checkpoint)
            return
        if outcome.total == len(seen) and before == seen:
            yield Page([], total=outcome.total, checkpoint=checkpoint)
            return
        before = set(seen)
    reason = f"{len(seen)} distinct ids, reported total {outcome.total}, after {_MOST_WALKS} readings"
    yield Page([], total=outcome.total).covering(checkpoint, unverified=reason)


def _pages(fetch: Fetch, query: Query, capabilities: ServerCapabilities, walk: _Walk) -> Iterator[Page]:
    skip, anchor, repeats = 0, "", 0
    while True:
        asked = replace(query, skip=skip)
        try:
            page = fetch(asked)
        except RefusedError as error:
            walk.refused = f"the server refuses skip {skip}: {error}"
            if skip == 0:
                raise
            return
        ids = [record_id(record) or f"row {skip + place}" for place, record in enumerate(page.records)]
        walk.drifted |= bool(anchor) and ids[:1] != [anchor]
        news = set(ids) - walk.ids
        repeats = 0 if news else repeats + 1
        walk.ids.update(ids)
        walk.total = page.total
        yield page
        if (walk.drifted and not walk.patient) or is_last_page(fetch, asked, page, capabilities):
            return
        if not news and anchor:
            skip, anchor = skip + len(page), ""
        elif len(page) > 1:
            skip, anchor = skip + len(page) - 1, ids[-1]
        else:
            skip, anchor = skip + 1, ""
        if repeats > _MOST_REPEATS:
            walk.refused = f"{repeats} pages up to skip {skip} had no new rows: the server repeats itself"
            return
