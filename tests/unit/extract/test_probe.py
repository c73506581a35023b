"""The probe on servers that refuse requests in words of their own, and whose dates are coarse."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.errors import RefusedError
from etl.extract.capabilities import MILLISECOND, SECOND, ServerCapabilities
from etl.extract.http.query import Query
from etl.extract.http.response_errors import SlowAnswerError
from etl.extract.http.response_page import Page, moment_of
from etl.extract.probe.find_capabilities import ProbeResult, probe
from etl.extract.probe.page_size_and_range import EARLY
from etl.extract.probe.probe_session import MOST_REQUESTS, largest_accepted
from etl.times import format_time
from tests.unit.server import Server

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2025, 1, 6, 9, 14, 25, 437_000, tzinfo=UTC)


def a_task(number: int) -> dict[str, Any]:
    created = FIRST + number * timedelta(days=1, hours=7, minutes=11, seconds=13, milliseconds=17)
    updated = created + timedelta(days=3) + number * timedelta(hours=5, minutes=3, seconds=7, milliseconds=29)
    return {"_id": f"ti-{number}", "createdAt": format_time(created), "updatedAt": format_time(updated)}


def serve(**options: Any) -> Server:
    """A server with 200 tasks, to be probed."""
    server = Server(**{"window_field": "createdAt", "cap": 50, **options})
    for number in range(200):
        server.insert(*(moment_of(a_task(number), name) for name in ("createdAt", "updatedAt")))
    return server


def probe_server(known: ServerCapabilities | None = None, **options: Any) -> ProbeResult:
    return probe(serve(**options).fetch, known or ServerCapabilities())


class TestTick:
    @pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
    @pytest.mark.parametrize("granularity", [MILLISECOND, SECOND, MINUTE, HOUR, DAY], ids=str)
    def test_is_found_however_coarse(self, granularity, field):
        found = probe_server(window_field=field, granularity=granularity)
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == (field, True)
        assert found.capabilities.granularity == granularity
        assert found.requests <= MOST_REQUESTS

    @pytest.mark.parametrize("granularity", [MILLISECOND, SECOND], ids=str)
    def test_is_that_of_the_coarser_end_where_one_end_is_left_out(self, granularity):
        found = probe_server(granularity=granularity, options={"ends": "half_open"})
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == ("createdAt", False)
        assert found.capabilities.granularity == granularity

    @pytest.mark.parametrize("granularity", [MINUTE, HOUR], ids=str)
    def test_is_found_where_ends_are_excluded_and_the_field_known(self, granularity):
        known = ServerCapabilities(window_field="createdAt", ends_inclusive=False)
        found = probe_server(known, granularity=granularity, options={"ends": "half_open"})
        assert found.capabilities.granularity == granularity


class TestRefusals:
    def test_of_a_single_instant_leave_the_ends_unknown(self):
        def refuses(query: Query) -> str | None:
            return "startDate must be before endDate" if query.start and query.start == query.end else None

        found = probe_server(window_field="updatedAt", refuses=refuses)
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == ("updatedAt", None)
        assert found.capabilities.granularity == MILLISECOND

    def test_of_sort_by_are_told_from_those_of_a_limit(self):
        found = probe_server(refuses=lambda query: "sortBy must be a string" if query.sort_by else None, cap=90)
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (False, False)
        assert found.capabilities.page_rows == 90
        assert found.capabilities.any_range is True

    def test_of_one_sort_field_concern_no_other(self):
        def refuses(query: Query) -> str | None:
            return "unknown field createdAt" if query.sort_by and query.sort_by[0] == "createdAt" else None

        found = probe_server(refuses=refuses)
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (True, False)
        assert found.capabilities.any_range is True

    def test_of_everything_end_the_probe(self):
        found = probe_server(refuses=lambda _: "not today")
        assert found.capabilities == ServerCapabilities()
        assert found.requests <= 6

    @pytest.mark.parametrize(
        ("words", "cost"),
        [
            ("limit must be at most {}", 3),
            ("limit must be between 1 and {} (code 4000)", 3),
            ("limit must be less than {more}", 4),
            ("error 42: too many rows", 6),
            ("error 4: too many rows", 4),
            ("too many rows", 4),
        ],
    )
    @pytest.mark.parametrize("most", [10, 50, 200])
    def test_of_a_limit_name_the_largest_or_let_it_be_searched_for(self, words, cost, most):
        server = serve(cap=10_000)
        server.refuses = lambda query: words.format(most, more=most + 1) if query.limit > most else None
        found = probe(server.fetch, ServerCapabilities())
        assert found.capabilities.page_rows == most
        assert [query.start for query in server.asked].index(EARLY) <= cost

    def test_that_name_no_usable_number_do_not_matter(self):
        server = serve(cap=10_000)
        server.refuses = lambda query: "limit 99999999999999999999 " * 9 if query.limit > 50 else None
        assert probe(server.fetch, ServerCapabilities()).capabilities.page_rows == 50

    def test_of_a_limit_accepted_before_lead_to_a_smaller_one(self):
        known = ServerCapabilities(page_rows=500)
        found = probe_server(known, refuses=lambda query: "too many" if query.limit > 100 else None, cap=100)
        assert found.capabilities.page_rows == 100


class TestRange:
    @pytest.mark.parametrize(
        ("words", "days", "found"),
        [
            ("at most {} days", 45, 45),
            ("the range exceeds {}-day limit", 7, 7),
            ("too long", 31, 31),
            ("too long", 400, 366),
            ("too long", 45, 31),
            ("too long", 8, 7),
            ("too long", 3, 1),
            ("at most 99999999 days may be asked for in all", 31, 31),
        ],
    )
    def test_is_the_longest_that_is_answered(self, words, days, found):
        def refuses(query: Query) -> str | None:
            too_long = query.start and query.end and query.end - query.start > timedelta(days=days)
            return words.format(days) if too_long else None

        finding = probe_server(refuses=refuses)
        assert finding.capabilities.any_range is False
        assert finding.capabilities.longest_range == timedelta(days=found)

    def test_counts_as_refused_where_rows_are_withheld(self):
        server = serve()

        def fetch(query: Query) -> Page:
            page = server.fetch(query)
            is_long = query.start and query.end and query.end - query.start > timedelta(days=31)
            return Page([], page.limit, has_more=False, total=0) if is_long else page

        found = probe(fetch, ServerCapabilities())
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (False, timedelta(days=31))

    def test_stays_unknown_until_it_is_searched_for_to_the_end(self):
        def refuses(query: Query) -> str | None:
            if query.limit > 200:
                return "too many"
            return "too long" if query.start and query.end - query.start > timedelta(days=400) else None

        server = serve(refuses=refuses, cap=1000)
        found = probe(server.fetch, ServerCapabilities())
        assert found.requests == MOST_REQUESTS
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (None, None)
        assert probe(server.fetch, found.capabilities).capabilities.longest_range == timedelta(days=366)

    def test_stays_unknown_where_every_range_is_refused(self):
        found = probe_server(refuses=lambda query: "no dates" if query.start else None)
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (None, None)
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (True, True)


class TestSlowAnswers:
    def test_to_a_large_limit_lead_to_a_smaller_one(self):
        def refuses(query: Query) -> str | None:
            if query.limit > 100:
                raise SlowAnswerError("no answer")
            return None

        assert probe_server(refuses=refuses, cap=10_000).capabilities.page_rows == 100

    def test_to_a_usual_query_end_the_probe(self):
        def refuses(query: Query) -> str | None:
            raise SlowAnswerError("no answer")

        with pytest.raises(SlowAnswerError):
            probe_server(refuses=refuses)


class TestRows:
    @pytest.mark.parametrize(
        ("limit", "total", "has_more", "expected"),
        [
            pytest.param(None, None, None, None, id="nothing is said"),
            pytest.param(None, None, False, None, id="no more follow"),
            pytest.param(None, None, True, 7, id="more follow"),
            pytest.param(None, 8, None, 7, id="the total is larger"),
            pytest.param(None, 7, True, None, id="the total denies that more follow"),
            pytest.param(50, 7, False, 50, id="the answer names a smaller limit"),
            pytest.param(1000, 7, False, 1000, id="the answer names the limit asked for"),
            pytest.param(1000, 2000, True, 1000, id="the answer names it and comes short"),
            pytest.param(5000, 7, False, None, id="the answer names a larger limit"),
            pytest.param(5, 2000, True, 7, id="the answer names fewer than came"),
            pytest.param(0, 7, False, None, id="the answer names none"),
        ],
    )
    def test_of_a_page_count_only_with_a_word_of_the_server(self, limit, total, has_more, expected):
        rows = [a_task(number) for number in range(7)]
        found = probe(lambda _: Page(rows, limit, has_more, total), ServerCapabilities())
        assert found.capabilities.page_rows == expected

    @pytest.mark.parametrize(("cap", "expected"), [(10, 10), (20, 20), (50, 20)])
    def test_that_are_fewer_than_before_count(self, cap, expected):
        assert probe_server(ServerCapabilities(page_rows=20), cap=cap).capabilities.page_rows == expected

    def test_are_unknown_again_where_the_known_value_is_refused(self):
        def fetch(query: Query) -> Page:
            if query.limit > 100:
                raise RefusedError("too many")
            return Page([a_task(1), a_task(2)], None, has_more=False, total=2)

        assert probe(fetch, ServerCapabilities(page_rows=500)).capabilities.page_rows is None

    def test_beyond_what_was_asked_for_do_not_count(self):
        def fetch(query: Query) -> Page:
            if query.limit > 50:
                raise RefusedError("at most 50")
            return Page([a_task(number) for number in range(60)], None, has_more=True, total=2000)

        assert probe(fetch, ServerCapabilities()).capabilities.page_rows == 50

    def test_are_asked_for_in_plenty_only_once(self):
        server = serve(cap=10_000)
        probe(server.fetch, ServerCapabilities())
        assert [query.limit for query in server.asked if query.limit > 50] == [1000]

    def test_that_are_repeated_or_too_many_do_not_count(self):
        rows = [a_task(number) for number in range(50)]
        page = Page([*rows, rows[7]], 50, has_more=True, total=2000)
        assert probe(lambda _: page, ServerCapabilities()).capabilities.page_rows == 50
        assert probe(lambda _: page, ServerCapabilities(page_rows=20)).capabilities.page_rows == 20


def test_rows_of_one_moment_leave_the_order_unknown():
    task = a_task(1)
    page = Page([{**task, "_id": f"ti-{number}"} for number in range(50)], 50, has_more=True, total=120)
    found = probe(lambda _: page, ServerCapabilities())
    assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (None, None)
    assert found.earliest == {}


@pytest.mark.parametrize("most", [*range(12), 99])
def test_the_largest_accepted_is_found_by_halving(most):
    asked = []

    def is_accepted(choice: int) -> bool:
        asked.append(choice)
        return choice <= most

    assert largest_accepted([1, 2, 5, 7, 9], is_accepted) == max(
        (n for n in (1, 2, 5, 7, 9) if n <= most), default=None
    )
    assert len(asked) <= 3
