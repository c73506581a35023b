"""What proves that dates filter on another field, and on which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from etl.extract.capabilities import MILLISECOND, SECOND, CapabilityDriftError, ServerCapabilities
from etl.extract.http.response_page import Page
from etl.extract.paging.page_checks import check_dates, check_granularity
from etl.times import format_time

START = datetime(2025, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def page(*days):
    """A page of rows, each created and updated so many days after START."""
    return Page(
        [
            {
                "_id": f"t-{place}",
                "createdAt": format_time(START + timedelta(days=created)),
                "updatedAt": format_time(START + timedelta(days=updated)),
            }
            for place, (created, updated) in enumerate(days)
        ]
    )


@pytest.mark.parametrize(
    ("days", "answer"),
    [
        pytest.param([(0, 5), (0, 6), (0, 0)], "createdAt", id="all created then"),
        pytest.param([(0, 5), (3, 6), (0, 7)], "neither", id="some created then"),
    ],
)
def test_rows_outside_the_dates_tell_the_filtered_field(days, answer):
    with pytest.raises(CapabilityDriftError) as drift:
        check_dates(page(*days), "updatedAt", START, START + HOUR, ServerCapabilities())
    assert (drift.value.question, drift.value.answer) == ("window_field", answer)


@pytest.mark.parametrize(
    ("hours", "answer"),
    [
        pytest.param([1.5, 2], HOUR, id="within the hour"),
        pytest.param([1.5, 20], timedelta(days=1), id="within the day"),
    ],
)
def test_rows_near_the_dates_tell_an_unknown_granularity(hours, answer):
    rows = page(*((500, each / 24) for each in hours))
    with pytest.raises(CapabilityDriftError) as drift:
        check_dates(rows, "updatedAt", START, START + HOUR, ServerCapabilities())
    assert (drift.value.question, drift.value.answer) == ("granularity", answer)
    with pytest.raises(CapabilityDriftError, match="window_field"):
        check_dates(rows, "updatedAt", START, START + HOUR, ServerCapabilities(granularity=SECOND))


def test_a_row_of_the_same_second_tells_that_dates_are_cut():
    begin = START + timedelta(milliseconds=500)
    with pytest.raises(CapabilityDriftError) as drift:
        check_granularity(page((0, 0)), "updatedAt", begin, ServerCapabilities(granularity=MILLISECOND))
    assert (drift.value.question, drift.value.answer) == ("granularity", SECOND)
    check_granularity(page((0, 1)), "updatedAt", begin, ServerCapabilities(granularity=MILLISECOND))


def test_a_few_odd_rows_prove_nothing():
    check_dates(page((0, 0), (0, 9)), "updatedAt", START, START + HOUR, ServerCapabilities())
