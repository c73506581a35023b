"""A server that refuses, is slow, lies, or is not what it was yesterday: the data stays right, the log tells."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from msgspec.structs import replace

from etl.jobs.sync import sync
from etl.jobs.verify import verify
from etl.times import format_time
from tests.integration.mirror import NONE, Mirror


@pytest.fixture
def mirror(sandbox, migrated_sqlite_url):
    def make(settings=None, **options):
        return Mirror(sandbox(**{"tasks": 400, "shape": "eight", **options}), migrated_sqlite_url, **(settings or {}))

    return make


OVERNIGHT = {
    "sort no longer obeyed": ({"window_field": "updatedAt"}, {"sort": "ignored"}, ["sort_updated"]),
    "sort no longer obeyed, newest first": (
        {"window_field": "updatedAt"},
        {"sort": "ignored", "default_order": "newest"},
        ["sort_updated"],
    ),
    "dates now on createdAt": ({"window_field": "updatedAt"}, {"window_field": "createdAt"}, ["window_field"]),
    "dates now on createdAt, fewer tasks": (
        {"window_field": "updatedAt", "tasks": 250},
        {"window_field": "createdAt"},
        ["window_field"],
    ),
    "dates now on updatedAt": ({}, {"window_field": "updatedAt"}, []),
    "10 rows a request instead of 50": ({}, {"cap": 10}, []),
    "10 rows a request instead of 50, dates on updatedAt": ({"window_field": "updatedAt"}, {"cap": 10}, []),
    "a larger limit now refused": ({"cap": 100}, {"cap": 50, "cap_mode": "refuse"}, ["page_rows"]),
    "totals gone": ({}, {"totals": "missing"}, []),
    "totals gone, dates on updatedAt": ({"window_field": "updatedAt"}, {"totals": "null"}, []),
    "totals and hasMore gone": ({"window_field": "updatedAt"}, {"totals": "null", "has_more": "null"}, []),
    "ranges over 31 days refused": (
        {"window_field": "updatedAt"},
        {"max_range_days": 31.0},
        ["any_range", "longest_range"],
    ),
    "ends no longer included": ({"window_field": "updatedAt"}, {"ends": "exclusive"}, ["ends_inclusive"]),
    "dates now cut to the second": ({"window_field": "updatedAt"}, {"granularity": "second"}, []),
}


@pytest.mark.every_other
@pytest.mark.parametrize(("before", "after", "told"), OVERNIGHT.values(), ids=OVERNIGHT)
def test_a_server_that_changed_overnight_is_still_mirrored(mirror, before, after, told):
    mirrored = mirror(**before)
    first = mirrored.sync()
    assert (first.exit_code, first.changed()) == (0, [])
    mirrored.server.change(update=20)
    assert mirrored.sync().exit_code == 0
    mirrored.server.configure(**after)
    mirrored.server.change(update=100, insert=20)
    outcome = mirrored.sync()
    assert outcome.exit_code == 0
    assert mirrored.differences() == NONE
    verified = mirrored.work("verify", verify)  # a sync asks without dates, and verification with dates
    assert verified.exit_code == 0
    assert [*outcome.changed(), *verified.changed()] == told
    mirrored.server.change(update=30, insert=5)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE


def test_a_range_without_an_end_is_asked_for_until_refused(mirror):
    mirrored = mirror(window_field="updatedAt", sort="ignored")
    mirrored.sync()
    mirrored.server.configure(max_range_days=31.0)
    mirrored.server.change(update=3)
    outcome = mirrored.sync()
    assert (outcome.exit_code, outcome.changed()) == (0, ["any_range"])
    mirrored.server.change(update=3)
    before = len(mirrored.server.requests)
    assert (mirrored.sync().exit_code, mirrored.differences()) == (0, NONE)
    assert {each["status"] for each in mirrored.server.requests[before:]} == {200}


@pytest.mark.parametrize("count", [1, 60], ids=["few changes", "more changes than a page holds"])
def test_another_filtered_field_is_noticed_where_dates_are_used(mirror, count):
    mirrored = mirror(window_field="updatedAt")
    mirrored.sync()
    mirrored.server.configure(window_field="createdAt")
    mirrored.server.change(update=count)
    assert mirrored.sync().changed() == []
    assert mirrored.differences() == NONE
    assert mirrored.work("verify", verify).changed() == ["window_field"]
    assert mirrored.differences() == NONE


def test_a_sort_no_longer_obeyed_is_noticed_in_ordered_rows(mirror):
    mirrored = mirror()
    mirrored.sync()
    mirrored.server.change(insert=30)
    mirrored.sync()
    mirrored.server.configure(sort="ignored", default_order="newest")
    newest = max(mirrored.server.tasks(), key=lambda task: task["createdAt"])
    mirrored.server.put([{**newest, "name": "renamed", "updatedAt": format_time(datetime.now(UTC))}])
    # Without an order of updatedAt, this sync also verifies a slice, and that asks for the order of createdAt.
    assert mirrored.sync().changed() == ["sort_updated", "sort_created"]
    assert mirrored.differences() == NONE


def test_a_changed_task_deleted_since_is_no_drift(mirror):
    mirrored = mirror(window_field="updatedAt")
    mirrored.sync()
    mirrored.server.change(update=1)
    mirrored.sync()
    newest = max(mirrored.server.tasks(), key=lambda task: task["updatedAt"])
    mirrored.server.remove([newest["_id"]])
    outcome = mirrored.sync()
    assert (outcome.exit_code, outcome.changed()) == (0, [])
    assert outcome.requests <= 8  # the deleted task is told from a missing one at once


@pytest.mark.every_other
@pytest.mark.parametrize("lie", ["high", "low", "lying"])
@pytest.mark.parametrize("has_more", ["present", "missing"])
@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="dates on createdAt"),
        pytest.param({"window_field": "updatedAt"}, id="dates on updatedAt"),
        pytest.param({"window_field": "updatedAt", "sort": "ignored"}, id="sort ignored"),
    ],
)
def test_totals_that_lie_never_lose_a_row_in_silence(mirror, options, has_more, lie):
    mirrored = mirror(totals=lie, has_more=has_more, **options)
    outcome = mirrored.sync()
    assert outcome.exit_code in {0, 3}
    assert outcome.requests < 400
    assert outcome.exit_code == 3 or mirrored.differences() == NONE
    mirrored.server.change(update=100, insert=10)
    outcome = mirrored.sync()
    assert outcome.exit_code == 3 or mirrored.differences() == NONE
    mirrored.server.configure(totals="present")
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, id="dates on createdAt"),
        pytest.param({"window_field": "updatedAt"}, id="dates on updatedAt"),
        pytest.param({"window_field": "updatedAt", "sort": "ignored"}, id="sort ignored"),
        pytest.param({"has_more": "always_true", "totals": "missing"}, id="no end told"),
    ],
)
def test_an_ignored_skip_is_survived_or_told(mirror, options):
    mirrored = mirror(skip="ignored", **options)
    first = mirrored.sync()
    mirrored.server.change(update=150, same_instant=True)
    second = mirrored.sync()
    assert first.requests + second.requests < 400
    assert {first.exit_code, second.exit_code} <= {0, 3, 5}
    assert second.exit_code != 0 or mirrored.differences() == NONE
    mirrored.server.configure(skip="obeyed")
    assert mirrored.sync(full=True).exit_code == 0
    assert mirrored.differences() == NONE


def test_dates_that_filter_nothing_end_in_their_error(mirror):
    mirrored = mirror(dates="ignored")
    outcome = mirrored.sync()
    assert outcome.exit_code == 5
    assert outcome.requests <= 20
    assert "window_field" in mirrored.value("select error from sync_runs")


def test_dates_that_filter_nothing_fit_no_field_by_chance(mirror):
    mirrored = mirror(tasks=3, sort="ignored")
    mirrored.sync()
    mirrored.server.configure(dates="ignored")
    mirrored.server.change(update=3)  # so that no row is out of place by updatedAt
    outcome = mirrored.sync()
    assert outcome.exit_code == 5
    assert [event["now"] for event in outcome.log if event["event"] == "probe.changed"] == [None]


@pytest.mark.parametrize("field", ["createdAt", "updatedAt"])
def test_dates_that_filter_nothing_for_a_while_are_asked_again(mirror, field):
    mirrored = mirror(window_field=field, sort="ignored")
    mirrored.sync()
    mirrored.server.configure(dates="ignored")
    mirrored.server.change(update=2, insert=1)
    assert mirrored.sync().exit_code == 5
    mirrored.server.configure(dates="obeyed")
    mirrored.server.change(update=2)
    assert mirrored.sync().exit_code == 0
    (kept,) = mirrored.rows("select cast(capabilities as text) from sources")[0]
    assert orjson.loads(kept)["window_field"] == field


def test_windows_shrink_to_the_longest_range_and_stay_so(mirror):
    mirrored = mirror(window_field="updatedAt", max_range_days=3.0, days=60.0)
    first = mirrored.sync()
    assert (first.exit_code, mirrored.differences()) == (0, NONE)
    refused = [request for request in mirrored.server.requests if request["status"] == 412]
    mirrored.server.reset_requests()
    mirrored.server.change(update=50)
    assert mirrored.sync().exit_code == 0
    assert mirrored.differences() == NONE
    assert len(refused) <= 8
    assert not [request for request in mirrored.server.requests if request["status"] == 412]


def test_a_server_too_slow_for_any_range_ends_in_its_error(mirror):
    mirrored = mirror(window_field="updatedAt", tasks=50)
    assert mirrored.sync().exit_code == 0
    mirrored.settings.update(KORE_ETL_TIMEOUT="0.1s", KORE_ETL_DEADLINE="0.4s")
    mirrored.server.configure(faults={"timeout": 1.0})
    outcome = mirrored.sync()
    assert outcome.exit_code == 5
    assert outcome.requests <= 20


def reading_no_more_than(most_bytes: int) -> Callable[[Any], Any]:
    """A sync that reads less of an answer than 64 MB, so that a test need not make so much."""

    def work(run: Any) -> Any:
        transport = run.fetch.client._transport
        transport._endpoint = replace(transport._endpoint, most_bytes=most_bytes)
        return sync(run)

    return work


BY_HAND = {
    "granularity": ("ms", {"granularity": 60.0}),
    "longest_range": ("10d", {"any_range": True, "longest_range": None}),
    "page_size": ("20", {"page_rows": 50}),
    "sort_updated": ("false", {"sort_updated": True}),
    "ends_inclusive": ("false", {"ends_inclusive": True, "granularity": 60.0}),
}


@pytest.mark.parametrize(("setting", "by_hand", "true"), [(name, *each) for name, each in BY_HAND.items()], ids=BY_HAND)
def test_what_is_no_longer_set_by_hand_is_asked_for(mirror, setting, by_hand, true):
    mirrored = mirror({setting: by_hand}, window_field="updatedAt", granularity="minute")
    assert mirrored.sync().exit_code == 0
    del mirrored.settings[f"KORE_ETL_{setting.upper()}"]
    outcome = mirrored.sync()
    kept = orjson.loads(mirrored.value("select cast(capabilities as text) from sources"))
    assert {name: kept[name] for name in true} == true
    assert (outcome.exit_code, outcome.changed(), mirrored.differences()) == (0, [], NONE)
    assert mirrored.sync().requests == 1  # nothing is asked for twice


@pytest.mark.parametrize("settings", [{}, {"page_size": "50"}], ids=["size learnt", "size set by hand"])
def test_pages_that_became_too_large_are_read_in_fewer_rows(mirror, settings):
    mirrored = mirror(settings, window_field="updatedAt", tasks=120)
    assert mirrored.sync().exit_code == 0
    before = mirrored.stored()
    mirrored.server.change(update=100)
    changed = [task for task in mirrored.server.tasks() if task != before[task["_id"]]]
    mirrored.server.put([{**task, "description": "x" * 5000} for task in changed])
    outcome = mirrored.work("sync", reading_no_more_than(200_000))
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
    assert outcome.requests < 40


def test_pages_too_large_from_the_start_are_mirrored(mirror):
    mirrored = mirror(window_field="updatedAt", tasks=120)
    mirrored.server.put([{**task, "description": "x" * 5000} for task in mirrored.server.tasks()])
    outcome = mirrored.work("sync", reading_no_more_than(200_000))
    assert (outcome.exit_code, mirrored.differences()) == (0, NONE)
    assert orjson.loads(mirrored.value("select capabilities from sources"))["page_rows"] == 10


def test_a_refused_limit_tells_nothing_about_ranges(mirror):
    mirrored = mirror(tasks=1, cap_mode="refuse")
    mirrored.sync()
    mirrored.server.configure(cap=5)
    mirrored.server.change(update=1)
    assert mirrored.sync().exit_code == 4
    assert orjson.loads(mirrored.value("select cast(capabilities as text) from sources"))["any_range"] is True
