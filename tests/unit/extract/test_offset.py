"""Reading by skip: a pass counts only if its rows add up to the total."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_page import Page
from etl.extract.paging.offset import read_by_offset

LIMIT = 3
KNOWN = ServerCapabilities(page_rows=LIMIT)
THEN = datetime(2025, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("total", [5, None])
def test_a_row_withheld_from_one_pass_is_read_by_the_next(total):
    rows, asked = ["a", "b", "c", "d", "e"], []

    def fetch(query):
        asked.append(query.skip)
        is_first = asked.count(0) == 1
        shown = [{"_id": key} for key in rows[query.skip :][:LIMIT] if not (total and is_first and key == "e")]
        return Page(shown, LIMIT, query.skip + LIMIT < len(rows), total)

    pages = [*read_by_offset(fetch, Query(limit=LIMIT), KNOWN, THEN)]
    assert {key for page in pages for key in page.ids} == {*rows}
    assert (pages[-1].checkpoint, pages[-1].verified) == (THEN, True)
    assert asked.count(0) == (2 if total else 1)


def test_a_read_ends_although_tasks_come_as_fast():
    """Each request finds as many new rows before the others as the page before it moved on."""
    rows, requests, limit = [f"old {n}" for n in range(60)], 0, 30

    def fetch(query):
        nonlocal requests
        requests += 1
        assert requests < 1000
        rows[:0] = [f"new {requests} {n}" for n in range(limit - 1)]
        return Page([{"_id": key} for key in rows[query.skip :][:limit]], limit, has_more=True)

    *_, last = read_by_offset(fetch, Query(limit=limit), ServerCapabilities(page_rows=limit), THEN)
    assert "tasks come as fast as they are read" in last.reason
    assert not last.verified
