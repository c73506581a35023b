"""Colours that can be seen, and how fresh the data is in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from etl.report import colors, freshness


@given(some.integers(0, 0xFFFFFF))
def test_every_colour_stands_out_on_light_and_dark_pages(number: int) -> None:
    light, dark = colors.pair(f"#{number:06x}", 0)
    for color, background in ((light, colors.LIGHT), (dark, colors.DARK)):
        shown, ground = colors.parse(color), colors.parse(background)
        assert shown is not None
        assert ground is not None
        assert colors.contrast(shown, ground) >= colors.LEAST


def test_a_colour_that_stands_out_is_left_as_it_is() -> None:
    assert colors.pair("#DC2626", 0) == ("#dc2626", "#dc2626")


@pytest.mark.parametrize("text", ["red", "", None, "#12", "url(https://elsewhere.invalid/)", "#fff;}"])
def test_what_is_no_colour_is_replaced_by_one(text: str | None) -> None:
    light, _ = colors.pair(text, 0)
    assert colors.parse(light) is not None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(40, "less than a minute"), (60, "1 minute"), (7300, "2 hours"), (17_280_000, "200 days")],
)
def test_an_age_is_told_in_its_unit(seconds: int, told: str) -> None:
    assert freshness.age(timedelta(seconds=seconds)) == told


NOW = datetime(2026, 11, 3, 16, 40, tzinfo=UTC)


def source(complete_until: datetime | None, **changes: Any) -> Any:
    known = {"name": "default", "last_run": {"state": "finished"}, "tasks": 7, "rejected": 0, "gaps": []}
    known |= {
        "unverified": [],
        "oldest_reading": None,
        "account": {"missing": 0, "quarantined": 0},
        "mended": 0,
        "configured": True,
        "complete_until": complete_until,
    }
    return SimpleNamespace(**known | changes)


@pytest.mark.parametrize(
    ("moments", "told", "is_late"),
    [
        ([NOW - timedelta(hours=1)], "complete until 3 Nov 2026, 16:40, 1 hour before", False),
        ([NOW, NOW - timedelta(days=2)], "complete until 1 Nov 2026, 17:40, 2 days before", True),
        ([NOW, None], "incomplete: the first sync has not finished yet", True),
        ([], "incomplete: the first sync has not finished yet", True),
    ],
    ids=["fresh", "the oldest counts", "one never synced", "no source"],
)
def test_the_header_says_how_fresh_all_sources_are(moments: list[datetime | None], told: str, *, is_late: bool) -> None:
    found = freshness.headline([source(each) for each in moments], NOW, ZoneInfo("Europe/Berlin"))
    assert found == (told, is_late)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gaps": [(NOW - timedelta(days=2), NOW - timedelta(days=1))]}, "A gap was never read"),
        ({"unverified": [(NOW, NOW)] * 2}, "2 windows are unverified"),
        ({"rejected": 1}, "One record could not be stored"),
        ({"account": {"missing": 2}}, "The server counts 2 tasks more that were not found"),
    ],
    ids=["gap", "unverified", "rejected", "missing"],
)
def test_what_is_missing_is_told_with_what_mends_it(changes: dict[str, Any], said: str) -> None:
    told = freshness.told(source(NOW, **changes), NOW, ZoneInfo("UTC"))
    assert told.is_incomplete
    assert said in told.sentences[2]
    assert "kore-etl " in told.sentences[2]


def test_what_is_not_stored_is_told_although_it_is_acknowledged() -> None:
    told = freshness.told(source(NOW, account={"missing": 0, "quarantined": 2}), NOW, ZoneInfo("UTC"))
    assert not told.is_incomplete
    assert told.sentences[2].startswith("Every task that the server shows is here but 2 tasks, known as not storable.")
