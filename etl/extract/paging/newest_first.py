"""Newest first: from the latest change down to the watermark, for servers whose dates do not filter on updatedAt.

A task that changes meanwhile moves to the top and shifts the rest down, which only repeats rows. A task that vanishes
shifts the rest up. So each page begins on the previous page's last row, the anchor, or on the first row of the same
instant. If a page has no known row, the read steps back until it finds one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime

from msgspec.structs import replace

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page, moment_of, record_id
from etl.extract.paging.end_of_rows import End, fetch_rows, find_end, rows_asked
from etl.extract.paging.page_checks import Fetch, Window, check_order, moments

_PAGES_REMEMBERED = 8
_MOST_WITHOUT_PROGRESS = 200  # pages, steps back included
_MOST_REPEATS = 2

_Version = tuple[str | None, datetime | None]


def read_newest_first(fetch: Fetch, window: Window, capabilities: ServerCapabilities) -> Iterator[Page]:
    """Yield the rows updated since ``window.start``, newest first; only the last page completes the window.

    Raises:
        SkipRefusedError: the server refuses a page behind the first one, or the proof that nothing follows.
    """
    skip, steps_back, repeats, unverified = 0, 0, 0, ""
    deepest, no_progress = 0, 0
    tie, tied = None, set[_Version]()  # if all rows of a page share one instant: the last row, and all such rows
    overlaps, floor = False, None
    known: deque[set[_Version]] = deque(maxlen=_PAGES_REMEMBERED)
    query = replace(window.filters, sort_by=("updatedAt", "desc"), limit=capabilities.limit())
    while True:
        asked, page = fetch_rows(fetch, replace(query, skip=skip), capabilities)
        skip = asked.skip
        check_order(page, "updatedAt", descending=True)
        deepest, no_progress = max(deepest, skip), 0 if skip > deepest else no_progress + 1
        versions = [(record_id(record), moment_of(record, "updatedAt")) for record in page.distinct()]
        if no_progress > _MOST_WITHOUT_PROGRESS:
            yield Page(page.records).covering(window.end, unverified="the rows never stopped moving")
            return
        if overlaps and not _joins(versions, known, floor):
            steps_back += 1
            yield Page(page.records)
            skip = max(0, skip - max(1, len(page) // 2) * steps_back)
            overlaps = skip > 0
            continue
        steps_back = 0
        repeats = repeats + 1 if skip and known[-1] == set(versions) else 0
        if repeats > _MOST_REPEATS:
            yield Page(page.records).covering(window.end, unverified="the server repeats the page: skip is ignored")
            return
        known.append(set(versions))
        if tie is not None and _is_shuffled(tie, tied, versions):
            unverified = f"more rows than a page share updatedAt {tie[1]}, and their order changes"
        if (end := _find_end(fetch, asked, page, window, capabilities)) is not None:
            yield page.covering(window.end, unverified=unverified or end.unverified)
            return
        yield page
        onwards, floor = _onwards(versions)
        tie = versions[-1] if onwards is None and versions else None
        tied = tied.union(versions) if tie else set()
        step = max(1, len(page) - 1) if onwards is None else onwards
        if repeats and len(page) < (rows := rows_asked(asked, page, capabilities)):
            step = rows  # the server withholds all other rows that were asked for
        overlaps = step < len(page)
        skip += step


def _is_shuffled(tie: _Version, tied: set[_Version], versions: list[_Version]) -> bool:
    """Tell whether rows of one instant changed their order: behind the last known row all must be new.

    Inserted rows shift them too, which looks the same.
    """
    return versions[:1] != [tie] or not tied.isdisjoint(versions[1:])


def _joins(versions: list[_Version], known: Iterable[set[_Version]], floor: datetime | None) -> bool:
    """Tell whether a page begins among known rows, with a row later than ``floor`` if there is one."""
    above = {version for version in versions if floor is None or (version[1] is not None and version[1] > floor)}
    return any(not earlier.isdisjoint(above) for earlier in known)


def _onwards(versions: list[_Version]) -> tuple[int | None, datetime | None]:
    """Return how far to advance so that the rows of the last instant come on one page, and that instant.

    Their order may change from one request to the next, so the next page begins with the nearest dated row above them.
    A single last row, and one without a date, needs no row above. None if they fill the page.
    """
    if not versions:
        return None, None
    last = versions[-1][1]
    first = next(place for place, version in enumerate(versions) if version[1] == last)
    if last is None or first == len(versions) - 1:
        return len(versions) - 1 or None, None
    above = next((place for place in range(first - 1, 0, -1) if versions[place][1] is not None), None)
    return above, None if above is None else last


def _find_end(fetch: Fetch, asked: Query, page: Page, window: Window, capabilities: ServerCapabilities) -> End | None:
    if min(moments(page, "updatedAt"), default=window.start) < window.start:
        return End()
    return find_end(fetch, asked, page, capabilities)
