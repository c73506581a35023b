"""What the probe finds out of every kind of server, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from etl.extract.capabilities import MILLISECOND, SECOND, ServerCapabilities
from etl.extract.http.auth import Token
from etl.extract.http.rate_limiter import RateLimiter
from etl.extract.http.response_page import moment_of
from etl.extract.http.retrying_client import Client, Endpoint
from etl.extract.probe.find_capabilities import ProbeResult, probe
from etl.extract.probe.probe_session import MOST_REQUESTS
from etl.sandbox import Options, Sandbox
from etl.settings import SourceSettings

DAY = timedelta(days=1)
COMMON = {
    "window_field": "createdAt",
    "ends_inclusive": True,
    "granularity": MILLISECOND,
    "sort_updated": True,
    "sort_created": True,
    "page_rows": 50,
    "any_range": True,
    "longest_range": None,
    "counts_inactive": None,
}


def noon() -> float:
    return time.time() // 86400 * 86400 + 43230.5


@pytest.fixture
def examine() -> Iterator[Callable[..., tuple[ProbeResult, Sandbox, Client]]]:
    """Start a sandbox and probe it: ``examine(cap=10)``, ``examine({"granularity": SECOND}, tasks=5)``.

    Where dates are cut, its clock shows noon: a task in the last second, minute or hour of a longer unit tells less.
    """
    with ExitStack() as started:

        def examined(known: dict[str, Any] | None = None, **options: Any) -> tuple[ProbeResult, Sandbox, Client]:
            given = Options(**{"tasks": 400, "requests_per_minute": 0, **options})
            clock = noon if "granularity" in options else time.time
            server = started.enter_context(Sandbox(given, clock=clock))
            probed, client = probe_server(server, ServerCapabilities(**(known or {})), clock)
            started.callback(client.close)
            return probed, server, client

        yield examined


def probe_server(
    server: Sandbox, known: ServerCapabilities, clock: Callable[[], float] = time.time
) -> tuple[ProbeResult, Client]:
    def now() -> datetime:
        return datetime.fromtimestamp(clock(), UTC)

    options = server.options
    ids = {"base_url": server.url, "account_id": options.account_id, "stream_id": options.stream_id}
    source = SourceSettings(**ids, client_id=options.client_id, client_secret=options.client_secret)
    client = Client(Endpoint(**ids), Token(source, now), RateLimiter(6000), clock=now, sleep=lambda _seconds: None)
    return probe(client.fetch, known), client


def answers(probed: ProbeResult) -> dict[str, Any]:
    return {name: getattr(probed.capabilities, name) for name in COMMON}


SERVERS = [
    pytest.param({}, {}, 7, id="as the vendor's page suggests"),
    pytest.param({"window_field": "updatedAt"}, {"window_field": "updatedAt"}, 7, id="dates on updatedAt"),
    pytest.param({"ends": "exclusive"}, {"ends_inclusive": False}, 9, id="ends left out"),
    pytest.param({"granularity": "second"}, {"granularity": SECOND}, 8, id="dates cut to the second"),
    pytest.param(
        {"granularity": "second", "ends": "exclusive"},
        {"granularity": SECOND, "ends_inclusive": False},
        10,
        id="cut and left out",
    ),
    pytest.param(
        {"granularity": "second", "ends": "exclusive", "window_field": "updatedAt"},
        {"granularity": SECOND, "ends_inclusive": False, "window_field": "updatedAt"},
        10,
        id="cut and left out on updatedAt",
    ),
    pytest.param(
        {"granularity": "minute", "ends": "exclusive", "window_field": "updatedAt"},
        {"granularity": timedelta(minutes=1), "ends_inclusive": False, "window_field": "updatedAt"},
        10,
        id="cut to the minute and left out",
    ),
    pytest.param(
        {"granularity": "hour", "ends": "exclusive"},
        {"granularity": timedelta(hours=1), "ends_inclusive": False},
        12,
        id="cut to the hour and left out",
    ),
    pytest.param(
        {"sort": "ignored"}, {"sort_updated": False, "sort_created": False}, 6, id="sort ignored, oldest first"
    ),
    pytest.param(
        {"sort": "ignored", "default_order": "newest"},
        {"sort_updated": False, "sort_created": False},
        5,
        id="sort ignored, newest first",
    ),
    pytest.param({"sort_fields": ("createdAt",)}, {"sort_updated": False}, 6, id="sort by createdAt alone"),
    pytest.param({"sort_fields": ("updatedAt",)}, {"sort_created": False}, 7, id="sort by updatedAt alone"),
    pytest.param(
        {"sort_fields": ("updatedAt",), "default_order": "newest"},
        {"sort_created": False},
        6,
        id="sort by updatedAt alone, else newest first",
    ),
    pytest.param({"tie_break": "random"}, {}, 7, id="ties in random order"),
    pytest.param({"cap": 10}, {"page_rows": 10}, 7, id="10 rows whatever is asked"),
    pytest.param({"cap": 333}, {"page_rows": 333}, 7, id="odd silent cap"),
    pytest.param({"cap": 5000, "tasks": 1200}, {"page_rows": 1000}, 7, id="no cap to speak of"),
    pytest.param({"cap_mode": "refuse"}, {}, 9, id="limit over 50 refused"),
    pytest.param(
        {"cap_mode": "refuse", "cap": 137, "cap_status": 412}, {"page_rows": 137}, 9, id="limit over 137 refused"
    ),
    pytest.param({"has_more": "missing"}, {}, 7, id="totals only"),
    pytest.param({"totals": "missing"}, {}, 7, id="hasMore only"),
    pytest.param({"totals": "missing", "has_more": "missing"}, {}, 7, id="neither"),
    pytest.param({"totals": "null", "has_more": "null"}, {}, 7, id="both null"),
    pytest.param({"totals": "high"}, {}, 8, id="totals too high"),
    pytest.param({"totals": "low"}, {}, 7, id="totals too low"),
    pytest.param({"has_more": "always_true"}, {}, 7, id="hasMore always true"),
    pytest.param({"max_range_days": 31}, {"any_range": False, "longest_range": 31 * DAY}, 9, id="31 days at most"),
    pytest.param(
        {"max_range_days": 7, "max_range_status": 400, "cap_mode": "refuse"},
        {"any_range": False, "longest_range": 7 * DAY},
        11,
        id="7 days and 50 rows at most",
    ),
    pytest.param({"shape": "eight"}, {}, 7, id="eight keys a task"),
    pytest.param({"strict": True}, {}, 7, id="refuses unknown keys"),
    pytest.param({"round_to": 3600.0, "tasks": 2000, "days": 100.0}, {}, 7, id="times rounded to the hour"),
    pytest.param(
        {"max_skip": 500, "sort": "ignored"}, {"sort_updated": False, "sort_created": False}, 6, id="max skip"
    ),
]


@pytest.mark.parametrize(("options", "differing", "cost"), SERVERS)
def test_finds_out_what_a_server_does(examine, options, differing, cost):
    probed, server, _ = examine(**options)
    assert answers(probed) == {**COMMON, **differing}
    assert probed.requests == server.request_count == cost
    assert set(probed.capabilities.evidence) == {name for name, answer in answers(probed).items() if answer is not None}


def test_costs_one_request_where_there_is_no_task(examine):
    probed, _, _ = examine(tasks=0)
    assert answers(probed) == dict.fromkeys(COMMON)
    assert probed.requests == 1


CREATED = "2025-03-01T08:00:00.123Z"
UPDATED = "2025-03-04T17:30:00.456Z"


def a_task(name: str = "ti-1", created: str = CREATED, updated: str = UPDATED, **more: Any) -> dict[str, Any]:
    return {"_id": name, "createdAt": created, "updatedAt": updated, **more}


def examine_only(server: Sandbox, *tasks: Any, known: ServerCapabilities | None = None) -> ProbeResult:
    """Probe a server that holds these tasks alone."""
    server.put(tasks)
    probed, client = probe_server(server, known or ServerCapabilities())
    client.close()
    return probed


def test_learns_from_a_single_task_what_it_can_show(sandbox):
    probed = examine_only(sandbox(tasks=0, window_field="updatedAt"), a_task())
    assert answers(probed) == {**COMMON, "window_field": "updatedAt", "sort_updated": None, "sort_created": None}
    assert probed.requests == 5


def test_learns_little_from_one_task_never_updated(sandbox):
    probed = examine_only(sandbox(tasks=0), a_task(updated=CREATED))
    known = {"page_rows": 50, "any_range": True}
    assert answers(probed) == {**dict.fromkeys(COMMON), **known}
    assert probed.requests == 2


def test_two_tasks_show_everything(sandbox):
    probed = examine_only(
        sandbox(tasks=0), a_task(), a_task("ti-2", "2025-03-02T08:00:00.789Z", "2025-03-03T08:00:00.012Z")
    )
    assert answers(probed) == COMMON
    assert probed.requests == 7


def many(name: str, created: str, updated: str) -> list[dict[str, Any]]:
    """More tasks of the same moments than a page holds."""
    return [a_task(f"ti-{name}{number}", created, updated) for number in range(120)]


@pytest.mark.parametrize("window_field", ["createdAt", "updatedAt"])
@pytest.mark.parametrize(
    "others",
    [
        pytest.param(many("a", CREATED, CREATED), id="imported together"),
        pytest.param(many("a", "2025-03-02T08:00:00.001Z", UPDATED), id="updated together"),
    ],
)
def test_is_not_misled_by_tasks_that_share_a_moment(sandbox, window_field, others):
    probed = examine_only(sandbox(tasks=0, window_field=window_field), *others, a_task("ti-z"))
    found = probed.capabilities
    assert (found.window_field, found.ends_inclusive, found.granularity) == (window_field, True, MILLISECOND)
    assert probed.requests <= MOST_REQUESTS


def test_does_not_guess_between_tasks_that_share_each_moment(sandbox):
    others = many("a", CREATED, CREATED) + many("b", UPDATED, UPDATED)
    probed = examine_only(sandbox(tasks=0), *others, a_task("ti-z"))
    assert probed.capabilities.window_field is None


@pytest.mark.parametrize("sort", ["obeyed", "ignored"])
def test_tells_an_order_that_begins_with_a_page_without_dates(sandbox, sort):
    """Asked with dates, a server leaves such rows out: its fixed order then looks like one by date."""
    undated = [{"_id": f"ti-0{number:02}", "createdAt": None, "updatedAt": None} for number in range(60)]
    dated = [a_task(f"ti-{number}", at(number), at(number + 50)) for number in range(100, 200)]
    probed = examine_only(sandbox(tasks=0, null_dates="unmatched", sort=sort), *undated, *dated).capabilities
    found = (probed.sort_updated, probed.sort_created)
    assert found == ((True, True) if sort == "obeyed" else (None, None))


def test_finds_the_tick_where_every_time_is_a_whole_hour(examine):
    probed, _, _ = examine(tasks=8000, round_to=3600.0, granularity="second", window_field="updatedAt")
    assert answers(probed) == {**COMMON, "granularity": SECOND, "window_field": "updatedAt"}


def at(milliseconds: int, second: str = "2025-03-01T08:00:00") -> str:
    return f"{second}.{milliseconds:03}Z"


def test_finds_the_tick_by_a_second_that_fits_a_page(sandbox):
    crowd = [a_task(f"ti-{999 - number}", at(number)) for number in range(219, 99, -1)]
    probed = examine_only(sandbox(tasks=0, granularity="second"), *crowd, a_task("ti-0", at(5, "2025-03-02T08:00:00")))
    assert probed.capabilities.granularity == SECOND


def test_finds_the_tick_although_the_next_one_has_a_task_too(sandbox):
    probed = examine_only(sandbox(tasks=0), a_task("ti-1", at(100)), a_task("ti-2", at(101)))
    assert probed.capabilities.granularity == MILLISECOND


def test_leaves_the_tick_unknown_where_no_second_fits_a_page(sandbox):
    crowd = [a_task(f"ti-{999 - number}", at(number)) for number in range(219, 99, -1)]
    probed = examine_only(sandbox(tasks=0, granularity="second"), *crowd)
    assert probed.capabilities.ends_inclusive is True
    assert probed.capabilities.granularity is None


@pytest.mark.parametrize(
    ("moment", "granularity"),
    [(at(999), None), (at(500, "2025-03-01T08:00:59"), None), (at(500, "2025-03-01T23:10:10"), SECOND)],
)
def test_leaves_the_tick_unknown_where_two_ticks_end_together(sandbox, moment, granularity):
    assert (
        examine_only(sandbox(tasks=0, granularity="second"), a_task(created=moment)).capabilities.granularity
        == granularity
    )


def test_finds_the_tick_by_a_moment_that_tells_ticks_apart(sandbox):
    edge = a_task(created="2025-02-01T08:00:00.999Z")
    assert examine_only(sandbox(tasks=0, granularity="second"), edge, a_task("ti-2")).capabilities.granularity == SECOND


def test_leaves_the_filtered_field_unknown_without_a_filter(examine):
    probed, _, _ = examine(dates="ignored")
    unknown = {"window_field": None, "ends_inclusive": None, "granularity": None}
    assert answers(probed) == {**COMMON, **unknown}
    assert probed.requests == 6


@pytest.mark.parametrize("tasks", [1, 2, 3])
def test_is_not_misled_by_tasks_that_ignore_the_dates(sandbox, tasks):
    records = [a_task(f"ti-{number}", updated=f"2025-03-04T17:30:0{number}.456Z") for number in range(tasks)]
    probed = examine_only(sandbox(tasks=0, dates="ignored"), *records)
    assert probed.capabilities.window_field is None


def test_is_not_misled_by_rows_that_are_withheld_once(sandbox):
    task = a_task(created="2025-03-04T17:30:10.000Z", updated="2025-03-04T17:30:40.000Z")  # both in the same minute
    options = {"tasks": 0, "sort": "ignored", "empty_pages": 0.2, "granularity": "minute"}
    learnt = {examine_only(sandbox(seed=seed, **options), task).capabilities.window_field for seed in range(40)}
    assert learnt == {None}


def test_is_not_misled_by_a_span_that_ignores_the_dates(sandbox):
    others = many("a", "2025-03-03T08:00:00.001Z", "2025-03-08T08:00:00.001Z")
    probed = examine_only(sandbox(tasks=0, dates="ignored"), *others, a_task("ti-z", updated="2025-03-07T08:00:00Z"))
    assert probed.capabilities.window_field is None


def test_asks_only_what_is_not_known(examine):
    known = {name: answer for name, answer in COMMON.items() if name != "granularity"}
    probed, server, _ = examine(known, granularity="second")
    assert probed.capabilities.granularity == SECOND
    assert probed.requests == 3
    assert server.requests[0]["body"]["limit"] == 50


def test_takes_for_granted_what_is_known_and_finds_the_rest(examine):
    known = {"window_field": "updatedAt", "ends_inclusive": False, "sort_created": False}
    probed, _, _ = examine(known, window_field="updatedAt", ends="exclusive")
    assert answers(probed) == {**COMMON, **known}


@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
def test_asks_for_the_window_field_by_the_ends_that_are_known(examine, ends):
    inclusive = ends == "inclusive"
    probed, _, _ = examine({"ends_inclusive": inclusive}, ends=ends)
    assert answers(probed) == {**COMMON, "ends_inclusive": inclusive}
    assert "ends_inclusive" not in probed.capabilities.evidence
    assert probed.requests == 7


def test_finds_the_ends_where_the_field_is_known(examine):
    probed, _, _ = examine({"window_field": "createdAt"}, ends="exclusive")
    assert answers(probed) == {**COMMON, "ends_inclusive": False}


def test_tells_where_history_begins(examine):
    probed, server, _ = examine()
    for field in ("createdAt", "updatedAt"):
        assert probed.earliest[field] == min(moment_of(task, field) for task in server.tasks())


def test_knows_where_history_begins_from_one_full_page(examine):
    probed, server, _ = examine(tasks=30, sort="ignored")
    for field in ("createdAt", "updatedAt"):
        assert probed.earliest[field] == min(moment_of(task, field) for task in server.tasks())


def test_finds_the_longest_range_despite_a_far_future_task(sandbox):
    server = sandbox(tasks=60, window_field="updatedAt", max_range_days=31)
    probed = examine_only(server, a_task(updated="9999-12-31T23:59:59.999Z"))
    assert probed.capabilities.longest_range == 31 * DAY


def test_does_not_guess_where_history_begins(examine):
    assert examine(sort="ignored")[0].earliest == {}


def test_keeps_to_twelve_requests_and_what_they_showed(examine):
    probed, server, _ = examine(cap_mode="refuse", cap=137, ends="exclusive", granularity="second", max_range_days=31)
    assert probed.requests == server.request_count == MOST_REQUESTS
    expected = {**COMMON, "page_rows": 137, "ends_inclusive": False}
    assert answers(probed) == {**expected, "granularity": None, "any_range": None}
    again, client = probe_server(server, probed.capabilities)
    client.close()
    assert answers(again) == {**expected, "granularity": SECOND, "any_range": False, "longest_range": 31 * DAY}


def test_the_client_knows_the_skew_of_the_clock(examine):
    _, _, client = examine(clock_skew=90.0)
    assert timedelta(seconds=88) < client.skew < timedelta(seconds=91)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param([a_task("ti-\x00\ud800", UPDATED[:-1] + "+14:00")], id="an id that no text can hold"),
        pytest.param([a_task(created="0001-01-01T00:00:00Z", updated="9999-12-31T23:59:59.999Z")], id="ends of time"),
        pytest.param([a_task(updated="soon", created=None), {"_id": 7}, None, [], "text", {}], id="no dates"),
        pytest.param([a_task("ti-" + "long" * 1000, "1999-01-01T00:00:00Z")], id="a long id"),
        pytest.param([a_task(created=UPDATED, updated=CREATED)], id="updated before it was created"),
    ],
)
@pytest.mark.parametrize("ends", ["inclusive", "exclusive"])
@pytest.mark.parametrize("tasks", [0, 60])
def test_survives_odd_records(sandbox, odd, tasks, ends):
    probed = examine_only(sandbox(tasks=tasks, ends=ends), *odd)
    assert probed.capabilities.page_rows == 50
    for text in probed.capabilities.evidence.values():
        assert text.isprintable()
        assert len(text) < 300
