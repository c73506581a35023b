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
