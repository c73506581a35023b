"""Reading window by window where the server does not sort."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Window
from etl.extract.paging.split_windows import read_split_windows

THEN = datetime(2025, 3, 1, tzinfo=UTC)
KNOWN = ServerCapabilities(window_field="updatedAt", granularity=timedelta(milliseconds=1), page_rows=50)


def test_a_row_that_only_a_look_behind_the_page_shows_is_kept():
    """The server withholds the second row from all later readings of the same time."""
    date = "2025-03-01T00:00:10.000Z"
    first, second = ({"_id": key, "updatedAt": date} for key in ("a", "b"))
    looks = []

    def fetch(query):
        if not query.start <= THEN + timedelta(seconds=10) <= query.end:
            return Page([], 50, has_more=False, total=0)
        if not query.skip:
            return Page([first], 50, has_more=True, total=2)
        looks.append(query)
        is_shown = len(looks) == 1
        return Page([second] if is_shown else [], 50, has_more=False, total=2)

    pages = [*read_split_windows(fetch, Window("updatedAt", THEN, THEN + timedelta(minutes=1)), KNOWN)]
    assert {key for page in pages for key in page.ids} == {"a", "b"}
