"""Every row that an answer shows is yielded, whatever the answer was asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import Window
from etl.extract.paging.read_strategy import READERS, Paging

THEN = datetime(2025, 3, 1, tzinfo=UTC)
WINDOW = Window("updatedAt", THEN, THEN + timedelta(minutes=1))
KNOWN = ServerCapabilities(window_field="updatedAt", granularity=timedelta(milliseconds=1), page_rows=50)


def record(key: str, second: int = 10) -> dict[str, str]:
    return {"_id": key, "updatedAt": f"2025-03-01T00:00:{second}.000Z"}


@pytest.mark.parametrize(("paging", "has_more"), [(Paging.SPLIT_WINDOWS, True), (Paging.KEYSET, None)])
def test_a_row_that_only_a_look_behind_the_page_shows_is_kept(paging, has_more):
    """The server withholds the second row from all later readings of the same time."""
    looks = []

    def fetch(query):
        if not query.start <= THEN + timedelta(seconds=10) <= query.end:
            return Page([], 50, has_more=False, total=0)
        if not query.skip:
            return Page([record("a")], 50, has_more=has_more, total=2)
        looks.append(query)
        is_shown = len(looks) == 1
        return Page([record("b")] if is_shown else [], 50, has_more=False, total=2)

    shown: set[str | None] = set()
    for page in READERS[paging](fetch, WINDOW, KNOWN):
        shown |= set(page.ids)
        is_past = page.checkpoint is not None and page.checkpoint > THEN + timedelta(seconds=10)
        assert shown == {"a", "b"} or not is_past
    assert is_past


def test_a_page_without_a_look_is_given_as_it_is():
    answer = Page([record("a")], 50, has_more=False, total=1)
    (page,) = READERS[Paging.KEYSET](lambda _query: answer, WINDOW, KNOWN)
    assert page.records is answer.records
