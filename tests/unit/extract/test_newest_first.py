"""Newest first: a page joins the rows before it, or the read steps back."""

from __future__ import annotations

from datetime import UTC, datetime

from etl.extract.capabilities import END_OF_TIME, ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.newest_first import read_newest_first
from etl.extract.paging.page_checks import Window

LIMIT = 4
KNOWN = ServerCapabilities(window_field="updatedAt", sort_updated=True, page_rows=LIMIT)


def test_rows_of_an_instant_stay_when_those_above_vanish():
    """The rows of 12:05 change their order while both rows above them are deleted."""
    shown = [[("a", 9), ("b", 8), ("c", 5), ("d", 5), ("e", 5), ("f", 1)], [("e", 5), ("c", 5), ("d", 5), ("f", 1)]]
    asked = []

    def fetch(query):
        rows = shown[min(len(asked), 1)]
        asked.append(query.skip)
        records = [{"_id": name, "updatedAt": f"2025-03-01T12:{minute:02}:00.000Z"} for name, minute in rows]
        return Page(records[query.skip :][:LIMIT], LIMIT, query.skip + LIMIT < len(rows), len(rows))

    window = Window("updatedAt", datetime(2025, 1, 1, tzinfo=UTC), END_OF_TIME)
    read = {key for page in read_newest_first(fetch, window, KNOWN) for key in page.ids}
    assert read == {"a", "b", "c", "d", "e", "f"}
    assert asked[:3] == [0, 1, 0]
