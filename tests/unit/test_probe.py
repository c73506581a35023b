"""The probe on servers that only a few lines of Python can play: what they refuse, and how coarse their dates are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.errors import RefusedError
from etl.extract.capabilities import MILLISECOND, SECOND, ServerCapabilities
from etl.extract.http.page import Page, moment_of
from etl.extract.http.query import Query
from etl.extract.http.responses import SlowAnswerError
from etl.extract.probe.experiments import ProbeResult, probe
from etl.extract.probe.limits import EARLY
from etl.extract.probe.session import MOST_REQUESTS, largest_taken
from etl.times import format_time

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FIRST = datetime(2025, 1, 6, 9, 14, 25, 437_000, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def a_task(number: int) -> dict[str, Any]:
    created = FIRST + number * timedelta(days=1, hours=7, minutes=11, seconds=13, milliseconds=17)
    updated = created + timedelta(days=3) + number * timedelta(hours=5, minutes=3, seconds=7, milliseconds=29)
    return {"_id": f"ti-{number}", "createdAt": format_time(created), "updatedAt": format_time(updated)}


def floor(moment: datetime, tick: timedelta) -> datetime:
    return moment - (moment - EPOCH) % tick


@dataclass
class Server:
    """Answers queries as a server of a few rules would."""

    window_field: str = "createdAt"
    keeps: Callable[[datetime, Query], bool] = lambda moment, query: (
        (query.start is None or moment >= query.start) and (query.end is None or moment <= query.end)
    )
    refuses: Callable[[Query], str | None] = lambda _: None
    cap: int = 50
    tasks: int = 200
    asked: list[Query] = field(default_factory=list)

    def __call__(self, query: Query) -> Page:
        self.asked.append(query)
        words = self.refuses(query)
        if words is not None:
            raise RefusedError(f'the API refused the request (HTTP 400, "{words}")')
        rows = [row for row in map(a_task, range(self.tasks)) if self.keeps(moment_of(row, self.window_field), query)]
        if query.sort_by:
            rows.sort(key=lambda row: row[query.sort_by[0]], reverse=query.sort_by[1] == "desc")
        shown = rows[: min(query.limit, self.cap)]
        return Page(shown, limit=min(query.limit, self.cap), has_more=len(shown) < len(rows), total=len(rows))

    def probe(self, known: ServerCapabilities | None = None) -> ProbeResult:
        return probe(self, known or ServerCapabilities())


def cut(tick: timedelta) -> Callable[[datetime, Query], bool]:
    """Dates are cut to the tick; both ends are included."""
    return lambda moment, query: (
        (query.start is None or floor(moment, tick) >= floor(query.start, tick))
        and (query.end is None or floor(moment, tick) <= floor(query.end, tick))
    )


def half_open(tick: timedelta) -> Callable[[datetime, Query], bool]:
    """The dates of a query are cut to the tick; the start is included, the end is not."""
    return lambda moment, query: (
        (query.start is None or moment >= floor(query.start, tick))
        and (query.end is None or moment < floor(query.end, tick))
    )


class TestTick:
    @pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
    @pytest.mark.parametrize("tick", [MILLISECOND, SECOND, MINUTE, HOUR, DAY], ids=str)
    def test_is_found_however_coarse(self, tick, field):
        found = Server(field, keeps=cut(tick)).probe()
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == (field, True)
        assert found.capabilities.tick == tick
        assert found.requests <= MOST_REQUESTS

    @pytest.mark.parametrize("tick", [MILLISECOND, SECOND], ids=str)
    def test_is_that_of_the_coarser_end_where_one_end_is_left_out(self, tick):
        found = Server(keeps=half_open(tick)).probe()
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == ("createdAt", False)
        assert found.capabilities.tick == tick

    @pytest.mark.parametrize("tick", [MINUTE, HOUR], ids=str)
    def test_is_found_where_ends_are_excluded_and_the_field_known(self, tick):
        found = Server(keeps=half_open(tick)).probe(ServerCapabilities(window_field="createdAt", ends_inclusive=False))
        assert found.capabilities.tick == tick


class TestRefusals:
    def test_of_a_single_instant_leave_the_ends_unknown(self):
        def refuses(query: Query) -> str | None:
            return "startDate must be before endDate" if query.start and query.start == query.end else None

        found = Server("updatedAt", refuses=refuses).probe()
        assert (found.capabilities.window_field, found.capabilities.ends_inclusive) == ("updatedAt", None)
        assert found.capabilities.tick == MILLISECOND

    def test_of_sort_by_are_told_from_those_of_a_limit(self):
        found = Server(refuses=lambda query: "sortBy must be a string" if query.sort_by else None, cap=90).probe()
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (False, False)
        assert found.capabilities.page_rows == 90
        assert found.capabilities.any_range is True

    def test_of_one_sort_field_concern_no_other(self):
        def refuses(query: Query) -> str | None:
            return "unknown field createdAt" if query.sort_by and query.sort_by[0] == "createdAt" else None

        found = Server(refuses=refuses).probe()
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (True, False)
        assert found.capabilities.any_range is True

    def test_of_everything_end_the_probe(self):
        found = Server(refuses=lambda _: "not today").probe()
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
        server = Server(cap=10_000)
        server.refuses = lambda query: words.format(most, more=most + 1) if query.limit > most else None
        found = server.probe()
        assert found.capabilities.page_rows == most
        assert [query.start for query in server.asked].index(EARLY) <= cost

    def test_that_name_no_usable_number_do_not_matter(self):
        server = Server(cap=10_000)
        server.refuses = lambda query: "limit 99999999999999999999 " * 9 if query.limit > 50 else None
        assert server.probe().capabilities.page_rows == 50

    def test_of_a_limit_that_was_taken_before_lead_to_a_smaller_one(self):
        found = Server(refuses=lambda query: "too many" if query.limit > 100 else None, cap=100).probe(
            ServerCapabilities(page_rows=500)
        )
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

        probed = Server(refuses=refuses).probe()
        assert probed.capabilities.any_range is False
        assert probed.capabilities.longest_range == timedelta(days=found)

    def test_counts_as_refused_where_rows_are_withheld(self):
        def keeps(moment: datetime, query: Query) -> bool:
            start, end = query.start, query.end
            if start is None or end is None:
                return True
            return end - start <= timedelta(days=31) and start <= moment <= end

        found = Server(keeps=keeps).probe()
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (False, timedelta(days=31))

    def test_stays_unknown_until_it_is_searched_for_to_the_end(self):
        def refuses(query: Query) -> str | None:
            if query.limit > 200:
                return "too many"
            return "too long" if query.start and query.end - query.start > timedelta(days=400) else None

        server = Server(refuses=refuses, cap=1000)
        found = server.probe()
        assert found.requests == MOST_REQUESTS
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (None, None)
        assert server.probe(found.capabilities).capabilities.longest_range == timedelta(days=366)

    def test_stays_unknown_where_every_range_is_refused(self):
        found = Server(refuses=lambda query: "no dates" if query.start else None).probe()
        assert (found.capabilities.any_range, found.capabilities.longest_range) == (None, None)
        assert (found.capabilities.sort_updated, found.capabilities.sort_created) == (True, True)


class TestSlowAnswers:
    def test_to_a_large_limit_lead_to_a_smaller_one(self):
        def refuses(query: Query) -> str | None:
            if query.limit > 100:
                raise SlowAnswerError("no answer")
            return None

        assert Server(refuses=refuses, cap=10_000).probe().capabilities.page_rows == 100

    def test_to_a_usual_query_end_the_probe(self):
        def refuses(query: Query) -> str | None:
            raise SlowAnswerError("no answer")

        with pytest.raises(SlowAnswerError):
            Server(refuses=refuses).probe()


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
            pytest.param(1000, 2000, True, 7, id="the answer names it and gives fewer rows of more"),
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
        assert Server(cap=cap).probe(ServerCapabilities(page_rows=20)).capabilities.page_rows == expected

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
        server = Server(cap=10_000)
        server.probe()
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
def test_the_largest_that_is_taken_is_found_by_halving(most):
    asked = []

    def is_taken(choice: int) -> bool:
        asked.append(choice)
        return choice <= most

    assert largest_taken([1, 2, 5, 7, 9], is_taken) == max((n for n in (1, 2, 5, 7, 9) if n <= most), default=None)
    assert len(asked) <= 3
