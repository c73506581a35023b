"""Shared by all read strategies: the window, its queries, and the checks of a page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from etl.extract.capabilities import GRANULARITIES, SECOND, CapabilityDriftError, Question, ServerCapabilities
from etl.extract.http.query import Field, Query
from etl.extract.http.response_page import Page

Fetch = Callable[[Query], Page]

EVERYTHING = Query()
_USUALLY_COARSEST = timedelta(minutes=1)  # granularity, where it is unknown


class Window(Struct, frozen=True):
    """The range ``[start, end)`` of a date field.

    A read may stop behind ``stop_after``: later changes belong to the next run. It is a function that is called after
    the first page, because the server's time is unknown before. ``filters`` narrows the rows, such as to unresolved
    tasks.
    """

    field: Field
    start: datetime
    end: datetime
    stop_after: Callable[[], datetime] | None = None
    filters: Query = EVERYTHING


Reader = Callable[[Fetch, Window, ServerCapabilities], Iterator[Page]]


def window_query(
    window: Window, capabilities: ServerCapabilities, start: datetime | None = None, end: datetime | None = None
) -> Query:
    """Return the query for ``[start, end)`` of a window, by default the whole window."""
    return replace(
        window.filters,
        start=capabilities.first_date(start or window.start),
        end=capabilities.last_date(end or window.end),
        limit=capabilities.limit(),
    )


def moments(page: Page, name: Field) -> list[datetime]:
    """Return the readable values of a date field in the page's order."""
    return [moment for moment in page.moments(name) if moment is not None]


def is_sorted(values: list[datetime], *, descending: bool = False) -> bool:
    """Tell whether values are in order; equal neighbours are allowed."""
    pairs = pairwise(values)
    return all(a >= b for a, b in pairs) if descending else all(a <= b for a, b in pairs)


def check_order(page: Page, field: Field, *, descending: bool = False) -> None:
    """Raise :class:`CapabilityDriftError` if the rows are not sorted.

    A row that comes twice has a wrong position once, which proves nothing.
    """
    times = Counter(page.ids)
    pairs = zip(page.ids, page.moments(field), strict=True)
    single = [moment for key, moment in pairs if moment is not None and times[key] == 1]
    if not is_sorted(single, descending=descending):
        question: Question = "sort_updated" if field == "updatedAt" else "sort_created"
        evidence = f"rows out of order although sorted by {field}"
        raise CapabilityDriftError(question, answer=False, evidence=evidence)


def check_dates(page: Page, field: Field, start: datetime, end: datetime, capabilities: ServerCapabilities) -> None:
    """Raise :class:`CapabilityDriftError` if a query's dates filter on another field, or not at all.

    A few odd rows do not prove that: most of the page must be outside. A server may cut dates to its granularity,
    which the rows tell where it is unknown.
    """
    values = moments(page, field)
    cut = max(SECOND, capabilities.granularity or _USUALLY_COARSEST)
    outside = [value for value in values if not _is_within(value, start, end, cut)]
    if len(outside) * 2 <= len(values):
        return
    other: Field = "createdAt" if field == "updatedAt" else "updatedAt"
    evidence = f"rows with {field} {outside[0]} although the dates were {start} to {end}"
    if _are_within(moments(page, other), start, end, cut):
        raise CapabilityDriftError("window_field", answer=other, evidence=evidence)
    for coarser in GRANULARITIES if capabilities.granularity is None else ():
        if coarser > cut and _are_within(values, start, end, coarser):
            raise CapabilityDriftError("granularity", answer=coarser, evidence=evidence)
    raise CapabilityDriftError("window_field", answer="neither", evidence=evidence)


def check_granularity(page: Page, field: Field, start: datetime, capabilities: ServerCapabilities) -> None:
    """Raise :class:`CapabilityDriftError` for rows that match only because dates are cut to the second."""
    if capabilities.granularity is None or capabilities.granularity >= SECOND:
        return
    second = start.replace(microsecond=0)
    early = [value for value in moments(page, field) if second <= value < start]
    if early:
        raise CapabilityDriftError(
            "granularity", SECOND, f"a row with {field} {early[0]} although the dates began {start}"
        )


def _are_within(values: list[datetime], start: datetime, end: datetime, cut: timedelta) -> bool:
    return all(_is_within(value, start, end, cut) for value in values)


def _is_within(value: datetime, start: datetime, end: datetime, cut: timedelta) -> bool:
    """Tell whether a value is in the range, or outside by no more than the server may cut from dates."""
    return start - value <= cut and value - end <= cut
