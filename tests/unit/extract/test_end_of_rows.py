"""The end of a query's rows: what proves it, how many requests the proof takes, and what is told without one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from etl.errors import SkipRefusedError
from etl.extract.capabilities import END_OF_TIME, ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.end_of_rows import End, fetch_rows, find_end
from etl.extract.paging.offset import read_by_offset
from tests.unit.server import Server

LIMIT = 5
KNOWN = ServerCapabilities(page_rows=LIMIT)
QUERY = Query(limit=LIMIT)


class Pages:
    """Answers by skip; a skip that is not named gets ``other``."""

    def __init__(self, other=None, **by_skip):
        self.pages = {int(name.removeprefix("at_")): page for name, page in by_skip.items()}
        self.other = other
        self.asked = []

    def __call__(self, query):
        self.asked.append(query.skip)
        page = self.pages.get(query.skip, self.other)
        if page is None:
            raise SkipRefusedError(f"the server refuses skip {query.skip}")
        return page


def page(rows, *, more=None, total=None, first=0):
    return Page([{"_id": f"ti-{first + n}"} for n in range(rows)], LIMIT, more, total)


@pytest.mark.parametrize(
    ("answer", "behind", "end", "requests"),
    [
        pytest.param(page(5, more=True), None, None, 0, id="a full page with more"),
        pytest.param(page(2, more=False), None, End(), 0, id="hasMore false"),
        pytest.param(page(2, total=2), None, End(), 0, id="the total is reached"),
        pytest.param(page(2, more=True, total=9), None, None, 0, id="a short page, both tell more"),
        pytest.param(page(2, more=False, total=4), None, End(is_withheld=True), 0, id="withheld rows on the last page"),
        pytest.param(page(5, total=5), page(0, total=5), End(), 1, id="a full page and only a total"),
        pytest.param(page(2, more=True), page(1, first=2), None, 1, id="a short page and only hasMore"),
        pytest.param(page(2), page(0), End(), 1, id="neither is told"),
        pytest.param(page(2, more=False, total=40), page(0, more=False, total=2), End(), 1, id="a total too high"),
    ],
)
def test_an_end_is_proven_by_few_requests(answer, behind, end, requests):
    fetch = Pages(behind)
    assert find_end(fetch, QUERY, answer, KNOWN) == end
    assert len(fetch.asked) == requests


def test_empty_pages_against_a_total_are_passed_over():
    withheld = page(0, total=12)
    fetch = Pages(at_0=withheld, at_5=withheld, at_10=page(2, total=12, first=10))
    query, found = fetch_rows(fetch, QUERY, KNOWN)
    assert (query.skip, found.ids) == (10, ["ti-10", "ti-11"])
    assert fetch.asked == [0, 0, 0, 5, 10]  # the server may have withheld rows only once or twice


def test_a_page_that_is_empty_once_is_asked_for_again():
    answers = iter([page(0, more=True, total=3), page(3, more=False, total=3)])
    query, found = fetch_rows(lambda _query: next(answers), QUERY, KNOWN)
    assert (query.skip, len(found)) == (0, 3)


def test_a_short_page_that_both_call_unfinished_may_be_doubted():
    fetch = Pages(page(0, more=True, total=9))
    assert find_end(fetch, QUERY, page(2, more=True, total=9), KNOWN, believes_more=False) == End(is_withheld=True)
    assert fetch.asked == [2, 2, 2, 7, 12, 10_012]  # on to the total, then far behind it


def test_has_more_that_is_always_true_proves_nothing():
    fetch = Pages(page(0, more=True))
    assert find_end(fetch, QUERY, fetch_rows(fetch, QUERY, KNOWN)[1], KNOWN) == End()
    assert len(fetch.asked) == 2


def test_empty_pages_without_end_are_unverified():
    fetch = Pages(page(0, total=10**6))
    query, found = fetch_rows(fetch, QUERY, KNOWN)
    assert not found.verified
    assert "although the server tells that more rows follow" in found.reason
    assert find_end(fetch, query, found, KNOWN) == End(found.reason, found.is_withheld)


def test_a_refused_skip_leaves_the_end_unverified():
    _, found = fetch_rows(Pages(at_0=page(0, total=12)), QUERY, KNOWN)
    assert not found.verified
    assert "refuses skip 5" in found.reason


def test_rows_inserted_in_front_repeat_rows_and_lose_none():
    server = Server(cap=LIMIT, sorted=False, options={"default_order": "newest"})
    for _ in range(18):
        server.now += timedelta(seconds=1)
        server.insert()
    stayed = set(server.tasks)

    def meanwhile(asked):
        if asked.requests in {2, 3}:
            asked.now += timedelta(seconds=1)
            asked.insert()

    server.meanwhile = meanwhile
    pages = list(read_by_offset(server.fetch, QUERY, KNOWN, END_OF_TIME))
    assert min(query.skip for query in server.asked) == 0
    assert stayed <= {key for each in pages for key in each.ids}
    assert pages[-1].verified
