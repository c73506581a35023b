"""Colours that can be seen, and numbers and lengths of time as people read them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as some

from etl.load.report.local import BOUNDS
from etl.report import colors, words
from etl.report.facts import Priority
from etl.report.summary import quantile


@given(some.integers(0, 0xFFFFFF))
def test_every_colour_stands_out_on_light_and_dark_pages(number: int) -> None:
    [(light, dark)] = colors.pairs([Priority("any", f"#{number:06x}")])
    for color, background in ((light, colors.LIGHT), (dark, colors.DARK)):
        shown, ground = colors.parse(color), colors.parse(background)
        assert shown is not None
        assert ground is not None
        assert colors.contrast(shown, ground) >= colors.LEAST


def test_a_colour_that_stands_out_is_left_as_it_is() -> None:
    assert colors.pairs([Priority("High", "#DC2626")]) == [("#dc2626", "#dc2626")]


@pytest.mark.parametrize("text", ["red", "", None, "#12", "url(https://elsewhere.invalid/)", "#fff;}"])
def test_what_is_no_colour_is_replaced_by_one(text: str | None) -> None:
    [(light, _)] = colors.pairs([Priority("odd", text)])
    assert colors.parse(light) is not None


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(40, "1 min"), (2700, "45 min"), (18_720, "5.2 hours"), (293_760, "3.4 days"), (17_280_000, "200 days")],
)
def test_a_length_of_time_is_told_in_its_unit(seconds: float, told: str) -> None:
    assert words.length(seconds) == told


@pytest.mark.parametrize(
    ("name", "told"),
    [("inProgress", "In progress"), ("open", "Open"), ("on_hold", "On hold"), ("WAITING", "Waiting"), ("", "")],
)
def test_a_category_is_told_as_people_write_it(name: str, told: str) -> None:
    assert words.category(name) == told


@given(some.lists(some.floats(60, 5e7), min_size=1, max_size=40))
def test_the_median_of_the_bins_is_near_that_of_the_values(values: list[float]) -> None:
    bins = Counter(sum(value >= bound for bound in BOUNDS) for value in values)
    near = quantile(bins, 0.5, BOUNDS)
    assert near is not None
    below, above = sorted(values)[(len(values) - 1) // 2], sorted(values)[len(values) // 2]
    assert below / 1.36 <= near <= above * 1.36


def test_there_is_no_median_of_nothing() -> None:
    assert quantile(Counter(), 0.5, BOUNDS) is None
