"""The page: what the server says of the rest is used where it can be read, and nothing is made up where it cannot."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.extract.http.response_page import Page, moment_of, read_page, record_id

MOMENT = datetime(2025, 5, 28, 12, 5, 38, 807_000, tzinfo=UTC)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
)


def test_reads_the_vendors_sample():
    answer = {"results": [{}], "page": 1, "limit": 10, "hasMore": False, "totalPages": 1, "totalResults": 1}
    assert read_page(answer) == Page([{}], limit=10, has_more=False, total=1)


@pytest.mark.parametrize(
    ("value", "count"),
    [
        *[(7, 7), ("7", 7), (7.0, 7), (0, 0)],
        *[(-1, None), (True, None), (7.5, None), ("", None), ("7.5", None), (None, None), ([7], None), ({}, None)],
        *[(float("nan"), None), (float("inf"), None), ("9" * 40, None)],
        *[(2**31 - 1, 2**31 - 1), (2**31, None), (10**30, None), (1e30, None), (str(2**31), None)],
    ],
    ids=repr,
)
def test_a_count_is_a_whole_number_or_unknown(value, count):
    page = read_page({"results": [], "limit": value, "totalResults": value})
    assert (page.limit, page.total) == (count, count)


@pytest.mark.parametrize("value", [None, "true", 1, {}], ids=repr)
def test_has_more_is_a_boolean_or_unknown(value):
    assert read_page({"results": [], "hasMore": value}).has_more is None


@given(st.dictionaries(st.sampled_from(["limit", "hasMore", "totalResults", "page"]), json_values))
def test_whatever_stands_beside_the_results_is_no_obstacle(beside):
    page = read_page({**beside, "results": [1, 2]})
    assert len(page) == 2
    assert page.total is None or page.total >= 0


@pytest.mark.parametrize(
    ("page", "skip", "last"),
    [
        (Page([]), 0, True),
        (Page([], has_more=True, total=9), 5, False),
        (Page([], has_more=True), 0, False),
        (Page([], total=9), 9, True),
        (Page([1, 2], total=2), 0, True),
        (Page([1, 2], total=4), 2, True),
        (Page([1, 2], total=5), 2, False),
        (Page([1, 2], total=5, has_more=False), 2, False),
        (Page([1, 2], total=2, has_more=True), 0, False),
        (Page([1, 2], has_more=False), 0, True),
        (Page([1, 2], has_more=True), 0, False),
        (Page([1, 2], limit=50), 0, False),
    ],
    ids=str,
)
def test_the_last_page_is_empty_or_said_to_be_the_last(page, skip, last):
    assert page.is_last(skip) is last


@pytest.mark.parametrize(
    ("record", "found"),
    [
        *[({"_id": "ti-1"}, "ti-1"), ({"_id": 12}, "12")],
        *[({"_id": True}, None), ({"_id": None}, None), ({"_id": {}}, None)],
        *[({}, None), (None, None), ("ti-1", None), ([], None)],
    ],
    ids=repr,
)
def test_a_records_id_is_text(record, found):
    assert record_id(record) == found


@pytest.mark.parametrize(
    ("record", "moment"),
    [
        ({"updatedAt": "2025-05-28T12:05:38.807Z"}, MOMENT),
        ({"updatedAt": 1748433938807}, MOMENT),
        ({"updatedAt": ""}, None),
        ({"updatedAt": "soon"}, None),
        ({"updatedAt": []}, None),
        ({}, None),
        (7, None),
    ],
    ids=repr,
)
def test_a_records_moment_is_known_or_none(record, moment):
    assert moment_of(record, "updatedAt") == moment


@given(json_values)
def test_no_record_is_an_obstacle(record):
    record_id(record)
    moment_of(record, "updatedAt")
    moment_of({"updatedAt": record, "_id": record}, "updatedAt")


def test_dates_and_ids_stand_where_their_records_do():
    page = Page([{"_id": "a", "updatedAt": 1748433938807}, None, {"_id": 7, "createdAt": 1748433938807}, {"_id": "a"}])
    assert page.ids == ["a", None, "7", "a"]
    assert page.moments("updatedAt") == [MOMENT, None, None, None]
    assert page.moments("createdAt") == [None, None, MOMENT, None]
    assert len(page) == 3
