"""Finds a server's capabilities in a few requests; each question has its own small experiment.

A capability that the server's rows cannot show stays unknown. No conclusion rests on chance: sortBy counts as obeyed
only if both directions come in order and differ.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from msgspec import Struct

from etl.extract.capabilities import Question, ServerCapabilities
from etl.extract.http.query import DIRECTIONS, Field, Query
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Fetch, is_sorted, moments
from etl.extract.probe.date_filters import learn_dates
from etl.extract.probe.page_size_and_range import first_page, learn_range, page_of
from etl.extract.probe.probe_session import OutOfRequests, ProbeSession
from etl.times import format_time


class ProbeResult(Struct, frozen=True):
    """The result of a probe: the capabilities, the start of history by each field, the number of requests.

    ``total`` is how many tasks the server counts, None if it does not.
    """

    capabilities: ServerCapabilities
    earliest: dict[Field, datetime]
    requests: int
    total: int | None


def probe(fetch: Fetch, known: ServerCapabilities) -> ProbeResult:
    """Probe what ``known`` leaves open, in at most twelve requests, and return the result."""
    session = ProbeSession(fetch, known)
    with suppress(OutOfRequests):
        _ask_all(session)
    return ProbeResult(session.known, session.earliest, session.requests, session.total)


def _ask_all(session: ProbeSession) -> None:
    first = first_page(session)
    if first is None or not first.records:
        return
    session.total = first.total
    if session.holds_all:
        _note_beginnings(session, first)
    _learn_sorting(session, "updatedAt", "sort_updated", first)
    _learn_sorting(session, "createdAt", "sort_created", first)
    learn_dates(session)
    learn_range(session)


def _note_beginnings(session: ProbeSession, page: Page) -> None:
    fields: tuple[Field, Field] = ("createdAt", "updatedAt")
    for field in fields:
        if found := moments(page, field):
            session.earliest[field] = min(found)


def _learn_sorting(session: ProbeSession, field: Field, question: Question, first: Page) -> None:
    """Both directions must come in order and differ; a fixed order cannot do that."""
    if not session.wants(question) or (session.holds_all and len(set(moments(first, field))) < 2):
        return
    firsts = []
    for descending in (True, False) if field == "updatedAt" else (False, True):
        # The probe's first request asked for this order.
        page = first if field == "updatedAt" and descending else page_of(session, field, descending=descending)
        if page is None:
            session.learn(question, answer=False, evidence=f"requests with sortBy {field} are refused")
            return
        values = moments(page, field)
        if not is_sorted(values, descending=descending):
            session.learn(question, answer=False, evidence=f"rows out of order although sorted by {field}")
            return
        firsts += values[:1]
    if len(set(firsts)) == 2:
        newest, oldest = max(firsts), min(firsts)
        evidence = f"ascending begins {format_time(oldest)}, descending {format_time(newest)}"
        session.learn(question, answer=True, evidence=evidence)
        session.earliest[field] = oldest
    elif len(firsts) == 1 and _differ_in_dates(session, field):
        evidence = "rows without a date stand at one end of the order, rows with dates at the other"
        session.learn(question, answer=True, evidence=evidence)


def _differ_in_dates(session: ProbeSession, field: Field) -> bool:
    """Tell whether one direction begins with a page without dates, and the other with dates in their order.

    Both are asked for without dates, which would leave out such rows.
    """
    pages = [session.ask(Query(limit=session.limit, sort_by=(field, direction))) for direction in DIRECTIONS]
    ascending, descending = [[] if page is None else moments(page, field) for page in pages]
    is_in_order = is_sorted(ascending) and is_sorted(descending, descending=True)
    dated = {*ascending, *descending}
    return is_in_order and all(pages) and not (ascending and descending) and len(dated) > 1
