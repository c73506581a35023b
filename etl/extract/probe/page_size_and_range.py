"""Probes how much one request may ask for: the most rows, and the longest range of dates."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from etl.extract.capabilities import DEFAULT_PAGE_ROWS, EARLY, END_OF_TIME, SECOND
from etl.extract.http.query import Field, Query
from etl.extract.http.response_page import Page, moment_of, record_id
from etl.extract.probe.probe_session import ProbeSession, largest_accepted
from etl.times import shifted

_MANY = 1000
_LIMITS = (10, 50, 100, 200, 500)
_DAYS = (1, 7, 31, 90, 366)


def first_page(session: ProbeSession) -> Page | None:
    """Ask for many rows, newest change first, and count the answer; None if the server refuses every limit."""
    known = session.known.page_rows
    found = _largest_page(session, known or _MANY)
    if found is None and session.wants("sort_updated"):
        # The server refuses sortBy, it seems, not the limit. That is an answer too, and the rest needs no sortBy.
        if _ask_for(session, _LIMITS[0], is_sorted=False) is None:
            return None
        session.learn("sort_updated", answer=False, evidence="requests with sortBy updatedAt are refused")
        found = _largest_page(session, known or _MANY)
    if found is None:
        return None
    limit, page = found
    session.limit = min(limit, DEFAULT_PAGE_ROWS)
    session.holds_all = page.is_last(0)
    _learn_page_rows(session, page, limit)
    return page


def _largest_page(session: ProbeSession, most: int) -> tuple[int, Page] | None:
    """Return the largest limit that the server accepts, and its page."""
    pages: dict[int, Page] = {}

    def is_accepted(limit: int) -> bool:
        page = _ask_for(session, limit, is_sorted=session.known.sort_updated is not False)
        if page is not None:
            pages[limit] = page
        return page is not None

    if not is_accepted(most):
        named = max((n for n in session.numbers_refused(r"(?<![\d.])\d+(?![\d.])") if n < most), default=0)
        below, above = most, 0
        if named >= _LIMITS[0]:
            below, above = (most, named + 1) if is_accepted(named) else (named, 0)
        if not above or is_accepted(above):  # one more than the number that it names: that it is no other number
            largest_accepted([limit for limit in _LIMITS if above < limit < below], is_accepted)
    return max(pages.items(), default=None)


def _ask_for(session: ProbeSession, limit: int, *, is_sorted: bool) -> Page | None:
    query = Query(limit=limit, sort_by=("updatedAt", "desc") if is_sorted else None)
    return session.ask(query, may_be_much=limit > DEFAULT_PAGE_ROWS)


def _learn_page_rows(session: ProbeSession, page: Page, asked: int) -> None:
    shown = _rows_shown(page, asked)
    known = session.known.page_rows
    if known and (asked < known or (shown and shown[0] < known)):
        session.known = replace(session.known, page_rows=None)  # it holds no more
    if shown:
        session.learn("page_rows", *shown)


def _rows_shown(page: Page, asked: int) -> tuple[int, str] | None:
    """Return the rows a request, as a page proves them, and the evidence; few rows alone prove nothing."""
    rows = min(asked, len({record_id(record) for record in page.records}))
    told = page.limit if page.limit and page.limit <= asked else None
    follows = page.total > rows if page.total is not None else page.has_more is True
    if not rows:
        return None
    if rows < asked and told and rows <= told < asked:
        return told, f"limit {told} in the answer when {asked} were asked for"
    if rows == asked or (
        follows and not (told and rows < told and rows < _LIMITS[0])
    ):  # a page of fewer rows came short
        return rows, f"{rows} rows came when {asked} were asked for"
    return (told, f"{asked} were asked for, and limit {told} is in the answer") if told else None


def page_of(session: ProbeSession, field: Field, *, descending: bool) -> Page | None:
    """Return a sorted page; ask for all of time while it is unknown whether the server allows that."""
    query = Query(limit=session.limit, sort_by=(field, "desc" if descending else "asc"))
    if session.wants("any_range") and not session.range_refused:
        page = _of_all_time(session, query)
        if page is not None:
            return page
    page = session.ask(query)
    session.range_refused &= page is not None  # otherwise the range was not the reason for the refusal
    return page


def learn_range(session: ProbeSession) -> None:
    """Find out whether one request may ask for all of time, and if not for how much."""
    if not session.wants("any_range"):
        return
    if not session.range_refused and _of_all_time(session, Query(limit=1)) is not None:
        return
    longest = _longest_range(session)
    if longest is not None:
        evidence = f"{longest.days} days were answered, more were refused"
        session.learn("longest_range", longest, evidence)
        session.learn("any_range", answer=False, evidence=evidence)


def _of_all_time(session: ProbeSession, query: Query) -> Page | None:
    """Return the page for all of time; None if the server refuses it or withholds its rows."""
    page = session.ask(replace(query, start=EARLY, end=END_OF_TIME), may_be_much=True)
    if page is None or not page.records:
        session.range_refused = True
        return None
    session.learn("any_range", answer=True, evidence=f"{EARLY:%Y} to {END_OF_TIME:%Y} was answered")
    return page


def _longest_range(session: ProbeSession) -> timedelta | None:
    field = session.known.window_field
    end = shifted(_latest(session, field), SECOND)

    def is_accepted(days: int) -> bool:
        query = Query(limit=1, start=end - timedelta(days=days), end=end)
        page = session.ask(query, may_be_much=True)
        return page is not None and bool(page.records or field is None)

    named = max((n for n in session.numbers_refused(r"(\d+)\W*day") if n <= _DAYS[-1]), default=0)
    if named and is_accepted(named):
        return timedelta(days=named)
    days = largest_accepted([days for days in _DAYS if not named or days < named], is_accepted)
    return None if days is None else timedelta(days=days)


def _latest(session: ProbeSession, field: Field | None) -> datetime:
    """Return the latest time seen, of the field that dates filter on if known."""
    names = [field] if field else ["createdAt", "updatedAt"]
    found = [moment_of(record, name) for record in session.records.values() for name in names]
    usable = [
        moment for moment in found if moment and EARLY + timedelta(days=_DAYS[-1]) < moment < END_OF_TIME - SECOND
    ]
    return max(usable, default=EARLY + timedelta(days=_DAYS[-1]))
