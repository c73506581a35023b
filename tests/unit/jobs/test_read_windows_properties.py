"""Windows tile the range that they read, whatever is refused and however long each may be."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from etl.errors import RefusedError
from etl.extract.capabilities import ServerCapabilities
from etl.extract.http.response_errors import SlowAnswerError
from etl.extract.paging.page_checks import Window
from etl.extract.paging.split_windows import read_split_windows
from etl.jobs.pipeline.read_windows import WindowSizer
from tests.unit.server import BEGIN, MILLISECOND, Server

spans = st.timedeltas(min_value=MILLISECOND, max_value=timedelta(days=3000)).map(
    lambda span: span - span % MILLISECOND + MILLISECOND
)
sizes = st.none() | spans


@given(span=spans, size=sizes, least=spans, limit=spans)
@settings(max_examples=200)
def test_windows_tile_without_gap_or_overlap(span, size, least, limit):
    end, least, limit = BEGIN + span, min(least, timedelta(hours=1)), max(limit, span / 500)
    sizer = WindowSizer(size=size and max(size, span / 500), least=least, most=None)
    start, read = BEGIN, []
    for _ in range(5000):
        if start >= end:
            break
        upto = sizer.next_end(start, end)
        assert start < upto <= end
        if upto - start > max(limit, least):
            sizer.shrink(upto - start, RefusedError("too long"))
        else:
            read.append((start, upto))
            start = upto
            sizer.grow()
    assert read[0][0] == BEGIN
    assert read[-1][1] == end
    assert [window[1] for window in read[:-1]] == [window[0] for window in read[1:]]


@given(
    span=spans,
    seconds=st.lists(st.floats(0, 1), max_size=60),
    cap=st.integers(1, 9),
    granularity=st.sampled_from([MILLISECOND, timedelta(seconds=1)]),
    inclusive=st.booleans(),
)
@settings(max_examples=100)
def test_verified_windows_cover_all_from_start_to_end_in_order(span, seconds, cap, granularity, inclusive):
    server = Server(cap=cap, sorted=False, granularity=granularity, inclusive=inclusive)
    for place in seconds:
        server.insert(BEGIN + (span * place) // MILLISECOND * MILLISECOND)
    end = BEGIN + span + MILLISECOND
    capabilities = ServerCapabilities(
        window_field="updatedAt", ends_inclusive=inclusive, granularity=granularity, sort_updated=False, page_rows=cap
    )
    asked = []

    def fetch(query):
        asked.append(query)
        return server.fetch(query)

    pages = list(read_split_windows(fetch, Window("updatedAt", BEGIN, end), capabilities))
    covered = [page.checkpoint for page in pages if page.checkpoint is not None]
    assert covered == sorted(covered)
    assert covered[-1] == end
    assert {record["_id"] for page in pages for record in page.records} == set(server.tasks)


def test_what_is_refused_down_to_the_shortest_window_is_raised():
    sizer = WindowSizer(size=timedelta(seconds=3), least=timedelta(seconds=1), most=None)
    error = RefusedError("any range is too long")
    for refused in (3, 2, 1.5):
        sizer.shrink(timedelta(seconds=refused), error)
    with pytest.raises(RefusedError) as raised:
        sizer.shrink(timedelta(seconds=1), error)
    assert raised.value is error


def test_a_window_that_is_read_forgets_the_slow_ones_before():
    sizer, hour = WindowSizer(size=None, least=MILLISECOND, most=None), timedelta(hours=1)
    error = SlowAnswerError("too late")
    for _ in range(2):
        for _ in range(4):
            sizer.shrink(hour, error)
        sizer.grow()
    for _ in range(4):
        sizer.shrink(hour, error)
    with pytest.raises(SlowAnswerError):
        sizer.shrink(hour, error)
